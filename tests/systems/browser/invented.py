"""A run that never was: what pages show of it is always the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from weft.eventlog.writer import NAME, EventLogWriter
from weft.values.blocks import BlockState
from weft.values.events import (
    BlockChanged,
    ExecutorStarted,
    FileMoved,
    FileMoving,
    FileNotMoved,
    LogLine,
    ManagerChanged,
    Notice,
    ResourceSample,
    RunEnded,
    RunStarted,
    TaskDetails,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import TaskState

BEGAN = 1_793_610_000.0
EVIL = "<img src=x onerror=\"document.title='taken over'\">"


_MOST = {"fetch": 210_000_000, "align": 1_300_000_000, "fold": 540_000_000}
"""Bytes of memory that tries of apps have at most."""


class Invented:
    """The log of a survey of strands: fetched, aligned, folded, and summed up.

    Args:
        folder: that of the run, which is made.
        strands: how many of them.
        run_id: the id of the run.
        said: what errors and log lines say besides.
    """

    def __init__(
        self, folder: Path, strands: int, run_id: str = "5f0c1d2e", said: str = ""
    ) -> None:
        folder.mkdir(parents=True)
        self._chance = Random(3)
        self._folder, self._strands = folder, strands
        self._events: list[Any] = []
        self._id, self._besides = run_id, said
        self._ended = dict.fromkeys((TaskState.DONE, TaskState.FAILED), 0)
        self.writer = EventLogWriter(folder / NAME, {"run": run_id}, self._complain)
        self._begin()
        self._work()

    @staticmethod
    def _complain(what: str) -> None:
        raise AssertionError(what)

    def _add(self, kind: Callable[..., Any], *fields: Any, **more: Any) -> None:
        event = kind(*fields, **more)
        self._events.append(event)
        if isinstance(event, TaskMoved) and event.state in self._ended:
            self._ended[event.state] += 1

    def write(self, share: float = 1.0) -> None:
        """Write the events of so much of the time, in their order."""
        self._events.sort(key=lambda event: event.time)
        last = BEGAN + (self._events[-1].time - BEGAN) * share
        told = [event for event in self._events if event.time <= last]
        self._events = self._events[len(told) :]
        for start in range(0, len(told), 2000):
            self.writer.write(told[start : start + 2000])

    def end(self) -> None:
        """Write what is left, and the end of the run."""
        last = self._events[-1].time if self._events else BEGAN
        self.write()
        done, failed = self._ended.values()
        self.writer.write([RunEnded(last + 1, self._id, done, failed, 0)])
        self.writer.close()

    def _begin(self) -> None:
        self._add(
            RunStarted, BEGAN, self._id, "/scratch/ann/survey/weft-runs/0003", "survey.py", "0.1.0",
            "login1", "ann", 4711, "3.12.4", ("python", "survey.py", "--strands", "all"),
            "/scratch/ann/survey",
        )  # fmt: skip
        self._add(ExecutorStarted, BEGAN + 0.2, "cluster", "htex")
        for block in (1, 2):
            name = f"cluster-{block}"
            job = str(88_120 + block)
            for number, state in enumerate((BlockState.QUEUED, BlockState.READY)):
                self._add(BlockChanged, BEGAN + 1 + 9 * number, "cluster", name, job, state, "", 2)
            for node in (1, 2):
                host = f"node{block}{node}"
                self._add(
                    ManagerChanged, BEGAN + 10, "cluster", name, f"m{block}{node}", host, "working",
                    900 + node, 32, "3.12.4",
                )  # fmt: skip
        self._add(Notice, BEGAN + 12, "info", "cluster", "2 blocks are ready, with 128 workers.")
        self._add(Notice, BEGAN + 31, "warning", "stager.https",
                  "archive.example answers slowly: transfers are repeated.")  # fmt: skip

    def _try(self, task: int, app: str, start: float, seconds: float) -> tuple[float, str]:
        """One try. Returns when it ended and where."""
        chance = self._chance
        place = f"worker {chance.randrange(32)} on node{chance.randint(1, 2)}{chance.randint(1, 2)}"
        self._add(TaskMoved, start, task, app, TaskState.LAUNCHED, 1, "cluster")
        return start + 0.3 + seconds, place

    def _task(self, task: int, app: str, called: float, ready: float, needs: tuple[int, ...] = (),
              *, error: str = "", again: bool = False) -> float:  # fmt: skip
        seconds = self._chance.uniform(1, 6)
        outputs = (f"/scratch/ann/survey/pairs/{task // 3:05}.bam",) if app == "align" else ()
        self._add(TaskSubmitted, called, task, app, needs, (), outputs)
        end, place = self._try(task, app, ready, seconds)
        attempt = 1
        if again:
            self._add(
                TryEnded, end, task, app, 1, "cluster", "lost",
                "WorkerLost: the node went down", 2.0, place, ready + 0.2, seconds,
            )  # fmt: skip
            self._add(TaskMoved, end, task, app, TaskState.PENDING, 1, "", "", place, ready + 0.2,
                      seconds)  # fmt: skip
            self._add(TaskMoved, end + 2, task, app, TaskState.LAUNCHED, 2, "cluster")
            attempt, end, ready = 2, end + 2.3 + seconds, end + 2
        most = _MOST.get(app, 90_000_000)
        self._add(
            ResourceSample, end - 0.001, task, attempt, "cluster", last=True, user=0.9 * seconds,
            system=0.02 * seconds, resident=80_000_000, peak=most,
        )  # fmt: skip
        state = TaskState.FAILED if error else TaskState.DONE
        self._add(TaskMoved, end, task, app, state, attempt, "", error, place, ready + 0.2, seconds)
        return end

    def _work(self) -> None:
        ends: dict[int, float] = {}
        bad: set[int] = set()
        number = 0
        for strand in range(self._strands):
            called = BEGAN + 0.5 + strand * 0.002
            fetch, align, fold = number, number + 1, number + 2
            number += 3
            error = ""
            if strand % 41 == 17:
                error = f"ValueError: strand {strand} has no end{self._besides}"
            elif strand % 97 == 50:
                error = "MemoryError: 12 GB were asked for"
            ends[fetch] = self._task(fetch, "fetch", called, BEGAN + 11 + strand * 0.12)
            ends[align] = self._task(
                align, "align", called, ends[fetch] + 0.1, (fetch,), error=error,
                again=strand % 53 == 9,
            )  # fmt: skip
            if error:
                bad.add(fold)
                self._add(TaskSubmitted, called, fold, "fold", (align,))
                text = f"DependencyError: task {align} failed"
                self._add(TaskMoved, ends[align], fold, "fold", TaskState.FAILED, detail=text)
                self._said(align, ends[fetch] + 0.2, ends[align])
                self._detailed(align, strand, error, ends[align])
            else:
                ends[fold] = self._task(fold, "fold", called, ends[align] + 0.1, (align,))
            self._file(strand, ends[fetch])
        for group in range(0, self._strands - 19, 20):
            folds = tuple(3 * strand + 2 for strand in range(group, group + 20))
            called, task = BEGAN + 2, number
            number += 1
            if bad.intersection(folds):
                self._add(TaskSubmitted, called, task, "summarize", folds)
                end = max(ends[fold - 1] for fold in folds)
                first = min(bad.intersection(folds))
                self._add(TaskMoved, end, task, "summarize", TaskState.FAILED,
                          detail=f"DependencyError: task {first} failed")  # fmt: skip
                continue
            ready = max(ends[fold] for fold in folds)
            self._task(task, "summarize", called, ready + 0.1, folds)

    def _detailed(self, task: int, strand: int, error: str, end: float) -> None:
        text = f"""Traceback (most recent call last):
  File "/scratch/ann/survey/survey.py", line 31, in align
    pairs = paired(strand, depth)
            ^^^^^^^^^^^^^^^^^^^^^
  File "/scratch/ann/survey/pairing.py", line 117, in paired
    raise {error.partition(":")[0]}(said)
{error}
"""
        arguments = f"'strands/{strand:05}.fa', depth=30{self._besides}"
        self._add(TaskDetails, end + 0.001, task, "align", 1, arguments, None, text)

    def _said(self, task: int, start: float, end: float) -> None:
        steps = 12
        for step in range(steps):
            time = start + (end - start) * step / steps
            self._add(
                ResourceSample, time, task, 1, "cluster", user=step * 0.4, system=step * 0.02,
                resident=int(4e8 + 9e8 * (step / steps) ** 2), peak=int(1.3e9), read=step * 10**6,
                written=step * 10**5,
            )  # fmt: skip
        self._add(LogLine, start + 0.1, task, 1, "cluster", "INFO", "survey.align", "3,120 pairs")
        self._add(
            LogLine,
            end - 0.2,
            task,
            1,
            "cluster",
            "WARNING",
            "survey.align",
            f"no end in sight{self._besides}",
        )

    def _file(self, strand: int, end: float) -> None:
        url = f"https://archive.example/strands/{strand:05}.fa"
        if strand % 60 == 30:
            self._add(FileNotMoved, end - 1, url, "in", "cluster", 1,
                      "503: the server is busy", 1.0)  # fmt: skip
        if strand == self._strands - 1:
            self._add(FileMoving, end - 0.5, "/scratch/ann/survey/all.h5", "out", "cluster",
                      41_000_000, 96_000_000)  # fmt: skip
        self._add(FileMoved, end - 0.3, url, "in", "cluster", 1, self._chance.uniform(0.1, 0.6),
                  strand * 40_000 + 1_200_000)  # fmt: skip
