"""The kernel does what the lifecycle says, whatever executors, handlers and users do to it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError, Future, wait
from itertools import pairwise
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from weft.configuration.config import Backoff
from weft.dataflow.lifecycle import Limits
from weft.dataflow.rules import Deciders, Rules
from weft.errors import (
    CallError,
    DependencyError,
    ExecutorFailed,
    ForeignFuture,
    JoinCycle,
    JoinError,
    JoinTypeError,
    PoisonTask,
    SessionClosed,
    TaskLost,
    TooManyPending,
    UnknownExecutor,
    UnsupportedRequest,
)
from weft.interfaces.executor import ExecutorStatus
from weft.testing import FakeExecutor, FakeMonitor
from weft.values.events import BEGUN, DONE, TaskMoved, TaskSubmitted, TryEnded
from weft.values.states import FINAL, MOVES, TaskState
from weft.values.task import Ended, Needs, Outcome, Resources, Task, TaskId, TaskSpec

if TYPE_CHECKING:
    from core.tests.dataflow.conftest import Bench

    Make = Callable[..., Bench]

PATIENCE = 60.0


def double(x: Any) -> Any:
    return 2 * x


def total(*values: Any) -> Any:
    return sum(values)


def failing(*_: Any) -> Any:
    raise ValueError("bad genes")


# ---------------------------------------------------------------------------------------- the way


def test_a_task_goes_to_the_executor_and_its_value_to_the_future(bench: Bench) -> None:
    future = bench.call(double, 21)

    (task,) = bench.executor.wait(1)
    assert (task.app, task.args, task.attempt) == ("double", (21,), 1)
    assert not future.done()
    bench.executor.finish(task)

    assert future.result(PATIENCE) == 42
    assert [(one.number, one.executor, one.ended) for one in future.tries] == [
        (1, "fake", Ended.VALUE)
    ]


def test_a_task_whose_input_failed_is_never_launched(bench: Bench) -> None:
    bad = bench.call(failing)
    dependent = bench.call(double, bad)

    bench.crank(dependent.done)

    assert isinstance(dependent.exception(PATIENCE), DependencyError)
    assert bench.executor.seen == [failing]
    assert dependent.tries == ()


def test_a_diamond_runs_each_task_once_and_in_order(bench: Bench) -> None:
    top = bench.call(double, 1)
    left, right = bench.call(double, top), bench.call(double, top)
    bottom = bench.call(total, left, right)

    bench.crank(bottom.done)

    assert bottom.result(PATIENCE) == 8
    assert bench.executor.seen == [double, double, double, total]


def test_a_chain_of_a_hundred_thousand_is_walked_in_linear_time(make_bench: Make) -> None:
    class Counting(FakeExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            assert self._context is not None
            self._context.report(
                [Outcome(one.id, one.attempt, Ended.VALUE, one.args[0] + 1) for one in tasks]
            )

    bench = make_bench(executors={"fake": Counting()})
    steps = 0
    moved = bench.kernel._moved

    def count(*args: Any) -> None:
        nonlocal steps
        steps += 1
        moved(*args)

    bench.kernel._moved = count  # type: ignore[method-assign, assignment]
    size = 100_000
    gate: Future[int] = Future()
    last = bench.call(double, gate)
    for _ in range(size - 1):
        last = bench.call(double, last)
    gate.set_result(0)

    assert last.result(60) == size
    assert steps <= 3 * size + 10


def test_a_failure_at_the_top_of_a_chain_of_a_hundred_thousand_reaches_its_end(
    bench: Bench,
) -> None:
    gate: Future[int] = Future()
    last = first = bench.call(failing, gate)
    size = 100_000
    for _ in range(size - 1):
        last = bench.call(double, last)
    gate.set_result(0)
    bench.crank(first.done)

    error = last.exception(60)

    assert isinstance(error, DependencyError)
    assert error.link.length == size
    assert isinstance(error.roots[0], ValueError)
    assert len(str(error)) < 1000
    assert "failing (task 0) failed with ValueError: bad genes" in str(error)
    assert bench.executor.seen == [failing]


def test_a_chain_of_failures_is_told_from_the_task_to_its_root(bench: Bench) -> None:
    end = bench.call(double, bench.call(total, bench.call(failing)))

    bench.crank(end.done)
    error = end.exception(PATIENCE)

    assert isinstance(error, DependencyError)
    assert error.chain == ("double (task 2)", "total (task 1)", "failing (task 0)")
    assert "double (task 2) <- total (task 1) <- failing (task 0)" in str(error)
    assert "ValueError: bad genes" in str(error)


def test_a_fan_in_with_several_failures_names_all_roots(bench: Bench) -> None:
    bad = [bench.call(failing, n) for n in range(3)]
    good = bench.call(double, 1)
    end = bench.call(total, *bad, good, bad[0])

    bench.crank(end.done)
    error = end.exception(PATIENCE)

    assert isinstance(error, DependencyError)
    assert error.causes == 3
    assert set(map(id, error.roots)) == {id(one.exception()) for one in bad}
    assert good.result(PATIENCE) == 2


def test_more_roots_than_are_kept_are_counted(bench: Bench) -> None:
    groups = [bench.call(total, *[bench.call(failing, n) for n in range(150)]) for _ in range(2)]
    end = bench.call(total, *groups)

    bench.crank(end.done)
    error = end.exception(PATIENCE)

    assert isinstance(error, DependencyError)
    assert (len(error.roots), error.causes) == (100, 300)


def test_an_input_that_ended_long_ago_is_taken_at_once(bench: Bench) -> None:
    ready: Future[int] = Future()
    ready.set_result(4)
    first = bench.call(double, ready)
    bench.crank(first.done)

    assert bench.executor.tasks[0].args == (4,)
    second = bench.call(double, first)
    bench.crank(second.done)
    assert second.result(PATIENCE) == 16


def test_a_future_from_outside_is_waited_for_and_may_be_cancelled(bench: Bench) -> None:
    outside: Future[int] = Future()
    future = bench.call(double, outside)
    bench.settle()
    assert bench.executor.tasks == []

    outside.cancel()

    error = future.exception(PATIENCE)
    assert isinstance(error, DependencyError)
    assert isinstance(error.roots[0], CancelledError)


def test_a_value_that_cannot_take_its_place_is_said(bench: Bench) -> None:
    made = bench.call(list)
    future = bench.call(total, {made})
    bench.crank(future.done)

    error = future.exception(PATIENCE)

    assert isinstance(error, CallError)
    assert "unhashable" in str(error)


def test_a_foreign_future_is_refused_where_it_is_passed(make_bench: Make) -> None:
    one, other = make_bench(), make_bench()
    theirs = other.call(double, 1)

    with pytest.raises(ForeignFuture, match="double"):
        _ = one.call(total, [{"k": theirs}])


# --------------------------------------------------------------------------- failing and retrying


def test_every_try_is_on_the_future(make_bench: Make) -> None:
    bench = make_bench(Rules(limits=Limits(retries=2)))
    future = bench.call(double, 1)

    for count in (1, 2):
        task = bench.executor.wait(count)[-1]
        assert task.attempt == count
        bench.executor.fail(task, ValueError(str(count)))
    bench.executor.finish(bench.executor.wait(3)[-1])

    assert future.result(PATIENCE) == 2
    assert [(one.number, one.ended, str(one.error), one.charged) for one in future.tries] == [
        (1, Ended.ERROR, "1", 1.0),
        (2, Ended.ERROR, "2", 1.0),
        (3, Ended.VALUE, "None", 0.0),
    ]


def test_a_retry_that_has_to_wait_comes_when_it_is_due(make_bench: Make) -> None:
    bench = make_bench(
        Rules(limits=Limits(retries=1), backoff=Backoff(first=0.02, factor=1, jitter=0))
    )
    future = bench.call(double, 1)
    bench.executor.fail(bench.executor.wait(1)[0], ValueError())

    bench.executor.finish(bench.executor.wait(2)[1])

    assert future.result(PATIENCE) == 2


def test_retries_come_while_the_kernel_is_kept_awake(make_bench: Make) -> None:
    """A timer that rings between two items is served as well as one in the quiet."""
    bench = make_bench(
        Rules(limits=Limits(retries=1), backoff=Backoff(first=0.001, factor=1, jitter=1))
    )
    over = threading.Event()

    def keep_awake() -> None:
        while not over.wait(0.0002):
            bench.kernel.tasks()

    noise = threading.Thread(target=keep_awake)
    noise.start()
    try:
        for _ in range(50):
            before = len(bench.executor.tasks)
            future = bench.call(double, 1)
            bench.executor.fail(bench.executor.wait(before + 1)[-1], ValueError())
            bench.executor.finish(bench.executor.wait(before + 2)[-1])
            assert future.result(PATIENCE) == 2
    finally:
        over.set()
        noise.join()


def test_thousands_of_retries_do_not_break_the_back_off(make_bench: Make) -> None:
    bench = make_bench(Rules(limits=Limits(retries=1500)))
    future = bench.call(failing)

    bench.crank(future.done)

    assert len(future.tries) == 1501


def test_a_handler_says_what_a_failure_costs(make_bench: Make) -> None:
    seen: list[tuple[str, int]] = []

    def price(view: Any, error: BaseException) -> float:
        seen.append((view.app, view.attempt))
        return 0.0 if len(seen) < 4 else 100.0

    bench = make_bench(Rules(limits=Limits(retries=1)), deciders=Deciders(price=price))
    future = bench.call(failing)

    bench.crank(future.done)

    assert seen == [("failing", n) for n in (1, 2, 3, 4)]
    assert [one.charged for one in future.tries] == [0.0, 0.0, 0.0, 100.0]


@pytest.mark.parametrize("trouble", [KeyError("odd"), SystemExit(3), KeyboardInterrupt()])
def test_a_handler_that_raises_ends_the_task_with_both_errors(
    make_bench: Make, trouble: BaseException
) -> None:
    def price(view: Any, error: BaseException) -> float:
        raise trouble

    bench = make_bench(Rules(limits=Limits(retries=5)), deciders=Deciders(price=price))
    future = bench.call(failing)

    bench.crank(future.done)

    assert future.exception(PATIENCE) is trouble
    assert isinstance(trouble.__context__, ValueError)
    assert [type(one.error) for one in future.tries] == [ValueError]


def test_a_handler_that_answers_nonsense_ends_the_task(make_bench: Make) -> None:
    bench = make_bench(
        Rules(limits=Limits(retries=5)), deciders=Deciders(price=lambda view, error: float("nan"))
    )
    future = bench.call(failing)

    bench.crank(future.done)

    assert len(future.tries) == 1


def test_losses_are_tried_again_without_charge_and_then_told(make_bench: Make) -> None:
    bench = make_bench(Rules(limits=Limits(losses=3)))
    future = bench.call(double, 1)

    for count in range(1, 5):
        bench.executor.lose(bench.executor.wait(count)[-1], f"cable {count}")

    error = future.exception(PATIENCE)
    assert type(error) is TaskLost
    assert len(error.losses) == 4
    assert [one.charged for one in future.tries] == [0.0] * 4


def test_a_task_that_kills_three_workers_is_poison(make_bench: Make) -> None:
    bench = make_bench(Rules(limits=Limits(losses=10, retries=10)))
    future = bench.call(double, 1)

    for count in range(1, 4):
        bench.executor.kill(bench.executor.wait(count)[-1])

    assert isinstance(future.exception(PATIENCE), PoisonTask)
    assert len(future.tries) == 3


class Rude(Exception):
    """An exception whose every method raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("neither")

    @property
    def __notes__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no notes")


class Notes(Exception):
    __notes__ = 7  # type: ignore[assignment]


@pytest.mark.parametrize("error", [Rude(), Notes(), SystemExit(1), KeyboardInterrupt()])
def test_an_odd_exception_ends_its_task_and_those_that_depend_on_it(
    make_bench: Make, error: BaseException
) -> None:
    bench = make_bench(monitor=FakeMonitor())
    future = bench.call(double, 1)
    dependent = bench.call(double, future)

    bench.executor.fail(bench.executor.wait(1)[0], error)

    assert future.exception(PATIENCE) is error
    end = dependent.exception(PATIENCE)
    assert isinstance(end, DependencyError)
    assert end.roots[0] is error
    assert bench.kernel.snapshot().failures


# ------------------------------------------------------------------------------------------ joins


def crank_join(bench: Bench, body: Callable[..., Any], *args: Any) -> Any:
    future = bench.join(body, *args)
    bench.crank(future.done)
    return future


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (lambda a, b: a, 2),
        (lambda a, b: [a, b], [2, 4]),
        (lambda a, b: (b, a), (4, 2)),
        (lambda a, b: {"a": a, "b": [b, (a,)]}, {"a": 2, "b": [4, (2,)]}),
        (lambda a, b: [], []),
        (lambda a, b: {}, {}),
        (lambda a, b: [[], ()], [[], ()]),
        (lambda a, b: [a, a], [2, 2]),
    ],
)
def test_a_join_has_the_values_of_its_futures_in_their_places(
    bench: Bench, shape: Callable[[Any, Any], Any], expected: Any
) -> None:
    def body() -> Any:
        return shape(bench.call(double, 1), bench.call(double, 2))

    assert crank_join(bench, body).result(PATIENCE) == expected


def test_a_join_may_return_futures_from_outside(bench: Bench) -> None:
    outside: Future[int] = Future()
    future = bench.join(lambda: [outside])
    outside.set_result(3)

    assert future.result(PATIENCE) == [3]


@pytest.mark.parametrize(
    ("value", "path", "shown"),
    [
        (None, "the result", "None"),
        (42, "the result", "42"),
        ("text", "the result", "'text'"),
        ([{"k": 1}], "the result[0]['k']", "1"),
        ({1, 2}, "the result", "{1, 2}"),
        ("x" * 1000, "the result", "a str"),
        ([Rude()], "the result[0]", "a Rude"),
    ],
)
def test_a_join_of_something_else_says_where_it_is(
    bench: Bench, value: Any, path: str, shown: str
) -> None:
    error = crank_join(bench, lambda: value).exception(PATIENCE)

    assert isinstance(error, JoinTypeError)
    assert (error.path, error.found) == (path, shown)


def test_a_failure_within_a_join_names_its_path_and_the_number_of_others(bench: Bench) -> None:
    def fan() -> Any:
        return {"good": bench.call(double, 1), "bad": [bench.call(failing), bench.call(failing)]}

    error = crank_join(bench, fan).exception(PATIENCE)

    assert isinstance(error, JoinError)
    assert error.path == "the result['bad'][0]"
    assert error.more == 1
    assert isinstance(error.root, ValueError)
    assert error.__cause__ is error.root
    assert "failing" in str(error)


def test_a_join_body_that_raises_fails_its_task_and_is_not_tried_again(make_bench: Make) -> None:
    bench = make_bench(Rules(limits=Limits(retries=3)))
    calls = []

    def body() -> Any:
        calls.append(1)
        raise OSError("no such sample")

    assert isinstance(crank_join(bench, body).exception(PATIENCE), OSError)
    assert calls == [1]


def test_joins_within_joins_go_five_hundred_deep(bench: Bench) -> None:
    def countdown(n: int) -> Any:
        return bench.join(countdown, n - 1) if n else bench.call(double, 21)

    assert crank_join(bench, countdown, 500).result(PATIENCE) == 42


def test_what_a_join_body_does_to_its_list_later_changes_nothing(bench: Bench) -> None:
    kept: list[Any] = []

    def body() -> Any:
        kept.append(bench.call(double, 1))
        return kept

    future = bench.join(body)
    bench.executor.wait(1)
    while bench.view(future).state is not TaskState.JOINING:
        bench.settle()
    kept.clear()
    bench.crank(future.done)

    assert future.result(PATIENCE) == [2]


def test_a_join_of_shared_and_circular_containers_comes_out_alike(bench: Bench) -> None:
    def body() -> Any:
        shared: list[Any] = [bench.call(double, 1)]
        for _ in range(40):
            shared = [shared, shared]
        knot: list[Any] = [shared]
        knot.append(knot)
        return knot

    result = crank_join(bench, body).result(PATIENCE)

    assert result[1] is result
    inner = result[0]
    for _ in range(40):
        assert inner[0] is inner[1]
        inner = inner[0]
    assert inner == [2]


def test_a_join_that_returns_its_own_future_is_told_so(bench: Bench) -> None:
    ready = threading.Event()
    own: list[Any] = []

    def loop() -> Any:
        assert ready.wait(PATIENCE)
        return own

    own.append(bench.join(loop))
    ready.set()

    error = own[0].exception(PATIENCE)
    assert isinstance(error, JoinCycle)
    assert error.chain == ("loop (task 0)", "loop (task 0)")


def test_a_join_that_waits_for_itself_through_another_task_is_told_so(bench: Bench) -> None:
    ready = threading.Event()
    made: list[Any] = []

    def loop() -> Any:
        assert ready.wait(PATIENCE)
        return made[-1]

    start = bench.join(loop)
    made += [bench.call(double, start), bench.call(double, bench.call(double, start))]
    ready.set()

    error = start.exception(PATIENCE)
    assert isinstance(error, JoinCycle)
    assert error.chain[0] == error.chain[-1] == "loop (task 0)"
    assert len(error.chain) == 4
    assert isinstance(made[-1].exception(PATIENCE), DependencyError)


def test_two_joins_that_wait_for_each_other_are_told_so(bench: Bench) -> None:
    ready = threading.Event()
    both: dict[str, Any] = {}

    def left() -> Any:
        assert ready.wait(PATIENCE)
        return [both["right"]]

    def right() -> Any:
        assert ready.wait(PATIENCE)
        return {"k": both["left"]}

    both["left"], both["right"] = bench.join(left), bench.join(right)
    ready.set()

    errors = [future.exception(PATIENCE) for future in both.values()]
    assert {type(error) for error in errors} == {JoinCycle, JoinError}


def test_a_join_of_a_foreign_future_is_refused(make_bench: Make) -> None:
    bench, other = make_bench(), make_bench()
    theirs = other.call(double, 1)

    error = crank_join(bench, lambda: [theirs]).exception(PATIENCE)

    assert isinstance(error, ForeignFuture)


# ------------------------------------------------------------------------------------- cancelling


def test_a_task_that_waits_is_cancelled_and_its_dependents_fail(bench: Bench) -> None:
    gate: Future[int] = Future()
    waiting = bench.call(double, gate)
    dependent = bench.call(double, waiting)

    assert waiting.cancel()
    assert waiting.cancelled()
    assert waiting.cancel()
    with pytest.raises(CancelledError):
        waiting.result(PATIENCE)
    error = dependent.exception(PATIENCE)
    assert isinstance(error, DependencyError)
    assert "double (task 0)" in str(error)
    gate.set_result(1)
    bench.settle()
    assert bench.executor.tasks == []


def test_a_task_in_the_executor_is_cancelled_if_the_executor_can(bench: Bench) -> None:
    future = bench.call(double, 1)
    bench.executor.wait(1)

    assert future.cancel()
    assert bench.executor.cancelled == [0]
    assert [one.ended for one in future.tries] == [Ended.CANCELLED]


class Stubborn(FakeExecutor):
    """Stops nothing that it has begun."""

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        return ()


class Explosive(FakeExecutor):
    """Raises when it is asked to cancel or to drop."""

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        raise RuntimeError("not now")

    drop = cancel


@pytest.mark.parametrize("kind", [Stubborn, Explosive])
def test_a_task_that_cannot_be_stopped_goes_on(make_bench: Make, kind: type[FakeExecutor]) -> None:
    bench = make_bench(executors={"fake": kind()})
    future = bench.call(double, 1)
    bench.executor.wait(1)

    assert not future.cancel()
    assert not future.done()
    bench.executor.finish_all()
    assert future.result(PATIENCE) == 2
    assert not future.cancel()


def test_an_executor_that_raises_when_asked_to_drop_does_not_stop_the_closing(
    make_bench: Make,
) -> None:
    bench = make_bench(executors={"fake": Explosive()})
    _ = bench.call(double, 1)
    bench.executor.wait(1)

    assert bench.kernel.cancel_waiting() == {"double": 1}


def test_cancelling_a_join_ends_it_and_leaves_what_it_called(bench: Bench) -> None:
    inner: list[Any] = []

    def body() -> Any:
        inner.append(bench.call(double, 1))
        return inner

    future = bench.join(body)
    bench.executor.wait(1)

    assert future.cancel()
    bench.executor.finish_all()
    assert inner[0].result(PATIENCE) == 2
    assert future.cancelled()


# ---------------------------------------------------------------------------------- odd executors


def test_what_is_reported_twice_counts_once(bench: Bench) -> None:
    future = bench.call(double, 1)
    (task,) = bench.executor.wait(1)
    one = Outcome(task.id, 1, Ended.VALUE, "first")
    other = Outcome(task.id, 1, Ended.VALUE, "second")

    bench.kernel.report([one, other])
    bench.kernel.report((other,))

    assert future.result(PATIENCE) == "first"


def test_unknown_ids_and_earlier_tries_are_ignored(make_bench: Make) -> None:
    bench = make_bench(Rules(limits=Limits(retries=1)))
    future = bench.call(double, 1)
    bench.executor.fail(bench.executor.wait(1)[0], ValueError())
    task = bench.executor.wait(2)[1]

    bench.kernel.report(
        [
            Outcome(999, 1, Ended.VALUE, "nobody's"),
            Outcome(-1, 1, Ended.VALUE, "nobody's"),
            Outcome(task.id, 1, Ended.VALUE, "late"),
            Outcome(task.id, 3, Ended.VALUE, "early"),
        ]
    )
    bench.settle()
    assert not future.done()
    bench.executor.finish(task)

    assert future.result(PATIENCE) == 2


def test_junk_among_outcomes_harms_no_other(bench: Bench) -> None:
    futures = [bench.call(double, n) for n in range(3)]
    tasks = bench.executor.wait(3)
    junk: list[Any] = [None, "junk", Outcome([], 1, Ended.VALUE, 1), 42]  # type: ignore[arg-type]
    good = [Outcome(one.id, 1, Ended.VALUE, one.id) for one in tasks]

    bench.kernel.report([*junk, good[0], *junk, good[1]])
    bench.kernel.report(iter([good[2]]))  # type: ignore[arg-type]

    assert [future.result(PATIENCE) for future in futures] == [0, 1, 2]


def test_an_ending_that_does_not_exist_is_a_loss(make_bench: Make) -> None:
    bench = make_bench(Rules(limits=Limits(losses=0)))
    future = bench.call(double, 1)
    bench.executor.wait(1)

    bench.kernel.report([Outcome(0, 1, "exploded", "text")])  # type: ignore[arg-type]

    assert isinstance(future.exception(PATIENCE), TaskLost)


def test_an_executor_that_breaks_fails_what_it_holds_and_gets_no_more(bench: Bench) -> None:
    held = bench.call(double, 1)
    bench.executor.wait(1)

    bench.executor.break_down(OSError("no route to host"))

    error = held.exception(PATIENCE)
    assert isinstance(error, ExecutorFailed)
    assert "no route to host" in str(error)
    assert isinstance(error.__cause__, OSError)
    assert [one.ended for one in held.tries] == [Ended.LOST]
    assert isinstance(bench.call(double, 2).exception(PATIENCE), ExecutorFailed)
    assert len(bench.executor.tasks) == 1


@pytest.mark.parametrize("trouble", [RuntimeError("full"), SystemExit(1)])
def test_an_executor_whose_submit_raises_is_broken(
    make_bench: Make, trouble: BaseException
) -> None:
    class Raising(FakeExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            raise trouble

    bench = make_bench(executors={"fake": Raising()})

    for _ in range(2):
        assert isinstance(bench.call(double, 1).exception(PATIENCE), ExecutorFailed)


def test_tasks_go_to_another_executor_when_one_is_broken(make_bench: Make) -> None:
    first, second = FakeExecutor(), FakeExecutor()
    bench = make_bench(executors={"first": first, "second": second})
    first.break_down()
    bench.settle()

    futures = [bench.call(double, n) for n in range(4)]
    second.wait(4)
    second.finish_all()

    assert [future.result(PATIENCE) for future in futures] == [0, 2, 4, 6]
    assert first.tasks == []


def test_tasks_are_spread_by_the_load_of_each_executor(make_bench: Make) -> None:
    small, large = FakeExecutor(workers=1), FakeExecutor(workers=3)
    bench = make_bench(executors={"small": small, "large": large})

    for n in range(40):
        _ = bench.call(double, n)
    bench.settle()

    assert (len(small.tasks), len(large.tasks)) == (10, 30)


def test_an_app_goes_only_where_it_may(make_bench: Make) -> None:
    one, other = FakeExecutor(), FakeExecutor()
    bench = make_bench(executors={"one": one, "other": other})
    spec = TaskSpec(name="double", function=double, executors=("other",))

    for n in range(4):
        _ = bench.ask(spec, n)
    bench.settle()

    assert (len(one.tasks), len(other.tasks)) == (0, 4)
    with pytest.raises(UnknownExecutor, match="'elsewhere'"):
        _ = bench.ask(TaskSpec(name="double", function=double, executors=("elsewhere",)), 1)


def test_what_no_executor_can_give_is_refused_at_the_call(make_bench: Make) -> None:
    bench = make_bench(capabilities={})
    needs = Needs(walltime=3.0, resources=Resources(cores=2))

    with pytest.raises(UnsupportedRequest, match=r"walltime and resources\.cores"):
        _ = bench.ask(TaskSpec(name="double", function=double, needs=needs), 1)


def test_a_choice_by_a_hook_is_followed_and_nonsense_is_not(make_bench: Make) -> None:
    answers = iter(["other", "nowhere", None])
    one, other = FakeExecutor(), FakeExecutor()
    bench = make_bench(
        executors={"one": one, "other": other},
        deciders=Deciders(choose=lambda view, labels: next(answers)),
    )
    for n in range(3):
        _ = bench.call(double, n)
        bench.settle()

    assert len(one.tasks) + len(other.tasks) == 3
    assert other.tasks[0].args == (0,)


def test_a_choice_that_raises_fails_its_task_and_nothing_else(make_bench: Make) -> None:
    def choose(view: Any, labels: Any) -> Any:
        if view.app == "double":
            raise RuntimeError("undecided")

    bench = make_bench(
        executors={"one": FakeExecutor(), "other": FakeExecutor()},
        deciders=Deciders(choose=choose),
    )

    assert isinstance(bench.call(double, 1).exception(PATIENCE), RuntimeError)
    other = bench.call(total, 1)
    bench.settle()
    for executor in bench.executors.values():
        assert isinstance(executor, FakeExecutor)
        executor.finish_all()
    assert other.result(PATIENCE) == 1


# --------------------------------------------------------------------------------------- throttle


def test_a_call_beyond_the_limit_raises_if_so_chosen(make_bench: Make) -> None:
    bench = make_bench(Rules(max_pending=2, raise_when_full=True))
    first = [bench.call(double, n) for n in range(2)]

    with pytest.raises(TooManyPending, match="2 tasks are unfinished"):
        _ = bench.call(double, 3)
    bench.executor.wait(2)
    bench.executor.finish_all()
    assert [future.result(PATIENCE) for future in first] == [0, 2]
    bench.settle()
    assert bench.call(double, 4) is not None


def test_a_call_beyond_the_limit_waits_for_a_place(make_bench: Make) -> None:
    bench = make_bench(Rules(max_pending=2))
    done: list[Any] = []

    def submit() -> None:
        done.extend(bench.call(double, n) for n in range(20))

    caller = threading.Thread(target=submit)
    caller.start()
    most = 0
    for count in range(1, 21):
        task = bench.executor.wait(count)[count - 1]
        most = max(most, len(bench.executor.waiting))
        bench.executor.finish(task)
    caller.join(PATIENCE)

    assert not caller.is_alive()
    assert most <= 2
    assert [future.result(PATIENCE) for future in done] == [2 * n for n in range(20)]


def test_join_bodies_pass_the_limit_and_do_not_widen_it(make_bench: Make) -> None:
    bench = make_bench(Rules(max_pending=2))
    fan = bench.join(lambda: [bench.call(double, n) for n in range(20)])
    bench.crank(fan.done)
    assert fan.result(PATIENCE) == [2 * n for n in range(20)]

    slots = bench.kernel._slots
    assert slots is not None
    bench.settle()
    assert slots._free == 2


def test_whoever_waits_for_a_place_is_told_when_the_session_closes(make_bench: Make) -> None:
    bench = make_bench(Rules(max_pending=1))
    _ = bench.call(double, 1)
    errors: list[BaseException] = []
    started = threading.Event()

    def submit() -> None:
        started.set()
        try:
            _ = bench.call(double, 2)
        except SessionClosed as error:
            errors.append(error)

    caller = threading.Thread(target=submit)
    caller.start()
    assert started.wait(PATIENCE)
    bench.kernel.refuse("The session is closing.")
    caller.join(PATIENCE)

    assert not caller.is_alive()
    assert len(errors) == 1


# ---------------------------------------------------------------------------------- looking at it


def test_counts_add_up_at_every_moment(bench: Bench) -> None:
    over = threading.Event()
    odd: list[Any] = []

    def look() -> None:
        last = 0
        while not over.is_set():
            counts = bench.kernel.snapshot().counts
            total = sum(counts.values())
            if total < last or total > 600 or any(count < 0 for count in counts.values()):
                odd.append(counts)
            last = total

    watcher = threading.Thread(target=look)
    watcher.start()
    futures = [bench.call(double if n % 3 else failing, n) for n in range(300)]
    dependents = [bench.call(double, future) for future in futures]
    bench.crank(lambda: all(one.done() for one in dependents))
    over.set()
    watcher.join(PATIENCE)

    assert odd == []
    counts = bench.kernel.snapshot().counts
    assert (counts[TaskState.DONE], counts[TaskState.FAILED]) == (400, 200)
    assert sum(counts.values()) == 600


def test_a_call_is_counted_as_soon_as_it_has_returned(bench: Bench) -> None:
    for count in range(1, 50):
        _ = bench.call(double, 1)
        assert sum(bench.kernel.snapshot().counts.values()) == count


def test_views_show_where_each_task_is_and_what_it_waits_for(bench: Bench) -> None:
    first = bench.call(double, 1)
    second = bench.call(total, first, [first])

    views = bench.kernel.tasks()

    assert [(one.id, one.app, one.state, one.waits_for, one.executor) for one in views] == [
        (0, "double", TaskState.LAUNCHED, (), "fake"),
        (1, "total", TaskState.PENDING, (0,), ""),
    ]
    bench.crank(second.done)
    assert list(bench.kernel.tasks()) == []


def test_failures_are_grouped_by_app_and_kind(bench: Bench) -> None:
    futures = [bench.call(failing, n) for n in range(5)]
    bench.crank(lambda: all(one.done() for one in futures))

    (group,) = bench.kernel.snapshot().failures

    assert (group.app, group.error, group.count, group.task) == ("failing", "ValueError", 5, 0)
    assert group.example == "bad genes"


def test_a_monitor_is_told_every_move_in_order(make_bench: Make) -> None:
    monitor = FakeMonitor()
    bench = make_bench(Rules(limits=Limits(retries=1)), monitor=monitor)
    first = bench.call(double, 1)
    second = bench.call(total, first)
    bench.executor.fail(bench.executor.wait(1)[0], ValueError("once"))
    bench.crank(second.done)
    bench.monitoring.close()

    told = [event for event in monitor.events if isinstance(event, (TaskMoved, TaskSubmitted))]
    for task, moves in ((0, "launched pending launched done"), (1, "launched done")):
        mine = [event for event in told if event.id == task]
        assert isinstance(mine[0], TaskSubmitted)
        assert mine[0].needs == ((0,) if task else ())
        assert " ".join(one.state.label for one in mine if isinstance(one, TaskMoved)) == moves
    (retry,) = monitor.of(TryEnded)
    assert (retry.id, retry.attempt, retry.ended) == (0, 1, "error")
    for task in (0, 1):
        states = [TaskState.PENDING, *(m.state for m in monitor.of(TaskMoved) if m.id == task)]
        assert all(after in MOVES[before] for before, after in pairwise(states))


def test_a_task_that_goes_straight_through_is_told_in_two_rows_the_first_while_it_runs(
    make_bench: Make,
) -> None:
    rows: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def record(told: Sequence[Any]) -> None:
        for row in told:
            rows.put(row)

    bench = make_bench(record=record)
    first, second = bench.call(double, 1), bench.call(total, bench.call(double, 2))
    begun = [rows.get(timeout=PATIENCE) for _ in range(3)]
    for number, value in ((0, 2), (1, 4)):
        outcome = Outcome(number, 1, Ended.VALUE, value, "here", 5.0, 0.5)
        bench.kernel.report([outcome])
    bench.executor.wait(3)
    bench.kernel.report([Outcome(2, 1, Ended.VALUE, 4)])
    assert (first.result(PATIENCE), second.result(PATIENCE)) == (2, 4)
    bench.monitoring.close()

    later = [rows.get_nowait() for _ in range(rows.qsize())]
    told = [(row[0], *row[2:]) for row in (*begun, *later)]
    assert told == [
        (BEGUN, 0, "double", "fake"),
        (BEGUN, 1, "double", "fake"),
        (TaskSubmitted, 2, "total", (1,)),
        (DONE, 0, "double", 1, "here", 5.0, 0.5),
        (DONE, 1, "double", 1, "here", 5.0, 0.5),
        (TaskMoved, 2, "total", TaskState.LAUNCHED, 1, "fake", ""),
        (DONE, 2, "total", 1, "", 0.0, None),
    ]
    times = [row[1] for row in (*begun, *later)]
    assert all(isinstance(time, float) for time in times)


def test_the_end_of_a_try_is_told_with_where_and_when_it_ran_and_stays_known(
    make_bench: Make,
) -> None:
    monitor = FakeMonitor()
    bench = make_bench(Rules(limits=Limits(retries=1)), monitor=monitor)
    again = bench.call(double, 1)
    lost, good = Outcome(0, 1, Ended.LOST, "gone", "one on n1", 5.0, 0.5), ("two on n2", 6.0, 0.25)
    bench.executor.wait(1)
    bench.kernel.report([lost])
    bench.kernel.report([Outcome(0, 2, Ended.VALUE, 2, *good)])
    once = bench.call(double, 2)
    bench.kernel.report([Outcome(1, 1, Ended.VALUE, 4, *good)])
    assert (again.result(PATIENCE), once.result(PATIENCE)) == (2, 4)
    bench.monitoring.close()

    moves = [(m.id, m.state.label, (m.place, m.begun, m.seconds)) for m in monitor.of(TaskMoved)]
    unknown, first = ("", 0.0, None), ("one on n1", 5.0, 0.5)
    assert [(label, ran) for task, label, ran in moves if task == 0] == [
        ("launched", unknown), ("pending", first), ("launched", unknown), ("done", good)
    ]  # fmt: skip
    assert [(label, ran) for task, label, ran in moves if task == 1] == [
        ("launched", unknown), ("done", good)
    ]  # fmt: skip
    (retry,) = monitor.of(TryEnded)
    assert (retry.place, retry.begun, retry.seconds) == first
    assert [(one.place, one.begun, one.seconds) for one in again.tries] == [first, good]
    assert [(one.place, one.begun, one.seconds) for one in once.tries] == [good]


@pytest.mark.parametrize(
    "deciders", [Deciders(), Deciders(price=lambda view, error: 1.0)], ids=["charged", "priced"]
)
def test_each_try_that_is_made_again_is_told_with_the_wait_before_the_next(
    make_bench: Make, deciders: Deciders
) -> None:
    monitor = FakeMonitor()
    backoff = Backoff(first=0.002, factor=2, jitter=0)
    bench = make_bench(
        Rules(limits=Limits(retries=2), backoff=backoff), deciders=deciders, monitor=monitor
    )
    future = bench.call(failing)
    bench.crank(future.done)
    bench.monitoring.close()

    told = [(one.attempt, one.executor, one.error, one.delay) for one in monitor.of(TryEnded)]
    assert told == [
        (1, "fake", "ValueError: bad genes", 0.002),
        (2, "fake", "ValueError: bad genes", 0.004),
    ]


# ---------------------------------------------------------------------------------------- the end


def test_a_call_after_the_end_is_refused_and_nothing_waits_for_ever(bench: Bench) -> None:
    _ = bench.call(double, 1)
    bench.kernel.close(PATIENCE)

    with pytest.raises(SessionClosed, match="double"):
        _ = bench.call(double, 1)
    assert bench.kernel.wait_idle(PATIENCE)
    assert list(bench.kernel.tasks()) == []
    assert sum(bench.kernel.snapshot().counts.values()) == 1
    bench.kernel.close(PATIENCE)


def test_unfinished_tasks_end_when_the_kernel_does(bench: Bench) -> None:
    gate: Future[int] = Future()
    running = bench.call(double, 1)
    bench.executor.wait(1)
    waiting = bench.call(double, gate)
    dependent = bench.call(double, running)

    bench.kernel.close(PATIENCE)

    assert isinstance(running.exception(PATIENCE), SessionClosed)
    assert waiting.cancelled() or isinstance(waiting.exception(PATIENCE), DependencyError)
    assert dependent.done()


def test_calls_that_race_with_the_end_are_refused_or_end(make_bench: Make) -> None:
    for _ in range(20):
        bench = make_bench()
        barrier = threading.Barrier(4)
        made: list[Any] = []

        def submit(bench: Bench = bench, barrier: Any = barrier, made: list[Any] = made) -> None:
            barrier.wait(PATIENCE)
            try:
                made.extend(bench.call(double, n) for n in range(200))
            except SessionClosed:
                return

        callers = [threading.Thread(target=submit) for _ in range(3)]
        for caller in callers:
            caller.start()
        barrier.wait(PATIENCE)
        bench.kernel.close(PATIENCE)
        for caller in callers:
            caller.join(PATIENCE)
        assert not wait(made, PATIENCE).not_done


def test_many_threads_may_call_at_once(bench: Bench) -> None:
    barrier = threading.Barrier(9)
    made: list[list[Any]] = [[] for _ in range(8)]

    def submit(into: list[Any], base: int) -> None:
        barrier.wait(PATIENCE)
        into.extend(bench.call(double, base + n) for n in range(200))

    callers = [
        threading.Thread(target=submit, args=(into, 1000 * n)) for n, into in enumerate(made)
    ]
    for caller in callers:
        caller.start()
    barrier.wait(PATIENCE)
    for caller in callers:
        caller.join(PATIENCE)
    futures = [future for into in made for future in into]
    bench.crank(lambda: all(one.done() for one in futures))

    assert len({future.task_id for future in futures}) == 1600
    for n, into in enumerate(made):
        assert [one.result() for one in into] == [2 * (1000 * n + k) for k in range(200)]


def test_a_checkpoint_that_raises_decides_no_fate(make_bench: Make) -> None:
    class Full:
        def keep(self, *_: Any) -> None:
            raise OSError("no space left on device")

    bench = make_bench(keeper=Full())
    spec = TaskSpec(name="double", function=double, cache=True, identity=lambda args, kw: b"k")
    future = bench.ask(spec, 4)

    bench.crank(future.done)

    assert future.result(PATIENCE) == 8


@pytest.mark.parametrize("trouble", [RuntimeError("odd"), SystemExit(1)])
def test_an_identity_that_raises_fails_its_task_and_harms_no_thread(
    make_bench: Make, trouble: BaseException
) -> None:
    def identity(args: Any, kwargs: Any) -> bytes:
        raise trouble

    bench = make_bench()
    spec = TaskSpec(name="double", function=double, cache=True, identity=identity)

    for _ in range(3):  # more often than the pool has threads
        assert bench.ask(spec, 4).exception(PATIENCE) is trouble


def test_a_memoized_join_that_calls_itself_is_told_so(bench: Bench) -> None:
    def again() -> Any:
        return bench.ask(spec)

    spec = TaskSpec(
        name="again", function=again, join=True, cache=True, identity=lambda args, kw: b"key"
    )
    future = bench.ask(spec)

    error = future.exception(PATIENCE)

    assert isinstance(error, (JoinCycle, JoinError))


def test_identical_calls_in_flight_run_once(bench: Bench) -> None:
    spec = TaskSpec(name="double", function=double, cache=True, identity=lambda args, kw: b"k")
    futures = [bench.ask(spec, 5) for _ in range(10)]

    bench.crank(lambda: all(one.done() for one in futures))

    assert [one.result() for one in futures] == [10] * 10
    assert len(bench.executor.tasks) == 1
    assert sum(one.from_memory() for one in futures) == 9


def test_a_cancelled_leader_hands_on_to_a_follower(bench: Bench) -> None:
    spec = TaskSpec(name="double", function=double, cache=True, identity=lambda args, kw: b"k")
    leader = bench.ask(spec, 5)
    bench.executor.wait(1)
    followers = [bench.ask(spec, 5) for _ in range(3)]
    bench.settle()

    assert leader.cancel()
    bench.crank(lambda: all(one.done() for one in followers))

    assert [one.result() for one in followers] == [10] * 3
    assert len(bench.executor.tasks) == 2


# ------------------------------------------------------------------------------------- simulation


class Chance(FakeExecutor):
    """Ends each task at random, sometimes late, twice, or as another try; counts what it did."""

    def __init__(self, seed: int) -> None:
        super().__init__(workers=4)
        self.random = random.Random(seed)
        self.errors: dict[int, int] = {}
        self.lost: dict[int, int] = {}
        self.killed: dict[int, int] = {}

    def turn(self) -> int:
        held = self.waiting
        self.random.shuffle(held)
        for task in held[: self.random.randint(1, 20)]:
            roll = self.random.random()
            if roll < 0.08:
                self.errors[task.id] = self.errors.get(task.id, 0) + 1
                self.fail(task, ValueError(f"{task.id}"))
            elif roll < 0.14:
                self.lost[task.id] = self.lost.get(task.id, 0) + 1
                self.lose(task)
            elif roll < 0.18:
                self.lost[task.id] = self.lost.get(task.id, 0) + 1
                self.killed[task.id] = self.killed.get(task.id, 0) + 1
                self.kill(task)
            else:
                outcome = self.finish(task)
                if roll > 0.9:
                    self._report(
                        [outcome, Outcome(task.id, task.attempt, Ended.ERROR, ValueError())]
                    )
        return len(held)

    def status(self) -> ExecutorStatus:
        return ExecutorStatus(workers=4)


@pytest.mark.parametrize("seed", range(8))
def test_a_random_graph_with_random_endings_comes_out_as_the_budgets_say(
    make_bench: Make, seed: int
) -> None:
    chance = Chance(seed)
    limits = Limits(retries=1, losses=2, deaths=2)
    bench = make_bench(Rules(limits=limits), executors={"fake": chance})
    choose = random.Random(seed)
    futures: list[Any] = []
    inputs: list[list[int]] = []
    for n in range(300):
        wanted = choose.sample(range(n), min(n, choose.choice((0, 0, 1, 1, 2, 5))))
        inputs.append(wanted)
        futures.append(bench.call(total, 1, *[futures[one] for one in wanted]))
    for _ in range(100_000):
        if all(one.done() for one in futures):
            break
        chance.turn()
        bench.settle()

    expected: list[Any] = []
    for n, future in enumerate(futures):
        error = future.exception(PATIENCE)
        kinds = {
            "dependency": any(expected[one] is None for one in inputs[n]),
            "error": chance.errors.get(n, 0) > limits.retries,
            "poison": chance.killed.get(n, 0) >= limits.deaths,
            "lost": chance.lost.get(n, 0) > limits.losses,
        }
        if kinds["dependency"]:
            expected.append(None)
            assert isinstance(error, DependencyError)
            assert future.tries == ()
        elif kinds["error"]:
            expected.append(None)
            assert isinstance(error, ValueError)
        elif kinds["poison"]:
            expected.append(None)
            assert isinstance(error, PoisonTask)
        elif kinds["lost"]:
            expected.append(None)
            assert type(error) is TaskLost
        else:
            expected.append(1 + sum(expected[one] for one in inputs[n]))
            assert future.result() == expected[n]
            bad = chance.errors.get(n, 0) + chance.lost.get(n, 0)
            assert len(future.tries) == bad + 1
    counts = bench.kernel.snapshot().counts
    assert sum(counts[state] for state in FINAL) == 300
