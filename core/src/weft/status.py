"""How a run is, at one moment: as data, and as text for people.

Blocks with their managers, managers with their workers, workers with what they run; what differs
between a node and here; failures by kind. Pure: a status becomes lines.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from weft.interfaces.executor import ExecutorStatus, ManagerStatus
from weft.values.blocks import Block
from weft.values.message import message
from weft.values.states import TaskState

if TYPE_CHECKING:
    from weft.dataflow.views import Group

__all__ = ["Status"]

_MOST: Final = 20
"""Lines of one kind that are written out; of more, the rest are counted."""
_SILENT: Final = 10.0


@message
class Status:
    """How a run is, at one moment.

    Attributes:
        counts: how many tasks are in each state.
        apps: the same for each app.
        from_memory: tasks answered from memory or a checkpoint, by app.
        executors: what each executor says of itself, by label.
        failures: the failures so far, by app and kind of error, the most frequent first.
        elapsed: seconds since the session opened, until it closed.
        run_folder: where the run's files are.
        closed: whether the session has closed.
        program: the script, for people.

    ``print(session.status())`` shows all of it as text, and a notebook the most of it in colour.
    """

    counts: Mapping[TaskState, int]
    apps: Mapping[str, Mapping[TaskState, int]]
    from_memory: Mapping[str, int]
    executors: Mapping[str, ExecutorStatus]
    failures: Sequence[Group]
    elapsed: float
    run_folder: Path
    closed: bool
    program: str = ""

    @property
    def unfinished(self) -> int:
        """Tasks that have not ended."""
        return sum(count for state, count in self.counts.items() if state < TaskState.DONE)

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        """The status as notebooks show it."""
        from weft.display import status_html

        return status_html(self)


# ------------------------------------------------------------------------------------------ as text


def _lines(status: Status) -> Iterator[str]:
    how = ", closed" if status.closed else ""
    name = status.program or "run"
    yield f"{name}: {_clock(status.elapsed)}{how}, in {status.run_folder}"
    total = sum(status.counts.values())
    yield f"tasks: {_counted(status.counts)} of {total}" if total else "tasks: none"
    remembered = sum(status.from_memory.values())
    if remembered:
        yield f"  {remembered} of them from memory"
    if len(status.apps) > 1:
        width = min(40, max(map(len, status.apps)))
        rows = [f"  {app:<{width}}  {_counted(counts)}" for app, counts in status.apps.items()]
        yield from _some(rows, "  ", "app")
    yield from _some([_failed(group) for group in status.failures], "  ", "kind of failure")
    for label, executor in status.executors.items():
        yield from _executor(label, executor)


def _counted(counts: Mapping[TaskState, int]) -> str:
    ended = [state for state in sorted(counts) if state >= TaskState.DONE]
    order = [*ended, *(state for state in sorted(counts, reverse=True) if state not in ended)]
    return ", ".join(f"{counts[state]} {state.label}" for state in order if counts[state]) or "none"


def _failed(group: Group) -> str:
    text = " ".join(group.example.split())
    said = f"{group.error}: {text}" if text else group.error
    return f"  failed: {group.count} x {group.app}: {_short(said, 100)} (task {group.task})"


def _executor(label: str, status: ExecutorStatus) -> Iterator[str]:
    running = status.running
    busy = f"{running} of {_many(status.workers, 'worker')} busy"
    if running is None:
        busy = _many(status.workers, "worker")
    waits = f", {_many(status.waiting, 'task')} wait" if status.waiting else ""
    yield f"executor {label}: {busy}{waits}"
    there = [block for block in status.blocks if not block.ended]
    ended = [block for block in status.blocks if block.ended]
    homes = {block.id for block in there}
    rows: list[str] = []
    for block in there:
        rows.append(_block(block))
        rows += [
            line
            for one in status.managers
            if one.block == block.id
            for line in _manager(one, "    ")
        ]
    for one in status.managers:
        if one.block not in homes:  # its executor has no blocks, or it is gone in a moment
            rows += _manager(one, "  ")
    yield from _some(rows, "  ", "line", 10 * _MOST)
    for block in ended[-3:]:
        yield _block(block)
    if len(ended) > 3:
        yield f"  and {_many(len(ended) - 3, 'block')} that ended before"


def _block(block: Block) -> str:
    age = _clock(max(0.0, time.time() - block.since))
    parts = [f"{block.state} {age} ago" if block.ended else f"{block.state} for {age}"]
    if block.job:
        parts.append(f"job {block.job}")
    if block.exit_code is not None:
        parts.append(f"exit code {block.exit_code}")
    if block.ends is not None and not block.ended:
        parts.append(f"its time is over in {_clock(max(0.0, block.ends - time.time()))}")
    if block.reason:
        parts.append(_short(" ".join(block.reason.split()), 100))
    return f"  block {block.id}: {', '.join(parts)}"


def _manager(one: ManagerStatus, indent: str) -> Iterator[str]:
    parts = [_many(one.workers, "worker")]
    if one.held:
        parts.append(_many(one.held, "task"))
    if one.state != "working":
        parts.append(one.state)
    if one.silent > _SILENT:
        parts.append(f"silent for {_clock(one.silent)}")
    if one.python:
        parts.append(f"Python {one.python}")
    yield f"{indent}{one.name} on {one.host} (pid {one.pid}): {', '.join(parts)}"
    for name, (there, here) in one.differs.items():
        missing = "not installed"
        yield f"{indent}  differs: {name} {there or missing}, here {here or missing}"
    rows = [f"{indent}  {at.worker}: {at.app} (task {at.task})" for at in one.at_work]
    yield from _some(rows, f"{indent}  ", "worker")


def _some(rows: Sequence[str], indent: str, noun: str, most: int = _MOST) -> Iterator[str]:
    yield from rows[:most]
    if len(rows) > most:
        yield f"{indent}and {_many(len(rows) - most, f'more {noun}')}"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _clock(seconds: float) -> str:
    """A time as people read it: ``0:07``, ``1:02:03``, ``2 d 3:04:05``."""
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    text = f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours or days else _minutes(rest)
    return f"{days} d {text}" if days else text


def _minutes(rest: int) -> str:
    return f"{rest // 60}:{rest % 60:02}"
