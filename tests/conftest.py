"""In which order the files of tests are run."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first: whole systems, faults and journeys, each in the order it had.

    Where several processes test, one of them would else begin a long file as the others end.
    """
    long = tuple(f"{HERE / room}/" for room in ("systems", "faults", "journeys"))
    items.sort(key=lambda item: not str(item.path).startswith(long))
