"""A kernel on a bench: its executors are fakes with a hand-crank, everything else is real."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from weft.dataflow.futures import AppFuture
from weft.dataflow.kernel import Kernel
from weft.dataflow.lanes import Lane
from weft.dataflow.rules import Deciders, Rules
from weft.dataflow.staging import Staging
from weft.interfaces.executor import Executor
from weft.interfaces.stager import Place, Stager
from weft.monitoring import Monitoring
from weft.pool import ThreadPool
from weft.testing import FakeExecutor, FakeExecutorContext, FakeMonitor
from weft.values.plugin import Support
from weft.values.task import TaskSpec, TaskView

PATIENCE = 60.0

ALL = dict.fromkeys(
    ("walltime", "resources.cores", "resources.memory", "resources.accelerators"), Support.FULL
)


class _Context(FakeExecutorContext):
    """Passes on to a kernel what an executor says."""

    def __init__(self, label: str, folder: Path, kernel: Kernel) -> None:
        super().__init__(folder, label=label)
        self._kernel = kernel

    def report(self, outcomes: Any) -> None:
        self._kernel.report(outcomes)

    def failed(self, error: BaseException) -> None:
        self._kernel.executor_failed(self.label, error)


def _run(work: Callable[[], None]) -> None:
    work()


class Bench:
    """A kernel, its executors, and short ways to ask it."""

    def __init__(
        self,
        folder: Path,
        rules: Rules,
        executors: Mapping[str, Executor],
        *,
        capabilities: Mapping[str, Support] = ALL,
        stagers: Mapping[str, Stager] | None = None,
        deciders: Deciders | None = None,
        monitor: FakeMonitor | None = None,
        record: Callable[[Sequence[Any]], None] | None = None,
        store: Any = None,
        keeper: Any = None,
    ) -> None:
        self.monitoring = Monitoring(report=lambda text: None)
        if record is not None:
            self.monitoring.record("record", record, lambda: None)
            self.monitoring.start()
        if monitor is not None:
            self.monitoring.attach("fake", monitor, FakeExecutorContext(folder))
            self.monitoring.start()
        self.pool: ThreadPool[Callable[[], None]] = ThreadPool("work", 2, _run)
        self.transfer_pool: ThreadPool[Callable[[], None]] = ThreadPool("transfer", 2, _run)
        known = stagers or {}
        staging = Staging(
            known.get, lambda: tuple(known), lambda label: Place(executor=label, folder=folder)
        )
        self.kernel = Kernel(
            rules=rules,
            pool=self.pool,
            monitoring=self.monitoring,
            staging=staging,
            transfer_pool=self.transfer_pool,
            store=store,
            deciders=deciders,
        )
        self.executors = dict(executors)
        lanes = []
        for label, executor in executors.items():
            executor.start(_Context(label, folder, self.kernel))
            lanes.append(Lane(label, executor, capabilities, executor.status()))
        self.kernel.start(lanes, keeper)

    @property
    def executor(self) -> FakeExecutor:
        first = next(iter(self.executors.values()))
        assert isinstance(first, FakeExecutor)
        return first

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> AppFuture[Any]:
        """A task of an app with no options."""
        return self.ask(TaskSpec(name=function.__name__, function=function), *args, **kwargs)

    def join(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> AppFuture[Any]:
        """A task of a join app."""
        return self.ask(
            TaskSpec(name=function.__name__, function=function, join=True), *args, **kwargs
        )

    def ask(self, spec: TaskSpec, *args: Any, **kwargs: Any) -> AppFuture[Any]:
        return self.kernel.submit(spec, args, kwargs)

    def settle(self) -> None:
        """Wait until the kernel has taken all that was posted, and handed on what follows."""
        kernel, over = self.kernel, threading.Event()

        def after_this_round() -> None:
            # What follows is handed on at the end of a round, after the timers have rung that are
            # due; one that is set by them rings in the next round.
            kernel._after(0.0, lambda: kernel._after(1e-6, over.set))

        kernel._ask(after_this_round)
        assert over.wait(PATIENCE), "the kernel does not come to an end of what it was told"

    def crank(self, until: Callable[[], bool]) -> None:
        """Finish whatever comes to the first executor, until something is true."""
        waiting = threading.Event()
        for _ in range(100_000):
            if until():
                return
            self.executor.finish_all()
            self.settle()
            waiting.wait(0.0005)
        raise AssertionError("it never came true")

    def view(self, future: AppFuture[Any]) -> TaskView:
        return next(one for one in self.kernel.tasks() if one.id == future.task_id)

    def close(self) -> None:
        for executor in self.executors.values():
            executor.close(1.0)
        self.kernel.close(PATIENCE)
        self.pool.close(5.0)
        self.transfer_pool.close(5.0)
        self.monitoring.close()


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(
        rules: Rules | None = None, executors: Mapping[str, Executor] | None = None, **options: Any
    ) -> Bench:
        bench = Bench(tmp_path, rules or Rules(), executors or {"fake": FakeExecutor()}, **options)
        made.append(bench)
        return bench

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
