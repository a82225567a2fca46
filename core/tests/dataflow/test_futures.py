"""The futures of apps are the standard library's futures, with a few things more."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from concurrent.futures import (
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    Future,
    InvalidStateError,
    as_completed,
    wait,
)
from typing import TYPE_CHECKING, Any

import pytest

from weft.dataflow.futures import AppFuture, DataFuture
from weft.errors import DependencyError, NotUnpackable
from weft.testing import FakeExecutor, FakeStager
from weft.values.files import File
from weft.values.states import TaskState
from weft.values.task import TaskSpec

if TYPE_CHECKING:
    from core.tests.dataflow.conftest import Bench

    Make = Callable[..., Bench]

PATIENCE = 60.0


def double(x: Any) -> Any:
    return 2 * x


def failing() -> Any:
    raise ValueError("bad")


def pair() -> Any:
    return ("left", "right")


class Owner:
    """Settles futures in the thread of the test."""

    def __init__(self) -> None:
        self.delivered: list[Any] = []

    def cancel(self, future: Any) -> bool:
        future.settle(None, None, cancelled=True)
        return True

    def lift(self, future: Any, how: str, key: Any) -> Any:
        return (how, key)

    def deliver(self, future: Any) -> None:
        self.delivered.append(future)
        future.invoke_callbacks()


SPEC = TaskSpec(name="double", function=double)


def new() -> AppFuture[Any]:
    return AppFuture(Owner(), 1, SPEC)


# ------------------------------------------------------------------------- the standard library's


def test_it_is_a_future_of_the_standard_library(bench: Bench) -> None:
    future = bench.call(double, 1)

    assert isinstance(future, Future)
    assert not future.done()
    assert not future.cancelled()
    bench.crank(future.done)
    assert (future.result(), future.exception()) == (2, None)
    assert future.done()
    assert not future.running()


def test_the_states_are_told(bench: Bench) -> None:
    gate: Future[int] = Future()
    waiting, running = bench.call(double, gate), bench.call(double, 1)
    bench.executor.wait(1)
    bench.settle()

    assert (waiting.task_state(), waiting.running()) == (TaskState.PENDING, False)
    assert (running.task_state(), running.running()) == (TaskState.LAUNCHED, True)
    assert "double (task 0): pending" in repr(waiting)
    assert waiting.cancel()
    assert waiting.task_state() is TaskState.CANCELLED


def test_an_exception_is_raised_and_told(bench: Bench) -> None:
    future = bench.call(failing)
    bench.crank(future.done)

    with pytest.raises(ValueError, match="bad") as caught:
        future.result(PATIENCE)
    assert future.exception() is caught.value
    assert "in app 'failing' (task 0, try 1) on executor 'fake'" in caught.value.__notes__
    assert future.task_state() is TaskState.FAILED


def test_a_wait_with_a_timeout_ends_in_time(bench: Bench) -> None:
    future = bench.call(double, 1)

    for ask in (future.result, future.exception):
        with pytest.raises(TimeoutError):
            ask(0.01)
        with pytest.raises(TimeoutError):
            ask(0)
    bench.executor.wait(1)
    bench.executor.finish_all()
    assert future.result(PATIENCE) == 2


@pytest.mark.parametrize("when", [FIRST_COMPLETED, FIRST_EXCEPTION, "ALL_COMPLETED"])
def test_wait_works_with_a_mixture(bench: Bench, when: str) -> None:
    outside: Future[int] = Future()
    futures: list[Future[Any]] = [bench.call(double, n) for n in range(3)]
    futures += [bench.call(failing), outside]
    bench.executor.wait(4)
    threading.Thread(target=bench.executor.finish_all).start()
    if when == "ALL_COMPLETED":
        outside.set_result(1)

    done, _ = wait(futures, PATIENCE, return_when=when)

    assert len(done) >= 1
    if when == "ALL_COMPLETED":
        assert done == set(futures)
    if when == FIRST_EXCEPTION:
        assert futures[3] in done


def test_as_completed_gives_each_once(bench: Bench) -> None:
    futures = [bench.call(double, n) for n in range(50)]
    cranking = threading.Thread(target=bench.crank, args=(futures[-1].done,))
    cranking.start()

    seen = [future.result() for future in as_completed(futures, PATIENCE)]

    cranking.join(PATIENCE)
    assert sorted(seen) == [2 * n for n in range(50)]


def test_wait_counts_a_future_once_however_it_races_with_its_end() -> None:
    """Ended between the look at its state and the waiter's entry, it counts for no other."""
    for _ in range(300):
        first, second = new(), new()
        _ = first._condition, second._condition
        barrier = threading.Barrier(2)

        def settle(future: AppFuture[Any] = first, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(PATIENCE)
            future.settle(1, None)

        settler = threading.Thread(target=settle)
        settler.start()
        barrier.wait(PATIENCE)
        done, open_ = wait([first, second], timeout=0.002)
        settler.join(PATIENCE)
        assert second not in done
        assert second in open_
        second.settle(2, None)
        assert len(list(as_completed([first, second], PATIENCE))) == 2


def test_the_state_never_changes_while_somebody_holds_the_condition() -> None:
    future = new()
    condition = future._condition
    started = threading.Event()

    def settle() -> None:
        started.set()
        future.settle(1, None)

    with condition:
        settler = threading.Thread(target=settle)
        settler.start()
        assert started.wait(PATIENCE)
        settler.join(0.05)
        assert not future.done()
    assert future.result(PATIENCE) == 1


def test_many_threads_may_wait_for_one_future_and_for_its_end_at_once() -> None:
    for _ in range(100):
        future = new()
        barrier = threading.Barrier(5)
        seen: list[Any] = []

        def look(
            future: AppFuture[Any] = future,
            barrier: threading.Barrier = barrier,
            seen: list[Any] = seen,
        ) -> None:
            barrier.wait(PATIENCE)
            seen.append(future.result(PATIENCE))

        waiters = [threading.Thread(target=look) for _ in range(4)]
        for waiter in waiters:
            waiter.start()
        barrier.wait(PATIENCE)
        future.settle("v", None)
        for waiter in waiters:
            waiter.join(PATIENCE)
        assert seen == ["v"] * 4


def test_users_cannot_settle_it(bench: Bench) -> None:
    future = bench.call(double, 1)

    with pytest.raises(InvalidStateError, match="only weft settles"):
        future.set_result(1)
    with pytest.raises(InvalidStateError, match="only weft settles"):
        future.set_exception(ValueError())
    with pytest.raises(InvalidStateError, match="only weft settles"):
        future.set_running_or_notify_cancel()


# -------------------------------------------------------------------------------------- callbacks


def test_callbacks_run_once_added_before_or_after_the_end(bench: Bench) -> None:
    called: list[str] = []
    both = threading.Event()
    future = bench.call(double, 1)
    future.add_done_callback(lambda done: called.append(f"early {done.result()}"))
    future.add_done_callback(lambda _: both.set())
    bench.crank(future.done)
    assert both.wait(PATIENCE)

    future.add_done_callback(lambda done: called.append(f"late {done.result()}"))

    assert called == ["early 2", "late 2"]


@pytest.mark.parametrize("trouble", [RuntimeError("odd"), SystemExit(1), KeyboardInterrupt()])
def test_a_callback_that_raises_keeps_no_other_from_running(
    bench: Bench, trouble: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    after = threading.Event()

    def rude(_: Any) -> None:
        raise trouble

    first = bench.call(double, 1)
    first.add_done_callback(rude)
    second = bench.call(double, 2)
    second.add_done_callback(rude)
    second.add_done_callback(lambda _: after.set())

    bench.crank(second.done)

    assert after.wait(PATIENCE)
    assert "a callback of" in caplog.text


def test_a_slow_callback_delays_no_result(bench: Bench) -> None:
    go_on, began = threading.Event(), threading.Event()

    def slow(_: Any) -> None:
        began.set()
        assert go_on.wait(PATIENCE)

    first = bench.call(double, 1)
    first.add_done_callback(slow)
    bench.executor.wait(1)
    bench.executor.finish_all()
    assert began.wait(PATIENCE)

    second = bench.call(double, 2)
    third = bench.call(double, second)
    bench.crank(third.done)

    assert third.result(PATIENCE) == 8
    go_on.set()


def test_callbacks_may_be_added_from_many_threads_while_it_ends() -> None:
    for _ in range(50):
        future = new()
        barrier = threading.Barrier(5)
        called: list[int] = []

        def add(
            n: int,
            future: AppFuture[Any] = future,
            barrier: threading.Barrier = barrier,
            called: list[int] = called,
        ) -> None:
            barrier.wait(PATIENCE)
            for k in range(10):
                future.add_done_callback(lambda _, k=k: called.append(10 * n + k))  # type: ignore[misc]

        threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        barrier.wait(PATIENCE)
        future.settle(1, None)
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(called) == list(range(40))


def test_a_callback_may_call_apps_and_close_over_its_future(bench: Bench) -> None:
    made: list[Any] = []
    there = threading.Event()

    def go_on(done: Any) -> None:
        made.append(bench.call(double, done))
        there.set()

    first = bench.call(double, 1)
    first.add_done_callback(go_on)
    bench.crank(first.done)
    assert there.wait(PATIENCE)
    bench.crank(made[0].done)

    assert made[0].result(PATIENCE) == 4


# ---------------------------------------------------------------------------------------- asyncio


def test_it_can_be_awaited(bench: Bench) -> None:
    async def main() -> Any:
        first, second, bad = bench.call(double, 1), bench.call(double, 2), bench.call(failing)
        threading.Thread(target=bench.crank, args=(bad.done,)).start()
        with pytest.raises(ValueError, match="bad"):
            await bad
        return await asyncio.gather(first, second, asyncio.wrap_future(first))

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) == [2, 4, 2]


def test_a_future_that_has_ended_can_be_awaited(bench: Bench) -> None:
    future = bench.call(double, 4)
    bench.crank(future.done)

    async def main() -> Any:
        return await future

    assert asyncio.run(main()) == 8


def test_cancelling_who_awaits_cancels_the_task(bench: Bench) -> None:
    gate: Future[int] = Future()
    future = bench.call(double, gate)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(future), 0.01)

    asyncio.run(main())

    assert future.cancelled()


def test_awaiting_a_cancelled_task_is_cancelled(bench: Bench) -> None:
    gate: Future[int] = Future()
    future = bench.call(double, gate)

    async def main() -> None:
        asyncio.get_running_loop().call_soon(future.cancel)
        await future

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(asyncio.wait_for(main(), PATIENCE))


# ---------------------------------------------------------------------------- parts and unpacking


def test_a_part_of_a_result_is_a_future(bench: Bench) -> None:
    def made() -> Any:
        return {"k": [10, 20], "c": 3 + 4j}

    future = bench.call(made)
    deep, attribute = future["k"][1], future["c"].imag
    wrong, odd = future["missing"], future["c"].nothing
    bench.crank(lambda: all(one.done() for one in (deep, attribute, wrong, odd)))

    assert (deep.result(), attribute.result()) == (20, 4.0)
    assert isinstance(wrong.exception(), KeyError)
    assert isinstance(odd.exception(), DependencyError | AttributeError)
    assert deep.app == "made['k'][1]"


def test_a_part_of_a_failed_task_names_the_task(bench: Bench) -> None:
    part = bench.call(failing)["k"]
    bench.crank(part.done)

    assert isinstance(part.exception(), DependencyError)


def test_private_names_are_not_parts(bench: Bench) -> None:
    future = bench.call(double, 1)

    for name in ("_private", "__array__", "__len_hint__", "_repr_png_"):
        assert not hasattr(future, name)


def test_a_declared_number_of_results_unpacks(bench: Bench) -> None:
    future = bench.ask(TaskSpec(name="pair", function=pair, returns=2))

    left, right = future
    bench.crank(lambda: left.done() and right.done())

    assert (left.result(), right.result(), len(future)) == ("left", "right", 2)


def test_what_declares_no_number_cannot_be_iterated(bench: Bench) -> None:
    future = bench.call(pair)

    for attempt in (
        lambda: iter(future),
        lambda: list(future),
        lambda: len(future),
    ):
        with pytest.raises(NotUnpackable, match="returns=2"):
            attempt()
    with pytest.raises(TypeError):
        _a, _b = future
    assert bool(future)


# ------------------------------------------------------------------------------------------ files


def test_outputs_are_futures_of_files(make_bench: Make) -> None:
    stager = FakeStager()
    bench = make_bench(stagers={"fake": stager})
    file = File("fake://host/out.txt")
    future = bench.ask(TaskSpec(name="write", function=double, outputs=(file,)), 1)
    (made,) = future.outputs
    reader = bench.call(lambda given: given.url, made)

    assert isinstance(made, DataFuture)
    assert (made.parent, made.filename, made.task_id) == (future, "out.txt", 0)
    assert not made.cancel()
    bench.crank(reader.done)
    assert made.result(PATIENCE) == file
    assert reader.result(PATIENCE) == file.url
    assert "out.txt" in repr(made)


def test_the_files_of_a_failed_task_fail_with_it(make_bench: Make) -> None:
    bench = make_bench(stagers={"fake": FakeStager()})
    file = File("fake://host/out.txt")
    future = bench.ask(TaskSpec(name="write", function=failing, outputs=(file,)))
    reader = bench.call(double, future.outputs[0])
    bench.crank(reader.done)

    assert isinstance(future.outputs[0].exception(PATIENCE), ValueError)
    error = reader.exception(PATIENCE)
    assert isinstance(error, DependencyError)
    assert "write (task 0)" in str(error)


def test_the_files_of_a_cancelled_task_are_cancelled(make_bench: Make) -> None:
    bench = make_bench(stagers={"fake": FakeStager()})
    gate: Future[int] = Future()
    spec = TaskSpec(name="write", function=double, outputs=(File("fake://host/out.txt"),))
    future = bench.ask(spec, gate)

    assert future.cancel()

    assert future.outputs[0].cancelled()
    with pytest.raises(CancelledError):
        future.outputs[0].result(PATIENCE)


# ------------------------------------------------------------------------------------- travelling


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_cannot_travel_and_says_what_to_do(bench: Bench, how: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"belongs to its session.*future\.result\(\)"):
        how(bench.call(double, 1))


# ----------------------------------------------------------------------------------------- memory


class Large:
    """Something of which a weak reference can be had."""


def test_a_result_goes_with_the_last_future_that_has_it(bench: Bench) -> None:
    def make() -> Any:
        return Large()

    gc.collect()
    gc.disable()
    try:
        future = bench.call(make)
        bench.executor.finish(bench.executor.wait(1)[0])
        seen = weakref.ref(future.result(PATIENCE))
        bench.executor.tasks.clear()
        bench.settle()
        assert seen() is not None
        del future
        bench.settle()
        assert seen() is None
    finally:
        gc.enable()


def test_a_result_goes_although_callbacks_and_waiters_had_it(bench: Bench) -> None:
    def make() -> Any:
        return Large()

    called = threading.Event()
    gc.collect()
    gc.disable()
    try:
        future = bench.call(make)
        future.add_done_callback(lambda _: called.set())
        bench.executor.finish(bench.executor.wait(1)[0])
        assert not wait([future], PATIENCE).not_done
        seen = weakref.ref(future.result(PATIENCE))
        assert called.wait(PATIENCE)
        del future
        # The thread of the callbacks lets go when it has come back from the last one.
        other = bench.call(double, 1)
        again = threading.Event()
        other.add_done_callback(lambda _: again.set())
        bench.crank(other.done)
        assert again.wait(PATIENCE)
        bench.executor.tasks.clear()
        bench.settle()
        assert seen() is None
    finally:
        gc.enable()


def test_arguments_go_when_the_task_has_ended(bench: Bench) -> None:
    large = Large()
    seen = weakref.ref(large)
    gate: Future[int] = Future()
    future = bench.call(lambda *_: 1, large, gate)
    gate.set_result(1)
    bench.crank(future.done)
    del large
    bench.executor.tasks.clear()
    bench.settle()

    assert seen() is None


class Forgetful(FakeExecutor):
    """Counts nothing, so that only the kernel holds tasks."""

    def submit(self, tasks: Any) -> None:
        return


@pytest.mark.parametrize("waits", [False, True])
def test_an_unfinished_task_holds_less_than_a_kilobyte(make_bench: Make, waits: bool) -> None:
    bench = make_bench(executors={"fake": Forgetful()})
    gate = bench.call(double, 0)
    count = 5_000
    for _ in range(100):
        _ = bench.call(double, gate if waits else 1)
    bench.settle()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = [bench.call(double, gate if waits else 1) for _ in range(count)]
        bench.settle()
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert len(held) == count
    assert used / count < 1000, f"{used / count:.0f} bytes for each task"


def test_no_record_is_left_after_the_end(bench: Bench) -> None:
    futures = [bench.call(double, n) for n in range(100)]
    last = bench.call(lambda *values: sum(values), *futures)
    bench.crank(last.done)
    bench.settle()

    assert bench.kernel._records == {}
    assert all(future._record is None for future in futures)
