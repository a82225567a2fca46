"""The thread executor keeps what the interface promises."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from weft import bodies
from weft.builtin.settings import Threads
from weft.builtin.threads import ThreadExecutor, build
from weft.errors import TaskTimeout
from weft.testing import FakeExecutorContext, make_task
from weft.values.task import Ended, Needs, split_place

PATIENCE = 60.0


class Started:
    def __init__(self, max_threads: int) -> None:
        self.context = FakeExecutorContext(label="threads")
        self.executor: ThreadExecutor = build(Threads(max_threads=max_threads))
        self.executor.start(self.context)


@pytest.fixture
def make() -> Iterator[Callable[[int], Started]]:
    made: list[Started] = []

    def start(max_threads: int = 2) -> Started:
        made.append(Started(max_threads))
        return made[-1]

    yield start
    for one in made:
        one.executor.close(PATIENCE)
        one.context.close()


Make = Callable[[int], Started]


def test_values_and_errors_come_back(make: Make) -> None:
    one = make(2)
    bad = ValueError("bad")

    def failing() -> None:
        raise bad

    tasks = [make_task(pow, 2, 5, id=0), make_task(failing, id=1), make_task(dict, a=1, id=2)]
    one.executor.submit(tasks)
    outcomes = {outcome.id: outcome for outcome in one.context.wait(3)}

    assert (outcomes[0].ended, outcomes[0].value) == (Ended.VALUE, 32)
    assert (outcomes[1].ended, outcomes[1].value) == (Ended.ERROR, bad)
    assert outcomes[2].value == {"a": 1}


def test_it_says_where_and_when_a_task_ran_however_that_ended(make: Make) -> None:
    one = make(1)
    release = threading.Event()
    before = time.time()

    def failing() -> None:
        raise ValueError

    limited = Needs(walltime=0.02)
    one.executor.submit(
        [
            make_task(time.sleep, 0.03, id=0),
            make_task(failing, id=1),
            make_task(pow, 2, 3, id=2, needs=Needs(walltime=60)),
            make_task(release.wait, PATIENCE, id=3, needs=limited),
        ]
    )
    outcomes = {outcome.id: outcome for outcome in one.context.wait(4)}
    release.set()

    ends = [Ended.VALUE, Ended.ERROR, Ended.VALUE, Ended.ERROR]
    assert [outcomes[n].ended for n in range(4)] == ends
    for outcome in outcomes.values():
        assert split_place(outcome.place) == ("weft-threads-1", socket.gethostname())
        assert outcome.seconds is not None
        assert before <= outcome.begun <= outcome.begun + outcome.seconds <= time.time() + 0.001
    assert (outcomes[0].seconds or 0) >= 0.03
    assert (outcomes[3].seconds or 0) >= 0.02
    assert outcomes[0].place is outcomes[1].place, "one text for all tasks of a thread"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_a_task_raises_is_its_own(make: Make, error: BaseException) -> None:
    one = make(1)

    def odd() -> None:
        raise error

    one.executor.submit([make_task(odd), make_task(pow, 2, 3)])

    first, second = one.context.wait(2)
    assert first.value is error
    assert second.value == 8


def test_the_traceback_begins_in_the_function_of_the_user(make: Make) -> None:
    one = make(1)

    def failing() -> None:
        raise ValueError

    one.executor.submit([make_task(failing)])
    error = one.context.wait(1)[0].value

    assert error.__traceback__.tb_frame.f_code.co_name == "failing"


def test_tasks_of_equal_priority_keep_their_order(make: Make) -> None:
    one = make(1)
    seen: list[int] = []

    one.executor.submit([make_task(seen.append, n) for n in range(50)])
    one.context.wait(50)

    assert seen == list(range(50))


def test_lower_numbers_are_started_first_also_before_what_waits_already(make: Make) -> None:
    one = make(1)
    began, release = threading.Event(), threading.Event()
    seen: list[str] = []

    def first() -> None:
        began.set()
        assert release.wait(PATIENCE)

    one.executor.submit([make_task(first)])
    assert began.wait(PATIENCE)
    one.executor.submit([make_task(seen.append, "plain 1"), make_task(seen.append, "plain 2")])
    one.executor.submit(
        [
            make_task(seen.append, "late", needs=Needs(priority=5)),
            make_task(seen.append, "urgent", needs=Needs(priority=-5)),
            make_task(seen.append, "plain 3"),
        ]
    )
    release.set()
    one.context.wait(6)

    assert seen == ["urgent", "plain 1", "plain 2", "plain 3", "late"]


def test_a_task_that_waits_is_cancelled_and_one_that_runs_is_not(make: Make) -> None:
    one = make(1)
    began, release = threading.Event(), threading.Event()

    def first() -> str:
        began.set()
        assert release.wait(PATIENCE)
        return "went on"

    one.executor.submit([make_task(first, id=0), make_task(pow, 1, 1, id=1)])
    assert began.wait(PATIENCE)

    assert list(one.executor.cancel([0, 1, 99])) == [1]
    assert list(one.executor.drop([0, 1])) == []
    release.set()
    assert one.context.outcome_of(0).value == "went on"
    one.executor.submit([make_task(pow, 2, 2, id=2)])
    assert one.context.outcome_of(2).value == 4
    assert [outcome.id for outcome in one.context.outcomes] == [0, 2]


def test_a_cancelled_task_with_a_priority_is_passed_over(make: Make) -> None:
    one = make(1)
    began, release = threading.Event(), threading.Event()

    def first() -> None:
        began.set()
        assert release.wait(PATIENCE)

    one.executor.submit([make_task(first, id=0)])
    assert began.wait(PATIENCE)
    one.executor.submit([make_task(pow, 1, 1, id=n, needs=Needs(priority=n)) for n in (1, 2, 3)])
    assert list(one.executor.cancel([2])) == [2]
    release.set()

    assert [outcome.id for outcome in one.context.wait(3)] == [0, 1, 3]


def test_a_command_that_runs_is_stopped_by_a_cancel(make: Make) -> None:
    one = make(1)
    began = threading.Event()

    def command() -> str:
        began.set()
        return "sleep 600"

    one.executor.submit([make_task(bodies.BashBody(command, "sleeper"), id=0)])
    # One that waits would be taken back, and never reported.
    assert began.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    stopped: list[int] = []
    while not stopped and time.monotonic() < deadline:
        stopped = list(one.executor.cancel([0]))
        threading.Event().wait(0.005)

    assert stopped == [0]
    # What it reports then is ignored by whoever cancelled it.
    assert one.context.outcome_of(0).ended is Ended.ERROR


# -------------------------------------------------------------------------------------- walltimes


def busy(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(100))


def test_a_task_that_takes_too_long_is_reported_and_its_thread_replaced(make: Make) -> None:
    one = make(1)
    stop = threading.Event()

    one.executor.submit(
        [make_task(busy, stop, id=0, needs=Needs(walltime=0.02)), make_task(pow, 2, 2, id=1)]
    )

    late = one.context.outcome_of(0)
    assert late.ended is Ended.ERROR
    assert isinstance(late.value, TaskTimeout)
    assert "busy (task 0)" in str(late.value)
    assert one.context.outcome_of(1).value == 4
    stop.set()
    assert len(one.context.outcomes) == 2


def test_compiled_code_that_overruns_keeps_no_other_from_running(make: Make) -> None:
    one = make(1)
    release = threading.Event()

    one.executor.submit([make_task(release.wait, 30.0, id=0, needs=Needs(walltime=0.02))])
    assert isinstance(one.context.outcome_of(0).value, TaskTimeout)
    one.executor.submit([make_task(pow, 2, 2, id=n) for n in range(1, 5)])
    one.context.wait(5)
    release.set()
    one.executor.submit([make_task(pow, 2, 2, id=n) for n in range(5, 9)])

    assert len(one.context.wait(9)) == 9


def test_a_task_that_swallows_its_end_is_reported_once(make: Make) -> None:
    one = make(1)
    swallowed = threading.Event()

    def stubborn() -> str:
        try:
            while True:
                sum(range(100))
        except BaseException:  # noqa: BLE001 - that is what it does
            swallowed.set()
            return "still here"

    one.executor.submit([make_task(stubborn, id=0, needs=Needs(walltime=0.02))])
    assert swallowed.wait(PATIENCE)
    one.executor.submit([make_task(pow, 2, 2, id=1)])
    one.context.wait(2)

    assert isinstance(one.context.outcome_of(0).value, TaskTimeout)
    assert len(one.context.outcomes) == 2


def test_tasks_in_time_are_not_touched_when_many_begin_at_once(make: Make) -> None:
    """They share one clock, which the first of them starts."""
    for _ in range(20):
        one = make(4)
        barrier = threading.Barrier(4)
        one.executor.submit(
            [make_task(barrier.wait, PATIENCE, id=n, needs=Needs(walltime=60)) for n in range(4)]
        )
        assert {outcome.ended for outcome in one.context.wait(4)} == {Ended.VALUE}


def test_ends_that_race_with_their_walltime_are_reported_once_and_kill_no_thread(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    one = make(4)
    count = 400

    def about() -> int:
        end = time.perf_counter() + 0.001
        while time.perf_counter() < end:
            pass
        return 1

    needs = Needs(walltime=0.001)
    one.executor.submit([make_task(about, id=n, needs=needs) for n in range(count)])
    outcomes = one.context.wait(count, 60)
    one.executor.submit([make_task(pow, 2, 2, id=count)])

    assert one.context.outcome_of(count).value == 4
    assert sorted(outcome.id for outcome in outcomes) == list(range(count))
    assert shown == []


# ---------------------------------------------------------------------------------------- the end


def test_status_says_what_waits(make: Make) -> None:
    one = make(1)
    began, release = threading.Event(), threading.Event()

    def first() -> None:
        began.set()
        assert release.wait(PATIENCE)

    one.executor.submit([make_task(first)] + [make_task(pow, 1, 1) for _ in range(3)])
    assert began.wait(PATIENCE)

    status = one.executor.status()

    assert (status.workers, status.waiting) == (1, 3)
    release.set()


def test_close_waits_for_what_runs_and_may_be_called_twice(make: Make) -> None:
    one = make(1)
    began = threading.Event()

    def first() -> str:
        began.set()
        threading.Event().wait(0.02)
        return "done"

    one.executor.submit([make_task(first, id=0), make_task(pow, 1, 1, id=1)])
    assert began.wait(PATIENCE)

    one.executor.close(PATIENCE)
    one.executor.close(PATIENCE)

    assert one.context.outcome_of(0).value == "done"


def test_close_says_which_threads_did_not_end(make: Make) -> None:
    one = make(1)
    began, release = threading.Event(), threading.Event()

    def stuck() -> None:
        began.set()
        release.wait(PATIENCE)

    one.executor.submit([make_task(stuck)])
    assert began.wait(PATIENCE)

    one.executor.close(0.01)

    ((level, text),) = one.context.notices
    assert level == "warning"
    assert "weft-threads-1 did not end in 0.01 s" in text
    release.set()


def test_closing_what_never_started_is_allowed() -> None:
    build(Threads(max_threads=1)).close(0)
