"""An executor takes tasks, runs each of them somewhere, and reports how each ended."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from weft.interfaces.context import Context
from weft.values.blocks import Block, BlockId
from weft.values.plugin import Kind
from weft.values.settings import Settings
from weft.values.task import Outcome, Task, TaskId
from weft.values.watch import Watch

__all__ = [
    "CAPABILITIES",
    "OWN_CAPABILITIES",
    "VERSION",
    "AtWork",
    "Executor",
    "ExecutorContext",
    "ExecutorStatus",
    "ManagerStatus",
]

VERSION: Final = "1.1"

CAPABILITIES: Final[Mapping[str, str]] = {
    "cancel.running": "stops a task that is running, not only one that waits",
    "walltime": "stops a task that takes longer than its walltime",
    "walltime.compiled": "does so even while compiled code runs",
    "priority": "starts tasks with lower priority numbers first",
    "resources.cores": "honours Resources.cores",
    "resources.memory": "honours Resources.memory",
    "resources.accelerators": "honours Resources.accelerators",
    "isolation.process": "a task that kills its process harms no other",
    "remote": "tasks run outside this process: functions, arguments and results must be picklable",
    "elastic": "gets and releases machines by load",
    "logs": "tells what tasks log, and on request what they print, as ExecutorContext.watch asks",
    "samples": "tells what each task uses of its node, as ExecutorContext.watch asks",
}
"""Names that the ``capabilities`` of an executor's declaration may use, and what each promises."""

OWN_CAPABILITIES: Final = "resources."
"""How names begin that an executor may add: ``resources.NAME`` promises that it honours what tasks
ask for by that name in ``Resources.options``. Tasks that ask for one go to no other executor."""


@attrs.frozen(kw_only=True)
class AtWork:
    """A worker that runs a task.

    Attributes:
        worker: its name on its node, such as ``worker 3 (pid 4711)``.
        task: what it runs.
        app: the app of that.
    """

    worker: str
    task: TaskId
    app: str


@attrs.frozen(kw_only=True)
class ManagerStatus:
    """A manager, as its executor last heard of it.

    Attributes:
        name: as the executor calls it.
        block: the block it belongs to.
        host: the node it is on.
        pid: of its process there.
        workers: tasks it can run at once.
        held: tasks it has: those that run, and those that wait there.
        at_work: its workers that run a task.
        state: what it does: ``working``, or ``draining`` when it takes no more tasks.
        silent: seconds since it was last heard of.
        left: seconds until the time of its block is over; ``None`` if that is not known.
        python: the version of its Python.
        packages: the versions of packages that matter there, by name; empty for one that is not
            installed.
        differs: what has another version here than there, by name: ``(there, here)``.
    """

    name: str
    block: BlockId
    host: str
    pid: int
    workers: int
    held: int = 0
    at_work: Sequence[AtWork] = ()
    state: str = "working"
    silent: float = 0.0
    left: float | None = None
    python: str = ""
    packages: Mapping[str, str] = attrs.field(factory=dict)
    differs: Mapping[str, tuple[str, str]] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ExecutorStatus:
    """What an executor says of itself, for people and for placement.

    Attributes:
        workers: tasks it can run at once now.
        running: tasks that run, as far as it knows; ``None`` if it does not count them, which
            leaves it to those that know how many it has.
        waiting: tasks that it holds and that do not run yet.
        details: anything else worth showing, by name.
        blocks: its blocks, those that ended lately among them, the oldest first.
        managers: those that are registered, in the order in which they came.
    """

    workers: int
    running: int | None = 0
    waiting: int = 0
    details: Mapping[str, Any] = attrs.field(factory=dict)
    blocks: Sequence[Block] = ()
    managers: Sequence[ManagerStatus] = ()


class ExecutorContext(Context, Protocol):
    """What an executor gets besides what every component gets."""

    @property
    def label(self) -> str:
        """The name by which the configuration knows this executor."""
        ...

    @property
    def watch(self) -> Watch:
        """What of tasks is to be told while they run, by ``tell``, as far as it can be (since 1.1).

        Lines and samples of a try are told before its outcome is reported. They are bounded, and
        what is left out is told; they never delay a result.
        """
        ...

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """Hand over how tries ended: as many at once as there are, but never wait for more to come.

        Never blocks; from any thread, also from within ``submit``. The sequence must not be changed
        afterwards.
        """
        ...

    def failed(self, error: BaseException) -> None:
        """Say that this executor cannot go on: its tasks end with the error, it gets no more."""
        ...

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        """A component that this one is made of, such as the provider of an executor; not started.

        Args:
            kind: what it is.
            settings: what describes it, as it stands in this component's own settings.
            default: the name of the one to take, with its own defaults, where ``settings`` is
                ``None``.

        Raises:
            ConfigurationError: it cannot be had; the message says why.
        """
        ...


class Executor(ABC):
    """Takes tasks, runs each somewhere, reports how each ended.

    *Life.* ``start`` once, then any number of ``submit``, ``cancel`` and ``status`` (all from one
    thread, that of the kernel, but for ``status``, which may come from any), then ``close``, which
    may be called twice. An executor of which ``start`` raised is closed too.

    *Promises.* Each task handed to ``submit`` is reported exactly once, whatever happens to it,
    unless ``close`` came first; in any order. A task that raises, whatever it raises, ends as
    ``ERROR`` with that exception. A task that could not be packed for the way ends as ``ERROR``
    with a ``SerializationError``. A task that was lost with a part of the executor ends as
    ``LOST``; one that ran on a worker when that worker died, as ``KILLED``. An executor does not
    retry by itself. Nothing it started is left after ``close``.
    """

    @abstractmethod
    def start(self, context: ExecutorContext) -> None:
        """Make ready for tasks.

        May block for as long as it takes to know whether the settings can work at all.

        Raises:
            WeftError: it cannot; the message says why. Then nothing is left running.
        """

    @abstractmethod
    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks.

        Must not block, and must not raise for what is wrong with a task: that is reported.

        The order of the sequence is the order of submission, which is kept for tasks of equal
        priority.
        """

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that wait, stop those that run if that can be done. Must not block.

        Where tasks wait elsewhere, the word that they are not wanted has a way to go. What waits
        when it gets there never begins; what has begun by then is stopped, as one that runs. Once
        :meth:`status` no longer counts a task that waited, the word was there.

        Returns:
            The ids that are certain not to end with a value: dropped, or being stopped. Their
            outcome may still be reported, and is ignored. Ids that are unknown, or that have ended,
            are not among them.
        """
        return ()

    def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """As ``cancel``, but leave alone what runs. Must not block.

        Returns:
            The ids that were dropped: they have not begun, and never will.
        """
        return ()

    @abstractmethod
    def status(self) -> ExecutorStatus:
        """A quick look at how it is; never blocks for longer than a lock takes."""

    @abstractmethod
    def close(self, timeout: float) -> None:
        """End, and leave no process, thread or file handle behind.

        Tasks that wait are dropped. Tasks that still run have ``timeout`` seconds to come to an
        end; then they are stopped by force if the executor can do that. 0 stops at once. Blocks
        until all is ended. Outcomes may be reported while it blocks.

        A second call, from another thread and with a shorter timeout, may come while the first one
        blocks: then the shorter one counts for both.
        """
