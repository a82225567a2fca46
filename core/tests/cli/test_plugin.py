import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from weft.cli import main
from weft.configuration import registry as registry_module

if TYPE_CHECKING:
    from core.tests.conftest import Site

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def weft(site: "Site", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the program on a site of its own; returns exit code, output and complaints."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("WEFT_DEBUG", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(registry_module, "_default", site.registry(builtin=True))
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = capsys.readouterr()
        if "--json" not in words and "completion" not in words:
            assert all(len(line) <= 80 for line in out.splitlines())
        return int(ended.value.code or 0), out, err

    return run


def test_the_list_imports_nothing_and_shows_kind_name_package_and_level(
    site: "Site", weft: Run
) -> None:
    site.write("bomb/__init__.py", "raise SystemExit('imported')\n")
    site.dist("weft-bomb", "2.0", components={"executor.bomb": "bomb:it"})

    code, out, err = weft("plugin", "list", "--kind", "executor")

    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["KIND", "NAME", "PACKAGE", "LEVEL"]
    assert "executor  bomb       weft-bomb 2.0" in out
    assert "threads" in out
    assert "launcher" not in out
    assert "bomb" not in sys.modules


def test_the_list_as_json_has_a_row_for_each_component(site: "Site", weft: Run) -> None:
    site.plugin("ex-alpha", "executor", "alpha")

    _, out, _ = weft("plugin", "list", "--json")

    rows = {row["name"]: row for row in json.loads(out) if row["kind"] == "executor"}
    assert rows["alpha"]["dist"] == "ex-alpha"
    assert rows["threads"]["level"] == "tested"


def test_the_list_says_which_of_two_packages_is_meant(site: "Site", weft: Run) -> None:
    site.plugin("mine", "executor", "threads")
    site.plugin("one", "executor", "twin")
    site.plugin("two", "executor", "twin")

    _, out, _ = weft("plugin", "list")

    flat = " ".join(out.split())
    assert "2 packages offer executor.threads: the bare name means that of weft." in flat
    assert (
        "2 packages offer executor.twin: the bare name is an error. Write weft.executor('one:twin')"
        in flat
    )


def test_the_list_marks_what_is_blocked_and_who_watches(
    site: "Site", weft: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    site.dist("weft-otel", hooks={"otel": "otel.hooks"})
    monkeypatch.setenv("WEFT_PLUGINS_BLOCK", "ex-alpha")

    _, out, _ = weft("plugin", "list")

    assert "unrated, blocked" in out
    assert "WEFT_PLUGINS_BLOCK names ex-alpha" in out
    assert "1 package watches every run through hooks: weft-otel." in out


def test_a_kind_without_components_is_said_to_have_none(weft: Run) -> None:
    assert weft("plugin", "list", "--kind", "command")[1] == "No command is installed.\n"


def test_info_tells_all_that_is_known(site: "Site", weft: Run) -> None:
    site.plugin(
        "ex-alpha", "executor", "alpha", version="1.4", docs="https://example.org/alpha",
        aliases=("quick",), pairs_with={"provider": ["*"]},
    )  # fmt: skip

    code, out, _ = weft("plugin", "info", "alpha")

    assert code == 0
    for said in (
        "executor alpha",
        "The alpha of ex-alpha.",
        "ex-alpha 1.4",
        "unrated",
        "1.0 (this weft speaks 1.1)",
        "quick",
        "weft.executor('alpha')",
        "https://example.org/alpha",
        "size  int >= 1  = 1 things",
        "How big.",
        "providers  any",
    ):
        assert said in out


def test_info_of_a_name_of_several_kinds_shows_them_all(site: "Site", weft: Run) -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    site.plugin("pro-alpha", "provider", "alpha")

    _, out, _ = weft("plugin", "info", "alpha", "--json")

    assert [facts["kind"] for facts in json.loads(out)] == ["executor", "provider"]


def test_info_of_a_name_of_several_packages_says_how_to_mean_each(site: "Site", weft: Run) -> None:
    site.plugin("one", "executor", "twin")
    site.plugin("two", "executor", "twin")

    _, out, _ = weft("plugin", "info", "twin")

    assert "weft.executor('one:twin')" in out
    assert "weft.executor('two:twin')" in out
    assert "weft.executor('twin')" not in out


def test_a_level_without_evidence_is_shown_as_such(site: "Site", weft: Run) -> None:
    module = site.plugin("ex-alpha", "executor", "alpha")
    site.write(
        f"{module}/maturity.toml", 'schema = 1\n[component."executor.alpha"]\nclaim = "proven"\n'
    )

    _, out, _ = weft("plugin", "list", "--kind", "executor")

    assert "proven, no evidence" in out


@pytest.mark.parametrize("name", ["executor.alpha", "ex-alpha:alpha", "ALPHA", "quick"])
def test_info_takes_a_name_in_every_form(site: "Site", weft: Run, name: str) -> None:
    site.plugin("ex-alpha", "executor", "alpha", aliases=("quick",))

    code, out, _ = weft("plugin", "info", name)

    assert code == 0
    assert out.startswith("executor alpha")


def test_info_as_json_has_the_options_with_what_is_allowed(site: "Site", weft: Run) -> None:
    site.plugin("ex-alpha", "executor", "alpha")

    (facts,) = json.loads(weft("plugin", "info", "alpha", "--json")[1])

    assert facts["settings"][-1] == {
        "name": "size",
        "type": "int >= 1",
        "default": "1",
        "help": "How big.",
        "unit": "things",
        "env": "",
        "secret": False,
    }
    assert facts["error"] is None


def test_info_of_a_broken_one_tells_what_is_known_and_why_it_is_broken(
    site: "Site", weft: Run
) -> None:
    site.write("bomb/__init__.py", "raise RuntimeError('kaboom')\n")
    site.dist("weft-bomb", "2.0", components={"executor.bomb": "bomb:it"})

    code, out, _ = weft("plugin", "info", "bomb")

    assert code == 1
    assert "weft-bomb 2.0" in out
    assert "RuntimeError: kaboom" in " ".join(out.split())
    assert "Traceback" not in out


def test_info_of_an_unknown_name_is_an_error_with_the_nearest(weft: Run) -> None:
    code, out, err = weft("plugin", "info", "thraeds")

    assert (code, out) == (1, "")
    assert err.startswith("Error: No component named 'thraeds' is installed.\nWhy: ")
    assert "Do: Did you mean 'threads'?" in err


def test_new_without_the_scaffold_says_how_to_get_it(weft: Run) -> None:
    code, _, err = weft("plugin", "new", "executor", "my-exec")

    assert code == 1
    assert "pip install weft-testkit" in err


COMMAND = """
def main(words):
    print("got", words)
    return 4 if "--fail" in words else 0
"""


def command(site: "Site", name: str, source: str = COMMAND) -> None:
    site.write("cmd_pkg/__init__.py", "")
    site.write("cmd_pkg/cli.py", source)
    site.write(
        "cmd_pkg/manifest.py",
        "from weft.values.plugin import Component\n"
        f"it = Component(kind='command', name={name!r}, factory='cmd_pkg.cli:main', summary='A "
        "command.')\n",
    )
    site.dist("weft-cmd", components={f"command.{name}": "cmd_pkg.manifest:it"})


def test_new_is_what_the_package_with_the_scaffold_makes_of_it(site: "Site", weft: Run) -> None:
    command(site, "plugin-new")

    assert weft("plugin", "new", "executor", "x", "--help", "--fail") == (
        4,
        "got ['executor', 'x', '--help', '--fail']\n",
        "",
    )


def test_a_package_adds_a_command_that_gets_every_word(site: "Site", weft: Run) -> None:
    command(site, "viz")

    assert weft("viz", "--last", "-h", "--", "x")[1] == "got ['--last', '-h', '--', 'x']\n"


def test_help_lists_added_commands_without_importing_them(site: "Site", weft: Run) -> None:
    command(site, "viz", "raise SystemExit\n")

    code, out, _ = weft("--help")

    assert code == 0
    assert "viz  From weft-cmd." in out
    assert "cmd_pkg" not in sys.modules


@pytest.mark.parametrize(("group", "other"), [("plugin", "runs"), ("runs", "plugin")])
def test_a_nested_command_is_added_to_its_group(
    site: "Site", weft: Run, group: str, other: str
) -> None:
    command(site, f"{group}-frills")

    assert "frills" in weft(group, "--help")[1]
    assert "frills" not in weft("--help")[1]
    assert "frills" not in weft(other, "--help")[1]
    assert weft(group, "frills", "--fail") == (4, "got ['--fail']\n", "")


def test_an_error_of_an_added_command_is_told_in_words(site: "Site", weft: Run) -> None:
    command(site, "viz", "def main(words):\n    raise KeyError('colour')\n")

    code, _, err = weft("viz")

    assert code == 1
    assert "stumbled over KeyError: 'colour'" in err
    assert "Traceback" not in err


def test_debug_shows_where_an_error_came_from(
    site: "Site", weft: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_DEBUG", "0")
    command(site, "viz", "def main(words):\n    raise KeyError('colour')\n")

    _, _, err = weft("--debug", "viz")

    assert "Traceback (most recent call last)" in err


def test_a_slip_in_a_command_gets_the_nearest(weft: Run) -> None:
    code, _, err = weft("plgin")

    assert code == 2
    assert "Did you mean 'plugin'?" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(weft: Run, shell: str) -> None:
    code, out, _ = weft("completion", shell)

    assert code == 0
    assert "_WEFT_COMPLETE" in out


def test_the_version_names_weft_and_python(weft: Run) -> None:
    from weft import __version__

    assert weft("--version")[1].startswith(f"weft {__version__} (Python 3.")


def test_names_of_components_complete(site: "Site") -> None:
    from weft.cli import program
    from weft.cli.plugin import complete_name

    context, parameter = click.Context(program), program.params[0]

    assert "threads" in [item.value for item in complete_name(context, parameter, "thr")]


def test_help_is_quick_to_import() -> None:
    source = (
        "import sys\nfrom weft.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n   "
        " pass\n"
        "print(sorted({'rich', 'pluggy', 'typeguard', 'dill', 'asyncio', 'weft.session'} & "
        "set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines()[-1] == "[]"


def test_output_that_is_no_terminal_has_no_colours_and_no_broken_lines(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "weft", "plugin", "info", "threads"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "\x1b" not in ran.stdout
    assert not any(line != line.rstrip() for line in ran.stdout.splitlines())
