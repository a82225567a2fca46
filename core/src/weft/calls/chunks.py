"""Pickles of large bytes and texts, without copying them into one.

Pickle leaves buffers out of line, such as those of arrays. Bytes, byte arrays and texts it writes
into the pickle itself; written to a file it hands each large one over as it is, at any depth. That
is used here: the pickle is a list of pieces, of which the large ones are the payloads themselves.
One behind the other they are an ordinary pickle.
"""

from __future__ import annotations

from _pickle import Pickler  # `pickle` itself would load regular expressions
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pickle import PickleBuffer
    from typing import Any

__all__ = ["Chunks", "chunked", "holds_large", "spread"]

_LARGE = 65536  # from this size on pickle hands payloads over by themselves
_LOOKED_AT = 16
# How a payload is announced: the opcode, and its length in so many bytes.
_ANNOUNCED = ((b"B", 4), (b"X", 4), (b"\x8e", 8), (b"\x8d", 8), (b"\x96", 8))


class Chunks:
    """A pickle in pieces.

    Attributes:
        pieces: they, in order.
        names: what pickle itself wrote, without the large payloads: all names are in here.
    """

    __slots__ = ("_size", "names", "pieces")

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.names = b""
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)

    def write(self, piece: Any) -> None:
        """Take the next piece, from pickle."""
        if not self._is_payload(piece):
            self.names += piece
        self.pieces.append(piece)
        self._size += len(piece)

    def _is_payload(self, piece: Any) -> bool:
        size = len(piece)
        if size < _LARGE or not self.pieces:
            return False
        before = self.pieces[-1]
        return any(
            before[-width - 1 :] == opcode + size.to_bytes(width, "little")
            for opcode, width in _ANNOUNCED
            if size < 1 << 8 * width
        )


def holds_large(values: Iterable[Any]) -> bool:
    """Whether large bytes or texts are among these, or among the first in lists of these."""
    for value in values:
        kind = type(value)
        if kind in _FLAT:
            if len(value) >= _LARGE:
                return True
        elif kind in _NESTED:
            for inner in islice(value.values() if kind is dict else value, _LOOKED_AT):
                if type(inner) in _FLAT and len(inner) >= _LARGE:
                    return True
    return False


_FLAT = frozenset({bytes, str, bytearray})
_NESTED = frozenset({list, tuple, dict})


def chunked(value: Any, keep_small: Callable[[PickleBuffer], bool]) -> Chunks:
    """The pickle of a value, in pieces. Raises whatever pickle raises.

    Args:
        value: what to pickle. Byte arrays in it must not change until the pieces have been used.
        keep_small: told each buffer, says whether it stays in line.
    """
    found = Chunks()
    Pickler(found, 5, buffer_callback=keep_small).dump(value)
    return found


def spread(parts: Sequence[Any]) -> tuple[Sequence[Any], Sequence[int] | None]:
    """The buffers of the parts of a message; and, where those are more, the bytes of each part."""
    if not any(type(part) is Chunks for part in parts):
        return parts, None
    buffers: list[Any] = []
    for part in parts:
        buffers += part.pieces if type(part) is Chunks else (part,)
    return buffers, [len(one) if type(one) is Chunks else memoryview(one).nbytes for one in parts]
