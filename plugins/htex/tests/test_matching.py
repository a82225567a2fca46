"""Claims of the state machine that says which task goes to which manager."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from weft_htex.matching import MOST, Manager, Matching, Task
from weft_htex.messages import manner_of

GIB = 1 << 30


def manner(
    app: str = "app",
    *,
    priority: int = 0,
    walltime: float = 0.0,
    function: bytes = b"f",
    **needs: Any,
) -> bytes:
    """What tasks of one app have in common, as their rows say it."""
    asked = json.dumps(needs).encode() if needs else b""
    names = function.ljust(16, b"\0") + app.encode() + asked
    return struct.pack("<idBHH", priority, walltime, 1, len(app), len(asked)) + names


class Pool:
    """A matching with what a test needs around it: numbers for tasks, and a clock."""

    def __init__(self, policy: Any = "spread", prefetch: int | None = None) -> None:
        self.matching = Matching(policy, prefetch)
        self.now = 0.0
        self.next = 0

    def manager(self, name: str, workers: int = 1, **said: Any) -> Manager:
        said = {"block": "b", "now": self.now, **said}
        return self.matching.registered(name, workers=workers, **said)

    def submit(self, count: int = 1, **how: Any) -> list[int]:
        lane = self.matching.lane(manner(**how), manner_of)
        ids = list(range(self.next, self.next + count))
        self.next += count
        for number in ids:
            self.matching.arrived(lane, number, 1, b"row", ())
        return ids

    def deal(self) -> dict[str, list[int]]:
        return {
            one.manager.name: [task.id for task in one.tasks]
            for one in self.matching.deal(self.now)
        }

    def finish(self, name: str, ids: Iterable[int] | None = None, seconds: float = 10.0) -> None:
        manager = self.matching.managers[name]
        for number in list(manager.held) if ids is None else list(ids):
            assert self.matching.finished(manager, number, manager.held[number].attempt, seconds)
        self.matching.changed(manager)

    def learn(self, seconds: float, **how: Any) -> None:
        """Let a function's duration be known."""
        self.manager("teacher", 1, cores=64, memory=64 * GIB, accelerators=8)
        self.submit(1, **how)
        self.deal()
        self.finish("teacher", seconds=seconds)
        self.matching.lost(self.matching.managers["teacher"], ())


@pytest.fixture
def pool() -> Pool:
    return Pool()


# ------------------------------------------------------------------------------------------ batches


def test_tasks_of_unknown_duration_go_to_free_workers_alone(pool: Pool) -> None:
    pool.manager("m", workers=4)
    pool.submit(100)

    assert pool.deal() == {"m": [0, 1, 2, 3]}
    assert pool.deal() == {}


def test_short_tasks_are_dealt_ahead_and_long_ones_are_not(pool: Pool) -> None:
    pool.learn(0.000_01)
    pool.manager("m", workers=2)
    pool.submit(10_000)
    first = sum(map(len, pool.deal().values()))
    pool.finish("m", seconds=60.0)
    second = sum(map(len, pool.deal().values()))

    assert first == 2 * MOST
    assert second == 2


def test_ahead_of_each_worker_are_about_seventy_milliseconds_of_work(pool: Pool) -> None:
    pool.learn(0.01)
    pool.manager("m", workers=3)
    pool.submit(1000)

    assert 3 * 4 <= len(pool.deal()["m"]) <= 3 * 8


def test_a_fixed_prefetch_counts_for_each_worker() -> None:
    pool = Pool(prefetch=3)
    pool.manager("m", workers=2)
    pool.submit(100)

    assert len(pool.deal()["m"]) == 2 * 4


def test_no_prefetch_at_all_waits_for_free_workers() -> None:
    pool = Pool(prefetch=0)
    pool.learn(0.000_01)
    pool.manager("m", workers=2)
    pool.submit(100)

    assert len(pool.deal()["m"]) == 2


def test_few_tasks_are_spread_evenly(pool: Pool) -> None:
    pool.learn(0.000_01)
    for number in range(8):
        pool.manager(f"m{number}", workers=4)
    pool.submit(16)

    assert sorted(map(len, pool.deal().values())) == [2] * 8


def test_many_short_tasks_are_spread_evenly_too(pool: Pool) -> None:
    pool.learn(0.000_01)
    for number in range(4):
        pool.manager(f"m{number}", workers=1)
    pool.submit(400)

    assert max(map(len, pool.deal().values())) <= 110


def test_short_tasks_do_not_pile_up_behind_long_ones(pool: Pool) -> None:
    pool.learn(0.000_01)
    pool.manager("m", workers=2)
    pool.submit(2, function=b"slow")
    pool.deal()
    pool.submit(100)

    assert pool.deal() == {}


def test_packing_fills_the_fullest_block_first() -> None:
    pool = Pool("pack")
    for block in "abc":
        for number in range(2):
            pool.manager(f"{block}{number}", workers=2, block=block)
    pool.submit(1)
    (first,) = pool.deal()
    for _ in range(3):
        pool.submit(1)
        (name,) = pool.deal()
        assert name[0] == first[0]
    pool.submit(1)
    (name,) = pool.deal()
    assert name[0] != first[0]


# --------------------------------------------------------------------------------------- priorities


def test_lower_priorities_go_first_and_within_one_first_come_first_served(pool: Pool) -> None:
    late = pool.submit(2, priority=5)
    first = pool.submit(2, app="one")
    second = pool.submit(2, app="two")
    third = pool.submit(2, app="one")
    pool.manager("m", workers=8)

    assert pool.deal()["m"] == [*first, *second, *third, *late]


def test_order_holds_when_apps_take_turns(pool: Pool) -> None:
    ids = [pool.submit(1, app=f"app{number % 3}")[0] for number in range(30)]
    pool.manager("m", workers=30)

    assert pool.deal()["m"] == ids


# ---------------------------------------------------------------------------------------- resources


def test_tasks_are_packed_into_what_a_manager_has(pool: Pool) -> None:
    pool.manager("m", workers=8, cores=8, memory=8 * GIB, accelerators=2)
    pool.submit(2, app="wide", cores=3)
    pool.submit(3, app="gpu", accelerators=1)
    pool.submit(10)

    dealt = pool.deal()["m"]

    # Two of three cores each; two accelerators, with the part of one worker each: nothing is left.
    assert dealt == [0, 1, 2, 3]


def test_what_a_task_had_is_free_when_it_has_ended(pool: Pool) -> None:
    pool.manager("m", workers=4, cores=4, memory=4 * GIB, accelerators=1)
    pool.submit(2, accelerators=1)
    assert pool.deal() == {"m": [0]}
    pool.finish("m")
    assert pool.deal() == {"m": [1]}


def test_memory_is_packed(pool: Pool) -> None:
    pool.manager("m", workers=4, cores=4, memory=4 * GIB)
    pool.submit(3, memory=1.5 * GIB)

    assert len(pool.deal()["m"]) == 2


def test_a_big_task_is_not_starved_by_small_ones(pool: Pool) -> None:
    pool.manager("m", workers=4, cores=4, memory=4 * GIB)
    pool.submit(4)
    pool.deal()
    (big,) = pool.submit(1, app="big", cores=4)
    pool.submit(1000)

    for _ in range(8):
        held = list(pool.matching.managers["m"].held)
        if big in held:
            break
        pool.finish("m", held[:1])
        pool.deal()

    assert list(pool.matching.managers["m"].held) == [big]


def test_small_tasks_run_beside_what_is_kept_for_a_big_one(pool: Pool) -> None:
    pool.manager("m", workers=8, cores=8, memory=8 * GIB, accelerators=1)
    pool.submit(2, app="gpu", accelerators=1)
    pool.deal()
    pool.submit(100)

    # One worker's part is kept for the second task that wants the accelerator.
    assert len(pool.deal()["m"]) == 6


def test_a_long_task_is_not_starved_by_short_ones_dealt_ahead(pool: Pool) -> None:
    pool.learn(0.000_01)
    pool.manager("m", workers=1)
    pool.submit(1000)
    pool.deal()
    (slow,) = pool.submit(1, function=b"slow", priority=-1)

    for _ in range(40):
        held = list(pool.matching.managers["m"].held)
        if slow in held:
            break
        pool.finish("m", held[:16], seconds=0.000_01)
        pool.deal()

    assert slow in pool.matching.managers["m"].held


def test_what_is_kept_for_a_task_is_free_again_when_it_is_dropped(pool: Pool) -> None:
    pool.manager("m", workers=4, cores=4, memory=4 * GIB)
    pool.submit(2)
    pool.deal()
    big = pool.submit(1, app="big", cores=4)
    pool.submit(2)
    assert pool.deal() == {}
    pool.matching.drop(big)

    assert len(pool.deal()["m"]) == 2


def test_tasks_that_fit_nobody_are_told_of_once(pool: Pool) -> None:
    pool.manager("m", workers=4, cores=4, memory=4 * GIB)
    ids = pool.submit(2, cores=8)
    assert pool.deal() == {}
    (told,) = pool.matching.unfitting()
    assert [task.id for task in told.tasks] == ids
    assert not told.time
    assert "8" in told.why

    assert pool.matching.unfitting() == []
    more = pool.submit(1, cores=8)
    pool.deal()
    (told,) = pool.matching.unfitting()
    assert [task.id for task in told.tasks] == more


def test_tasks_that_fitted_nobody_go_to_who_comes_and_can(pool: Pool) -> None:
    pool.manager("small", workers=1, cores=1)
    pool.submit(2, cores=8)
    pool.deal()
    pool.manager("large", workers=2, cores=16)

    assert pool.deal() == {"large": [0, 1]}


def test_nothing_is_unfit_as_long_as_there_is_nobody(pool: Pool) -> None:
    pool.submit(1, cores=1000)
    pool.deal()

    assert pool.matching.unfitting() == []


def test_needs_that_cannot_be_read_are_refused(pool: Pool) -> None:
    bad = b"[1]"
    text = struct.pack("<idBHH", 0, 0.0, 0, 1, len(bad)) + b"a" + bad
    with pytest.raises(ValueError, match="needs"):
        pool.matching.lane(text, manner_of)


# --------------------------------------------------------------------------------------------- time


def test_no_task_begins_in_a_block_that_ends_before_its_walltime(pool: Pool) -> None:
    pool.manager("short", workers=4, ends=100.0)
    pool.manager("long", workers=4, ends=1000.0)
    pool.submit(2, walltime=500.0)

    assert pool.deal() == {"long": [0, 1]}


def test_no_task_begins_that_is_known_to_take_longer_than_a_block_lives(pool: Pool) -> None:
    pool.learn(300.0)
    pool.manager("short", workers=4, ends=100.0)
    pool.manager("long", workers=4, ends=1000.0)
    pool.submit(2)

    assert pool.deal() == {"long": [1, 2]}


def test_a_walltime_that_no_block_lives_on_for_is_told_of(pool: Pool) -> None:
    pool.manager("m", workers=4, ends=100.0)
    pool.submit(1, walltime=500.0)
    pool.deal()
    (told,) = pool.matching.unfitting()

    assert told.time
    pool.manager("fresh", workers=4, ends=1000.0)
    assert pool.deal() == {"fresh": [0]}


def test_what_was_learned_never_makes_a_task_impossible(pool: Pool) -> None:
    pool.manager("m", workers=1, ends=100.0)
    pool.submit(1)
    pool.deal()
    pool.finish("m", seconds=5000.0)
    pool.submit(1)

    assert pool.deal() == {"m": [1]}


# --------------------------------------------------------------------------------- results and ends


def test_a_result_counts_once_and_from_the_manager_that_has_the_task_alone(pool: Pool) -> None:
    first = pool.manager("first")
    pool.submit(1)
    pool.deal()
    second = pool.manager("second")
    finished = pool.matching.finished

    assert not finished(second, 0, 1)
    assert not finished(first, 0, 2)
    assert not finished(first, 99, 1)
    assert finished(first, 0, 1)
    assert not finished(first, 0, 1)


def test_a_newer_attempt_supersedes_the_older_one(pool: Pool) -> None:
    manager = pool.manager("m", workers=2)
    pool.submit(1)
    pool.deal()
    lane = pool.matching.lane(manner(), manner_of)

    superseded = pool.matching.arrived(lane, 0, 2, b"again", ())

    assert superseded is not None
    assert superseded.manager is manager
    assert pool.deal() == {"m": [0]}
    assert pool.matching.arrived(lane, 0, 1, b"old", ()) is None
    assert not pool.matching.finished(manager, 0, 1)
    assert manager.tasks == 1
    assert pool.matching.finished(manager, 0, 2)
    assert (manager.tasks, manager.load) == (0, 0)


def test_of_a_lost_manager_only_what_ran_is_blamed(pool: Pool) -> None:
    manager = pool.manager("m", workers=3)
    pool.submit(3)
    pool.deal()

    ended = pool.matching.lost(manager, {1})

    assert {one.task.id: one.how for one in ended} == {0: "lost", 1: "killed", 2: "lost"}
    assert pool.matching.dealt == 0


def test_a_draining_manager_gets_nothing_and_gives_back(pool: Pool) -> None:
    manager = pool.manager("old", workers=2)
    pool.submit(4)
    pool.deal()
    pool.matching.drain(manager)
    assert pool.matching.returned(manager, 0, 1)
    pool.matching.changed(manager)
    assert pool.deal() == {}
    pool.manager("new", workers=4)

    assert pool.deal() == {"new": [0, 2, 3]}


def test_cancelled_tasks_end_where_they_wait_and_are_told_where_they_are(pool: Pool) -> None:
    manager = pool.manager("m")
    pool.submit(3)
    pool.deal()

    ended, tell = pool.matching.cancel([0, 1, 99])

    assert [(one.task.id, one.how) for one in ended] == [(1, "cancelled")]
    assert tell == {manager: [0]}
    pool.finish("m")
    assert pool.deal() == {"m": [2]}


def test_what_cannot_be_reached_gets_nothing_and_keeps_what_it_has(pool: Pool) -> None:
    manager = pool.manager("m", workers=2)
    pool.submit(1)
    pool.deal()
    pool.matching.absent(manager, True)
    pool.submit(1)
    assert pool.deal() == {}
    pool.matching.absent(manager, False)

    assert pool.deal() == {"m": [1]}


# --------------------------------------------------------------------------------------------- cost


def steps_per_task(managers: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """How often a manager is looked at for each task, in a run with many short tasks."""
    looks = Counter[str]()

    def counted(name: str) -> None:
        real: Any = Manager.__dict__[name]
        is_property = isinstance(real, property)
        call: Any = real.fget if is_property else real

        def look(*args: Any) -> Any:
            looks[name] += 1
            return call(*args)

        monkeypatch.setattr(Manager, name, property(look) if is_property else look)

    counted("room_beside")
    counted("busy")
    pool = Pool()
    pool.learn(0.05)
    for number in range(managers):
        pool.manager(f"m{number}", workers=2)
    tasks = 8 * managers
    pool.submit(tasks)
    while True:
        dealt = pool.deal()
        if not dealt:
            break
        for name in dealt:
            pool.finish(name, seconds=0.05)
    assert pool.matching.dealt == pool.matching.waiting == 0
    monkeypatch.undo()
    return sum(looks.values()) / tasks


def test_the_work_for_a_task_does_not_grow_with_the_number_of_managers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few, many = steps_per_task(8, monkeypatch), steps_per_task(800, monkeypatch)

    assert many <= 1.2 * few


def test_tasks_that_wait_for_room_cost_nothing_when_others_come_and_go(pool: Pool) -> None:
    looks = 0
    real = Manager.room_beside

    def look(self: Manager, *args: Any) -> int:
        nonlocal looks
        looks += 1
        return real(self, *args)

    for number in range(200):
        pool.manager(f"m{number}", workers=2, cores=2, memory=GIB)
    pool.manager("gpu", workers=2, cores=2, memory=GIB, accelerators=1)
    pool.submit(50, app="gpu", accelerators=1)
    pool.deal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Manager, "room_beside", look)
        for _ in range(300):
            pool.submit(1)
            for name in pool.deal():
                pool.finish(name)

    assert looks < 300 * 10


# --------------------------------------------------------------------------------- any order of all

SHAPES: list[dict[str, Any]] = [
    {},
    {"cores": 2},
    {"accelerators": 1},
    {"memory": GIB, "cores": 0.5},
]


class Anything(RuleBasedStateMachine):
    """All events in any order."""

    @initialize(policy=st.sampled_from(["spread", "pack"]), prefetch=st.sampled_from([None, 0, 2]))
    def start(self, policy: Any, prefetch: int | None) -> None:
        self.pool = Pool(policy, prefetch)
        self.matching = self.pool.matching
        self.ended: Counter[tuple[int, int]] = Counter()
        self.attempts: dict[int, int] = {}
        self.open: set[int] = set()
        self.told: Counter[tuple[int, int]] = Counter()
        self.managers = 0

    def some(self, data: Any) -> Manager:
        names = sorted(self.matching.managers)
        return self.matching.managers[data.draw(st.sampled_from(names))]

    def end(self, task: Task) -> None:
        self.ended[task.id, task.attempt] += 1
        self.open.discard(task.id)

    @rule(
        count=st.integers(1, 12),
        priority=st.integers(0, 1),
        walltime=st.sampled_from([0.0, 0.0, 50.0, 500.0]),
        function=st.sampled_from([b"f", b"g"]),
        shape=st.sampled_from(SHAPES),
    )
    def submit(
        self, count: int, priority: int, walltime: float, function: bytes, shape: dict[str, Any]
    ) -> None:
        ids = self.pool.submit(
            count, priority=priority, walltime=walltime, function=function, **shape
        )
        self.attempts.update(dict.fromkeys(ids, 1))
        self.open.update(ids)

    @rule(
        workers=st.integers(1, 4),
        accelerators=st.integers(0, 2),
        ends=st.sampled_from([math.inf, 60.0, 1000.0]),
        block=st.sampled_from("ab"),
    )
    def register(self, workers: int, accelerators: int, ends: float, block: str) -> None:
        self.managers += 1
        self.pool.manager(
            f"m{self.managers}",
            workers=workers,
            cores=workers,
            memory=workers * GIB,
            accelerators=accelerators,
            ends=self.pool.now + ends,
            block=block,
        )

    @precondition(lambda self: self.matching.managers)
    @rule(data=st.data(), seconds=st.sampled_from([0.0001, 0.02, 1.0, 100.0]))
    def finish(self, data: Any, seconds: float) -> None:
        manager = self.some(data)
        held = list(manager.held.values()) + list(manager.ghosts.values())
        for task in held[: data.draw(st.integers(0, len(held)))]:
            current = self.matching.task(task.id) is task
            counts = self.matching.finished(manager, task.id, task.attempt, seconds)
            assert counts is current
            if counts:
                self.end(task)
        self.matching.changed(manager)

    @precondition(lambda self: self.matching.managers)
    @rule(data=st.data(), number=st.integers(0, 40), attempt=st.integers(1, 3))
    def say_nonsense(self, data: Any, number: int, attempt: int) -> None:
        manager = self.some(data)
        task = self.matching.task(number)
        right = task is not None and task.manager is manager and task.attempt == attempt
        if not right:
            assert not self.matching.finished(manager, number, attempt, 1.0)
            self.matching.changed(manager)

    @precondition(lambda self: self.matching.managers)
    @rule(data=st.data())
    def lose(self, data: Any) -> None:
        manager = self.some(data)
        running = set(list(manager.held)[: manager.workers])
        for one in self.matching.lost(manager, running):
            assert one.how == ("killed" if one.task.id in running else "lost")
            self.end(one.task)

    @precondition(lambda self: self.matching.managers)
    @rule(data=st.data())
    def drain(self, data: Any) -> None:
        manager = self.some(data)
        self.matching.drain(manager)
        for task in list(manager.held.values())[::2]:
            assert self.matching.returned(manager, task.id, task.attempt)
        self.matching.changed(manager)

    @precondition(lambda self: self.matching.managers)
    @rule(data=st.data(), absent=st.booleans())
    def go_absent(self, data: Any, absent: bool) -> None:
        self.matching.absent(self.some(data), absent)

    @rule(data=st.data(), how=st.sampled_from(["cancel", "drop"]))
    def unwant(self, data: Any, how: str) -> None:
        ids = data.draw(st.lists(st.integers(0, max(1, self.pool.next)), max_size=8))
        ended, tell = getattr(self.matching, how)(ids)
        for one in ended:
            self.end(one.task)
        for manager, numbers in tell.items():
            assert all(number in manager.held for number in numbers)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), shape=st.sampled_from(SHAPES))
    def try_again(self, data: Any, shape: dict[str, Any]) -> None:
        number = data.draw(st.sampled_from(sorted(self.attempts)))
        before = self.matching.task(number)
        self.attempts[number] += 1
        lane = self.matching.lane(manner(**shape), manner_of)
        superseded = self.matching.arrived(lane, number, self.attempts[number], b"row", ())
        assert superseded is (before if before is not None and before.manager else None)
        self.open.add(number)

    @rule(seconds=st.sampled_from([1.0, 45.0]))
    def pass_time(self, seconds: float) -> None:
        self.pool.now += seconds

    @rule()
    def deal(self) -> None:
        now, matching = self.pool.now, self.matching
        for one in matching.deal(now):
            assert not one.manager.draining
            assert not one.manager.absent
            for task in one.tasks:
                assert task.manager is one.manager
                assert now + task.lane.walltime <= one.manager.ends
        for told in matching.unfitting():
            for task in told.tasks:
                self.told[task.id, task.attempt] += 1
        self.nothing_is_stuck()

    def nothing_is_stuck(self) -> None:
        matching, now = self.matching, self.pool.now
        for lane in matching._lanes.values():
            if not lane.live:
                continue
            cost, limit = matching._cost(lane), matching._limit(lane)
            for manager in matching.managers.values():
                fits = manager.ends >= now + limit and manager.room(lane, cost)
                assert not fits, (lane.app, manager.name)
                if lane.parked:
                    assert (
                        manager.draining
                        or not manager.could(lane.shape)
                        or manager.ends - now < lane.walltime
                    )

    @invariant()
    def every_task_is_in_one_place(self) -> None:
        matching = self.matching
        waiting = [t.id for lane in matching._lanes.values() for t in lane.tasks if not t.gone]
        held = [t.id for manager in matching.managers.values() for t in manager.held.values()]
        everywhere = Counter(waiting) + Counter(held)
        assert everywhere == Counter(self.open)
        assert matching.waiting == len(waiting)
        assert matching.dealt == len(held)
        assert all(count == 1 for count in self.ended.values())
        assert all(count == 1 for count in self.told.values())

    @invariant()
    def no_manager_has_more_than_it_can_take(self) -> None:
        for manager in self.matching.managers.values():
            tasks = [*manager.held.values(), *manager.ghosts.values()]
            assert manager.load == sum(task.cost for task in tasks) <= manager.capacity
            used = [0, 0, 0]
            for task in tasks:
                if not task.lane.shape.plain:
                    for at, amount in enumerate(manager.amounts(task.lane.shape)):
                        used[at] += amount
            assert tuple(used) == manager.used
            assert used[0] <= manager.cores
            assert used[1] <= manager.memory
            assert used[2] <= manager.accelerators
            assert len(tasks) <= manager.workers * (MOST + 1)
            assert manager.level == manager.busy

    @invariant()
    def what_is_kept_is_kept_for_somebody(self) -> None:
        for manager in self.matching.managers.values():
            lane = manager.reserved
            if lane is not None:
                assert lane.reserved is manager
                assert lane.shape.reserving is lane
                assert lane.live
        for lane in self.matching._lanes.values():
            assert lane.live == sum(not task.gone for task in lane.tasks)
            if lane.reserved is not None:
                assert lane.reserved.reserved is lane
        if self.matching._pack:
            for name, block in self.matching._blocks.items():
                mine = [m for m in self.matching.managers.values() if m.block == name]
                assert block.tasks == sum(one.tasks for one in mine)
                assert block.workers == sum(one.workers for one in mine)


Anything.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, print_blob=True
)
TestAnything = Anything.TestCase
