"""Which worker gets which task, and when: pure, with no clock, socket or process.

Short tasks are dealt several at once, up to some 50 ms of work for each worker, by what tasks of
the same app took before. Long ones, those of which nothing is known yet, and those with a walltime
are dealt one at a time to workers that have nothing else. Work is shared out evenly among the
workers that have room. What was dealt to a worker that is stuck on a task which takes longer than
expected is taken back when another worker has nothing to do.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["BATCH", "Dealer", "Desk", "Entry"]

BATCH = 256
"""Tasks that a worker holds at most."""

REDEALS = 5
"""How often a task is dealt again because its worker died before it began."""


class Entry:
    """A task that the executor holds.

    Attributes:
        job: the task.
        app: by what its duration is learned.
        priority: lower is sooner.
        alone: whether it must be the only one its worker holds.
        cancelled: whether it is to be dropped.
        desk: the worker that has it, or ``None`` while it waits.
        number: by which that worker knows it.
        cost: seconds that it should take there.
        redealt: how often it was dealt and came back.
    """

    __slots__ = (
        "alone",
        "app",
        "cancelled",
        "cost",
        "desk",
        "job",
        "number",
        "priority",
        "redealt",
    )

    def __init__(self, job: Any, app: str, priority: int = 0, *, alone: bool = False) -> None:
        self.job, self.app, self.priority, self.alone = job, app, priority, alone
        self.cancelled = False
        self.desk: Desk | None = None
        self.number = 0
        self.cost = 0.0
        self.redealt = 0


class Desk:
    """What one worker has to do.

    Attributes:
        held: the entries dealt to it and not ended, by number, oldest first.
        load: seconds that they should take.
        open: whether it gets more.
        dealt: how many entries it has got in all.
        since: when it last had news.
        owner: whose desk it is.
    """

    __slots__ = ("dealt", "held", "load", "open", "owner", "since")

    def __init__(self, owner: Any = None) -> None:
        self.owner = owner
        self.held: dict[int, Entry] = {}
        self.load = 0.0
        self.open = True
        self.dealt = 0
        self.since = 0.0


class Dealer:
    """Deals entries to desks.

    Args:
        ahead: seconds of work that a desk gets in advance; 0 deals one at a time.
        most: how many entries a desk gets in its life, or ``None`` for any number.
    """

    def __init__(self, ahead: float = 0.05, most: int | None = None) -> None:
        self.ahead, self.most = ahead, most
        self.desks: list[Desk] = []
        self.waiting = 0
        self._queues: dict[int, deque[Entry]] = {}
        self._priorities: list[int] = []
        self._expected: dict[str, float] = {}

    # -------------------------------------------------------------------------------------------
    # waiting

    def add(self, entry: Entry) -> None:
        """Let an entry wait behind those of its priority."""
        self._queue(entry.priority).append(entry)
        self.waiting += 1

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Let entries that were dealt wait again, before those of their priority, in order."""
        for entry in reversed(list(entries)):
            self.forget(entry)
            self._queue(entry.priority).appendleft(entry)
            self.waiting += 1

    def _queue(self, priority: int) -> deque[Entry]:
        queue = self._queues.get(priority)
        if queue is None:
            queue = self._queues[priority] = deque()
            heappush(self._priorities, priority)
        return queue

    def cancel(self, entry: Entry) -> bool:
        """Drop an entry that waits. Returns whether it waited."""
        if entry.desk is not None or entry.cancelled:
            return False
        entry.cancelled = True
        self.waiting -= 1
        return True

    def clear(self) -> list[Entry]:
        """Drop all that wait, and return them."""
        dropped = [
            entry for queue in self._queues.values() for entry in queue if not entry.cancelled
        ]
        self._queues, self._priorities, self.waiting = {}, [], 0
        return dropped

    def _first(self) -> Entry | None:
        """The entry whose turn it is."""
        while self._priorities:
            queue = self._queues[self._priorities[0]]
            while queue and queue[0].cancelled:
                queue.popleft()
            if queue:
                return queue[0]
            del self._queues[heappop(self._priorities)]
        return None

    # -------------------------------------------------------------------------------------------
    # dealing

    def deal(self, now: float) -> list[tuple[Desk, list[Entry]]]:
        """Give to the desks that have room what they should have now."""
        if not self.waiting:
            return []
        desks = [desk for desk in self.desks if desk.open and self._has_room(desk)]
        # Those with nothing to do come first, so that they get the long ones.
        desks.sort(key=lambda desk: desk.load)
        dealt = []
        left = len(desks)
        for desk in desks:
            share = -(-self.waiting // left)
            left -= 1
            hand = self._hand(desk, share, now)
            if hand:
                dealt.append((desk, hand))
            if not self.waiting:
                break
        return dealt

    def _has_room(self, desk: Desk) -> bool:
        return not desk.held or (desk.load < self.ahead / 2 and len(desk.held) < BATCH // 2)

    def _hand(self, desk: Desk, share: int, now: float) -> list[Entry]:
        hand: list[Entry] = []
        most = min(share, BATCH - len(desk.held))
        if self.most is not None:
            most = min(most, self.most - desk.dealt)
        if not desk.held:
            desk.since = now
        while len(hand) < most:
            entry = self._first()
            if entry is None:
                break
            expected = self._expected.get(entry.app, self.ahead)
            full = desk.load >= self.ahead or desk.load + expected > self.ahead
            if desk.held and (entry.alone or full):
                break
            self._queues[entry.priority].popleft()
            self.waiting -= 1
            desk.dealt += 1
            entry.desk, entry.number = desk, desk.dealt
            entry.cost = max(expected, self.ahead) if entry.alone else expected
            desk.held[desk.dealt] = entry
            desk.load += entry.cost
            hand.append(entry)
        if self.most is not None and desk.dealt >= self.most:
            desk.open = False
        return hand

    # --------------------------------------------------------------------------------------------
    # endings

    def ended(self, desk: Desk, number: int, took: float, now: float) -> Entry | None:
        """A desk is done with an entry, after ``took`` seconds; ``None`` if it lost it before."""
        entry = desk.held.pop(number, None)
        if entry is None:
            return None
        desk.load = desk.load - entry.cost if desk.held else 0.0
        desk.since = now
        entry.desk = None
        expected = self._expected.get(entry.app)
        if expected is None or took > expected:
            self._expected[entry.app] = took
        else:
            self._expected[entry.app] = 0.8 * expected + 0.2 * took
        return entry

    def forget(self, entry: Entry) -> None:
        """Take an entry from its desk, without learning from it."""
        desk = entry.desk
        if desk is not None:
            desk.held.pop(entry.number, None)
            desk.load = desk.load - entry.cost if desk.held else 0.0
        entry.desk = None

    def unstarted(self, desk: Desk, running: int) -> list[Entry]:
        """What a desk holds behind the entry that it is at, which is number ``running``."""
        return [entry for number, entry in desk.held.items() if number > running]

    def remove(self, desk: Desk, running: int) -> tuple[Entry | None, list[Entry]]:
        """A worker is gone. What it was at, and what else it held, which is for others now."""
        if desk in self.desks:
            self.desks.remove(desk)
        victim = desk.held.get(running)
        others = [entry for entry in desk.held.values() if entry is not victim]
        for entry in list(desk.held.values()):
            self.forget(entry)
        return victim, others

    # --------------------------------------------------------------------------------------- taking
    # back

    def stuck(self, now: float) -> tuple[list[Desk], float | None]:
        """Desks whose work should be taken back, and when to ask again, if ever.

        A desk is stuck if nothing came from it for longer than all it holds should take, while it
        holds more than one entry and another desk has nothing to do.
        """
        if self.waiting or not any(desk.open and not desk.held for desk in self.desks):
            return [], None
        patience = max(self.ahead, 0.02)
        late, soon = [], None
        for desk in self.desks:
            if len(desk.held) > 1:
                due = desk.since + patience
                if due <= now:
                    late.append(desk)
                else:
                    soon = due if soon is None else min(soon, due)
        return late, soon
