"""A Python with PSI/J, and a real Slurm; skipped where there is none, failed in CI.

PSI/J holds psutil and packaging to old versions, so it lives in an environment of its own, whose
Python the variable ``WEFT_TEST_PSIJ_PYTHON`` names; else the one of the tests is tried.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Fixtures: the cluster that the tests of Slurm bring up.
from tests.systems.slurm.conftest import brought_up, cluster  # noqa: F401 - as above


@pytest.fixture(scope="session")
def psij_python() -> str:
    """A Python that has psij-python."""
    python = os.environ.get("WEFT_TEST_PSIJ_PYTHON") or sys.executable
    asked = [python, "-c", "import psij; print(psij.__version__)"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        why = f"{python}: {error}"
    else:
        if said.returncode == 0:
            return python
        why = f"{python} has no psij-python"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"These tests must run here, and cannot: {why}")
    pytest.skip(why)
