"""How many bytes transfers moved: by what their stagers told, or by what is seen here.

    progress(transfer, done, total) ──▶ told ──┐
    the file, where it was put or found ───────┴──▶ bytes, or None where neither says it

A transfer is counted from ``begin`` to ``end``, in the thread that makes it; what is told of it in
between may come from any.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from weft.interfaces.stager import Transfer, Way

__all__ = ["Sizes", "stays"]


class Sizes:
    """Counts the transfers that are being made."""

    def __init__(self) -> None:
        # By identity: several transfers of one file may be made at once.
        self._counted: dict[int, _Counted] = {}

    def begin(self, transfers: Sequence[Transfer]) -> None:
        """A try of each is about to be made."""
        for transfer in transfers:
            # What goes out is looked at before, since it is its stager's from then on.
            seen = _seen(transfer) if transfer.way is Way.OUT else None
            self._counted[id(transfer)] = _Counted(seen)

    def told(self, transfer: Transfer, done: int, total: int | None) -> None:
        """A stager has said how far one is; of one that is not counted, nothing is noted."""
        counted = self._counted.get(id(transfer))
        if counted is not None:
            counted.done, counted.total = done, total

    def end(self, transfers: Sequence[Transfer]) -> list[int | None]:
        """The tries have been made: the bytes that each has moved, if it was a good one."""
        return [self._size(transfer, self._counted.pop(id(transfer))) for transfer in transfers]

    def _size(self, transfer: Transfer, counted: _Counted) -> int | None:
        if stays(transfer):
            return 0
        if counted.total is not None:
            return counted.total
        seen = counted.seen if transfer.way is Way.OUT else _seen(transfer)
        return seen if seen is not None else counted.done or None


class _Counted:
    """What is known of a transfer while it is made."""

    __slots__ = ("done", "seen", "total")

    def __init__(self, seen: int | None) -> None:
        self.seen = seen
        self.done, self.total = 0, None  # type: int, int | None


def stays(transfer: Transfer) -> bool:
    """Whether a file of this machine is used where it is."""
    return transfer.place.shared and transfer.file.scheme == "file"


def _seen(transfer: Transfer) -> int | None:
    """The bytes of what a task finds or made; ``None`` if it cannot be looked at from here."""
    if transfer.place.site or transfer.placed.local_path is None or stays(transfer):
        return None
    path = Path(transfer.placed.local_path)
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            from weft.data.trees import size_of

            return size_of(path)
        return facts.st_size if stat.S_ISREG(facts.st_mode) else None
    except OSError:  # its stager left it elsewhere, or it is not for us to see
        return None
