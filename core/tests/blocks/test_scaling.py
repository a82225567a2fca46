"""How many blocks, for any load and any limits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.blocks.scaling import (
    STRATEGIES,
    BlockLimits,
    BlockUse,
    Decision,
    Load,
    Simple,
    Strategy,
    blocks_wanted,
    within,
)
from weft.values.blocks import BlockState

READY, QUEUED = BlockState.READY, BlockState.QUEUED


def limits(**more: Any) -> BlockLimits:
    return BlockLimits(**{"init": 0, "min": 0, "max": 10, "tasks_per_block": 4, **more})


@st.composite
def any_limits(draw: st.DrawFn) -> BlockLimits:
    least, first, most = sorted(draw(st.lists(st.integers(0, 20), min_size=3, max_size=3)))
    return BlockLimits(
        min=least,
        init=first,
        max=max(1, most),
        parallelism=draw(st.floats(0, 1)),
        tasks_per_block=draw(st.integers(1, 64)),
        max_idle=draw(st.sampled_from([0.0, 1.0, 120.0])),
        walltime=draw(st.none() | st.floats(1, 1e5)),
    )


USES = st.builds(
    BlockUse,
    id=st.text("abc", min_size=1, max_size=3),
    state=st.sampled_from([BlockState.REQUESTED, QUEUED, BlockState.STARTING, READY]),
    tasks=st.integers(0, 3),
    idle=st.floats(0, 300),
    age=st.floats(0, 300),
    left=st.none() | st.floats(-10, 1e5),
)
ANY_USES = st.lists(USES, max_size=20, unique_by=lambda one: one.id)
LOADS = st.builds(Load, waiting=st.integers(0, 5000), running=st.integers(0, 500))


@pytest.mark.parametrize(
    ("tasks", "more", "wanted"),
    [
        (0, {}, 0),
        (1, {}, 1),
        (4, {}, 1),
        (5, {}, 2),
        (1000, {}, 10),
        (0, {"min": 2, "init": 2}, 2),
        (100, {"parallelism": 0.1}, 3),
        (100, {"parallelism": 0.0}, 1),
        (0, {"parallelism": 0.0}, 0),
    ],
)
def test_blocks_wanted(tasks: int, more: dict[str, Any], wanted: int) -> None:
    assert blocks_wanted(Load(waiting=tasks), limits(**more)) == wanted


def test_tasks_that_run_count_like_those_that_wait() -> None:
    assert blocks_wanted(Load(waiting=3, running=5), limits()) == 2


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9)),
    st.sets(st.sampled_from("abcd")),
)
def test_tasks_of_blocks_that_drain_are_no_load_for_others(
    waiting: int, running: int, busy: dict[str, int], ending: set[str]
) -> None:
    load = Load(waiting=waiting, running=running, busy=busy)

    rest = load.without(ending)

    assert rest.waiting == waiting, "what waits may still need a block"
    assert rest.busy == {one: count for one, count in busy.items() if one not in ending}
    there = sum(busy[one] for one in busy.keys() & ending)
    assert rest.running == max(0, running - there)


def test_what_is_known_of_the_capacity_comes_before_what_was_said() -> None:
    assert blocks_wanted(Load(waiting=8, capacity=8), limits()) == 1


def use(name: str, **more: Any) -> BlockUse:
    return BlockUse(**{"id": name, "state": READY, **more})


def test_only_blocks_that_have_been_idle_for_long_are_given_back() -> None:
    blocks = [use("a", idle=119.0), use("b", idle=121.0), use("c", tasks=1)]

    assert Simple().decide(Load(running=1), blocks, limits()).drain == ("b",)


def test_a_block_with_tasks_is_never_given_back() -> None:
    blocks = [use(name, tasks=1) for name in "abcdef"]

    assert Simple().decide(Load(running=6), blocks, limits()).drain == ()


def test_blocks_without_machines_go_first_then_the_longest_idle() -> None:
    blocks = [
        use("a", idle=200.0),
        use("b", idle=300.0),
        use("c", idle=130.0, state=QUEUED),
        use("d", idle=400.0),
    ]

    assert Simple().decide(Load(running=1), blocks, limits()).drain == ("c", "d", "b")


def test_as_many_stay_as_the_load_needs() -> None:
    blocks = [use(name, idle=500.0) for name in "abcd"]

    assert len(Simple().decide(Load(waiting=7), blocks, limits()).drain) == 2
    assert len(Simple().decide(Load(), blocks, limits(min=1, init=1)).drain) == 3


def test_tasks_that_take_longer_than_blocks_live_on_get_a_fresh_one() -> None:
    walltime = limits(walltime=3600.0)
    load = Load(waiting=1, beyond=1, beyond_left=3000.0)
    old, fresh = use("a", left=2900.0), use("b", left=3500.0)
    coming = use("c", state=QUEUED)

    assert Simple().decide(load, [old], walltime).wanted == 2
    assert Simple().decide(load, [old, old], walltime).wanted == 3
    assert Simple().decide(load, [old, fresh], walltime).wanted == 2
    assert Simple().decide(load, [old, coming], walltime).wanted == 2
    many = Load(waiting=9, beyond=9, beyond_left=3000.0)
    assert Simple().decide(many, [old], walltime).wanted == 4


def test_where_no_more_blocks_may_be_an_idle_one_that_is_too_old_makes_room() -> None:
    walltime = limits(walltime=3600.0, max=2)
    load = Load(waiting=1, running=1, beyond=1, beyond_left=3000.0)
    idle, busy = use("a", left=2900.0, idle=130.0), use("b", left=2900.0, tasks=1)

    decision = Simple().decide(load, [idle, busy], walltime)

    assert (decision.wanted, decision.drain) == (2, ("a",))
    not_yet = use("a", left=2900.0, idle=110.0)
    assert Simple().decide(load, [not_yet, busy], walltime).drain == ()
    young = use("a", left=3100.0, idle=130.0)
    assert Simple().decide(load, [young, busy], walltime).drain == ()


def test_a_block_about_to_end_is_no_place_for_work_that_waits() -> None:
    blocks = [use("a", tasks=4, left=100.0)]
    walltime = limits(walltime=3600.0)

    assert Simple().decide(Load(waiting=1, running=3), blocks, walltime).wanted == 2
    assert Simple().decide(Load(running=4), blocks, walltime).wanted == 1
    far = [use("a", tasks=4, left=2000.0)]
    assert Simple().decide(Load(waiting=1, running=3), far, walltime).wanted == 1


def test_a_short_walltime_does_not_make_every_block_one_about_to_end() -> None:
    assert limits(walltime=60.0).lead == 15.0
    assert limits().lead == 0.0


def test_the_strategy_none_holds_what_there_was_at_the_start() -> None:
    hold = STRATEGIES["none"]

    for load in (Load(), Load(waiting=1000)):
        assert hold.decide(load, [use("a", idle=1e6)], limits(init=3)) == Decision(wanted=3)


@given(LOADS, ANY_USES, any_limits())
def test_never_more_than_max_and_never_less_than_min(
    load: Load, blocks: list[BlockUse], given_limits: BlockLimits
) -> None:
    for strategy in STRATEGIES.values():
        ending = 2
        decision = strategy.decide(load, blocks, given_limits)
        floor = given_limits.min
        ask, drain = within(decision, blocks, given_limits, floor=floor, ending=ending)
        assert ask == 0 or len(blocks) + ending + ask <= given_limits.max
        assert len(blocks) - len(drain) >= min(floor, len(blocks))
        assert set(drain) <= {one.id for one in blocks}
        assert not (ask and drain)


@given(LOADS, LOADS, any_limits())
def test_more_load_never_wants_fewer_blocks(
    one: Load, two: Load, given_limits: BlockLimits
) -> None:
    less, more = sorted([one, two], key=lambda load: load.tasks)

    assert blocks_wanted(less, given_limits) <= blocks_wanted(more, given_limits)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 50), ANY_USES, any_limits())
def test_more_waiting_tasks_never_want_fewer_blocks(
    waiting: int, more: int, running: int, blocks: list[BlockUse], given_limits: BlockLimits
) -> None:
    less = Simple().decide(Load(waiting=waiting, running=running), blocks, given_limits)
    much = Simple().decide(Load(waiting=waiting + more, running=running), blocks, given_limits)

    assert less.wanted <= much.wanted
    assert len(less.drain) >= len(much.drain)


@given(LOADS, any_limits())
def test_a_steady_load_comes_to_rest(load: Load, given_limits: BlockLimits) -> None:
    """What is asked for is never given back while the load stays, and nothing more is asked for."""
    strategy: Strategy = Simple()
    blocks: list[BlockUse] = []
    for step in range(3):
        decision = strategy.decide(load, blocks, given_limits)
        ask, drain = within(decision, blocks, given_limits, floor=given_limits.min, ending=0)
        assert drain == ()
        assert ask == 0 or step == 0
        blocks += [use(f"{step}-{n}", idle=1e6) for n in range(ask)]


@given(
    st.integers(-5, 50),
    st.lists(st.text("abcx", max_size=3)),
    ANY_USES,
    any_limits(),
    st.integers(0, 5),
)
def test_no_strategy_can_break_the_limits(
    wanted: int, drain: list[str], blocks: list[BlockUse], given_limits: BlockLimits, ending: int
) -> None:
    ask, gone = within(
        Decision(wanted=wanted, drain=tuple(drain)),
        blocks,
        given_limits,
        floor=given_limits.min,
        ending=ending,
    )

    assert ask == 0 or len(blocks) + ending + ask <= given_limits.max
    assert len(gone) == len(set(gone))
    assert len(blocks) - len(gone) >= min(given_limits.min, len(blocks))


@pytest.mark.parametrize(
    "wrong",
    [
        {"min": 3, "max": 2},
        {"init": 0, "min": 1},
        {"init": 5, "max": 4},
        {"max": 0},
        {"parallelism": 1.5},
        {"tasks_per_block": 0},
        {"walltime": 0.0},
        {"block_failures": 0},
    ],
)
def test_limits_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"min|max|init|parallelism|tasks|walltime|failures"):
        BlockLimits(**wrong)
