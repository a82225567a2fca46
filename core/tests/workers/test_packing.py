"""Slots of a node: divided, pinned, chosen; nothing is ever given twice."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.values.task import Resources
from weft.workers.packing import Slot, chosen, covered, cpus_of, divided, merged

GPU = Resources(accelerators=1)


def test_a_node_is_divided_evenly() -> None:
    slots = divided(4, 8, 400, ("0", "1", "2", "3", "4", "5", "6", "7"))
    assert [slot.cores for slot in slots] == [2] * 4
    assert [slot.memory for slot in slots] == [100] * 4
    assert [slot.accelerators for slot in slots] == [("0", "1"), ("2", "3"), ("4", "5"), ("6", "7")]


def test_what_is_not_counted_is_always_there() -> None:
    assert covered(Resources(cores=1000, memory=1 << 60), divided(1))
    assert not covered(GPU, divided(1))
    assert divided(2)[1].cores == inf


def test_few_accelerators_are_spread_over_the_slots_one_each() -> None:
    counts = [len(slot.accelerators) for slot in divided(8, accelerators=("a", "b", "c"))]
    assert sum(counts) == 3
    assert max(counts) == 1


def test_slots_get_as_many_accelerators_as_was_said_until_there_are_no_more() -> None:
    slots = divided(3, accelerators=("a", "b", "c"), accelerators_each=2)
    assert [slot.accelerators for slot in slots] == [("a", "b"), ("c",), ()]


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        ("none", []),
        ("block", [(0, 1), (2, 3)]),
        ("block-reverse", [(3, 4), (1, 2)]),
        ("alternating", [(0, 2, 4), (1, 3)]),
        (((4,), (0, 2)), [(4,), (0, 2)]),
    ],
)
def test_workers_are_pinned_as_was_said(affinity: str, expected: list[tuple[int, ...]]) -> None:
    assert cpus_of(affinity, 2, (0, 1, 2, 3, 4)) == expected


@pytest.mark.parametrize("affinity", ["block", "block-reverse", "alternating", ((0,), (1,))])
def test_more_workers_than_processors_share_them(affinity: str) -> None:
    pins = cpus_of(affinity, 5, (0, 1))
    assert len(pins) == 5
    assert {cpu for pin in pins for cpu in pin} == {0, 1}
    assert all(len(pin) == 1 for pin in pins)


def test_a_task_without_accelerators_leaves_them_to_others() -> None:
    slots = [Slot(0, 1, 1, ("a",)), Slot(1, 1, 1)]
    assert chosen(Resources(cores=1), slots) == [slots[1]]
    assert chosen(GPU, slots) == [slots[0]]


def test_a_task_gets_the_smallest_slot_that_is_enough() -> None:
    slots = [Slot(0, 1, 1, ("a", "b")), Slot(1, 1, 1, ("c",))]
    assert chosen(GPU, slots) == [slots[1]]
    assert chosen(Resources(accelerators=3), slots) == slots
    assert chosen(Resources(accelerators=4), slots) is None


def test_an_accelerator_that_slots_share_counts_once() -> None:
    slots = divided(4, accelerators=("0", "0", "1", "1"))
    two = chosen(Resources(accelerators=2), slots)
    assert two is not None
    assert set(merged(two).accelerators) == {"0", "1"}
    assert chosen(Resources(accelerators=3), slots) is None


def test_merged_slots_have_all_that_the_slots_had() -> None:
    one = merged([Slot(3, 1, 10, ("a",), (0, 1)), Slot(5, 2, 20, ("b",), (4,))])
    assert (one.index, one.cores, one.memory) == (3, 3, 30)
    assert (one.accelerators, one.cpus) == (("a", "b"), (0, 1, 4))
    slot = Slot(1)
    assert merged([slot]) is slot


_needs = st.builds(
    Resources,
    cores=st.none() | st.floats(0.1, 12),
    memory=st.none() | st.integers(1, 120),
    accelerators=st.none() | st.integers(0, 5),
)
_names = st.lists(st.sampled_from("abcdef"), max_size=6).map(tuple)
_slots = st.builds(divided, st.integers(1, 6), st.just(6), st.just(60), _names)


@given(_needs, _slots, st.data())
def test_what_is_chosen_is_free_and_enough_and_none_of_it_too_much(
    needs: Resources, slots: tuple[Slot, ...], data: st.DataObject
) -> None:
    free = data.draw(st.lists(st.sampled_from(slots), unique=True))
    got = chosen(needs, free)
    if got is None:
        assert not free or not covered(needs, free)
        return
    assert set(got) <= set(free)
    assert len(set(got)) == len(got) >= 1
    assert covered(needs, got)
    for slot in got if len(got) > 1 else []:
        assert not covered(needs, [other for other in got if other is not slot])
