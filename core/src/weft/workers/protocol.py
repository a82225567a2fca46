"""Messages on a stream: how the client and a worker tell where one ends and the next begins.

    ┌──────┬─────────┬──────────────────────┬────────────────┐
    │ kind │ count   │ length of each part  │ the parts      │
    │ 4 B  │ 4 B     │ 8 B each             │                │
    └──────┴─────────┴──────────────────────┴────────────────┘

What the parts mean is the matter of :mod:`weft.calls`. This module touches no socket: it turns
parts into buffers to be written, and bytes that were read into parts, however they were torn on the
way.
"""

from __future__ import annotations

from struct import Struct

from weft.workers.memory import Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from weft.workers.memory import Place

__all__ = [
    "BEGUN",
    "CALLS",
    "CURRENT",
    "EPOCH",
    "GROUP",
    "READY",
    "RESULTS",
    "SINCE",
    "SLOT",
    "STOP",
    "TOLD",
    "BrokenStream",
    "Reader",
    "framed",
]

CALLS, STOP = 1, 2
READY, RESULTS, TOLD = 3, 4, 5
"""Kinds of messages: two to a worker, three from it. What a task logs, prints and uses is told
before its result."""

SLOT = 8
"""Numbers in a worker's place in the memory that all share."""

CURRENT, EPOCH, GROUP, BEGUN, SINCE = 0, 1, 2, 3, 4
"""Where in its place is what: the number of the call it runs, or 0; the epoch of the calls that it
may start, which the client sets; the process group of the command it runs, or 0; while it runs
none, the last call that it has begun; and when it began the call it runs, or ran last, in
microseconds since the epoch."""

_HEADER = Struct("<II")
_MOST_PARTS = 1_000_000
_MOST_BYTES = 1 << 42
_ROOM = 262_144


class BrokenStream(Exception):
    """What was read is not a message: somebody else wrote to the stream."""


def framed(kind: int, parts: Sequence[Any], lengths: Sequence[int] | None = None) -> list[Any]:
    """The buffers to be written, one after the other, for a message of these parts.

    Args:
        kind: of message.
        parts: buffers.
        lengths: bytes of each part, where ``parts`` are the pieces of fewer ones.
    """
    if lengths is None:
        lengths = [memoryview(part).nbytes for part in parts]
    head = _HEADER.pack(kind, len(lengths)) + Struct(f"<{len(lengths)}Q").pack(*lengths)
    if sum(lengths) < 16384:
        return [b"".join([head, *parts])]
    return [head, *[part for part in parts if memoryview(part).nbytes]]


class Reader:
    """Takes bytes as they come, gives messages.

    Small messages are cut from one buffer; a message that does not fit is read straight into its
    final place, so that a large payload is in memory once.

    Args:
        place: the place for a large part of so many bytes, if that is not to be memory.
    """

    def __init__(self, place: Callable[[int], Place] = Memory) -> None:
        self._place = place
        self._buffer = bytearray(_ROOM)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._kind = 0
        self._large: list[Place] = []
        self._at = 0

    def space(self) -> memoryview:
        """Where to put the next bytes; never empty."""
        if self._large:
            return self._large[self._at].space()
        if self._start:
            rest = self._end - self._start
            self._buffer[:rest] = self._buffer[self._start : self._end]
            self._start, self._end = 0, rest
        return self._view[self._end :]

    def advance(self, count: int) -> Iterator[tuple[int, list[Any]]]:
        """Say that ``count`` bytes were put there; gives the messages that are now complete.

        Must be run to its end before the next call.

        Raises:
            BrokenStream: the bytes are not messages.
        """
        if self._large:
            self._large[self._at].advance(count)
            if self._large_is_complete():
                parts: list[Any] = [place.part for place in self._large]
                self._large = []
                yield self._kind, parts
            return
        self._end += count
        while self._end - self._start >= _HEADER.size:
            message = self._small()
            if message is None:
                return
            yield message

    def _small(self) -> tuple[int, list[Any]] | None:
        kind, count = _HEADER.unpack_from(self._buffer, self._start)
        if not 1 <= kind <= TOLD or count > _MOST_PARTS:
            raise BrokenStream(f"a message of kind {kind} with {count} parts")
        begin = self._start + _HEADER.size + 8 * count
        if 8 * count + _HEADER.size > _ROOM:
            raise BrokenStream(f"a message with {count} parts")
        if begin > self._end:
            return None
        lengths = Struct(f"<{count}Q").unpack_from(self._buffer, self._start + _HEADER.size)
        total = sum(lengths)
        if total > _MOST_BYTES:
            raise BrokenStream(f"a message of {total} bytes")
        if begin + total - self._start > _ROOM:
            self._begin_large(kind, lengths, begin)
            return None
        if begin + total > self._end:
            return None
        parts: list[Any] = []
        for length in lengths:
            part = self._view[begin : begin + length]
            # The first part is only read; the others may become arrays, which are to be writable.
            parts.append(bytearray(part) if parts else bytes(part))
            begin += length
        self._start = begin
        return kind, parts

    def _begin_large(self, kind: int, lengths: Sequence[int], begin: int) -> None:
        self._kind = kind
        # The first part is a description, to be read here.
        self._large = [
            self._place(length) if at else Memory(length) for at, length in enumerate(lengths)
        ]
        self._at = 0
        while begin < self._end:
            self._large_is_complete()
            place = self._large[self._at]
            space = place.space()
            taken = min(len(space), self._end - begin)
            space[:taken] = self._view[begin : begin + taken]
            place.advance(taken)
            begin += taken
        self._start = self._end = 0
        self._large_is_complete()

    def _large_is_complete(self) -> bool:
        """Whether the last part is full; else makes sure that the current one is not."""
        while not self._large[self._at].missing:
            if self._at + 1 == len(self._large):
                return True
            self._at += 1
        return False
