"""Environments as a user has them: made fresh, with wheels installed, far from the repository."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]


PATIENCE = ("--weft-patience", "40")
"""For kits that run here: other tests keep the machine busy."""


class Fresh:
    """A fresh environment, into which wheels are put as pip puts them.

    What those wheels need is not fetched but lent from the environment that runs the tests.

    Attributes:
        python: its interpreter.
        site: where its packages lie.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.folder = folder
        self.python = folder / "bin" / "python"
        (self.site,) = folder.glob("lib/python*/site-packages")

    def run(
        self,
        *words: str | Path,
        folder: Path | None = None,
        fails: bool = False,
        limit: float = 240,
    ) -> str:
        """Run its interpreter as a user does, without what the tests' own environment adds."""
        return run(self.python, *words, folder=folder or self.folder, fails=fails, limit=limit)

    def install(self, wheel: Path) -> None:
        """Install a wheel, and lend what it needs."""
        run(
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-index", "--no-compile", "--target", self.site, wheel),
            folder=self.folder,
        )
        name = wheel.name.partition("-")[0].replace("_", "-")
        for distribution in importlib.metadata.distributions(path=[str(self.site)]):
            if distribution.metadata["Name"].replace("_", "-") == name:
                self.lend(self._named(distribution.requires or ()))

    def put_on_path(self, sources: Path, wheel: Path) -> None:
        """Install a package so that its sources are used where they lie, as ``pip install -e``."""
        self.install(wheel)
        for made in sources.iterdir():
            shutil.rmtree(self.site / made.name)
        (self.site / f"{sources.parent.name}.pth").write_text(f"{sources}\n")

    def lend(self, names: Iterable[str]) -> None:
        """Put what is installed here, with all that it needs, into this environment."""
        for name in _with_needs(names):
            if self._has(name):
                continue  # a wheel of this test, rather than the one of the tests
            distribution = importlib.metadata.distribution(name)
            tops = {
                path.parts[0]
                for path in distribution.files or ()
                if path.parts[0] not in {"..", "__pycache__"}
            }
            for top in tops:
                source = Path(str(distribution.locate_file(top)))
                if source.exists() and not (self.site / top).exists():
                    (self.site / top).symlink_to(source)

    def _has(self, name: str) -> bool:
        stem = name.replace("-", "_")
        return any(self.site.glob(f"{stem}-[0-9]*.dist-info"))

    @staticmethod
    def _named(lines: Iterable[str]) -> set[str]:
        return {_name(line) for line in lines if "extra ==" not in line}


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def _with_needs(names: Iterable[str]) -> set[str]:
    """Distributions and all that they need, as far as they are installed here."""
    found: set[str] = set()
    open_ones = set(names)
    while open_ones:
        name = open_ones.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        found.add(name)
        open_ones |= Fresh._named(distribution.requires or ()) - found
    return found


def run(*words: str | Path, folder: Path, fails: bool = False, limit: float = 240) -> str:
    """Run a program; what it says on both of its outputs. It has to succeed, or to fail."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST"))
    }
    ran = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=limit,
    )
    assert (ran.returncode != 0) == fails, ran.stdout
    return ran.stdout


class Wheels:
    """Builds wheels, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._built: dict[Path, Path] = {}
        self._numbers = itertools.count()

    def of(self, source: Path) -> Path:
        """The wheel of the package in a folder."""
        if source not in self._built:
            self._built[source] = self._build(source)
        return self._built[source]

    def again(self, source: Path) -> Path:
        """The wheel of a package whose sources have changed."""
        self._built[source] = self._build(source)
        return self._built[source]

    def _build(self, source: Path) -> Path:
        number = next(self._numbers)
        # A copy, since a build may leave files beside the sources.
        copy = self.folder / f"source-{number}" / source.name
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        shutil.copy(ROOT / "maturity.toml", copy.parent)  # which core's wheel carries
        target = self.folder / f"wheel-{number}"
        isolated = importlib.util.find_spec("hatchling") is None
        run(
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--wheel-dir", target, copy),
            *([] if isolated else ["--no-build-isolation"]),
            folder=self.folder,
        )
        (wheel,) = target.glob("*.whl")
        return wheel


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """Builds wheels."""
    return Wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def fresh(wheels: Wheels, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """A fresh environment that has core, from a wheel, and what core needs."""
    made = Fresh(tmp_path_factory.mktemp("environment"))
    made.install(wheels.of(ROOT / "core"))
    return made
