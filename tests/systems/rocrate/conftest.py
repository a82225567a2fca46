"""A Python with the validator of RO-Crates; skipped where there is none, failed in CI.

The validator holds rich to an old version, so it lives in an environment of its own, whose Python
the variable ``WEFT_TEST_ROCRATE_PYTHON`` names; else the one of the tests is tried.
"""

from __future__ import annotations

import pytest

from tests.systems.needs import python_with


@pytest.fixture(scope="session")
def rocrate_python() -> str:
    """A Python that has rocrate_validator."""
    return python_with("rocrate_validator", "WEFT_TEST_ROCRATE_PYTHON")
