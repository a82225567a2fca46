"""Definitions of functions, as many as there is room for.

Whoever passes them on keeps those that were used last. One that is wanted and is not here any more
is asked for where it came from; the client has it for as long as a task of it has not ended.

    manager ── Missing ──▶ interchange ── Missing ──▶ client
            ◀── define ──             ◀── define ──
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Generic, TypeVar

__all__ = ["Definitions"]

T = TypeVar("T")


class Definitions(Generic[T]):
    """By their digests, in the order in which they were used.

    Args:
        most: bytes that all of them together should not exceed.

    Attributes:
        size: how many they have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, tuple[T, int]] = OrderedDict()
        self.size = 0

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, digest: bytes) -> T | None:
        """One of them, which is thereby used; ``None`` if it is not here."""
        found = self._kept.get(digest)
        if found is None:
            return None
        self._kept.move_to_end(digest)
        return found[0]

    def put(self, digest: bytes, definition: T, size: int) -> None:
        """Take one that has so many bytes."""
        before = self._kept.pop(digest, None)
        self.size += size - (0 if before is None else before[1])
        self._kept[digest] = definition, size

    def trim(self, spared: Collection[bytes] = ()) -> bool:
        """Drop what was not used for longest, as far as there are too many. Whether any went.

        Args:
            spared: these stay.
        """
        if self.size <= self._most:
            return False
        before = len(self._kept)
        for digest in list(self._kept)[:-1]:  # the last one may be larger than all that is allowed
            if self.size <= self._most:
                break
            if digest not in spared:
                self.size -= self._kept.pop(digest)[1]
        return len(self._kept) < before
