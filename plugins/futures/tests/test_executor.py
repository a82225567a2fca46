"""The promises of an executor, on pools of the standard library."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest

from weft.errors import ExecutorFailed, SerializationError, SettingsError
from weft.testing import FakeExecutorContext, make_task
from weft.values.task import Ended, Needs, Task
from weft_futures import Futures, FuturesExecutor
from weft_futures.errors import PoolLost
from weft_futures.executor import build

PROCESSES = "concurrent.futures:ProcessPoolExecutor"
THREADS = "concurrent.futures:ThreadPoolExecutor"
HERE = "weft_futures_test_pools"


class HandPool:
    """A pool whose calls end by hand; a fake of a pool, not of an executor."""

    made: ClassVar["list[HandPool]"] = []

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.calls: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self.changed = threading.Condition()
        self.shut = False
        HandPool.made.append(self)

    def submit(self, function: Callable[..., Any], /, *args: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if function.__name__ == "ready":
            future.set_result("here")
            return future
        with self.changed:
            self.calls.append((future, function, args))
            self.changed.notify_all()
        return future

    def wait(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.calls) >= count, 10), self.calls

    def run(self, number: int) -> None:
        future, function, args = self.calls[number]
        future.set_result(function(*args))

    def break_down(self) -> None:
        for future, _, _ in self.calls:
            if not future.done():
                future.set_exception(BrokenExecutor("a worker died"))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.shut = True


@pytest.fixture(autouse=True)
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[HandPool]]:
    """Makes the fakes of this file importable by a factory's name."""
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    HandPool.made = []
    known = set(threading.enumerate())
    yield HandPool.made
    new = [t for t in threading.enumerate() if t not in known]
    ours = [t for t in new if t.name.startswith("weft-futures")]
    for thread in ours:
        thread.join(60)
    assert [t.name for t in ours if t.is_alive()] == []


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[FuturesExecutor, FakeExecutorContext]]]:
    begun: list[tuple[FuturesExecutor, FakeExecutorContext]] = []

    def starting(factory: str, **options: Any) -> tuple[FuturesExecutor, FakeExecutorContext]:
        executor, context = build(Futures(factory=factory, **options)), FakeExecutorContext()
        begun.append((executor, context))
        executor.start(context)
        return executor, context

    yield starting
    for executor, context in begun:
        executor.close(0)
        context.close()


Start = Callable[..., tuple[FuturesExecutor, FakeExecutorContext]]


def double(x: int) -> int:
    return 2 * x


def raises_oddly() -> None:
    class Odd(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"{a} and {b}")

    raise Odd(1, 2)


@pytest.mark.parametrize("factory", [PROCESSES, THREADS])
def test_each_task_is_reported_once_with_its_value(start: Start, factory: str) -> None:
    executor, context = start(factory)
    tasks = [make_task(double, n) for n in range(50)]
    executor.submit(tasks)

    outcomes = context.wait(50)

    assert {o.id: o.value for o in outcomes} == {t.id: 2 * n for n, t in enumerate(tasks)}
    assert {o.ended for o in outcomes} == {Ended.VALUE}
    executor.close(5)
    assert len(context.outcomes) == 50


def test_closures_and_large_buffers_travel(start: Start) -> None:
    executor, context = start(PROCESSES)
    factor = 3
    data = bytearray(b"x" * 300_000)
    closure = make_task(lambda x: x * factor, 7)
    large = make_task(bytearray, data)
    executor.submit([closure, large])

    assert context.outcome_of(closure.id).value == 21
    assert context.outcome_of(large.id).value == data


@pytest.mark.parametrize("factory", [PROCESSES, THREADS])
@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_a_task_that_raises_anything_fails_alone(
    start: Start, factory: str, error: BaseException
) -> None:
    def fails() -> None:
        raise error

    executor, context = start(factory)
    bad, good = make_task(fails), make_task(double, 4)
    executor.submit([bad, good])

    outcome = context.outcome_of(bad.id)
    assert outcome.ended is Ended.ERROR
    assert type(outcome.value) is type(error)
    assert context.outcome_of(good.id).value == 8


def test_an_exception_with_an_unusual_constructor_harms_nobody(start: Start) -> None:
    executor, context = start(PROCESSES)
    bad, good = make_task(raises_oddly), make_task(double, 4)
    executor.submit([bad, good])

    assert "1 and 2" in str(context.outcome_of(bad.id).value)
    assert context.outcome_of(good.id).value == 8


def test_what_cannot_be_packed_is_an_error_of_that_task(start: Start) -> None:
    executor, context = start(PROCESSES)
    bad = make_task(double, threading.Lock())
    good = make_task(double, 4)
    executor.submit([bad, good])

    outcome = context.outcome_of(bad.id)
    assert outcome.ended is Ended.ERROR
    assert isinstance(outcome.value, SerializationError)
    assert context.outcome_of(good.id).value == 8


def test_a_result_that_cannot_be_packed_is_an_error_of_that_task(start: Start) -> None:
    executor, context = start(PROCESSES)
    bad = make_task(threading.Lock)
    executor.submit([bad])
    assert isinstance(context.outcome_of(bad.id).value, SerializationError)


def test_a_task_that_kills_its_worker_is_known_and_the_pool_is_made_again(start: Start) -> None:
    executor, context = start(PROCESSES)
    poison = make_task(os._exit, 3)
    executor.submit([poison])
    outcome = context.outcome_of(poison.id)
    good = make_task(double, 4)
    executor.submit([good])

    assert outcome.ended is Ended.KILLED
    assert isinstance(outcome.value, PoolLost)
    assert outcome.value.alone
    assert context.outcome_of(good.id).value == 8
    assert executor.status().details["pools made"] == 2


def test_what_was_lost_with_others_runs_alone_until_it_is_known(
    start: Start, pools: list[HandPool]
) -> None:
    executor, context = start(f"{HERE}:HandPool", workers=2)
    tasks = [make_task(double, n) for n in range(6)]
    executor.submit(tasks)
    pools[0].wait(4)

    pools[0].break_down()
    context.wait(4)
    assert [o.ended for o in context.outcomes] == [Ended.LOST] * 4
    context.wait_until(lambda: context.notices)

    # The two that were not in the pool go on; those that come back wait until they can run alone.
    again = [attempt(task, 2) for task in tasks[:4]]
    executor.submit(again)
    _until(lambda: len(pools) == 2)
    pools[1].wait(2)
    assert pools[0].shut
    pools[1].run(0)
    pools[1].run(1)
    pools[1].wait(3)
    assert len(pools[1].calls) == 3
    pools[1].break_down()
    context.wait(7)
    assert context.outcomes[-1].ended is Ended.KILLED
    assert context.outcomes[-1].id == tasks[0].id


def test_a_suspect_that_ends_well_is_none_any_more(start: Start, pools: list[HandPool]) -> None:
    executor, context = start(f"{HERE}:HandPool", workers=2)
    tasks = [make_task(double, n) for n in range(2)]
    executor.submit(tasks)
    pools[0].wait(2)
    pools[0].break_down()
    context.wait(2)

    executor.submit([attempt(task, 2) for task in tasks])
    _until(lambda: len(pools) == 2)
    for n in range(2):
        pools[1].wait(n + 1)
        assert len(pools[1].calls) == n + 1
        pools[1].run(n)
    assert [o.value for o in context.wait(4)[2:]] == [0, 2]


def test_lower_numbers_go_first_and_equal_ones_in_order(
    start: Start, pools: list[HandPool]
) -> None:
    executor, context = start(f"{HERE}:HandPool", workers=1, pack=False)
    first = [make_task(double, n) for n in range(2)]
    executor.submit(first)
    pools[0].wait(2)
    later = [make_task(double, n, needs=Needs(priority=p)) for n, p in ((10, 5), (11, 1), (12, 5))]
    executor.submit(later)
    for n in range(5):
        pools[0].wait(n + 1)
        pools[0].run(n)

    assert [o.value // 2 for o in context.wait(5)] == [0, 1, 11, 10, 12]


def test_tasks_that_wait_can_be_cancelled_here_and_in_the_pool(
    start: Start, pools: list[HandPool]
) -> None:
    executor, context = start(f"{HERE}:HandPool", workers=1)
    tasks = [make_task(double, n) for n in range(3)]
    executor.submit(tasks)
    pools[0].wait(2)
    pools[0].calls[0][0].set_running_or_notify_cancel()

    certain = executor.cancel([t.id for t in tasks] + [10**9])

    assert list(certain) == [tasks[1].id, tasks[2].id]
    ended = {o.id: o.ended for o in context.wait(2)}
    assert ended == {tasks[1].id: Ended.CANCELLED, tasks[2].id: Ended.CANCELLED}
    pools[0].run(0)
    assert context.wait(3)[-1].value == 0


def test_status_counts_what_runs_and_what_waits(start: Start, pools: list[HandPool]) -> None:
    executor, _ = start(f"{HERE}:HandPool", workers=1)
    executor.submit([make_task(double, n) for n in range(5)])
    pools[0].wait(2)
    status = executor.status()
    assert (status.workers, status.running, status.waiting) == (1, 1, 4)


def test_the_factory_gets_its_options_and_the_number_of_workers(
    start: Start, pools: list[HandPool]
) -> None:
    start(f"{HERE}:HandPool", workers=3, options={"colour": "red"}, workers_option="size")
    assert pools[0].options == {"size": 3, "colour": "red"}


@pytest.mark.parametrize(
    ("factory", "options", "said"),
    [
        ("no_such_module:Pool", {}, "cannot be imported"),
        ("concurrent.futures:NoSuchPool", {}, "cannot be imported"),
        ("math:pi", {}, "not callable"),
        ("builtins:dict", {}, "not a pool"),
        (THREADS, {"colour": "red"}, "does not take these options"),
    ],
)
def test_a_factory_that_cannot_work_is_said_at_the_start(
    start: Start, factory: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        start(factory, options=options)


def test_a_pool_that_runs_nothing_is_said_at_the_start_in_bounded_time(start: Start) -> None:
    with pytest.raises(ExecutorFailed) as raised:
        start(f"{HERE}:mute_pool", start_timeout=0.05, workers_option="")
    assert "did not run its first call within 0.05 s" in raised.value.reason


def mute_pool() -> HandPool:
    class Mute(HandPool):
        def submit(self, function: Callable[..., Any], /, *args: Any) -> "Future[Any]":
            return Future()

    return Mute()


def test_a_pool_that_cannot_be_made_again_ends_the_executor(
    start: Start, pools: list[HandPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, context = start(f"{HERE}:HandPool")
    executor.submit([make_task(double, 1)])
    pools[0].wait(1)

    def broken(self: HandPool, function: Callable[..., Any], /, *args: Any) -> "Future[Any]":
        raise BrokenExecutor("no machines left")

    monkeypatch.setattr(HandPool, "submit", broken)
    pools[0].break_down()
    context.wait(1)
    executor.submit([make_task(double, 2)])

    context.wait_until(lambda: context.failures)
    assert "no machines left" in str(context.failures[0])


def test_close_lets_running_tasks_end_and_may_be_called_twice(start: Start) -> None:
    executor, context = start(THREADS, workers=1)
    entered, go_on = threading.Event(), threading.Event()

    def waits() -> str:
        entered.set()
        assert go_on.wait(60)
        return "done"

    executor.submit([make_task(waits)])
    assert entered.wait(60)
    threading.Timer(0.05, go_on.set).start()
    executor.close(60)
    executor.close(60)
    assert [o.value for o in context.outcomes] == ["done"]


def test_close_stops_processes_that_do_not_end(start: Start, tmp_path: Path) -> None:
    executor, _ = start(PROCESSES, workers=1)
    mark = tmp_path / "pid"

    def never() -> None:
        # A command of its own session, as bash apps have it.
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        mark.with_suffix(".new").write_text(f"{os.getpid()} {child.pid}")
        mark.with_suffix(".new").rename(mark)
        child.wait()

    executor.submit([make_task(never)])
    _until(mark.exists)
    begun = time.monotonic()
    executor.close(0.1)
    assert time.monotonic() - begun < 60
    for pid in map(int, mark.read_text().split()):
        _until(lambda pid=pid: not _lives(pid))  # type: ignore[misc]


def test_workers_end_when_the_client_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "client.py"
    script.write_text(
        "import os, sys\n"
        "from weft.testing import FakeExecutorContext, make_task\n"
        "from weft_futures.executor import build\n"
        "from weft_futures.settings import Futures\n"
        f"executor = build(Futures(factory={PROCESSES!r}, workers=3))\n"
        "context = FakeExecutorContext()\n"
        "executor.start(context)\n"
        "executor.submit([make_task(os.getpid) for _ in range(20)])\n"
        "pids = {o.value for o in context.wait(20)} | set(executor._pool._processes)\n"
        "print(*pids, flush=True)\n"
        "import signal; signal.pause()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    client = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment)
    assert client.stdout is not None
    pids = [int(word) for word in client.stdout.readline().split()]
    assert len(pids) == 3
    client.send_signal(signal.SIGKILL)
    client.wait()
    client.stdout.close()
    for pid in pids:
        _until(lambda pid=pid: not _lives(pid))  # type: ignore[misc]


def test_a_thread_pool_gets_the_callers_own_objects(start: Start) -> None:
    executor, context = start(THREADS)
    lock = threading.Lock()
    task = make_task(lambda x: x, lock)
    executor.submit([task])
    assert context.outcome_of(task.id).value is lock


def test_a_factory_may_be_any_callable_that_returns_a_pool(start: Start) -> None:
    executor, context = start(f"{HERE}:make_pool", workers_option="")
    task = make_task(double, 3)
    executor.submit([task])
    assert context.outcome_of(task.id).value == 6


def make_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2)


def attempt(task: Task, number: int) -> Task:
    return Task(task.id, number, task.app, task.function, task.args, task.kwargs, task.needs)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _until(true: Callable[[], Any], patience: float = 60.0) -> None:
    """Wait for something outside of this process, which can only be looked at again and again."""
    until = time.monotonic() + patience
    while not true():
        assert time.monotonic() < until
        threading.Event().wait(0.005)
