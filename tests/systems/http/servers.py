"""A server that says and does what it is told, byte by byte: what no real one can be made to do."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import attrs

BOUND = 60.0
"""Seconds that anything may take which should happen at once, on a busy machine."""


@attrs.frozen
class Request:
    """What came: its headers have lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def start(self) -> int:
        """Where the range that is asked for begins."""
        text = self.headers.get("range", "bytes=0-")
        return int(text.removeprefix("bytes=").partition("-")[0])


Script = Callable[[socket.socket, Request], bool | None]
"""Answers one request on a connection; whether the connection is used again."""


def answer(status: str, body: bytes = b"", **headers: object) -> bytes:
    """A whole answer, with its length unless told another; ``_`` in a name stands for ``-``."""
    said = {"Content_Length": len(body), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in said.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1") + body


class Server:
    """Listens at a port of loopback and has a script answer.

    Args:
        script: called for each request.
        context: for TLS.
        bodies: whether what is sent with a request is read before the script answers.

    Attributes:
        requests: all that came.
        over: set when the test is over, for scripts that wait.
    """

    def __init__(
        self, script: Script, context: ssl.SSLContext | None = None, *, bodies: bool = True
    ) -> None:
        self._script, self._context, self._bodies = script, context, bodies
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.requests: list[Request] = []
        self.over = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def url(self, path: str = "file") -> str:
        """Of a file there."""
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/{path}"

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            connections, threads = list(self._open), list(self._threads)
        for one in connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(BOUND)
            assert not thread.is_alive()

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="test-server", daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(connection)
            if self.over.is_set():
                connection.close()
                return
            self._begin(lambda one=connection: self._serve(one))  # type: ignore[misc]

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as closing:
            closing.callback(connection.close)
            connection.settimeout(BOUND)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                closing.callback(connection.close)
            while (request := _read(connection, bodies=self._bodies)) is not None:
                with self._lock:
                    self.requests.append(request)
                if not self._script(connection, request):
                    return


def _read(connection: socket.socket, *, bodies: bool) -> Request | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        piece = connection.recv(65536)
        if not piece:
            return None
        raw += piece
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = [line.partition(":") for line in lines]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    wanted = int(headers.get("content-length", "0")) if bodies else 0
    while len(body) < wanted:
        piece = connection.recv(1 << 20)
        if not piece:
            return None
        body += piece
    return Request(method, path, headers, body)
