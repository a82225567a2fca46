"""The port at which metrics are read: one small server of HTTP, in one thread.

    Prometheus ──GET──▶ [listening socket] ──▶ weft-prometheus ──reads──▶ registry
                                close ──byte──▶ [pair of sockets] ──┘

The thread sleeps until somebody asks, or until it is to end. Requests are answered one after the
other; one that does not come, or whose answer is not taken, is given up after a few seconds, and at
once when the run ends.
"""

import contextlib
import ipaddress
import selectors
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

__all__ = ["Endpoint"]

_PATIENCE: Final = 5.0
"""Seconds that a client may keep the server waiting for its next bytes."""


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: who asked is no matter of the run's."""


class _Server(WSGIServer):
    """A server that tells who it is talking to, so that this can be broken off."""

    allow_reuse_port = False
    request_queue_size = 32
    timeout = 0.0  # whoever calls it knows that somebody asks

    def __init__(self, address: str, port: int) -> None:
        if ipaddress.ip_address(address).version == 6:
            self.address_family = socket.AF_INET6
        self._talk = threading.Lock()
        self._client: socket.socket | None = None
        self._over = False
        super().__init__((address, port), _Handler)
        # A client that has gone again by the time it is accepted must not be waited for.
        self.socket.setblocking(False)

    def server_bind(self) -> None:
        """Bind without looking up the name of the address, which may ask a network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer, unless that is over."""
        with self._talk:
            if self._over:
                return
            self._client = request
        try:
            super().finish_request(request, client_address)
        finally:
            with self._talk:
                self._client = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a connection that breaks is the client's matter."""

    def break_off(self) -> None:
        """End the talk that is going on, and begin no other. From any thread."""
        with self._talk:
            self._over = True
            if self._client is not None:
                with contextlib.suppress(OSError):  # the client has just left
                    self._client.shutdown(socket.SHUT_RDWR)


class Endpoint:
    """Serves the metrics of one registry from when it is made.

    *Life.* ``close``, once.

    Args:
        registry: what is read.
        address: of this machine.
        port: 0 for one that is free.

    Raises:
        OSError: the port cannot be opened.
    """

    def __init__(self, registry: CollectorRegistry, address: str, port: int) -> None:
        self._server = _Server(address, port)
        self._server.set_app(make_wsgi_app(registry))
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="weft-prometheus", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the metrics are."""
        host = self._server.server_name
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self._server.server_port}/metrics"

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while all(key.fileobj is not self._woken for key, _ in selector.select()):
                self._server.handle_request()

    def close(self, timeout: float, tell: Callable[[str, str], None]) -> None:
        """Close the port and end, within about ``timeout`` seconds."""
        self._wake.send(b"\0")
        self._server.break_off()
        self._thread.join(timeout)
        if self._thread.is_alive():
            tell("warning", f"The thread {self._thread.name} still serves metrics at {self.url}.")
            return
        self._server.server_close()
        self._wake.close()
        self._woken.close()
