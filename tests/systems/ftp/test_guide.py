"""The example of the guide runs as it is written, where its names lead to a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.systems.guides import run_example

if TYPE_CHECKING:
    from tests.systems.ftp.conftest import Server


def test_the_example_runs(server: Server, tmp_path: Path) -> None:
    there = server.files / tmp_path.name
    there.mkdir()
    (there / "two cities.txt").write_text("It was the best of times\nit was the worst\n")
    instead = {
        "ftp.example.org/texts": f"127.0.0.1:{server.port}/{there.name}",
        "/home/me/project.netrc": str(server.netrc),
    }

    said = run_example("guide_ftp.py", tmp_path, instead=instead, then="count_there()")

    assert said == "2\n"
    assert (there / "counts/two cities.txt").read_text() == "2\n"
