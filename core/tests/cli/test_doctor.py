import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.blocks.leases import Lease
from weft.cli import doctor as doctor_module
from weft.cli import main
from weft.cli.doctor import _holds, _need
from weft.configuration import registry as registry_module

if TYPE_CHECKING:
    from core.tests.conftest import Site

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def doctor(
    site: "Site",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("WEFT_DEBUG", raising=False)
    monkeypatch.setenv("WEFT_STATE", str(tmp_path / "state"))
    # What this very environment lacks is not the matter here.
    monkeypatch.setattr(doctor_module, "_program", lambda _section: iter(()))

    def run(*words: str, builtin: bool = False) -> tuple[int, str]:
        monkeypatch.setattr(registry_module, "_default", site.registry(builtin=builtin))
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *words])
        out, err = capsys.readouterr()
        assert err == ""
        return int(ended.value.code or 0), " ".join(out.split())

    return run


def findings(doctor: Run, *words: str, builtin: bool = False) -> Any:
    code, out = doctor(*words, "--json", builtin=builtin)
    told = json.loads(out)
    assert told["ok"] is (code == 0)
    return [(f["section"], f["status"], f["what"]) for f in told["findings"]]


def test_a_sound_package_is_in_order(site: "Site", doctor: Run) -> None:
    site.plugin("ex-alpha", "executor", "alpha")

    code, out = doctor()

    assert code == 0
    assert "✓ ex-alpha 1.0: 1 component in order." in out
    assert "can be written" in out


def test_a_broken_manifest_is_a_problem(site: "Site", doctor: Run) -> None:
    site.write("bomb/__init__.py", "raise RuntimeError('kaboom')\n")
    site.dist("weft-bomb", "2.0", components={"executor.bomb": "bomb:it"})

    code, out = doctor()

    assert code == 1
    assert "✗ The executor 'bomb' of weft-bomb 2.0 cannot be loaded." in out
    assert "1 problem" in out


def test_a_conflict_is_a_problem_and_a_decided_one_a_warning(site: "Site", doctor: Run) -> None:
    site.plugin("one", "executor", "twin")
    site.plugin("two", "executor", "twin")
    site.plugin("mine", "executor", "threads")

    told = {what: status for _, status, what in findings(doctor, builtin=True)}

    assert told["executor.twin is offered by one and two, so the bare name is an error."] == "error"
    (threads,) = [what for what in told if what.startswith("executor.threads")]
    assert told[threads] == "warning"
    assert "reserved for weft" in threads


def test_aliases_that_meet_are_told(site: "Site", doctor: Run) -> None:
    site.plugin("one", "executor", "first", aliases=("fast", "second"))
    site.plugin("two", "executor", "second", aliases=("fast",))

    told = [what for _, _, what in findings(doctor)]

    assert (
        "The executor alias 'fast' is an error, since it belongs to one:first and two:second."
        in told
    )
    assert "The alias 'second' of one:first is never used: it is the name of two:second." in told


def test_what_an_unused_component_lacks_is_a_warning(site: "Site", doctor: Run) -> None:
    module = site.plugin("pro", "provider", "slurm")
    site.write(
        f"{module}/manifest.py",
        "from weft.values.plugin import Component, Requires\n"
        f"it = Component(kind='provider', name='slurm', settings='{module}.settings:S', "
        "summary='x', "
        f"factory='{module}.factory:build', requires=Requires(commands=('sbatch-of-nowhere',)))\n",
    )

    code, out = doctor()
    assert code == 0
    assert "! provider.slurm needs the command 'sbatch-of-nowhere'" in out

    code, out = doctor("slurm")
    assert code == 1
    assert "✗ provider.slurm needs the command 'sbatch-of-nowhere'" in out


def test_a_named_component_is_imported_whole(site: "Site", doctor: Run) -> None:
    site.plugin("ex-alpha", "executor", "alpha", factory="import libgpu_not_here\n")

    assert doctor()[0] == 0
    code, out = doctor("executor.alpha")

    assert code == 1
    assert "✓ The manifest ex_alpha_executor_alpha.manifest:it loads." in out
    assert "No module named 'libgpu_not_here'" in out


def test_broken_hooks_are_told(site: "Site", doctor: Run) -> None:
    site.dist("weft-bad", hooks={"bad": "hooks_not_there"})

    code, out = doctor()

    assert code == 0
    assert "! hooks of weft-bad:bad: They take no part in this run." in out


def test_hooks_that_watch_are_named_and_asked(site: "Site", doctor: Run) -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    site.write(
        "asked.py",
        "from weft.interfaces.hookspecs import hookimpl\nfrom weft.values.problem import Problem\n"
        "@hookimpl\ndef weft_doctor(component, config):\n"
        "    return [Problem(code='X-1', place=component.key, what='Its disk is full.')]\n",
    )
    site.dist("weft-asked", hooks={"asked": "asked"})

    assert "✓ weft-asked:asked watches every run." in doctor()[1]
    code, out = doctor("alpha")
    assert code == 1
    assert "✗ executor.alpha: Its disk is full." in out


def test_a_configuration_is_looked_at_with_the_rest(
    site: "Site", doctor: Run, tmp_path: Path
) -> None:
    (tmp_path / "conf.py").write_text(
        "import weft\nconfig = weft.Config(executors='threads', run_dir='conf.py')\n"
    )

    told = findings(doctor, "--config", "conf.py", builtin=True)

    assert ("Configuration", "error") in [(s, status) for s, status, _ in told]
    assert any(section == "Run folder" and "is a file" in what for section, _, what in told)


def test_a_configuration_that_cannot_be_run_is_told(doctor: Run, tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text("1 / 0\n")

    code, out = doctor("--config", "conf.py")

    assert code == 1
    assert "conf.py, line 1: ZeroDivisionError" in out


def test_a_file_that_hides_a_package_is_told(doctor: Run, tmp_path: Path) -> None:
    (tmp_path / "weft.py").write_text("")
    (tmp_path / "attr").mkdir()
    (tmp_path / "attr" / "__init__.py").write_text("")

    told = [(status, what) for _, status, what in findings(doctor)]

    assert any(status == "error" and "weft.py would be imported" in what for status, what in told)
    assert any(status == "warning" and "attr/__init__.py would" in what for status, what in told)


def test_leftovers_of_an_installation_are_told(site: "Site", doctor: Run) -> None:
    site.dist("weft-x", "1.0", components={})
    site.dist("weft-x", "1.1", components={})

    assert "interrupted installation" in doctor()[1]


@pytest.mark.parametrize(
    ("have", "condition", "holds"),
    [
        ("1.5", ">=1.5", True),
        ("1.10", ">=1.9", True),
        ("1.5.0", "==1.5", True),
        ("1.4.9", ">=1.5", False),
        ("2.0", "<2", False),
        ("2.0rc1", "<2", False),
        ("3.0", "!=3.0", False),
        ("1.0", "~=0.9", True),
    ],
)
def test_conditions_on_versions_are_read(have: str, condition: str, holds: bool) -> None:
    assert _holds(have, condition) is holds


@pytest.mark.parametrize(
    ("text", "name", "conditions"),
    [
        ("attrs>=23.2", "attrs", [">=23.2"]),
        ("click (>=8.1,<9)", "click", [">=8.1", "<9"]),
        ("rich[jupyter] >= 13", "rich", [">= 13"]),
        ("pytest; extra == 'test'", "", []),
        ("weft @ file:///x", "", []),
    ],
)
def test_requirements_are_read(text: str, name: str, conditions: list[str]) -> None:
    assert _need(text) == (name, conditions)


def test_a_package_in_a_version_that_cannot_be_used_is_a_problem(
    doctor: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dist:
        requires = ("pluggy>=99", "nowhere-to-be-found>=1", "attrs")

    real = importlib.metadata.distribution
    monkeypatch.setattr(
        "importlib.metadata.distribution", lambda name: Dist if name == "weft" else real(name)
    )

    code, out = doctor()

    assert code == 1
    assert "✗ weft needs pluggy >=99; installed is" in out
    assert "✗ weft needs nowhere-to-be-found, which is not installed." in out


# ------------------------------------------------------------------------- a component's own checks

CHECKS = """\
from weft.values.problem import Finding, Severity
def look(settings, folder):
    assert list(folder.iterdir()) == []
    (folder / "scratch").touch()
    yield Finding(what=f"Its size is {settings.size}.")
    if settings.size > 3:
        yield Finding(
            what="That is much.", severity=Severity.ERROR, why="Few can.", remedy="Take less."
        )
"""


@pytest.fixture
def checked(site: "Site") -> str:
    """A package whose component has checks of its own."""
    module = site.plugin(
        "ex-alpha",
        "executor",
        "alpha",
        checks="ex_alpha_executor_alpha.checks:look",
    )
    site.write(f"{module}/checks.py", CHECKS)
    return module


def test_a_named_component_makes_its_own_checks(checked: str, doctor: Run, tmp_path: Path) -> None:
    code, out = doctor("alpha")

    assert code == 0
    assert "✓ Its size is 1." in out
    assert list(tmp_path.glob(".weft-doctor-*")) == []


def test_checks_are_made_with_the_options_of_the_configuration(
    checked: str, doctor: Run, tmp_path: Path
) -> None:
    (tmp_path / "c.py").write_text(
        "import weft\n"
        "config = weft.Config(executors=[weft.executor('alpha', label='big', size=4)])\n"
    )

    for words in ([], ["alpha"]):
        code, out = doctor(*words, "--config", str(tmp_path / "c.py"))
        assert code == 1
        assert "executor alpha 'big' ✓ Its size is 4. ✗ That is much. Few can. → Take less." in out


def test_checks_are_not_imported_unless_somebody_asks_for_them(
    site: "Site", checked: str, doctor: Run
) -> None:
    site.write(f"{checked}/checks.py", "raise RuntimeError('imported')")

    assert doctor()[0] == 0
    code, out = doctor("alpha")
    assert code == 1
    assert "Importing its checks ex_alpha_executor_alpha.checks:look raised" in out


def test_checks_that_break_are_told_and_harm_nothing(
    site: "Site", checked: str, doctor: Run, tmp_path: Path
) -> None:
    site.write(f"{checked}/checks.py", "def look(settings, folder):\n    return 1 / 0\n")

    code, out = doctor("alpha")

    assert code == 1
    assert "Its own checks raised ZeroDivisionError" in out
    assert "the makers of ex-alpha" in out
    assert list(tmp_path.glob(".weft-doctor-*")) == []


def test_a_component_whose_options_must_be_given_asks_for_them(site: "Site", doctor: Run) -> None:
    site.plugin(
        "ex-beta",
        "executor",
        "beta",
        options="    partition: str = attrs.field()",
        checks="ex_beta_executor_beta.checks:look",
    )

    code, out = doctor("beta")

    assert code == 0
    assert "It has options that must be given" in out
    assert "Give --config FILE." in out


def test_a_configuration_that_does_not_name_the_component_is_told(
    checked: str, doctor: Run, tmp_path: Path
) -> None:
    (tmp_path / "c.py").write_text("import weft\nconfig = weft.Config()\n")

    assert "does not name it" in doctor("alpha", "--config", str(tmp_path / "c.py"))[1]


# ----------------------------------------------------------------------------- trust, and leftovers


def test_each_package_is_shown_with_its_maturity_and_its_place(
    site: "Site", checked: str, doctor: Run
) -> None:
    told = next(what for _, _, what in findings(doctor) if "ex-alpha 1.0:" in what)

    assert told.splitlines() == [
        "ex-alpha 1.0: 1 component in order.",
        "unrated: executor.alpha",
        f"from {site.folder / checked}",
    ]


def test_jobs_of_runs_that_are_gone_are_told(doctor: Run, tmp_path: Path) -> None:
    lease = Lease(
        tmp_path / "state" / "jobs",
        site="slurm:there",
        label="cpu",
        run_id="r",
        run_folder="/runs/001",
        program="survey.py",
    )
    lease.note("4711", "weft-cpu-1")
    assert "4711" not in doctor()[1]

    gone = lease.path.read_text().replace(f'"started": "{lease.client.started}"', '"started": "1"')
    lease.path.write_text(gone)
    code, out = doctor()

    assert code == 0
    assert "These may still be there: 4711 of slurm:there, asked for by survey.py" in out
    assert lease.path.exists()
