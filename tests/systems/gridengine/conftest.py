"""A real Grid Engine for the tests; where there is none, they are skipped, or fail in CI."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.systems.needs import absent
from tests.waiting import eventually
from weft_gridengine.dialect import GridEngineDialect

_SCRIPT = Path(__file__).with_name("cell")
_ABSENT = 77
_UP, _DOWN, _ASK = 150.0, 90.0, 30.0
BOUND = 90.0


class Cell:
    """A cell in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = (folder / "env.sh").read_text()
        self.variables: Mapping[str, str] = dict(re.findall(r"(SGE_\w+)='?([^'\s]+)'?", text))
        # Kept, since a test may change the PATH.
        self._environment = {**os.environ, **self.variables}

    def ask(self, *words: str, check: bool = True) -> str:
        """What a command of Grid Engine prints."""
        return subprocess.run(
            words,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_ASK,
            check=check,
        ).stdout.strip()

    def jobs(self) -> dict[str, str]:
        """The jobs that wait, run or are being deleted: their states by their ids."""
        rows = [line.split() for line in self.ask("qstat", "-u", "*").splitlines()]
        return {row[0]: row[4] for row in rows if row and row[0].isdigit()}

    def kill_qmaster(self) -> None:
        """End qmaster without a word, as a crash of its machine does."""
        pid, _ = (self.folder / "pids" / "qmaster").read_text().split()
        os.kill(int(pid), signal.SIGKILL)

    def start_qmaster(self) -> None:
        """Start it again."""
        subprocess.run([_SCRIPT, "qmaster", self.folder], timeout=_UP, check=True)


def _brought_up(folder: Path) -> Iterator[Cell]:
    try:
        done = subprocess.run(
            [_SCRIPT, "up", folder], capture_output=True, text=True, timeout=_UP, check=False
        )
        if done.returncode == _ABSENT:
            absent(done.stderr.strip())
        assert done.returncode == 0, f"no cell: {done.stderr}"
        yield Cell(folder)
    finally:
        subprocess.run([_SCRIPT, "down", folder], timeout=_DOWN, check=True)


@pytest.fixture(scope="session")
def brought_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    """The cell that tests share."""
    yield from _brought_up(tmp_path_factory.mktemp("gridengine"))


@pytest.fixture(scope="module")
def brought_up_to_break(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    """One whose qmaster tests may end."""
    yield from _brought_up(tmp_path_factory.mktemp("breakable"))


def _used(cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cell]:
    monkeypatch.delenv("SGE_CLUSTER_NAME", raising=False)
    for name, value in cell.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEFT_STATE", str(tmp_path / "state"))
    # Accounts are written every second here.
    monkeypatch.setattr(GridEngineDialect, "lag", 2.0)
    yield cell
    # One that is being deleted has been cancelled, and goes when its host has said so.
    left = [job for job, state in cell.jobs().items() if "d" not in state]
    if left:
        cell.ask("qdel", *left, check=False)
    assert not left, f"jobs were left behind: {left}"


@pytest.fixture
def cell(brought_up: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cell]:
    """The cell, as the commands find it; after the test no job may be left in it."""
    yield from _used(brought_up, monkeypatch, tmp_path)
    eventually(lambda: not brought_up.jobs(), "cancelled jobs stay")


@pytest.fixture
def breakable(
    brought_up_to_break: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Cell]:
    """The cell to break; its host may not have heard yet which jobs are to be deleted."""
    yield from _used(brought_up_to_break, monkeypatch, tmp_path)
