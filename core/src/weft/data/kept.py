"""A stager before another one: what that brings is kept, and brought once.

move ──▶ validator ──▶ cache ──hit──▶ a link at the place of the task
                         └────miss──▶ move of the other one, into the cache
"""

import contextlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import attrs

from weft.data.cache import Cache
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File

__all__ = ["KeptStager"]


class KeptStager(Stager):
    """Brings files as another stager does, by way of a cache.

    It moves files one by one, also where the other one can move many at once: each has an answer of
    its own to whether it is kept.

    Args:
        stager: the other one. Its owner starts it; it is closed with this one.
        cache: where files are kept.
        context: what the other one was started with.
        stands_for: for a transfer into the cache, by its identity while it is made, the one it is
            made for; so that the context knows whose progress it is told of.
    """

    def __init__(
        self,
        stager: Stager,
        cache: Cache,
        context: StagerContext,
        stands_for: MutableMapping[int, Transfer],
    ) -> None:
        self._stager, self._cache = stager, cache
        self._context, self._stands_for = context, stands_for

    def start(self, context: StagerContext) -> None:
        """Nothing to make ready."""

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """What the other one plans."""
        return self._stager.plan(way, file, place)

    def move(self, transfer: Transfer) -> None:
        """Bring it from the cache, or into it; all else is the other one's."""
        file = transfer.file
        # Folders are not kept: what is in one is told of by no single text that a server gives.
        kept = transfer.way is Way.IN and not file.is_folder
        mark = self._stager.validator(file) if kept else None
        if mark is None:
            self._stager.move(transfer)
            return
        target = transfer.placed.as_path()
        fetched = False

        def fetch(path: Path) -> None:
            nonlocal fetched
            fetched = True
            if path == target:
                self._stager.move(transfer)
                return
            place = attrs.evolve(transfer.place, folder=path.parent, shared=False, urls={})
            placed = transfer.file.placed(path)
            with self._standing(attrs.evolve(transfer, place=place, placed=placed), transfer) as it:
                self._stager.move(it)

        self._cache.get(
            transfer.file.url,
            mark,
            target,
            fetch,
            waiting=lambda: self._context.progress(transfer, 0),
        )
        if not fetched:
            self._context.progress(transfer, 0, 0)  # it was there: nothing had to be moved

    @contextlib.contextmanager
    def _standing(self, substitute: Transfer, original: Transfer) -> Iterator[Transfer]:
        self._stands_for[id(substitute)] = original
        try:
            yield substitute
        finally:
            del self._stands_for[id(substitute)]

    def validator(self, file: File) -> str | None:
        """What the other one says."""
        return self._stager.validator(file)

    def close(self) -> None:
        """Close the other one."""
        self._stager.close()
