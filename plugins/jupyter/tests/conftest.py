"""Logs of invented runs, and what waits for widgets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from weft.eventlog.writer import NAME, EventLogWriter
from weft.values.events import RunEnded, RunStarted, TaskMoved, TaskSubmitted
from weft.values.states import TaskState

BOUND = 60.0
BEGAN = 1_800_000_000.0


def until(holds: Callable[[], object], bound: float = BOUND) -> None:
    """Wait until something holds that another thread or process brings about."""
    deadline = time.monotonic() + bound
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


class Log:
    """The log of an invented run; the run goes on until it is closed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = self.run_folder = folder
        self._writer = EventLogWriter(folder / NAME, {"run": "run-1"}, pytest.fail)
        self.now = BEGAN
        self.write(RunStarted(BEGAN, "run-1", str(folder), "survey.py", "0.1", "head", "ann", 7))

    def write(self, *events: Any) -> None:
        self._writer.write(events)

    def tasks(
        self,
        app: str,
        first: int,
        number: int,
        *,
        failing: Sequence[int] = (),
        needs: Sequence[int] = (),
        bad: Sequence[int] = (),
    ) -> None:
        """Calls that end a second later; those that need what is ``bad`` are never tried."""
        events: list[Any] = []
        for task in range(first, first + number):
            own = (needs[(task - first) % len(needs)],) if needs else ()
            events.append(TaskSubmitted(self.now, task, app, own))
            if set(own) & set(bad):
                detail = "DependencyError: an input failed"
                events.append(TaskMoved(self.now, task, app, TaskState.FAILED, detail=detail))
                continue
            events.append(TaskMoved(self.now + 0.5, task, app, TaskState.LAUNCHED, 1, "pool"))
            state = TaskState.FAILED if task in failing else TaskState.DONE
            detail = f"ValueError: no <b>strand</b> {task}" if task in failing else ""
            ran = ("worker 1 on node1", self.now + 0.75, 0.5)
            events.append(TaskMoved(self.now + 1.5, task, app, state, 1, "", detail, *ran))
        self.now += 2
        self.write(*events)

    def end(self) -> None:
        self.write(RunEnded(self.now, "run-1", 0, 0, 0))
        self.close()

    def close(self) -> None:
        """Let go of the log, as the system does for a process that ends."""
        self._writer.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """The log of a run that goes on."""
    made = Log(tmp_path / "runs" / "0000")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """The thread that follows has ended after each test."""
    yield
    until(lambda: not [one for one in threading.enumerate() if one.name == "weft-jupyter"])
