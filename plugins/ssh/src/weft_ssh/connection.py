"""One connection: a process ``ssh``, the watcher at its other end, and what each said last.

Belongs to the thread of the switchboard from the moment that it is handed over.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from weft_ssh.frames import BEGUN, ERR, FILE, OUT, VERDICT, NotUnderstood, Reader, file_in, frame

__all__ = ["Connection", "program"]

_READ: Final = 1 << 16
_UNSENT: Final = 1 << 16
_LOG: Final = 1 << 16
_TURN: Final = 16
_ENDS: Final = 0.2
_SAYS_GOODBYE: Final = 2.0


def program() -> bytes:
    """The watcher, as it travels."""
    return Path(__file__).with_name("watcher.py").read_bytes() + b"\0"


class Connection:
    """To one host, for one job.

    Args:
        host: the host.
        words: the command.
        log: a file for what ssh says.
        told: is called with this and ``'greeted'``, ``'begun'`` or ``'over'``, once each.

    Attributes:
        host: the host.
        verdict: what the watcher said at the end; ``None`` until then, and if the end came
            otherwise.
        code: the exit code of ssh, once it has ended.
        trouble: what went wrong on this side, in words.
        begun, over: whether the job began there; whether nothing more will come.
        reads, writes: descriptors: readable when something has come, writable when it takes more.
        handle: readable when ssh has ended; -1 where the system has no such thing.
        due: when it is to be cut, in seconds of the monotonic clock; ``None`` for not at all.

    Raises:
        OSError: ssh cannot be started, or the log not be written.
    """

    def __init__(
        self,
        host: str,
        words: Sequence[str],
        log: Path,
        told: Callable[[Connection, str], None],
    ) -> None:
        self.host, self._told, self._log = host, told, log
        self.verdict: Mapping[str, Any] | None = None
        self.code: int | None = None
        self.trouble = ""
        self.begun = self.over = False
        self.due: float | None = None
        self._reader = Reader()
        self._unsent = bytearray(program())
        self._files: dict[str, int] = {}
        self._fetched: Path | None = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        errors = os.open(log, flags, 0o600)
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        finally:
            os.close(errors)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.reads, self.writes = self._stdout.fileno(), self._stdin.fileno()
        for end in (self.reads, self.writes):
            os.set_blocking(end, False)
        self.handle = os.pidfd_open(self._process.pid) if hasattr(os, "pidfd_open") else -1

    # ------------------------------------------------------------------------------------- saying

    @property
    def blocked(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._unsent) and not self.over

    def order(self, orders: Mapping[str, Any], files: Mapping[str, int], fetched: Path) -> None:
        """Hand over the job.

        Args:
            orders: for the watcher.
            files: ``out`` and ``err``, open for what the job prints; closed here at the end.
            fetched: a folder for the files that it leaves.
        """
        self._files = dict(files)
        self._fetched = fetched
        if self.over:
            self._close_files()
        else:
            self._unsent += frame({"job": orders})

    def stop(self, within: float) -> None:
        """Have the job ended; a watcher that does not do so in time is cut off, which ends it."""
        if not self.over:
            self._unsent += frame({"stop": True})
            self.due = time.monotonic() + within

    def beat(self) -> None:
        """Give a sign of life, unless there is more than that to be said."""
        if self._reader.greeted and not self.over and len(self._unsent) < _UNSENT:
            self._unsent += frame()

    def write(self) -> None:
        """Send what can be sent."""
        while self._unsent and not self.over:
            try:
                del self._unsent[: os.write(self.writes, self._unsent[:_READ])]
            except BlockingIOError:
                return
            except OSError:
                # Its end is told by the other pipe, with the reason.
                self._unsent.clear()

    # ------------------------------------------------------------------------------------ hearing

    def read(self) -> None:
        """Take what has come."""
        for _ in range(_TURN):
            try:
                data = os.read(self.reads, _READ)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.end()
                return
            try:
                self._take(data)
            except NotUnderstood as trouble:
                self.trouble = f"it said what is not understood: {trouble}"
                self.end()
                return

    def _take(self, data: bytes) -> None:
        before = self._reader.greeted
        frames = list(self._reader.take(data))
        if self._reader.greeted and not before:
            self._told(self, "greeted")
        for kind, said in frames:
            if kind in {OUT, ERR}:
                self._print("out" if kind == OUT else "err", said)
            elif kind == BEGUN and not self.begun:
                self.begun = True
                self._told(self, "begun")
            elif kind == FILE:
                self._store(said)
            elif kind == VERDICT:
                self._judge(said)

    def _judge(self, said: bytes) -> None:
        try:
            verdict = json.loads(said)
        except ValueError as error:
            raise NotUnderstood("a verdict that is no JSON") from error
        if not isinstance(verdict, dict) or not isinstance(verdict.get("how"), str):
            raise NotUnderstood("a verdict without an end")
        self.verdict = verdict

    def _print(self, which: str, data: bytes) -> None:
        if (file := self._files.get(which)) is not None:
            try:
                _write_all(file, data)
            except OSError as error:
                self.trouble = self.trouble or f"its output cannot be kept: {error.strerror}"

    def _store(self, data: bytes) -> None:
        name, content = file_in(data)
        if self._fetched is None:
            return
        path = self._fetched / name
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(path, flags, 0o600)
            try:
                _write_all(file, content)
            finally:
                os.close(file)
        except OSError as error:
            self.trouble = self.trouble or f"{name} cannot be fetched: {error.strerror}"

    # --------------------------------------------------------------------------------------- end

    def end(self) -> None:
        """End ssh, if it has not ended; nothing more comes. Who is at the other end notices."""
        if self.over:
            return
        self.over = True
        self._stdin.close()
        self._stdout.close()
        self._close_files()
        self._await(_ENDS if self.verdict is None else _SAYS_GOODBYE)
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # With what leads it through other hosts.
                os.killpg(self._process.pid, signal.SIGKILL)
        self.code = self._process.wait()
        if self.handle >= 0:
            os.close(self.handle)
        self._told(self, "over")

    def _await(self, seconds: float) -> None:
        """Wait for ssh to end by itself. Where that can be, its number stays taken until later."""
        if self.handle >= 0:
            poll = select.poll()
            poll.register(self.handle, select.POLLIN)
            poll.poll(seconds * 1000)
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)

    def gone(self) -> None:
        """Ssh has ended, whoever still holds its output: take what it said, and end."""
        self.read()
        self.end()

    def _close_files(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files = {}

    def log(self) -> str:
        """What ssh, and the login shell there, have said."""
        try:
            with self._log.open("rb") as file:
                said = file.read(_LOG).decode("utf-8", "replace")
        except OSError as error:
            said = f"its words cannot be read: {error.strerror}"
        if not self._reader.greeted:
            said += self._reader.unread().decode("utf-8", "replace")
        return said


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
