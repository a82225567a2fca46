"""What the documentation shows as output is what comes out.

A file ``guide_x.out`` beside ``guide_x.py`` is what the script prints. A file ``guide_x.console``
is a terminal: lines that begin with ``$`` are typed, in a folder that holds the examples, and the
others are what the program says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def ran(words: list[str], folder: Path, *, may_fail: bool = True) -> str:
    """What a command prints, both streams in the order in which they were written.

    It has to succeed unless it may fail.
    """
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "100", "NO_COLOR": "1"},
    )
    assert done.returncode == 0 or may_fail, done.stdout
    return done.stdout


def typed(line: str, folder: Path) -> str:
    program, *words = line.removeprefix("$ ").split()
    return ran(["-m", "weft", *words] if program == "weft" else words, folder)


def played(text: str, folder: Path) -> str:
    """The terminal again: what is typed in it, and what comes out now."""
    for example in EXAMPLES.glob("*.py"):
        shutil.copy(example, folder)
    lines = [line for line in text.splitlines() if line.startswith("$ ")]
    shown = "\n".join(f"{line}\n{typed(line, folder)}" for line in lines)
    shown = shown.replace(str(folder.resolve()), "/home/me/work")
    return shown.replace(sys.executable, "/home/me/venv/bin/python")


def timeless(text: str) -> list[str]:
    """The lines without what differs from run to run: durations, and spaces that depend on them."""
    lines = re.sub(r"\d+\.\d+ s\b", "0.0 s", text).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


@pytest.mark.parametrize("shown", sorted(EXAMPLES.glob("*.out")), ids=lambda file: file.stem)
def test_the_output_that_is_shown_is_what_the_example_prints(shown: Path, tmp_path: Path) -> None:
    words = ["-W", "error", str(shown.with_suffix(".py"))]

    assert ran(words, tmp_path, may_fail=False) == shown.read_text()


@pytest.mark.parametrize("shown", sorted(EXAMPLES.glob("*.console")), ids=lambda file: file.stem)
def test_the_terminal_that_is_shown_is_what_comes_out(shown: Path, tmp_path: Path) -> None:
    assert timeless(played(shown.read_text(), tmp_path)) == timeless(shown.read_text())
