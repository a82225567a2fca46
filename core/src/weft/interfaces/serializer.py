"""A serializer turns objects into bytes and back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import attrs

from weft.values.settings import SerializerSettings
from weft.values.task import TaskId

__all__ = [
    "CAPABILITIES",
    "VERSION",
    "Buffer",
    "Serializer",
    "SerializerContext",
    "Subject",
]

VERSION: Final = "1.1"

CAPABILITIES: Final[Mapping[str, str]] = {
    "functions.by-value": "packs functions of the main script, closures and lambdas with their "
    "code",
    "buffers": "hands large buffers over beside the bytes, without copying them",
    "data-only": "unpacking never runs code",
}
"""Names that the ``capabilities`` of a serializer's declaration may use, and what each promises."""

Buffer = bytes | bytearray | memoryview


@attrs.frozen(kw_only=True)
class SerializerContext:
    """Where a serializer is used. New in 1.1.

    Attributes:
        run_id: the same in all processes of a run, and unique for it.
        part: gives a serializer that this one is made of, not started, by the settings that stand
            in its own settings.
        on_worker: whether this process runs tasks; else it is the one that submits them.
    """

    run_id: str
    part: "Callable[[SerializerSettings], Serializer]"
    on_worker: bool = False


@attrs.frozen(kw_only=True)
class Subject:
    """What a value is, that is to be packed for the way. New in 1.1.

    Attributes:
        part: ``arguments``: a list of two, the list of a call's positional arguments and the dict
            of its keyword arguments; ``result``: what the call returned; ``function``: what is
            called, packed once for many tasks.
        app: the name of the app.
        task: the number of the task within its session; ``None`` for a function.
    """

    part: Literal["arguments", "result", "function"]
    app: str
    task: TaskId | None = None


class Serializer(ABC):
    """Turns objects into bytes and back; usable from any thread and in any process.

    *Promises.* ``unpack(pack(x))`` equals ``x`` for all that ``pack`` accepts. What it does not
    accept, it refuses by raising when it packs, not when it unpacks. The ``id`` of a serializer
    travels with what it packed, and never comes to mean another format.

    *Life.* Made from its settings wherever it is needed: in the process that submits tasks, once
    for all executors and apps that name equal settings, and again in each process that runs such
    tasks; so its settings, which must be picklable, are all that it may need there. ``start`` comes
    before all else, ``close`` last. Two objects of equal settings unpack what the other one packed.
    """

    id: str
    """A short name of the format with its version, such as ``"pickle5"``."""

    one_way: ClassVar[bool] = False
    """Whether results are not to be packed as the call was, but as if nothing had been chosen.
    New in 1.1."""

    def start(self, context: SerializerContext) -> None:  # noqa: B027 - nothing to do, for most
        """Make ready; called once, where values of a run are to be packed. New in 1.1.

        Raises:
            WeftError: it cannot work here; the message says why.
        """

    @abstractmethod
    def pack(self, value: Any) -> Sequence[Buffer]:
        """The object as one or more buffers.

        The first one is the head, others are large parts left where they were.

        Raises:
            Exception: whatever the format's library raises for an object that it cannot pack.
        """

    def pack_for(self, value: Any, subject: Subject) -> Sequence[Buffer]:
        """As ``pack``, for the way to a worker or back, knowing what the value is. New in 1.1.

        Whatever it makes of the value, ``unpack`` gives something that can stand for it. May be
        called again for the same task, when that is tried again.
        """
        return self.pack(value)

    @abstractmethod
    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        """The object again.

        Running code that the bytes ask for is possible unless ``data-only`` is declared.
        """

    def ended(self, tasks: Sequence[TaskId]) -> None:  # noqa: B027 - nothing to do, for most
        """Tasks of the run have ended for good: none of them will be tried again. New in 1.1.

        What was kept for the arguments of those may go, unless something else still needs it. Told
        where tasks are submitted, for all tasks of the run, and soon, but from another thread and
        never at once. Not told of what is left when the session closes: see ``close``.
        """

    def close(self) -> None:  # noqa: B027 - nothing to do, for most
        """The run is over here: nothing is packed or unpacked any more. New in 1.1.

        What was kept for it may go; also what was kept for tasks that never ended.
        """
