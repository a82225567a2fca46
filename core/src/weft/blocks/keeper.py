"""Keeps the right number of blocks: takes note of what happens, and has calls made because of it.

It belongs to one thread and knows no other; time and calls are handed to it, so that tests turn it
by hand. One call to the provider is under way at a time, each with an end.

    load, registered, left, drained ─┐                      ┌─▶ owner      changed, drain, failed
    answers of the provider ─────────┼─▶ lifecycle.advance ─┼─▶ calls      submit, status, cancel
    time ────────────────────────────┘   scaling.decide     └─▶ context    events, notices
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from weft.blocks import diagnosis, lifecycle
from weft.blocks.calls import Answer, Call, Calls
from weft.blocks.leases import TOUCH, Lease, Reclaimed, reclaim
from weft.blocks.lifecycle import BlockRecord, How, Patience
from weft.blocks.scaling import STRATEGIES, BlockLimits, BlockUse, Decision, Load, Strategy, within
from weft.errors import SubmitLater, WeftError
from weft.interfaces.context import Context
from weft.interfaces.launcher import Launcher
from weft.interfaces.provider import Lasting, Paced, Provider, Several, Telling
from weft.values.blocks import Block, BlockId, BlockState
from weft.values.events import BlockChanged
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus

__all__ = ["BlockCommand", "BlockOwner", "Keeper"]

SOONEST: Final = 0.25
"""Seconds after which a job that has just changed is asked about."""
INTERVAL: Final = 10.0
"""Seconds between two questions about jobs, for a provider that does not say."""
WORKING: Final = 30.0
"""Least seconds between two questions about blocks that work, to a provider that is ``Lasting``.
Managers tell of what goes wrong; but not that their scheduler has given up a node on which all is
well, and may give it to others."""
CALL_TIMEOUT: Final = 40.0
"""Seconds after which a call to a provider is given up, for a provider that does not say."""

# What is followed by news of the job, even where it does not move the block.
_SOON: Final = (lifecycle.Left, lifecycle.Drained, lifecycle.StopAsked)
_REMARK_CALL: Final = 10.0
_STUCK: Final = 3
# Jobs that are handed over in one call at most, where a provider takes several.
_TOGETHER: Final = 200
_LONGEST_WAIT: Final = 300.0
# Blocks that worked and vanished young are replaced at once, so many in so many seconds; then one
# by one, with pauses. Each costs a job, and the scheduler is not to be flooded with them.
_SHORT_LIFE: Final = 60.0
_SHORT_LIVES: Final = 5
_SHORT_LIFE_PAUSE: Final = 10.0
_AGAIN: Final = 600.0
_CANCELS: Final = 3
_PAST: Final = 50


@attrs.frozen(kw_only=True)
class BlockCommand:
    """What a block is to run on each of its machines.

    Attributes:
        text: shell text; the launcher makes it start on all machines.
        environment: variables for it; never shown.
        files: those of the variables that name files which the command reads.
        addresses: where its managers connect to, for people.
        log: where its managers write what they do, for people.
        shown: what may be shown of ``text``; all of it but what looks like a secret, when left out.
    """

    text: str
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    files: Sequence[str] = ()
    addresses: Sequence[str] = ()
    log: Path | None = None
    shown: str = ""


class BlockOwner(Protocol):
    """What a pool tells the executor that owns it; from the thread of the pool. Must not block."""

    def blocks_changed(self, blocks: Sequence[Block]) -> None:
        """These blocks came into another state, or their reason or managers changed."""
        ...

    def drain(self, block_id: BlockId) -> None:
        """Give this block no more tasks, and call ``drained`` of the pool once it has none."""
        ...

    def failed(self, error: WeftError) -> None:
        """Blocks do not come up, and no more are asked for."""
        ...


@attrs.define(eq=False)
class _Flight:
    """The call that is under way."""

    call: Call
    began: float
    until: float
    answered: Callable[[Any, BaseException | None], None]
    subject: str = ""
    remarked: bool = False


@attrs.define(eq=False)
class _Put:
    """A job that the provider could not take yet."""

    tries: int
    at: float
    told: float


class Keeper:
    """The blocks of one executor. All of it belongs to one thread.

    Attributes:
        view: the blocks as they are, and the last ones that ended; never changed, but replaced.
        closed: whether all is over.
    """

    def __init__(
        self,
        label: str,
        *,
        provider: Provider,
        launcher: Launcher,
        limits: BlockLimits,
        command: Callable[[BlockId], BlockCommand],
        owner: BlockOwner,
        context: Context,
        calls: Calls,
        strategy: Strategy,
        patience: Patience,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._label, self._provider, self._launcher = label, provider, launcher
        self._limits, self._command, self._owner = limits, command, owner
        self._context, self._calls, self._strategy = context, calls, strategy
        self._clock, self._wall, self._wake = clock, wall, wake
        self.interval, self.timeout = paces(provider)
        if isinstance(provider, Telling):
            # Seldom, in case it forgets to tell.
            self.interval = max(self.interval, patience.unheard / 3)
        self._patience = attrs.evolve(
            patience,
            unheard=max(patience.unheard, 3 * self.interval),
            silence=max(patience.silence, 6 * self.interval),
        )
        self._folder = context.folder / "blocks"
        self._count = 0
        self._records: dict[BlockId, BlockRecord] = {}
        self._commands: dict[BlockId, BlockCommand] = {}
        self._past: deque[Block] = deque(maxlen=_PAST)
        self.view: tuple[Block, ...] = ()
        # What is to be said once the event at hand has been taken note of.
        self._changed: dict[BlockId, BlockRecord] = {}
        self._drains: list[BlockId] = []
        # What is to be asked of the provider.
        self._flight: _Flight | None = None
        self._submits: deque[BlockId] = deque()
        self._put: dict[BlockId, _Put] = {}
        self._cancels: dict[JobId, int] = {}
        self._cancel_at = 0.0
        self._reads: deque[tuple[BlockRecord, BlockCommand | None, How]] = deque()
        # Jobs of submissions that had been given up; put here by the threads left with those.
        self._found: deque[tuple[BlockRecord, JobId]] = deque()
        self._look_at: float | None = None
        # When those that work are asked about as well.
        self._look_at_all = clock() if isinstance(provider, Lasting) else float("inf")
        self._deaf = 0
        self._submitted_last = False
        # What is on record, for those who come after a client that was killed.
        self._lease: Lease | None = None
        self._reclaim = False
        self._touch_at: float | None = None
        self._unrecorded: deque[OSError] = deque()
        # How it goes.
        self._load = Load()
        self._idle: dict[BlockId, float] = {}
        self._quiet: float | None = None
        self._opened = False
        self._failures = 0
        self._causes: dict[BlockId, BaseException] = {}
        self._hung = False
        self._short_lives: deque[float] = deque(maxlen=_SHORT_LIVES)
        self._not_before = 0.0
        self._decided = 0.0
        self._stale = True
        self._broken = False
        self._said: set[str] = set()
        self._winding_down = False
        self._closing: float | None = None
        self._released = False
        self.closed = False

    # ------------------------------------------------------------------------------ what can happen

    def hold(self, lease: Lease) -> None:
        """Keep jobs on record, and first have ended what clients that are gone left behind."""
        self._lease, self._reclaim = lease, True
        self._touch_at = self._clock() + TOUCH

    def open(self) -> None:
        """Ask for the first blocks."""
        self._quiet = self._clock()
        self._settle()

    def load(self, load: Load) -> None:
        """The load has changed."""
        now = self._clock()
        self._load = load
        if load.waiting:
            self._quiet = None
        elif self._quiet is None:
            self._quiet = now
        for record in self._records.values():
            if record.state is BlockState.READY:
                self._note_idle(record.id, now)
        self._stale = True
        self._settle()

    def registered(self, block_id: BlockId, manager: str) -> None:
        """A manager of a block has registered."""
        record = self._records.get(block_id)
        if record is not None:
            self._opened, self._failures, self._hung = True, 0, False
            self._note_idle(block_id, self._clock())
            self._apply(record, lifecycle.Joined(manager))
        self._settle()

    def _note_idle(self, block_id: BlockId, now: float) -> None:
        load = self._load
        unknown = load.running > 0 and not load.busy
        idle = load.idle.get(block_id)
        if unknown or load.busy.get(block_id, 0) or idle == 0:
            self._idle.pop(block_id, None)
        elif idle is not None:
            self._idle[block_id] = now - idle
        else:
            self._idle.setdefault(block_id, now)

    def left(self, block_id: BlockId, manager: str) -> None:
        """A manager of a block is gone."""
        self._tell(block_id, lifecycle.Left(manager))

    def drained(self, block_id: BlockId) -> None:
        """A block that was to drain has no task left."""
        self._tell(block_id, lifecycle.Drained())

    def doubted(self, block_id: BlockId, doubted: bool) -> None:
        """A manager of a block cannot be reached, or all can be again."""
        if doubted and block_id in self._records:
            self._look_at = self._clock()
        self._tell(block_id, lifecycle.Doubted(doubted))

    def look(self) -> None:
        """Ask the provider now how its jobs are."""
        self._look_at = self._clock()
        self._settle()

    def answered(self, answer: Answer) -> None:
        """The provider has answered."""
        flight = self._flight
        if flight is not None and flight.call is answer.call:
            self._flight = None
            flight.answered(answer.value, answer.error)
        self._settle()

    def tick(self) -> None:
        """Time has passed."""
        now = self._clock()
        self._watch_flight(now)
        for record in list(self._records.values()):
            due = lifecycle.due(record, self._patience)
            if due is not None and due <= now:
                self._apply(record, lifecycle.TimePassed())
        self._settle()

    def wind_down(self) -> None:
        """Ask for no more blocks, and hand over none. Those that are there go on."""
        if not self._winding_down:
            self._winding_down = True
            for record in list(self._records.values()):
                self._apply(record, lifecycle.Superfluous("its executor closes"))
            # Why those before them failed matters to nobody any more.
            self._reads.clear()
        self._settle()

    def close(self, until: float) -> None:
        """End all blocks, and be done by then whatever happens."""
        now = self._clock()
        self._winding_down = True
        if self._closing is None:
            for record in list(self._records.values()):
                self._apply(record, lifecycle.StopAsked("its executor closes"))
            self._reads.clear()
        self._closing = until if self._closing is None else min(until, self._closing)
        if self._flight is not None:
            # What hangs now must leave time for the provider to end its jobs.
            share = self._closing - now if self._released else (self._closing - now) / 3
            self._flight.until = min(self._flight.until, now + share)
            self._watch_flight(now)
        self._settle()

    def due(self) -> float | None:
        """When ``tick`` is to be called, if nothing else happens."""
        times = [lifecycle.due(record, self._patience) for record in self._records.values()]
        if self._flight is not None:
            flight = self._flight
            times.append(flight.until)
            if not flight.remarked:
                times.append(flight.began + _REMARK_CALL)
        else:
            times.append(self._look_at)
            times += [put.at for put in self._put.values()]
            times.append(self._cancel_at if self._cancels else None)
            times.append(self._touch_at)
        if not self._winding_down and not self._broken:
            times += [time for time in self._scale_times() if time > self._decided]
        return min((time for time in times if time is not None), default=None)

    # --------------------------------------------------------------------------- what becomes of it

    def _tell(self, block_id: BlockId, event: lifecycle.Event) -> None:
        record = self._records.get(block_id)
        if record is not None:
            self._apply(record, event)
        self._settle()

    def _apply(self, record: BlockRecord, event: lifecycle.Event) -> None:
        before = record.state
        for effect in lifecycle.advance(record, event, self._clock(), self._patience):
            match effect:
                case lifecycle.Changed():
                    self._changed[record.id] = record
                case lifecycle.Drain():
                    self._drains.append(record.id)
                case lifecycle.Cancel(job):
                    self._cancels.setdefault(job, 0)
                    self._cancel_at = min(self._cancel_at, self._clock())
                case lifecycle.Remark(silent):
                    self._remark(record, silent=silent)
                case lifecycle.Over(how):
                    self._over(record, before, how)
        moved = record.state is not before
        self._stale = self._stale or moved
        if record.unsettled and (moved or isinstance(event, _SOON)):
            soon = self._clock() + min(SOONEST, self.interval)
            self._look_at = soon if self._look_at is None else min(self._look_at, soon)
        if record.state is BlockState.DRAINING and record.job is None:
            self._withdraw(record)

    def _withdraw(self, record: BlockRecord) -> None:
        """End a block whose job was not handed over; an answer will end one that is being so."""
        if record.id in self._submits or record.id in self._put:
            with contextlib.suppress(ValueError):
                self._submits.remove(record.id)
            self._put.pop(record.id, None)
            self._apply(record, lifecycle.Refused("it was not needed any more"))

    def _over(self, record: BlockRecord, before: BlockState, how: How) -> None:
        now = self._clock()
        del self._records[record.id]
        self._idle.pop(record.id, None)
        self._put.pop(record.id, None)
        command = self._commands.pop(record.id, None)
        if self._winding_down:
            return  # none is to come in its place, and that it ends is no news
        if how is How.NEVER_REGISTERED:
            self._failures += 1
            self._wait(0.5 * 2 ** min(self._failures - 1, 20))
            self._reads.append((record, command, how))
        elif how is How.VANISHED:
            began = now if record.began is None else record.began
            if before is not BlockState.DRAINING and now - began < _SHORT_LIFE:
                many = len(self._short_lives) == _SHORT_LIVES
                if many and now - self._short_lives[0] < _SHORT_LIFE:
                    self._wait(_SHORT_LIFE_PAUSE)
                self._short_lives.append(now)
            self._reads.append((record, command, how))
        enough = self._failures >= self._limits.block_failures
        if how is not How.NEVER_REGISTERED and enough and not self._up():
            self._not_before = now  # the last one that worked is gone: try once more

    def _wait(self, seconds: float) -> None:
        self._not_before = self._clock() + min(seconds, _LONGEST_WAIT)

    def _up(self) -> bool:
        """Whether any block works."""
        return any(record.managers for record in self._records.values())

    def _concluded(
        self, record: BlockRecord, command: BlockCommand | None, how: How
    ) -> Callable[[Any, BaseException | None], None]:
        def answered(value: Any, _: BaseException | None) -> None:
            evidence = value if isinstance(value, diagnosis.Evidence) else diagnosis.Evidence()
            cause = self._causes.pop(record.id, None)
            if self._winding_down or self._broken:
                return
            told = diagnosis.failure(
                self._label,
                max(1, self._failures),
                record,
                command=self._shown(command),
                evidence=evidence,
                cause=cause,
            )
            enough = self._failures >= self._limits.block_failures or self._hung
            if how is How.NEVER_REGISTERED and enough and not self._up():
                self._break(told)
            else:
                self._notice("warning", _told(record, how, told))

        return answered

    def _break(self, error: WeftError) -> None:
        self._broken = True
        for record in list(self._records.values()):
            self._apply(record, lifecycle.StopAsked("the blocks of its executor do not come up"))
        self._flush()
        with self._guarded("failed"):
            self._owner.failed(error)

    # ----------------------------------------------------------------------------- after each event

    def _settle(self) -> None:
        """Say what is to be said, and do what is to be done now."""
        if self.closed:
            return
        now = self._clock()
        while self._unrecorded:
            self._tell_unrecorded(self._unrecorded.popleft())
        while self._found:
            found, job = self._found.popleft()
            self._apply(found, lifecycle.Submitted(job))
        while True:
            if self._stale or any(self._decided < at <= now for at in self._scale_times()):
                self._scale(now)
            self._flush()
            # Some calls have their answer at once, and that may change how many blocks are wanted.
            if self._flight is not None or not self._call(now):
                break
        self._flush()

    def _flush(self) -> None:
        while self._changed or self._drains:
            changed, drains = list(self._changed.values()), self._drains
            self._changed, self._drains = {}, []
            blocks = [self._shown_block(record) for record in changed]
            self._past += [block for block in blocks if block.ended]
            there = [self._shown_block(record) for record in self._records.values()]
            self.view = (*self._past, *there)
            for block in blocks:
                self._context.tell(
                    BlockChanged(
                        self._wall(),
                        self._label,
                        block.id,
                        block.job or "",
                        block.state,
                        block.reason,
                        block.managers,
                        block.exit_code,
                    )
                )
            if blocks:
                with self._guarded("blocks_changed"):
                    self._owner.blocks_changed(blocks)
            for block_id in drains:
                with self._guarded("drain"):
                    self._owner.drain(block_id)

    def _shown_block(self, record: BlockRecord) -> Block:
        shift = self._wall() - self._clock()
        ends = None
        if self._limits.walltime is not None and record.began is not None:
            ends = record.began + self._limits.walltime + shift
        return Block(
            id=record.id,
            job=record.job,
            state=record.state,
            reason=diagnosis.hidden(record.reason),
            since=record.since + shift,
            managers=len(record.managers),
            exit_code=record.exit_code,
            stdout=record.stdout,
            stderr=record.stderr,
            ends=ends,
        )

    # --------------------------------------------------------------------------- how many there are

    def _scale(self, now: float) -> None:
        self._stale, self._decided = False, now
        if self._winding_down or self._broken:
            return
        limits = self._limits
        uses = [
            self._use(record, now)
            for record in self._records.values()
            if record.state is not BlockState.DRAINING
        ]
        ending = self._records.keys() - {one.id for one in uses}
        floor = limits.min if self._opened else max(limits.min, limits.init)
        ask, drain = within(
            self._decision(self._load.without(ending), uses),
            uses,
            limits,
            floor=floor,
            ending=len(ending),
        )
        # While it is being found out why the last ones failed, it is not known whether to go on.
        doubtful = self._failures >= self._limits.block_failures and bool(self._reads)
        if now >= self._not_before and not doubtful:
            for _ in range(ask):
                self._request(now)
        elif ask:
            self._stale = doubtful
        for block_id in drain:
            why = f"it was idle for {limits.max_idle:g} s, and fewer blocks are needed"
            self._apply(self._records[block_id], lifecycle.DrainAsked(why))

    def _decision(self, load: Load, uses: Sequence[BlockUse]) -> Decision:
        trouble = ""
        try:
            decision: Any = self._strategy.decide(load, uses, self._limits)
        except Exception as error:  # noqa: BLE001 - a strategy may come from a plugin
            trouble = _brief(error)
        else:
            if isinstance(decision, Decision):
                return decision
            trouble = f"it gave {decision!r}, which is no Decision"
        self._once(
            "error",
            f"The strategy {type(self._strategy).__name__} of {self._label} is not followed: "
            f"{trouble}. The strategy 'simple' is used instead.",
        )
        return STRATEGIES["simple"].decide(load, uses, self._limits)

    def _use(self, record: BlockRecord, now: float) -> BlockUse:
        ready = record.state is BlockState.READY
        idle = self._idle_since(record)
        left = None
        if self._limits.walltime is not None and record.began is not None:
            left = record.began + self._limits.walltime - now
        return BlockUse(
            id=record.id,
            state=record.state,
            tasks=self._load.busy.get(record.id, 0) if ready else 0,
            idle=0.0 if idle is None else now - idle,
            age=now - record.asked,
            left=left,
        )

    def _idle_since(self, record: BlockRecord) -> float | None:
        if record.state is BlockState.READY:
            return self._idle.get(record.id)
        return None if self._quiet is None else max(self._quiet, record.asked)

    def _scale_times(self) -> list[float]:
        """When the passing of time alone may change how many blocks there should be."""
        times = [self._not_before]
        limits = self._limits
        # A little later than due, so that a sum that was rounded down is not missed.
        for record in self._records.values():
            if record.state is BlockState.DRAINING:
                continue
            idle = self._idle_since(record)
            if idle is not None:
                times.append(idle + limits.max_idle + 0.001)
            if limits.walltime is not None and record.began is not None:
                end = record.began + limits.walltime
                times.append(end - limits.lead + 0.001)
                if self._load.beyond:
                    times.append(end - self._load.beyond_left + 0.001)
        return times

    def _request(self, now: float) -> None:
        self._count += 1
        block_id = f"{self._label}-{self._count}"
        record = BlockRecord(id=block_id, asked=now, since=now, heard=now)
        self._records[block_id] = self._changed[block_id] = record
        self._submits.append(block_id)

    # ------------------------------------------------------------------------ calls to the provider

    def _call(self, now: float) -> bool:
        """Have the next call made, if there is one to be made now."""
        if self._cancels and now >= self._cancel_at:
            return self._cancel(now)
        if self._closing is not None:
            return self._release(now)
        if self._reclaim:
            return self._start_reclaim(now)
        if self._reads:
            return self._read(now)
        if self._touch_at is not None and now >= self._touch_at:
            return self._touch(now)
        for block_id, put in list(self._put.items()):
            if put.at <= now and block_id not in self._submits:
                self._submits.append(block_id)
        looking = self._look_at is not None and now >= self._look_at
        if looking and (self._submitted_last or not self._submits) and self._look(now):
            self._submitted_last = False
            return True
        if self._submits:
            self._submitted_last = True
            many = _TOGETHER if isinstance(self._provider, Several) else 1
            some = [self._submits.popleft() for _ in range(min(many, len(self._submits)))]
            return self._submit(some, now)
        return False

    def _start(
        self,
        what: str,
        run: Callable[[], Any],
        answered: Callable[[Any, BaseException | None], None],
        now: float,
        *,
        late: Callable[[Any], object] | None = None,
        subject: str = "",
        until: float | None = None,
    ) -> bool:
        call = Call(what, run, late)
        self._flight = _Flight(
            call, now, now + self.timeout if until is None else until, answered, subject
        )
        self._calls.post(call)
        return True

    def _watch_flight(self, now: float) -> None:
        flight = self._flight
        if flight is None:
            return
        if not flight.remarked and now >= flight.began + _REMARK_CALL and now < flight.until:
            flight.remarked = True
            self._notice(
                "warning",
                f"{self._provider_name}.{flight.call.what}{flight.subject} has not answered for "
                f"{now - flight.began:.0f} s; it is given up after "
                f"{flight.until - flight.began:.0f} s.",
            )
        if now >= flight.until and self._calls.give_up(flight.call):
            self._flight = None
            waited = now - flight.began
            error = TimeoutError(
                f"{self._provider_name}.{flight.call.what}{flight.subject} has not answered for "
                f"{waited:.0f} s and was given up"
            )
            flight.answered(None, error)

    @property
    def _provider_name(self) -> str:
        return type(self._provider).__name__

    def _submit(self, block_ids: Sequence[BlockId], now: float) -> bool:
        records, jobs = [], []
        for block_id in block_ids:
            record = self._records[block_id]
            try:
                if self._calls.stuck() >= _STUCK:
                    raise TimeoutError(
                        f"{_STUCK} calls to {self._provider_name} have not come back"
                    )
                command = self._commands.get(block_id) or self._command(block_id)
            except Exception as error:  # noqa: BLE001 - the command is made by the owner
                self._refused(record, error)
                continue
            self._commands[block_id] = command
            records.append(record)
            jobs.append(partial(self._job, block_id, command))
        if not records:
            return True
        first, last = records[0].id, records[-1].id
        return self._start(
            "submit",
            lambda: self._handed_over([job() for job in jobs]),
            partial(self._submit_answered, records),
            now,
            late=partial(self._submitted_late, records),
            subject=f" of block {first}" if first == last else f" of blocks {first} to {last}",
        )

    def _job(self, block_id: BlockId, command: BlockCommand) -> Job:
        folder = self._folder / block_id
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:  # what an earlier try left, which was put off
            import shutil  # seldom needed, and brings what unpacks archives

            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        return Job(
            name=f"weft-{block_id}",
            command=self._launcher.compose(command.text, nodes=self._limits.nodes),
            nodes=self._limits.nodes,
            folder=folder,
            environment=command.environment,
            files=command.files,
        )

    def _handed_over(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """Submit, and put on record what was submitted. In the thread of the calls."""
        given: list[Any]
        if isinstance(self._provider, Several) and len(jobs) > 1:
            given = list(self._provider.submit_all(jobs))
            if len(given) != len(jobs):
                name = self._provider_name
                raise TypeError(f"{name}.submit_all gave {given!r} for {len(jobs)} jobs")
        else:
            given = [self._provider.submit(job) for job in jobs]
        for job, job_id in zip(jobs, given, strict=True):
            if isinstance(job_id, str) and job_id:
                with self._recording() as lease:
                    if lease is not None:
                        lease.note(job_id, job.name)
        return given

    def _asked(self, jobs: Sequence[JobId]) -> Any:
        """Ask how jobs are, and strike off those that are over. In the thread of the calls."""
        given: Any = self._provider.status(jobs)
        if self._lease is not None and isinstance(given, Mapping):
            ended = [
                job
                for job in jobs
                if isinstance(one := given.get(job), JobStatus) and one.state in JOB_ENDED
            ]
            with self._recording() as lease:
                if lease is not None:
                    lease.over(ended)
        return given

    @contextlib.contextmanager
    def _recording(self) -> Iterator[Lease | None]:
        try:
            yield self._lease
        except OSError as trouble:
            # Whether there is a record decides nothing for those that are here.
            self._unrecorded.append(trouble)

    def _start_reclaim(self, now: float) -> bool:
        self._reclaim = False
        lease = self._lease
        assert lease is not None  # it was given with the wish
        return self._start(
            "listed", lambda: reclaim(lease.folder, self._provider), self._reclaimed, now
        )

    def _reclaimed(self, value: Any, error: BaseException | None) -> None:
        if error is not None:
            self._notice(
                "warning",
                f"It could not be looked for jobs of {self._provider_name} that earlier runs have "
                f"left behind: {_brief(error)}",
            )
            return
        for one in value:
            assert isinstance(one, Reclaimed)
            if one.trouble:
                self._notice(
                    "warning",
                    f"A run that was killed may have left jobs behind: {one.lease}. They could not "
                    f"be cancelled: {one.trouble}. The next run tries again.",
                )
            elif one.cancelled:
                jobs = ", ".join(one.cancelled)
                lease = one.lease
                self._notice(
                    "warning",
                    f"A run that was killed had left jobs behind, which were cancelled now: {jobs} "
                    f"of {lease.site}, asked for by {lease.program} (process {lease.client.pid} "
                    f"on {lease.client.host}, run folder {lease.run_folder}).",
                )

    def _touch(self, now: float) -> bool:
        lease = self._lease
        assert lease is not None  # its time was set with it
        self._touch_at = now + TOUCH

        def touch() -> None:
            with self._recording():
                lease.touch()

        return self._start("touch", touch, lambda _value, _error: None, now)

    def _submitted_late(self, records: Sequence[BlockRecord], given: Sequence[Any]) -> None:
        late = [(one, job) for one, job in zip(records, given, strict=True) if _is_id(job)]
        if not late:
            return
        self._found += late
        self._wake()
        if self.closed:
            self._provider.cancel([job for _, job in late])

    def _submit_answered(
        self, records: Sequence[BlockRecord], value: Any, error: BaseException | None
    ) -> None:
        given = value if error is None else [error] * len(records)
        for record, one in zip(records, given, strict=True):
            if _is_id(one):
                self._put.pop(record.id, None)
                self._apply(record, lifecycle.Submitted(one))
                continue
            trouble = one
            if not isinstance(trouble, BaseException):
                name = self._provider_name
                trouble = TypeError(f"{name}.submit gave {one!r}, which is no job id")
            wanted = not self._winding_down and record.stopped is None
            if isinstance(trouble, SubmitLater) and wanted:
                self._later(record, trouble)
            else:
                self._refused(record, trouble)

    def _refused(self, record: BlockRecord, error: BaseException) -> None:
        self._causes[record.id] = error
        # Each further try of a call that hangs would take all its time again.
        hung = isinstance(error, TimeoutError) and not record.registered
        self._hung = self._hung or (hung and not self._other(record))
        self._apply(record, lifecycle.Refused(_brief(error)))

    def _other(self, record: BlockRecord) -> bool:
        return any(one.job is not None for one in self._records.values() if one is not record)

    def _later(self, record: BlockRecord, error: SubmitLater) -> None:
        now = self._clock()
        put = self._put.setdefault(record.id, _Put(0, now, float("-inf")))
        wait = min(2.0**put.tries, 60.0)
        put.tries, put.at = min(put.tries + 1, 20), now + max(wait, error.after or 0.0)
        record.reason = _brief(error)
        self._changed[record.id] = record
        if now >= put.told + _AGAIN:
            # Of many that were put off at once, one is told.
            told = any(other.told > now - 1.0 for other in self._put.values())
            put.told = now
            if told:
                return
            self._notice(
                "warning",
                f"Block {record.id} could not be handed over to {self._provider_name} yet: "
                f"{record.reason} It is tried again in {put.at - now:g} s, and again after that.",
            )

    def _look(self, now: float) -> bool:
        every = now >= self._look_at_all
        ids = [one.job for one in self._records.values() if one.unsettled or (every and one.job)]
        if not ids:
            self._look_again(now)
            return False
        self._look_at = None
        if self._calls.stuck() >= _STUCK:
            self._look_again(now)
            return False
        if every:
            self._look_at_all = now + max(WORKING, self.interval)
        asked = [job for job in ids if job is not None]
        return self._start(
            "status",
            lambda: self._asked(asked),
            partial(self._look_answered, asked),
            now,
        )

    def _look_answered(
        self, asked: Sequence[JobId], value: Any, error: BaseException | None
    ) -> None:
        if error is None and not isinstance(value, Mapping):
            error = TypeError(f"it gave {type(value).__name__}, which is no mapping")
        self._deaf = 0 if error is None else self._deaf + 1
        if error is not None:
            if self._deaf == 1:
                self._notice(
                    "warning",
                    f"{self._provider_name} does not say how the blocks of {self._label} are: "
                    f"{_brief(error)} It is asked again.",
                )
            value = {}
        by_job = {record.job: record for record in self._records.values()}
        for job in asked:
            status = value.get(job)
            if status is not None and not isinstance(status, JobStatus):
                self._once(
                    "warning",
                    f"{self._provider_name}.status gave {status!r} for job {job}, which is no "
                    "JobStatus; that is taken for UNKNOWN.",
                )
                status = None
            record = by_job.get(job)
            if record is not None and status is not None:
                self._apply(record, lifecycle.JobSeen(status))
        self._look_again(self._clock())

    def _look_again(self, now: float) -> None:
        ages = [now - record.changed for record in self._records.values() if record.unsettled]
        if not ages:
            working = any(record.job is not None for record in self._records.values())
            at = max(now, self._look_at_all)
            self._look_at = at if working and at < float("inf") else None
            return
        # What has just changed will soon change again, and what has not will not.
        wait = min(max(SOONEST, min(ages) / 2), self.interval)
        if self._deaf:
            wait = min(max(wait, 2.0**self._deaf), max(60.0, self.interval))
        self._look_at = now + wait

    def _cancel(self, now: float) -> bool:
        ids, tried = list(self._cancels), dict(self._cancels)
        self._cancels = {}

        def answered(_: Any, error: BaseException | None) -> None:
            if error is None:
                return
            again = {job: count + 1 for job, count in tried.items() if count + 1 < _CANCELS}
            # Once closing, the provider ends its jobs by itself.
            if self._closing is None and again:
                self._cancels = again | self._cancels
                self._cancel_at = self._clock() + 2.0 ** max(again.values())
            self._notice(
                "warning",
                f"The jobs {', '.join(ids)} of {self._label} could not be cancelled: "
                f"{_brief(error)}",
            )

        half = None
        if self._closing is not None:
            half = min(now + self.timeout, now + max(0.0, self._closing - now) / 2)
        return self._start("cancel", lambda: self._provider.cancel(ids), answered, now, until=half)

    def _read(self, now: float) -> bool:
        record, command, how = self._reads[0]
        concluded = self._concluded(record, command, how)

        def answered(value: Any, error: BaseException | None) -> None:
            if self._reads:
                self._reads.popleft()
            self._stale = True
            concluded(value, error)

        if record.stdout is None and record.stderr is None:
            answered(None, None)
            return True
        secrets = self._secrets(command)
        return self._start(
            "output",
            lambda: diagnosis.gathered(record, secrets),
            answered,
            now,
            subject=f" of block {record.id}",
            until=now + min(5.0, self.timeout),
        )

    def _release(self, now: float) -> bool:
        """Have the provider end what is left, once nothing else is under way."""
        if self._closing is None or self._released:
            return False
        self._released = True
        return self._start("close", self._end_all, self._close_answered, now, until=self._closing)

    def _end_all(self) -> None:
        """Have the provider end what is left; then nothing has to be on record any more."""
        self._provider.close()
        with self._recording() as lease:
            if lease is not None:
                lease.end()

    def _close_answered(self, value: Any, error: BaseException | None) -> None:
        gone = JobStatus(state=JobState.CANCELLED)
        if error is not None:
            jobs = [record.job for record in self._records.values() if record.job]
            left = f" Look whether these jobs are still there: {', '.join(jobs)}." if jobs else ""
            self._notice("warning", f"{self._provider_name} did not close: {_brief(error)}{left}")
        for record in list(self._records.values()):
            self._apply(record, lifecycle.JobSeen(gone))
        self._flush()
        self.closed = True

    # --------------------------------------------------------------------------------- what is said

    def _remark(self, record: BlockRecord, *, silent: bool) -> None:
        block = diagnosis.in_words(record)
        waited = self._clock() - record.since
        if silent:
            unheard = self._clock() - record.heard
            self._notice(
                "warning",
                f"{self._provider_name} has said nothing of block {block} for {unheard:.0f} s. "
                f"It is given up after {self._patience.silence:.0f} s.",
            )
        elif record.state is BlockState.STARTING:
            self._notice("warning", self._not_registered(record, waited))
        else:
            said = f" The scheduler says: {record.reason}" if record.reason else ""
            self._notice("info", f"Block {block} has waited for machines for {waited:.0f} s.{said}")

    def _not_registered(self, record: BlockRecord, waited: float) -> str:
        command = self._commands.get(record.id)
        addresses = ", ".join(command.addresses) if command is not None else ""
        logs = [command.log if command is not None else None, record.stderr or record.stdout]
        places = [str(one) for one in logs if one is not None] or [str(self._folder / record.id)]
        log = " and ".join(places)
        limit = self._patience.start
        return (
            f"Block {diagnosis.in_words(record)} has run for {waited:.0f} s, and no manager of it "
            "has registered.\n"
            "Why: Its managers take long to start"
            + (f", or cannot reach {addresses}" if addresses else "")
            + f".\nDo: Look into {log}."
            + (f" The block is given up after {limit:.0f} s." if limit is not None else "")
        )

    def _shown(self, command: BlockCommand | None) -> str:
        if command is None:
            return ""
        text = command.shown or command.text
        with contextlib.suppress(Exception):  # a launcher may come from a plugin
            text = self._launcher.compose(text, nodes=self._limits.nodes)
        return diagnosis.hidden(text, self._secrets(command))

    @staticmethod
    def _secrets(command: BlockCommand | None) -> tuple[str, ...]:
        given = diagnosis.secrets_of(command.environment) if command is not None else ()
        return (*given, *diagnosis.secrets_of(os.environ))

    def _tell_unrecorded(self, trouble: OSError) -> None:
        self._once(
            "warning",
            f"Jobs of {self._label} cannot be put on record: {trouble}.\n"
            "Why: Should this process be killed, the next one will not know which jobs to cancel.\n"
            "Do: Set WEFT_STATE to a folder that you alone can write.",
        )

    def _notice(self, level: str, text: str) -> None:
        self._context.notice(level, diagnosis.hidden(text))

    def _once(self, level: str, text: str) -> None:
        if text not in self._said and len(self._said) < _PAST:
            self._said.add(text)
            self._notice(level, text)

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the owner may be a plugin
            self._notice("error", f"{what} of the executor {self._label} raised {_brief(error)}")


def paces(provider: Provider) -> tuple[float, float]:
    """How often a provider is asked, and after how long a call to it is given up."""
    if isinstance(provider, Paced):
        return max(0.01, provider.interval), max(0.01, provider.patience)
    return INTERVAL, CALL_TIMEOUT


def _is_id(given: object) -> bool:
    return isinstance(given, str) and bool(given)


def _told(record: BlockRecord, how: How, error: WeftError) -> str:
    facts = "\n".join((error.what.partition("\n")[2], f"Why: {error.why}", f"Do: {error.todo}"))
    if how is How.VANISHED:
        return f"Block {diagnosis.in_words(record)} is lost; its tasks run elsewhere.\n{facts}"
    return f"Block {diagnosis.in_words(record)} did not come up.\n{facts}"


def _brief(error: BaseException) -> str:
    if isinstance(error, WeftError):
        return f"{error.what} {error.why}".strip()
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - the error is a plugin's
        text = ""
    if isinstance(error, TimeoutError) and text:
        return f"{text}."
    name = type(error).__name__
    return f"{name}: {text}." if text else f"{name}."
