"""Watches over one host's part of a job. Runs on that host, and travels there by ssh itself.

A program of its own, with only the standard library of Python 3.7 or newer: its text is sent over
the connection, so that nothing has to be installed for it, and nothing of a job is in a command.

    client ──▶ stdin    one job; signs of life; "stop"
    stdout ──▶ client   the greeting; "begun"; what the job prints; files; the verdict

It is the parent of the job's first process, in another session, and adopts whatever that leaves
behind; so it finds every process of the job, also those that made themselves a new session. It ends
them all (TERM, grace, KILL) when the client says so, when the connection ends, when the client has
given no sign of life for the time of its lease, when it is sent TERM itself, and when the first
process has ended. What the client must not wait for, such as a full connection, it does not wait
for either: then the job's own output waits.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import stat
import struct
import tempfile
import time
from collections.abc import Callable
from typing import Any

_SUBREAPER, _PARENT_DEATH = 36, 1
_READ, _WAITING = 1 << 16, 1 << 20
_FETCHED = 16 << 20
_SHARED_WITHIN = 5.0
_FIRST_LEASE = 60.0


class Gone(Exception):
    """Nobody is left to be told."""


class Refused(Exception):
    """The job cannot be started; the words say why."""


class Line:
    """To the client and back; nothing here ever waits for it."""

    def __init__(self) -> None:
        self._in, self._out = b"", bytearray(b"\0weft-ssh 1\n")
        self.lease: float | None = _FIRST_LEASE
        self.heard = time.monotonic()
        for end in (0, 1):
            os.set_blocking(end, False)

    @property
    def waiting(self) -> int:
        """How many bytes wait for the client."""
        return len(self._out)

    def say(self, kind: bytes, data: bytes = b"") -> None:
        """Have a frame sent."""
        self._out += struct.pack(">cI", kind, len(data)) + data

    def flush(self) -> None:
        """Send what can be sent."""
        while self._out:
            try:
                del self._out[: os.write(1, self._out[:_READ])]
            except BlockingIOError:
                return
            except OSError:
                raise Gone("the connection is closed") from None

    def hear(self) -> list[Any]:
        """What the client has said: a list; a sign of life is an empty dictionary."""
        while True:
            try:
                data = os.read(0, _READ)
            except BlockingIOError:
                break
            except OSError:
                raise Gone("the connection is broken") from None
            if not data:
                raise Gone("the connection has ended")
            self._in += data
        said: list[Any] = []
        while len(self._in) >= 4:
            (length,) = struct.unpack_from(">I", self._in)
            if len(self._in) < 4 + length:
                break
            text, self._in = self._in[4 : 4 + length], self._in[4 + length :]
            said.append(json.loads(text.decode("ascii")) if length else {})
        if said:
            self.heard = time.monotonic()
        return said

    def left(self) -> float | None:
        """Seconds until the lease is over."""
        if self.lease is None:
            return None
        left = self.heard + self.lease - time.monotonic()
        if left <= 0:
            raise Gone("the client gave no sign of life")
        return left


class Part:
    """The job here, from its first process to the last."""

    def __init__(self) -> None:
        hear, say = os.pipe()
        for end in (hear, say):
            os.set_blocking(end, False)
        self._signals = hear
        signal.set_wakeup_fd(say, warn_on_full_buffer=False)
        self._told = False
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminated)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        _control(_SUBREAPER, 1)
        self.line = Line()
        self.line.flush()
        self._pipes: dict[int, bytes] = {}
        self._job = 0
        self._code: int | None = None
        self._folder, self._way = "", ""
        self._brought: set[str] = set()
        self._grace = 5.0

    def _terminated(self, *_: object) -> None:
        self._told = True

    def run(self) -> None:
        """Take the job, run it, tell how it ended. Leaves nothing."""
        verdict: dict[str, Any]
        try:
            try:
                orders = self._taken()
                if orders is not None:
                    self._begin(orders)
                    while not (self._told or self._code is not None):
                        self._wait(None)
                verdict = {"how": "self" if self._code is not None else "stopped"}
            except Refused as why:
                verdict = {"how": "refused", "why": str(why)}
            self._end()
            verdict["code"] = self._code
            self._fetch(verdict)
            self._told = False  # from here on it is no reason to wait less
            self.line.say(b"v", json.dumps(verdict).encode("ascii"))
            self._sent(0)
        except Gone:
            with contextlib.suppress(Gone):
                self.line.lease = None
                self._end(deaf=True)
        finally:
            self._clean()

    def _taken(self) -> Any:
        """The job, when it comes; nothing if it is not wanted any more."""
        while not self._told:
            for said in self._wait(self.line.left()):
                if "job" in said:
                    return said["job"]
        return None

    def _wait(self, seconds: float | None, *, deaf: bool = False) -> list[Any]:
        """Wait for anything to happen, and take note of it. Returns what the client said."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        said: list[Any] = []
        if not deaf:
            poll.register(0, select.POLLIN)
            self.line.flush()
            if self.line.waiting:
                poll.register(1, select.POLLOUT)
            left = self.line.left()
            if left is not None:
                seconds = left if seconds is None else min(seconds, left)
        if deaf or self.line.waiting <= _WAITING:
            for pipe in self._pipes:
                poll.register(pipe, select.POLLIN)
        timeout = None if seconds is None else max(0, int(seconds * 1000) + 1)
        for ready, _ in poll.poll(timeout):
            if ready == self._signals:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._signals, 4096)
            elif ready == 0:
                said = self.line.hear()
                self._told = self._told or any("stop" in one for one in said)
            elif ready in self._pipes:
                self._pump(ready, deaf=deaf)
        self._reap()
        return said

    def _sent(self, most: int) -> None:
        """Wait until no more than so much is left to be sent."""
        self.line.flush()
        while self.line.waiting > most:
            self._wait(None)
            self.line.flush()

    def _pump(self, pipe: int, *, deaf: bool) -> None:
        try:
            data = os.read(pipe, _READ)
        except OSError:
            data = b""
        if not data:
            os.close(pipe)
            del self._pipes[pipe]
        elif not deaf:
            self.line.say(self._pipes[pipe], data)

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
                self._code = (
                    -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                )

    # --------------------------------------------------------------------------------- its begin

    def _begin(self, orders: dict[str, Any]) -> None:
        self._grace, self.line.lease = orders["grace"], orders["lease"]
        environment = dict(os.environb)
        for name, value in orders["environment"].items():
            environment[_bytes(name)] = _bytes(value)
        self._way = orders["way"]
        script = self._private(orders, environment) if orders["folder"] else self._shared(orders)
        if orders["run"]:
            self._start(script, environment)
        self.line.say(b"b", json.dumps({"pid": self._job}).encode("ascii"))

    def _shared(self, orders: dict[str, Any]) -> str:
        """The script where the client wrote it. A file system may show it a little late."""
        script = os.path.join(orders["home"], "job.sh")
        wanted = _bytes(orders["script"])
        until = time.monotonic() + _SHARED_WITHIN
        while True:
            try:
                with open(_bytes(script), "rb") as file:
                    if file.read() == wanted:
                        return script
                    why = "another file of this name is there"
            except OSError as error:
                why = str(error.strerror)
            if time.monotonic() > until:
                raise Refused(f"unseen {script}: {why}")
            self._wait(0.2)

    def _private(self, orders: dict[str, Any], environment: dict[bytes, bytes]) -> str:
        """A folder of the job's own, with its files."""
        base = os.path.expanduser(orders["folder"])
        try:
            os.makedirs(base, mode=0o700, exist_ok=True)
            self._folder = tempfile.mkdtemp(prefix=orders["name"] + "-", dir=base)
            for variable, (name, data) in orders["files"].items():
                environment[_bytes(variable)] = os.fsencode(
                    self._write(name, base64.b64decode(data))
                )
            return self._write("job.sh", _bytes(orders["script"]))
        except OSError as error:
            raise Refused(f"folder {base}: {error.strerror}") from error

    def _write(self, name: str, data: bytes) -> str:
        path = os.path.join(self._folder, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
        self._brought.add(name)
        return path

    def _start(self, script: str, environment: dict[bytes, bytes]) -> None:
        """Start the first process, in a session of its own, and see that it is /bin/sh."""
        here, there = os.pipe()
        ends = [os.pipe(), os.pipe()]
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(_bytes(script), environment, me, (there, ends[0][1], ends[1][1]))
        os.close(there)
        for kind, (read, write) in zip((b"o", b"e"), ends):  # noqa: B905 - Python 3.7 has no strict
            os.close(write)
            os.set_blocking(read, False)
            self._pipes[read] = kind
        self._job = pid
        with open(here, "rb") as report:
            trouble = report.read()
        if trouble:
            raise Refused(f"start /bin/sh: {trouble.decode('utf-8', 'replace')}")

    # ----------------------------------------------------------------------------------- its end

    def _end(self, *, deaf: bool = False) -> None:
        """End all that is left: ask, wait for the grace to pass, kill until nothing is left."""
        until = time.monotonic() + self._grace
        asked: set[int] = set()
        if self._reap():
            _send(os.killpg, self._job, signal.SIGTERM)
        while self._reap() and time.monotonic() < until:
            for child in _children():
                if child not in asked:
                    asked.add(child)
                    _send(os.kill, child, signal.SIGTERM)
            self._wait(until - time.monotonic(), deaf=deaf)
        while self._reap():
            _send(os.killpg, self._job, signal.SIGKILL)
            for child in _children():
                _send(os.kill, child, signal.SIGKILL)
            self._wait(0.05, deaf=deaf)
        # All are gone, so what they wrote has an end, unless somebody else's hands are on it.
        until = time.monotonic() + self._grace
        while self._pipes and not deaf and time.monotonic() < until:
            self._wait(until - time.monotonic())

    def _fetch(self, verdict: dict[str, Any]) -> None:
        """Send what the job wrote into its own folder."""
        room = _FETCHED
        left: list[str] = []
        for place, _, names in os.walk(self._folder) if self._folder else ():
            for name in sorted(names):
                path = os.path.join(place, name)
                title = os.path.relpath(path, self._folder)
                found = os.lstat(path)
                if title in self._brought or not stat.S_ISREG(found.st_mode):
                    continue
                if found.st_size > room:
                    left.append(title)
                    continue
                room -= found.st_size
                self._send_file(path, _bytes(title))
        verdict["left"] = left[:10]

    def _send_file(self, path: str, title: bytes) -> None:
        head = struct.pack(">I", len(title)) + title
        with open(path, "rb") as file:
            data = file.read(_READ)
            self.line.say(b"f", head + data)
            while data:
                self._sent(_WAITING)
                data = file.read(_READ)
                if data:
                    self.line.say(b"f", head + data)

    def _clean(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._way:
            with contextlib.suppress(OSError):
                os.unlink(self._way)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _become(
    script: bytes, environment: dict[bytes, bytes], watcher: int, ends: tuple[int, int, int]
) -> None:
    """In the new process: turn into the job. Does not return."""
    report, out, err = ends
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (
            signal.SIGCHLD,
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGPIPE,
        ):
            signal.signal(number, signal.SIG_DFL)
        _control(_PARENT_DEATH, signal.SIGKILL)
        if os.getppid() != watcher:
            os._exit(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(os.path.dirname(script))
        os.execve("/bin/sh", [b"/bin/sh", script], environment)  # noqa: S606 - the job's text is for this shell
    except (OSError, ValueError) as error:
        os.write(report, str(error).encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _send(way: Callable[[int, int], None], to: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if to:
            way(to, number)


def _control(what: int, value: int) -> None:
    """``prctl``, where the system has it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(what, value, 0, 0, 0)


def _children() -> list[int]:
    """The processes whose parent this one is."""
    me = str(os.getpid())
    try:
        with open(f"/proc/{me}/task/{me}/children", encoding="ascii") as listed:
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    Part().run()
