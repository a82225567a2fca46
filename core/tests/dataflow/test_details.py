"""What a failed task was called with, and its traceback, are told in bounds; all tasks' on request.

Whatever a user's objects do when they are asked for words, the run goes on and says what was lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from weft.dataflow import details
from weft.dataflow.details import Allowance
from weft.dataflow.lifecycle import Limits
from weft.dataflow.rules import Rules
from weft.interfaces.monitor import Interest
from weft.testing import FakeMonitor
from weft.values.events import Notice, TaskDetails, TaskMoved
from weft.values.states import TaskState
from weft.values.task import Ended, Outcome

if TYPE_CHECKING:
    from core.tests.dataflow.conftest import Bench

    Make = Callable[..., Bench]

PATIENCE = 60.0


def work(*_: Any, **__: Any) -> Any:
    return 7


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as one:  # noqa: BLE001 - it is what is wanted
        return one


class Told:
    """A bench whose monitor keeps all, and what came of it once it is closed."""

    def __init__(self, make_bench: Make, rules: Rules | None = None) -> None:
        self.monitor = FakeMonitor()
        self.bench = make_bench(rules or Rules(), monitor=self.monitor)
        self._number = 0

    def fail(self, error: BaseException, *args: Any, **kwargs: Any) -> None:
        future = self.bench.call(work, *args, **kwargs)
        self.bench.executor.wait(1)
        outcome = Outcome(future.task_id, 1, Ended.ERROR, error, "w 1 on n1", 5.0, 0.5)
        self.bench.kernel.report([outcome])
        future.exception(PATIENCE)

    def all(self) -> list[TaskDetails]:
        self.bench.close()
        return self.monitor.of(TaskDetails)

    def notices(self) -> str:
        return "\n".join(one.text for one in self.monitor.of(Notice))


def test_a_failed_task_tells_how_it_was_called_and_its_traceback(make_bench: Make) -> None:
    told = Told(make_bench)
    told.fail(raised(ValueError("bad genes")), "AB-7", depth=30)

    (one,) = told.all()

    assert (one.id, one.app, one.attempt) == (0, "work", 1)
    assert (one.arguments, one.result) == ("'AB-7', depth=30", None)
    assert one.traceback.startswith("Traceback (most recent call last):\n")
    assert "in raised\n    raise error\n" in one.traceback
    assert "ValueError: bad genes\n" in one.traceback


def test_each_try_tells_its_own(make_bench: Make) -> None:
    told = Told(make_bench, Rules(limits=Limits(retries=1)))
    future = told.bench.call(work, 1)
    for attempt, error in ((1, ValueError("once")), (2, KeyError("twice"))):
        told.bench.executor.wait(attempt)
        told.bench.kernel.report([Outcome(0, attempt, Ended.ERROR, error)])
    assert isinstance(future.exception(PATIENCE), KeyError)

    first, second = told.all()

    assert (first.attempt, second.attempt) == (1, 2)
    assert "ValueError: once" in first.traceback
    assert "KeyError: 'twice'" in second.traceback


def test_what_could_not_start_tells_nothing_and_the_values_of_futures_are_shown(
    make_bench: Make,
) -> None:
    told = Told(make_bench)
    first = told.bench.call(work, 1)
    second = told.bench.call(work, [first], 2)
    later = [told.bench.call(work, second) for _ in range(100)]
    told.bench.executor.wait(1)
    told.bench.kernel.report([Outcome(0, 1, Ended.VALUE, "seven")])
    told.bench.executor.wait(2)
    told.bench.kernel.report([Outcome(1, 1, Ended.ERROR, ValueError("no"))])
    for future in later:
        assert future.exception(PATIENCE) is not None

    (one,) = told.all()

    assert (one.id, one.arguments) == (1, "['seven'], 2")


def test_on_request_all_tasks_tell_arguments_and_results(make_bench: Make) -> None:
    told = Told(make_bench, Rules(values="all"))
    future = told.bench.call(work, [1, 2])
    told.bench.executor.wait(1)
    told.bench.kernel.report([Outcome(0, 1, Ended.VALUE, {"a": 1})])
    future.result(PATIENCE)

    (one,) = told.all()

    assert (one.arguments, one.result, one.traceback) == ("[1, 2]", "{'a': 1}", "")


def test_a_task_that_ends_well_tells_nothing_and_starts_no_thread(make_bench: Make) -> None:
    told = Told(make_bench)
    future = told.bench.call(work, 1)
    told.bench.executor.wait(1)
    told.bench.kernel.report([Outcome(0, 1, Ended.VALUE, 7)])
    assert future.result(PATIENCE) == 7

    assert told.bench.kernel._details is None
    assert told.all() == []


def test_without_values_the_traceback_alone_is_told(make_bench: Make) -> None:
    told = Told(make_bench, Rules(values=None))
    told.fail(ValueError("no"), "the password")

    (one,) = told.all()

    assert (one.arguments, one.result) == (None, None)
    assert one.traceback == "ValueError: no\n"


def test_where_nobody_wants_to_know_nothing_is_made(make_bench: Make) -> None:
    monitor = FakeMonitor(interests=frozenset[Interest]({TaskState.FAILED}))
    bench = make_bench(monitor=monitor)
    future = bench.call(work, 1)
    bench.executor.wait(1)
    bench.executor.fail(bench.executor.wait(1)[0], ValueError("no"))
    assert future.exception(PATIENCE) is not None
    assert bench.kernel._details is None


def test_who_wants_details_alone_gets_them(make_bench: Make) -> None:
    monitor = FakeMonitor(interests=frozenset[Interest]({TaskDetails}))
    bench = make_bench(monitor=monitor)
    future = bench.call(work, 1)
    bench.executor.fail(bench.executor.wait(1)[0], ValueError("no"))
    assert future.exception(PATIENCE) is not None
    bench.close()
    assert [type(event) for event in monitor.events] == [TaskDetails]


# ------------------------------------------------------------------------------------- what is odd


class Ends:
    def __repr__(self) -> str:
        raise SystemExit(3)


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class NoWords(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def knot() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("value", "error", "arguments", "text"),
    [
        (Raises, ValueError, "<Raises, whose repr raises>", "ValueError\n"),
        (Ends, ValueError, "(cannot be shown: SystemExit)", "ValueError\n"),
        (knot, ValueError, "[[[[...]]]]", "ValueError\n"),
        (lambda: "\ud800", lambda: ValueError("\ud800\x1b[2J"), r"'\ud800'", "ValueError: \ud800"),
        (lambda: 1, NoWords, "1", "(its message cannot be shown: RuntimeError)"),
        (lambda: "x" * 10**6, ValueError, "...", "ValueError\n"),
        (lambda: 1, lambda: ValueError("y" * 10**6), "1", "characters left out"),
    ],
)
def test_odd_values_and_errors_do_no_harm(
    make_bench: Make,
    value: Callable[[], Any],
    error: Callable[[], BaseException],
    arguments: str,
    text: str,
) -> None:
    told = Told(make_bench)
    told.fail(error(), value())
    told.fail(ValueError("after"), "after")

    odd, after = told.all()

    assert odd.arguments is not None
    assert arguments in odd.arguments
    assert text in odd.traceback
    assert len(odd.arguments) < 3_000
    assert len(odd.traceback) <= 16_000
    assert after.arguments == "'after'"
    for move in told.monitor.of(TaskMoved):
        assert len(move.detail) < 3_000


def test_a_repr_that_does_not_end_costs_the_details_alone(make_bench: Make) -> None:
    go_on = threading.Event()
    asked = threading.Event()

    class Hangs:
        def __repr__(self) -> str:
            asked.set()
            go_on.wait(PATIENCE)
            return "late"

    told = Told(make_bench)
    told.fail(ValueError("no"), Hangs())
    assert asked.wait(PATIENCE)
    told.fail(ValueError("no"), 2)
    told.bench.kernel.close(0.05)
    told.bench.monitoring.close()
    go_on.set()

    assert told.monitor.of(TaskDetails) == []
    assert "The thread weft-details did not end" in told.notices()
    for thread in threading.enumerate():
        if thread.name == "weft-details":
            thread.join(PATIENCE)


# ----------------------------------------------------------------------------------- what is many


def test_a_kind_is_told_so_often_at_once_and_then_now_and_again() -> None:
    allowance = Allowance()
    told = sum(allowance.grants(("a", "E"), 100.0) for _ in range(5_000))
    assert told == 1_000
    assert sum(allowance.grants(("a", "E"), 101.0) for _ in range(50)) == 10
    assert allowance.grants(("a", "F"), 101.0)
    assert allowance.grants(("b", "E"), 101.0)
    assert sum(allowance.grants(("a", "E"), 10_000.0) for _ in range(5_000)) == 1_000


def test_more_kinds_than_are_counted_are_one_together() -> None:
    allowance = Allowance()
    told = sum(allowance.grants((f"app {n}", "E"), 0.0) for n in range(5_000))
    assert told == 2_000
    assert sum(allowance.grants((f"app {n}", "E"), 0.0) for n in range(1_000)) == 1_000


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "_AT_ONCE", 3)
    monkeypatch.setattr(details, "_PER_SECOND", 0.0)


@pytest.mark.usefixtures("few")
def test_of_very_many_failures_some_are_told_and_the_rest_is_counted(make_bench: Make) -> None:
    told = Told(make_bench)
    for number in range(10):
        told.fail(ValueError("no"), number)

    assert [one.arguments for one in told.all()] == ["0", "1", "2"]
    assert "Of 7 failures no traceback and no arguments were told" in told.notices()


def test_so_many_letters_and_no_more(make_bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "_LETTERS", 30)
    told = Told(make_bench)
    for _ in range(5):
        told.fail(ValueError("x" * 12))

    assert len(told.all()) == 2
    assert told.notices().count("Failures have told 30 letters") == 1


def test_words_that_wait_are_bounded(make_bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "_WAITING", 2)
    go_on, asked = threading.Event(), threading.Event()

    class Slow:
        def __repr__(self) -> str:
            asked.set()
            go_on.wait(PATIENCE)
            return "slow"

    told = Told(make_bench, Rules(values="all"))
    values: Sequence[Any] = [Slow(), 1, 2, 3, 4]
    for number, value in enumerate(values):
        future = told.bench.call(work, value)
        told.bench.executor.wait(number + 1)
        told.bench.kernel.report([Outcome(number, 1, Ended.VALUE, None)])
        future.result(PATIENCE)
        assert asked.wait(PATIENCE)
    told.bench.settle()
    go_on.set()

    assert [one.arguments for one in told.all()] == ["slow", "1", "2"]
    assert "Of 2 tasks no arguments and results were told" in told.notices()
