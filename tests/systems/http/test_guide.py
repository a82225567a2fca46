"""The example of the guide runs as it is written, where its host is the server of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.systems.http.nginx import Nginx

BOUND = 90.0
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "guide_http.py"
USED = """

if __name__ == "__main__":
    with weft.load(config):
        count(table, outputs=[lines]).result()
"""


def test_the_example_runs(nginx: Nginx, tmp_path: Path) -> None:
    (nginx.files / "run 7").mkdir()
    (nginx.files / "run 7" / "table.csv").write_text("one\ntwo\nthree\n")
    script = tmp_path / "guide_http.py"
    host = nginx.https.removeprefix("https://")
    script.write_text(EXAMPLE.read_text().replace("data.example.org", host) + USED)
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "SSL_CERT_FILE": str(nginx.ca), "DATA_TOKEN": "weft-token"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (nginx.files / "run 7" / "lines.txt").read_text().split() == ["3"]
