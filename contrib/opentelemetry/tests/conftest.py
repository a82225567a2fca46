"""A collector for tests: a server of HTTP on loopback that reads what OTLP is on the wire."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """Takes what is sent, and answers as it is told to.

    Args:
        tls: what it has to be one of https, for the name ``localhost``.

    Attributes:
        answers: codes for the next requests, the first one first; 200 for those that follow.
        requests: what was sent and taken, decoded.
        headers: of all requests.
        asked: how many requests there were.
        free: while it is not set, requests wait for their answer.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[int] = []
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.asked = 0
        self.free = threading.Event()
        self.free.set()
        self.changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.handle(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            # Whoever breaks off while hands are shaken is no error of the server.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = False  # so that closing joins them
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    @property
    def url(self) -> str:
        host = "localhost" if self._scheme == "https" else "127.0.0.1"
        return f"{self._scheme}://{host}:{self._server.server_address[1]}"

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert request.path == "/v1/traces"
        assert request.headers["Content-Type"] == "application/x-protobuf"
        with self.changed:
            self.asked += 1
            self.headers.append({name.lower(): text for name, text in request.headers.items()})
            code = self.answers.pop(0) if self.answers else 200
            self.changed.notify_all()
        self.free.wait(60)
        if code == 200:
            sent = ExportTraceServiceRequest.FromString(body)
            with self.changed:
                self.requests.append(sent)
                self.changed.notify_all()
        reply = ExportTraceServiceResponse().SerializeToString()
        try:
            request.send_response(code)
            request.send_header("Content-Type", "application/x-protobuf")
            request.send_header("Content-Length", str(len(reply)))
            request.end_headers()
            request.wfile.write(reply)
        except OSError:  # whoever asked waits no longer
            request.close_connection = True

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for sent in self.requests
            for resource in sent.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resources(self) -> list[dict[str, str]]:
        return [
            {one.key: one.value.string_value for one in resource.resource.attributes}
            for sent in self.requests
            for resource in sent.resource_spans
        ]

    def wait_for(self, spans: int) -> list[Span]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.spans) >= spans, 60), self.spans
            return self.spans

    def wait_until_asked(self, times: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.asked >= times, 60), self.asked

    def close(self) -> None:
        self.free.set()
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A collector that is there, and no variable that leads elsewhere."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("OTEL_SERVICE_NAME", "TRACEPARENT", "TRACESTATE"):
        monkeypatch.delenv(name, raising=False)
    made = Receiver()
    yield made
    made.close()


Serve = Callable[[ssl.SSLContext], Receiver]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts collectors of https."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("TRACEPARENT", "TRACESTATE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    started: list[Receiver] = []

    def start(tls: ssl.SSLContext) -> Receiver:
        started.append(Receiver(tls))
        return started[-1]

    yield start
    for receiver in started:
        receiver.close()
