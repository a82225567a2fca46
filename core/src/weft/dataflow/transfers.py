"""What becomes of each transfer: begun, tried again, given up; no thread, clock or stager.

    wanted by a task ──▶ MOVING ── moved ────────────────────────────▶ answer to all who want it
                         │  ▲ └─── failed for good, or too often ────▶ answer: the error
             late,       │  │
             broken      ▼  │ due
                        RESTING

Tasks that want the same file at the same place at the same time wait for one transfer. A transfer
that nobody wants any more is given up. ``Transfers`` is owned by one thread; each method returns
what follows, in order, and its owner does that.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Final

from weft.errors import StagingError
from weft.interfaces.stager import Transfer, Way
from weft.values.message import message
from weft.values.task import TaskId

__all__ = ["Abandon", "Answer", "Begin", "Follows", "Moved", "Rest", "Tell", "Ticket", "Transfers"]

_Key = tuple[str, str, str | None, TaskId | None]


class _At(enum.Enum):
    """Where a transfer is."""

    MOVING = "moving"
    RESTING = "resting"
    OVER = "over"


class Ticket:
    """One transfer, on its way.

    Attributes:
        transfer: what its current try is to do; another object for each try, by which what a
            stager says of an earlier one is told from it.
        attempt: which try this is, from 1.
    """

    __slots__ = ("_at", "_key", "_tasks", "attempt", "transfer")

    def __init__(self, key: _Key, transfer: Transfer) -> None:
        self._key, self.transfer = key, transfer
        self.attempt = 1
        self._at = _At.MOVING
        self._tasks: dict[TaskId, None] = {}


@message
class Begin:
    """Have the try made; say by ``ended`` how it went."""

    ticket: Ticket


@message
class Rest:
    """Say ``due`` after so many seconds."""

    ticket: Ticket
    attempt: int
    seconds: float


@message
class Abandon:
    """Nobody waits for this try any more; its end need not be told."""

    transfer: Transfer


@message
class Answer:
    """All that a task wanted is moved, or one of it cannot be."""

    task: TaskId
    error: BaseException | None


@message
class Tell:
    """A try has failed. ``delay`` is how long until the next, ``None`` if there is none."""

    transfer: Transfer
    attempt: int
    error: BaseException
    delay: float | None


@message
class Moved:
    """A try has done what it was to; it moved ``size`` bytes, where that is known."""

    transfer: Transfer
    attempt: int
    size: int | None


Follows = Begin | Rest | Abandon | Answer | Tell | Moved
_Further = Sequence[Follows]
_NOTHING: Final[_Further] = ()


class Transfers:
    """The transfers of a session.

    Args:
        retries: how often a transfer is tried again at most.
        wait: seconds before retry number n, from 1; more if the other side asked for more.
    """

    def __init__(self, retries: int, wait: Callable[[int], float]) -> None:
        self._retries, self._wait = retries, wait
        self._tickets: dict[_Key, Ticket] = {}
        self._wanted: dict[TaskId, dict[_Key, None]] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def want(self, task: TaskId, transfers: Sequence[Transfer]) -> _Further:
        """A task waits for these, and for nothing else."""
        if not transfers:
            return (Answer(task, None),)
        assert task not in self._wanted
        wanted = self._wanted[task] = {}
        follows: list[Follows] = []
        for transfer in transfers:
            key = _key_of(transfer, task)
            wanted[key] = None
            ticket = self._tickets.get(key)
            if ticket is None:
                ticket = self._tickets[key] = Ticket(key, transfer)
                follows.append(Begin(ticket))
            ticket._tasks[task] = None
        return follows

    def drop(self, task: TaskId) -> _Further:
        """A task waits for nothing any more."""
        follows: list[Follows] = []
        for key in self._wanted.pop(task, ()):
            ticket = self._tickets[key]
            del ticket._tasks[task]
            if not ticket._tasks:
                if ticket._at is _At.MOVING:
                    follows.append(Abandon(ticket.transfer))
                self._over(ticket)
        return follows

    def ended(
        self,
        ticket: Ticket,
        attempt: int,
        error: BaseException | None,
        size: int | None = None,
    ) -> _Further:
        """A try has come to its end; a good one has moved ``size`` bytes, where that is known."""
        if ticket._at is not _At.MOVING or ticket.attempt != attempt:
            return _NOTHING
        if error is not None:
            return self._failed(ticket, error)
        follows: list[Follows] = [Moved(ticket.transfer, attempt, size)]
        for task in self._over(ticket):
            wanted = self._wanted[task]
            del wanted[ticket._key]
            if not wanted:
                del self._wanted[task]
                follows.append(Answer(task, None))
        return follows

    def late(self, ticket: Ticket, attempt: int, limit: float) -> _Further:
        """A try has taken as long as it may."""
        if ticket._at is not _At.MOVING or ticket.attempt != attempt:
            return _NOTHING
        given_up = ticket.transfer
        error = StagingError(
            given_up.file.url,
            given_up.way,
            f"It took longer than {limit:g} s.",
            "Give it more time by Config(transfer_timeout=...), or look at the connection.",
            again=True,
        )
        return (Abandon(given_up), *self._failed(ticket, error))

    def due(self, ticket: Ticket, attempt: int) -> _Further:
        """The rest is over."""
        if ticket._at is not _At.RESTING or ticket.attempt != attempt:
            return _NOTHING
        old = ticket.transfer
        ticket.transfer = Transfer(way=old.way, file=old.file, placed=old.placed, place=old.place)
        ticket.attempt += 1
        ticket._at = _At.MOVING
        return (Begin(ticket),)

    def _failed(self, ticket: Ticket, error: BaseException) -> _Further:
        made = ticket.attempt
        if _may_help(error) and made <= self._retries:
            seconds = max(self._wait(made), _asked_for(error))
            ticket._at = _At.RESTING
            return Tell(ticket.transfer, made, error, seconds), Rest(ticket, made, seconds)
        follows: list[Follows] = [Tell(ticket.transfer, made, error, None)]
        final = _with_tries(error, made)
        for task in self._over(ticket):
            del self._wanted[task][ticket._key]
            follows += self.drop(task)
            follows.append(Answer(task, final))
        return follows

    def _over(self, ticket: Ticket) -> Sequence[TaskId]:
        ticket._at = _At.OVER
        del self._tickets[ticket._key]
        return tuple(ticket._tasks)


def _key_of(transfer: Transfer, task: TaskId) -> _Key:
    # What comes in is the same for all who want it there; what goes out is each task's own.
    owner = None if transfer.way is Way.IN else task
    return transfer.way.value, transfer.file.url, transfer.placed.local_path, owner


def _may_help(error: BaseException) -> bool:
    return isinstance(error, StagingError) and error.again


def _asked_for(error: BaseException) -> float:
    return error.retry_after if isinstance(error, StagingError) else 0.0


def _with_tries(error: BaseException, made: int) -> BaseException:
    if made == 1 or not isinstance(error, StagingError):
        return error
    told = StagingError(
        error.url,
        error.direction,
        f"{error.reason.rstrip()} It was tried {made} times.",
        error.todo,
    )
    told.__cause__ = error
    return told
