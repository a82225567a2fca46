"""The tutorial and the guides on every executor: scripts that name none print the same on each.

What they print is shown in the documentation, in a file ``guide_x.out`` beside ``guide_x.py``.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
EXAMPLES: Final = DOCS / "examples"
EXECUTORS: Final = ["processes:max_workers=2", "htex:workers_per_node=2"]

SPEAK_OF_THREADS: Final = {
    "guide_keywords": "shows the error for what threads, the default, cannot give",
    "guide_status": "shows what the default executor says of itself",
}
"""Scripts that name no executor and yet are about one, with the reason."""


def outputs() -> list[Path]:
    """What is shown of scripts that leave the choice of the executor to whoever runs them."""
    return [
        shown
        for shown in sorted(EXAMPLES.glob("*.out"))
        if "weft.executor(" not in shown.with_suffix(".py").read_text()
        and shown.stem not in SPEAK_OF_THREADS
    ]


def ran(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "weft", *words],
        cwd=folder,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("shown", outputs(), ids=lambda file: file.stem)
def test_a_script_prints_the_same_on_another_executor(
    shown: Path, executor: str, tmp_path: Path
) -> None:
    script = shown.with_suffix(".py")
    done = ran(["run", "--executor", executor, str(script)], tmp_path)
    assert done.stdout == shown.read_text(), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_script_that_was_stopped_goes_on_on_another_executor(
    executor: str, tmp_path: Path
) -> None:
    script = str(EXAMPLES / "guide_lost.py")
    stopped = ran(["run", script, "--stop"], tmp_path)
    assert stopped.stdout == "[0, 1, 4, 9]\n"
    resumed = ran(["run", "--resume", "--executor", executor, script], tmp_path)
    assert resumed.stdout == "[0, 1, 4, 9]\n[0, 1, 4, 9, 16, 25, 36, 49]\n"
    assert "answered from memory: 8" in resumed.stderr


def test_the_tutorial_names_an_executor_in_one_script_alone() -> None:
    page = (DOCS / "start" / "tutorial.md").read_text()
    scripts = set(re.findall(r"examples/(guide_\w+)\.py", page))
    assert len(scripts) >= 5
    assert scripts - {shown.stem for shown in outputs()} == {"guide_many"}


def test_each_script_that_is_left_out_is_there() -> None:
    for name in SPEAK_OF_THREADS:
        assert (EXAMPLES / f"{name}.out").is_file()
