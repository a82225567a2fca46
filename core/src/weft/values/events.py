"""What a monitor is told: one frozen class per event, each with the time at which it happened.

Read from top to bottom, this is the life of a run. Times are seconds since the epoch
(``time.time()``). Events are made only while somebody listens, and reach monitors in batches.

The set has a version. A minor version adds classes, and fields with defaults at the end of classes;
who reads what another version wrote passes over what it does not know, and takes the defaults for
what is missing.

What is told of every task goes through the queue of the monitors, and into the log of the run, in
*short forms*: one for what stands for several events, or for one of which most is always the same.
Monitors get the events, unless they say that they take rows, and so does who reads a log by the
package for that, ``weft.eventlog``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from weft.values.message import message
from weft.values.states import TaskState
from weft.values.task import TaskId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from weft.values.blocks import BlockId, BlockState
    from weft.values.jobs import JobId

__all__ = [
    "BEGUN",
    "DONE",
    "SHORT_FORMS",
    "VERSION",
    "BlockChanged",
    "CallFailed",
    "Event",
    "ExecutorStarted",
    "ExecutorStopped",
    "FileMoved",
    "FileMoving",
    "FileNotMoved",
    "LogLine",
    "ManagerChanged",
    "Notice",
    "ResourceSample",
    "Row",
    "RunEnded",
    "RunStarted",
    "ShortForm",
    "TaskDetails",
    "TaskMoved",
    "TaskSubmitted",
    "TryEnded",
    "as_data",
    "events_in",
    "made",
]

VERSION: Final = "1.4"
"""Major and minor version of the set of events."""


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
class ManagerChanged:
    """A manager, which runs tasks on a node for a block, came into another state.

    Attributes:
        executor: the label of the executor.
        block: the block it belongs to.
        manager: its name, which no other manager of this executor has in this run.
        host: the node it is on.
        state: ``working`` once it is registered; ``draining`` when it takes no more tasks; ``away``
            while its connection is broken; ``ended`` when it is gone as it was to be, ``lost`` when
            it is gone otherwise.
        pid: of its process there.
        workers: tasks it can run at once.
        python: the version of its Python.
        packages: the versions of packages that matter there, as ``name==version`` with commas in
            between, in the order of their names; a name alone for one that is not installed.
        reason: why, for people; may be empty.
    """

    time: float
    executor: str
    block: BlockId
    manager: str
    host: str
    state: str
    pid: int = 0
    workers: int = 0
    python: str = ""
    packages: str = ""
    reason: str = ""


@message
class TaskSubmitted:
    """An app was called.

    Attributes:
        id: the task's number.
        app: the app's name.
        needs: the numbers of the tasks whose results are among its arguments, those that had ended
            with the others.
        inputs: the files among its arguments, and in the lists and tuples there, as the script
            names them; what other tasks make is among them, what lies deeper is not.
        outputs: the files that it is to make, as the script names them.
    """

    time: float
    id: TaskId
    app: str
    needs: tuple[TaskId, ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@message
class TaskMoved:
    """A task came into another state.

    Attributes:
        executor: the label of the executor for ``launched``, else empty.
        detail: for final states, how it came to that: the error's first line, ``memory``, or empty.
        place, begun, seconds: of the try by whose end the task came here, and of its latest one in
            a final state: where it ran, when it began there, by the clock of that node, and how
            long it ran, as ``weft.values.task.Outcome`` says. Else empty, 0 and ``None``.
    """

    time: float
    id: TaskId
    app: str
    state: TaskState
    attempt: int = 0
    executor: str = ""
    detail: str = ""
    place: str = ""
    begun: float = 0.0
    seconds: float | None = None


@message
class CallFailed:
    """A call of an app with ``cache=True`` has failed: what it is called in other runs.

    Told after the move to ``failed``, and not of tasks that could not start because another had
    failed, whose arguments are not known.

    Attributes:
        call: a digest, in hexadecimal digits, of the app's name and the arguments, files among them
            by their names; without the function, so that it is the same when that was mended.
        function: a digest of the function as it was, by which results of its other calls are found
            when it was mended.
    """

    time: float
    id: TaskId
    app: str
    call: str
    function: str = ""


@message
class TryEnded:
    """A try ended without ending its task: it will be tried again.

    Attributes:
        ended: how, as ``weft.values.task.Ended`` names it.
        error: the error's first line.
        delay: seconds until it is tried again.
        place, begun, seconds: where it ran, when it began there, by the clock of that node, and how
            long it ran, as ``weft.values.task.Outcome`` says.
    """

    time: float
    id: TaskId
    app: str
    attempt: int
    executor: str
    ended: str
    error: str
    delay: float
    place: str = ""
    begun: float = 0.0
    seconds: float | None = None


@message
class TaskDetails:
    """What a task was called with and what came of it, in words.

    Told of what failed, each try for itself, after the move or the :class:`TryEnded` that says so,
    and by ``Config(task_values="all")`` of all tasks. Not of a task that could not start because
    another had failed, nor of each of very many failures of one kind: it goes by what a person
    would read.

    Attributes:
        attempt: the try; 0 where it failed before the first.
        arguments: of the call, as they would stand in it, each of them and all together cut; as
            they were when the words were made. ``None`` if they are not told.
        result: of a task that ended well, cut. ``None`` if it is not told.
        traceback: of the error, with those that led to it, as the worker saw it; lacks its middle
            where it is long, and says so. Empty if there was no error.
    """

    time: float
    id: TaskId
    app: str
    attempt: int
    arguments: str | None = None
    result: str | None = None
    traceback: str = ""


@message
class LogLine:
    """A task has logged or printed something.

    Attributes:
        time: when, by the clock of the node it ran on.
        id, attempt: which try of which task.
        executor: the label of the executor it ran on.
        level: of ``logging``, in capital letters; ``OUT`` or ``ERR`` for what was printed.
        logger: the name of the logger; empty for what was printed.
        text: what it said; may have several lines. A long one lacks its middle, and says so.
        dropped: how many lines before this one were left out, since the task said too much.
    """

    time: float
    id: TaskId
    attempt: int
    executor: str
    level: str
    logger: str
    text: str
    dropped: int = 0


@message
class ResourceSample:
    """What a task used of its node, with all processes that it started, at one moment.

    Amounts are those of the worker's process and its children together. ``None`` for what could not
    be measured there.

    Attributes:
        time: when, by the clock of the node it ran on.
        id, attempt: which try of which task.
        executor: the label of the executor it runs on.
        last: whether it was taken at the end of the try.
        user, system: seconds of processor time since the try began.
        resident, virtual: bytes of memory now.
        peak: the most resident bytes that were seen since the try began.
        read, written: bytes since the try began, by system calls: from and to disks, what the
            system had in memory, and pipes.
        processes: how many there are.
        gpu_memory: bytes of its accelerators.
    """

    time: float
    id: TaskId
    attempt: int
    executor: str
    last: bool = False
    user: float | None = None
    system: float | None = None
    resident: int | None = None
    virtual: int | None = None
    peak: int | None = None
    read: int | None = None
    written: int | None = None
    processes: int = 1
    gpu_memory: int | None = None


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
        size: bytes that were moved, of all files in a folder; 0 if the file was there already, or
            is used where it is; ``None`` if neither its stager tells nor can it be seen here.
    """

    time: float
    url: str
    way: str
    executor: str
    attempt: int
    seconds: float
    size: int | None = None


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
    | ManagerChanged
    | TaskSubmitted
    | TaskMoved
    | CallFailed
    | TryEnded
    | TaskDetails
    | LogLine
    | ResourceSample
    | FileMoving
    | FileMoved
    | FileNotMoved
    | Notice
    | ExecutorStopped
    | RunEnded
)


@message
class ShortForm:
    """How events of one task are told in few values; a row that begins with its name has them.

    A name and not a class: a tuple of names and numbers alone is one that the garbage collector
    looks at once, and then no more.

    Attributes:
        fields: the names of its values.
        made: makes the events of the values, in their order.
        count: how many events that are.
        interests: their classes; of moves, the states.
    """

    fields: tuple[str, ...]
    made: Callable[..., tuple[Event, ...]]
    count: int
    interests: frozenset[type[Event] | TaskState]


BEGUN: Final = "TaskBegun"
"""A task that needs no other, and no file, was submitted, and launched at once."""
DONE: Final = "TaskDone"
"""A task has come to ``done`` by the end of a try."""


def _of_begun(time: float, number: TaskId, app: str, executor: str) -> tuple[Event, ...]:
    return (
        TaskSubmitted(time, number, app, ()),
        TaskMoved(time, number, app, TaskState.LAUNCHED, 1, executor),
    )


def _of_done(  # noqa: PLR0917 - the fields, in their order
    time: float,
    number: TaskId,
    app: str,
    attempt: int,
    place: str,
    begun: float,
    seconds: float | None,
) -> tuple[Event, ...]:
    return (TaskMoved(time, number, app, TaskState.DONE, attempt, "", "", place, begun, seconds),)


SHORT_FORMS: Final[Mapping[str, ShortForm]] = {
    BEGUN: ShortForm(
        ("time", "id", "app", "executor"),
        _of_begun,
        2,
        frozenset({TaskSubmitted, TaskState.LAUNCHED}),
    ),
    DONE: ShortForm(
        ("time", "id", "app", "attempt", "place", "begun", "seconds"),
        _of_done,
        1,
        frozenset({TaskState.DONE}),
    ),
}
"""The short forms by their names."""


Row = tuple[Any, ...]
"""An event that is not made yet: its class, and the values of its fields in their order, of which
the last ones may be left out. For what is told of every task: a row costs a fifth of an event. Or,
in place of the class, the name of one of the ``SHORT_FORMS``, for the events that it stands for."""


def events_in(told: Event | Row) -> int:
    """How many events it is that were told: as an event, as a row of one, or in a short form."""
    short = SHORT_FORMS.get(told[0]) if isinstance(told, tuple) else None
    return short.count if short is not None else 1


def made(told: Event | Row) -> Sequence[Event]:
    """The events that something told comes to: itself, or what a row stands for."""
    if not isinstance(told, tuple):
        return (told,)
    short = SHORT_FORMS.get(told[0])
    return short.made(*told[1:]) if short is not None else (told[0](*told[1:]),)


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
