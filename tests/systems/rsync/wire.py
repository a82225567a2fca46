"""A wire to a server of this machine that can be cut, or fall silent, after so many bytes."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

__all__ = ["Wire", "wire_to"]


class Wire:
    """Leads connections on to a port.

    Attributes:
        port: where it begins.
        after: how many bytes of the server come through a connection; ``None`` for all.
        silent: whether it is silent then, rather than cut.
        came: the bytes of the server that came through so far.
        connections: how many there were.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._stop, self._stopped = socket.socketpair()
        self.port: int = self._listening.getsockname()[1]
        self.after: int | None = None
        self.silent = False
        self.came = self.connections = 0
        self._thread = threading.Thread(target=self._run, name="test-wire", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as open_ones:
            waiting.register(self._listening, selectors.EVENT_READ)
            waiting.register(self._stopped, selectors.EVENT_READ)
            others: dict[socket.socket, socket.socket] = {}
            servers: dict[socket.socket, int] = {}
            while True:
                for key, _ in waiting.select():
                    one = key.fileobj
                    if one is self._stopped:
                        return
                    if one is self._listening:
                        near, _ = self._listening.accept()
                        far = socket.create_connection(("127.0.0.1", self._target))
                        for end in (near, far):
                            open_ones.callback(end.close)
                            waiting.register(end, selectors.EVENT_READ)
                        others |= {near: far, far: near}
                        servers[far] = 0
                        self.connections += 1
                        continue
                    assert isinstance(one, socket.socket)
                    if not self._lead(one, others[one], servers):
                        for end in (one, others[one]):
                            with contextlib.suppress(KeyError):
                                waiting.unregister(end)
                            if not self.silent:
                                end.close()

    def _lead(
        self, one: socket.socket, other: socket.socket, servers: dict[socket.socket, int]
    ) -> bool:
        """Lead a piece on. False if the connection is to be cut."""
        try:
            piece = one.recv(65536)
            if one in servers:
                if self.after is not None and servers[one] + len(piece) > self.after:
                    other.sendall(piece[: self.after - servers[one]])
                    return False
                servers[one] += len(piece)
                self.came += len(piece)
            other.sendall(piece)
        except OSError:
            return False
        return bool(piece)

    def close(self) -> None:
        self._stop.close()
        self._thread.join(60)
        assert not self._thread.is_alive()
        for one in (self._listening, self._stopped):
            one.close()


@contextlib.contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """A wire, for as long as this holds."""
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()
