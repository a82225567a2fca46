"""Where large payloads are received into.

Memory that is touched for the first time costs more than what is then written to it: the system
gives it page by page. For large payloads it is asked for large pages, where there are such.
"""

from __future__ import annotations

import mmap
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Place(Protocol):
        """Where one large part of a message is received."""

        def space(self) -> memoryview:
            """Where to put the next bytes; not empty before all are there."""
            ...

        def advance(self, count: int) -> None:
            """Say that ``count`` bytes were put there."""
            ...

        @property
        def missing(self) -> int:
            """How many bytes are not there yet."""
            ...

        @property
        def part(self) -> object:
            """The whole, when nothing is missing."""
            ...


__all__ = ["Memory", "fresh"]

_LARGE_PAGE = 1 << 21
_LARGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)
# A child that this process forks has it for itself.
_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def fresh(size: int) -> memoryview:
    """Memory of this size, for this process alone, that can be written to.

    Raises:
        MemoryError: there is not so much.
    """
    if size < _LARGE_PAGE:
        return memoryview(bytearray(size))
    try:
        memory = mmap.mmap(-1, size, flags=_FLAGS)
    except OSError as trouble:
        raise MemoryError(f"{size} bytes cannot be had: {trouble}") from trouble
    if _LARGE_PAGES is not None:
        with suppress(OSError):  # this system was built without
            memory.madvise(_LARGE_PAGES)
    return memoryview(memory)


class Memory:
    """A part in memory."""

    __slots__ = ("_view", "filled")

    def __init__(self, size: int) -> None:
        self._view = fresh(size)
        self.filled = 0

    def space(self) -> memoryview:
        """Where to put the next bytes."""
        return self._view[self.filled :]

    def advance(self, count: int) -> None:
        """Say that ``count`` bytes were put there."""
        self.filled += count

    @property
    def missing(self) -> int:
        """How many bytes are not there yet."""
        return len(self._view) - self.filled

    @property
    def part(self) -> memoryview:
        """The whole."""
        return self._view
