"""How many nodes and ranks a task gets for what it asks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.values.task import Resources
from weft_mpi.shape import Shape, Unfit, on_nodes, plain, shape_of


def of(usual: int = 1, most: int = 100, **options: Any) -> Shape:
    return shape_of(Resources(options=options), ranks_per_node=usual, most=most)


def test_who_asks_for_nothing_gets_one_node_with_the_usual_ranks() -> None:
    assert shape_of(None, ranks_per_node=3, most=1) == Shape(1, 3)
    assert of(usual=3) == Shape(1, 3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"nodes": 4}, (4, 2)),
        ({"ranks_per_node": 3}, (1, 3)),
        ({"nodes": 4, "ranks_per_node": 3}, (4, 3)),
        ({"nodes": 4, "num_ranks": 12}, (4, 3)),
        ({"ranks_per_node": 3, "num_ranks": 12}, (4, 3)),
        ({"num_ranks": 12}, (6, 2)),
        ({"num_ranks": 1}, (1, 1)),
        ({"nodes": 4, "ranks_per_node": 3, "num_ranks": 12}, (4, 3)),
    ],
)
def test_two_numbers_give_the_third(options: dict[str, int], expected: tuple[int, int]) -> None:
    shape = of(usual=2, **options)
    assert (shape.nodes, shape.ranks_per_node) == expected


@pytest.mark.parametrize(
    ("options", "why", "todo"),
    [
        ({"nodes": 3, "num_ranks": 4}, "4 ranks cannot be spread evenly over 3 nodes", "such as 3"),
        ({"nodes": 5, "num_ranks": 4}, "spread evenly over 5 nodes", "such as 5"),
        ({"ranks_per_node": 3, "num_ranks": 4}, "do not fill nodes of 3", "such as 3"),
        ({"nodes": 2, "ranks_per_node": 3, "num_ranks": 5}, "are 6 ranks, not 5", "Leave one"),
        ({"nodes": 101}, "asks for 101 nodes, and a block of this executor has 100", "=101"),
        ({"nodes": 0}, "nodes is 0", "whole number from 1"),
        ({"nodes": True}, "nodes is True", "whole number from 1"),
        ({"num_ranks": 2.0}, "num_ranks is 2.0", "whole number from 1"),
        ({"ranks_per_node": "2"}, "ranks_per_node is '2'", "whole number from 1"),
        ({"ranks": 2}, "'ranks', which this executor does not know", "nodes, ranks_per_node"),
        ({"launcher_options": 7}, "launcher_options is 7", "sequence of words"),
        ({"launcher_options": ["a b"]}, "'a b'", "no shell would change"),
        ({"launcher_options": ["$HOME"]}, "'$HOME'", "no shell would change"),
        ({"launcher_options": [1]}, "holds 1", "no shell would change"),
    ],
)
def test_what_cannot_be_is_told_with_what_to_do(
    options: dict[str, Any], why: str, todo: str
) -> None:
    with pytest.raises(Unfit) as raised:
        of(**options)
    assert why in str(raised.value)
    assert todo in raised.value.todo


@pytest.mark.parametrize("name", ["cores", "memory", "accelerators"])
def test_parts_of_nodes_are_not_to_be_had(name: str) -> None:
    with pytest.raises(Unfit, match=f"asks for {name}"):
        shape_of(Resources(**{name: 1}), ranks_per_node=1, most=1)  # type: ignore[arg-type]


def test_options_are_words_or_one_string_of_them() -> None:
    assert of(launcher_options="--mpi=pmi2 -v").launcher_options == ("--mpi=pmi2", "-v")
    assert of(launcher_options=["--mpi=pmi2"]).launcher_options == ("--mpi=pmi2",)


def test_what_a_task_asks_for_can_be_written_with_types() -> None:
    asked = on_nodes(2, ranks_per_node=4, launcher_options=["-v"])
    assert shape_of(asked, ranks_per_node=1, most=2) == Shape(2, 4, ("-v",))
    assert on_nodes(num_ranks=8).options == {"num_ranks": 8}
    assert on_nodes().options == {}


numbers = st.one_of(st.none(), st.integers(1, 40))


@given(nodes=numbers, each=numbers, ranks=numbers, usual=st.integers(1, 8), most=st.integers(1, 40))
def test_what_comes_out_is_what_was_asked_for(
    nodes: int | None, each: int | None, ranks: int | None, usual: int, most: int
) -> None:
    options = {"nodes": nodes, "ranks_per_node": each, "num_ranks": ranks}
    try:
        shape = of(usual=usual, most=most, **options)
    except Unfit:
        return
    assert 1 <= shape.nodes <= most
    assert shape.nodes == (nodes or shape.nodes)
    assert shape.ranks_per_node == (each or shape.ranks_per_node)
    assert shape.ranks == (ranks or shape.ranks)


@given(st.text())
def test_a_plain_word_is_one_word_for_a_shell(word: str) -> None:
    if plain(word):
        assert word.split() == [word]
        assert not set(word) & set("\"'$`\\*?[]~#&|;<>()!")
