"""``weft plugin add``, ``why``, ``check`` and ``typings`` on sites of their own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.cli import main
from weft.configuration import registry as registry_module

if TYPE_CHECKING:
    from core.tests.conftest import Site

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def weft(site: "Site", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("WEFT_DEBUG", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(registry_module, "_default", site.registry(builtin=True))
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), " ".join(out.split()), " ".join(err.split())

    return run


# ---------------------------------------------------------------------------------------------- why


def test_a_name_that_one_package_offers(site: "Site", weft: Run) -> None:
    site.plugin("ex-alpha", "executor", "alpha", version="2.1")

    code, out, _ = weft("plugin", "why", "alpha")

    assert code == 0
    assert "ex-alpha 2.1: nobody else offers it." in out
    # A long path goes on in the next line, wherever that falls.
    assert f"installed in {site.folder}".replace(" ", "") in out.replace(" ", "")


def test_a_name_of_weft_is_its_own(site: "Site", weft: Run) -> None:
    site.plugin("mine", "executor", "threads")

    code, out, _ = weft("plugin", "why", "threads")

    assert code == 0
    assert "names of weft itself are reserved" in out
    assert "mine 1.0 offers it too; write 'mine:threads' to mean this one." in out


def test_a_name_that_two_packages_claim_means_neither(site: "Site", weft: Run) -> None:
    site.plugin("one", "executor", "twin")
    site.plugin("two", "executor", "twin")

    code, out, _ = weft("plugin", "why", "twin")

    assert code == 1
    assert "one 1.0 offers it; write 'one:twin' to mean this one." in out


def test_a_block_decides_between_two(
    site: "Site", weft: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("one", "executor", "twin")
    site.plugin("two", "executor", "twin")
    monkeypatch.setenv("WEFT_PLUGINS_BLOCK", "one")

    code, out, _ = weft("plugin", "why", "twin")

    assert code == 0
    assert "one 1.0 may not be loaded: The environment variable WEFT_PLUGINS_BLOCK" in out
    assert "two 1.0: the others may not be loaded." in out


# -------------------------------------------------------------------------------------------- check


def test_a_sound_component_is_found_sound(site: "Site", weft: Run) -> None:
    site.plugin("ex-alpha", "monitor", "alpha")

    code, out, _ = weft("plugin", "check", "alpha")

    assert code == 0
    assert "The factory" in out
    assert "1 option, each with a help text." in out


def test_capabilities_are_looked_at(site: "Site", weft: Run) -> None:
    site.plugin("ex-alpha", "provider", "alpha", capabilities={"levitate": "full"})

    code, out, _ = weft("plugin", "check", "alpha")

    assert code == 1
    assert "It declares 'levitate', which the interface does not know." in out
    assert "It says nothing about 'cancel', 'exit-code', 'nodes'." in out


def test_an_executor_may_honour_what_tasks_ask_for_by_names_of_its_own(
    site: "Site", weft: Run
) -> None:
    site.plugin(
        "ex-alpha", "executor", "alpha", capabilities={"resources.nodes": "full", "nodes": "full"}
    )

    code, out, _ = weft("plugin", "check", "alpha")

    assert code == 1
    assert "It declares 'nodes', which the interface does not know." in out


def test_options_without_help_are_found(site: "Site", weft: Run) -> None:
    site.plugin("ex-alpha", "monitor", "alpha", options="    bare: int = 1\n")

    code, out, _ = weft("plugin", "check", "alpha")

    assert code == 1
    assert "'bare' have no help text" in out


def test_a_class_that_lacks_what_the_interface_asks_for_is_found(site: "Site", weft: Run) -> None:
    factory = "from weft.interfaces.monitor import Monitor\nclass build(Monitor): pass\n"
    site.plugin("ex-alpha", "monitor", "alpha", factory=factory)

    code, out, _ = weft("plugin", "check", "alpha")

    assert code == 1
    assert "lacks 'close', 'handle', 'start', which the interface asks for." in out


def test_a_name_that_means_another_s_is_told(site: "Site", weft: Run) -> None:
    site.plugin("one", "monitor", "twin")
    site.plugin("two", "monitor", "twin")

    code, out, _ = weft("plugin", "check", "one:twin")

    assert code == 0
    assert "The bare name 'twin' does not mean it: two offers it, too." in out
    assert "Write weft.monitor('one:twin')" in out


@pytest.mark.parametrize("name", ["nodot", "exekutor.odd", "odd"])
def test_an_entry_point_that_is_ignored_is_the_reason_why_there_is_none(
    site: "Site", weft: Run, name: str
) -> None:
    site.dist("weft-odd", components={"nodot": "o:it", "exekutor.odd": "o:it"})

    code, _, err = weft("plugin", "check", name)

    assert code == 1
    assert "weft-odd 1.0 has the entry point" in err
    assert "ignored" in err


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"settings": "raise RuntimeError('no licence server')"}, "no licence server"),
        ({"settings": "class S: plugin = 'alpha'"}, "settings"),
        ({"factory": "x = 1"}, "factory"),
        ({"interface": "7.0"}, "7.0"),
    ],
)
def test_what_cannot_be_loaded_is_told_and_harms_no_other(
    site: "Site", weft: Run, broken: dict[str, str], said: str
) -> None:
    site.plugin("ex-alpha", "monitor", "alpha", **broken)

    code, out, _ = weft("plugin", "check", "alpha")

    assert code == 1
    assert said in out
    assert weft("plugin", "check", "threads")[0] == 0


# ------------------------------------------------------------------------------------------ typings


def test_the_module_is_written_and_known_to_be_up_to_date(
    site: "Site", weft: Run, tmp_path: Path
) -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    file = tmp_path / "typed.py"

    assert "from typed import executor" in weft("plugin", "typings", str(file))[1]
    assert '"alpha", "ex-alpha:alpha"' in file.read_text()
    assert weft("plugin", "typings", str(file), "--check")[0] == 0
    site.plugin("ex-beta", "executor", "beta")
    assert weft("plugin", "typings", str(file), "--check")[0] == 1
    assert "beta" not in file.read_text()


def test_a_file_of_somebody_s_own_is_left_alone(weft: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")

    code, _, err = weft("plugin", "typings", str(file))

    assert code == 1
    assert "so it is left alone" in err
    assert file.read_text() == "x = 1\n"


def test_a_component_that_cannot_be_loaded_is_left_out_and_named(
    site: "Site", weft: Run, tmp_path: Path
) -> None:
    site.plugin("ex-alpha", "executor", "alpha", settings="raise RuntimeError('broken')")
    file = tmp_path / "typed.py"

    code, out, _ = weft("plugin", "typings", str(file))

    assert code == 0
    assert "ex-alpha:alpha is left out" in out
    assert "alpha" not in file.read_text()


# ---------------------------------------------------------------------------------------------- add


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands in for the installer; what it was called with."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1 if "missing" in command else 0)

    monkeypatch.setattr("weft.cli.packages.subprocess.run", run)
    return asked


def test_packages_go_into_the_environment_of_this_interpreter(
    weft: Run, installer: list[list[str]]
) -> None:
    code, out, _ = weft("plugin", "add", "--upgrade", "weft-x")

    assert code == 0
    (command,) = installer
    assert command[-2:] == ["--upgrade", "weft-x"]
    assert sys.executable in command
    assert "No component is new" in out


def test_what_has_come_is_told_by_the_name_that_means_it(
    site: "Site", weft: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        site.plugin("new", "monitor", "alpha")
        site.plugin("new-too", "monitor", "twin")
        site.plugin("bad", "monitor", "broken", interface="7.0")
        return subprocess.CompletedProcess(command, 0)

    site.plugin("old", "monitor", "twin")
    monkeypatch.setattr("weft.cli.packages.subprocess.run", install)
    monkeypatch.setattr("weft.cli.packages.Registry", lambda: site.registry(builtin=True))

    code, out, _ = weft("plugin", "add", "new")

    assert code == 0
    assert "✓ weft.monitor('alpha') from new 1.0" in out
    assert "✓ weft.monitor('new-too:twin') from new-too 1.0" in out
    assert "! The bare name 'twin' does not mean it: old offers it, too." in out
    assert "✗ The monitor 'broken' (bad 1.0) was built for monitor interface 7.0" in out


def test_an_installation_that_fails_is_an_error_with_the_command(
    weft: Run, installer: list[list[str]]
) -> None:
    code, _, err = weft("plugin", "add", "missing", "two words")

    assert code == 1
    assert "missing 'two words' could not be installed." in err
    assert "install missing 'two words'" in err


def test_without_pip_uv_is_used_for_this_interpreter(
    weft: Run, installer: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft.cli.packages.find_spec", lambda name: None)
    monkeypatch.setattr("weft.cli.packages.which", lambda name: "/bin/uv")

    weft("plugin", "add", "weft-x")

    assert installer == [["/bin/uv", "pip", "install", "--python", sys.executable, "weft-x"]]


def test_without_pip_and_uv_that_is_said(weft: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.cli.packages.find_spec", lambda name: None)
    monkeypatch.setattr("weft.cli.packages.which", lambda name: None)

    code, _, err = weft("plugin", "add", "weft-x")

    assert code == 1
    assert "no uv is on the PATH" in err
