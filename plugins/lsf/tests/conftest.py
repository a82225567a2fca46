"""A cluster with LSF that is not one: stand-ins for its commands, on the PATH."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from weft_testkit.standin import Cell

QUEUES = {
    "normal": {},
    "short": {"limit": 30, "exclusive": False},
    "old": {"status": "Closed:Inact"},
}


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    made = Cell(tmp_path / "lsf")
    made.install(Path(__file__).with_name("standins.py"), machines=4, queues=QUEUES, queue="normal")
    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}{os.environ['PATH']}")
    yield made
    made.end()
