"""In which order the files of tests are run."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LONG = tuple(
    f"{ROOT / room}/"
    for room in (
        *("tests/systems", "tests/faults", "tests/journeys"),
        *("plugins/testkit/tests", "plugins/htex/tests"),
    )
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, and within both halves all stays in the order it had.

    Where several processes test, one of them would else begin a long file as the others end.
    """
    items.sort(key=lambda item: not str(item.path).startswith(LONG))
