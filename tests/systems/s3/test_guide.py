"""The example of the guide runs as it is written, where its names lead to the stand-in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.systems.s3.conftest import BUCKET, Bucket

BOUND = 90.0
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "guide_object_stores.py"
USED = """

if __name__ == "__main__":
    print(count_there())
"""


def test_the_example_runs(bucket: Bucket, tmp_path: Path) -> None:
    reads = bucket.publish(b">one\nACGT\n>two\nAC\n", "run 7/a.fasta".replace("/", " "))
    text = EXAMPLE.read_text()
    text = text.replace("https://objects.example.org", bucket.endpoint)
    text = text.replace("s3://genomes/run%207/a.fasta", reads.url)
    counted = bucket.address("a count")
    text = text.replace("s3://genomes/run%207/a.count", counted.url)
    assert text.count(f"s3://{BUCKET}/") == 2
    script = tmp_path / "guide_object_stores.py"
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
    assert bucket.fetch(counted) == b"2\n"
