"""Which blocks are idle, as the executor concludes from what its interchange says of managers."""

from __future__ import annotations

from typing import Any

import pytest

from weft_htex import messages
from weft_htex.blocks import idle_blocks


def news(*managers: tuple[str, int, float]) -> messages.News:
    return messages.News(
        managers={
            f"m-{number}": {"block": block, "held": held, "idle": idle}
            for number, (block, held, idle) in enumerate(managers)
        },
        waiting=0,
        ignored=0,
    )


@pytest.mark.parametrize(
    ("managers", "idle"),
    [
        ([], {}),
        ([("a", 0, 5.0)], {"a": 7.0}),
        ([("a", 1, 0.0)], {}),
        ([("a", 0, 0.0)], {"a": 0.0}),
        ([("a", 0, 5.0), ("a", 0, 3.0)], {"a": 5.0}),
        ([("a", 0, 5.0), ("a", 0, 0.0)], {"a": 0.0}),
        ([("a", 0, 0.0), ("a", 0, 5.0)], {"a": 0.0}),
        ([("a", 0, 5.0), ("a", 2, 0.0)], {}),
        ([("a", 2, 0.0), ("a", 0, 5.0), ("b", 0, 1.0)], {"b": 3.0}),
    ],
)
def test_a_block_is_idle_as_long_as_each_of_its_managers(
    managers: list[tuple[str, int, float]], idle: dict[str, Any]
) -> None:
    assert idle_blocks(news(*managers), 2.0) == idle
