"""Starts a launcher of ranks, and sees to it that they end: with their task, whatever ends that.

    task ── front ──▶ keeper (a session of its own) ──▶ launcher ──▶ ranks, on all nodes
              │  pipe   │
              └─────────┴──▶ FIFO of the task's nodes, open as long as one of them may be in use

A worker whose task is cancelled is killed at once, with all of its session. A launcher that is
killed leaves ranks: a step of Slurm goes on without its srun. So the launcher is asked to end, and
killed when it does not, by a keeper in another session, which notices the end of the front by that
of a pipe. What the launcher has started here (an ssh or srun for each other node) ends when all has
ended there, and the keeper waits for that, too.

This file is run by itself, as ``python -IS guard.py LAUNCHER WORD…``, so it uses the standard
library alone, and little of that.
"""

import os
import select
import signal
import sys
import time

__all__ = ["HOLD", "main"]

HOLD = "WEFT_MPI_HOLD"
"""The variable that names the FIFO of the task's nodes."""

TERM_GRACE = 3.0
"""Seconds that a launcher has to end its ranks when it is asked to."""

KILL_GRACE = 10.0
"""Seconds that what it started has to end when it was killed."""

_LOOK = 0.05
_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _noted(*_: object) -> None:
    """The loop reads of it."""


def _waking() -> int:
    """A descriptor that can be read from when a signal has come."""
    hears, says = os.pipe()
    for end in (hears, says):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(says, warn_on_full_buffer=False)
    for number in (*_ASKED, signal.SIGCHLD):
        signal.signal(number, _noted)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED)
    return hears


def _came(wake: int) -> set[int]:
    """The numbers of the signals that came."""
    try:
        return set(os.read(wake, 64))
    except BlockingIOError:
        return set()


def _say(text: str) -> None:
    os.write(2, f"weft: {text}\n".encode())


# ------------------------------------------------------------------------------------------- front


def _front(told: int, asks: int, wake: int) -> int:
    """Wait for the keeper; pass on that the end is wanted. Returns a status as of ``waitpid``."""
    poll = select.poll()
    poll.register(told, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if wake in ready and _came(wake) & set(_ASKED):
            try:
                os.write(asks, b"!")
            except BrokenPipeError:  # it has ended, and said how
                ready.add(told)
        if told in ready:
            said = os.read(told, 16)
            if not said:
                _say("what keeps the ranks was killed")
                return 1 << 8
            return int(said)


def _end_as(status: int) -> None:
    """End as the launcher did."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


# ------------------------------------------------------------------------------------------ keeper


def _hold() -> int:
    """Hold the nodes of the task, unless it has ended already.

    Raises:
        OSError: it has, or this is no task.
    """
    path = os.environ.get(HOLD, "")
    if not path:
        raise FileNotFoundError(f"{HOLD} is not set: this is no task with nodes of its own")
    hold = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.write(hold, b"%d\n" % os.getpid())
    return hold


def _keep(words: list[str], front: int, wake: int) -> int:
    """Run the launcher until it ends, or is to end. Returns its status."""
    try:
        _hold()
    except OSError as trouble:
        _say(f"no ranks are started, for their task has ended or there is none ({trouble})")
        return 1 << 8
    try:
        launcher = os.posix_spawnp(
            words[0], words, os.environ, setpgroup=0, setsigmask=(), setsigdef=(*_ASKED, 13)
        )
    except OSError as trouble:
        _say(f"{words[0]} cannot be started: {trouble.strerror}")
        return 127 << 8
    status = _wait(launcher, front, wake)
    if status is None:
        status = _ended(launcher, wake)
    else:
        _sweep(0.0)
    return status


def _wait(launcher: int, front: int, wake: int) -> int | None:
    """The launcher's status, or ``None`` when it is to end."""
    poll = select.poll()
    poll.register(front, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        pid, status = os.waitpid(launcher, os.WNOHANG)
        if pid:
            return status
        ready = {fd for fd, _ in poll.poll()}
        # The end of the front's end of the pipe says as much as a word in it.
        if front in ready or (wake in ready and _came(wake) & set(_ASKED)):
            return None


def _ended(launcher: int, wake: int) -> int:
    """Have the launcher end, and with it all that it started."""
    status = 0
    for number, grace in ((signal.SIGTERM, TERM_GRACE), (signal.SIGKILL, KILL_GRACE)):
        # It alone: it knows best how its ranks are ended.
        os.kill(launcher, number)
        until = time.monotonic() + grace
        pid = 0
        while not pid and (left := until - time.monotonic()) > 0:
            pid, status = os.waitpid(launcher, os.WNOHANG)
            if not pid:
                select.select([wake], [], [], left)
                _came(wake)
        if pid:
            break
    _sweep(KILL_GRACE)
    return status


def _sweep(grace: float) -> None:
    """Wait for what the launcher left in this session; then kill it."""
    until = time.monotonic() + grace
    # Who has lost its parent tells nobody of its end, so there is nothing to wait for but time.
    while (left := _others()) and time.monotonic() < until:
        time.sleep(_LOOK)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue


def _others() -> list[int]:
    """The living processes of this session but this one, as far as the system tells."""
    own, found = os.getpid(), []
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib would take longer than all else
    except OSError:
        return []
    for name in names:
        if name.isdigit() and int(name) != own:
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if len(fields) > 3 and int(fields[3]) == own and fields[0] not in {b"Z", b"X"}:
                found.append(int(name))
    return found


# -------------------------------------------------------------------------------------------- both


def main(words: list[str]) -> None:
    """Be the front of a keeper, and end as the launcher does."""
    if not words:
        _say("there is no launcher to start")
        os._exit(2)
    told, tells = os.pipe()
    asked, asks = os.pipe()
    # Until each of the two hears it: the launcher may run before the front does.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)
    if os.fork():
        os.close(tells)
        os.close(asked)
        _end_as(_front(told, asks, _waking()))
    os.close(told)
    os.close(asks)
    os.setsid()
    status = _keep(words, asked, _waking())
    try:
        os.write(tells, b"%d" % status)
    except BrokenPipeError:  # the front was killed
        os._exit(0)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
