"""Definitions of functions, and contents that calls share, as many as there is room for.

Whoever passes them on keeps those that were used last. One that is wanted and is not here any more
is asked for where it came from; the client has it for as long as a task of it has not ended.

    manager ── Missing ──▶ interchange ── Missing ──▶ client
            ◀── define ──             ◀── define ──
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final, Generic, TypeVar

__all__ = ["GREAT", "GREAT_ROOM", "Definitions"]

GREAT: Final = 4 << 20
"""Bytes from which on a definition counts as great: as a rule it is a content that calls share."""

GREAT_ROOM: Final = 2 << 30
"""Bytes of contents that calls share, which a process that passes them on keeps."""

T = TypeVar("T")


class Definitions(Generic[T]):
    """By their digests; those that were not used for longest go first.

    What calls share may be as large as all functions together, and more; it has room of its own, so
    that neither drives the other out.

    Args:
        most: bytes that the small ones together should not exceed.
        great: bytes that the others together should not exceed.
    """

    def __init__(self, most: int, great: int = GREAT_ROOM) -> None:
        self._small: _Shelf[T] = _Shelf(most)
        self._great: _Shelf[T] = _Shelf(great)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._small or digest in self._great

    def __len__(self) -> int:
        return len(self._small) + len(self._great)

    @property
    def size(self) -> int:
        """How many bytes they have."""
        return self._small.size + self._great.size

    def get(self, digest: bytes) -> T | None:
        """One of them, which is thereby used; ``None`` if it is not here."""
        found = self._small.get(digest)
        return self._great.get(digest) if found is None else found

    def put(self, digest: bytes, definition: T, size: int) -> None:
        """Take one that has so many bytes."""
        (self._small if size < GREAT else self._great).put(digest, definition, size)

    def trim(self, spared: Collection[bytes] = ()) -> bool:
        """Drop what was not used for longest, as far as there are too many. Whether any went.

        Args:
            spared: these stay.
        """
        went = self._small.trim(spared)
        return self._great.trim(spared) or went


class _Shelf(Generic[T]):
    """Those of one kind, by their digests, in the order in which they were used."""

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
