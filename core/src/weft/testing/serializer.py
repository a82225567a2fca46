"""A serializer that refuses what the test names, and remembers what it was given."""

import pickle
from collections.abc import Sequence
from typing import Any

from weft.interfaces.serializer import Buffer, Serializer

__all__ = ["FakeSerializer"]


class FakeSerializer(Serializer):
    """Pickle, except for what it is told to refuse.

    Args:
        refuses: types of objects that cannot be packed.
        breaks: types of objects that are packed, but cannot be unpacked.

    Attributes:
        packed: each object it was given to pack, in order.
        unpacked: how many it has unpacked.
    """

    id = "fake1"

    def __init__(self, *, refuses: tuple[type, ...] = (), breaks: tuple[type, ...] = ()) -> None:
        self._refuses, self._breaks = refuses, breaks
        self.packed: list[Any] = []
        self.unpacked = 0

    def pack(self, value: Any) -> Sequence[Buffer]:
        """The object as one buffer.

        Raises:
            TypeError: it is of a type to be refused.
        """
        if isinstance(value, self._refuses):
            raise TypeError(f"cannot pack {type(value).__name__!r} object")
        self.packed.append(value)
        head = b"!" if isinstance(value, self._breaks) else b"."
        return [head + pickle.dumps(value)]

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        """The object again.

        Raises:
            ValueError: it was of a type that breaks on the way.
        """
        data = bytes(buffers[0])
        if data[:1] != b".":
            raise ValueError("these bytes cannot be unpacked")
        self.unpacked += 1
        return pickle.loads(data[1:])
