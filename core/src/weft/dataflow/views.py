"""What people are shown of tasks: views, counts, and the words for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from weft.dataflow.arguments import Held
from weft.dataflow.futures import DataFuture
from weft.dataflow.graph import record_of
from weft.dataflow.lifecycle import TaskRecord
from weft.errors import WeftError
from weft.interfaces.executor import ExecutorStatus
from weft.values.files import File
from weft.values.message import message
from weft.values.states import TaskState
from weft.values.task import TaskId, TaskView

__all__ = [
    "Group",
    "Snapshot",
    "brief",
    "described",
    "first_line",
    "inputs_of",
    "named",
    "say_where",
    "view_of",
]

_SHORT: Final = 60
"""Letters up to which a value is shown as it is."""
_LINE: Final = 2_000
"""Letters of a line that are shown."""


@message
class Group:
    """Failures of one kind: the same app, the same error.

    Attributes:
        app, error: the app's name and the error's class.
        count: how many there were.
        task: the number of the first one.
        example: the first line of its message.
    """

    app: str
    error: str
    count: int
    task: TaskId
    example: str


@message
class Snapshot:
    """How many tasks are where, at one moment.

    Attributes:
        apps: for each app, how many of its tasks are in each state.
        counts: the same for all apps together.
        from_memory: tasks answered from memory or a checkpoint, by app.
        executors: what each executor says of itself.
        failures: the failures so far, by kind, the most frequent first.
    """

    apps: Mapping[str, Mapping[TaskState, int]]
    counts: Mapping[TaskState, int]
    from_memory: Mapping[str, int]
    executors: Mapping[str, ExecutorStatus]
    failures: Sequence[Group]


def view_of(record: TaskRecord) -> TaskView:
    """A copy of what may be shown of a record."""
    return TaskView(
        id=record.id,
        app=record.spec.name,
        state=record.state,
        executor=record.executor,
        attempt=record.attempt,
        waits_for=tuple(
            other.id for other in map(record_of, record.waits_for) if other is not None
        ),
        tries=tuple(record.history.tries) if record.history is not None else (),
        priority=record.spec.needs.priority,
        error=brief(record.error) if record.error is not None else "",
    )


def named(record: TaskRecord) -> str:
    """A task in messages."""
    return f"{record.spec.name} (task {record.id})"


def first_line(error: BaseException | None) -> str:
    """The first line of an error's message, cut where it is very long."""
    try:
        text = error.what if isinstance(error, WeftError) else str(error)
        line = text[: _LINE + 1].splitlines()[0] if text else ""
        return line if len(line) <= _LINE else f"{line[:_LINE]}…"
    except BaseException:  # noqa: BLE001 - the error is a user's: its methods may raise anything
        return "(its message cannot be shown)"


def brief(error: BaseException) -> str:
    """An error in one line."""
    text = first_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def say_where(error: BaseException, record: TaskRecord) -> None:
    """Note in an error in which task it was raised, once."""
    note = (
        f"in app {record.spec.name!r} (task {record.id}, try {record.attempt}) "
        f"on executor {record.executor!r}"
    )
    try:
        if not any(f"task {record.id}," in str(one) for one in getattr(error, "__notes__", ())):
            error.add_note(note)
    except BaseException as trouble:  # noqa: BLE001 - a user's class may refuse it; a kindness only
        sys.audit("weft.note_refused", trouble)


def described(value: Any) -> str:
    """A value in messages: itself if it is short, else its type."""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - a user's object, whose repr may raise anything
        shown = ""
    return shown if 0 < len(shown) < _SHORT else f"a {type(value).__name__}"


def inputs_of(record: TaskRecord) -> tuple[str, ...]:
    """The files among the arguments of a task, and in lists and tuples there, as they are named.

    No deeper: the arguments may be changed by the script meanwhile, which a list bears.
    """
    found = [future.file for future in record.waits_for if isinstance(future, DataFuture)]
    named = [value for key, value in record.kwargs.items() if key != "outputs"]
    for value in (*record.args, *named):
        if type(value) is File:
            found.append(value)
        else:
            inside = value.items if type(value) is Held else value
            if type(inside) is list or type(inside) is tuple:
                found += [one for one in inside if type(one) is File]
    return tuple(dict.fromkeys(file.url for file in found))
