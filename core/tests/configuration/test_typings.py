"""The module of typed names: what type checkers make of it, on faults planted for the purpose."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import pytest

import weft
from weft.configuration.typings import MARK, Typed, render
from weft.values.plugin import Kind
from weft.values.settings import ExecutorSettings, LauncherSettings, setting

SOUND = """
from weft_env import executor, launcher, provider, stager
from weft.builtin.settings import Threads

threads: Threads = executor("threads", max_threads=4)
executor("processes", max_workers=2, environment={"A": "1"})
executor("weft:threads")
launcher("wrapped", prepend="time")
provider("local", grace=1.0)
stager("file")
"""

FAULTS = {
    "a name that is not there": 'executor("thraeds")',
    "a misspelt option": 'executor("threads", max_thread=4)',
    "an option of the wrong type": 'executor("threads", max_threads="four")',
    "a part of the wrong kind": 'executor("outer", provider=launcher("simple"))',
    "an option that must be given": 'launcher("wrapped")',
    "the wrong class of the result": 'x: Threads = executor("processes")',
}

OUTER = """
import attrs
from typing import ClassVar
from weft.values.settings import ExecutorSettings, ProviderSettings, setting

@attrs.frozen(kw_only=True)
class Outer(ExecutorSettings):
    plugin: ClassVar[str] = "outer"
    provider: ProviderSettings | None = setting(None, help="Where from.")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the typed names of core, and of an executor that has a provider."""
    from weft.configuration.registry import Registry

    folder = tmp_path_factory.mktemp("project")
    (folder / "outer_plugin.py").write_text(OUTER)
    spec = importlib.util.spec_from_file_location("outer_plugin", folder / "outer_plugin.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    registry = Registry([])
    given = [
        Typed(Kind(offer.kind), (offer.name, offer.qualified), registry.class_of(offer))
        for offer in registry.offers()
        if offer.kind != Kind.COMMAND
    ]
    given.append(Typed(Kind.EXECUTOR, ("outer",), module.Outer))
    (folder / "weft_env.py").write_text(render(given))
    lines = ["from weft_env import executor, launcher", "from weft.builtin.settings import Threads"]
    (folder / "faults.py").write_text("\n".join([*lines, *FAULTS.values()]) + "\n")
    (folder / "sound.py").write_text(SOUND)
    return folder


def lines_with_faults(project: Path) -> set[int]:
    text = (project / "faults.py").read_text().splitlines()
    return {number for number, line in enumerate(text, 1) if line in FAULTS.values()}


def mypy(project: Path, file: str) -> set[int]:
    """The lines of a file in which mypy finds an error."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "-O", "json", file],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment(project),
    )
    assert done.returncode in {0, 1}, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["file"] for one in told} <= {file}, done.stdout
    return {one["line"] for one in told}


def pyright(project: Path, file: str) -> set[int]:
    """The lines of a file in which pyright finds an error."""
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, file],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment(project),
    )
    assert done.returncode in {0, 1}, done.stderr + done.stdout
    told = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in told if one["severity"] == "error"}


def environment(project: Path) -> dict[str, str]:
    """mypy reads packages that are not installed in the ordinary way from MYPYPATH."""
    import os

    source = str(Path(weft.__file__).parents[1])
    return {**os.environ, "MYPYPATH": source, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}


CHECKERS: list[Callable[[Path, str], set[int]]] = [mypy, pyright]


@pytest.mark.parametrize("checker", CHECKERS)
def test_sound_code_has_no_errors(checker: Callable[[Path, str], set[int]], project: Path) -> None:
    assert checker(project, "sound.py") == set()


@pytest.mark.parametrize("checker", CHECKERS)
def test_every_planted_fault_is_found(
    checker: Callable[[Path, str], set[int]], project: Path
) -> None:
    assert checker(project, "faults.py") == lines_with_faults(project)


def test_it_runs_and_hands_on_the_functions_of_weft(project: Path) -> None:
    code = (
        "import weft, weft_env as env\n"
        "print([name for name in env.__all__ if vars(env)[name] is getattr(weft, name)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )

    kinds = [kind.value for kind in Kind if kind.has_interface]
    assert done.stdout.strip() == str(kinds)


def test_the_text_is_the_same_whatever_the_order() -> None:
    given = [Typed(Kind.EXECUTOR, (name,), Odd) for name in ("b", "a")]

    assert render(given) == render(reversed(given))
    assert render(given).startswith(MARK)


def _taken(value: "int | str") -> int:
    return int(value)


@attrs.frozen(kw_only=True)
class Odd(ExecutorSettings):
    """Options of every odd kind."""

    plugin: ClassVar[str] = "odd"
    converted: int = setting(1, help="h", converter=_taken)
    opaque: int = setting(1, help="h", converter=lambda value: int(value or 0))
    call: Callable[[int, str], None] = setting(print, help="h")
    words: Literal["a", "b's"] = setting("a", help="h")
    nested: Mapping[str, tuple[Path | None, ...]] = setting(factory=dict, help="h")
    launcher: LauncherSettings | None = setting(None, help="h")
    anything: Any = setting(None, help="h")
    pair: tuple[int, ...] = setting((), help="h")


@pytest.mark.parametrize(
    "line",
    [
        "converted: int | str = ...,",
        "opaque: typing.Any = ...,",
        "call: collections.abc.Callable[[int, str], None] = ...,",
        """words: typing.Literal["a", "b's"] = ...,""",
        "nested: collections.abc.Mapping[str, tuple[pathlib.Path | None, ...]] = ...,",
        "launcher: weft.values.settings.LauncherSettings | None = ...,",
        "anything: typing.Any = ...,",
        "pair: tuple[int, ...] = ...,",
    ],
)
def test_types_are_written_as_source(line: str) -> None:
    text = render([Typed(Kind.EXECUTOR, ("odd",), Odd)])

    assert line in [one.strip() for one in text.splitlines()]
