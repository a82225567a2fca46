"""The example of the guide runs as it is written, with names that lead to the tests' server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.systems.globus.cloud import Cloud, Collection
from tests.systems.globus.conftest import ARCHIVE, BOUND, HOME, SITE

EAST = "eeeeeeee-5555-4555-8555-eeeeeeeeeeee"

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
USED = """

if __name__ == "__main__":
    print(count_there())
"""


def test_the_example_runs(
    login: Callable[[], None], folders: dict[str, Path], tmp_path: Path
) -> None:
    login()
    (folders[ARCHIVE] / "texts").mkdir()
    (folders[ARCHIVE] / "texts" / "two cities.txt").write_text("It was the best of times")
    text = (EXAMPLES / "guide_globus.py").read_text()
    for written, here in (
        ("6c54cade-bde5-45c1-bdea-f4bd71dba2cc", ARCHIVE),
        ("31ce9ba0-176d-45a5-add3-f37d233ba47d", HOME),
        ('local_path="/home/me",', f'local_path="{folders[HOME]}", collection_path="/",'),
        ("/home/me", str(folders[HOME])),
    ):
        assert written in text
        text = text.replace(written, here)
    script = tmp_path / "guide_globus.py"
    script.write_text(text + USED)

    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3 * BOUND,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
    assert (folders[ARCHIVE] / "counts" / "two cities.txt").read_text() == "6\n"


def test_what_one_site_makes_goes_to_another_from_collection_to_collection(
    login: Callable[[], None], cloud: Cloud, folders: dict[str, Path], tmp_path: Path
) -> None:
    login()
    east = tmp_path / "east"
    east.mkdir()
    cloud.collections[EAST] = Collection(east)
    (folders[ARCHIVE] / "texts").mkdir()
    (folders[ARCHIVE] / "texts" / "two cities.txt").write_text("It was the best of times")
    text = (EXAMPLES / "guide_globus_sites.py").read_text()
    for written, here in (
        ("6c54cade-bde5-45c1-bdea-f4bd71dba2cc", ARCHIVE),
        ("af7bda53-6d04-11e5-ba46-22000b92c6ec/scratch/me", SITE),
        ("9d6d994a-6d04-11e5-ba46-22000b92c6ec/project/p123", EAST),
        ("/scratch/me", str(folders[SITE])),
        ("/project/p123", str(east)),
    ):
        assert written in text
        text = text.replace(written, here)
    script = tmp_path / "guide_globus_sites.py"
    script.write_text(text + USED)

    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3 * BOUND,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
    ends = [
        (one.body["source_endpoint"], one.body["destination_endpoint"]) for one in cloud.transfers()
    ]
    assert ends == [(ARCHIVE, SITE), (SITE, EAST), (EAST, ARCHIVE)]
    assert (folders[ARCHIVE] / "counts" / "two cities.txt").read_text() == "6\n"
    assert not list(folders[HOME].iterdir())
