"""What the tests of the repository itself look at."""

from __future__ import annotations

import re
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Package:
    """One distribution of the tree, as its folder and its pyproject describe it."""

    folder: Path
    project: dict[str, Any]

    @property
    def place(self) -> str:
        """The folder, seen from the root: ``plugins/futures``."""
        return self.folder.relative_to(ROOT).as_posix()

    @property
    def dist(self) -> str:
        """The name of the distribution."""
        return str(self.project["name"])

    @property
    def module(self) -> str:
        """The name it is imported by."""
        return self.dist.replace("-", "_")

    @property
    def components(self) -> dict[str, str]:
        """Its entry points in the group of components."""
        return dict(self.project.get("entry-points", {}).get("weft.components", {}))


class Tree:
    """The repository: its packages, its settings and its tracked files."""

    root = ROOT

    def __init__(self) -> None:
        folders = [ROOT / "core"]
        for shelf in ("plugins", "contrib"):
            folders += sorted(path.parent for path in (ROOT / shelf).glob("*/pyproject.toml"))
        self.packages = [
            Package(folder, self.toml(folder / "pyproject.toml")["project"]) for folder in folders
        ]
        self.settings = self.toml(ROOT / "pyproject.toml")

    @staticmethod
    def toml(path: Path) -> dict[str, Any]:
        """The contents of a TOML file."""
        return tomllib.loads(path.read_text(encoding="utf-8"))

    def text(self, place: str) -> str:
        """The text of a file, by its path from the root."""
        return (ROOT / place).read_text(encoding="utf-8")

    def blocks(self, place: str, language: str) -> list[str]:
        """The fenced blocks of that language in a Markdown file."""
        fence = rf"^```{language}\n(.*?)^```$"
        return re.findall(fence, self.text(place), flags=re.MULTILINE | re.DOTALL)

    def tracked(self) -> list[Path]:
        """Every file that git keeps, or would keep: committed, or new and not ignored."""
        if not (ROOT / ".git").exists():
            pytest.skip("this is not a git checkout, so nothing says which files are tracked")
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]

    def tracked_under(self, place: str) -> list[Path]:
        """The tracked files in one folder."""
        return [path for path in self.tracked() if path.is_relative_to(ROOT / place)]


@pytest.fixture(scope="session")
def tree() -> Tree:
    return Tree()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a ``package`` runs once for each package of the tree, and so on."""
    if "package" in metafunc.fixturenames:
        packages = Tree().packages
        metafunc.parametrize("package", packages, ids=[package.dist for package in packages])
    if "example" in metafunc.fixturenames:
        # Where the documentation shows what one prints, test_docs_outputs.py runs it.
        files = sorted((ROOT / "docs" / "examples").glob("*.py"))
        examples = [path for path in files if not path.with_suffix(".out").exists()]
        metafunc.parametrize("example", examples, ids=[path.name for path in examples])
