"""What a node has, and how many workers it gets: looked at once, when its manager starts.

What the system says can be overruled by two variables of the environment: ``WEFT_CORES``, a number,
and ``WEFT_MEMORY``, in bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from weft.values.message import message

__all__ = [
    "Node",
    "accelerator_names",
    "accelerator_variables",
    "affinity_of",
    "looked_at",
    "workers_of",
]

_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

_DRIVERS: Final = (("nvidiactl", "CUDA_VISIBLE_DEVICES"), ("kfd", "ROCR_VISIBLE_DEVICES"))
_VARIABLES: Final = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


@message(eq=True)
class Node:
    """What a node has.

    Attributes:
        cpus: the numbers of the processors that may be used.
        cores: how many cores tasks are packed into; mostly as many.
        memory: bytes.
    """

    cpus: tuple[int, ...]
    cores: float
    memory: int


def looked_at(environ: Mapping[str, str] = os.environ) -> Node:
    """What this node has, as far as this process may use it."""
    try:
        cpus = tuple(sorted(os.sched_getaffinity(0)))
    except (AttributeError, OSError):  # not on every system
        cpus = tuple(range(os.cpu_count() or 1))
    cores = _number(environ.get("WEFT_CORES"), float(len(cpus)))
    memory = int(_number(environ.get("WEFT_MEMORY"), float(_memory())))
    return Node(cpus=cpus, cores=cores, memory=memory)


def _number(text: str | None, default: float) -> float:
    try:
        number = float(text or "")
    except ValueError:
        return default
    return number if number > 0 else default


def _memory() -> int:
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (ValueError, OSError):
        found = []
    for limit in _LIMITS:
        try:
            text = limit.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            found.append(int(text))
    return min(found, default=0)


def accelerator_names(given: int | Sequence[str] | None, per_worker: float) -> tuple[str, ...]:
    """The names of a node's accelerators; each as often as workers share it."""
    names = [str(at) for at in range(given)] if isinstance(given, int) else list(given or ())
    shared = max(1, round(1 / per_worker))
    return tuple(name for name in names for _ in range(shared))


def accelerator_variables(given: Sequence[str], devices: Path = Path("/dev")) -> tuple[str, ...]:
    """The variables that name its accelerators to a worker.

    Not all that there are: programs for AMD's accelerators heed CUDA_VISIBLE_DEVICES too, and count
    it within what ROCR_VISIBLE_DEVICES has left, so that the second of two would not be there.
    """
    if given:
        return tuple(given)
    found = [name for driver, name in _DRIVERS if (devices / driver).exists()]
    return tuple(found or _VARIABLES)


def workers_of(
    node: Node,
    *,
    workers: int | None,
    cores_per_worker: float,
    memory_per_worker: int | None,
    accelerators: int,
    accelerators_each: int,
) -> int:
    """How many workers a node gets."""
    if workers is not None:
        return workers
    found = [int(node.cores / cores_per_worker + 1e-9)]
    if memory_per_worker and node.memory:
        found.append(node.memory // memory_per_worker)
    if accelerators:
        found.append(accelerators // accelerators_each)
    return max(1, min(found))


def affinity_of(text: str) -> str | list[list[int]]:
    """What ``cpu_affinity`` says: its word, or the processors of each worker."""
    if not text.startswith("list:"):
        return text
    return [_cpus(part) for part in text[5:].split(":")]


def _cpus(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found
