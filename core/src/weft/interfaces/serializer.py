"""A serializer turns objects into bytes and back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["CAPABILITIES", "VERSION", "Buffer", "Serializer"]

VERSION: Final = "1.0"

CAPABILITIES: Final[Mapping[str, str]] = {
    "functions.by-value": "packs functions of the main script, closures and lambdas with their "
    "code",
    "buffers": "hands large buffers over beside the bytes, without copying them",
    "data-only": "unpacking never runs code",
}
"""Names that the ``capabilities`` of a serializer's declaration may use, and what each promises."""

Buffer = bytes | bytearray | memoryview


class Serializer(ABC):
    """Turns objects into bytes and back; without state, usable from any thread and in any process.

    *Promises.* ``unpack(pack(x))`` equals ``x`` for all that ``pack`` accepts. What it does not
    accept, it refuses by raising when it packs, not when it unpacks. The ``id`` of a serializer
    travels with what it packed, and never comes to mean another format.
    """

    id: str
    """A short name of the format with its version, such as ``"pickle5"``."""

    @abstractmethod
    def pack(self, value: Any) -> Sequence[Buffer]:
        """The object as one or more buffers.

        The first one is the head, others are large parts left where they were.

        Raises:
            Exception: whatever the format's library raises for an object that it cannot pack.
        """

    @abstractmethod
    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        """The object again.

        Running code that the bytes ask for is possible unless ``data-only`` is declared.
        """
