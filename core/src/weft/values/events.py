"""What a monitor is told: one frozen class per event, each with the time at which it happened.

Read from top to bottom, this is the life of a run. Times are seconds since the epoch
(``time.time()``). Events are made only while somebody listens, and reach monitors in batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.values.message import message
from weft.values.states import TaskState
from weft.values.task import TaskId

if TYPE_CHECKING:
    from typing import Any

    from weft.values.blocks import BlockId, BlockState
    from weft.values.jobs import JobId

__all__ = [
    "BlockChanged",
    "Event",
    "ExecutorStarted",
    "ExecutorStopped",
    "FileMoved",
    "FileMoving",
    "FileNotMoved",
    "Notice",
    "RunEnded",
    "RunStarted",
    "TaskMoved",
    "TaskSubmitted",
    "TryEnded",
    "as_data",
]


@message
class RunStarted:
    """A session has opened.

    Attributes:
        run_id: unique for the run.
        folder: where its files are.
        program: the script, for people.
        host: the name of the machine of the script.
        user: whose process it is: the name, or the number where there is no name.
        pid: of the process.
        python: the version of its interpreter.
        command: with what it was started, the interpreter first; whoever may read the event may
            read what was given there.
        cwd: the folder in which it was started.
    """

    time: float
    run_id: str
    folder: str
    program: str
    weft_version: str
    host: str = ""
    user: str = ""
    pid: int = 0
    python: str = ""
    command: tuple[str, ...] = ()
    cwd: str = ""


@message
class ExecutorStarted:
    """An executor is ready for tasks."""

    time: float
    label: str
    plugin: str


@message
class BlockChanged:
    """A block of machines came into another state, or the scheduler's reason for its state changed.

    Attributes:
        executor: the label of the executor that the block works for.
        block: its name.
        job: the scheduler's name for its job; empty while there is none.
        reason: why it is there, in the scheduler's words where it said something; may be empty.
        managers: how many managers are registered.
        exit_code: of an ended job, where it is known; negative for a signal.
    """

    time: float
    executor: str
    block: BlockId
    job: JobId
    state: BlockState
    reason: str = ""
    managers: int = 0
    exit_code: int | None = None


@message
class TaskSubmitted:
    """An app was called.

    Attributes:
        id: the task's number.
        app: the app's name.
        needs: the numbers of the tasks whose results it waits for.
    """

    time: float
    id: TaskId
    app: str
    needs: tuple[TaskId, ...]


@message
class TaskMoved:
    """A task came into another state.

    Attributes:
        executor: the label of the executor for ``launched``, else empty.
        detail: for final states, how it came to that: the error's first line, ``memory``, or empty.
    """

    time: float
    id: TaskId
    app: str
    state: TaskState
    attempt: int = 0
    executor: str = ""
    detail: str = ""


@message
class TryEnded:
    """A try ended without ending its task: it will be tried again."""

    time: float
    id: TaskId
    app: str
    attempt: int
    executor: str
    ended: str
    error: str
    delay: float


@message
class FileMoving:
    """How far the transfer of a file is; told about once a second for as long as it takes.

    Attributes:
        url: the file.
        way: ``in`` or ``out``.
        executor: the label of where its task runs.
        done: bytes that have been moved.
        total: bytes in all; ``None`` if that is not known.
    """

    time: float
    url: str
    way: str
    executor: str
    done: int
    total: int | None


@message
class FileMoved:
    """A file is where it was to be.

    Attributes:
        url: the file.
        way: ``in`` or ``out``.
        executor: the label of where its task runs.
        attempt: which try did it, from 1.
        seconds: how long that took, with what was moved at the same time.
    """

    time: float
    url: str
    way: str
    executor: str
    attempt: int
    seconds: float


@message
class FileNotMoved:
    """A try to move a file has failed.

    Attributes:
        url: the file.
        way: ``in`` or ``out``.
        executor: the label of where its task runs.
        attempt: which try it was, from 1.
        error: why.
        delay: seconds until it is tried again; ``None`` if it is not.
    """

    time: float
    url: str
    way: str
    executor: str
    attempt: int
    error: str
    delay: float | None


@message
class Notice:
    """Something that a person should know, which decides no task's fate.

    Attributes:
        level: ``info``, ``warning`` or ``error``.
        source: the room or the plugin that says it.
    """

    time: float
    level: str
    source: str
    text: str


@message
class ExecutorStopped:
    """An executor has ended and left nothing behind."""

    time: float
    label: str


@message
class RunEnded:
    """The session has closed.

    Attributes:
        done, failed, cancelled: how many tasks ended in each way.
        lost_events: events that monitors were not told because they were too slow.
    """

    time: float
    run_id: str
    done: int
    failed: int
    cancelled: int
    lost_events: int = 0


Event = (
    RunStarted
    | ExecutorStarted
    | BlockChanged
    | TaskSubmitted
    | TaskMoved
    | TryEnded
    | FileMoving
    | FileMoved
    | FileNotMoved
    | Notice
    | ExecutorStopped
    | RunEnded
)


def as_data(event: Event) -> dict[str, Any]:
    """An event as plain data: its class under ``event``, then its fields, states by their labels.

    For formats such as JSON, which has to be told what to do with paths among the values.
    """
    # Any: type checkers are not told what a message is made of.
    kind: Any = type(event)
    data: dict[str, Any] = {"event": kind.__name__}
    for name in kind.__slots__:
        value = getattr(event, name)
        data[name] = value.label if isinstance(value, TaskState) else value
    return data
