"""A wire to a server of this machine that can be cut, or fall silent, after so many bytes."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from weft.values.files import File
from weft_testkit.remote import LocalRemote

__all__ = ["Wire", "WiredRemote", "wire_to"]

_PASSIVE = re.compile(rb"\(127,0,0,1,([0-9]+),([0-9]+)\)")
"""Where a server of FTP waits for a way for data, in its reply."""


class Wire:
    """Leads connections on to a port.

    Args:
        target: the port.
        ftp: whether they are commands of FTP; then the bytes are those of its ways for data, which
            the wire leads, too.

    Attributes:
        port: where it begins.
        after: how many bytes of the server come through a connection; ``None`` for all.
        gone: whether connections end when they have begun.
        silent: whether it is silent after that many bytes, rather than cut.
        came: the bytes of the server that came through so far.
        connections: how many there were to the port.
    """

    def __init__(self, target: int, *, ftp: bool = False) -> None:
        self._ftp = ftp
        listening = socket.create_server(("127.0.0.1", 0))
        self._targets = {listening: target}
        self._first = listening
        self._stop, self._stopped = socket.socketpair()
        self._waiting = selectors.DefaultSelector()
        self._others: dict[socket.socket, socket.socket] = {}
        self._counted: dict[socket.socket, int] = {}
        self._commands: set[socket.socket] = set()
        self.port: int = listening.getsockname()[1]
        self.after: int | None = None
        self.silent = self.gone = False
        self.came = self.connections = 0
        self._thread = threading.Thread(target=self._run, name="test-wire", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._waiting.register(self._first, selectors.EVENT_READ)
        self._waiting.register(self._stopped, selectors.EVENT_READ)
        with contextlib.ExitStack() as open_ones:
            while True:
                for key, _ in self._waiting.select():
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is self._stopped:
                        if not one.recv(1):
                            return
                        for each in list(self._others):
                            self._cut(each)
                    elif one in self._targets:
                        self._join(one, open_ones)
                    elif one in self._others and not self._lead(one, self._others[one]):
                        self._cut(one)

    def _join(self, listening: socket.socket, open_ones: contextlib.ExitStack) -> None:
        near, _ = listening.accept()
        open_ones.callback(near.close)
        if self.gone:
            near.close()
            return
        far = socket.create_connection(("127.0.0.1", self._targets[listening]))
        open_ones.callback(far.close)
        for one, other in ((near, far), (far, near)):
            self._waiting.register(one, selectors.EVENT_READ)
            self._others[one] = other
        if listening is self._first:
            self.connections += 1
        if listening is self._first and self._ftp:
            self._commands.add(far)
        else:
            self._counted[far] = 0
        if listening is not self._first:
            self._waiting.unregister(listening)
            del self._targets[listening]
            listening.close()

    def _lead(self, one: socket.socket, other: socket.socket) -> bool:
        """Lead a piece on. False if the connection is to be cut."""
        try:
            piece = one.recv(65536)
            if one in self._commands:
                piece = _PASSIVE.sub(self._detour, piece)
            if one in self._counted:
                if self.after is not None and self._counted[one] + len(piece) > self.after:
                    other.sendall(piece[: self.after - self._counted[one]])
                    return False
                self._counted[one] += len(piece)
                self.came += len(piece)
            other.sendall(piece)
        except OSError:
            return False
        return bool(piece)

    def _cut(self, one: socket.socket) -> None:
        other = self._others.pop(one, None)
        if other is None:
            return
        del self._others[other]
        for end in (one, other):
            self._waiting.unregister(end)
            if not self.silent:
                end.close()

    def _detour(self, said: re.Match[bytes]) -> bytes:
        """Have a way for data begin at the wire."""
        listening = socket.create_server(("127.0.0.1", 0))
        self._targets[listening] = int(said[1]) * 256 + int(said[2])
        self._waiting.register(listening, selectors.EVENT_READ)
        port = listening.getsockname()[1]
        return b"(127,0,0,1,%d,%d)" % (port // 256, port % 256)

    @contextlib.contextmanager
    def cutting(self, after: int) -> Iterator[None]:
        """While this holds, connections are cut after so many bytes."""
        self.after = after
        try:
            yield
        finally:
            self.after = None

    @contextlib.contextmanager
    def going(self) -> Iterator[None]:
        """While this holds, nobody is at its other end."""
        self.gone = True
        self._stop.send(b"!")  # those that go on end, too
        try:
            yield
        finally:
            self.gone = False

    def close(self) -> None:
        self._stop.close()
        self._thread.join(60)
        assert not self._thread.is_alive()
        for one in (*self._targets, self._stopped):
            one.close()
        self._waiting.close()


class WiredRemote(LocalRemote):
    """A folder behind a server at the other end of a wire."""

    def __init__(self, folder: Path, base: str, wire: Wire, *, server: int | None = None) -> None:
        super().__init__(folder, base, server=server)
        self._wire, self._limited = wire, server is not None

    def breaking(self, after: int) -> AbstractContextManager[None] | None:
        """Not of a server that starts everything anew for each connection."""
        return super().breaking(after) if self._limited else None

    def cutting(self, after: int) -> AbstractContextManager[None]:
        """Have the wire cut."""
        return self._wire.cutting(after)

    def gone(self) -> AbstractContextManager[None]:
        """Have nobody at the other end."""
        return self._wire.going()

    def given(self, file: File) -> int:
        """What came through the wire."""
        return self._wire.came

    def later(self, file: File, seconds: float) -> None:
        """Change its time."""
        path = self._path(file)
        facts = path.stat()
        os.utime(path, (facts.st_atime + seconds, facts.st_mtime + seconds))


@contextlib.contextmanager
def wire_to(port: int, *, ftp: bool = False) -> Iterator[Wire]:
    """A wire, for as long as this holds."""
    wire = Wire(port, ftp=ftp)
    try:
        yield wire
    finally:
        wire.close()
