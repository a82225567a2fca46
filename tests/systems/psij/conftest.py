"""A Python with PSI/J, and a real Slurm; skipped where there is none, failed in CI.

PSI/J holds psutil and packaging to old versions, so it lives in an environment of its own, whose
Python the variable ``WEFT_TEST_PSIJ_PYTHON`` names; else the one of the tests is tried.
"""

from __future__ import annotations

import pytest

from tests.systems.needs import python_with

# Fixtures: the cluster that the tests of Slurm bring up.
from tests.systems.slurm.conftest import brought_up, cluster  # noqa: F401 - as above


@pytest.fixture(scope="session")
def psij_python() -> str:
    """A Python that has psij-python."""
    return python_with("psij", "WEFT_TEST_PSIJ_PYTHON")
