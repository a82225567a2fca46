"""The states of a block of machines, which state may follow which, and a block as others see it.

    requested ──▶ queued ──▶ starting ──▶ ready ──▶ draining ──▶ ended
        │           │           │           └──────────────────▶ lost
        └───────────┴───────────┴──────────────────────────────▶ failed
                    (states may be skipped, and are never gone back to)

Whoever asks about a job asks now and then, so a block may be ``ready`` before its provider has said
that it runs: a manager that registers is evidence enough.
"""

import enum
from collections.abc import Mapping
from pathlib import Path

import attrs

from weft.values.jobs import JobId

__all__ = ["BLOCK_ENDED", "BLOCK_MOVES", "Block", "BlockId", "BlockState"]

BlockId = str
"""The name of a block, unique within a run, made of ``[A-Za-z0-9_.-]``: ``cpu-1``."""


class BlockState(enum.StrEnum):
    """Where a block is on its way."""

    REQUESTED = "requested"
    """Wanted; the provider has not taken its job yet."""
    QUEUED = "queued"
    """Its job waits for machines."""
    STARTING = "starting"
    """Its job runs, and no manager has registered yet."""
    READY = "ready"
    """A manager has registered: it takes tasks."""
    DRAINING = "draining"
    """It takes no more tasks, and ends once those that it has are done."""
    ENDED = "ended"
    """It has ended as it should: it was asked to, or its time was over."""
    FAILED = "failed"
    """It has ended, and no manager of it ever registered."""
    LOST = "lost"
    """It worked, and then vanished."""


BLOCK_ENDED: frozenset[BlockState] = frozenset(
    {BlockState.ENDED, BlockState.FAILED, BlockState.LOST}
)

_BEFORE_READY = frozenset({BlockState.READY, BlockState.DRAINING, BlockState.ENDED})

BLOCK_MOVES: Mapping[BlockState, frozenset[BlockState]] = {
    BlockState.REQUESTED: _BEFORE_READY
    | {BlockState.QUEUED, BlockState.STARTING, BlockState.FAILED},
    BlockState.QUEUED: _BEFORE_READY | {BlockState.STARTING, BlockState.FAILED},
    BlockState.STARTING: _BEFORE_READY | {BlockState.FAILED},
    BlockState.READY: frozenset({BlockState.DRAINING, BlockState.ENDED, BlockState.LOST}),
    BlockState.DRAINING: frozenset({BlockState.ENDED, BlockState.LOST}),
    **dict.fromkeys(BLOCK_ENDED, frozenset[BlockState]()),
}
"""The states that may follow each state."""


@attrs.frozen(kw_only=True)
class Block:
    """A block, as it was when this was made.

    Attributes:
        id: its name.
        job: the scheduler's name for its job, once there is one.
        state: where it is.
        reason: why it is there, in the scheduler's words where it said something; may be empty.
        since: when it came into that state, in seconds since the epoch.
        managers: how many managers are registered.
        exit_code: of an ended job, where it is known; negative for a signal.
        stdout, stderr: where the output of its job is found, where it is known.
        ends: when its time will be over, in seconds since the epoch, where that is known.
    """

    id: BlockId
    job: JobId | None = None
    state: BlockState
    reason: str = ""
    since: float
    managers: int = 0
    exit_code: int | None = None
    stdout: Path | None = None
    stderr: Path | None = None
    ends: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in BLOCK_ENDED
