"""The promises of an executor, kept by a real one on this machine."""

from __future__ import annotations

import operator
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weft.errors import SerializationError, SessionClosed
from weft.testing import FakeExecutorContext, make_task
from weft.values.blocks import BlockState
from weft.values.events import BlockChanged, ManagerChanged
from weft.values.task import Ended, Needs, split_place
from weft_htex import HTEX
from weft_htex.executor import HTEXExecutor, build
from weft_testkit.rig import until

BOUND = 60.0
HOST = socket.gethostname()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[HTEXExecutor, FakeExecutorContext]]]:
    begun: list[HTEXExecutor] = []
    known = set(threading.enumerate())

    def starting(**options: Any) -> tuple[HTEXExecutor, FakeExecutorContext]:
        executor = build(HTEX(**{"workers_per_node": 1, **options}))
        context = FakeExecutorContext(tmp_path, label="htex")
        begun.append(executor)
        executor.start(context)
        return executor, context

    yield starting
    for executor in begun:
        executor.close(0)
    new = [one for one in threading.enumerate() if one not in known]
    ours = [one for one in new if one.name.startswith("weft-")]
    for thread in ours:
        thread.join(BOUND)
    assert [one.name for one in ours if one.is_alive()] == []


def test_each_try_is_reported_once(start: Any) -> None:
    executor, context = start()
    executor.submit([make_task(operator.neg, n, id=n) for n in range(300)])

    outcomes = context.wait(300, BOUND)

    assert sorted(one.id for one in outcomes) == list(range(300))
    assert {one.id: one.value for one in outcomes} == {n: -n for n in range(300)}


def test_what_cannot_be_packed_ends_as_an_error(start: Any) -> None:
    executor, context = start()
    executor.submit([make_task(operator.neg, threading.Lock(), id=1)])

    outcome = context.outcome_of(1, BOUND)

    assert outcome.ended is Ended.ERROR
    assert isinstance(outcome.value, SerializationError)


def test_submitted_after_close_is_an_error(start: Any) -> None:
    executor, context = start()
    executor.close(1)
    executor.submit([make_task(operator.neg, 1, id=1)])

    assert isinstance(context.outcome_of(1, BOUND).value, SessionClosed)


def test_it_may_be_closed_twice(start: Any) -> None:
    executor, _ = start()
    executor.close(1)
    executor.close(0)


def _hold(begun: str, go: str) -> None:
    Path(begun).touch()
    until = time.monotonic() + BOUND
    while not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.02)


def test_no_block_is_asked_for_while_it_closes(start: Any, tmp_path: Path) -> None:
    executor, context = start(init_blocks=2, max_blocks=2)
    begun, go = ([tmp_path / f"{what}-{n}" for n in range(2)] for what in ("begun", "go"))
    executor.submit([make_task(_hold, str(begun[n]), str(go[n]), id=n) for n in range(2)])
    until(lambda: all(one.exists() for one in begun), BOUND, "they did not begin")
    closing = threading.Thread(target=executor.close, args=(BOUND,))
    closing.start()
    log = tmp_path / "interchange-1" / "interchange.log"
    until(lambda: "told to close" in log.read_text(), BOUND, "it does not close")
    # The first block ends, while a task of the second lets all wait.
    go[0].touch()
    until(lambda: any(one.ended for one in executor.status().blocks), BOUND, "no block ended")
    go[1].touch()
    closing.join(BOUND)
    assert not closing.is_alive()

    assert [one.ended for one in context.wait(2, BOUND)] == [Ended.VALUE] * 2
    told = [event for event in context.told if isinstance(event, BlockChanged)]
    assert {event.block for event in told} == {"htex-1", "htex-2"}
    assert not {event.state for event in told} & {BlockState.FAILED, BlockState.LOST}
    assert context.notices == []


def test_an_outcome_says_where_it_was(start: Any) -> None:
    executor, context = start()
    before = time.time()
    executor.submit([make_task(os.getpid, id=1), make_task(time.sleep, 0.05, id=2)])
    first, second = context.outcome_of(1, BOUND), context.outcome_of(2, BOUND)

    assert first.place == f"worker 1 of manager-1 on {HOST}"
    assert second.seconds is not None
    assert second.seconds >= 0.05
    assert before <= second.begun <= second.begun + second.seconds <= time.time() + 0.01


def test_an_end_without_a_result_says_so_too(start: Any) -> None:
    executor, context = start()
    executor.submit([make_task(signal.pause, id=1, needs=Needs(walltime=0.2))])
    executor.submit([make_task(os._exit, 3, id=2)])

    late, dead = context.outcome_of(1, BOUND), context.outcome_of(2, BOUND)
    assert (late.ended, dead.ended) == (Ended.ERROR, Ended.KILLED)
    for one in (late, dead):
        worker, node = split_place(one.place)
        assert (worker[:7], worker[8:], node) == ("worker ", " of manager-1", HOST)
        assert 0 < one.begun <= time.time()
        assert one.seconds is not None
    assert late.seconds >= 0.1


def test_monitors_are_told_of_managers_from_their_coming_to_their_end(start: Any) -> None:
    executor, context = start()
    executor.submit([make_task(os.getppid, id=1), make_task(os.getppid, id=2)])
    first = context.outcome_of(1, BOUND)
    victim = split_place(first.place)[0].removeprefix("worker 1 of ")

    def states() -> list[tuple[str, str]]:
        told = [one for one in context.told if isinstance(one, ManagerChanged)]
        assert {(one.executor, one.host) for one in told} <= {(context.label, HOST)}
        return [(one.manager, one.state) for one in told]

    until(lambda: (victim, "working") in states(), BOUND, "nobody came")
    os.kill(first.value, signal.SIGKILL)
    until(lambda: (victim, "lost") in states(), BOUND, "its end was not told")
    executor.submit([make_task(operator.neg, 3, id=3)])
    after = split_place(context.outcome_of(3, BOUND).place)[0].removeprefix("worker 1 of ")
    executor.close(BOUND)

    mine = {name: [state for one, state in states() if one == name] for name, _ in states()}
    assert mine[victim] == ["working", "lost"]
    assert after != victim
    assert mine[after][0] == "working"
    assert mine[after][-1] == "ended"


def test_what_waits_can_be_cancelled_and_what_is_unknown_cannot(start: Any) -> None:
    executor, context = start()
    executor.submit([make_task(signal.pause, id=1)])
    executor.submit([make_task(operator.neg, 1, id=2)])

    assert set(executor.cancel([1, 2, 99])) == {1, 2}
    assert {one.ended for one in context.wait(2, BOUND)} == {Ended.CANCELLED}


class _Delaying:
    """An argument that is packed when the test lets it."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        self.reached.set()
        assert self.go.wait(BOUND)
        return int, (1,)


class _Seen:
    """An argument that knows whether it was packed."""

    packed = False

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        self.packed = True
        return int, (2,)


def test_what_is_cancelled_before_it_left_this_process_never_leaves_it(start: Any) -> None:
    executor, context = start()
    delaying, seen = _Delaying(), [_Seen() for _ in range(5)]
    later = [make_task(operator.neg, one, id=n) for n, one in enumerate(seen, 2)]
    # In one batch: they are packed one after another, and nothing is heard of in between.
    executor.submit([make_task(operator.neg, delaying, id=1), *later])
    assert delaying.reached.wait(BOUND)
    cancelled = executor.cancel([task.id for task in later])
    delaying.go.set()

    outcomes = {one.id: one.ended for one in context.wait(6, BOUND)}

    assert set(cancelled) == {task.id for task in later}
    assert outcomes == {1: Ended.VALUE, **dict.fromkeys(cancelled, Ended.CANCELLED)}
    assert not any(one.packed for one in seen)


def test_dropping_leaves_alone_what_runs(start: Any) -> None:
    executor, context = start()
    executor.submit([make_task(operator.neg, 1, id=0)])
    context.wait(1, BOUND)
    executor.submit([make_task(operator.neg, 1, id=n) for n in range(1, 50)])
    dropped = executor.drop(range(1, 50))

    outcomes = {one.id: one.ended for one in context.wait(50, BOUND)}

    assert all(outcomes[one] is Ended.CANCELLED for one in dropped)
    assert set(outcomes.values()) <= {Ended.VALUE, Ended.CANCELLED}


def test_nothing_readable_by_others_is_left_in_its_folder(start: Any, tmp_path: Path) -> None:
    executor, context = start()
    executor.submit([make_task(operator.neg, 1, id=1)])
    context.wait(1, BOUND)
    executor.close(1)

    kept = [one for one in tmp_path.rglob("*") if one.stat().st_mode & 0o077]
    assert kept == []
    assert not list(tmp_path.rglob("*.keys"))
