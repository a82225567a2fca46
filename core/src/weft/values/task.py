"""What was asked of weft, and what comes back from an executor."""

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from weft.values.files import File
from weft.values.message import changed, message
from weft.values.states import TaskState

if TYPE_CHECKING:
    from weft.values.settings import SerializerSettings

__all__ = [
    "NEEDS_NOTHING",
    "Ended",
    "Needs",
    "Outcome",
    "Resources",
    "Task",
    "TaskId",
    "TaskSpec",
    "TaskView",
    "Try",
    "changed",
    "message",
    "split_place",
]

TaskId = int
"""The number of a task within its session, from 0 upward, never used twice."""


@attrs.frozen(kw_only=True)
class Resources:
    """What a task needs while it runs. ``None`` leaves the choice to the executor.

    Attributes:
        cores: processor cores; fractions are allowed where the executor counts them.
        memory: bytes.
        accelerators: GPUs or the like.
        options: anything else, by names that the executor documents.
    """

    cores: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(0))
    )
    memory: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(0))
    )
    accelerators: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.ge(0))
    )
    options: Mapping[str, object] = attrs.field(factory=dict)

    def asked(self) -> tuple[str, ...]:
        """The names of what was asked for, in the order of the fields."""
        named = tuple(
            name for name in ("cores", "memory", "accelerators") if getattr(self, name) is not None
        )
        return named + tuple(self.options)


@attrs.frozen(kw_only=True)
class Needs:
    """What an app, or one call of it, asks of the executor.

    Most tasks share the one object of their app.

    Attributes:
        resources: cores, memory and so on, or ``None``.
        walltime: seconds that one try may take, or ``None`` for no limit.
        priority: lower numbers are started first; equal numbers in the order of submission.
    """

    resources: Resources | None = None
    walltime: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(0))
    )
    priority: int = 0


NEEDS_NOTHING = Needs()


@message
class TaskSpec:
    """What is asked, but for the arguments.

    One object for all tasks of an app, or for one call with options of its own.

    Attributes:
        name: the app's name.
        function: what runs on the executor.
        join: whether the function runs beside the session and returns futures to wait for.
        executors: labels of the executors it may run on; ``None`` for all.
        needs: what is asked of the executor.
        returns: how many results it declares, or ``None``.
        cache: whether a call may be answered from memory.
        identity: makes the memory's key of a call from its arguments, as a tuple and a mapping,
            and of a former function where one is given; only used with ``cache``.
        outputs: the files that the task makes.
        in_session: whether it runs on the session's own threads, as the small steps between tasks
            do.
        serializer: what packs its calls and their results, before what the executor names.
        call_names: makes what a call, and its function, are called in other runs of the app's name
            and the arguments; there where ``identity`` is.
    """

    name: str
    function: Callable[..., Any]
    join: bool = False
    executors: tuple[str, ...] | None = None
    needs: Needs = NEEDS_NOTHING
    returns: int | None = None
    cache: bool = False
    identity: "Callable[..., bytes] | None" = None
    outputs: tuple[File, ...] = ()
    in_session: bool = False
    serializer: "SerializerSettings | None" = None
    call_names: "Callable[[str, tuple[Any, ...], Mapping[str, Any]], tuple[str, str]] | None" = None


@message
class Task:
    """One try of one task, as an executor gets it: everything in place, ready to run.

    Attributes:
        id: the task's number in its session.
        attempt: which try this is, from 1.
        app: the name of the app, for people.
        function: what to call. Picklable by whatever means the task's serializer has.
        args, kwargs: what to call it with; no futures are left in them.
        needs: what is asked of the executor.
        serializer: what is to pack it, as ``weft.calls.Packer`` takes it; ``None`` for the
            default way.
    """

    id: TaskId
    attempt: int
    app: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    needs: Needs
    serializer: Any = None


class Ended(enum.Enum):
    """How one try ended."""

    VALUE = "value"
    """The function returned."""
    ERROR = "error"
    """The function raised, or the task could not be packed: charged to its retries."""
    LOST = "lost"
    """Something broke under the task: tried again without charge, ``Config.losses`` times."""
    KILLED = "killed"
    """As LOST, and a worker died while it ran this very task, which makes the task a suspect."""
    CANCELLED = "cancelled"
    """Dropped or stopped because someone asked for that."""


@message
class Outcome:
    """How one try of a task ended, as the executor reports it.

    Attributes:
        id, attempt: which try. An outcome of an attempt that is not the current one is ignored.
        ended: how.
        value: the result for ``VALUE``; the exception for ``ERROR``, ``LOST`` and ``KILLED``; else
            ``None``.
        place: where it ran: ``WORKER on NODE``, such as ``worker 3 (pid 4711) on node17``, which
            :func:`split_place` takes apart; empty if that is not known. One object for all tasks
            of a worker, where the executor can see to that: many are kept.
        begun: when the task began there, in seconds since the epoch by the clock of that node; 0
            if it did not, or nobody knows.
        seconds: how long it ran, with the opening of its arguments and the packing of its result;
            ``None`` if nobody knows.
    """

    id: TaskId
    attempt: int
    ended: Ended
    value: Any
    place: str = ""
    begun: float = 0.0
    seconds: float | None = None


def split_place(place: str) -> tuple[str, str]:
    """The worker and the node of ``Outcome.place``; either is empty where it is not said.

    A place without a node is that of a worker.
    """
    worker, found, node = place.rpartition(" on ")
    return (worker, node) if found else (node, "")


@message
class Try:
    """One try of a task, as recorded on its future.

    Attributes:
        number: from 1.
        executor: the label of the executor it ran on, or an empty string if it was never launched.
        ended: how it ended.
        error: the exception, or ``None``.
        place: where it ran, as :class:`Outcome` says it.
        charged: what it cost of the retry budget; 0 for losses of the infrastructure.
        begun: when it began there, in seconds since the epoch by the clock of that node; 0 if it
            did not, or nobody knows.
        seconds: how long it ran; ``None`` if nobody knows.
    """

    number: int
    executor: str
    ended: Ended
    error: BaseException | None = None
    place: str = ""
    charged: float = 0.0
    begun: float = 0.0
    seconds: float | None = None


@message
class TaskView:
    """A task as anyone may look at it: a copy, taken at one moment.

    Attributes:
        id: its number.
        app: the name of its app.
        state: where it is.
        executor: the label of the executor of its latest try, or an empty string.
        attempt: the number of its latest try; 0 before the first.
        waits_for: the numbers of the unfinished tasks it waits for.
        tries: the tries that have ended.
        priority: lower is sooner.
        from_memory: whether its value came from memory or from a checkpoint.
        error: the first line of its error, if it failed.
    """

    id: TaskId
    app: str
    state: TaskState
    executor: str = ""
    attempt: int = 0
    waits_for: tuple[TaskId, ...] = ()
    tries: tuple[Try, ...] = ()
    priority: int = 0
    from_memory: bool = False
    error: str = ""
