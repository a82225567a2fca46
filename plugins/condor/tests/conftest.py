"""A pool of HTCondor that is none: stand-ins for its commands, on the PATH."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from weft_testkit.standin import Cell

MACHINE = {
    "Machine": "node1",
    "OpSys": "LINUX",
    "TotalSlotCpus": 8,
    "TotalSlotMemory": 16384,
    "TotalSlotDisk": 1 << 20,
}


@pytest.fixture(scope="session")
def bindings() -> str:
    """The folder of HTCondor's own library for Python."""
    found = importlib.util.find_spec("htcondor2")
    if found is None or found.origin is None:
        # Where the whole tree is tested, tests/systems/standins demands it.
        pytest.skip("the package htcondor is not installed")
    return str(Path(found.origin).parents[1])


@pytest.fixture
def cell(bindings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    made = Cell(tmp_path / "condor")
    made.install(
        Path(__file__).with_name("standins.py"), machines=8, pool=[MACHINE], bindings=bindings
    )
    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}{os.environ['PATH']}")
    yield made
    made.end()
