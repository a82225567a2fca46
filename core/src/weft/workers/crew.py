"""Keeps the worker processes of one machine: starts, feeds, watches, replaces and ends them.

It has no thread. Its owner has one, with an event loop around a selector, and everything here
happens within the owner's calls; so nothing takes a lock, and no call blocks but :meth:`Crew.end`.

    owner's thread   add, cancel, drop ──▶ Crew ──▶ a socket for each worker ──▶ workers
                     handle, tick      ──▶   │  ◀── sockets, handles of processes, deadlines
                     crew_results … ◀────────┘  in batches, at the end of each tick

    while not crew.closed:
        for key, mask in selector.select(crew.until_next()):
            if isinstance(key.data, Watched):
                crew.handle(key, mask)
        ...                                what else the owner listens to
        crew.tick(time.monotonic())
    crew.end()

Every job that was added ends exactly once: with a result, with an :class:`End`, or by being given
back as not begun, which happens only when the crew drains, closes, or cannot start workers.

Every worker has a socket, a pipe and a place in shared memory of its own; nothing is shared between
workers that one of them could hold and die with. A job is packed when it is dealt, so one that
waits costs nothing but itself. Results are not opened here.

What a worker's death means: the shared memory says which call it was at; that one has ended as
``KILLED``. So has one that it had finished without having said so, for a task may close the way on
which that is said; if there are several, each is dealt again, alone. Those that it had not begun
are dealt again, and nobody hears of it.

Workers may be started as they are wanted: some at once, the others when jobs wait for them, or a
while after the first was ready, so that a crew which goes on to live has them when they are needed
and one that ends soon has not paid for them. None is let go because it has nothing to do.

Workers that do not start are tried three times. Where others had started before, one that begins
to and is killed by somebody else says little about the next: several at a time count once, and it
is tried a dozen times, with pauses, half a minute in all.

What a worker says before it is ready, and the trace of a crash, go to ``worker-<n>.log`` in the
crew's folder, and from there into what is said about its end.
"""

from __future__ import annotations

import contextlib
import enum
import os
import selectors
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from weft.calls.batches import calls_message, opened
from weft.calls.call import Call
from weft.values.message import message
from weft.values.watch import NOTHING, Watch
from weft.workers.dealing import PASSING, REDEALS, Dealer, Desk, Entry
from weft.workers.output import Output
from weft.workers.packing import cpus_of, divided
from weft.workers.process import DEFINED, GREAT, GREAT_ROOM, Birth, Process
from weft.workers.protocol import CALLS, READY, RESULTS, STOP, TOLD, BrokenStream
from weft.workers.telling import opened_told

if TYPE_CHECKING:
    from weft.workers.lines import Row
    from weft.workers.telling import Sample

__all__ = [
    "Affinity",
    "Crew",
    "CrewOwner",
    "CrewSettings",
    "CrewStatus",
    "End",
    "Fate",
    "Job",
    "Ran",
    "Said",
    "Used",
    "Watched",
    "WorkerStatus",
]

_TERM_GRACE = 2.0
_LATE_STARTS = 3
# Where workers did start, and now somebody kills those that begin to.
_KILLED_STARTS = 12
_KILLED_PAUSE = 0.25
_KILLED_LONGEST = 4.0
_FORGET_AFTER = 1000
_SILENCE = 0.5
_LOOK = 0.1
# What a process does not send itself by mistake.
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
_WALLTIME = "Its task took longer than its walltime."

Affinity: TypeAlias = (
    Literal["none", "block", "block-reverse", "alternating"] | tuple[tuple[int, ...], ...]
)
"""How workers are pinned to processors; see :func:`weft.workers.packing.cpus_of`."""


@message
class CrewSettings:
    """How a crew is to be.

    The machine is divided into ``max_workers`` slots, each with an equal share of the cores and the
    memory, and with accelerators of its own. A job whose needs one slot does not meet has several
    for itself, while their workers stand idle. Where workers are pinned to processors or
    accelerators, a worker that was born for all those slots runs it: libraries look for what they
    may use when they are loaded, and never again. That costs the start of a worker, unless the job
    before it wanted the same.

    Attributes:
        folder: where logs of workers are kept; nobody else's.
        max_workers: how many run at once.
        at_first: how many are started before there are jobs; all when left out.
        rest_after: seconds after the first is ready when all that have not been wanted are started.
        prefetch: seconds of work that a worker gets in advance; 0 deals one job at a time.
        clean: whether a worker undoes what a task changed of the process.
        tasks_per_worker: after how many it is replaced, or ``None``.
        environment: variables besides those of this process.
        start_timeout: seconds that a worker may take to start.
        cores: of the machine; ``None`` does not count them, so whatever is asked for is there.
        memory: bytes of the machine; as with ``cores``. What tasks take of it is not watched.
        accelerators: their names, as the variables for them want them; one that occurs twice is
            shared by two workers.
        accelerators_per_worker: how many each worker has, as long as there are any; spread evenly
            when left out.
        accelerator_variables: what names them to libraries; set only if there are any.
        affinity: which processors a worker may run on. Systems without such a thing ignore it.
        cpus: the processors to divide; those that this process may use when left out.
        passing: seconds for which smaller jobs pass a big one that finds no room; then those of
            its priority and of lower ones wait for it.
        output: bytes that are kept of what the workers of a slot print, first and last, in files of
            the folder that ``weft.workers.output`` tells of; ``None`` lets them print where this
            process prints.
        watch: what workers tell of jobs besides their results.
    """

    folder: Path
    max_workers: int = 1
    at_first: int | None = None
    rest_after: float = 1.0
    prefetch: float = 0.05
    clean: bool = True
    tasks_per_worker: int | None = None
    environment: Mapping[str, str] = MappingProxyType({})
    start_timeout: float = 60.0
    cores: float | None = None
    memory: int | None = None
    accelerators: tuple[str, ...] = ()
    accelerators_per_worker: int | None = None
    accelerator_variables: tuple[str, ...] = (
        "CUDA_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "ZE_AFFINITY_MASK",
    )
    affinity: Affinity = "none"
    cpus: tuple[int, ...] | None = None
    passing: float = PASSING
    output: int | None = None
    watch: Watch = NOTHING


class Job(Entry, ABC):
    """What a crew runs: one try of one task. A class of the owner's says how it is packed.

    Args:
        id: whatever the owner knows it by.
        app: by which its duration is learned.
        priority: lower is sooner.
        walltime: seconds that it may run, or ``None``.
        needs: cores, memory and accelerators, or ``None``.
    """

    __slots__ = ()

    @property
    def id(self) -> Any:
        """Whatever the owner knows it by."""
        return self.job

    @property
    def name(self) -> str:
        """What sentences about it call it."""
        return f"{self.app!r} ({self.job})"

    @abstractmethod
    def call(self) -> Call:
        """The packed call; asked for whenever the job is dealt, which may happen more than once.

        Raises:
            SerializationError: it cannot be packed. The job ends as ``UNPACKABLE``.
        """


Ran: TypeAlias = "tuple[Job, int, Any, Any, float, str, float]"
"""A result as it came: the job; ``VALUE`` or ``ERROR`` (of ``weft.calls.running``); head and
buffers, for ``value_of`` or ``error_of``; the seconds it took; where it ran; when it began, in
seconds since the epoch."""


Said: TypeAlias = "tuple[Job, Row]"
"""A line that a job logged or printed; see ``weft.workers.lines``."""

Used: TypeAlias = "tuple[Job, Sample]"
"""What a job used at one moment; see ``weft.workers.telling``."""


class Fate(enum.Enum):
    """How a job ended that has no result."""

    KILLED = "killed"
    """Its worker died while it ran this very job."""
    LOST = "lost"
    """Worker after worker died before it began."""
    TIMED_OUT = "timed out"
    """It took longer than its walltime; its worker was ended for that."""
    CANCELLED = "cancelled"
    """It was dropped, or its worker was ended for it."""
    UNPACKABLE = "unpackable"
    """``Job.call`` raised."""
    IMPOSSIBLE = "impossible"
    """It needs more than all of the machine has."""


class End:
    """The end of a job that has no result.

    Attributes:
        job: which.
        fate: how.
        loss: what happened, as a sentence, for ``KILLED``, ``LOST`` and ``IMPOSSIBLE``.
        words: the last words of the worker, if it had any.
        place: where it ran, if it did.
        error: what ``Job.call`` raised, for ``UNPACKABLE``.
        begun: when it began, in seconds since the epoch; 0 if it did not.
        seconds: for how long it ran; ``None`` if it did not.
    """

    __slots__ = ("begun", "error", "fate", "job", "loss", "place", "seconds", "words")

    def __init__(
        self,
        job: Job,
        fate: Fate,
        loss: str = "",
        *,
        words: str = "",
        place: str = "",
        error: BaseException | None = None,
        begun: float = 0.0,
    ) -> None:
        self.job, self.fate, self.loss, self.words = job, fate, loss, words
        self.place, self.error = place, error
        self.begun = begun
        self.seconds = time.time() - begun if begun else None


class CrewOwner(Protocol):
    """What a crew tells its owner, in the owner's thread, from within ``tick`` and ``end``."""

    def crew_told(self, said: Sequence[Said], used: Sequence[Used]) -> None:
        """These jobs have said or used something. Before their results, or their ends."""
        ...

    def crew_results(self, results: Sequence[Ran]) -> None:
        """These jobs have results."""
        ...

    def crew_ends(self, ends: Sequence[End]) -> None:
        """These jobs ended without a result."""
        ...

    def crew_returns(self, jobs: Sequence[Job]) -> None:
        """These jobs have not begun and never will: the crew drains, closes, or has failed."""
        ...

    def crew_failed(self, reason: str) -> None:
        """Workers cannot be started, several in a row did not; the crew gives back what waits."""
        ...


class Watched(NamedTuple):
    """The ``data`` of a crew's keys in the selector."""

    process: Process
    is_handle: bool
    is_output: bool = False


@message
class WorkerStatus:
    """One worker, as it is now.

    Attributes:
        number: counts the workers of a crew, from 1.
        pid: of its process.
        slot: which part of the machine it has.
        state: ``starting``, ``working``, ``idle`` or ``ending``.
        job: what it is at, or ``None``.
        held: how many jobs it has, with those in advance.
        cpus: the processors that it is pinned to.
        accelerators: those that it may use.
    """

    number: int
    pid: int
    slot: int
    state: str
    job: Job | None
    held: int
    cpus: tuple[int, ...] = ()
    accelerators: tuple[str, ...] = ()


@message
class CrewStatus:
    """A crew, as it is now.

    Attributes:
        workers: how many are ready.
        running: how many of them have something to do.
        waiting: jobs that no worker has.
        each: the workers, in the order of their birth.
    """

    workers: int
    running: int
    waiting: int
    each: tuple[WorkerStatus, ...]


class Crew:
    """Worker processes on this machine, and the jobs they run. See the module for how it is driven.

    Args:
        settings: how it is to be.
        selector: the owner's; the crew adds keys, whose ``data`` are :class:`Watched`.
        owner: whom it tells what becomes of jobs.

    Attributes:
        ready: how many workers are ready, as of the last tick.
        running: how many have something to do, as of the last tick.

    Raises:
        OSError: its folder cannot be used.
    """

    def __init__(
        self, settings: CrewSettings, selector: selectors.BaseSelector, owner: CrewOwner
    ) -> None:
        self._settings, self._selector, self._owner = settings, selector, owner
        slots = divided(
            settings.max_workers,
            settings.cores,
            settings.memory,
            settings.accelerators,
            _cpus(settings),
            accelerators_each=settings.accelerators_per_worker,
        )
        self._dealer = Dealer(
            settings.prefetch,
            settings.tasks_per_worker,
            slots,
            pinned=any(slot.cpus or slot.accelerators for slot in slots),
            passing=settings.passing,
        )
        self._birth = Birth(
            settings.folder,
            settings.environment,
            clean=settings.clean,
            slots=settings.max_workers,
            output=settings.output is not None,
            variables=settings.accelerator_variables if settings.accelerators else (),
            watch=settings.watch,
        )
        self.ready = self.running = 0
        self._processes: list[Process] = []
        self._outputs: dict[int, Output] = {}
        self._free_slots = list(range(settings.max_workers))
        first = settings.max_workers if settings.at_first is None else settings.at_first
        self._wanted = min(first, settings.max_workers)
        self._rest_at: float | None = None
        self._born = 0
        self._bad_starts = 0
        self._killed_starts = 0
        self._judged = 0  # the number of the last worker of which such a kill says nothing new
        self._any_started = False
        self._hire_at: float | None = None
        self._last_trouble = ""
        self._said: list[Said] = []
        self._used: list[Used] = []
        self._results: list[Ran] = []
        self._ends: list[End] = []
        self._returns: list[Job] = []
        self._failure: str | None = None
        self._draining = False  # nothing is dealt and nobody hired any more
        self._closing = False
        self._ended = False
        self._look_at: float | None = None

    # --------------------------------------------------------------------------------------------
    # the owner's loop

    def start(self) -> None:
        """Start the workers that are wanted so far, and do not wait for them."""
        self._hire()

    def handle(self, key: selectors.SelectorKey, mask: int) -> None:
        """Take what happened to one of the crew's keys."""
        process, is_handle, is_output = key.data
        if process not in self._processes:
            return
        if is_output:
            self._take_output(process)
            return
        if is_handle:
            self._bury(process)
            return
        if mask & selectors.EVENT_WRITE:
            process.write()
            self._watch(process)
        if mask & selectors.EVENT_READ:
            self._hear(process)

    def until_next(self) -> float | None:
        """Seconds until a tick is due, though nothing happens; ``None`` if never."""
        if self._results or self._ends or self._returns or self._failure:
            return 0.0
        if self._said or self._used:
            return 0.0
        moments = [p.deadline for p in self._processes if p.deadline is not None]
        if self._look_at is not None:
            moments.append(self._look_at)
        if self._hire_at is not None:
            moments.append(self._hire_at)
        if self._rest_at is not None:
            moments.append(self._rest_at)
        wait = max(0.0, min(moments) - time.monotonic()) if moments else None
        if any(process.handle < 0 for process in self._processes):
            wait = min(wait if wait is not None else _LOOK, _LOOK)
        return wait

    def tick(self, now: float) -> None:
        """Keep deadlines, deal, and tell the owner what has ended. ``now`` is monotonic time."""
        self._keep_deadlines(now)
        if self._hire_at is not None and now >= self._hire_at:
            self._hire_at = None
            self._hire()
        if self._rest_at is not None and now >= self._rest_at:
            self._want(self._settings.max_workers)
        if not self._draining:
            self._deal(now)
            if self._dealer.waiting and self._wanted < self._settings.max_workers:
                self._want_more()
        self._tell()

    # --------------------------------------------------------------------------------------------
    # what it is asked

    def add(self, jobs: Iterable[Job]) -> None:
        """Take jobs; they are dealt in the next tick."""
        dealer = self._dealer
        for job in jobs:
            if self._draining:
                self._give_back(job)
                continue
            if job.needs is not None:
                if not dealer.possible(job.needs):
                    self._refuse(job)
                    continue
                if dealer.any_gives(job.needs):
                    job.needs = None
                else:
                    # Which slots it will have is found among the workers that are there.
                    self._want(self._settings.max_workers)
            dealer.add(job)

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Drop jobs that wait; end the workers of those that run. Those that have ended stay so."""
        for job in jobs:
            if job.over:
                continue
            desk = job.desk
            if desk is None:
                if self._dealer.cancel(job):
                    self._end(job, Fate.CANCELLED)
                continue
            job.cancelled = True
            process: Process = desk.owner
            self._take_back(process)
            # It still has it, so it runs, or has run and not yet said so.
            if job.desk is desk and process.current() == job.number:
                process.kill("Its task was cancelled.")
                self._check(process)

    def drop(self, jobs: Iterable[Job]) -> None:
        """Drop jobs that no worker has; leave the others alone."""
        self.cancel([job for job in jobs if job.desk is None])

    def drain(self) -> None:
        """Finish what workers have, give back what waits, and start nothing new. For good."""
        if self._draining:
            return
        self._draining = True
        self._look_at = self._hire_at = self._rest_at = None
        for entry in self._dealer.clear():
            self._give_back(entry)

    def close(self, timeout: float) -> None:
        """Drain; let go of workers as they finish what they are at; end them after ``timeout``.

        Then :attr:`closed` becomes true; the owner's loop has to run until then. A second call
        with a shorter timeout counts.
        """
        self.drain()
        self._closing = True
        until = time.monotonic() + timeout
        for process in self._processes:
            process.desk.open = False
            self._take_back(process)
            if process.stage == "finishing":
                process.deadline = min(until, process.deadline or until)
            elif process.stage != "leaving":
                process.stage, process.deadline = "finishing", until
                if not process.desk.held:
                    self._dismiss(process)

    def end(self, why: str = "Its executor ended.") -> None:
        """Kill what is left, wait until it is gone, let go of everything. May be called twice.

        Args:
            why: a sentence for the errors of tasks that end by this.
        """
        if self._ended:
            return
        self._ended = True
        self.drain()
        for process in self._processes:
            process.kill(why)
        for process in self._processes:
            if process.output >= 0:
                self._take_output(process)
            self._forget_keys(process)
            place = process.place
            how = process.reap()
            for entry in list(process.desk.held.values()):
                job = _job(entry)
                self._end(job, Fate.LOST, f"{place} {how} with {job.name}. {process.why}")
        self._processes.clear()
        for output in self._outputs.values():
            output.close()
        self._birth.close()
        self._tell()

    def kill_worker(self, number: int, why: str = "It was asked for.") -> bool:
        """End a worker by force. Returns whether there is one of that number."""
        for process in self._processes:
            if process.number == number:
                process.kill(why)
                self._check(process)
                return True
        return False

    def status(self) -> CrewStatus:
        """How it is now."""
        return CrewStatus(
            workers=sum(1 for process in self._processes if process.ready),
            running=sum(1 for process in self._processes if process.desk.held),
            waiting=self._dealer.waiting,
            each=tuple(self._status_of(process) for process in self._processes),
        )

    @property
    def empty(self) -> bool:
        """Whether it has no job."""
        return not self._dealer.waiting and not any(p.desk.held for p in self._processes)

    @property
    def closed(self) -> bool:
        """Whether it was closed, and every worker has ended."""
        return self._closing and not self._processes

    @staticmethod
    def _status_of(process: Process) -> WorkerStatus:
        job = process.desk.held.get(process.current())
        state = "working" if process.desk.held else "idle"
        if not process.ready:
            state = "starting"
        elif process.stage in {"leaving", "silent"}:
            state = "ending"
        return WorkerStatus(
            number=process.number,
            pid=process.pid,
            slot=process.slot.index,
            state=state,
            job=None if job is None else _job(job),
            held=len(process.desk.held),
            cpus=process.slot.cpus,
            accelerators=process.slot.accelerators,
        )

    # --------------------------------------------------------------------------------------------
    # what it tells

    def _tell(self) -> None:
        self.running = sum(1 for p in self._processes if p.desk.held)
        self.ready = sum(1 for p in self._processes if p.ready)
        if self._said or self._used:
            said, self._said = self._said, []
            used, self._used = self._used, []
            self._owner.crew_told(said, used)
        if self._results:
            results, self._results = self._results, []
            self._owner.crew_results(results)
        if self._ends:
            ends, self._ends = self._ends, []
            self._owner.crew_ends(ends)
        if self._returns:
            returns, self._returns = self._returns, []
            self._owner.crew_returns(returns)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._owner.crew_failed(failure)

    def _end(
        self,
        job: Job,
        fate: Fate,
        loss: str = "",
        *,
        words: str = "",
        place: str = "",
        error: BaseException | None = None,
        begun: float = 0.0,
    ) -> None:
        job.over = True
        self._ends.append(End(job, fate, loss, words=words, place=place, error=error, begun=begun))

    def _give_back(self, entry: Entry) -> None:
        entry.over = True
        self._returns.append(_job(entry))

    def _refuse(self, job: Job) -> None:
        needs, slots = job.needs, self._dealer.slots
        assert needs is not None  # that is why it is refused
        asked = ", ".join(
            f"{value:g} {name}"
            for name in ("cores", "memory", "accelerators")
            if (value := getattr(needs, name)) is not None
        )
        there = ", ".join(
            f"{total:g} {name}"
            for name, total in (
                ("cores", sum(slot.cores for slot in slots)),
                ("memory", sum(slot.memory for slot in slots)),
                ("accelerators", len({a for slot in slots for a in slot.accelerators})),
            )
            if getattr(needs, name) is not None
        )
        self._end(job, Fate.IMPOSSIBLE, f"{job.name} needs {asked}; all that there is: {there}.")

    # --------------------------------------------------------------------------------------------
    # workers

    def _want_more(self) -> None:
        """Jobs wait though all that had room were dealt some: a worker for each of them."""
        starting = sum(1 for process in self._processes if process.stage == "starting")
        if self._dealer.waiting > starting:
            self._want(len(self._processes) + self._dealer.waiting - starting)

    def _want(self, workers: int) -> None:
        """So many workers are wanted from now on, if they were not before."""
        most = self._settings.max_workers
        if self._wanted < min(workers, most):
            self._wanted = min(workers, most)
            self._hire()
        if self._wanted == most:
            self._rest_at = None

    def _hire(self) -> None:
        """Start as many workers as are missing."""
        while (
            self._free_slots
            and len(self._processes) < self._wanted
            and not self._draining
            and self._hire_at is None
        ):
            self._born += 1
            index = self._free_slots.pop(0)
            try:
                process = Process(self._birth, self._born, self._dealer.slot(index))
            except OSError as trouble:
                self._free_slots.append(index)
                self._last_trouble = f"A worker could not be started: {trouble}"
                self._bad_starts += 1
                if self._bad_starts >= _LATE_STARTS:
                    self._fail()
                    return
                continue
            process.deadline = time.monotonic() + self._settings.start_timeout
            self._processes.append(process)
            self._selector.register(process, selectors.EVENT_READ, Watched(process, False))
            if process.handle >= 0:
                self._selector.register(
                    process.handle, selectors.EVENT_READ, Watched(process, True)
                )
            if process.output >= 0:
                self._selector.register(
                    process.output, selectors.EVENT_READ, Watched(process, False, True)
                )

    def _watch(self, process: Process) -> None:
        """Listen for room in a worker's socket only while something waits for it."""
        if process.gone:
            return
        if process.blocked is not process.writes:
            process.writes = process.blocked
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if process.writes else 0)
            self._selector.modify(process, events, Watched(process, False))

    def _hear(self, process: Process) -> None:
        """Take what a worker says."""
        now = time.monotonic()
        try:
            for kind, parts in process.read():
                if kind == RESULTS:
                    self._take_results(process, parts, now)
                elif kind == TOLD:
                    self._take_told(process, parts)
                elif kind == READY:
                    self._welcome(process)
        except Exception as trouble:  # noqa: BLE001 - a task can write anything to any descriptor
            kind_of = "" if isinstance(trouble, BrokenStream) else f"{type(trouble).__name__}: "
            process.kill(f"It said something that is no message: {kind_of}{trouble}")
            process.gone = True
        if process.gone:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(process)
            process.desk.open = False
            if (
                process.stage != "leaving"
            ):  # most often it is about to end; how, it says best itself
                process.stage, process.deadline = "silent", now + _SILENCE
            self._check(process)

    def _welcome(self, process: Process) -> None:
        process.ready = True
        self._bad_starts = self._killed_starts = 0
        self._any_started = True
        if self._closing:
            return
        if self._wanted < self._settings.max_workers and self._rest_at is None:
            self._rest_at = time.monotonic() + self._settings.rest_after
        process.stage, process.deadline = "working", None
        if process.slot is not self._dealer.slot(process.slot.index):
            self._dismiss(process)  # what it was born for is no longer wanted
            return
        process.desk.open = True
        self._dealer.desks.append(process.desk)

    def _dismiss(self, process: Process) -> None:
        """Let a worker go that has nothing to do."""
        process.desk.open = False
        if process.stage != "leaving":
            process.stage = "leaving"
            process.deadline = time.monotonic() + _TERM_GRACE
            process.send(STOP, [])
            self._watch(process)

    def _check(self, process: Process) -> None:
        """Where there is no handle to wait for: look whether a worker has ended."""
        if process.handle < 0 and process in self._processes and process.ended():
            self._bury(process)

    def _forget_keys(self, process: Process) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(process)
        for fd in (process.handle, process.output):
            if fd >= 0:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(fd)

    def _take_output(self, process: Process) -> None:
        """Keep what a worker has printed."""
        came, over = process.printed()
        if came:
            slot, most = process.slot.index, self._settings.output
            assert most is not None  # else it is not read
            output = self._outputs.get(slot)
            if output is None:
                output = Output(self._settings.folder / f"slot-{slot}.out", most)
                self._outputs[slot] = output
            for data in came:
                output.write(data)
        if over:
            self._selector.unregister(process.output)
            process.close_output()

    def _bury(self, process: Process) -> None:
        """A worker has ended: see what it was at, and replace it."""
        if not process.gone:  # what it said last still counts
            with contextlib.suppress(BrokenStream, Exception):
                for kind, parts in process.read(most=1_000_000):
                    if kind == RESULTS:
                        self._take_results(process, parts, time.monotonic())
                    elif kind == TOLD:
                        self._take_told(process, parts)
        if process.output >= 0:
            self._take_output(process)
        self._forget_keys(process)
        self._processes.remove(process)
        running, untold = self._blamed(process)
        since = process.since()
        how = process.reap()
        words = process.last_words()
        victim, others = self._dealer.remove(process.desk, running)
        if victim is not None:
            self._end_victim(_job(victim), process, how, words, since)
        for entry in untold:
            entry.alone = True
        self._deal_again(others, process, how)
        self._free_slots.append(process.slot.index)
        if not process.ready and not self._closing:
            self._note_bad_start(process, how, words)
        self._hire()

    def _note_bad_start(self, process: Process, how: str, words: str) -> None:
        """A worker ended before it was ready: see whether to go on."""
        told = [f"The last worker to start {how}.", process.why]
        if words:
            told.append(f"Its last words were:\n{words}")
        self._last_trouble = " ".join(filter(None, told))
        if self._any_started and not process.why and -process.code in _FROM_OUTSIDE:
            if process.number <= self._judged:
                return
            self._judged = self._born
            self._killed_starts += 1
            late = self._killed_starts - _LATE_STARTS
            if late >= 0 and not self._draining:
                pause = min(_KILLED_PAUSE * 2**late, _KILLED_LONGEST)
                self._hire_at = time.monotonic() + pause
        else:
            self._bad_starts += 1
        if self._bad_starts >= _LATE_STARTS or self._killed_starts >= _KILLED_STARTS:
            self._fail()

    @staticmethod
    def _blamed(process: Process) -> tuple[int, list[Entry]]:
        """The number of the call that a worker died of, or 0, and calls of which it may have.

        Who had come to the end of a call and could not tell its result was most likely kept from it
        by that call. If there are several such calls, each is dealt again by itself, so that the
        next time it is plain which it was.
        """
        held = process.desk.held
        running = process.current()
        if running > process.desk.dealt:  # a task wrote there: then it was that of the oldest call
            return next(iter(held), 0), []
        if running:
            return running, []
        begun = process.begun()
        untold = [number for number in held if number <= begun]
        if len(untold) == 1:
            return untold[0], []
        return 0, [held[number] for number in untold]

    def _end_victim(self, job: Job, process: Process, how: str, words: str, since: float) -> None:
        place = process.place
        if job.cancelled:
            self._end(job, Fate.CANCELLED, place=place, begun=since)
        elif process.why == _WALLTIME:
            self._end(job, Fate.TIMED_OUT, place=place, begun=since)
        else:
            loss = f"{place} {how} while it ran {job.name}. {process.why}".rstrip()
            self._end(job, Fate.KILLED, loss, words=words, place=place, begun=since)

    def _deal_again(self, entries: list[Entry], process: Process, how: str) -> None:
        again = []
        for entry in entries:
            entry.redealt += 1
            if not entry.cancelled and entry.redealt > REDEALS:
                job = _job(entry)
                before = f"before it began {job.name}, as {REDEALS} did before it"
                self._end(job, Fate.LOST, f"{process.place} {how} {before}")
            else:
                again.append(entry)
        self._return(again)

    def _fail(self) -> None:
        """Workers do not even start: say so, and give up."""
        if not self._draining:
            row = self._bad_starts + self._killed_starts
            self._failure = f"{row} workers in a row did not start. {self._last_trouble}"
            self.drain()

    def _keep_deadlines(self, now: float) -> None:
        for process in list(self._processes):
            if process.handle < 0:
                self._check(process)
            if process.deadline is None or process.deadline > now:
                continue
            process.deadline = None
            if process.stage == "starting":
                process.kill(f"It did not start within {self._settings.start_timeout:g} s.")
            elif process.stage == "limited":
                process.kill(_WALLTIME)
            elif process.stage == "silent":
                process.kill("It had closed its connection.")
            elif process.stage == "finishing":
                process.stage, process.deadline = "leaving", now + _TERM_GRACE
                process.terminate()
            else:
                process.kill("It did not end when it was asked to.")

    # ----------------------------------------------------------------------------------------------
    # jobs

    def _take_results(self, process: Process, parts: Sequence[Any], now: float) -> None:
        (epoch, dropped), rows = opened(parts)
        desk, ended, results = process.desk, self._dealer.ended, self._results
        place = process.place
        for number, kind, head, buffers, took, begun in rows:
            seconds = took * 1e-6
            job: Any = ended(desk, number, seconds, now)
            if job is not None:
                job.over = True
                results.append((job, kind, head, buffers, seconds, place, begun))
        if dropped and epoch == process.epoch:
            process.kill("Something overwrote the memory that it shares with this process.")
        elif dropped:
            self._return([desk.held[number] for number in dropped if number in desk.held])
        if not desk.held:
            if process.stage == "finishing" or (not desk.open and process.stage == "working"):
                self._dismiss(process)
            elif process.stage == "limited":
                process.stage, process.deadline = "working", None

    def _take_told(self, process: Process, parts: Sequence[Any]) -> None:
        """Keep what jobs have said and used, of those that have not ended yet."""
        held = process.desk.held
        rows, samples = opened_told(parts)
        self._said += [(_job(held[number]), row) for number, row in rows if number in held]
        self._used += [(_job(held[number]), one) for number, one in samples if number in held]

    def _return(self, entries: list[Entry]) -> None:
        """Entries that a worker has not begun, and will not begin, wait again."""
        again = []
        for entry in entries:
            self._dealer.forget(entry)
            if entry.cancelled:
                self._end(_job(entry), Fate.CANCELLED)
            elif self._draining:
                self._give_back(entry)
            else:
                again.append(entry)
        self._dealer.put_back(again)

    def _take_back(self, process: Process) -> None:
        """Let a worker finish what it is at, and take from it what it has not begun."""
        running = process.forbid()
        if running:
            self._return(self._dealer.unstarted(process.desk, running))

    def _deal(self, now: float) -> None:
        while dealt := self._dealer.deal(now):
            for desk, entries in dealt:
                self._send(desk, entries, now)
        for desk in self._dealer.retired():
            process: Process = desk.owner
            if process in self._processes and not desk.held:
                self._dismiss(process)
        stuck, self._look_at = self._dealer.stuck(now)
        for desk in stuck:
            desk.since = now
            self._take_back(desk.owner)
        if stuck:
            self._deal(now)

    def _send(self, desk: Desk, entries: list[Entry], now: float) -> None:
        process: Process = desk.owner
        calls: list[tuple[int, Call]] = []
        for entry in entries:
            job: Any = entry
            try:
                call = job.call()
            except Exception as trouble:  # noqa: BLE001 - the owner's code, about one job
                self._dealer.forget(entry)
                self._end(job, Fate.UNPACKABLE, error=trouble)
                continue
            calls.append((entry.number, call))
            if entry.walltime is not None:
                process.stage, process.deadline = "limited", now + entry.walltime
        if not calls:
            return
        sent = process.sent
        had = len(sent)
        forget = (
            had > _FORGET_AFTER
            or process.room < DEFINED // 2
            or process.great_room < GREAT_ROOM // 2
        ) and _lacks_room(process, calls)
        if forget:
            sent.clear()
            had = 0
        process.send(CALLS, calls_message(calls, sent, (process.epoch, forget)))
        if len(sent) > had:
            process.measure()
        self._watch(process)


def _lacks_room(process: Process, calls: Sequence[tuple[int, Call]]) -> bool:
    """Whether a worker has so many definitions that it cannot take what is new in these calls."""
    sent = process.sent
    new = {
        one.digest: len(one.blob)
        for _, call in calls
        for one in (call.function, *call.needs)
        if one is not None and one.digest not in sent
    }
    great = sum(size for size in new.values() if size >= GREAT)
    return bool(new) and (
        len(sent) + len(new) > _FORGET_AFTER
        or sum(new.values()) - great > process.room
        or great > process.great_room
    )


def _job(entry: Entry) -> Job:
    assert isinstance(entry, Job)  # nothing else is ever added
    return entry


def _cpus(settings: CrewSettings) -> list[tuple[int, ...]]:
    if not hasattr(os, "sched_getaffinity"):
        return []
    cpus = settings.cpus
    if cpus is None:
        cpus = tuple(sorted(os.sched_getaffinity(0)))
    return cpus_of(settings.affinity, settings.max_workers, cpus)
