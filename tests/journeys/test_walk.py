"""The walk of the guide for plugin authors, from nothing to an executor that others use.

The page is the script of this test. Its blocks are taken in their order:

    console               what follows ``$`` is typed; the rest is what has to come out, where
                          ``…`` stands for anything
    python, toml, with caption
                          a file that is written, or what is appended to one
    diff, with caption    lines that are there, once, and what takes their place

``pip`` and ``venv`` are done with wheels of this tree instead of a registry.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.journeys.conftest import PATIENCE, Fresh, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.journeys.conftest import Wheels

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "guides" / "plugin-author" / "walk.md"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BLOCK = re.compile(
    r"^```\{code-block\} (\w+)\n(?::caption: ([^\n]*)\n)?(.*?)^```$", re.MULTILINE | re.DOTALL
)


@attrs.frozen
class Step:
    """A block of the page."""

    kind: str
    caption: str
    text: str

    @property
    def typed(self) -> Iterator[tuple[str, str]]:
        """The commands of a terminal, each with what has to come out."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown


def steps() -> list[Step]:
    return [Step(*found) for found in BLOCK.findall(PAGE.read_text())]


def shown_is(shown: str, said: str) -> bool:
    """Whether a terminal says what the page shows, where … stands for anything."""
    parts = [" ".join(part.split()) for part in shown.split("…")]
    pattern = ".*".join(re.escape(part) for part in parts)
    return re.fullmatch(f".*?{pattern}.*", " ".join(said.split()), re.DOTALL) is not None


class Walker:
    """Follows the page, in a folder of its own."""

    def __init__(self, author: Fresh, user: Fresh, wheels: Wheels, folder: Path) -> None:
        self._author, self._user, self._wheels = author, user, wheels
        self.folder = folder

    def take(self, step: Step) -> None:
        if step.kind == "diff":
            self._edit(self.folder / step.caption, step.text)
        elif step.kind in {"python", "toml"}:
            self._write(step.caption, step.text)
        else:
            for command, shown in step.typed:
                said = self._type(command, fails=" failed, " in shown)
                assert shown_is(shown, said), f"$ {command}\n{said}"

    def _edit(self, file: Path, diff: str) -> None:
        lines = diff.splitlines()
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] in {" ", "-"})
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] in {" ", "+"})
        text = file.read_text()
        assert text.count(before) == 1, f"not once in {file}:\n{before}"
        file.write_text(text.replace(before, after))

    def _write(self, caption: str, text: str) -> None:
        name = caption.removeprefix("append to ")
        file = self.folder / name
        if name == caption:
            file.write_text(text)
            return
        of = re.search(r'SHA256 OF ([^"]+)', text)
        if of is not None:
            digest = hashlib.sha256((self.folder / of[1]).read_bytes()).hexdigest()
            text = text.replace(of[0], digest)
        file.write_text(f"{file.read_text()}\n{text}")

    def _type(self, command: str, *, fails: bool) -> str:
        words = shlex.split(command)
        line: list[str | Path]
        match words:
            case ["cd", folder]:
                self.folder /= folder
                return ""
            case ["pip", "install", "weft", "weft-testkit"] | ["python", "-m", "venv", "user"]:
                return ""  # both environments are here
            case ["pip", "install", "-e", _]:
                self._author.put_on_path(self.folder / "src", self._wheels.of(self.folder))
                return ""
            case ["python", "-m", "build", "--wheel"]:
                made = self._wheels.again(self.folder)
                (self.folder / "dist").mkdir()
                made.rename(self.folder / "dist" / made.name)
                return ""
            case ["user/bin/pip", "install", wheel]:
                self._user.install(self.folder / wheel)
                return ""
            case ["user/bin/weft", *rest]:
                return self._user.run("-m", "weft", *rest, folder=self.folder)
            case ["user/bin/python", *rest]:
                return self._user.run(*rest, folder=self.folder)
            case ["pytest", *rest]:
                # What the page shows of a failure says how long the kit was patient.
                line = [self._author.python, "-m", "pytest", *(() if fails else PATIENCE), *rest]
                return run(*line, folder=self.folder, fails=fails, limit=300)
            case [program, *rest]:
                python = self._author.python
                if "--" in rest:  # a command within the command
                    at = rest.index("--") + 1
                    rest = [*rest[:at], str(python), "-m", *rest[at:]]
                line = [python, "-m", program, *rest]
                return run(*line, folder=self.folder, fails=fails, limit=300)
            case _:
                raise AssertionError(command)


def test_the_walk_leads_from_nothing_to_an_executor_that_others_use(
    fresh: Fresh,
    wheels: Wheels,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    fresh.install(wheels.of(ROOT / "plugins" / "testkit"))
    fresh.lend(["pytest-timeout", "mypy", "types-psutil"])
    user = Fresh(tmp_path / "user")
    user.install(wheels.of(ROOT / "core"))
    folder = tmp_path / "work"
    folder.mkdir()
    walker = Walker(fresh, user, wheels, folder)
    begun = time.monotonic()

    for step in steps():
        walker.take(step)

    record_property("seconds", round(time.monotonic() - begun))
    _is_told_and_can_be_refused(user, walker.folder)
    assert not list(user.site.glob("weft_testkit*")), "the user needs no kit"


def _is_told_and_can_be_refused(user: Fresh, folder: Path) -> None:
    """What users see of a level that only its author speaks for."""
    script = (folder / "script.py").read_text()
    logs = sorted(folder.rglob("weft.log"))
    assert logs, "the run of the page has no log"
    assert logs[0].read_text().count("executor.my-exec is experimental") == 1

    strict = script.replace("workers=2)]", "workers=2)], require_level='tested'")
    assert strict != script
    (folder / "strict.py").write_text(strict)
    refused = user.run("strict.py", folder=folder, fails=True)
    assert "require_level" in refused, refused
    assert "my-exec" in refused, refused
