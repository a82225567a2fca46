"""Which hosts are free, which are in use, and which had better be left alone. Has no clock."""

from collections.abc import Collection, Sequence

__all__ = ["Hosts"]


class Hosts:
    """The hosts of a provider. Belongs to the thread that makes its calls.

    Args:
        names: of all of them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._used: set[str] = set()
        self._aside: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._names)

    def used(self, but: Collection[str] = ()) -> int:
        """How many are in use, those not counted that were tried in vain."""
        return len(self._used.difference(but))

    def take(self, count: int, now: float, but: Collection[str] = ()) -> list[str]:
        """Take hosts that are free: as many as are asked for, or none.

        Those that are to be left alone come last, the one that has been so for longest first.

        Args:
            count: how many.
            now: the time.
            but: hosts that were tried already.
        """
        free = [one for one in self._names if one not in self._used and one not in but]
        free.sort(key=lambda one: max(self._aside.get(one, 0.0), now))
        taken = free[:count] if len(free) >= count else []
        self._used.update(taken)
        return taken

    def free(self, host: str) -> None:
        """It is not in use any more."""
        self._used.discard(host)

    def good(self, host: str) -> None:
        """It works."""
        self._aside.pop(host, None)

    def put_aside(self, host: str, until: float) -> None:
        """It does not work, and is to be left alone for a while, if there are others."""
        self._aside[host] = until
