"""What packs each task, and who opens it, as far as the kernel knows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from weft.dataflow.taskfiles import moves_files
from weft.values.task import TaskId, TaskSpec

if TYPE_CHECKING:
    from weft.dataflow.lanes import Lane
    from weft.values.settings import SerializerSettings

__all__ = ["SerializersOfRun", "Serializing"]


class SerializersOfRun(Protocol):
    """What opens serializers.

    Attributes:
        told: whether any of them wants to know which tasks have ended.
    """

    told: bool

    def open(self, settings: SerializerSettings) -> Any:
        """What packs tasks that ask for this serializer; quick, but for the first time."""
        ...

    def ended(self, tasks: Sequence[TaskId]) -> None:
        """Tasks have ended for good. May block."""
        ...


class Serializing:
    """The serializers of a kernel.

    Args:
        serializers: opens them; ``None`` where there is nobody to do that.
        pool: has something done in a thread of its own.

    Attributes:
        run: what opens them.
    """

    def __init__(
        self,
        serializers: SerializersOfRun | None,
        pool: Callable[[Callable[[], None]], None],
    ) -> None:
        self.run = serializers or _None()
        self._pool = pool
        # Touched by the kernel's thread alone.
        self._gone: list[TaskId] = []

    def open(self, settings: SerializerSettings) -> Any:
        """What packs tasks that ask for this serializer. From any thread."""
        return self.run.open(settings)

    def of(self, spec: TaskSpec, lane: Lane) -> Any:
        """What packs a task for its executor; ``None`` for the default way."""
        if spec.serializer is not None:
            return self.run.open(spec.serializer)
        if lane.serializer is not None and moves_files(spec):
            return None  # of weft's own data, which the default way packs best
        return lane.serializer

    def ended(self, task: TaskId) -> None:
        """A task has ended for good; whoever wants to know is told by ``flush``."""
        self._gone.append(task)

    def flush(self) -> None:
        """Tell of what has ended since the last time."""
        if self._gone:
            gone, self._gone = self._gone, []
            self._pool(lambda: self.run.ended(gone))


class _None:
    """Where there is nobody to open any."""

    told = False

    def open(self, settings: SerializerSettings) -> Any:
        return None

    def ended(self, tasks: Sequence[TaskId]) -> None: ...
