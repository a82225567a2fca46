"""How many blocks are asked for, by the nodes that tasks get."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.blocks.scaling import BlockLimits, Load, blocks_wanted
from weft_mpi.scaling import blocks_for, tasks_per_block


@pytest.mark.parametrize(
    ("asked", "blocks"),
    [
        ({}, 0),
        ({1: 4}, 1),
        ({1: 5}, 2),
        ({4: 3}, 3),
        ({3: 3}, 3),
        ({2: 3}, 2),
        # What is small goes where the large ones leave something over.
        ({3: 2, 1: 2}, 2),
        ({3: 2, 2: 1, 1: 2}, 3),
        ({3: 1000, 2: 1000, 1: 1000}, 1500),
        # The interchange refuses it, or the executor before; until then it takes a block.
        ({9: 1}, 1),
    ],
)
def test_blocks_of_four_nodes(asked: dict[int, int], blocks: int) -> None:
    assert blocks_for(asked, nodes=4, most=4) == blocks


def test_a_block_runs_no_more_tasks_than_it_may() -> None:
    assert blocks_for({1: 8}, nodes=8, most=2) == 4
    assert blocks_for({4: 1, 1: 3}, nodes=8, most=2) == 2


_ASKED = st.dictionaries(st.integers(1, 16), st.integers(1, 300), max_size=6)


@given(_ASKED, st.integers(1, 16), st.integers(1, 16))
def test_there_is_a_place_for_each_and_no_block_is_for_nothing(
    asked: dict[int, int], nodes: int, most: int
) -> None:
    blocks = blocks_for(asked, nodes, most)
    tasks = sum(asked.values())
    wanted = sum(min(size, nodes) * count for size, count in asked.items())

    assert max(ceil(wanted / nodes), ceil(tasks / most)) <= blocks <= tasks


@given(_ASKED.filter(bool), st.integers(1, 16), st.integers(1, 16))
def test_as_many_are_asked_for_as_it_takes(asked: dict[int, int], nodes: int, most: int) -> None:
    load = Load(waiting=sum(asked.values()), capacity=tasks_per_block(asked, nodes, most))

    assert blocks_wanted(load, BlockLimits(max=10**6)) == blocks_for(asked, nodes, most)
