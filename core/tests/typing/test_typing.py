"""A signature survives its becoming an app, as far as type checkers look."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

ROOT = Path(__file__).resolve().parents[3]


def test_mypy_agrees_with_every_line_of_the_snippets() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(Path(__file__).with_name("snippets.py"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr
