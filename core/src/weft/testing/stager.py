"""A stager whose transfers end when the test says so."""

import threading
from pathlib import Path

from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.testing.contexts import PATIENCE, NothingHappened
from weft.values.files import File

__all__ = ["FakeStager"]


class FakeStager(Stager):
    """Plans like a stager of remote files; moves nothing. May be used from any thread.

    Args:
        by_hand: whether ``move`` waits for ``finish`` or ``fail``; if not, it returns at once.
        patience: seconds after which a ``move`` that nobody ended raises, so that no test hangs.

    Attributes:
        planned: each transfer that was planned, in order.
        moved: each transfer that was begun, in order.
        started, closed: how often it was.
    """

    def __init__(self, *, by_hand: bool = False, patience: float = PATIENCE) -> None:
        self._by_hand, self._patience = by_hand, patience
        self._changed = threading.Condition()
        self._ended: dict[tuple[Way, str], str] = {}
        self.planned: list[Transfer] = []
        self.moved: list[Transfer] = []
        self.started = self.closed = 0

    # -------------------------------------------------------------------------------- the interface

    def start(self, context: StagerContext) -> None:
        """Count it."""
        self.started += 1

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """The file's own name, in the folder of the place."""
        placed = file.placed(Path(place.folder) / (file.filename or "file"))
        transfer = Transfer(way=way, file=file, placed=placed, place=place)
        with self._changed:
            self.planned.append(transfer)
        return transfer

    def move(self, transfer: Transfer) -> None:
        """Wait for the crank, if it is to be turned by hand.

        Raises:
            StagingError: the test said so, or forgot to say anything.
        """
        key = (transfer.way, transfer.file.url)
        with self._changed:
            self.moved.append(transfer)
            self._changed.notify_all()
            if self._by_hand and not self._changed.wait_for(
                lambda: key in self._ended, self._patience
            ):
                raise StagingError(transfer.file.url, transfer.way, "The test never ended it.")
            reason = self._ended.get(key, "")
        if reason:
            raise StagingError(transfer.file.url, transfer.way, reason)

    def close(self) -> None:
        """Count it."""
        self.closed += 1

    # ------------------------------------------------------------------------------------ the crank

    def wait(self, count: int = 1, timeout: float = PATIENCE) -> list[Transfer]:
        """Wait until that many transfers were begun in all. Returns all of them.

        Raises:
            NothingHappened: fewer were begun in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.moved) >= count, timeout):
                raise NothingHappened(
                    f"{len(self.moved)} of {count} transfers were begun within {timeout:g} s"
                )
            return list(self.moved)

    def finish(self, file: File, way: Way = Way.IN) -> None:
        """Let the transfer of a file succeed, now or when it begins."""
        self._end(file, way, "")

    def fail(self, file: File, reason: str = "the other side refused", way: Way = Way.IN) -> None:
        """Let the transfer of a file fail, now or when it begins."""
        self._end(file, way, reason)

    def _end(self, file: File, way: Way, reason: str) -> None:
        with self._changed:
            self._ended[way, file.url] = reason
            self._changed.notify_all()
