import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from weft.configuration.check import check, load_config, missing, problems
from weft.configuration.config import Backoff, Config
from weft.configuration.registry import Registry, executor, launcher, monitor, stager
from weft.errors import ConfigFileError, InvalidConfig
from weft.values.plugin import Requires
from weft.values.problem import Severity

if TYPE_CHECKING:
    from core.tests.conftest import Site


def found(config: Any, registry: Any = None) -> dict[str, str]:
    return {p.place: f"{p.what} {p.remedy}" for p in problems(config, registry)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_embedded_configuration_has_no_problems(here: Path) -> None:
    assert problems(Config()) == []
    assert list(here.iterdir()) == []


def test_every_problem_is_told_at_once(here: Path) -> None:
    (here / "taken").write_text("a file")
    options: dict[str, Any] = {
        "executors": [executor("threads"), executor("threads"), "threads", launcher("simple")],
        "monitors": monitor("log"),
        "run_dir": "taken/runs",
        "retries": True,
        "hooks": "no",
    }
    config = Config(**options)

    assert set(found(config)) == {
        "executors[1].label",
        "executors[2]",
        "executors[3]",
        "monitors",
        "run_dir",
        "retries",
        "hooks",
    }
    with pytest.raises(InvalidConfig, match="has 7 problems") as caught:
        check(config)
    assert len(caught.value.problems) == 7


@pytest.mark.parametrize(
    ("executors", "place", "said"),
    [
        (
            lambda: executor("threads"),
            "executors",
            "Write executors=[weft.executor('threads', ...)]",
        ),
        (lambda: "threads", "executors", "A list of executors belongs here, not a str: 'threads'."),
        (
            lambda: [launcher("simple")],
            "executors[0]",
            "An executor belongs here, not a launcher ('simple')",
        ),
        (lambda: ["threads"], "executors[0]", "Write weft.executor('threads')."),
        (
            lambda: [type(executor("threads"))],
            "executors[0]",
            "The class Threads itself stands here",
        ),
        (lambda: [None], "executors[0]", "An executor belongs here, not a NoneType: None."),
    ],
)
def test_what_is_no_list_of_executors_is_answered_with_the_way_to_write_it(
    here: Path, executors: Callable[[], Any], place: str, said: str
) -> None:
    assert said in found(Config(executors=executors()))[place]


def test_two_executors_with_one_label_are_told_apart_by_place(here: Path) -> None:
    config = Config(
        executors=[executor("threads", label="cpu"), executor("processes", label="cpu")]
    )

    assert "executors[0] is called 'cpu' already" in found(config)["executors[1].label"]


def test_what_is_not_a_config_is_one_problem() -> None:
    assert "A Config is wanted, not a list" in found([])[""]


# ------------------------------------------------------------------------------------------ nesting


PROVIDER = "    provider: ProviderSettings | None = setting(None, help='')\n"

LAUNCHER = """
    launcher: LauncherSettings | None = setting(None, help='')
    partition: str | None = setting(None, help='The queue.')
    more: tuple[LauncherSettings, ...] = setting((), help='')
"""


@pytest.fixture
def nested(site: "Site") -> Any:
    """An executor that takes a provider that takes a launcher, with its registry."""
    site.plugin(
        "ex", "executor", "htex", options=PROVIDER,
        pairs_with={"launcher": ["srun"]},
    )  # fmt: skip
    site.plugin(
        "pro", "provider", "slurm", options=LAUNCHER,
    )  # fmt: skip
    site.plugin("la", "launcher", "srun")
    site.plugin("lb", "launcher", "mpiexec", pairs_with={"provider": ["pbs"]})
    return site.registry()


def composed(registry: Registry, launcher_name: str = "srun", **options: Any) -> Any:
    inner = registry.settings("launcher", launcher_name)
    given: Any = registry.settings("provider", "slurm", launcher=inner, **options)
    outer: Any = registry.settings("executor", "htex", provider=given)
    return Config(executors=[outer])


def test_a_composition_that_fits_has_no_problems(here: Path, nested: Registry) -> None:
    assert problems(composed(nested), nested) == []


def test_a_composition_that_does_not_fit_is_told_with_what_would(
    here: Path, nested: Registry
) -> None:
    config = composed(nested, "mpiexec")

    told = [str(p) for p in problems(config, nested)]

    assert len(told) == 2
    assert "The launcher 'mpiexec' does not work with the provider 'slurm'." in told[1]
    assert "The executor 'htex' does not work with the launcher 'mpiexec'." in told[0]
    assert "Use one of the launchers it works with: 'srun'." in told[0]


def test_a_wrong_value_deep_inside_has_its_whole_path(here: Path, nested: Registry) -> None:
    config = composed(nested)
    object.__setattr__(config.executors[0].provider, "partition", 3)

    assert (
        "3 is not allowed: it is an int."
        in found(config, nested)["executors[0].provider.partition"]
    )


def test_components_in_a_list_of_a_component_are_looked_at_too(
    here: Path, nested: Registry
) -> None:
    config = composed(nested, more=(nested.settings("launcher", "mpiexec"),))

    assert "executors[0].provider.more[0]" in found(config, nested)


def test_a_package_that_is_gone_is_told_where_it_was_named(
    here: Path, nested: Registry, site: "Site"
) -> None:
    config = composed(nested)
    site.dist("la", components={})
    nested.refresh()

    assert (
        "No launcher named 'srun' is installed."
        in found(config, nested)["executors[0].provider.launcher"]
    )


def test_a_blocked_package_is_told_where_it_was_named(here: Path, nested: Registry) -> None:
    config = attrs.evolve(composed(nested), block=["la"])

    assert "names la" in found(config, nested)["executors[0].provider.launcher"]


def test_a_level_below_the_required_one_is_told(here: Path, nested: Registry) -> None:
    config = attrs.evolve(composed(nested), require_level="supported")

    assert "which is unrated" in found(config, nested)["executors[0]"]


def test_an_interface_of_another_version_is_told(here: Path, site: "Site") -> None:
    site.plugin("ex", "executor", "old")
    registry = site.registry()
    old: Any = registry.settings("executor", "old")
    config = Config(executors=[old])
    site.write(
        "ex_executor_old/manifest.py",
        (site.folder / "ex_executor_old/manifest.py")
        .read_text()
        .replace("it = Component(", "it = Component(interface='0.3', "),
    )
    site.forget()

    assert "was built for executor interface 0.3" in found(config, site.registry())["executors[0]"]


def test_a_deprecated_component_is_a_warning(here: Path, site: "Site") -> None:
    site.plugin("ex", "executor", "old", deprecated="Use htex instead.")
    registry = site.registry()

    old: Any = registry.settings("executor", "old")

    (problem,) = problems(Config(executors=[old]), registry)

    assert problem.severity is Severity.WARNING
    assert problem.remedy == "Use htex instead."


# ----------------------------------------------------------------------------------------- requires


def test_what_is_missing_on_this_machine_is_told_with_what_to_do() -> None:
    requires = Requires(
        commands=("sh", "squeue-of-nowhere"),
        modules=("json", "no_such_module_at_all", "no.such.module"),
        platforms=("amiga",),
    )

    told = [what for what, _ in missing(requires, "provider.slurm")]

    assert told == [
        f"provider.slurm works on amiga; this is {sys.platform}.",
        "provider.slurm needs the command 'squeue-of-nowhere', which is not on the PATH.",
        "provider.slurm needs the module 'no_such_module_at_all', which is not installed.",
        "provider.slurm needs the module 'no.such.module', which is not installed.",
    ]


def test_the_plugin_s_own_hint_comes_first() -> None:
    requires = Requires(commands=("nope-nope",), hint="Run 'module load slurm'.")

    assert [remedy for _, remedy in missing(requires, "x")] == ["Run 'module load slurm'."]


# --------------------------------------------------------------------------------- the Config's own


def test_a_run_folder_that_cannot_be_written_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)

    assert (
        f"{here / 'runs'} cannot be made: {here} cannot be written."
        in found(Config(run_dir="runs"))["run_dir"]
    )
    assert f"{here} cannot be written." in found(Config(run_dir="."))["run_dir"]


def test_a_run_folder_below_a_file_is_told(here: Path) -> None:
    (here / "file").write_text("")

    assert "is a file" in found(Config(run_dir="file"))["run_dir"]


@pytest.mark.parametrize(
    ("options", "place", "said"),
    [
        ({"max_pending": 2.5}, "max_pending", "it is a float"),
        ({"retry_handler": 3}, "retry_handler", "it cannot be called"),
        ({"name": 3}, "name", "name is a str"),
        ({"allow": "weft-htex"}, "allow", "single str"),
        ({"block": [3]}, "block", "item 0"),
        ({"prefer": {"threads": "weft"}}, "prefer['threads']", "of the form 'kind.name'"),
        (
            {"prefer": {"executor.threads": "nobody"}},
            "prefer['executor.threads']",
            "It is offered by: weft.",
        ),
        ({"checkpoint": True, "memoize": False}, "checkpoint", "none of them is ever used"),
        (
            {"backoff": Backoff(first=100, most=1), "retries": 1},
            "backoff",
            "longer than the longest",
        ),
        ({"backoff": Backoff(first=1)}, "backoff", "nothing is tried again"),
        ({"backoff": 3, "retries": 1}, "backoff", "it is an int"),
        ({"when_full": "raise"}, "when_full", "nothing is ever full"),
    ],
)
def test_an_option_that_is_wrong_or_makes_no_sense_is_told(
    here: Path, options: Any, place: str, said: str
) -> None:
    assert said in found(Config(**options))[place]


def test_a_nearly_right_package_in_a_list_is_a_warning(here: Path, site: "Site") -> None:
    site.plugin("weft-htex", "executor", "htex")

    (problem,) = problems(Config(block=["weft-hetx"]), site.registry())

    assert not problem.is_error
    assert "Did you mean 'weft-htex'?" in problem.remedy


def test_two_stagers_for_one_scheme_are_told(here: Path) -> None:
    config = Config(stagers=[stager("file"), stager("file", sync=True)])

    assert "scheme 'file' already" in found(config)["stagers[1]"]


def test_a_monitor_that_is_there_twice_is_a_warning(here: Path) -> None:
    assert check(Config(monitors=[monitor("log"), monitor("log")]))[0].place == "monitors[1]"


def test_a_usual_configuration_is_checked_without_typeguard(here: Path) -> None:
    source = (
        "import sys\nimport weft.configuration.registry as r\nfrom weft.configuration.check import "
        "check\n"
        "from weft.configuration.config import Config\n"
        "check(Config(executors=[r.executor('threads', max_threads=2)], retries=2, "
        "monitors=[r.monitor('log')]))\n"
        "print(sorted({'typeguard', 'pluggy', 'asyncio', 'importlib.metadata', 'multiprocessing'} "
        "& set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


# -------------------------------------------------------------------------------------------- files


def told(here: Path, text: str) -> ConfigFileError:
    (here / "conf.py").write_text(text)
    with pytest.raises(ConfigFileError) as caught:
        load_config(here / "conf.py")
    return caught.value


def test_a_file_with_a_variable_named_config_is_loaded(here: Path) -> None:
    (here / "conf.py").write_text(
        "from weft.configuration.config import Config\nconfig = Config(retries=3)\n"
    )

    assert load_config("conf.py") == Config(retries=3)


def test_a_file_with_a_function_named_config_is_loaded(here: Path) -> None:
    (here / "conf.py").write_text("import weft\ndef config(): return weft.Config(retries=1)\n")

    assert load_config("conf.py").retries == 1


def test_a_file_may_import_its_neighbours(here: Path) -> None:
    (here / "folder").mkdir()
    (here / "folder" / "neighbour_of_conf.py").write_text("n = 4\n")
    (here / "folder" / "conf.py").write_text(
        "import weft, neighbour_of_conf\nconfig = weft.Config(retries=neighbour_of_conf.n)\n"
    )
    before = list(sys.path)

    assert load_config("folder/conf.py").retries == 4
    assert sys.path == before
    del sys.modules["neighbour_of_conf"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            "import weft\n\nconfig = weft.executor('thraeds')\n",
            3,
            "No executor named 'thraeds' is installed.",
        ),
        ("x = 1\ny = = 2\n", 2, "invalid syntax"),
        ("def f():\n    return 1 / 0\n\nf()\n", 2, "ZeroDivisionError: division by zero."),
        (
            "import weft\nconfig = weft.Config(retires=3)\n",
            2,
            "Config: there is no option 'retires'.",
        ),
        (
            "import weft\nconfig = weft.Config(on_exit='fly')\n",
            2,
            "Config: on_exit='fly' is not allowed",
        ),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3."),
        ("def config():\n    raise KeyError('HOME')\n", 2, "KeyError: HOME."),
        ("import not_there_at_all\n", 1, "ModuleNotFoundError"),
    ],
)
def test_an_error_in_the_file_is_told_with_its_line(
    here: Path, text: str, line: int, said: str
) -> None:
    error = told(here, text)

    assert error.line == line
    assert f"conf.py, line {line}: " in error.what
    assert said in error.what
    assert "Attribute(" not in str(error)


def test_a_misspelt_option_gets_the_nearest(here: Path) -> None:
    assert (
        "Did you mean retries" in told(here, "import weft\nconfig = weft.Config(retires=3)\n").todo
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "it has no variable named 'config'"),
        ("import weft\nconf = weft.Config()\n", "It has a Config named 'conf'."),
        (
            "import weft\nconfig = [weft.executor('threads')]\n",
            "its 'config' is a list, not a Config",
        ),
        (
            "import weft\nconfig = weft.executor('threads')\n",
            "its 'config' is a Threads, not a Config",
        ),
        ("def config(): return None\n", "it has no variable named 'config'"),
    ],
)
def test_a_file_that_leaves_no_config_is_told_so(here: Path, text: str, said: str) -> None:
    assert said in str(told(here, text))


def test_a_file_that_is_not_there_is_told_so(here: Path) -> None:
    with pytest.raises(ConfigFileError, match="cannot be read: No such file"):
        load_config("nowhere.py")
