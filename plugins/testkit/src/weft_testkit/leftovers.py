"""What a component leaves behind: threads, processes, descriptors.

A look is taken before the component is made and compared with one taken after it was closed. What
ends by itself within a moment is no leftover: the comparison waits for that moment, and no longer.
Nor is what Python starts once and keeps until the process ends: the tracker and the fork server of
``multiprocessing``.
"""

import os
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final, Self

import attrs
import psutil

__all__ = ["Look"]

_KEPT: Final = (
    ("multiprocessing.resource_tracker", "_resource_tracker", "_pid", ("_fd",)),
    (
        "multiprocessing.forkserver",
        "_forkserver",
        "_forkserver_pid",
        ("_forkserver_alive_fd",),
    ),
)
"""What Python keeps: the module, the object in it, where its process is, where its descriptors."""


@attrs.frozen
class Look:
    """The threads, child processes and descriptors of this process at one time.

    Attributes:
        threads: identities of those that are alive.
        processes: children and theirs, as pairs of id and start time, so that a reused id is told
            apart.
        descriptors: what each open one leads to, by its number; empty where the system does not
            tell.
    """

    threads: frozenset[int]
    processes: frozenset[tuple[int, float]]
    descriptors: frozenset[tuple[int, str]]

    @classmethod
    def now(cls, without: Collection[threading.Thread] = ()) -> Self:
        """Take a look, at all threads but some."""
        mine = {thread.ident for thread in without}
        return cls(
            threads=frozenset(
                thread.ident
                for thread in threading.enumerate()
                if thread.ident is not None and thread.ident not in mine
            ),
            processes=frozenset(_children()),
            descriptors=frozenset(_descriptors()),
        )

    def left(self, without: Collection[threading.Thread] = (), patience: float = 5.0) -> list[str]:
        """What is there now and was not there then, in words; waits until nothing is, or too long.

        Processes and threads end when they end, with no event that could be waited for here: so
        this asks again, a hundred times a second, for ``patience`` seconds at most.
        """
        end = time.monotonic() + patience
        while True:
            now = Look.now(without)
            # Those first that explain the others: a pool that is open has threads and descriptors.
            left = [
                *sorted(_named_processes(now.processes - self.processes)),
                *sorted(_named_threads(now.threads - self.threads)),
                *(f"descriptor {n} ({to})" for n, to in sorted(now.descriptors - self.descriptors)),
            ]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.01)

    def kill_rest(self) -> None:
        """End the processes that were started since, so that none outlives what started it."""
        for pid, started in Look.now().processes - self.processes:
            try:
                process = psutil.Process(pid)
                if process.create_time() == started:
                    process.kill()
                    process.wait(5)
            except (psutil.NoSuchProcess, psutil.TimeoutExpired):
                continue


def _kept() -> tuple[set[int], set[int]]:
    """The processes and descriptors that Python keeps, as far as there are any."""
    processes, descriptors = set(), set()
    for module, name, process, ends in _KEPT:
        keeper = getattr(sys.modules.get(module), name, None)
        processes.add(getattr(keeper, process, None))
        descriptors |= {getattr(keeper, end, None) for end in ends}
    return {one for one in processes if one}, {one for one in descriptors if one}


def _children() -> list[tuple[int, float]]:
    found = []
    kept = _kept()[0]
    for child in psutil.Process().children(recursive=True):
        if child.pid in kept:
            continue
        try:
            if child.status() != psutil.STATUS_ZOMBIE or child.ppid() == os.getpid():
                found.append((child.pid, child.create_time()))
        except psutil.NoSuchProcess:
            continue
    return found


def _descriptors() -> list[tuple[int, str]]:
    found = []
    try:
        open_ones = list(Path("/proc/self/fd").iterdir())
    except OSError:
        return []
    kept = _kept()[1]
    for one in open_ones:
        if int(one.name) in kept:
            continue
        try:
            found.append((int(one.name), str(one.readlink())))
        except OSError:  # the one that listed the folder is closed by now
            continue
    return found


def _named_threads(idents: frozenset[int]) -> list[str]:
    return [f"thread {t.name!r}" for t in threading.enumerate() if t.ident in idents]


def _named_processes(processes: frozenset[tuple[int, float]]) -> list[str]:
    named = []
    for pid, _ in processes:
        try:
            named.append(f"process {pid} ({' '.join(psutil.Process(pid).cmdline())[:80]})")
        except psutil.Error:
            named.append(f"process {pid} (a zombie)")
    return named
