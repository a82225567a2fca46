"""The example of the guide runs as it is written, where its names lead to a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.systems.guides import run_example

if TYPE_CHECKING:
    from tests.systems.rsync.conftest import Daemon


def test_the_example_runs(daemon: Daemon, tmp_path: Path) -> None:
    there = daemon.files / tmp_path.name
    there.mkdir()
    (there / "two cities.txt").write_text("It was the best of times")
    instead = {
        "data.example.org/texts": f"127.0.0.1:{daemon.port}/locked/{there.name}",
        "/home/me/.rsync-password": str(daemon.password),
    }

    said = run_example("guide_rsync.py", tmp_path, instead=instead, then="count_there()")

    assert said == "6\n"
    assert (there / "counts/two cities.txt").read_text() == "6\n"
