"""Which worker gets which task, and when: pure, with no clock, socket or process.

Short tasks are dealt several at once, up to some 50 ms of work for each worker, by what tasks of
the same app took before. Long ones, those of which nothing is known yet, and those with a walltime
are dealt one at a time to workers that have nothing else. Work is shared out evenly among the
workers that have room. What was dealt to a worker that is stuck on a task which takes longer than
expected is taken back when another worker has nothing to do.

A task that needs more than any desk gives, a *big* one, waits until the slots for it are free, and
has them for itself: the desk of the first of them runs it, the others stand idle. When its turn has
come and there is no room for it, smaller tasks pass it for a second; then those of its priority and
of lower ones wait until it has found its place, so that it is not passed for ever.

Where slots are pinned, a worker that was born for one slot cannot use the pins of another. So a
task that needs several gets a worker born for all of them: the desk of the first slot is closed and
handed out by :meth:`Dealer.retired`, and the next worker of that slot is to be born for
:meth:`Dealer.slot`. It stays for as long as the next big task fits it, then it is closed likewise.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from heapq import heappop, heappush
from math import inf

from weft.workers.packing import PLAIN, chosen, covered, merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from weft.values.task import Resources
    from weft.workers.packing import Slot

__all__ = ["BATCH", "PASSING", "Dealer", "Desk", "Entry"]

BATCH = 256
"""Tasks that a worker holds at most."""

REDEALS = 5
"""How often a task is dealt again because its worker died before it began."""

PASSING = 1.0
"""Seconds for which smaller tasks pass a big one whose turn has come."""

_LOOK = 16
"""Big tasks for which a place is sought at the same time."""


class Entry:
    """A task that is to be dealt.

    Attributes:
        job: the task.
        app: by what its duration is learned.
        priority: lower is sooner.
        alone: whether it must be the only one its worker holds.
        walltime: seconds that it may run, or ``None``.
        needs: what it needs that not every desk gives, or ``None``.
        cancelled: whether it is to be dropped.
        over: whether it has ended.
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
        "needs",
        "number",
        "over",
        "priority",
        "redealt",
        "walltime",
    )

    def __init__(
        self,
        job: Any,
        app: str,
        priority: int = 0,
        *,
        alone: bool = False,
        walltime: float | None = None,
        needs: Resources | None = None,
    ) -> None:
        self.job, self.app, self.priority = job, app, priority
        self.alone = alone or walltime is not None
        self.walltime, self.needs = walltime, needs
        self.cancelled = self.over = False
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
        slot: the part of the node that its worker has.
    """

    __slots__ = ("dealt", "held", "load", "open", "owner", "since", "slot")

    def __init__(self, owner: Any = None, slot: Slot = PLAIN) -> None:
        self.owner, self.slot = owner, slot
        self.held: dict[int, Entry] = {}
        self.load = 0.0
        self.open = True
        self.dealt = 0
        self.since = 0.0


def _load(desk: Desk) -> float:
    return desk.load


_NOBODY: deque[Entry] = deque()
_NONE: Sequence[Desk] = ()


class _Team:
    """Slots that a big entry has, or had just now."""

    __slots__ = ("slot", "slots")

    def __init__(self, slots: list[Slot], slot: Slot) -> None:
        self.slots, self.slot = slots, slot

    @property
    def reborn(self) -> bool:
        """Whether it takes a worker that was born for it."""
        return self.slot is not self.slots[0]


class Dealer:
    """Deals entries to desks.

    Args:
        ahead: seconds of work that a desk gets in advance; 0 deals one at a time.
        most: how many entries a desk gets in its life, or ``None`` for any number.
        slots: the parts of the node; needed only for entries with needs.
        pinned: whether a worker can use nothing but the slots that it was born for.
        passing: seconds for which smaller entries pass a big one.
    """

    def __init__(
        self,
        ahead: float = 0.05,
        most: int | None = None,
        slots: Sequence[Slot] = (),
        *,
        pinned: bool = False,
        passing: float = PASSING,
    ) -> None:
        self.ahead, self.most = ahead, most
        self.slots, self.pinned, self.passing = slots, pinned, passing
        self.desks: list[Desk] = []
        self._big: list[tuple[Entry, float]] = []
        self._teams: dict[Entry, _Team] = {}
        self._lent: dict[int, _Team] = {}
        self._idle: list[_Team] = []
        self._retired: list[Desk] = []
        self._uneven = len({len(slot.accelerators) for slot in slots}) > 1
        self.waiting = 0
        self._queues: dict[int, deque[Entry]] = {}
        self._priorities: list[int] = []
        self._expected: dict[str, float] = {}
        self._barrier = inf

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
        if self._teams:
            self._release(entry)
        return True

    def clear(self) -> list[Entry]:
        """Drop all that wait, and return them."""
        dropped = [entry for entry, _ in self._big if not entry.cancelled]
        for entry in dropped:
            self._release(entry)
        dropped += [
            entry for queue in self._queues.values() for entry in queue if not entry.cancelled
        ]
        self._queues, self._priorities, self._big, self.waiting = {}, [], [], 0
        self._barrier = inf
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
        if not (self.waiting or self._idle):
            return []
        dealt = []
        if self._big or self._teams or self._idle or self._big_is_first():
            dealt = self._deal_big(now)
        if self.waiting <= len(self._big):
            return dealt
        desks = [desk for desk in self.desks if desk.open and self._has_room(desk)]
        # Those with nothing to do come first, so that they get the long ones.
        desks.sort(key=self._order if self._uneven else _load)
        left = len(desks)
        for desk in desks:
            share = -(-(self.waiting - len(self._big)) // left)
            left -= 1
            hand = self._hand(desk, share, now)
            if hand:
                dealt.append((desk, hand))
            if not self.waiting:
                break
        return dealt

    def _has_room(self, desk: Desk) -> bool:
        if self._lent and desk.slot.index in self._lent:
            return False
        return not desk.held or (desk.load < self.ahead / 2 and len(desk.held) < BATCH // 2)

    @staticmethod
    def _order(desk: Desk) -> tuple[float, int]:
        # What needs no accelerator should leave them to others.
        return desk.load, len(desk.slot.accelerators)

    def _hand(self, desk: Desk, share: int, now: float) -> list[Entry]:
        hand: list[Entry] = []
        most = min(share, BATCH - len(desk.held))
        if self.most is not None:
            most = min(most, self.most - desk.dealt)
        if not desk.held:
            desk.since = now
        queue, barrier = _NOBODY, self._barrier
        while len(hand) < most:
            if queue and not queue[0].cancelled:
                entry = queue[0]
            else:
                first = self._first()
                if first is None:
                    break
                entry = first
                queue = self._queues[entry.priority]
            if entry.needs is not None or entry.priority >= barrier:
                break
            expected = self._expected.get(entry.app, self.ahead)
            full = desk.load >= self.ahead or desk.load + expected > self.ahead
            if desk.held and (entry.alone or full):
                break
            queue.popleft()
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

    # -------------------------------------------------------------------------------------------
    # big ones

    def any_gives(self, needs: Resources) -> bool:
        """Whether every desk by itself has what is needed."""
        return all(covered(needs, (slot,)) for slot in self.slots)

    def possible(self, needs: Resources) -> bool:
        """Whether all desks together have what is needed."""
        return covered(needs, self.slots)

    def slot(self, index: int) -> Slot:
        """What the worker of a slot is to be born for."""
        team = self._lent.get(index)
        if team is not None and team.slot.index == index:
            return team.slot
        return self.slots[index]

    def retired(self) -> Sequence[Desk]:
        """Desks with nothing to do that were closed since the last call: let their workers go."""
        if not self._retired:
            return _NONE
        retired, self._retired = self._retired, []
        return retired

    def _big_is_first(self) -> bool:
        entry = self._first()
        return entry is not None and entry.needs is not None

    def _deal_big(self, now: float) -> list[tuple[Desk, list[Entry]]]:
        """Seek a place for the big ones whose turn has come."""
        self._bring_up(now)
        dealt: list[tuple[Desk, list[Entry]]] = []
        self._barrier = inf
        if self._big:
            free = {
                desk.slot.index: desk
                for desk in self.desks
                if desk.open and not desk.held and desk.slot.index not in self._lent
            }
            waits: list[tuple[Entry, float]] = []
            for entry, until in self._big:
                team = self._teams.get(entry)
                if team is None and entry.priority < self._barrier:
                    team = self._team_for(entry, free)
                    if team is None and until <= now:
                        self._barrier = entry.priority
                desk = None if team is None else self._desk_of(team)
                if desk is None:
                    waits.append((entry, until))
                    continue
                dealt.append((desk, [entry]))
                self._seat(entry, desk, now)
            self._big = waits
        while self._idle:
            self._dissolve(self._idle.pop())
        return dealt

    def _bring_up(self, now: float) -> None:
        """Let big ones that are first step aside, where others can pass them."""
        self._big = [big for big in self._big if not big[0].cancelled]
        while True:
            entry = self._first()
            if entry is None or entry.needs is None:
                return
            if len(self._big) >= _LOOK and entry.priority >= self._big[-1][0].priority:
                return
            self._queues[entry.priority].popleft()
            insort(self._big, (entry, now + self.passing), key=lambda big: big[0].priority)

    def _team_for(self, entry: Entry, free: dict[int, Desk]) -> _Team | None:
        needs = entry.needs
        assert needs is not None  # none else is big
        for team in self._idle:
            exact = chosen(needs, team.slots)
            if exact is not None and len(exact) == len(team.slots):
                self._idle.remove(team)
                self._teams[entry] = team
                return team
        slots = chosen(needs, [desk.slot for desk in free.values()])
        if slots is None:
            return None
        team = _Team(slots, merged(slots) if self.pinned else slots[0])
        desks = [free.pop(slot.index) for slot in slots]
        for slot in slots:
            self._lent[slot.index] = team
        if team.reborn:
            desks[0].open = False
            self._retired.append(desks[0])
        self._teams[entry] = team
        return team

    def _desk_of(self, team: _Team) -> Desk | None:
        """The desk that runs what the team is for, if it is there already."""
        for desk in self.desks:
            if desk.slot is team.slot and desk.open and not desk.held:
                return desk
        return None

    def _seat(self, entry: Entry, desk: Desk, now: float) -> None:
        self.waiting -= 1
        desk.since = now
        desk.dealt += 1
        entry.desk, entry.number = desk, desk.dealt
        entry.cost = max(self._expected.get(entry.app, self.ahead), self.ahead)
        desk.held[desk.dealt] = entry
        desk.load = entry.cost
        if self.most is not None and desk.dealt >= self.most:
            desk.open = False

    def _release(self, entry: Entry) -> None:
        """A big one no longer needs its slots."""
        team = self._teams.pop(entry, None)
        if team is None:
            return
        if team.reborn:  # the next one may want the same; if not, it is dissolved in the next deal
            self._idle.append(team)
        else:
            self._dissolve(team)

    def _dissolve(self, team: _Team) -> None:
        for slot in team.slots:
            del self._lent[slot.index]
        if team.reborn:
            for desk in self.desks:
                if desk.slot is team.slot:
                    desk.open = False
                    self._retired.append(desk)

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
        if self._teams:
            self._release(entry)
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
        if self._teams:
            self._release(entry)

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
        if self.waiting or not any(
            desk.open and not desk.held and desk.slot.index not in self._lent for desk in self.desks
        ):
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
