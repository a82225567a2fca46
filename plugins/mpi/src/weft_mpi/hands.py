"""Stands between a manager and its workers: a task is run once it has nodes.

    manager ──add──▶ NodeHands ──▶ Packing: who gets which nodes
                         │
                         ├─ <ticket>.hosts   which those are, for the worker
                         ├─ <ticket>.hold    a FIFO, held by whatever keeps ranks on them
                         └──▶ Crew ──▶ workers

It has no thread: all happens within the manager's calls. The nodes of a task are free when its FIFO
has come to an end: then the task has, and so have all launchers that it started, with their ranks.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from weft.values.message import changed
from weft.workers.crew import (
    Crew,
    CrewOwner,
    CrewSettings,
    CrewStatus,
    End,
    Fate,
    Job,
    Ran,
    Said,
    Used,
)
from weft_mpi import guard
from weft_mpi.errors import NoFolder
from weft_mpi.packing import Packing
from weft_mpi.task import FOLDER, ticket_of

__all__ = ["NodeHands"]

_LINGER: Final = guard.TERM_GRACE + 2 * guard.KILL_GRACE + 2.0
"""Seconds that are waited at the end for what keeps ranks; more than it takes itself."""


class _Hold:
    """The nodes of one task, in use until the last that holds its FIFO has let go.

    Attributes:
        job: the task.
        hears: the manager's end of the FIFO.
        over: whether the task has ended.
    """

    __slots__ = ("_hosts", "_keepers", "_own", "_path", "hears", "job", "over")

    def __init__(self, job: Job, folder: Path, ticket: str, hosts: Sequence[str]) -> None:
        self.job, self.over = job, False
        self._hosts, self._path = folder / f"{ticket}.hosts", folder / f"{ticket}.hold"
        self._keepers: list[int] = []
        self._hosts.write_text("".join(f"{host}\n" for host in hosts))
        os.mkfifo(self._path, 0o600)
        self.hears = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # Held here as long as the task goes on, so that the end of the FIFO is that of all.
        self._own = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def hear(self) -> bool:
        """Take note of who holds it. Returns whether anybody does."""
        try:
            said = os.read(self.hears, 4096)
        except BlockingIOError:
            return True
        for word in said.split():
            self._keepers = _living(self._keepers)
            # They say their number while they live; a handle stays theirs when they have ended.
            with contextlib.suppress(OSError, ValueError):
                self._keepers.append(_handle(int(word)))
        if self.over:
            self._stop_keepers()
        return bool(said)

    def end(self) -> None:
        """The task has ended: let go, and end what it left running on its nodes."""
        if self.over:
            return
        self.over = True
        os.close(self._own)
        self._stop_keepers()

    def _stop_keepers(self) -> None:
        for keeper in self._keepers:
            with contextlib.suppress(OSError):
                _ask_to_end(keeper)

    def close(self) -> None:
        """Nobody holds it any more."""
        for keeper in self._keepers:
            _let_go(keeper)
        os.close(self.hears)
        if not self.over:
            self.over = True
            os.close(self._own)
        for path in (self._hosts, self._path):
            path.unlink(missing_ok=True)


if hasattr(os, "pidfd_open"):

    def _handle(pid: int) -> int:
        return os.pidfd_open(pid)

    def _ask_to_end(handle: int) -> None:
        signal.pidfd_send_signal(handle, signal.SIGTERM)

    def _let_go(handle: int) -> None:
        os.close(handle)

    def _living(handles: list[int]) -> list[int]:
        """Those that have not ended; a task may start one launcher after another."""
        poll = select.poll()
        for one in handles:
            poll.register(one, select.POLLIN)
        ended = {one for one, _ in poll.poll(0)}
        for one in ended:
            os.close(one)
        return [one for one in handles if one not in ended]

else:  # no handles for processes here: their numbers must do

    def _handle(pid: int) -> int:
        return pid

    def _ask_to_end(handle: int) -> None:
        os.kill(handle, signal.SIGTERM)

    def _let_go(handle: int) -> None:
        """There is nothing to let go of."""

    def _living(handles: list[int]) -> list[int]:
        return handles[-1:]  # one after another is what tasks do


class NodeHands:
    """Gives tasks their nodes, and a crew the tasks that have some. As a crew to its manager.

    Args:
        settings: of the crew, as the manager makes them.
        selector: the manager's.
        owner: the manager.
        hosts: the nodes of the block.
        log: takes lines.

    Raises:
        NoFolder: no temporary files can be made.
    """

    def __init__(
        self,
        settings: CrewSettings,
        selector: selectors.BaseSelector,
        owner: CrewOwner,
        hosts: Sequence[str],
        log: Callable[[str], None],
    ) -> None:
        self._selector, self._owner, self._log = selector, owner, log
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="weft-mpi-"))
        except OSError as trouble:
            raise NoFolder(str(trouble)) from trouble
        self._packing: Packing[Job] = Packing(hosts)
        self._holds: dict[Job, _Hold] = {}
        self._ends: list[End] = []
        self._returns: list[Job] = []
        self._draining = self._over = False
        self._crew = Crew(
            changed(
                settings,
                prefetch=0.0,
                # Of a block, nodes are counted, and nothing of a node.
                cores=None,
                memory=None,
                accelerators=(),
                accelerators_per_worker=None,
                environment={**settings.environment, FOLDER: str(self._folder)},
            ),
            selector,
            self,
        )

    # -------------------------------------------------------------------------- as a crew has them

    @property
    def ready(self) -> int:
        """How many workers are ready."""
        return self._crew.ready

    @property
    def closed(self) -> bool:
        """Whether it was closed, and all has ended, on all nodes."""
        return self._crew.closed and not self._holds

    def start(self) -> None:
        """Start the workers."""
        self._crew.start()

    def handle(self, key: selectors.SelectorKey, mask: int) -> None:
        """Take what happened to a worker, or to a FIFO."""
        if isinstance(key.data, _Hold):
            self._hear(key.data)
        else:
            self._crew.handle(key, mask)

    def until_next(self) -> float | None:
        """Seconds until a tick is due."""
        return 0.0 if self._ends or self._returns else self._crew.until_next()

    def tick(self, now: float) -> None:
        """Give nodes to those whose turn it is, have the crew deal, and tell what has ended."""
        self._allot()
        self._crew.tick(now)
        if self._ends:
            ends, self._ends = self._ends, []
            self._owner.crew_ends(ends)
        if self._returns:
            returns, self._returns = self._returns, []
            self._owner.crew_returns(returns)

    def add(self, jobs: Iterable[Job]) -> None:
        """Take jobs; they wait for their nodes."""
        for job in jobs:
            count = 1 if job.needs is None else int(job.needs.accelerators or 1)
            job.needs = None
            if self._draining:
                self._give_back(job)
            elif count > len(self._packing.nodes):
                there = len(self._packing.nodes)
                why = f"{job.name} asks for {count} nodes, and its block has {there}."
                self._end(job, Fate.IMPOSSIBLE, why)
            else:
                self._packing.wait(job, count, job.priority)

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Drop jobs that wait; end the workers of those that run."""
        others = []
        for job in jobs:
            if self._packing.cancel(job):
                self._end(job, Fate.CANCELLED)
            else:
                others.append(job)
        self._crew.cancel(others)

    def close(self, timeout: float) -> None:
        """Finish what runs, and give back what waits."""
        self._drain()
        self._crew.close(timeout)

    def end(self, why: str = "Its executor ended.") -> None:
        """Kill what is left, wait for what keeps ranks, let go of everything."""
        if self._over:
            return
        self._over = True
        self._drain()
        self._crew.end(why)
        self._tell_returns()
        for hold in list(self._holds.values()):
            hold.end()
        until = time.monotonic() + _LINGER
        while self._holds and (left := until - time.monotonic()) > 0:
            by_end = {hold.hears: hold for hold in self._holds.values()}
            ready, _, _ = select.select(list(by_end), [], [], left)
            for end in ready:
                self._hear(by_end[end])
        for hold in list(self._holds.values()):
            self._log(f"what keeps the ranks of {hold.job.name} does not end")
            self._release(hold)
        shutil.rmtree(self._folder, ignore_errors=True)

    def status(self) -> CrewStatus:
        """How it is now."""
        found = self._crew.status()
        return changed(found, waiting=found.waiting + self._packing.waiting)

    # ------------------------------------------------------------------------ what the crew tells

    def crew_told(self, said: Sequence[Said], used: Sequence[Used]) -> None:
        """These have said or used something."""
        self._owner.crew_told(said, used)

    def crew_results(self, results: Sequence[Ran]) -> None:
        """These have results."""
        for ran in results:
            self._done(ran[0])
        self._owner.crew_results(results)

    def crew_ends(self, ends: Sequence[End]) -> None:
        """These have none."""
        for end in ends:
            self._done(end.job)
        self._owner.crew_ends(ends)

    def crew_returns(self, jobs: Sequence[Job]) -> None:
        """These have not begun."""
        for job in jobs:
            self._done(job)
        self._owner.crew_returns(jobs)

    def crew_failed(self, reason: str) -> None:
        """Workers cannot be started."""
        self._drain()
        self._owner.crew_failed(reason)

    # --------------------------------------------------------------------------------------- nodes

    def _allot(self) -> None:
        for job, hosts in self._packing.allot():
            one: Any = job  # the manager's, which knows of which try it is
            ticket = ticket_of(one.id, one.attempt)
            try:
                hold = _Hold(job, self._folder, ticket, hosts)
            except OSError as trouble:
                self._packing.give_back(job)
                why = f"The nodes of {job.name} cannot be written down: {trouble}"
                self._end(job, Fate.LOST, why)
                continue
            self._holds[job] = hold
            self._selector.register(hold.hears, selectors.EVENT_READ, hold)
            self._crew.add([job])

    def _hear(self, hold: _Hold) -> None:
        if not hold.hear():
            self._release(hold)

    def _release(self, hold: _Hold) -> None:
        """Its nodes are free."""
        del self._holds[hold.job]
        self._selector.unregister(hold.hears)
        hold.close()
        self._packing.give_back(hold.job)

    def _done(self, job: Job) -> None:
        hold = self._holds.get(job)
        if hold is not None:
            hold.end()

    def _drain(self) -> None:
        self._draining = True
        for job in self._packing.clear():
            self._give_back(job)

    def _give_back(self, job: Job) -> None:
        job.over = True
        self._returns.append(job)

    def _tell_returns(self) -> None:
        if self._returns:
            returns, self._returns = self._returns, []
            self._owner.crew_returns(returns)

    def _end(self, job: Job, fate: Fate, loss: str = "") -> None:
        job.over = True
        self._ends.append(End(job, fate, loss))
