"""The example of the guide runs as it is written, where its names lead to a daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.systems.rsync.conftest import Daemon

BOUND = 90.0
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "guide_rsync.py"
USED = """

if __name__ == "__main__":
    print(count_there())
"""


def test_the_example_runs(daemon: Daemon, tmp_path: Path) -> None:
    there = daemon.files / tmp_path.name
    there.mkdir()
    (there / "two cities.txt").write_text("It was the best of times")
    text = EXAMPLE.read_text()
    text = text.replace("data.example.org/texts", f"127.0.0.1:{daemon.port}/locked/{there.name}")
    text = text.replace("/home/me/.rsync-password", str(daemon.password))
    script = tmp_path / "guide_rsync.py"
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
    assert done.stdout == "6\n"
    assert (there / "counts/two cities.txt").read_text() == "6\n"
