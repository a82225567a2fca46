"""Clocks: wall time, and the processor time of this process and of all below it.

The processor time of a living process is read from its own clock, in nanoseconds; that of processes
that ended and were waited for is what the system added up for their parents. Where there is no
``/proc``, only this process and the ended ones count.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "Span",
    "adopt_orphans",
    "cpu_of",
    "peak_of",
    "peak_of_the_largest",
    "quantile",
    "resident",
    "span",
    "tree_cpu",
]

_TICK = os.sysconf("SC_CLK_TCK")
_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Keep processes whose parent ends below this one, so that they count; on Linux alone."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def tree_cpu() -> float:
    """Seconds of processor time used so far by this process and by every one below it."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    return total + sum(cpu_of(pid) for pid in _below(os.getpid()))


def _below(pid: int) -> Iterator[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for thread in threads:
        try:
            children = (thread / "children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from _below(child)


def cpu_of(pid: int) -> float:
    """What a process used itself, and what those that it waited for used."""
    used = 0.0
    with contextlib.suppress(OSError, IndexError):
        # The number that clock_getcpuclockid() makes of a process.
        used += time.clock_gettime((~pid << 3) | 2)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += (int(fields[13]) + int(fields[14])) / _TICK
    return used


def peak_of_the_largest() -> float:
    """Bytes of memory that this process, or one below it, held at its worst: the largest such."""
    return max([peak_of(pid) for pid in (os.getpid(), *_below(os.getpid()))], default=0.0)


def peak_of(pid: int) -> float:
    """Bytes of memory that a process held at its worst."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    return 0.0


def resident() -> float:
    """Bytes of memory that this process holds."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * float(resource.getpagesize())
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most * (1.0 if sys.platform == "darwin" else 1024.0)


class Span:
    """Seconds between entering and leaving.

    Attributes:
        wall, cpu: seconds; of the clock, and of the processors for the whole process tree.
    """

    wall = 0.0
    cpu = 0.0

    def each(self, count: int) -> dict[str, float]:
        """Microseconds for each of ``count`` things, and how many there were in a second."""
        return {
            "cpu": 1e6 * self.cpu / count,
            "wall": 1e6 * self.wall / count,
            "rate": count / self.wall if self.wall else 0.0,
        }


@contextlib.contextmanager
def span() -> Iterator[Span]:
    """Measure what is done inside."""
    gc.collect()
    seen = Span()
    cpu, wall = tree_cpu(), time.perf_counter()
    yield seen
    seen.wall = time.perf_counter() - wall
    seen.cpu = tree_cpu() - cpu


def quantile(values: list[float], share: float) -> float:
    """The value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
