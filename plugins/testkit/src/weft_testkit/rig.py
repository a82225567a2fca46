"""An executor as a rule holds it: started, called from one thread, watched, and closed in any case.

rule ──▶ Rig ──one thread──▶ executor ──report──▶ Watch
                                │
                                └──▶ tasks ──files──▶ Held
"""

import fcntl
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import attrs
import pytest

from weft.configuration.registry import Registry
from weft.errors import WeftError
from weft.interfaces.executor import Executor, ExecutorStatus
from weft.interfaces.provider import Provider
from weft.testing import FakeExecutorContext, make_task
from weft.values.events import LogLine, ResourceSample
from weft.values.jobs import JOB_ENDED, JobId, JobState, JobStatus
from weft.values.plugin import Kind
from weft.values.settings import Settings
from weft.values.task import NEEDS_NOTHING, Ended, Needs, Outcome, Task, TaskId
from weft.values.watch import NOTHING
from weft.values.watch import Watch as Asked
from weft_testkit import tasks
from weft_testkit.bounded import Caller

__all__ = ["Held", "Rig", "Watch", "come_to", "told", "until"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


_SLOWEST: Final = 12
"""How many times the patience of a kit the many tasks of one rule may take together."""


def until(happened: Callable[[], Any], patience: float, otherwise: str | Callable[[], str]) -> None:
    """Wait for what no event tells of: ask a hundred times a second, for so long at most.

    Raises:
        AssertionError: it did not happen.
    """
    end = time.monotonic() + patience
    while not happened():
        if time.monotonic() > end:
            said = otherwise if isinstance(otherwise, str) else otherwise()
            raise AssertionError(f"{said} (after {patience:g} s)")
        time.sleep(0.01)


def come_to(
    provider: Provider, job_id: JobId, *states: JobState, patience: float = 60.0
) -> JobStatus:
    """Ask a provider until a job is in one of these states; in any end, if none is named.

    Raises:
        AssertionError: it does not come to that in so many seconds.
    """
    seen: list[JobStatus] = []

    def there() -> bool:
        seen[:] = [provider.status([job_id])[job_id]]
        return seen[0].state in (states or JOB_ENDED)

    until(there, patience, lambda: f"{job_id} stays {seen[0]}")
    return seen[0]


def told(error: BaseException) -> str:
    """An exception in one line, with the reason if it is one of weft's."""
    why = f" {error.why}" if isinstance(error, WeftError) and error.why else ""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}{why}"


class Watch(FakeExecutorContext):
    """The context of an executor under test: remembers what it was told, and how.

    Attributes:
        late: outcomes that came after ``over`` was set.
        told_before: how many events had been told when a try was reported.
        over: set when ``close`` has come back.
    """

    def __init__(
        self, folder: Path, registry: Registry, label: str, asked: Asked = NOTHING
    ) -> None:
        super().__init__(folder, label=label, watch=asked)
        self._registry = registry
        self._reports: list[tuple[Sequence[Outcome], tuple[Outcome, ...]]] = []
        self.late: list[Outcome] = []
        self.told_before: dict[tuple[TaskId, int], int] = {}
        self.over = threading.Event()

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        """From the registry of the kit."""
        registry = self._registry
        return registry.open(settings if settings is not None else registry.settings(kind, default))

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """Keep the sequence itself, too."""
        self._reports.append((outcomes, tuple(outcomes)))
        for one in outcomes:
            self.told_before.setdefault((one.id, one.attempt), len(self.told))
        if self.over.is_set():
            self.late += outcomes
        super().report(outcomes)

    def changed_since(self) -> int:
        """How many sequences are not any more what they were when they were reported."""
        return sum(
            len(given) != len(then) or any(a is not b for a, b in zip(given, then, strict=True))
            for given, then in self._reports
        )

    def of(self, task: Task) -> list[Outcome]:
        """What was reported of one try."""
        return [one for one in list(self.outcomes) if (one.id, one.attempt) == _key(task)]

    def lines(self, task: Task) -> list[LogLine]:
        """What was told that a try says, before it was reported."""
        return [one for one in self._told_before(task) if type(one) is LogLine]

    def samples(self, task: Task) -> list[ResourceSample]:
        """What was told that a try uses, before it was reported."""
        return [one for one in self._told_before(task) if type(one) is ResourceSample]

    def _told_before(self, task: Task) -> list[LogLine | ResourceSample]:
        return [
            one
            for one in self.told[: self.told_before.get(_key(task))]
            if isinstance(one, LogLine | ResourceSample) and (one.id, one.attempt) == _key(task)
        ]

    def counted(self) -> Counter[tuple[TaskId, int]]:
        """How often each try was reported."""
        return Counter((one.id, one.attempt) for one in list(self.outcomes))


def _key(task: Task) -> tuple[TaskId, int]:
    return task.id, task.attempt


@attrs.frozen
class Held:
    """A task that waits until it is let go.

    Attributes:
        task: it.
        folder, name: where its files are, and what they are called.
        patience: seconds that it may take to begin, or to be stopped.
    """

    task: Task
    folder: Path
    name: str
    patience: float

    @property
    def has_begun(self) -> bool:
        """Whether it runs, or ran."""
        return self._file("begun").exists()

    def begun(self) -> int:
        """Wait until it runs. Returns the id of its process."""
        until(lambda: self.has_begun, self.patience, f"the task {self.name!r} did not begin")
        return int(self._file("begun").read_text())

    def release(self) -> None:
        """Let it go on."""
        self._file("go").touch()
        pipe = self._file("pipe")
        if pipe.exists():
            with os.fdopen(os.open(pipe, os.O_RDWR | os.O_NONBLOCK), "wb", buffering=0) as end:
                end.write(b"!")

    @property
    def runs(self) -> bool:
        """Whether it is still somewhere between its first line and its last."""
        if not self.has_begun:
            return False
        with self._file("held").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def ended(self) -> None:
        """Wait until nothing of it runs any more."""
        until(lambda: not self.runs, self.patience, f"the task {self.name!r} still runs")

    def _file(self, end: str) -> Path:
        return self.folder / f"{self.name}.{end}"


class Rig:
    """An executor, what it was given and what it said.

    Args:
        executor: not started.
        watch: its context.
        caller: makes the calls that the kernel makes.
        patience: seconds that anything may take.
        files: a folder that its tasks can reach.
    """

    def __init__(
        self, executor: Executor, watch: Watch, caller: Caller, patience: float, files: Path
    ) -> None:
        self.executor, self.watch, self.caller, self.patience = executor, watch, caller, patience
        self.files = files
        self.held: list[Held] = []

    # ------------------------------------------------------------------------- calls of the kernel

    def start(self) -> None:
        """Start it."""
        self._call("start", self.executor.start, self.watch)

    def submit(self, *given: Task) -> None:
        """Hand over tasks, all at once."""
        self._call("submit", self.executor.submit, list(given))

    def cancel(self, *given: Task) -> Collection[TaskId]:
        """Cancel, and return the ids that are certain."""
        return self._ids("cancel", self._call("cancel", self.executor.cancel, _ids(given)))

    def drop(self, *given: Task) -> Collection[TaskId]:
        """Drop, and return the ids that are certain."""
        return self._ids("drop", self._call("drop", self.executor.drop, _ids(given)))

    def status(self) -> ExecutorStatus:
        """Ask how it is."""
        return self._call("status", self.executor.status)

    def close(self, timeout: float = 0.0) -> None:
        """Close it; may take its timeout, and the patience of the kit beyond."""
        try:
            self.caller.within(self.patience + timeout, self.executor.close, timeout)
        except Exception as error:  # noqa: BLE001 - a component may raise anything
            pytest.fail(f"close raised {told(error)}")
        self.watch.over.set()

    def _call(
        self, name: str, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        try:
            return self.caller.call(function, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a component may raise anything
            pytest.fail(f"{name} raised {told(error)}")

    def _ids(self, name: str, given: Any) -> Collection[TaskId]:
        assert isinstance(given, Collection), f"{name} returned {type(given).__name__}, not ids"
        return list(given)

    # ------------------------------------------------------------------------------------ what for

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        needs: Needs = NEEDS_NOTHING,
        **kwargs: Any,
    ) -> Outcome:
        """Submit one task, and wait for its end."""
        task = make_task(function, *args, needs=needs, **kwargs)
        self.submit(task)
        return self.outcome(task)

    def value(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As ``run``, of what has to end with a value; returns that."""
        outcome = self.run(function, *args, **kwargs)
        assert outcome.ended is Ended.VALUE, f"{function.__name__} ended as {shown(outcome)}"
        return outcome.value

    def persist(self, function: Callable[..., Any], *args: Any, tries: int = 5) -> Any:
        """As ``value``, but tried again when a try is lost, as the kernel does."""
        first = make_task(function, *args)
        for attempt in range(1, tries + 1):
            task = make_task(function, *args, id=first.id, attempt=attempt)
            self.submit(task)
            outcome = self.outcome(task)
            if outcome.ended not in {Ended.LOST, Ended.KILLED}:
                assert outcome.ended is Ended.VALUE, shown(outcome)
                return outcome.value
        pytest.fail(f"{function.__name__} was lost {tries} times: {shown(outcome)}")

    def hold(
        self,
        name: str,
        function: Callable[[str, str], str] = tasks.hold,
        *,
        needs: Needs = NEEDS_NOTHING,
        submit: bool = True,
    ) -> Held:
        """Submit a task that waits; what happened to it is in what comes back."""
        held = Held(
            make_task(function, str(self.files), name, needs=needs), self.files, name, self.patience
        )
        if function is tasks.hold_in_c:
            os.mkfifo(self.files / f"{name}.pipe")
        self.held.append(held)
        if submit:
            self.submit(held.task)
        return held

    def outcome(self, task: Task) -> Outcome:
        """Wait for the end of one try."""
        watch = self.watch
        self._wait(lambda: watch.of(task), lambda: f"no end of {_named(task)} was reported")
        return watch.of(task)[0]

    def all_of(self, given: Sequence[Task]) -> None:
        """Wait until each of these tries was reported."""
        wanted = {_key(task) for task in given}
        watch = self.watch
        self._wait(
            lambda: len(watch.outcomes) >= len(wanted) and wanted <= watch.counted().keys(),
            lambda: (
                f"{len(wanted - watch.counted().keys())} of {len(wanted)} tasks were not reported"
            ),
        )

    def _wait(self, happened: Callable[[], Any], otherwise: Callable[[], str]) -> None:
        """Wait as long as outcomes come: an executor may be slow, and must not stand still."""
        watch = self.watch
        end = time.monotonic() + _SLOWEST * self.patience
        while not happened():
            if watch.failures:
                pytest.fail(f"{otherwise()}; the executor failed: {told(watch.failures[0])}")
            if not self._moves(happened, len(watch.outcomes)):
                pytest.fail(f"{otherwise()} within {self.patience:g} s", pytrace=False)
            if time.monotonic() > end and not happened():
                pytest.fail(f"{otherwise()} within {_SLOWEST * self.patience:g} s", pytrace=False)

    def _moves(self, happened: Callable[[], Any], seen: int) -> bool:
        watch = self.watch
        try:
            watch.wait_until(
                lambda: happened() or watch.failures or len(watch.outcomes) > seen, self.patience
            )
        except AssertionError:
            return False
        return True

    def lines(self, name: str) -> list[str]:
        """What tasks have noted in a file."""
        file = self.files / name
        return file.read_text().splitlines() if file.exists() else []

    def path(self, name: str) -> str:
        """A file for tasks."""
        return str(self.files / name)

    def end(self) -> None:
        """Let go what waits, and close, whatever the executor is like. Never raises."""
        for held in self.held:
            held.release()
        try:
            self.caller.call(self.executor.close, 0.0)
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - the rule has been judged
            return


def _ids(given: Sequence[Task]) -> list[TaskId]:
    return [task.id for task in given]


def _named(task: Task) -> str:
    return f"{task.app} (task {task.id}, attempt {task.attempt})"


def shown(outcome: Outcome) -> str:
    """An outcome in one line."""
    value = outcome.value
    said = told(value) if isinstance(value, BaseException) else f"{value!r:.200}"
    return f"{outcome.ended.name} with {said}"
