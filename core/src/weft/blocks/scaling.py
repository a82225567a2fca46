"""How many blocks there should be now, and which ones are not needed any more.

Pure: numbers in, numbers out. A ``Strategy`` decides; what it decides is held within the limits by
whoever performs it, so that no strategy can ask for more than ``max`` blocks.
"""

from collections.abc import Collection, Mapping, Sequence
from math import ceil
from typing import Final, Protocol

import attrs

from weft.values.blocks import BlockId, BlockState

__all__ = [
    "STRATEGIES",
    "BlockLimits",
    "BlockUse",
    "Decision",
    "Hold",
    "Load",
    "Simple",
    "Strategy",
    "blocks_wanted",
    "within",
]


_EXACT: Final = 1e-6


@attrs.frozen(kw_only=True)
class BlockLimits:
    """How many blocks there may be, and how they follow the load.

    Attributes:
        init: blocks asked for at the start, before there is any task.
        min: blocks that are kept when there is nothing to do.
        max: blocks that there are at most, those that end counted.
        parallelism: the share of the unfinished tasks that should be able to run at once, from 0 to
            1: 1 asks for a place for every task, 0.1 for every tenth.
        tasks_per_block: tasks that a block runs at once.
        nodes: machines in a block.
        max_idle: seconds without a task after which a block is given back.
        walltime: seconds after which the scheduler ends a block; ``None`` if it does not.
        replace_ahead: seconds before that end from which on a block does not count as a place for
            work that waits; at most a quarter of the walltime.
        block_failures: starts in a row that fail before the executor is declared broken.
    """

    init: int = attrs.field(default=1, validator=attrs.validators.ge(0))
    min: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    max: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    parallelism: float = attrs.field(
        default=1.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)]
    )
    tasks_per_block: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    nodes: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    max_idle: float = attrs.field(default=120.0, validator=attrs.validators.ge(0))
    walltime: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.gt(0))
    )
    replace_ahead: float = attrs.field(default=120.0, validator=attrs.validators.ge(0))
    block_failures: int = attrs.field(default=3, validator=attrs.validators.ge(1))

    def __attrs_post_init__(self) -> None:
        if not self.min <= self.init <= self.max:
            raise ValueError(
                f"min <= init <= max does not hold: min={self.min}, init={self.init}, "
                f"max={self.max}"
            )

    @property
    def lead(self) -> float:
        """Seconds before its end from which on a block is no place for work that waits."""
        return 0.0 if self.walltime is None else min(self.replace_ahead, self.walltime / 4)


@attrs.frozen(kw_only=True)
class Load:
    """What an executor has to do.

    Attributes:
        waiting: tasks that no worker runs yet.
        running: tasks that workers run.
        busy: tasks on each block that has any; may be left empty if it is not known, and then no
            block counts as idle while tasks run.
        idle: of blocks without a task, for how many seconds each has had none; 0 for one that had
            some just now, which counts as idle only once more is said of it. A block that is not
            in it has had none since the first load that says nothing of tasks on it.
        capacity: tasks that a block runs at once, where that is known better than by the limits; on
            average, where some take more of a block than others.
        beyond: of the tasks that wait, those that may take longer than any block there lives on.
        beyond_left: seconds that a block must have left to be a place for the first of those.
    """

    waiting: int = 0
    running: int = 0
    busy: Mapping[BlockId, int] = attrs.field(factory=dict)
    idle: Mapping[BlockId, float] = attrs.field(factory=dict)
    capacity: float | None = None
    beyond: int = 0
    beyond_left: float = 0.0

    @property
    def tasks(self) -> int:
        """Tasks that have not ended."""
        return self.waiting + self.running

    def without(self, blocks: Collection[BlockId]) -> "Load":
        """The load for all other blocks: the tasks of these have their place, and end there."""
        there = sum(self.busy.get(one, 0) for one in blocks)
        if not there:
            return self
        busy = {one: count for one, count in self.busy.items() if one not in blocks}
        return attrs.evolve(self, running=max(0, self.running - there), busy=busy)


@attrs.frozen(kw_only=True)
class BlockUse:
    """A block that has not ended, as a strategy sees it.

    Attributes:
        tasks: tasks on it; 0 for a block that is not ready.
        idle: seconds for which it has been of no use: no task on it, or, while it is not ready, no
            task that waits. 0 if it is of use, or if that is not known.
        age: seconds since it was asked for.
        left: seconds until its time is over, where that is known.
    """

    id: BlockId
    state: BlockState
    tasks: int = 0
    idle: float = 0.0
    age: float = 0.0
    left: float | None = None


@attrs.frozen(kw_only=True)
class Decision:
    """What a strategy decides.

    Attributes:
        wanted: blocks that there should be, those that drain not counted. More are asked for if
            there are fewer; if there are more, nothing happens to them by that alone.
        drain: blocks that are not needed any more.
    """

    wanted: int
    drain: tuple[BlockId, ...] = ()


class Strategy(Protocol):
    """Decides how many blocks there should be.

    Asked whenever the load or a block has changed, and when a block has been idle for ``max_idle``.
    Must be quick, and must not keep anything between calls that another pool could change.
    """

    def decide(self, load: Load, blocks: Sequence[BlockUse], limits: BlockLimits) -> Decision:
        """How many blocks there should be, and which ones are to go.

        Args:
            load: what there is to do, but for the tasks of blocks that drain: those end there.
            blocks: the blocks that have not ended and do not drain.
            limits: what the configuration says.
        """
        ...


def blocks_wanted(load: Load, limits: BlockLimits) -> int:
    """How many blocks there should be for this load."""
    needed = _blocks_for(load.tasks, load, limits)
    if load.tasks:
        needed = max(1, needed)  # however little parallelism is asked for, tasks must run
    return max(limits.min, min(needed, limits.max))


def fresh_blocks_wanted(load: Load, blocks: Sequence[BlockUse], limits: BlockLimits) -> int:
    """How many blocks there should be for the sake of tasks for which those there are too old."""
    if not load.beyond:
        return 0
    needed = max(1, _blocks_for(load.beyond, load, limits))
    return sum(1 for one in blocks if too_old(one, load)) + needed


def _blocks_for(tasks: int, load: Load, limits: BlockLimits) -> int:
    """How many blocks have a place for as many of these tasks as are to run at once."""
    places = ceil(tasks * limits.parallelism)
    # An average is rarely exact in binary, and a block more for that would stand idle.
    return ceil(places / (load.capacity or limits.tasks_per_block) - _EXACT)


class Simple:
    """Grows with the load, and gives back blocks that have been idle for ``max_idle``.

    A block with tasks is never given back, so tasks should go to the fullest block that has a
    place: then the others become empty. A block that is about to reach the end of its time is no
    place for tasks that wait, so another one is asked for in time, as far as ``max`` allows. The
    same is done for tasks that may take longer than the blocks there live on; if there are as many
    as there may be, an idle one makes room.
    """

    def decide(self, load: Load, blocks: Sequence[BlockUse], limits: BlockLimits) -> Decision:
        """As many as the load needs; the idle ones that are too many go."""
        wanted = blocks_wanted(load, limits)
        if load.waiting:
            wanted += sum(1 for one in blocks if about_to_end(one, limits))
        wanted = max(wanted, fresh_blocks_wanted(load, blocks, limits))
        missing, wanted = max(0, wanted - limits.max), min(limits.max, wanted)
        idle = [one for one in blocks if one.tasks == 0 and 0 < one.idle >= limits.max_idle]
        # Those without machines first, the youngest before the others, since it waits longest yet;
        # then those that have been idle for longest.
        idle.sort(key=lambda one: (one.state is BlockState.READY, -one.idle, one.age))
        drain = idle[: max(0, len(blocks) - wanted)]
        if load.beyond and not drain:
            drain = [one for one in idle if too_old(one, load)][:missing]
        return Decision(wanted=wanted, drain=tuple(one.id for one in drain))


class Hold:
    """Holds as many blocks as at the start, whatever the load; those that end are replaced."""

    def decide(self, load: Load, blocks: Sequence[BlockUse], limits: BlockLimits) -> Decision:
        """Always ``init``."""
        return Decision(wanted=limits.init)


STRATEGIES: Final[Mapping[str, Strategy]] = {"simple": Simple(), "none": Hold()}
"""The strategies that weft brings, by the names used in configurations."""


def about_to_end(block: BlockUse, limits: BlockLimits) -> bool:
    """Whether a block is no place for work that waits, because its time is nearly over."""
    return block.left is not None and block.left <= limits.lead


def too_old(block: BlockUse, load: Load) -> bool:
    """Whether a block is no place for tasks that take long."""
    return block.left is not None and block.left < load.beyond_left


def within(
    decision: Decision, blocks: Sequence[BlockUse], limits: BlockLimits, *, floor: int, ending: int
) -> tuple[int, tuple[BlockId, ...]]:
    """How many blocks to ask for and which to drain: what was decided, held within the limits.

    Args:
        decision: what a strategy decided.
        blocks: the blocks that it was given.
        limits: what the configuration says.
        floor: blocks that there must be; at least ``min``.
        ending: blocks that drain and have not ended, which count for ``max``.
    """
    wanted = max(floor, min(decision.wanted, limits.max))
    there = len(blocks)
    ask = max(0, min(wanted - there, limits.max - there - ending))
    known = {one.id: one for one in blocks}
    drain = [one for one in dict.fromkeys(decision.drain) if one in known]
    return ask, tuple(drain[: max(0, there - floor)])
