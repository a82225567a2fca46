"""A driver for the executor: stands where the kernel stands, and collects what is reported."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from weft.builtin.processes.executor import ProcessesExecutor, build
from weft.builtin.processes.settings import Processes
from weft.interfaces.executor import ExecutorStatus
from weft.values.events import Event
from weft.values.plugin import Kind
from weft.values.settings import Settings
from weft.values.task import NEEDS_NOTHING, Needs, Outcome, Task
from weft.values.watch import NOTHING

BOUND = 60.0


class Driver:
    """The executor's context, and a way to run calls on it."""

    run_id = "run"
    program = "test"
    label = "processes"
    watch = NOTHING

    def __init__(self, folder: Path, settings: Processes) -> None:
        self.folder = folder
        self.executor: ProcessesExecutor = build(settings)
        self.outcomes: dict[tuple[int, int], Outcome] = {}
        self.order: list[int] = []
        self.failure: BaseException | None = None
        self._news = threading.Condition()
        self._next = 0

    # What the executor calls.

    def tell(self, event: Event) -> None:
        raise AssertionError("the executor tells no events")

    def notice(self, level: str, text: str) -> None:
        raise AssertionError(text)

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        raise AssertionError("the executor is made of no other parts")

    def report(self, outcomes: Sequence[Outcome]) -> None:
        with self._news:
            for outcome in outcomes:
                assert (outcome.id, outcome.attempt) not in self.outcomes, "reported twice"
                self.outcomes[outcome.id, outcome.attempt] = outcome
                self.order.append(outcome.id)
            self._news.notify_all()

    def failed(self, error: BaseException) -> None:
        with self._news:
            self.failure = error
            self._news.notify_all()

    # What tests call.

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> int:
        return self.submit_with(NEEDS_NOTHING, function, *args, **kwargs)

    def submit_with(
        self, needs: Needs, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> int:
        task = self._task(needs, function, args, kwargs)
        self.executor.submit([task])
        return task.id

    def submit_all(
        self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> list[int]:
        tasks = [self._task(NEEDS_NOTHING, function, args, {}) for args in arguments]
        self.executor.submit(tasks)
        return [task.id for task in tasks]

    def _task(
        self, needs: Needs, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any
    ) -> Task:
        number = self._next
        self._next += 1
        app = getattr(function, "__name__", "app")
        return Task(number, 1, app, function, args, kwargs, needs)

    def wait(self, task: int, timeout: float = BOUND) -> Outcome:
        self.until(lambda: (task, 1) in self.outcomes, timeout)
        return self.outcomes[task, 1]

    def until(self, what: Callable[[], bool], timeout: float = BOUND) -> None:
        with self._news:
            assert self._news.wait_for(what, timeout), f"not within {timeout} s: {self.outcomes}"

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
        return self.wait(self.submit(function, *args, **kwargs))

    def status(self) -> ExecutorStatus:
        return self.executor.status()


def eventually(what: Callable[[], bool], timeout: float = BOUND) -> None:
    """For facts of the system that send no word when they change."""
    tick = threading.Event()
    end = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < end, f"not within {timeout} s"
        tick.wait(0.005)


def alive(pid: int) -> bool:
    """Whether a process lives, as anything but a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def descriptors() -> set[str]:
    """The open ones of this process."""
    return {
        str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()
    }


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    """Starts executors; each is closed after the test, and must leave nothing behind."""
    drivers: list[Driver] = []
    known = set(threading.enumerate())
    before = descriptors()

    def start(**options: Any) -> Driver:
        options.setdefault("max_workers", 2)
        folder = tmp_path / f"executor-{len(drivers)}"
        folder.mkdir(mode=0o700)
        driver = Driver(folder, Processes(**options))
        driver.executor.start(driver)
        drivers.append(driver)
        return driver

    yield start
    for driver in drivers:
        driver.executor.close(0)
    assert descriptors() <= before, "descriptors left open"
    new = [t for t in threading.enumerate() if t not in known]
    ours = [t for t in new if t.name.startswith("weft-")]
    for thread in ours:
        thread.join(BOUND)
    assert [t.name for t in ours if t.is_alive()] == []


@pytest.fixture
def driver(floor: Callable[..., Driver]) -> Driver:
    """An executor with two workers."""
    return floor()


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., None]:
    return eventually


@pytest.fixture(name="alive")
def _alive() -> Callable[[int], bool]:
    return alive
