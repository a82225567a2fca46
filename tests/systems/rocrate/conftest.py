"""A Python with the validator of RO-Crates; skipped where there is none, failed in CI.

The validator holds rich to an old version, so it lives in an environment of its own, whose Python
the variable ``WEFT_TEST_ROCRATE_PYTHON`` names; else the one of the tests is tried.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def rocrate_python() -> str:
    """A Python that has rocrate_validator."""
    python = os.environ.get("WEFT_TEST_ROCRATE_PYTHON") or sys.executable
    asked = [python, "-c", "import rocrate_validator"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        why = f"{python}: {error}"
    else:
        if said.returncode == 0:
            return python
        why = f"{python} has no rocrate_validator"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"These tests must run here, and cannot: {why}")
    pytest.skip(why)
