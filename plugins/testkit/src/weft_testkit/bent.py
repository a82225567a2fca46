"""Sound components with one thing bent: what a kit's own tests are made of.

A rule is to be believed only if something that breaks it fails it. Such a variant is quickly made
of a component that is sound: inherit one of these, and override the one call that is to go wrong.

    class LosesAResult(BentExecutor):
        def report(self, outcomes: Sequence[Outcome]) -> None:
            super().report(outcomes[1:])

    class TestLosesAResult(Broken, TestMine):
        killed_by = "E010"
        Bent = LosesAResult
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from weft.interfaces.context import Context
from weft.interfaces.executor import Executor, ExecutorContext, ExecutorStatus
from weft.interfaces.launcher import Launcher
from weft.interfaces.monitor import Interest, Monitor
from weft.interfaces.provider import Provider
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.events import Event
from weft.values.files import File
from weft.values.jobs import Job, JobId, JobStatus
from weft.values.plugin import Kind
from weft.values.settings import Settings
from weft.values.task import Outcome, Task, TaskId
from weft.values.watch import Watch
from weft_testkit.base import Conformance

__all__ = ["BentExecutor", "BentLauncher", "BentMonitor", "BentProvider", "BentStager", "Broken"]


class Broken(Conformance):
    """A kit's class for a variant that is broken on purpose. Stands before the class it varies.

    Attributes:
        Bent: makes the variant of what is sound.
    """

    Bent: ClassVar[type[Any]]

    def open(self, settings: Settings) -> Any:
        """What is sound, bent."""
        return self.Bent(super().open(settings))


class _Relay:
    """The context of an executor, but for what is reported and told."""

    def __init__(
        self,
        context: ExecutorContext,
        report: Callable[[Sequence[Outcome]], None],
        tell: Callable[[Event], None],
    ) -> None:
        self._context, self._report, self._tell = context, report, tell

    @property
    def run_id(self) -> str:
        return self._context.run_id

    @property
    def folder(self) -> Path:
        return self._context.folder

    @property
    def program(self) -> str:
        return self._context.program

    @property
    def label(self) -> str:
        return self._context.label

    @property
    def watch(self) -> Watch:
        return self._context.watch

    def tell(self, event: Event) -> None:
        self._tell(event)

    def notice(self, level: str, text: str) -> None:
        self._context.notice(level, text)

    def report(self, outcomes: Sequence[Outcome]) -> None:
        self._report(outcomes)

    def failed(self, error: BaseException) -> None:
        self._context.failed(error)

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        return self._context.part(kind, settings, default)


class BentExecutor(Executor):
    """Passes every call on to a sound executor, and every report back.

    Attributes:
        sound: it.
        context: the context that was given to ``start``.
        given: what was submitted, by number.
        open_tasks: the part of it that was neither reported nor is certain to be cancelled.
    """

    context: ExecutorContext

    def __init__(self, sound: Executor) -> None:
        self.sound = sound
        self.given: dict[TaskId, Task] = {}
        self.open_tasks: dict[TaskId, Task] = {}

    def start(self, context: ExecutorContext) -> None:
        """Pass on."""
        self.context = context
        self.sound.start(_Relay(context, self._reported, self.tell))

    def _reported(self, outcomes: Sequence[Outcome]) -> None:
        self._forget([one.id for one in outcomes])
        self.report(outcomes)

    def tell(self, event: Event) -> None:
        """Pass on what the sound executor has told."""
        self.context.tell(event)

    def _forget(self, ids: Collection[TaskId]) -> Collection[TaskId]:
        for one in ids:
            self.open_tasks.pop(one, None)
        return ids

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """Pass back what the sound executor has reported."""
        self.context.report(outcomes)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Pass on."""
        new = {task.id: task for task in tasks}
        self.given.update(new)
        self.open_tasks.update(new)
        self.sound.submit(tasks)

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Pass on."""
        return self._forget(self.sound.cancel(ids))

    def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Pass on."""
        return self._forget(self.sound.drop(ids))

    def status(self) -> ExecutorStatus:
        """Pass on."""
        return self.sound.status()

    def close(self, timeout: float) -> None:
        """Pass on."""
        self.sound.close(timeout)


class BentLauncher(Launcher):
    """Passes on the text of a sound launcher.

    Attributes:
        sound: it.
    """

    def __init__(self, sound: Launcher) -> None:
        self.sound = sound

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """Pass on, bent."""
        return self.bend(self.sound.compose(command, nodes=nodes, per_node=per_node))

    def bend(self, text: str) -> str:
        """What becomes of the text."""
        return text


class BentMonitor(Monitor):
    """Passes every call on to a sound monitor.

    Attributes:
        sound: it.
    """

    def __init__(self, sound: Monitor) -> None:
        self.sound = sound

    def start(self, context: Context) -> None:
        """Pass on."""
        self.sound.start(context)

    def interests(self) -> Collection[Interest] | None:
        """Pass on."""
        return self.sound.interests()

    def takes_rows(self) -> bool:
        """Pass on."""
        return self.sound.takes_rows()

    def handle(self, events: Sequence[Event]) -> None:
        """Pass on."""
        self.sound.handle(events)

    def close(self) -> None:
        """Pass on."""
        self.sound.close()


class BentStager(Stager):
    """Passes every call on to a sound stager.

    Attributes:
        sound: it.
    """

    def __init__(self, sound: Stager) -> None:
        self.sound = sound

    def start(self, context: StagerContext) -> None:
        """Pass on."""
        self.sound.start(context)

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """Pass on."""
        return self.sound.plan(way, file, place)

    def move(self, transfer: Transfer) -> None:
        """Pass on."""
        self.sound.move(transfer)

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        """Pass on."""
        return self.sound.move_all(transfers)

    def validator(self, file: File) -> str | None:
        """Pass on."""
        return self.sound.validator(file)

    def close(self) -> None:
        """Pass on."""
        self.sound.close()


class BentProvider(Provider):
    """Passes every call on to a sound provider.

    Attributes:
        sound: it.
    """

    def __init__(self, sound: Provider) -> None:
        self.sound = sound

    def start(self, context: Context) -> None:
        """Pass on."""
        self.sound.start(context)

    def submit(self, job: Job) -> JobId:
        """Pass on."""
        return self.sound.submit(job)

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        """Pass on."""
        return self.sound.status(ids)

    def cancel(self, ids: Sequence[JobId]) -> None:
        """Pass on."""
        self.sound.cancel(ids)

    def close(self) -> None:
        """Pass on."""
        self.sound.close()
