"""The nodes of a block: never given twice, and nobody waits for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from weft_mpi.packing import Packing


def nodes(count: int) -> list[str]:
    return [f"n{at}" for at in range(count)]


def test_several_tasks_get_nodes_at_once_side_by_side() -> None:
    packing: Packing[str] = Packing(nodes(4))
    packing.wait("a", 2)
    packing.wait("b", 2)
    assert packing.allot() == [("a", ("n0", "n1")), ("b", ("n2", "n3"))]
    assert packing.free == 0


def test_the_smallest_gap_that_is_enough_is_taken() -> None:
    packing: Packing[str] = Packing(nodes(8))
    for key, count in (("a", 2), ("b", 1), ("c", 1), ("d", 1), ("e", 3)):
        packing.wait(key, count)
    packing.allot()
    for key in ("a", "c", "e"):
        packing.give_back(key)
    packing.wait("x", 1)
    packing.wait("y", 3)
    packing.wait("z", 2)
    assert packing.allot() == [("x", ("n3",)), ("y", ("n5", "n6", "n7")), ("z", ("n0", "n1"))]


def test_where_no_gap_is_enough_nodes_apart_are_given() -> None:
    packing: Packing[str] = Packing(nodes(3))
    for key in ("a", "b", "c"):
        packing.wait(key, 1)
    packing.allot()
    packing.give_back("a")
    packing.give_back("c")
    packing.wait("d", 2)
    assert packing.allot() == [("d", ("n0", "n2"))]


def test_small_ones_that_come_later_do_not_pass_a_big_one() -> None:
    packing: Packing[str] = Packing(nodes(2))
    packing.wait("small", 1)
    packing.allot()
    packing.wait("big", 2)
    packing.wait("later", 1)
    assert packing.allot() == []
    packing.give_back("small")
    assert packing.allot() == [("big", ("n0", "n1"))]


def test_a_lower_number_goes_first() -> None:
    packing: Packing[str] = Packing(nodes(1))
    packing.wait("a", 1, priority=1)
    packing.wait("b", 1, priority=0)
    assert packing.allot() == [("b", ("n0",))]


def test_who_wants_none_any_more_holds_nobody_up() -> None:
    packing: Packing[str] = Packing(nodes(2))
    packing.wait("a", 1)
    packing.allot()
    packing.wait("big", 2)
    packing.wait("small", 1)
    assert packing.cancel("big")
    assert not packing.cancel("big")
    assert not packing.cancel("a")
    assert packing.allot() == [("small", ("n1",))]


def test_clearing_returns_who_waited_in_order() -> None:
    packing: Packing[str] = Packing(nodes(1))
    packing.wait("c", 1, priority=2)
    packing.wait("a", 1)
    packing.wait("b", 1)
    packing.wait("gone", 1)
    packing.cancel("gone")
    assert packing.clear() == ["a", "b", "c"]
    assert (packing.waiting, packing.allot()) == (0, [])


@pytest.mark.parametrize("count", [0, -1, 3])
def test_more_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="nodes are asked for, of 2"):
        Packing[str](nodes(2)).wait("a", count)


def test_a_key_and_a_name_are_there_once() -> None:
    packing: Packing[str] = Packing(nodes(2))
    packing.wait("a", 1)
    with pytest.raises(ValueError, match="'a' is here already"):
        packing.wait("a", 1)
    packing.allot()
    with pytest.raises(ValueError, match="'a' is here already"):
        packing.wait("a", 1)
    with pytest.raises(ValueError, match="named twice"):
        Packing[str](["n", "n"])


class Block(RuleBasedStateMachine):
    """Anything may happen, in any order."""

    @initialize(count=st.integers(1, 9))
    def begin(self, count: int) -> None:
        self.packing: Packing[int] = Packing(nodes(count))
        self.waiting: dict[int, tuple[int, int]] = {}  # by key: priority, count
        self.running: dict[int, tuple[str, ...]] = {}
        self.came = 0

    @rule(count=st.integers(1, 9), priority=st.integers(0, 2))
    def wait(self, count: int, priority: int) -> None:
        count = min(count, len(self.packing.nodes))
        self.came += 1
        self.packing.wait(self.came, count, priority)
        self.waiting[self.came] = priority, count

    @rule()
    def allot(self) -> None:
        for key, got in self.packing.allot():
            first = min(self.waiting, key=lambda one: (self.waiting[one][0], one))
            assert key == first, "somebody was passed"
            assert len(got) == self.waiting.pop(key)[1]
            self.running[key] = got
        if self.waiting:
            first = min(self.waiting, key=lambda one: (self.waiting[one][0], one))
            assert self.waiting[first][1] > self.packing.free, "the first waits though it fits"

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        assert self.packing.held(key) == self.running.pop(key)
        assert self.packing.give_back(key)
        assert not self.packing.give_back(key)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[key]
        assert self.packing.cancel(key)

    @invariant()
    def no_node_is_given_twice(self) -> None:
        if self.came:
            given = [node for held in self.running.values() for node in held]
            assert len(given) == len(set(given))
            assert self.packing.free == len(self.packing.nodes) - len(given)
            assert self.packing.waiting == len(self.waiting)


TestBlock = Block.TestCase


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=30), total=st.integers(6, 8))
def test_everybody_gets_nodes_in_the_end_while_others_keep_coming(
    sizes: list[int], total: int
) -> None:
    packing: Packing[tuple[str, int]] = Packing(nodes(total))
    for at, count in enumerate(sizes):
        packing.wait(("ours", at), count)
    left, running = len(sizes), []
    # Each turn one more small one comes, and the oldest that runs ends.
    for turn in range(2 * len(sizes) + total):
        packing.wait(("small", turn), 1)
        given = [key for key, _ in packing.allot()]
        left -= sum(kind == "ours" for kind, _ in given)
        running += given
        packing.give_back(running.pop(0))
    assert not left
