"""Has transfers made, in threads of their own, as the state machine of transfers says.

    kernel's thread   want, drop ──▶ Transfers ──▶ begun in this round ── flush ──▶ pool
    weft-transfer-N   a stager's move, or move_all ── how it went ──▶ the kernel's inbox

All but the moves runs on the kernel's thread. A try that is late, or that nobody wants any more,
may still hold its thread, since a stager cannot be stopped from outside: another thread takes its
place, and that one ends when the stager comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from weft.dataflow.staging import Staging
from weft.dataflow.transfers import (
    Abandon,
    Answer,
    Begin,
    Follows,
    Moved,
    Rest,
    Tell,
    Ticket,
    Transfers,
)
from weft.interfaces.stager import Transfer
from weft.pool import Retire, ThreadPool
from weft.values.events import FileMoved, FileNotMoved
from weft.values.task import TaskId

__all__ = ["Moving"]

_BATCH: Final = 500
"""Transfers that are given to a stager at once, at most."""


class Moving:
    """The transfers of a kernel.

    Args:
        transfers: what becomes of each.
        staging: makes a try.
        pool: where that is done.
        timeout: seconds that one try may take, or ``None``.
        post: has something called on the kernel's thread; from any thread.
        after: has something called there later.
        answer: is told when all that a task wanted is moved, or that it cannot be.
        tell: tells the monitors.
    """

    def __init__(
        self,
        *,
        transfers: Transfers,
        staging: Staging,
        pool: ThreadPool[Callable[[], None]],
        timeout: float | None,
        post: Callable[[Callable[[], None]], None],
        after: Callable[[float, Callable[[], None]], None],
        answer: Callable[[TaskId, BaseException | None], None],
        tell: Callable[[FileMoved | FileNotMoved], None],
    ) -> None:
        self._transfers, self._staging, self._pool = transfers, staging, pool
        self._timeout, self._post, self._after = timeout, post, after
        self._answer, self._tell = answer, tell
        self._begun: list[Ticket] = []
        # By the identity of the transfer that each try was given.
        self._tries: dict[int, _Try] = {}

    def want(self, task: TaskId, transfers: Sequence[Transfer]) -> None:
        """A task waits for these transfers; ``answer`` is called for it once."""
        self._follow(self._transfers.want(task, transfers))

    def drop(self, task: TaskId) -> None:
        """A task waits for nothing any more."""
        self._follow(self._transfers.drop(task))

    def flush(self) -> None:
        """Hand on what was begun since the last time."""
        begun, self._begun = self._begun, []
        together: dict[int, list[Ticket]] = {}
        for ticket in begun:
            stager = self._staging.moves_many(ticket.transfer)
            if stager is None:
                self._hand_on([ticket])
            else:
                together.setdefault(id(stager), []).append(ticket)
        for tickets in together.values():
            for first in range(0, len(tickets), _BATCH):
                self._hand_on(tickets[first : first + _BATCH])

    # ---------------------------------------------------------------------- on the kernel's thread

    def _follow(self, follows: Sequence[Follows], seconds: float = 0.0) -> None:
        for one in follows:
            if type(one) is Begin:
                self._begun.append(one.ticket)
            elif type(one) is Answer:
                self._answer(one.task, one.error)
            elif type(one) is Rest:
                self._after(one.seconds, partial(self._due, one.ticket, one.attempt))
            elif type(one) is Abandon:
                self._abandon(one.transfer)
            elif type(one) is Moved:
                self._tell_moved(one, seconds)
            elif type(one) is Tell:
                self._tell_failed(one)

    def _due(self, ticket: Ticket, attempt: int) -> None:
        self._follow(self._transfers.due(ticket, attempt))

    def _hand_on(self, tickets: Sequence[Ticket]) -> None:
        one = _Try([(ticket, ticket.attempt, ticket.transfer) for ticket in tickets])
        for ticket in tickets:
            self._tries[id(ticket.transfer)] = one
        self._pool.put(partial(self._make, one))

    def _abandon(self, transfer: Transfer) -> None:
        self._staging.abandon(transfer)
        one = self._tries.get(id(transfer))
        if one is not None and one.left_by(transfer):
            self._pool.replace()

    def _late(self, one: _Try) -> None:
        assert self._timeout is not None
        for ticket, attempt, _ in one.parts:
            self._follow(self._transfers.late(ticket, attempt, self._timeout))

    def _forget(self, one: _Try) -> None:
        for _, _, transfer in one.parts:
            self._staging.forget(transfer)
            del self._tries[id(transfer)]

    def _ended(
        self,
        one: _Try,
        errors: Sequence[BaseException | None],
        sizes: Sequence[int | None],
        seconds: float,
    ) -> None:
        self._forget(one)
        for (ticket, attempt, _), error, size in zip(one.parts, errors, sizes, strict=True):
            self._follow(self._transfers.ended(ticket, attempt, error, size), seconds)

    def _tell_moved(self, told: Moved, seconds: float) -> None:
        transfer = told.transfer
        self._tell(
            FileMoved(
                time.time(),
                transfer.file.url,
                transfer.way.value,
                transfer.place.executor,
                told.attempt,
                seconds,
                told.size,
            )
        )

    def _tell_failed(self, told: Tell) -> None:
        transfer, error = told.transfer, told.error
        self._tell(
            FileNotMoved(
                time.time(),
                transfer.file.url,
                transfer.way.value,
                transfer.place.executor,
                told.attempt,
                getattr(error, "reason", "") or f"{type(error).__name__}: {error}",
                told.delay,
            )
        )

    # ---------------------------------------------------------------------- in a thread of the pool

    def _make(self, one: _Try) -> None:
        if not one.begin():
            self._post(partial(self._forget, one))
            return
        begun = time.monotonic()
        if self._timeout is not None:
            self._post(partial(self._after, self._timeout, partial(self._late, one)))
        transfers = [transfer for _, _, transfer in one.parts]
        self._staging.sizes.begin(transfers)
        errors = self._staging.move(transfers)
        seconds = time.monotonic() - begun
        self._post(partial(self._ended, one, errors, self._staging.sizes.end(transfers), seconds))
        if not one.end():
            raise Retire


class _Try:
    """Transfers that one thread makes at once, until all are moved or nobody waits for any.

    Attributes:
        parts: each with its ticket, and which try of it this is.
    """

    def __init__(self, parts: Sequence[tuple[Ticket, int, Transfer]]) -> None:
        self.parts = parts
        self._waited_for = {id(transfer) for _, _, transfer in parts}
        self._lock = threading.Lock()
        self._runs = self._ended = self._left = False

    def begin(self) -> bool:
        """A thread takes it. Whether somebody waits for it."""
        with self._lock:
            self._runs = True
            return not self._left

    def end(self) -> bool:
        """The thread has done it. Whether it is still one of those that count."""
        with self._lock:
            self._ended = True
            return not self._left

    def left_by(self, transfer: Transfer) -> bool:
        """Nobody waits for this one. Whether that leaves a thread busy for nobody."""
        with self._lock:
            self._waited_for.discard(id(transfer))
            if self._waited_for or self._ended or self._left:
                return False
            self._left = True
            return self._runs
