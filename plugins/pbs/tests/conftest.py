"""A cluster of stand-ins, in the dialect of PBS Professional or of TORQUE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weft_testkit.standin import Cell

_MODULE = Path(__file__).with_name("standins.py")
_QUEUES = {
    "workq": {"walltime": "24:00:00"},
    "short": {"walltime": "00:30:00"},
    "closed": {"enabled": False},
    "stopped": {"started": False},
}


@pytest.fixture
def clusters(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., Cell]]:
    """Makes clusters; the last one made is on PATH."""
    made: list[Cell] = []

    def making(**options: Any) -> Cell:
        cell = Cell(tmp_path_factory.mktemp("cell") / "pbs")
        given: dict[str, Any] = {
            "torque": False,
            "history": True,
            "keep": 300,
            "version": "23.06.06",
            "default": "workq",
            "queues": _QUEUES,
        }
        cell.install(_MODULE, **{**given, **options})
        made.append(cell)
        monkeypatch.setenv("PATH", f"{cell.programs}:/usr/bin:/bin")
        monkeypatch.setenv("WEFT_STATE", str(cell.folder / "state"))
        return cell

    yield making
    for cell in made:
        cell.end()


@pytest.fixture
def cluster(clusters: Callable[..., Cell]) -> Cell:
    """PBS Professional with a history."""
    return clusters()


@pytest.fixture
def torque(clusters: Callable[..., Cell]) -> Cell:
    return clusters(torque=True, history=False, version="6.1.3")
