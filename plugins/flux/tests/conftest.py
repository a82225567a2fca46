"""An instance of Flux that is not one: a stand-in for its command, on the PATH."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from weft_testkit.standin import Cell

QUEUES = {
    "batch": {},
    "debug": {"limit": 1800},
    "old": {"closed": "disabled by administrator"},
    "night": {"stopped": True},
}


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    made = Cell(tmp_path / "flux")
    made.install(Path(__file__).with_name("standins.py"), machines=4, queues=QUEUES, queue="batch")
    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}{os.environ['PATH']}")
    yield made
    made.end()
