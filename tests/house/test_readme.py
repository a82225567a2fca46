"""What the README says to type is what the checks type, and its example is a file that runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.house.conftest import Tree


def test_each_command_of_the_readme_is_run_by_the_checks(tree: Tree) -> None:
    checks = tree.text(".ci/run")
    commands = [
        command.strip()
        for block in tree.blocks("README.md", "text")
        for line in block.splitlines()
        for command in line.split("&&")
        if command.strip() != "pip install uv"
    ]

    assert "uv run pytest" in commands
    assert [command for command in commands if command not in checks] == []


@pytest.mark.parametrize("place", ["README.md", "core/README.md"])
def test_the_first_example_of_a_readme_is_the_file(tree: Tree, place: str) -> None:
    assert tree.blocks(place, "python")[0] == tree.text("docs/examples/squares.py")


def test_contributing_begins_with_the_one_command(tree: Tree) -> None:
    first = tree.text("CONTRIBUTING.md").splitlines()[0]

    assert first.startswith("`pip install uv && uv run nox`")


# The largest works through the standard library, which takes long where others work as well.
@pytest.mark.timeout(300)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        cwd=tmp_path,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )

    assert done.returncode == 0, done.stderr[-4000:]
