"""A collector for tests: a server of HTTP on loopback that reads what OTLP is on the wire."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
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

    Attributes:
        answers: codes for the next requests, the first one first; 200 for those that follow.
        requests: what was sent and taken, decoded.
        headers: of all requests.
        asked: how many requests there were.
        free: while it is not set, requests wait for their answer.
    """

    def __init__(self) -> None:
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
        self._server.daemon_threads = False  # so that closing joins them
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

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
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("OTEL_SERVICE_NAME", "TRACEPARENT", "TRACESTATE"):
        monkeypatch.delenv(name, raising=False)
    made = Receiver()
    yield made
    made.close()
