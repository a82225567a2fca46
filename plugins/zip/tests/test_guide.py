"""The example of the guide runs as it is written, where its paths lead to a folder of the test."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

BOUND = 90.0
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "guide_zip.py"
USED = """

if __name__ == "__main__":
    print(count_all())
"""


def test_the_example_runs(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
        for n, name in enumerate(("one.txt", "two.txt", "three.txt"), 1):
            archive.writestr(name, "word " * n)
    script = tmp_path / "guide_zip.py"
    script.write_text(EXAMPLE.read_text().replace("/home/me", str(tmp_path)) + USED)

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
    with zipfile.ZipFile(tmp_path / "counts.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "one.txt": b"1\n",
            "two.txt": b"2\n",
            "three.txt": b"3\n",
        }
