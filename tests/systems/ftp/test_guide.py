"""The example of the guide runs as it is written, where its names lead to a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.systems.ftp.conftest import Server

BOUND = 90.0
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "guide_ftp.py"
USED = """

if __name__ == "__main__":
    print(count_there())
"""


def test_the_example_runs(server: Server, tmp_path: Path) -> None:
    there = server.files / tmp_path.name
    there.mkdir()
    (there / "two cities.txt").write_text("It was the best of times\nit was the worst\n")
    text = EXAMPLE.read_text()
    text = text.replace("ftp.example.org/texts", f"127.0.0.1:{server.port}/{there.name}")
    text = text.replace("/home/me/project.netrc", str(server.netrc))
    script = tmp_path / "guide_ftp.py"
    script.write_text(text + USED)

    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "2\n"
    assert (there / "counts/two cities.txt").read_text() == "2\n"
