"""The options of the executor ``mpi``. Light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal

import attrs
from attrs.validators import (
    deep_iterable,
    deep_mapping,
    ge,
    gt,
    in_,
    instance_of,
    le,
    matches_re,
    min_len,
    optional,
)

from weft.values.settings import ExecutorSettings, ProviderSettings, setting

__all__ = ["MPI"]

_WORD: Final = r"[A-Za-z0-9_@%+=:,./^{}-]+"
_HOST: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_MOST_TASKS: Final = 32


@attrs.frozen(kw_only=True)
class MPI(ExecutorSettings):
    """Tasks that get whole nodes of a block, and start programs of MPI on them.

    A *block* is one job of the provider. One manager on its first node hands the nodes out; several
    tasks run at once, each on nodes of its own. How many a task gets, it says by ``resources``:
    ``nodes``, ``ranks_per_node``, ``num_ranks`` and ``launcher_options``.
    """

    plugin: ClassVar[str] = "mpi"

    # ------------------------------------------------------------------------------------- machines

    provider: ProviderSettings | None = setting(
        None,
        help="Where blocks come from; this machine when left out.",
        validator=optional(instance_of(ProviderSettings)),
    )
    nodes_per_block: int = setting(
        1,
        help="Nodes that one block asks for, and the most that a task may have.",
        unit="nodes",
        validator=[instance_of(int), ge(1)],
    )
    hosts: Sequence[str] = setting(
        (),
        help="The machines of the one block, where no scheduler gives them: names that the "
        "launcher reaches. When left out, the block's scheduler is asked.",
        validator=deep_iterable(matches_re(_HOST), instance_of((tuple, list))),
    )
    tasks_per_block: int | None = setting(
        None,
        help="Tasks that run at once in a block at most. When left out, as many as it has nodes, "
        "and at most 32.",
        unit="tasks",
        validator=optional([instance_of(int), ge(1)]),
    )
    init_blocks: int = setting(
        1,
        help="Blocks asked for at the start, before there are tasks.",
        unit="blocks",
        validator=[instance_of(int), ge(0)],
    )
    min_blocks: int = setting(
        0,
        help="Blocks that are kept even when there is nothing to do.",
        unit="blocks",
        validator=[instance_of(int), ge(0)],
    )
    max_blocks: int = setting(
        1,
        help="Blocks held at the same time at most.",
        unit="blocks",
        validator=[instance_of(int), ge(1)],
    )
    parallelism: float = setting(
        1.0,
        help="How many places there should be for each task that waits or runs, as for htex.",
        unit="places per task",
        validator=[ge(0), le(1)],
    )
    max_idle: float = setting(
        120.0,
        help="How long a block may have nothing to do before it is given back.",
        unit="seconds",
        validator=gt(0),
    )
    strategy: Literal["simple", "none"] = setting(
        "simple",
        help="How the number of blocks follows the load: 'simple' grows with what waits and gives "
        "idle blocks back, 'none' holds the blocks it began with.",
        validator=in_(("simple", "none")),
    )
    block_walltime: float | None = setting(
        None,
        help="How long a block lives from the start of its manager, so that no task is started "
        "that it would not see to its end; left out, blocks are taken to live on.",
        unit="seconds",
        validator=optional(gt(0)),
    )
    start_timeout: float = setting(
        60.0,
        help="How long a worker may take to start, the interchange too, and a manager to reach the "
        "interchange, before it is given up.",
        unit="seconds",
        validator=gt(0),
    )
    register_warning: float = setting(
        60.0,
        help="After how long a warning tells that a block runs and its manager has not registered.",
        unit="seconds",
        validator=gt(0),
    )
    register_timeout: float | None = setting(
        300.0,
        help="How long a block may run before its manager registers; then it is given up. Left at "
        "None, it may take as long as it likes.",
        unit="seconds",
        validator=optional(gt(0)),
    )
    block_failures: int = setting(
        3,
        help="Blocks in a row that may end before their manager has registered; then the executor "
        "gives up, and says why.",
        unit="blocks",
        validator=[instance_of(int), ge(1)],
    )
    worker_init: str = setting(
        "",
        help="Shell text that is run on the first node before the manager, such as 'module load "
        "mpich'. It becomes part of the job's script and is not for secrets.",
        validator=instance_of(str),
    )
    python: str | None = setting(
        None,
        help="The Python that runs the manager and its workers; the one that runs the script when "
        "left out.",
        validator=optional([instance_of(str), min_len(1)]),
    )
    packages: Sequence[str] = setting(
        (),
        help="Packages whose version should be the same on nodes as here, such as 'mpi4py'.",
        validator=deep_iterable(
            matches_re(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"), instance_of((tuple, list))
        ),
    )
    environment: Mapping[str, str] = setting(
        factory=dict,
        help="Environment variables of the workers, besides those of their manager.",
        validator=deep_mapping(instance_of(str), instance_of(str)),
    )

    # ---------------------------------------------------------------------------------------- ranks

    mpi_launcher: Literal["mpiexec", "srun", "aprun", "flux", "jsrun"] = setting(
        "mpiexec",
        help="What starts the ranks of a task on its nodes.",
        validator=in_(("mpiexec", "srun", "aprun", "flux", "jsrun")),
    )
    implementation: Literal["auto", "mpich", "openmpi", "pals"] = setting(
        "auto",
        help="Whose mpiexec it is: 'mpich' (also Intel MPI and MVAPICH), 'openmpi' or 'pals'; "
        "'auto' asks it.",
        validator=in_(("auto", "mpich", "openmpi", "pals")),
    )
    launcher_program: str = setting(
        "",
        help="The program that is the launcher, where it is called otherwise, such as "
        "'mpiexec.hydra', or is not on the PATH.",
        validator=matches_re(rf"({_WORD})?"),
    )
    launcher_options: Sequence[str] = setting(
        (),
        help="Words for the launcher of every task, such as '--mpi=pmi2' for srun or "
        "'--oversubscribe' for Open MPI.",
        validator=deep_iterable(matches_re(_WORD), instance_of((tuple, list))),
    )
    ranks_per_node: int = setting(
        1,
        help="Ranks on each node, for tasks that do not say.",
        unit="ranks",
        validator=[instance_of(int), ge(1)],
    )

    # -------------------------------------------------------------------------------------- network

    mode: Literal["broker", "direct"] = setting(
        "broker",
        help="Where tasks are matched to blocks: with 'broker' in a process of its own, with "
        "'direct' on a thread of the script.",
        validator=in_(("broker", "direct")),
    )
    addresses: Sequence[str] = setting(
        (),
        help="Addresses or names of this machine at which nodes reach it, the best first; all of "
        "its own when left out.",
        validator=deep_iterable(matches_re(r"[A-Za-z0-9_.:\[\]%-]+"), instance_of((tuple, list))),
    )
    ports: tuple[int, int] | None = setting(
        None,
        help="The first and the last port of a range, one of which is listened at; any free one "
        "when left out.",
    )
    encrypted: bool = setting(
        True,
        help="Whether managers prove who they are and all that travels is encrypted. Without it "
        "only loopback addresses are listened at.",
        validator=instance_of(bool),
    )
    heartbeat: float = setting(
        5.0,
        help="How often each side of a connection gives a sign of life.",
        unit="seconds",
        validator=gt(0),
    )
    lost_after: float = setting(
        30.0,
        help="After how long a silence a block is lost; a manager that hears nothing for as long "
        "ends its tasks and itself.",
        unit="seconds",
        validator=gt(0),
    )

    @property
    def nodes(self) -> int:
        """Nodes of a block, wherever they come from."""
        return len(self.hosts) or self.nodes_per_block

    @property
    def tasks(self) -> int:
        """Tasks that a block runs at once."""
        return self.tasks_per_block or min(self.nodes, _MOST_TASKS)

    def __attrs_post_init__(self) -> None:
        if self.min_blocks > self.max_blocks:
            raise ValueError(
                f"min_blocks is {self.min_blocks}, more than max_blocks, which is {self.max_blocks}"
            )
        if self.init_blocks > self.max_blocks:
            raise ValueError(
                f"init_blocks is {self.init_blocks}, more than max_blocks, which is "
                f"{self.max_blocks}"
            )
        if len(set(self.hosts)) != len(self.hosts):
            raise ValueError(f"hosts names a machine twice: {', '.join(self.hosts)}")
        if self.hosts and self.max_blocks > 1:
            raise ValueError(
                f"hosts names the machines of one block, and max_blocks is {self.max_blocks}: "
                "two blocks would use the same machines"
            )
        if self.hosts and self.nodes_per_block not in {1, len(self.hosts)}:
            raise ValueError(
                f"hosts names {len(self.hosts)} machines, and nodes_per_block is "
                f"{self.nodes_per_block}"
            )
        if self.implementation != "auto" and self.mpi_launcher != "mpiexec":
            raise ValueError(
                f"implementation says whose mpiexec it is, and mpi_launcher is "
                f"{self.mpi_launcher!r}"
            )
        if self.lost_after < 2 * self.heartbeat:
            raise ValueError(
                f"lost_after is {self.lost_after:g} s, less than two heartbeats of "
                f"{self.heartbeat:g} s, so that one late sign of life would end a block"
            )
