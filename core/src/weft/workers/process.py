"""One worker process, as the client sees it: started, written to, read from, ended.

    client                                   worker
    socket pair   ◀── messages, both ways ──▶
    pipe          ── its end says that the client is gone ──▶
    shared memory ◀── the call it is at; the calls it may start ──▶
    process handle ── readable when the worker has ended

Belongs to one thread, that of the crew's owner. Each worker is a fresh interpreter in a session of
its own: signals of the terminal do not reach it, and all that its tasks start can be found and
ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from select import POLLIN, poll
from typing import Any
from weakref import WeakSet

from weft.bodies import handle_of
from weft.calls.chunks import spread
from weft.values.watch import NOTHING, Watch
from weft.workers.dealing import Desk
from weft.workers.packing import Slot
from weft.workers.protocol import BEGUN, CURRENT, EPOCH, SINCE, SLOT, Reader, framed

__all__ = ["DEFINED", "GREAT", "GREAT_ROOM", "Birth", "Process", "end_session", "handle_of"]

# It looks for garbage from then on when it has imported what it needs, which is none.
_BOOT = (
    "import gc, sys; gc.disable(); sys.path[:] = {path!r}; "
    "from weft.workers.worker import main; main()"
)
# Before anything else, so that every library of the worker sees it from the beginning.
_PIN = "import os; os.sched_setaffinity(0, {cpus!r}); "
_LOG_SHOWN = 4000
_ON_THE_WAY = 1 << 20
_PRINTED = 1 << 16
_DYING = 0.1
DEFINED = 64 << 20
# From so many bytes on a definition counts as great: as a rule it is a content that calls share.
GREAT, GREAT_ROOM = 4 << 20, 1 << 30


class Birth:
    """What every worker of an executor starts with.

    Args:
        folder: where logs of workers are kept.
        environment: variables besides those of this process.
        clean: whether a worker cleans up after each task.
        slots: how many workers there may be at once.
        output: whether what workers print is read here; else it goes where this process prints.
        variables: environment variables that name the accelerators a worker may use.
        watch: what workers tell of calls besides their results.

    Raises:
        OSError: nothing can be written in the folder.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        clean: bool,
        slots: int,
        output: bool = False,
        variables: Sequence[str] = (),
        watch: Watch = NOTHING,
    ) -> None:
        import mmap

        _check_folder(folder)
        self.folder = folder
        self.environment = dict(environment)
        self.variables = tuple(variables)
        self.clean, self.output = clean, output
        self.told = watch.word()
        self.here = str(Path.cwd())
        self.boot = _BOOT.format(path=[str(entry) or self.here for entry in sys.path])
        size = max(SLOT * 8 * slots, mmap.PAGESIZE)
        self.shared = _nameless_file(folder, size)
        self._memory = mmap.mmap(self.shared, size)
        self.numbers = memoryview(self._memory).cast("Q")

    def environment_of(self, number: int, slot: Slot) -> dict[str, str]:
        """The environment of one worker."""
        own = {"WEFT_WORKER": str(number), "WEFT_WORKER_SLOT": str(slot.index)}
        own.update(dict.fromkeys(self.variables, ",".join(slot.accelerators)))
        return {**os.environ, **self.environment, **own}

    def close(self) -> None:
        """Let go of the shared memory."""
        self.numbers.release()
        self._memory.close()
        os.close(self.shared)


def _check_folder(folder: Path) -> None:
    """Have trouble with the folder of logs known now, and not once for every worker."""
    folder.stat()
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _nameless_file(folder: Path, size: int) -> int:
    """A file without a name: memory that workers can be given."""
    if hasattr(os, "memfd_create"):
        import fcntl

        fd = os.memfd_create("weft-workers", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.truncate(fd, size)
        # Who writes to whatever descriptors there are writes at the end, where nothing can be
        # added.
        os.lseek(fd, size, os.SEEK_SET)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        return fd
    import tempfile

    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(size)
        return os.dup(file.fileno())


class Process:
    """A worker process.

    Attributes:
        number: counts the workers of an executor, from 1.
        slot: the part of the machine that it has; its index is its place in the shared memory.
        pid: of the process.
        desk: what it has to do.
        ready: whether it has said that it started.
        sent: digests of the definitions that it has, and how many bytes each of them is.
        room: bytes of definitions that it may still get before it is to forget all of them.
        great_room: the same of great ones, such as contents that calls share.
        handle: readable when the process has ended; -1 where the system has no such thing.
        output: readable when it has printed something; -1 if that is not read here, or no longer.
        why: why it was killed, if it was; for whom it may concern.
        code: its exit code once it was reaped, as of ``subprocess``: less than 0 for a signal.
        deadline: when something is to be done about it, if ever.
        stage: what: see the crew.
    """

    def __init__(self, birth: Birth, number: int, slot: Slot) -> None:
        self.number, self.slot = number, slot
        self.desk = Desk(self, slot)
        self.desk.open = False
        self.ready = False
        self.sent: dict[bytes, int] = {}
        self.room, self.great_room = DEFINED, GREAT_ROOM
        self.why = ""
        self.code = 0
        self.deadline: float | None = None
        self.stage = "starting"
        self.epoch = 1
        self.gone = self.writes = False
        self.output = -1
        begin = slot.index * SLOT
        self._numbers = birth.numbers[begin : begin + SLOT]
        for at in range(SLOT):
            self._numbers[at] = 0
        self._numbers[EPOCH] = self.epoch
        self._out: deque[Any] = deque()
        self._reader = Reader()
        self.log = birth.folder / f"worker-{number}.log"
        self._start(birth)

    def _start(self, birth: Birth) -> None:
        # What is opened here must be known before anybody forks; see _let_go_in_child.
        with _starting:
            self._open(birth)
        self.pid = self._popen.pid
        self._socket.setblocking(False)
        self.handle = handle_of(self.pid)

    def _open(self, birth: Birth) -> None:
        _living.add(self)
        ours: list[int] = []
        given: list[int] = []
        try:
            given.append(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            self._socket, theirs = socket.socketpair()
            for end in (self._socket, theirs):
                # The more goes at once, the less often both wake up. The system may give less.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ON_THE_WAY)
            given.append(theirs.detach())
            lifeline, self._lifeline = os.pipe()
            ours.append(self._lifeline)
            given.append(lifeline)
            if birth.output:
                self.output, theirs_to_print = os.pipe()
                ours.append(self.output)
                os.set_blocking(self.output, False)
                given.append(theirs_to_print)
            else:
                given.append(_standard_error())
            log, their_end, lifeline, errors = given
            boot = (_PIN.format(cpus=self.slot.cpus) if self.slot.cpus else "") + birth.boot
            place = self.slot.index
            words = (their_end, lifeline, birth.shared, place, errors, int(birth.clean))
            flags = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
            self._popen = subprocess.Popen(
                [sys.executable, *flags, "-c", boot, "weft-worker", *map(str, words), birth.told],
                stdin=subprocess.DEVNULL,
                stdout=errors if birth.output else None,
                stderr=log,
                cwd=birth.here,
                env=birth.environment_of(self.number, self.slot),
                pass_fds=(their_end, lifeline, birth.shared, errors),
                start_new_session=True,
            )
        except BaseException:
            _living.discard(self)
            if hasattr(self, "_socket"):
                self._socket.close()
            for one in ours:
                os.close(one)
            self._numbers.release()
            raise
        finally:
            for one in given:
                os.close(one)

    def abandon(self) -> None:
        """In a child of this process: hold nothing that would stand for a living client."""
        with contextlib.suppress(OSError, AttributeError):  # the fork may come while it is made
            os.close(self._lifeline)
            self._socket.close()
            self.close_output()

    @property
    def place(self) -> str:
        """Where a task runs, for people."""
        return f"worker {self.number} (pid {self.pid})"

    def measure(self) -> None:
        """Work out how much room is left for definitions."""
        sizes = self.sent.values()
        great = sum(size for size in sizes if size >= GREAT)
        self.great_room = GREAT_ROOM - great
        self.room = DEFINED - sum(sizes) + great

    def fileno(self) -> int:
        """Of the socket; -1 when it is closed."""
        return self._socket.fileno()

    # --------------------------------------------------------------------------------------------
    # messages

    @property
    def blocked(self) -> bool:
        """Whether there is more to write than the socket takes now."""
        return bool(self._out)

    def send(self, kind: int, parts: Sequence[Any]) -> None:
        """Write a message, now or when there is room."""
        buffers = framed(kind, *spread(parts))
        if not self._out and len(buffers) == 1:
            # Nearly always there is room for it, and nothing to keep.
            try:
                count = self._socket.send(buffers[0])
            except BlockingIOError:
                count = 0
            except OSError:
                return
            if count == len(buffers[0]):
                return
            buffers = [memoryview(buffers[0])[count:]]
        idle = not self._out
        self._out.extend(buffers)
        if idle:
            self.write()

    def write(self) -> None:
        """Write what there is room for. The worker's end is noticed elsewhere."""
        out = self._out
        try:
            while out:
                count = self._socket.sendmsg([out[at] for at in range(min(len(out), 64))])
                while out and count >= memoryview(out[0]).nbytes:
                    count -= memoryview(out.popleft()).nbytes
                if count:
                    out[0] = memoryview(out[0]).cast("B")[count:]
        except BlockingIOError:
            return
        except OSError:
            out.clear()

    def read(self, *, most: int = 16) -> Iterator[tuple[int, list[Any]]]:
        """The messages that came; sets ``gone`` when no more can come.

        Raises:
            BrokenStream: something else than messages came.
        """
        for _ in range(most):
            space = self._reader.space()
            try:
                count = self._socket.recv_into(space)
            except BlockingIOError:
                return
            except OSError:
                count = 0
            if not count:
                self.gone = True
                return
            yield from self._reader.advance(count)
            if count < len(space):
                return

    def printed(self, *, most: int = 16) -> tuple[list[bytes], bool]:
        """What it has printed, up to a bound; and whether nothing more can come."""
        came: list[bytes] = []
        for _ in range(most):
            try:
                data = os.read(self.output, _PRINTED)
            except BlockingIOError:
                return came, False
            if not data:
                return came, True
            came.append(data)
        return came, False

    def close_output(self) -> None:
        """Read no more of what it prints; if it still prints, it is told as of a broken pipe."""
        if self.output >= 0:
            os.close(self.output)
            self.output = -1

    # -------------------------------------------------------------------------------------- shared
    # memory

    def current(self) -> int:
        """The number of the call that it is at, or 0."""
        return int(self._numbers[CURRENT])

    def begun(self) -> int:
        """The number of the last call that it began, once it has come to the end of it."""
        return int(self._numbers[BEGUN])

    def since(self) -> float:
        """When it began the call that it is at, or was last at, in seconds since the epoch; or 0.

        Never later than now, whatever a task wrote there.
        """
        return min(float(self._numbers[SINCE]) * 1e-6, time.time())

    def forbid(self) -> int:
        """Have it start none of the calls sent so far. Returns the call it is at, or 0."""
        self.epoch += 1
        self._numbers[EPOCH] = self.epoch
        return self.current()

    # ------------------------------------------------------------------------------------------ end
    # end

    def kill(self, why: str) -> None:
        """End the process, and all that its tasks started, by force."""
        self.why = self.why or why
        self.desk.open = False
        end_session(self.pid)

    def terminate(self) -> None:
        """Ask the process, and what is in its group, to end."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGTERM)

    def ended(self) -> bool:
        """Whether the process has ended. It still has to be reaped."""
        if self._popen.returncode is not None:
            return True
        if hasattr(os, "waitid"):
            try:
                flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
                return os.waitid(os.P_PID, self.pid, flags) is not None
            except ChildProcessError:
                return True
        return self._popen.poll() is not None

    def reap(self) -> str:
        """End what the process left behind, and let go of it. Returns how it ended, for people."""
        end_session(self.pid)
        self.code = self._popen.wait()
        _living.discard(self)
        self._socket.close()
        os.close(self._lifeline)
        self.close_output()
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
        self._numbers.release()
        with contextlib.suppress(OSError):
            if self.log.stat().st_size == 0:
                self.log.unlink()
        return _how(self.code)

    def last_words(self) -> str:
        """The end of what it wrote to its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _LOG_SHOWN))
                return file.read(_LOG_SHOWN).decode("utf-8", "replace").strip()
        except OSError:
            return ""


_living: WeakSet[Process] = WeakSet()
_starting = threading.Lock()


def _let_go_in_child() -> None:
    _starting.release()
    for process in list(_living):
        process.abandon()


if hasattr(os, "register_at_fork"):
    # A child that is forked while a worker is started would hold ends of pipes that nobody knows
    # yet, and the worker would never hear that the client is gone.
    os.register_at_fork(
        before=_starting.acquire,
        after_in_parent=_starting.release,
        after_in_child=_let_go_in_child,
    )


def _standard_error() -> int:
    try:
        return os.dup(2)
    except OSError:  # this process has none
        return os.open(os.devnull, os.O_WRONLY)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"was ended by signal {-code}"


def end_session(session: int) -> None:
    """Kill every process of a session, whatever process groups they made.

    Returns when they are dead, or after a tenth of a second: one that waits for a disk dies later.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)
    until = time.monotonic() + _DYING
    # A process may start another one while we look, hence more than once; each round leaves fewer
    # that can.
    for _ in range(4):
        members = list(_members(session))
        if not members:
            return
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        _wait_for_the_end(members, until)


def _wait_for_the_end(pids: Iterable[int], until: float) -> None:
    """Wait until these processes have ended, where the system tells."""
    if not hasattr(os, "pidfd_open"):
        return
    events = poll()
    handles: set[int] = set()
    try:
        for pid in pids:
            with contextlib.suppress(OSError):  # it has ended
                handles.add(handle := os.pidfd_open(pid))
                events.register(handle, POLLIN)
        while handles and (left := until - time.monotonic()) > 0:
            for handle, _ in events.poll(left * 1000):
                events.unregister(handle)
                handles.discard(handle)
                os.close(handle)
    finally:
        for handle in handles:
            os.close(handle)


def _members(session: int) -> Iterator[int]:
    """The living processes of a session, as far as the system tells."""
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    for name in names:
        # A machine has thousands of processes, and a call tells of one what a file would.
        if name.isdigit() and _session_of(int(name)) == session and _lives(name):
            yield int(name)


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:  # it has ended, or must not be asked about
        return -1


def _lives(pid: str) -> bool:
    """Whether it is there, and not only waits for its parent to take note of its end."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in {b"Z", b"X"}
