"""What a block may become: ``(record, event, now) → effects``, and nothing else.

No thread, no clock, no provider: time is passed in, and what is to be done is returned. Any event
may come at any time and any number of times; a state only moves forward, and an end is an end.

    Submitted ─┐                                        ┌─▶ Changed    tell of it
    JobSeen    │      ┌──────────────────────────┐      ├─▶ Drain      ask its managers to finish
    Joined     ├─────▶│ advance(record, event)   │─────▶├─▶ Cancel     ask for its job to be ended
    Left       │      └──────────────────────────┘      ├─▶ Remark     say that it takes long
    TimePassed ┘                                        └─▶ Over       it has ended, and how
"""

import enum
from pathlib import Path
from typing import Final

import attrs

from weft.values.blocks import BLOCK_ENDED, BLOCK_MOVES, BlockId, BlockState
from weft.values.jobs import JOB_ENDED, JobId, JobState, JobStatus
from weft.values.message import message

__all__ = [
    "BlockRecord",
    "Cancel",
    "Changed",
    "Drain",
    "DrainAsked",
    "Drained",
    "Effect",
    "Event",
    "How",
    "JobSeen",
    "Joined",
    "Left",
    "Over",
    "Patience",
    "Refused",
    "Remark",
    "StopAsked",
    "Submitted",
    "Superfluous",
    "TimePassed",
    "advance",
    "due",
]

_S = BlockState


@attrs.frozen(kw_only=True)
class Patience:
    """How long a block may take for what; all in seconds.

    Attributes:
        remark: a block that waits for machines, or that runs and has no manager, is told of after
            this long.
        start: a block that runs and whose managers do not register is given up after this long;
            ``None`` waits for ever.
        unheard: a job of which the provider has said nothing, and of which no manager has
            registered, is told of after this long.
        silence: such a job is given up after this long.
        alone: a block all of whose managers have left is given up after this long. Until then its
            job may say by itself how it ended.
        cancel: a job that was cancelled and whose end nobody confirms is taken for ended after this
            long.
    """

    remark: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    start: float | None = attrs.field(default=300.0)
    unheard: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    silence: float = attrs.field(default=600.0, validator=attrs.validators.gt(0))
    alone: float = attrs.field(default=5.0, validator=attrs.validators.ge(0))
    cancel: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))

    def __attrs_post_init__(self) -> None:
        if self.start is not None and self.start <= 0:
            raise ValueError(f"start is a time in seconds, or None, not {self.start!r}")


@attrs.define(eq=False, kw_only=True)
class BlockRecord:
    """All that is known of a block. Changed by ``advance`` alone.

    Attributes:
        asked: when it was asked for.
        since: when it came into its state.
        began: when its job was first known to run.
        heard: when the provider last said anything of its job.
        alone: since when all its managers have been gone.
        doubted: since when one of its managers cannot be reached, which may come back.
        registered: whether a manager ever registered.
        stopped: when its job was asked to end.
        remarked: the states in which it was told that it takes long.
    """

    id: BlockId
    asked: float
    since: float
    state: BlockState = BlockState.REQUESTED
    reason: str = ""
    job: JobId | None = None
    managers: set[str] = attrs.field(factory=set)
    began: float | None = None
    heard: float = 0.0
    alone: float | None = None
    doubted: float | None = None
    registered: bool = False
    stopped: float | None = None
    remarked: set[BlockState] = attrs.field(factory=set)
    silent: bool = False
    exit_code: int | None = None
    stdout: Path | None = None
    stderr: Path | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in BLOCK_ENDED

    @property
    def unsettled(self) -> bool:
        """Whether the provider must be asked how its job is: nothing else would tell."""
        if self.job is None or self.ended:
            return False
        if self.doubted is not None or self.stopped is not None or not self.managers:
            return True
        return self.state not in {_S.READY, _S.DRAINING}

    @property
    def changed(self) -> float:
        """When something last happened to it of which its provider may soon say more."""
        return max(self.since, self.stopped or self.since, self.doubted or self.since)


# ---------------------------------------------------------------------------------- what can happen


@message(eq=True)
class Submitted:
    """The provider has taken the job."""

    job: JobId


@message(eq=True)
class Refused:
    """The provider has not taken the job, and will not."""

    reason: str


@message(eq=True)
class JobSeen:
    """The provider has said how the job is."""

    status: JobStatus


@message(eq=True)
class Joined:
    """A manager has registered."""

    manager: str


@message(eq=True)
class Left:
    """A manager has said goodbye, or has not been heard of for too long."""

    manager: str


@message(eq=True)
class Doubted:
    """A manager cannot be reached, or, with ``doubted`` false, all of them can be again."""

    doubted: bool


@message(eq=True)
class DrainAsked:
    """The block is not needed any more: it is to end once its tasks are done."""

    reason: str


@message(eq=True)
class Superfluous:
    """If the block has not come up yet, it need not.

    Its job goes on, for it may have come up, and that not be known here yet: then what runs on it
    ends in peace.
    """

    reason: str


@message(eq=True)
class Drained:
    """No task of the block is left."""


@message(eq=True)
class StopAsked:
    """The block is to end now, whatever runs on it."""

    reason: str


@message(eq=True)
class TimePassed:
    """Time has passed, and nothing else is known to have happened."""


Event = (
    Submitted
    | Refused
    | JobSeen
    | Joined
    | Left
    | Doubted
    | DrainAsked
    | Superfluous
    | Drained
    | StopAsked
    | TimePassed
)

# ------------------------------------------------------------------------------- what is to be done


class How(enum.Enum):
    """How a block ended."""

    AS_ASKED = "it was asked to"
    IN_TIME = "it had worked, and ended by itself or because its time was over"
    NEVER_REGISTERED = "no manager of it had registered"
    VANISHED = "it had worked, and something took it away"


@message(eq=True)
class Changed:
    """It came into another state, or its reason or its managers changed: tell of it."""


@message(eq=True)
class Drain:
    """Ask its managers to take no more tasks, and to say when none is left."""


@message(eq=True)
class Cancel:
    """Ask the provider to end its job."""

    job: JobId


@message(eq=True)
class Remark:
    """Tell people that it takes long, or that its provider says nothing of it."""

    silent: bool = False


@message(eq=True)
class Over:
    """Nothing more will become of it."""

    how: How


Effect = Changed | Drain | Cancel | Remark | Over

_BEFORE: Final = frozenset({_S.REQUESTED, _S.QUEUED, _S.STARTING})

# ---------------------------------------------------------------------------------------- the moves


def advance(record: BlockRecord, event: Event, now: float, patience: Patience) -> list[Effect]:
    """Take note of an event, and say what is to be done because of it."""
    if record.ended:
        return _after_the_end(record, event)
    match event:
        case Submitted(job):
            return _submitted(record, job, now)
        case Refused(reason):
            return _refused(record, reason, now)
        case JobSeen(status):
            return _seen(record, status, now)
        case Joined(manager):
            return _joined(record, manager, now)
        case Left(manager):
            return _left(record, manager, now)
        case Doubted(doubted):
            record.doubted = now if doubted else None
            return []
        case DrainAsked() | Superfluous() | Drained() | StopAsked():
            return _unwanted(record, event, now)
        case TimePassed():
            return _time(record, now, patience)


def due(record: BlockRecord, patience: Patience) -> float | None:
    """When ``TimePassed`` would next change something, if nothing else happens."""
    if record.ended:
        return None
    if record.stopped is not None:
        return record.stopped + patience.cancel
    if record.alone is not None:
        return record.alone + patience.alone
    if record.state not in _BEFORE or record.job is None:
        return None
    times = [record.heard + (patience.silence if record.silent else patience.unheard)]
    if record.state not in record.remarked:
        times.append(record.since + patience.remark)
    if record.state is _S.STARTING and patience.start is not None:
        times.append(record.since + patience.start)
    return min(times)


def _after_the_end(record: BlockRecord, event: Event) -> list[Effect]:
    # A submission that was given up may still have worked: then its job must not go on unseen.
    if isinstance(event, Submitted) and record.job is None:
        record.job = event.job
        return [Cancel(event.job)]
    return []


def _submitted(record: BlockRecord, job: JobId, now: float) -> list[Effect]:
    if record.job is not None:
        return []
    record.job, record.heard = job, now
    if record.stopped is not None:
        record.stopped = now
        return [Cancel(job), Changed()]
    if record.state is _S.REQUESTED:
        _move(record, _S.QUEUED, "", now)
    return [Changed()]


def _refused(record: BlockRecord, reason: str, now: float) -> list[Effect]:
    if record.registered or record.job is not None:
        return []  # it was taken after all: whoever submitted it was not told in time
    if record.stopped is not None or record.state is _S.DRAINING:
        return _end(record, _S.ENDED, record.reason, How.AS_ASKED, now)
    return _end(record, _S.FAILED, reason, How.NEVER_REGISTERED, now)


def _seen(record: BlockRecord, status: JobStatus, now: float) -> list[Effect]:
    record.exit_code = record.exit_code if status.exit_code is None else status.exit_code
    record.stdout, record.stderr = status.stdout or record.stdout, status.stderr or record.stderr
    if status.state is JobState.UNKNOWN:
        return []  # not an end: ask again
    record.heard, record.silent = now, False
    if status.state is not JobState.QUEUED and record.began is None:
        record.began = now
    if status.state in JOB_ENDED:
        return _job_ended(record, status, now)
    if status.state is JobState.RUNNING and record.state in {_S.REQUESTED, _S.QUEUED}:
        _move(record, _S.STARTING, status.reason, now)
        return [Changed()]
    if record.state in _BEFORE and status.reason and status.reason != record.reason:
        record.reason = status.reason
        return [Changed()]
    return []


def _job_ended(record: BlockRecord, status: JobStatus, now: float) -> list[Effect]:
    if record.stopped is not None or (record.state is _S.DRAINING and not record.registered):
        return _end(record, _S.ENDED, record.reason, How.AS_ASKED, now)
    said = status.reason or f"its job is {status.state}"
    if not record.registered:
        return _end(record, _S.FAILED, said, How.NEVER_REGISTERED, now)
    if status.state in {JobState.DONE, JobState.EXPIRED}:
        return _end(record, _S.ENDED, said, How.IN_TIME, now)
    return _end(record, _S.LOST, said, How.VANISHED, now)


def _joined(record: BlockRecord, manager: str, now: float) -> list[Effect]:
    if manager in record.managers:
        return []
    record.managers.add(manager)
    record.registered, record.alone = True, None
    if record.began is None:
        record.began = now
    if record.state is _S.DRAINING:
        # It was not needed any more before it came: it is to take no task at all.
        return [Changed(), Drain()]
    if record.state is not _S.READY:
        _move(record, _S.READY, "", now)
    return [Changed()]


def _left(record: BlockRecord, manager: str, now: float) -> list[Effect]:
    if manager not in record.managers:
        return []
    record.managers.remove(manager)
    if not record.managers:
        record.alone = now
    return [Changed()]


def _unwanted(
    record: BlockRecord, event: DrainAsked | Superfluous | Drained | StopAsked, now: float
) -> list[Effect]:
    match event:
        case DrainAsked(reason):
            return _drain(record, reason, now)
        case Superfluous(reason):
            return _superfluous(record, reason, now)
        case Drained():
            return _stop(record, record.reason, now) if record.state is _S.DRAINING else []
        case StopAsked(reason):
            return _stop(record, reason, now)


def _drain(record: BlockRecord, reason: str, now: float) -> list[Effect]:
    if record.state is _S.DRAINING:
        return []
    if record.state in _BEFORE:
        return _stop(record, reason, now)  # nothing runs on it
    _move(record, _S.DRAINING, reason, now)
    return [Changed(), Drain()]


def _superfluous(record: BlockRecord, reason: str, now: float) -> list[Effect]:
    if record.state not in _BEFORE:
        return []
    _move(record, _S.DRAINING, reason, now)
    return [Changed()]


def _stop(record: BlockRecord, reason: str, now: float) -> list[Effect]:
    if record.stopped is not None:
        return []
    record.stopped = now
    effects: list[Effect] = [Cancel(record.job)] if record.job is not None else []
    if record.state is not _S.DRAINING:
        _move(record, _S.DRAINING, reason, now)
        effects.append(Changed())
    return effects


def _time(record: BlockRecord, now: float, patience: Patience) -> list[Effect]:
    if record.stopped is not None:
        if now >= record.stopped + patience.cancel:
            return _end(
                record,
                _S.ENDED,
                f"{record.reason}; it was cancelled, and its provider has not confirmed its end",
                How.AS_ASKED,
                now,
            )
        return []
    if record.alone is not None and now >= record.alone + patience.alone:
        return _abandoned(record, now)
    if record.state in _BEFORE and record.job is not None:
        return _slow(record, now, patience)
    return []


def _abandoned(record: BlockRecord, now: float) -> list[Effect]:
    cancel: list[Effect] = [Cancel(record.job)] if record.job is not None else []
    if record.state is _S.DRAINING:
        return cancel + _end(record, _S.ENDED, record.reason, How.AS_ASKED, now)
    why = "all its managers are gone, though its job is not known to have ended"
    return cancel + _end(record, _S.LOST, why, How.VANISHED, now)


def _slow(record: BlockRecord, now: float, patience: Patience) -> list[Effect]:
    late = _too_late(record, now, patience)
    if late:
        cancel: list[Effect] = [Cancel(record.job)] if record.job is not None else []
        return cancel + _end(record, _S.FAILED, late, How.NEVER_REGISTERED, now)
    if not record.silent and now >= record.heard + patience.unheard:
        record.silent = True
        record.remarked.add(record.state)
        return [Remark(silent=True)]
    if record.state not in record.remarked and now >= record.since + patience.remark:
        record.remarked.add(record.state)
        return [Remark()]
    return []


def _too_late(record: BlockRecord, now: float, patience: Patience) -> str:
    """Why a block that has not come up is given up now; empty if it is not."""
    # The same sums as in due: a time that is due must be one at which something happens.
    if record.silent and now >= record.heard + patience.silence:
        return f"its provider has not said anything of its job for {now - record.heard:.0f} s"
    if record.state is not _S.STARTING or patience.start is None:
        return ""
    if now < record.since + patience.start:
        return ""
    return f"it has run for {now - record.since:.0f} s, and no manager has registered"


def _end(record: BlockRecord, state: BlockState, reason: str, how: How, now: float) -> list[Effect]:
    record.managers.clear()
    record.alone = None
    _move(record, state, reason, now)
    return [Changed(), Over(how)]


def _move(record: BlockRecord, state: BlockState, reason: str, now: float) -> None:
    if state not in BLOCK_MOVES[record.state]:
        raise AssertionError(f"{record.id} cannot go from {record.state} to {state}")
    record.state, record.reason, record.since = state, reason, now
