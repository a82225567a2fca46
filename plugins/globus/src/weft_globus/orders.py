"""Files that somebody waits for: between the thread that asks and the one that does."""

import threading
from collections.abc import Sequence
from typing import Final

import attrs

from weft.errors import StagingError
from weft.interfaces.stager import StagerContext, Transfer, Way
from weft_globus.sides import Leg
from weft_globus.words import Refusal

__all__ = ["Group", "Order", "watched"]

_ASKED_EVERY: Final = 2.0
"""Seconds after which it is asked whether anybody still waits."""


class Order:
    """One transfer. Made and waited for by who asks; ended by the owner of the transfers.

    Args:
        transfer: as it was planned.
        leg: from where to where.
        size: in bytes, if that is known.
        bell: rings when something changes; one for all that are waited for together.

    Attributes:
        adopted: whether the transfer was begun by somebody else before.
    """

    def __init__(
        self, transfer: Transfer, leg: Leg, size: int | None, bell: threading.Condition
    ) -> None:
        self.transfer, self.leg, self.size = transfer, leg, size
        self.adopted = False
        self._bell = bell
        self._moved, self._over = 0, False
        self._refusal: Refusal | None = None
        self._telling, self._told = threading.Lock(), 0

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for what one and the same transfer of the service serves.

        Where a file is brought to is another folder in each run, so the collection has to do.
        """
        leg = self.leg
        ends = (str(leg.source), leg.target.collection)
        return ends if self.transfer.way is Way.IN else (*ends, leg.target.path)

    @property
    def over(self) -> bool:
        """Whether it is decided what becomes of it."""
        return self._over

    @property
    def moved(self) -> int:
        """Bytes, as far as the service tells them apart."""
        return self._moved

    @property
    def error(self) -> StagingError | None:
        """Why it failed, if it is over and did."""
        if self._refusal is None:
            return None
        said = self._refusal
        file, way = self.transfer.file, self.transfer.way
        return StagingError(file.url, way, said.reason, said.todo, again=said.again)

    def told(self, moved: int) -> None:
        """So many bytes are there, more or less."""
        with self._bell:
            most = moved if self.size is None else min(moved, self.size)
            if most > self._moved:
                self._moved = most
                self._bell.notify_all()

    def tell(self, context: StagerContext, moved: int) -> StagingError | None:
        """Say how far it is, from any thread; never less than before.

        Returns:
            That nobody waits for it any more, if so.
        """
        with self._telling:
            if moved < self._told:
                return None
            self._told = moved
            try:
                context.progress(self.transfer, moved, self.size)
            except StagingError as unwanted:
                return unwanted
            return None

    def done(self) -> None:
        """The file is there."""
        self._end(None)

    def failed(self, refusal: Refusal) -> None:
        """It will not come. What was decided before stays."""
        self._end(refusal)

    def _end(self, refusal: Refusal | None) -> None:
        with self._bell:
            if not self._over:
                self._over, self._refusal = True, refusal
            self._bell.notify_all()


def watched(
    orders: Sequence[Order], bell: threading.Condition, context: StagerContext
) -> list[StagingError | None]:
    """Wait until all are over, and say how far they are meanwhile.

    Returns:
        For each the error, if there is one; that nobody waits any more is one.
    """
    errors: list[StagingError | None] = [None] * len(orders)
    open_ones = set(range(len(orders)))
    seen = dict.fromkeys(open_ones, 0)

    def news() -> bool:
        return any(orders[n].over or orders[n].moved != seen[n] for n in open_ones)

    while open_ones:
        with bell:
            # That nobody waits any more is told by ``progress`` alone, so it is asked even where
            # nothing moves. The end of a transfer is waited for, not asked for.
            bell.wait_for(news, _ASKED_EVERY)
            over = {n for n in open_ones if orders[n].over}
            seen = {n: orders[n].moved for n in open_ones}
        for n in sorted(open_ones):
            order = orders[n]
            error = order.error if n in over else order.tell(context, seen[n])
            if error is not None or n in over:
                errors[n] = error
                open_ones.discard(n)
    return errors


@attrs.define(eq=False)
class Group:
    """Files that go the same way, on their way into one task.

    Attributes:
        since: when the first of them came, by the owner's clock.
        orders: they.
    """

    since: float
    orders: list[Order] = attrs.field(factory=list)
