"""The options of the executor ``htex``. A light module."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import attrs
from attrs.validators import (
    deep_iterable,
    deep_mapping,
    ge,
    gt,
    in_,
    instance_of,
    matches_re,
    optional,
)

from weft.values.settings import (
    ExecutorSettings,
    LauncherSettings,
    ProviderSettings,
    setting,
)

__all__ = ["HTEX", "is_loopback"]

_AFFINITY: Final = r"none|block|block-reverse|alternating|list(:\d+(-\d+)?(,\d+(-\d+)?)*)+"
_LOOPBACK: Final = re.compile(r"127(\.\d+){3}|::1|\[::1\]|localhost")


def is_loopback(address: str) -> bool:
    """Whether an address can be reached from its own machine alone."""
    return _LOOPBACK.fullmatch(address) is not None


if TYPE_CHECKING:
    _Field = attrs.Attribute[object]
else:  # at run time the class takes no parameters
    _Field = attrs.Attribute


def _is_port_range(_instance: object, field: _Field, value: object) -> None:
    if (
        not isinstance(value, tuple)
        or len(value) != 2
        or not all(type(port) is int and 1 <= port <= 65535 for port in value)
        or value[0] > value[1]
    ):
        raise ValueError(
            f"{field.name} is the first and the last port of a range within 1 to 65535, such as "
            f"(54000, 54100), not {value!r}"
        )


def _is_prefetch(_instance: object, field: _Field, value: object) -> None:
    if value != "auto" and (type(value) is not int or value < 0):
        raise ValueError(f"{field.name} is 'auto', or a number of tasks from 0, not {value!r}")


def _is_accelerators(_instance: object, field: _Field, value: object) -> None:
    if value is None or (type(value) is int and value >= 0):
        return
    names = [] if isinstance(value, str) or not isinstance(value, Sequence) else list(value)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            f"{field.name} is how many there are on a node, or their names, such as 4 or "
            f"('0', '1'), not {value!r}"
        )
    if len(set(names)) != len(names):
        raise ValueError(f"{field.name} names one accelerator twice: {value!r}")


def _has_no_nul(_instance: object, field: _Field, value: str) -> None:
    if "\0" in value:
        raise ValueError(f"{field.name} holds a NUL character, which no shell can read")


def _are_variables(_instance: object, field: _Field, value: Mapping[str, str]) -> None:
    for name, text in value.items():
        if not name or "=" in name or "\0" in name + text:
            raise ValueError(
                f"{field.name} names a variable {name!r}, and neither an empty name, nor '=' in "
                "it, nor a NUL character can be in an environment"
            )


@attrs.frozen(kw_only=True)
class HTEX(ExecutorSettings):
    """Pilot jobs: managers on the nodes of blocks, each with workers that run one task at a time.

    A *block* is one job of the provider, such as one allocation of a scheduler; it has one or more
    *nodes*, and each node a *manager* that keeps its *workers*. As few or as many blocks are held
    as the tasks that wait want, within ``min_blocks`` and ``max_blocks``.
    """

    plugin: ClassVar[str] = "htex"

    # ------------------------------------------------------------------------------------- machines

    provider: ProviderSettings | None = setting(
        None,
        help="Where blocks come from; this machine when left out.",
        validator=optional(instance_of(ProviderSettings)),
    )
    launcher: LauncherSettings | None = setting(
        None,
        help="What starts a manager on each node of a block; when left out, the one for a single "
        "node.",
        validator=optional(instance_of(LauncherSettings)),
    )
    nodes_per_block: int = setting(
        1,
        help="Nodes that one block asks for.",
        unit="nodes",
        validator=[instance_of(int), ge(1)],
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
        help="How many workers there should be for each task that waits or runs: 1 asks for "
        "blocks until every task has a worker, 0.5 until every second one has, 0 never asks for "
        "more than min_blocks, or for one block if that is 0.",
        unit="workers per task",
        validator=[ge(0), attrs.validators.le(1)],
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
        help="How long a block lives from the start of its managers, so that no task is started "
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
        help="After how long a warning tells that a block runs and no manager of it has "
        "registered, with the addresses that are tried and where its logs are; and that a block "
        "still waits for machines.",
        unit="seconds",
        validator=gt(0),
    )
    register_timeout: float | None = setting(
        300.0,
        help="How long a block may run before one of its managers registers; then it is given up. "
        "Left at None, it may take as long as it likes.",
        unit="seconds",
        validator=optional(gt(0)),
    )
    block_failures: int = setting(
        3,
        help="Blocks in a row that may end before any of their managers has registered; then the "
        "executor gives up, and says why.",
        unit="blocks",
        validator=[instance_of(int), ge(1)],
    )
    worker_init: str = setting(
        "",
        help="Shell text that is run on each node before the manager, such as 'module load "
        "python'. It becomes part of the job's script and is not for secrets.",
        validator=[instance_of(str), _has_no_nul],
    )

    python: str | None = setting(
        None,
        help="The Python that runs managers and workers on nodes, as a path or as a name that "
        "worker_init puts on the PATH; the one that runs the script when left out.",
        validator=optional([instance_of(str), attrs.validators.min_len(1)]),
    )

    packages: Sequence[str] = setting(
        (),
        help="Packages whose version should be the same on nodes as here, such as 'numpy'. Status "
        "shows where it is not, and a warning tells of it once.",
        validator=deep_iterable(
            matches_re(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"), instance_of((tuple, list))
        ),
    )

    # ---------------------------------------------------------------------------------------- nodes

    workers_per_node: int | None = setting(
        None,
        help="Tasks that a node runs at once; when left out, as many as cores_per_worker, "
        "memory_per_worker and accelerators allow.",
        unit="workers",
        validator=optional([instance_of(int), ge(1)]),
    )
    cores_per_worker: float = setting(
        1.0,
        help="Cores that stand behind each worker, to find how many workers a node has; a "
        "fraction, such as 0.5, gives more workers than cores.",
        unit="cores",
        validator=gt(0),
    )
    memory_per_worker: int | None = setting(
        None,
        help="Memory that stands behind each worker, to find how many workers a node has; no "
        "limit is enforced.",
        unit="bytes",
        validator=optional([instance_of(int), gt(0)]),
    )
    accelerators: int | Sequence[str] | None = setting(
        None,
        help="Accelerators of a node, such as GPUs: how many, or their names as the variables "
        "CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES and ZE_AFFINITY_MASK take them. Each worker "
        "sees its own alone.",
        validator=_is_accelerators,
    )
    accelerators_per_worker: float = setting(
        1.0,
        help="Accelerators that each worker gets: 2 gives it two, 0.5 lets two workers share one.",
        unit="accelerators",
        validator=gt(0),
    )
    accelerator_variables: Sequence[str] = setting(
        (),
        help="Environment variables that name its accelerators to each worker; when left out, "
        "those that the node's own heed: CUDA_VISIBLE_DEVICES with NVIDIA's driver, "
        "ROCR_VISIBLE_DEVICES with AMD's, both and ZE_AFFINITY_MASK where neither is found.",
        validator=deep_iterable(matches_re(r"[A-Za-z_][A-Za-z0-9_]*"), instance_of((tuple, list))),
    )
    cpu_affinity: str = setting(
        "none",
        help="Whether workers are kept to cores: 'none'; 'block', neighbouring cores for each "
        "worker; 'block-reverse', the same from the last core on; 'alternating', every n-th core; "
        "or the cores of each worker, as 'list:0,1:2-3'.",
        validator=[instance_of(str), matches_re(_AFFINITY)],
    )
    isolation: Literal["none", "clean", "process"] = setting(
        "clean",
        help="What a task may leave behind for the next one on its worker: with 'clean' not its "
        "working folder, environment variables, umask or signal handlers; with 'none' all of "
        "them; with 'process' nothing, since each task gets a fresh worker.",
        validator=in_(("none", "clean", "process")),
    )
    tasks_per_worker: int | None = setting(
        None,
        help="Tasks after which a worker is replaced by a fresh one; never when left out.",
        unit="tasks",
        validator=optional([instance_of(int), ge(1)]),
    )
    environment: Mapping[str, str] = setting(
        factory=dict,
        help="Environment variables of the workers, besides those of their manager.",
        validator=[deep_mapping(instance_of(str), instance_of(str)), _are_variables],
    )

    # ------------------------------------------------------------------------------------- dispatch

    prefetch: int | Literal["auto"] = setting(
        "auto",
        help="Tasks that a manager gets beyond those that its workers run: 'auto' learns it from "
        "how long tasks take, 0 gives a task only to a free worker, any other number is meant for "
        "each worker.",
        unit="tasks",
        validator=_is_prefetch,
    )
    selector: Literal["spread", "pack"] = setting(
        "spread",
        help="Which node gets the next task: with 'spread' the one with most room, with 'pack' "
        "the one with least, so that others become idle and can be given back.",
        validator=in_(("spread", "pack")),
    )

    # -------------------------------------------------------------------------------------- network

    mode: Literal["broker", "direct"] = setting(
        "broker",
        help="Where tasks are matched to nodes: with 'broker' in a process of its own, so that a "
        "busy script starves no worker; with 'direct' on a thread of the script, which is "
        "quicker for one task at a time.",
        validator=in_(("broker", "direct")),
    )
    addresses: Sequence[str] = setting(
        (),
        help="Addresses or names of this machine at which nodes reach it, the best first; all of "
        "its own when left out. They are found without asking anybody outside.",
        validator=deep_iterable(matches_re(r"[A-Za-z0-9_.:\[\]%-]+"), instance_of((tuple, list))),
    )
    ports: tuple[int, int] | None = setting(
        None,
        help="The first and the last port of a range, one of which is listened at; any free one "
        "when left out.",
        validator=optional(_is_port_range),
    )
    encrypted: bool = setting(
        True,
        help="Whether nodes prove who they are and all that travels is encrypted. Without it only "
        "loopback addresses are listened at.",
        validator=instance_of(bool),
    )
    local_sockets: bool = setting(
        True,
        help="Whether managers on the submitting machine talk to the interchange through a socket "
        "in its private folder, which costs a fraction of the encrypted connection, rather than "
        "as those on other machines do.",
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
        help="After how long a silence a node is lost; one that hears nothing for as long ends "
        "its workers and itself.",
        unit="seconds",
        validator=gt(0),
    )
    max_message: int = setting(
        1 << 30,
        help="The largest payload that is carried to or from a node; larger ones are refused with "
        "an error that says so.",
        unit="bytes",
        validator=[instance_of(int), ge(1 << 20)],
    )
    max_in_flight: int = setting(
        256 << 20,
        help="How much of the arguments of tasks is sent ahead, as long as those tasks have not "
        "ended; what is beyond waits in the script as it is. As many tasks as there are workers, "
        "and a quarter more, are sent however large they are.",
        unit="bytes",
        validator=[instance_of(int), ge(1 << 20)],
    )
    output_kept: int = setting(
        10_000_000,
        help="How much is kept of what the tasks of one worker's place print, the first and the "
        "last of it, in files in the run folder; the rest is counted.",
        unit="bytes",
        validator=[instance_of(int), ge(1000)],
    )

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
        if self.lost_after < 2 * self.heartbeat:
            raise ValueError(
                f"lost_after is {self.lost_after:g} s, less than two heartbeats of "
                f"{self.heartbeat:g} s, so that one late sign of life would end a node"
            )
        if self.isolation == "process" and self.tasks_per_worker not in {None, 1}:
            raise ValueError(
                f"isolation='process' gives each task a fresh worker, and tasks_per_worker is "
                f"{self.tasks_per_worker}"
            )
        outside = [address for address in self.addresses if not is_loopback(address)]
        if not self.encrypted and outside:
            raise ValueError(
                f"encrypted=False is for loopback alone, and addresses names {outside[0]!r}"
            )
        share = self.accelerators_per_worker
        if share < 1 and not math.isclose(1 / share, round(1 / share)):
            raise ValueError(
                f"accelerators_per_worker below 1 is one part of several, such as 0.5 or 0.25, not "
                f"{share:g}"
            )
        if share > 1 and share != int(share):
            raise ValueError(f"accelerators_per_worker above 1 is a whole number, not {share:g}")
