"""What git keeps names no registry, no path of one machine, and no lock file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.house.conftest import Tree

# Put together here, so that this file does not contain what it looks for.
HOSTS = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry.n" + "pmjs",
    "deb." + "debian.org",
    "conda." + "anaconda.org",
)
FOLDERS = ("/wo" + "rk/", "/ro" + "ot/", "/fa" + "rm/")


def lines_with(tree: Tree, pattern: re.Pattern[str]) -> list[str]:
    """Each place in a tracked text file where the pattern is found."""
    found = []
    for path in tree.tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(tree.root)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    return found


def test_no_file_names_the_host_of_a_registry(tree: Tree) -> None:
    assert lines_with(tree, re.compile("|".join(map(re.escape, HOSTS)))) == []


def test_no_file_holds_a_path_of_one_machine(tree: Tree) -> None:
    places = [*FOLDERS, f"{tree.root}/"]

    assert lines_with(tree, re.compile(rf"(^|[^\w.])({'|'.join(map(re.escape, places))})")) == []


def test_no_lock_file_is_tracked(tree: Tree) -> None:
    locks = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"}

    assert [path for path in tree.tracked() if path.name in locks] == []


@pytest.mark.parametrize("mark", ["<" * 7 + " ", ">" * 7 + " "])
def test_no_file_holds_a_conflict(tree: Tree, mark: str) -> None:
    assert lines_with(tree, re.compile(f"^{mark}")) == []
