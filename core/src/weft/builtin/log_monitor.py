"""``weft.log``: what happened in a run, as lines that a person reads.

No thread of its own: the thread of the monitors calls it. A disk that fails is reported once; lines
    that could not be
written are counted, and the count is written when the disk takes lines again.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import attrs

from weft.builtin.settings import Log
from weft.errors import RunFolderError
from weft.interfaces.context import Context
from weft.interfaces.monitor import Interest, Monitor
from weft.values.events import (
    BlockChanged,
    Event,
    ExecutorStarted,
    ExecutorStopped,
    FileMoving,
    ManagerChanged,
    Notice,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
    as_data,
)
from weft.values.states import TaskState

__all__ = ["LogMonitor", "build"]

_RANK: Final[Mapping[str, int]] = {"debug": 0, "info": 1, "warning": 2, "error": 3}

# What each level adds to the ones above it.
_WANTED: Final[Mapping[str, frozenset[Interest]]] = {
    "error": frozenset({TaskState.FAILED, Notice}),
    "warning": frozenset({TryEnded, ManagerChanged}),
    "info": frozenset(
        {RunStarted, ExecutorStarted, BlockChanged, ManagerChanged, ExecutorStopped, RunEnded}
    ),
    "debug": frozenset({TaskSubmitted, TaskMoved}),
}

Line = tuple[str, str]
"""A level and a text."""


def build(settings: Log) -> "LogMonitor":
    """The log monitor with these settings."""
    return LogMonitor(settings)


class LogMonitor(Monitor):
    """Writes one line per event that matters, to ``weft.log`` in its folder."""

    def __init__(self, settings: Log) -> None:
        self._settings = settings
        self._least = _RANK[settings.level]
        self._files: list[_File] = []
        self._context: Context | None = None
        self._complained = False
        self._second, self._stamp = -1, ""

    def interests(self) -> Collection[Interest]:
        """At ``info`` and above no event that a task makes on its way to success."""
        return frozenset().union(
            *(wants for level, wants in _WANTED.items() if _RANK[level] >= self._least)
        )

    def start(self, context: Context) -> None:
        """Open the files.

        Raises:
            RunFolderError: they cannot be written.
        """
        self._context = context
        self._files.append(_File.opened(context.folder / "weft.log", self._texts))
        if self._settings.json:
            self._files.append(_File.opened(context.folder / "weft.jsonl", self._objects))

    def handle(self, events: Sequence[Event]) -> None:
        """Write the lines of these events."""
        for file in self._files:
            lines = file.form(events)
            if not lines:
                continue
            trouble = file.write(lines)
            if trouble is not None and not self._complained and self._context is not None:
                self._complained = True
                self._context.notice(
                    "warning",
                    f"The log {str(file.path)!r} cannot be written: {trouble}. The run goes on "
                    "without it.",
                )

    def close(self) -> None:
        """Close the files."""
        while self._files:
            self._files.pop().close()

    # ------------------------------------------------------------------------------------ the lines

    def _texts(self, events: Sequence[Event]) -> list[str]:
        lines = []
        for event in events:
            level, text = told(event)
            if text and _RANK.get(level, 1) >= self._least:
                lines.append(f"{self._time(event.time)} {level.upper():<7} {plain(text)}\n")
        return lines

    def _objects(self, events: Sequence[Event]) -> list[str]:
        lines = []
        for event in events:
            level, _ = told(event)
            if _RANK.get(level, 1) >= self._least:
                lines.append(_as_json(as_data(event)))
        return lines

    def _time(self, at: float) -> str:
        second, thousandths = divmod(round(at * 1000), 1000)
        if second != self._second:
            # Events of one batch mostly share their second, and localtime is most of a line's cost.
            self._second, self._stamp = (
                second,
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second)),
            )
        return f"{self._stamp}.{thousandths:03d}"


def told(event: Event) -> Line:
    """The level and the text of an event; an empty text for one that this log does not know."""
    teller = _TELLERS.get(type(event))
    return teller(event) if teller else ("debug", "")


def _run_started(event: RunStarted) -> Line:
    zone = time.strftime("%z", time.localtime(event.time))
    return "info", (
        f"run {event.run_id} of {event.program} started in {event.folder} (weft "
        f"{event.weft_version}, times are UTC{zone})"
    )


def _executor_started(event: ExecutorStarted) -> Line:
    return "info", f"executor {event.label} started ({event.plugin})"


def _executor_stopped(event: ExecutorStopped) -> Line:
    return "info", f"executor {event.label} stopped"


def _block_changed(event: BlockChanged) -> Line:
    job = f" (job {event.job})" if event.job else ""
    why = f": {event.reason}" if event.reason else ""
    managers = f" with {event.managers} managers" if event.managers > 1 else ""
    return "info", f"block {event.block}{job} is {event.state}{managers}{why}"


def _manager_changed(event: ManagerChanged) -> Line:
    why = f": {event.reason}" if event.reason else ""
    has = ""
    if event.state == "working":
        kinds = [f"Python {event.python}"] if event.python else []
        kinds += [event.packages.replace(",", ", ")] if event.packages else []
        has = f" with {', '.join([f'{event.workers} workers', *kinds])}"
    return "warning" if event.state == "lost" else "info", (
        f"{event.manager} of {event.executor} on {event.host} (block {event.block}) is "
        f"{event.state}{has}{why}"
    )


def _submitted(event: TaskSubmitted) -> Line:
    needs = f", needs {', '.join(map(str, event.needs))}" if event.needs else ""
    return "debug", f"task {event.id} {event.app}: submitted{needs}"


def _moved(event: TaskMoved) -> Line:
    what = event.state.label
    where = ", ".join(filter(None, (event.executor, event.place)))
    if where:
        what += f" on {where}"
    if event.attempt > 1:
        what += f", try {event.attempt}"
    if event.detail:
        what += f": {event.detail}"
    return (
        "error" if event.state is TaskState.FAILED else "debug"
    ), f"task {event.id} {event.app}: {what}"


def _try_ended(event: TryEnded) -> Line:
    again = f"again in {event.delay:.3g} s" if event.delay > 0 else "again at once"
    where = ", ".join(filter(None, (event.executor, event.place)))
    where = f" on {where}" if where else ""
    return "warning", (
        f"task {event.id} {event.app}: try {event.attempt}{where} ended by {event.ended}, "
        f"{again}: {event.error}"
    )


def _file_moving(event: FileMoving) -> Line:
    whole = f" of {event.total}" if event.total is not None else ""
    return "debug", f"file {event.url}, {event.way} for {event.executor}: {event.done}{whole} bytes"


def _notice(event: Notice) -> Line:
    return event.level, f"{event.source}: {event.text}"


def _run_ended(event: RunEnded) -> Line:
    lost = (
        f"; {event.lost_events} events were not told, monitors were too slow"
        if event.lost_events
        else ""
    )
    return "info", (
        f"run {event.run_id} ended: {event.done} done, {event.failed} failed, {event.cancelled} "
        f"cancelled{lost}"
    )


# Each teller takes the class it stands beside, which a mapping cannot say.
_TELLERS: Final[Mapping[type, Callable[[Any], Line]]] = {
    RunStarted: _run_started,
    ExecutorStarted: _executor_started,
    BlockChanged: _block_changed,
    ManagerChanged: _manager_changed,
    ExecutorStopped: _executor_stopped,
    TaskSubmitted: _submitted,
    TaskMoved: _moved,
    TryEnded: _try_ended,
    FileMoving: _file_moving,
    Notice: _notice,
    RunEnded: _run_ended,
}


def plain(text: str) -> str:
    """The text without what could pass for a line of the log, or what a terminal would obey."""
    if text.isprintable():
        return text
    shown = "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
    return shown.rstrip("\n").replace("\n", "\n    ")


@attrs.define(eq=False)
class _File:
    """A file that is only added to, and what became of the lines."""

    path: Path
    form: Callable[[Sequence[Event]], list[str]]
    descriptor: int
    unwritten: int = 0
    torn: bool = False

    @classmethod
    def opened(cls, path: Path, form: Callable[[Sequence[Event]], list[str]]) -> "_File":
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(path, flags, 0o600)
            os.fchmod(descriptor, 0o600)
        except OSError as error:
            raise RunFolderError(
                str(path.parent), f"The log {path.name!r} cannot be written: {error.strerror}."
            ) from error
        return cls(path, form, descriptor)

    def write(self, lines: list[str]) -> str | None:
        """Add the lines. Returns what went wrong, if anything did."""
        before = ("\n" if self.torn else "") + (self._gap() if self.unwritten else "")
        data = "".join((before, *lines)).encode("utf-8", "backslashreplace")
        written = 0
        try:
            while written < len(data):
                written += os.write(self.descriptor, data[written:])
        except OSError as error:
            self._note_gap(before, lines, written)
            return error.strerror or str(error)
        self.unwritten, self.torn = 0, False
        return None

    def _note_gap(self, before: str, lines: list[str], written: int) -> None:
        """Take note of which lines were not written, or not to their end."""
        ends = list(accumulate(len(line.encode("utf-8", "backslashreplace")) for line in lines))
        begin = len(before.encode())
        missing = sum(begin + end > written for end in ends)
        if written >= begin:  # the gap before these has been told
            self.unwritten = 0
        self.unwritten += missing
        if written:
            self.torn = written not in {begin, *(begin + end for end in ends)}

    def _gap(self) -> str:
        if self.path.suffix == ".jsonl":
            return _as_json({"event": "LinesLost", "lines": self.unwritten})
        return f"({self.unwritten} earlier lines could not be written)\n"

    def close(self) -> None:
        os.close(self.descriptor)


def _as_json(data: object) -> str:
    import json  # only those who want JSON pay for it

    return json.dumps(data, ensure_ascii=False) + "\n"
