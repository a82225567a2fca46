"""Which task goes to which manager: a state machine that knows no clock, socket or thread.

Events go in as calls (tasks came, a manager registered, results came, a manager was lost, ...),
time as a number; :meth:`Matching.deal` says what to send to whom. One thread calls all of it.

    arrived ─▶ lanes (tasks of one manner, first come first) ─deal─▶ managers ─results, ends─▶ gone
                 ▲                                                      │
                 └────────────────── returned ──────────────────────────┘

*Cost.* Work is done for batches: a lane gives as many tasks to a manager as there is room for at
once. Managers with room stand on shelves, by how much they have to do, so the next one is found
without a look at the others, however many there are. A lane that nobody had room for is not tried
again but with managers that got room since.

*Load.* A task whose duration is unknown, or long, takes a worker of its manager: nothing is dealt
ahead. A short one takes a part of a worker, so that what is ahead of each worker is about
``AHEAD`` seconds, and at most ``MOST`` tasks. Tasks that ask for cores, memory or accelerators are
packed into what the manager has; one that asks for nothing takes the part of one worker.

*Fairness.* Lower priorities first, and within one first come, first served, as far as there is
room. A task that only fits when others have gone reserves a manager: what it lacks there is given
to nobody else, and small tasks run beside it only in what it leaves over.

*Time.* No task is dealt to a manager that ends before the task's walltime, or the known duration of
its function, would be over.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import Any, Final, Literal

from weft.values.message import message

__all__ = [
    "AHEAD",
    "MOST",
    "Deal",
    "Ended",
    "Lane",
    "Manager",
    "Matching",
    "Task",
    "Unfitting",
]

AHEAD: Final = 0.075
"""Seconds of work that a worker should have ahead."""

MOST: Final = 256
"""Tasks that a worker may have ahead."""

_UNIT: Final = 1 << 16
_LEVELS: Final = 16
_FREE_LEVELS: Final = 8
_FORGET: Final = 0.05
_LOOKED_AT: Final = 64
_LANES: Final = 10_000
_LONGEST: Final = 1e9
_ROUNDS: Final = 100
_PART: Final = 8


class Pace:
    """How long tasks of one function take: quick to rise, slow to fall.

    Attributes:
        seconds: that one takes, or below 0 as long as nobody knows.
    """

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = -1.0

    def learn(self, seconds: float) -> None:
        """One took so long."""
        if seconds > self.seconds:
            self.seconds = min(seconds, _LONGEST)
        elif seconds >= 0:
            self.seconds += (seconds - self.seconds) * _FORGET


class Shape:
    """What tasks ask of a manager, other than time. Plain tasks ask for nothing.

    Attributes:
        cores, memory, accelerators: thousandths of a core, bytes, thousandths of an accelerator;
            cores and memory may be left open, which means the part of one worker.
        plain: whether they ask for nothing.
        full: costs, and for each the shortest time limit, for which no manager but fresh ones
            has room.
        reserving: the lane for which a manager is kept, if any.
        sought: after how many changes of managers none was found that could be kept.
        until, epoch: when the last manager that could ever take one ends, and after how many
            changes of managers this was found.
    """

    __slots__ = (
        "accelerators", "cores", "epoch", "full", "memory", "plain", "reserving", "sought", "text",
        "until",
    )  # fmt: skip

    def __init__(self, text: str) -> None:
        self.text = text
        cores, memory, accelerators = _needs(text)
        self.cores = None if cores is None else math.ceil(cores * 1000)
        self.memory = None if memory is None else math.ceil(memory)
        self.accelerators = math.ceil((accelerators or 0) * 1000)
        self.plain = self.cores is None and self.memory is None and not self.accelerators
        self.full: dict[int, float] = {}
        self.reserving: Lane | None = None
        self.epoch = self.sought = -1
        self.until = -math.inf

    def is_full(self, cost: int, limit: float) -> bool:
        """Whether it is known that no manager but fresh ones has room."""
        return any(cost >= known and limit >= least for known, least in self.full.items())

    def has_no_room(self, cost: int, limit: float) -> None:
        """Note that no manager has room."""
        self.full[cost] = min(limit, self.full.get(cost, math.inf))


def _needs(text: str) -> tuple[float | None, float | None, float | None]:
    if not text:
        return None, None, None
    try:
        asked = json.loads(text)
        if not isinstance(asked, Mapping):
            raise TypeError("it is no object")
        values = [asked.get(name) for name in ("cores", "memory", "accelerators")]
        for value in values:
            if value is not None and not (
                isinstance(value, (int, float))
                and not isinstance(value, bool)
                and 0 <= value < math.inf
            ):
                raise TypeError(f"{value!r} is no amount")
    except (ValueError, TypeError, RecursionError) as trouble:
        raise ValueError(f"what a task needs cannot be read: {trouble}") from trouble
    return values[0], values[1], values[2]


def _number(amount: float) -> str:
    return f"{amount:,.3f}".rstrip("0").rstrip(".")


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


class Lane:
    """Tasks of one manner that wait, first come first.

    Attributes:
        priority, walltime, digests, app: what they have in common.
        shape: what they ask for.
        pace: how long they take.
        tasks: they; some may be gone already.
        live: how many are not gone.
        dealt: how many managers have.
        key: under which number of arrival it queues, or ``None`` if it does not.
        parked: whether no manager there is can ever take them, and this was said.
        told: up to which number of arrival that was said.
        reserved: the manager that is kept for the next of them, if any.
    """

    __slots__ = (
        "app", "dealt", "digests", "key", "live", "number", "pace", "parked", "priority",
        "reserved", "shape", "tasks", "told", "walltime",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        manner: tuple[int, float, tuple[bytes, ...], str, str],
        shape: Shape,
        pace: Pace,
    ) -> None:
        self.priority, self.walltime, self.digests, self.app, _ = manner
        self.number, self.shape, self.pace = number, shape, pace
        self.tasks: deque[Task] = deque()
        self.live = self.dealt = self.told = 0
        self.key: int | None = None
        self.parked = False
        self.reserved: Manager | None = None


class Task:
    """One try of one task.

    Attributes:
        id, attempt: which.
        row, frames: what is sent to a manager.
        lane: its like.
        seq: its place in the order of arrival.
        manager: who has it, or ``None``.
        cost: what it takes of its manager, in parts of a worker.
        gone: whether it has ended, or was superseded by another try.
    """

    __slots__ = ("attempt", "cost", "frames", "gone", "id", "lane", "manager", "row", "seq")

    def __init__(  # noqa: PLR0917 - made once for each task
        self, number: int, attempt: int, row: bytes, frames: Sequence[Any], lane: Lane, seq: int
    ) -> None:
        self.id, self.attempt, self.row, self.frames = number, attempt, row, frames
        self.lane, self.seq = lane, seq
        self.manager: Manager | None = None
        self.cost = 0
        self.gone = False


class Manager:
    """A manager, and what it has to do.

    Attributes:
        name, block: for people.
        workers, cores, memory, accelerators: what it announced, in the units of :class:`Shape`.
        ends: when its block ends; infinity if never.
        held: the tasks it has, by id.
        ghosts: tasks it still has though they count no more, by id and attempt.
        load: what they take, in parts of a worker; ``asked`` of it is taken by those that ask.
        used: cores, memory and accelerators that tasks which ask have.
        draining: whether it gets no more, ever; ``absent``: as long as it is not heard of.
        reserved, kept: the lane it is kept for, if any, and what one of its tasks takes.
        level: the shelf it stands on, or -1.
    """

    __slots__ = (
        "absent", "accelerators", "asked", "block", "capacity", "cores", "draining", "ends",
        "ghosts", "held", "kept", "level", "load", "memory", "name", "reserved", "used", "workers",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        *,
        block: str,
        workers: int,
        cores: float,
        memory: int,
        accelerators: float,
        ends: float,
    ) -> None:
        self.name, self.block, self.workers, self.ends = name, block, workers, ends
        self.cores, self.memory = int(cores * 1000), memory
        self.accelerators = int(accelerators * 1000)
        self.capacity = workers * _UNIT
        self.held: dict[int, Task] = {}
        self.ghosts: dict[tuple[int, int], Task] = {}
        self.load = self.asked = 0
        self.used = (0, 0, 0)
        self.draining = self.absent = False
        self.reserved: Lane | None = None
        self.kept = 0
        self.level = -1

    @property
    def tasks(self) -> int:
        """How many it has."""
        return len(self.held) + len(self.ghosts)

    @property
    def busy(self) -> int:
        """Its shelf: by tasks as long as workers are free, then by how much is ahead; -1: full."""
        if self.draining or self.absent or self.load > self.capacity - _UNIT // (MOST + 1):
            return -1
        tasks = len(self.held) + len(self.ghosts)
        if tasks < self.workers:
            return tasks * _FREE_LEVELS // self.workers
        ahead = self.load * (_LEVELS - _FREE_LEVELS) // self.capacity
        return _FREE_LEVELS + min(ahead, _LEVELS - _FREE_LEVELS - 1)

    def amounts(self, shape: Shape) -> tuple[int, int, int]:
        """What one task of this shape takes here."""
        workers = self.workers
        cores, memory = shape.cores, shape.memory
        return (
            self.cores // workers if cores is None else cores,
            self.memory // workers if memory is None else memory,
            shape.accelerators,
        )

    def free(self) -> tuple[int, int, int]:
        """What is left for tasks that ask."""
        plain = self.load - self.asked
        cores, memory, accelerators = self.used
        return (
            self.cores - cores - -(-plain * self.cores // self.capacity),
            self.memory - memory - -(-plain * self.memory // self.capacity),
            self.accelerators - accelerators,
        )

    def could(self, shape: Shape) -> bool:
        """Whether it could take one task of this shape if it had nothing else to do."""
        if shape.plain:
            return True
        cores, memory, accelerators = self.amounts(shape)
        return cores <= self.cores and memory <= self.memory and accelerators <= self.accelerators

    def room(self, lane: Lane, cost: int) -> int:
        """How many more tasks of a lane it can take, each of which takes so much."""
        kept = self.reserved
        if kept is lane or (kept is not None and kept.shape is lane.shape and cost >= self.kept):
            kept = None
        return self.room_beside(kept, lane.shape, cost)

    def room_beside(self, kept: Lane | None, shape: Shape, cost: int) -> int:
        """How many more tasks of a shape it can take, beside what is kept for a lane."""
        if self.draining or self.absent:
            return 0
        slots = self.capacity - self.load
        if kept is None:
            if shape.plain and not self.asked:
                return slots // cost
            free = self.free()
        else:
            # What the one that waits here has already got stays; what it lacks goes to nobody.
            slots -= self.kept
            free = _less(self.free(), self.amounts(kept.shape))
        if slots < cost:
            return 0
        found = slots // cost
        amounts = self.amounts(shape)
        for amount, left in zip(amounts, free, strict=True):
            if amount:
                part = -(-amount * cost // _UNIT) if shape.plain else amount
                found = min(found, left // part if part else found)
        return max(0, found)


def _less(free: tuple[int, int, int], kept: tuple[int, int, int]) -> tuple[int, int, int]:
    return (
        free[0] - kept[0] if kept[0] else free[0],
        free[1] - kept[1] if kept[1] else free[1],
        free[2] - kept[2] if kept[2] else free[2],
    )


class _Shelves:
    """Things by level, each on one shelf; all is done in the time of one step.

    Attributes:
        workers: of all that stand here; ``free``: of those that have some without a task.
    """

    __slots__ = ("_shelves", "_taken", "free", "workers")

    def __init__(self) -> None:
        self._shelves: list[dict[Any, None]] = [{} for _ in range(_LEVELS)]
        self._taken = 0  # a bit for each shelf that is not empty
        self.free = self.workers = 0

    def __bool__(self) -> bool:
        return self._taken != 0

    def move(self, thing: Manager | _Block, level: int) -> None:
        """Put a thing on another shelf, or, with -1, on none."""
        if level == thing.level:
            return
        if thing.level >= 0:
            shelf = self._shelves[thing.level]
            del shelf[thing]
            if not shelf:
                self._taken &= ~(1 << thing.level)
            self._count(thing, -thing.workers)
        thing.level = level
        if level >= 0:
            self._shelves[level][thing] = None
            self._taken |= 1 << level
            self._count(thing, thing.workers)

    def _count(self, thing: Manager | _Block, workers: int) -> None:
        self.workers += workers
        if thing.level < _FREE_LEVELS:
            self.free += workers

    def upward(self) -> Iterator[Any]:
        """All, lowest shelf first. What changes meanwhile ends it being right."""
        taken = self._taken
        while taken:
            level = (taken & -taken).bit_length() - 1
            yield from self._shelves[level]
            taken &= taken - 1


class _Block:
    """A block, for those who want it filled before another: its managers with room."""

    __slots__ = ("level", "managers", "shelves", "tasks", "workers")

    def __init__(self) -> None:
        self.shelves = _Shelves()
        self.tasks = self.workers = self.managers = 0
        self.level = -1

    @property
    def fullness(self) -> int:
        """Its shelf: the fullest first, but those without a free worker after all others."""
        if not self.shelves:
            return -1
        full = min(_FREE_LEVELS - 1, self.tasks * _FREE_LEVELS // max(1, self.workers))
        return (0 if self.shelves.free else _FREE_LEVELS) + _FREE_LEVELS - 1 - full


@message(eq=True)
class Deal:
    """Tasks for a manager, in the order in which they are to begin."""

    manager: Manager
    tasks: list[Task]


@message(eq=True)
class Ended:
    """A try that ended without a result: how, and why."""

    task: Task
    how: str


@message(eq=True)
class Unfitting:
    """Tasks that no manager there is can ever take; each is said once for each of their tries.

    Attributes:
        tasks: they.
        time: whether for lack of time alone.
        why: a sentence.
    """

    tasks: list[Task]
    time: bool
    why: str


class Matching:
    """See the module.

    Args:
        policy: ``spread`` gives to the manager that has least to do, ``pack`` fills the managers of
            the fullest block first.
        prefetch: tasks ahead of each worker, or ``None`` to learn that from how long they take.
    """

    def __init__(
        self, policy: Literal["spread", "pack"] = "spread", prefetch: int | None = None
    ) -> None:
        self._pack = policy == "pack"
        self._prefetch = prefetch
        self._tasks: dict[int, Task] = {}
        self._managers: dict[str, Manager] = {}
        self._lanes: dict[bytes, Lane] = {}
        self._shapes: dict[str, Shape] = {}
        self._paces: dict[Any, Pace] = {}
        self._heap: list[tuple[int, int, int, Lane]] = []
        self._shelves = _Shelves()
        self._blocks: dict[str, _Block] = {}
        self._block_shelves = _Shelves()
        self._fresh: dict[Manager, None] = {}
        self._stirred = False
        self._unfitting: list[Unfitting] = []
        self._newly_unfit: dict[Lane, list[Task]] = {}
        self._kinds: dict[tuple[int, int, int, int], dict[float, int]] = {}
        self._epoch = self._changes = 0
        self._longest = 0.0
        self._numbers = 0
        self._seq = 0
        self.waiting = 0
        """How many tasks wait."""

    # --------------------------------------------------------------------------------------- looks

    @property
    def managers(self) -> Mapping[str, Manager]:
        """All managers, by name."""
        return self._managers

    @property
    def dealt(self) -> int:
        """How many tasks managers have."""
        return len(self._tasks) - self.waiting

    def task(self, number: int) -> Task | None:
        """The task of this id, if it waits or a manager has it."""
        return self._tasks.get(number)

    # --------------------------------------------------------------------------------------- tasks

    def lane(
        self,
        manner: bytes,
        read: Callable[[bytes], tuple[int, float, tuple[bytes, ...], str, str]],
    ) -> Lane:
        """The lane for tasks of a manner.

        Raises:
            ValueError: what they need cannot be read.
        """
        lane = self._lanes.get(manner)
        if lane is None:
            said = read(manner)
            _, _, digests, app, needs = said
            shape = self._shapes.get(needs)
            if shape is None:
                shape = self._shapes[needs] = Shape(needs)
            key = digests[0] if digests else app
            pace = self._paces.get(key)
            if pace is None:
                pace = self._paces[key] = Pace()
            if len(self._lanes) >= _LANES:
                self._sweep()
            self._numbers += 1
            lane = Lane(self._numbers, said, shape, pace)
            self._lanes[manner] = lane
        return lane

    def _sweep(self) -> None:
        """Forget what no task needs now."""
        self._lanes = {key: one for key, one in self._lanes.items() if one.live or one.dealt}
        lanes = self._lanes.values()
        shapes = {id(lane.shape) for lane in lanes}
        self._shapes = {key: one for key, one in self._shapes.items() if id(one) in shapes}
        if len(self._paces) > _LANES:
            paces = {id(lane.pace) for lane in lanes}
            self._paces = {key: one for key, one in self._paces.items() if id(one) in paces}

    def arrived(
        self, lane: Lane, number: int, attempt: int, row: bytes, frames: Sequence[Any] = ()
    ) -> Task | None:
        """A task came. One that is known, or an older try of it, is ignored.

        Returns:
            The try it supersedes, if a manager has that; it is to be cancelled.
        """
        before = self._tasks.get(number)
        seq = self._seq = self._seq + 1
        superseded = None
        if before is not None:
            if before.attempt >= attempt:
                return None
            superseded = self._supersede(before)
        task = self._tasks[number] = Task(number, attempt, row, frames, lane, seq)
        self.waiting += 1
        lane.tasks.append(task)
        lane.live += 1
        if lane.parked:
            self._newly_unfit.setdefault(lane, []).append(task)
        elif lane.key is None:
            self._queue(lane, seq)
        self._stirred = True
        return superseded

    def _supersede(self, before: Task) -> Task | None:
        manager = before.manager
        if manager is None:
            self._remove(before)
            return None
        before.gone = True
        del self._tasks[before.id]
        del manager.held[before.id]
        manager.ghosts[before.id, before.attempt] = before
        return before

    def _queue(self, lane: Lane, seq: int) -> None:
        lane.key = seq
        heappush(self._heap, (lane.priority, seq, lane.number, lane))

    def _remove(self, task: Task) -> None:
        """Take a task that waits out of its lane."""
        lane = task.lane
        task.gone = True
        task.row, task.frames = b"", ()
        del self._tasks[task.id]
        self.waiting -= 1
        lane.live -= 1
        if not lane.live:
            lane.tasks.clear()
            self._release(lane)

    def cancel(self, ids: Iterable[int]) -> tuple[list[Ended], dict[Manager, list[int]]]:
        """Tasks are not wanted. Those that wait end; for the others it says who is to be told."""
        return self._unwanted(ids, "cancelled")

    def drop(self, ids: Iterable[int]) -> tuple[list[Ended], dict[Manager, list[int]]]:
        """Tasks are not to begin. Those that wait end; for the others it says who is to be told."""
        return self._unwanted(ids, "dropped")

    def _unwanted(
        self, ids: Iterable[int], how: str
    ) -> tuple[list[Ended], dict[Manager, list[int]]]:
        ended: list[Ended] = []
        tell: dict[Manager, list[int]] = {}
        for number in ids:
            task = self._tasks.get(number)
            if task is None:
                continue
            if task.manager is not None:
                tell.setdefault(task.manager, []).append(number)
            else:
                self._remove(task)
                ended.append(Ended(task, how))
        return ended, tell

    # ------------------------------------------------------------------------------------ managers

    def registered(
        self,
        name: str,
        *,
        block: str,
        workers: int,
        cores: float = 0.0,
        memory: int = 0,
        accelerators: float = 0.0,
        ends: float = math.inf,
        now: float = 0.0,
    ) -> Manager:
        """A manager has come."""
        manager = Manager(
            name,
            block=block,
            workers=workers,
            cores=cores,
            memory=memory,
            accelerators=accelerators,
            ends=ends,
        )
        self._managers[name] = manager
        self._longest = max(self._longest, ends - now)
        self._count_kind(manager, 1)
        if self._pack:
            of = self._blocks.get(block)
            if of is None:
                of = self._blocks[block] = _Block()
            self._block_shelves.move(of, -1)
            of.managers += 1
            of.workers += workers
        self._changed(manager)
        # What nobody could take may be what this one can.
        for lane in self._lanes.values():
            if lane.parked:
                lane.parked = False
                self._newly_unfit.pop(lane, None)
                if lane.live:
                    self._requeue(lane)
        return manager

    def _count_kind(self, manager: Manager, by: int) -> None:
        self._epoch += 1
        self._changes += 1
        kind = (manager.workers, manager.cores, manager.memory, manager.accelerators)
        ends = self._kinds.setdefault(kind, {})
        # To the second, so that most managers of one block are one entry.
        until = manager.ends if manager.ends == math.inf else float(math.ceil(manager.ends))
        ends[until] = ends.get(until, 0) + by
        if not ends[until]:
            del ends[until]
            if not ends:
                del self._kinds[kind]

    def drain(self, manager: Manager) -> None:
        """A manager gets no more."""
        if manager.draining:
            return
        manager.draining = True
        self._count_kind(manager, -1)
        if manager.reserved is not None:
            self._release(manager.reserved)
        self._changed(manager)
        self._stirred = True

    def absent(self, manager: Manager, absent: bool) -> None:
        """A manager cannot be reached just now, or can be again. What it has stays with it."""
        manager.absent = absent
        if absent and manager.reserved is not None:
            self._release(manager.reserved)
        self._changed(manager)
        self._stirred = True

    def lost(self, manager: Manager, running: Collection[int]) -> list[Ended]:
        """A manager is gone; what it said last that it ran died with it, the rest is lost."""
        ended = [
            Ended(task, "killed" if task.id in running else "lost")
            for task in manager.held.values()
        ]
        for task in manager.held.values():
            task.gone = True
            task.lane.dealt -= 1
            del self._tasks[task.id]
        for task in manager.ghosts.values():
            task.lane.dealt -= 1
        self.drain(manager)
        if self._pack:
            of = self._blocks[manager.block]
            self._block_shelves.move(of, -1)
            of.managers -= 1
            of.workers -= manager.workers
            of.tasks -= manager.tasks
            if of.managers:
                self._block_shelves.move(of, of.fullness)
            else:
                del self._blocks[manager.block]
        manager.held.clear()
        manager.ghosts.clear()
        self._fresh.pop(manager, None)
        del self._managers[manager.name]
        return ended

    def finished(self, manager: Manager, number: int, attempt: int, seconds: float = -1.0) -> bool:
        """A try ended, as its manager says. After the last of several, call :meth:`changed`.

        Returns:
            Whether that counts: this manager had it, and it is the current one.
        """
        task = self._tasks.get(number)
        if task is None or task.manager is not manager or task.attempt != attempt:
            ghost = manager.ghosts.pop((number, attempt), None)
            if ghost is not None:
                self._unload(manager, ghost)
            return False
        del self._tasks[number]
        del manager.held[number]
        task.gone = True
        self._unload(manager, task)
        if seconds >= 0:
            task.lane.pace.learn(seconds)
        return True

    def returned(self, manager: Manager, number: int, attempt: int) -> bool:
        """A manager gives a task back that has not begun. Returns whether it had it."""
        task = self._tasks.get(number)
        if task is None or task.manager is not manager or task.attempt != attempt:
            return self.finished(manager, number, attempt)
        del manager.held[number]
        self._unload(manager, task)
        task.manager = None
        lane = task.lane
        # Where it was: before all that came later.
        tasks = lane.tasks
        tasks.appendleft(task)
        at = 0
        while at + 1 < len(tasks) and tasks[at + 1].seq < task.seq:
            tasks[at], tasks[at + 1] = tasks[at + 1], tasks[at]
            at += 1
        self.waiting += 1
        lane.live += 1
        if lane.parked:
            self._newly_unfit.setdefault(lane, []).append(task)
        else:
            self._requeue(lane)
        self._stirred = True
        return True

    def _unload(self, manager: Manager, task: Task) -> None:
        lane = task.lane
        lane.dealt -= 1
        manager.load -= task.cost
        if self._pack:
            self._blocks[manager.block].tasks -= 1
        if not lane.shape.plain:
            manager.asked -= task.cost
            self._use(manager, lane.shape, -1)

    @staticmethod
    def _use(manager: Manager, shape: Shape, by: int) -> None:
        cores, memory, accelerators = manager.amounts(shape)
        used = manager.used
        manager.used = (
            used[0] + cores * by,
            used[1] + memory * by,
            used[2] + accelerators * by,
        )

    def changed(self, manager: Manager) -> None:
        """What a manager has to do has changed: tasks have ended."""
        self._changed(manager)

    def _changed(self, manager: Manager) -> None:
        """Put a manager on the shelf it belongs to."""
        self._shelve(manager)
        if manager.level >= 0:
            self._fresh[manager] = None
            self._stirred = True

    def _shelve(self, manager: Manager) -> None:
        if not self._pack:
            self._shelves.move(manager, manager.busy)
            return
        of = self._blocks[manager.block]
        of.shelves.move(manager, manager.busy)
        self._block_shelves.move(of, of.fullness)

    def _with_room(self) -> Iterator[Manager]:
        """Managers that may have room, the one that should get the next task first."""
        if not self._pack:
            return self._shelves.upward()
        return (one for of in self._block_shelves.upward() for one in of.shelves.upward())

    def _any_room(self) -> bool:
        return bool(self._shelves or self._block_shelves)

    # --------------------------------------------------------------------------------------- deals

    def look_again(self) -> None:
        """Time has passed: no manager may live long enough any more for a task that waits."""
        self._stirred = self._stirred or bool(self._heap)

    def deal(self, now: float) -> list[Deal]:
        """What is to be sent to whom, as of now. It is taken to be sent."""
        if not self.waiting:
            # As after each result where tasks come one at a time.
            self._stirred = False
            if self._fresh:
                self._settle(now)
            return []
        out: dict[Manager, list[Task]] = {}
        # What is kept for one and given up in a round may be for another that was asked before.
        for _ in range(_ROUNDS):
            if not self._stirred:
                break
            self._stirred = False
            self._deal_round(now, out)
        return [Deal(manager, tasks) for manager, tasks in out.items()]

    def _deal_round(self, now: float, out: dict[Manager, list[Task]]) -> None:
        aside: list[Lane] = []
        heap = self._heap
        while heap and self._any_room():
            _, key, _, lane = heappop(heap)
            if key != lane.key:
                continue
            lane.key = None
            head = self._head(lane)
            if head is None:
                continue
            if head.seq != key:
                self._queue(lane, head.seq)
                continue
            cost, limit = self._cost(lane), self._limit(lane)
            manager = self._find(lane, cost, limit, now)
            if manager is None:
                if not self._park(lane, now):
                    aside.append(lane)
                    self._reserve(lane, cost, limit, now)
                continue
            self._give(lane, manager, cost, out.setdefault(manager, []))
            if lane.live:
                self._requeue(lane)
        for lane in aside:
            self._requeue(lane)
        self._settle(now)

    @staticmethod
    def _head(lane: Lane) -> Task | None:
        tasks = lane.tasks
        while tasks:
            if not tasks[0].gone:
                return tasks[0]
            tasks.popleft()
        return None

    def _requeue(self, lane: Lane) -> None:
        head = self._head(lane)
        if head is not None and lane.key != head.seq:
            self._queue(lane, head.seq)

    def _cost(self, lane: Lane) -> int:
        """What part of a worker a task takes."""
        if not lane.shape.plain:
            return _UNIT
        if self._prefetch is not None:
            return _UNIT // (1 + min(self._prefetch, MOST))
        seconds = lane.pace.seconds
        if seconds < 0 or seconds > AHEAD:
            return _UNIT
        # Powers of two, so that lanes whose durations differ a little are treated as one.
        ahead = int(min(MOST, AHEAD / max(seconds, 1e-9)))
        return _UNIT >> (ahead.bit_length() - 1)

    def _limit(self, lane: Lane) -> float:
        """The seconds for which a manager must live on."""
        if lane.walltime:
            return lane.walltime
        # What was once done in a block can be done in one again, whatever was learned.
        seconds = lane.pace.seconds
        return seconds if AHEAD < seconds < self._longest else 0.0

    def _find(self, lane: Lane, cost: int, limit: float, now: float) -> Manager | None:
        """The manager for the next task of a lane."""
        shape, by = lane.shape, now + limit
        kept = lane.reserved
        if kept is not None:
            if kept.ends < by:
                self._release(lane)
            elif kept.room(lane, cost):
                return kept
        if not shape.is_full(cost, limit):
            for one in self._with_room():
                if one.ends >= by and one.room(lane, cost):
                    return one
            shape.has_no_room(cost, limit)
            return None
        found = None
        for one in self._fresh:
            if (
                one.ends >= by
                and one.level >= 0
                and (found is None or one.level < found.level)
                and one.room(lane, cost)
            ):
                found = one
        return found

    def _give(self, lane: Lane, manager: Manager, cost: int, to: list[Task]) -> None:
        """Give a manager as much of a lane as it should have now."""
        shape, tasks = lane.shape, lane.tasks
        count = self._share(lane, manager, cost)
        heap, before = self._heap, math.inf
        if heap and heap[0][0] <= lane.priority:
            before = heap[0][1]
        given, held = 0, manager.held
        while tasks and given < count:
            task = tasks[0]
            if task.gone:
                tasks.popleft()
                continue
            if task.seq > before and given:
                break
            tasks.popleft()
            task.manager, task.cost = manager, cost
            held[task.id] = task
            to.append(task)
            given += 1
        lane.live -= given
        lane.dealt += given
        self.waiting -= given
        manager.load += cost * given
        if not shape.plain:
            manager.asked += cost * given
            self._use(manager, shape, given)
        holder = manager.reserved
        if (
            holder is not None
            and holder.shape is shape
            and cost >= min(manager.kept, self._cost(holder))
        ):
            self._release(holder)
        if not lane.live:
            self._release(lane)
        if self._pack:
            self._blocks[manager.block].tasks += given
        self._shelve(manager)

    def _share(self, lane: Lane, manager: Manager, cost: int) -> int:
        """How many it should have now: all there is room for, unless others would go without."""
        room = manager.room(lane, cost)
        if self._pack:
            free = manager.workers - manager.tasks
            return min(room, free) if free > 0 else room
        others = self._shelves.free or self._shelves.workers
        share = max(1, lane.live * manager.workers // max(1, others))
        if not self._shelves.free:
            # All workers are busy, so a few milliseconds of unevenness save many small messages.
            share = max(share, manager.capacity // cost // _PART)
        return min(room, share)

    def _settle(self, now: float) -> None:
        """What got room, and has some left: who was told that there is none may try again."""
        for one in self._fresh:
            if one.level < 0:
                continue
            for shape in self._shapes.values():
                if shape.full:
                    shape.full = {
                        cost: limit
                        for cost, limit in shape.full.items()
                        if one.ends < now + limit or not one.room_beside(None, shape, cost)
                    }
        self._fresh.clear()

    # ------------------------------------------------------------------- what fits later, or never

    def _reserve(self, lane: Lane, cost: int, limit: float, now: float) -> None:
        """Keep a manager for a task that has no room, and never would if small ones came first."""
        shape, changes = lane.shape, self._changes
        if shape.reserving is not None or shape.sought == changes:
            return
        by = now + limit
        found, least = None, math.inf
        for source in (islice(self._with_room(), _LOOKED_AT), self._managers.values()):
            for one in source:
                if (
                    one.reserved is None
                    and not (one.draining or one.absent)
                    and one.ends >= by
                    and one.could(shape)
                    and one.load / one.capacity < least
                ):
                    found, least = one, one.load / one.capacity
            if found is not None:
                break
        if found is None:
            shape.sought = changes
        else:
            shape.reserving, lane.reserved = lane, found
            found.reserved, found.kept = lane, cost

    def _release(self, lane: Lane) -> None:
        """Keep nothing for a lane any more."""
        manager = lane.reserved
        if manager is None:
            return
        lane.reserved = lane.shape.reserving = manager.reserved = None
        manager.kept = 0
        # Now it may be kept for one that found none.
        self._changes += 1
        if not manager.draining:
            self._changed(manager)

    def _park(self, lane: Lane, now: float) -> bool:
        """Put a lane away that no manager can ever serve. Returns whether it was."""
        shape = lane.shape
        until = self._latest(shape)
        if until is None or (lane.walltime == 0 and until > -math.inf):
            return False
        if until - now >= lane.walltime:
            return False
        lane.parked = True
        self._newly_unfit[lane] = [task for task in lane.tasks if not task.gone]
        return True

    def _in_words(self, shape: Shape) -> str:
        """What is asked for, and what the nodes have of it at most."""
        most = [max(kind[at] for kind in self._kinds) for at in (1, 2, 3)] if self._kinds else []
        asked, there = [], []
        for at, (amount, unit, noun) in enumerate(
            (
                (shape.cores, 1000, "cores"),
                (shape.memory, 1, "bytes of memory"),
                (shape.accelerators or None, 1000, "accelerators"),
            )
        ):
            if amount is not None:
                asked.append(f"{_number(amount / unit)} {noun}")
                there.append(f"{_number(most[at] / unit)} {noun}" if most else noun)
        return f"{_listed(asked)}; the most that a node has is {_listed(there)}."

    def _latest(self, shape: Shape) -> float | None:
        """When the last manager ends that could take such a task; ``None`` if there are none."""
        if not self._kinds:
            return None
        if shape.epoch != self._epoch:
            shape.epoch = self._epoch
            shape.until = -math.inf
            for (workers, cores, memory, accelerators), ends in self._kinds.items():
                if shape.plain or (
                    (cores // workers if shape.cores is None else shape.cores) <= cores
                    and (memory // workers if shape.memory is None else shape.memory) <= memory
                    and shape.accelerators <= accelerators
                ):
                    shape.until = max(shape.until, *ends)
        return shape.until

    def unfitting(self) -> list[Unfitting]:
        """What was found since the last time that no manager there is can ever take."""
        if not self._newly_unfit:
            return []
        found, self._newly_unfit = self._newly_unfit, {}
        told = []
        for lane, every in found.items():
            tasks = [task for task in every if not task.gone and task.seq > lane.told]
            if tasks:
                lane.told = max(task.seq for task in tasks)
                until = self._latest(lane.shape)
                time = until is not None and until > -math.inf
                why = (
                    f"{lane.app!r} may take {lane.walltime:g} s, and no manager that could run it "
                    "lives on for as long."
                    if time
                    else f"{lane.app!r} asks for {self._in_words(lane.shape)}"
                )
                told.append(Unfitting(tasks, time, why))
        return told
