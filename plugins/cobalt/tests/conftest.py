"""A machine with stand-ins for the commands of Cobalt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from weft_testkit.standin import Cell

_MODULE = Path(__file__).with_name("standins.py")
_QUEUES = {
    "default": {"maxtime": 1440},
    "debug-cache-quad": {"maxtime": 60},
    "private": {"users": "somebody"},
    "closed": {"state": "dead"},
    "stopped": {"state": "stopped"},
}


@pytest.fixture
def cluster(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cell]:
    cell = Cell(tmp_path_factory.mktemp("cell") / "cobalt")
    # As on Theta, where ids have six digits. A minute of Cobalt's is as short as a test wants it.
    cell.install(_MODULE, first=500001, queues=_QUEUES, size=4392, minute=1.0)
    config = cell.folder / "cobalt.conf"
    config.write_text("[components]\nservice-location=https://sdb:8256\n")
    monkeypatch.setenv("COBALT_CONFIG_FILES", str(config))
    monkeypatch.setenv("PATH", f"{cell.programs}:/usr/bin:/bin")
    monkeypatch.setenv("WEFT_STATE", str(cell.folder / "state"))
    yield cell
    cell.end()
