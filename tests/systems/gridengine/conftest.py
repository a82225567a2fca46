"""A real Grid Engine for the tests; where there is none, they are skipped, or fail in CI."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest

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


def _absent(why: str) -> NoReturn:
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"These tests must run here, and cannot: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def brought_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    """The cell that tests share."""
    folder = tmp_path_factory.mktemp("gridengine")
    try:
        done = subprocess.run(
            [_SCRIPT, "up", folder], capture_output=True, text=True, timeout=_UP, check=False
        )
        if done.returncode == _ABSENT:
            _absent(done.stderr.strip())
        assert done.returncode == 0, f"no cell: {done.stderr}"
        yield Cell(folder)
    finally:
        subprocess.run([_SCRIPT, "down", folder], timeout=_DOWN, check=True)


@pytest.fixture
def cell(brought_up: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cell]:
    """The cell, as the commands find it; after the test no job may be left in it."""
    monkeypatch.delenv("SGE_CLUSTER_NAME", raising=False)
    for name, value in brought_up.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WEFT_STATE", str(tmp_path / "state"))
    yield brought_up
    # One that is being deleted has been cancelled, and goes when its host has said so.
    left = [job for job, state in brought_up.jobs().items() if "d" not in state]
    if left:
        brought_up.ask("qdel", *left, check=False)
    eventually(lambda: not brought_up.jobs(), "cancelled jobs stay")
    assert not left, f"jobs were left behind: {left}"


def eventually(holds: Callable[[], object], what: str = "", bound: float = BOUND) -> None:
    """Wait until something holds, and fail if that takes too long."""
    until = time.monotonic() + bound
    while not holds():
        assert time.monotonic() < until, what or "it has not come about"
        time.sleep(0.1)
