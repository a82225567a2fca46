"""Runs one job of the local provider; nothing of it outlives its own end or that of its client.

A program of its own, with only a little of the standard library, so that it starts within a
hundredth of a second: it comes before every job. It is the parent of the job's first process, in
another session, and adopts whatever that process leaves behind; so it finds every process of the
job, also those that made themselves a new session.

    client ──lifeline (stdin)──▶ guard ──▶ /bin/sh job.sh ──▶ …        the job, in a session of its
    own
       ▲                           │ ▲                        │
       └──────── verdict ──────────┘ └──── adopted orphans ───┘

It ends the job (TERM, grace, KILL) when a byte or the end comes out of the lifeline, when the
client is gone, or when it is sent TERM itself. When the first process ends by itself, what is left
of the job is ended in the same way. Then it writes one line into the verdict: ``self CODE``,
``stopped CODE`` or ``error TEXT``; the code is negative for a signal.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` wraps it in enumerations
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_SUBREAPER, _PARENT_DEATH = 36, 1


def main(arguments: list[str]) -> NoReturn:
    """Run the job, and end: ``SCRIPT GRACE CLIENT-PID VERDICT-DESCRIPTOR``."""
    script, grace, client, verdict = arguments[0], float(arguments[1]), *map(int, arguments[2:])
    os.set_inheritable(verdict, False)
    guard = Guard(script, grace, client)
    _write(verdict, f"{guard.run()}\n")
    # All that is left is memory, which the system frees sooner than Python would.
    os._exit(0)


class Guard:
    """The job and its end. One thread, which waits in one place for all that can happen."""

    def __init__(self, script: str, grace: float, client: int) -> None:
        self._script, self._grace = script, grace
        self._told = False
        self._code: int | None = None
        self._asked: set[int] = set()
        hear, say = os.pipe()
        for end in (hear, say):
            os.set_blocking(end, False)
        self._signals = hear
        signal.set_wakeup_fd(say, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _heard)
        signal.signal(signal.SIGTERM, self._stop)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        self._poll = select.poll()
        self._poll.register(hear, select.POLLIN)
        self._poll.register(0, select.POLLIN)
        _adopt_orphans()
        # The lifeline can be held open by a process that the client forked; its own handle cannot.
        self._client = _handle_of(client)
        if self._client is not None:
            self._poll.register(self._client, select.POLLIN)
        if os.getppid() != client:
            self._told = True

    def run(self) -> str:
        """Run the job to its end, whatever that is. Returns the verdict."""
        if self._over():
            return "stopped -15"
        try:
            self._job = _started(self._script)
        except OSError as error:
            return f"error {error.strerror}"
        while not self._over():
            self._wait(None)
        how = "self" if self._code is not None else "stopped"
        self._end()
        return f"{how} {self._code if self._code is not None else -9}"

    def _over(self) -> bool:
        return self._told or self._code is not None

    def _stop(self, *_: object) -> None:
        self._told = True

    def _wait(self, seconds: float | None) -> None:
        """Wait for anything to happen, and take note of it."""
        for descriptor, _ in self._poll.poll(None if seconds is None else max(0.0, seconds) * 1000):
            if descriptor == self._signals:
                _drain(self._signals)
            else:
                # Once is enough: the end of a pipe would be told again and again.
                self._poll.unregister(descriptor)
                self._told = True
        self._reap()

    def _reap(self) -> bool:
        """Take note of processes that have ended. Returns whether any are left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._job:
                self._code = os.waitstatus_to_exitcode(status)

    def _end(self) -> None:
        """End all that is left: ask, wait for the grace to pass, kill until nothing is left."""
        until = time.monotonic() + self._grace
        if self._reap() or sys.platform != "linux":
            # The group first: without adoption its orphans are not among the children.
            _send(os.killpg, self._job, signal.SIGTERM)
        while self._reap() and time.monotonic() < until:
            # Each process that ends hands its own children over to this one.
            for child in set(_children()) - self._asked:
                self._asked.add(child)
                _send(os.kill, child, signal.SIGTERM)
            self._wait(until - time.monotonic())
        while self._reap():
            _send(os.killpg, self._job, signal.SIGKILL)
            for child in _children():
                _send(os.kill, child, signal.SIGKILL)
            self._wait(0.05)


def _send(way: Callable[[int, int], None], to: int, number: int) -> None:
    try:
        way(to, number)
    except (ProcessLookupError, PermissionError):  # it has ended, or become somebody else's
        return


def _drain(descriptor: int) -> None:
    try:
        os.read(descriptor, 4096)
    except BlockingIOError:
        return


def _heard(*_: object) -> None:
    """What a signal needs in order to come out of the wake-up descriptor."""


def _started(script: str) -> int:
    """Start the job's first process, in a session of its own. Returns its id once it runs."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(script, there)
    os.close(there)
    with open(here, "rb") as report:  # noqa: PTH123 - a descriptor
        said = report.read()
    if said:
        os.waitpid(pid, 0)
        raise OSError(int(said), os.strerror(int(said)))
    return pid


def _become(script: str, report: int) -> None:
    """In the new process: turn into the job. Does not return."""
    try:
        os.setsid()
        for number in (
            signal.SIGCHLD,
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGPIPE,
        ):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        guard = os.getppid()
        _control(_PARENT_DEATH, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.execv("/bin/sh", ["/bin/sh", script])  # noqa: S606 - the job's text is for this shell
    except OSError as error:
        os.write(report, str(error.errno).encode())
    finally:
        os._exit(127)


def _control(what: int, value: int) -> None:
    """``prctl``, where the system has it."""
    if sys.platform != "linux":
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def _adopt_orphans() -> None:
    _control(_SUBREAPER, 1)


def _handle_of(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _children() -> list[int]:
    """The processes whose parent this one is, as far as the system tells."""
    me = str(os.getpid())
    try:
        with open(f"/proc/{me}/task/{me}/children", encoding="ascii") as listed:  # noqa: PTH123
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return _children_by_looking(me)


def _children_by_looking(me: str) -> list[int]:
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return []
    return [pid for pid in pids if _parent_of(pid) == me]


def _parent_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123
            # The second field is the program's name in parentheses, which may hold anything.
            return stat.read().rpartition(")")[2].split()[1]
    except (OSError, IndexError):
        return ""


def _write(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, text.encode())
    except OSError:  # nobody is left to read it
        return
