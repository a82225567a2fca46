"""A server for tests: answers on loopback as Elasticsearch does to what the monitor asks of it."""

from __future__ import annotations

import gzip
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

_JSON = "application/vnd.elasticsearch+json; compatible-with=9"
_LINES = "application/vnd.elasticsearch+x-ndjson"

# What a value of a mapped field must be; more lenient servers would take what these refuse.
_FITS: Mapping[str, Any] = {
    "keyword": lambda one: isinstance(one, str),
    "text": lambda one: isinstance(one, str),
    "long": lambda one: isinstance(one, int) and not isinstance(one, bool),
    "float": lambda one: isinstance(one, int | float) and not isinstance(one, bool),
    "double": lambda one: isinstance(one, int | float) and not isinstance(one, bool),
    "boolean": lambda one: isinstance(one, bool),
    "date": lambda one: isinstance(one, str) and datetime.fromisoformat(one) is not None,
}


class Server:
    """Indices with their mappings and documents; answers as it is told to.

    Args:
        tls: what it has to be one of https, for the name ``localhost``.

    Attributes:
        indices: by name, the mappings, and the documents by their names.
        made_with: by name, the mappings that they were made with.
        answers: codes for the next requests of ``_bulk``, the first one first; 0 for what is done
            as asked but whose answer is lost.
        busy: how many documents of the next request have no room, beginning with the first.
        denied: whether everything is forbidden.
        asked: how many requests of ``_bulk`` there were.
        largest: bytes that a request may have.
        free: while it is not set, requests of ``_bulk`` wait.
        headers: of the latest request.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.indices: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.made_with: dict[str, Any] = {}
        self.answers: list[int] = []
        self.busy = 0
        self.denied = False
        self.asked = 0
        self.largest = 100_000_000
        self.free = threading.Event()
        self.free.set()
        self.headers: dict[str, str] = {}
        self.changed = threading.Condition(threading.RLock())
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                server.handle(self)

            def do_PUT(self) -> None:
                server.handle(self)

            def do_POST(self) -> None:
                server.handle(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            # Whoever breaks off while hands are shaken is no error of the server.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    @property
    def url(self) -> str:
        host = "localhost" if self._scheme == "https" else "127.0.0.1"
        return f"{self._scheme}://{host}:{self._server.server_address[1]}"

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        path, bulk = re.subn(r"/_bulk$", "", request.path.partition("?")[0])
        name = path.strip("/")
        with self.changed:
            self.headers = {key.lower(): text for key, text in request.headers.items()}
        if self.denied:
            code, said = 403, _error("security_exception", "you are nobody")
        elif bulk:
            with self.changed:
                self.asked += 1
                self.changed.notify_all()
            self.free.wait(60)
            code, said = self._bulk(name, body)
        elif request.command == "HEAD":
            code, said = (200 if name in self.indices else 404), None
        else:
            code, said = self._create(name, json.loads(body))
        if request.command == "HEAD":
            said = None
        reply = json.dumps(said).encode() if said is not None else b""
        if code == 0:
            request.close_connection = True
            return
        try:
            request.send_response(code)
            request.send_header("X-Elastic-Product", "Elasticsearch")
            request.send_header("Content-Type", _JSON)
            request.send_header("Content-Length", str(len(reply)))
            request.end_headers()
            request.wfile.write(reply)
        except OSError:  # whoever asked waits no longer
            request.close_connection = True

    def _create(self, name: str, asked: Any) -> tuple[int, Any]:
        with self.changed:
            if name in self.indices:
                return 400, _error("resource_already_exists_exception", f"[{name}] is there")
            self.indices[name] = (asked["mappings"], {})
            self.made_with[name] = json.loads(json.dumps(asked["mappings"]))
        return 200, {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def _bulk(self, name: str, body: bytes) -> tuple[int, Any]:
        code = self.answers.pop(0) if self.answers else 200
        if code == 429:
            return 429, _error("es_rejected_execution_exception", "the queue of writes is full")
        if code not in {0, 200}:
            return code, _error("some_exception", f"code {code}")
        if len(body) > self.largest:
            return 413, None
        assert self.headers["content-type"].startswith(_LINES)
        if not body.endswith(b"\n"):
            return 400, _error("illegal_argument_exception", "must end with a newline")
        lines = [json.loads(line) for line in body.decode().split("\n")[:-1]]
        with self.changed:
            if name not in self.indices:
                return 404, _error("index_not_found_exception", name)
            items = [
                {"create": self._one(name, action["create"]["_id"], fields)}
                for action, fields in zip(lines[::2], lines[1::2], strict=True)
            ]
            self.changed.notify_all()
        failed = any(item["create"]["status"] >= 300 for item in items)
        return code, {"took": 1, "errors": failed, "items": items}

    def _one(self, name: str, key: str, fields: Any) -> dict[str, Any]:
        mappings, documents = self.indices[name]
        about = {"_index": name, "_id": key}
        if self.busy:
            self.busy -= 1
            return {**about, "status": 429, **_error("es_rejected_execution_exception", "busy")}
        if key in documents:
            return {**about, "status": 409, **_error("version_conflict_engine_exception", "there")}
        for field, value in fields.items():
            values = value if isinstance(value, list) else [value]
            kind = mappings["properties"].setdefault(field, _by(values[0]))["type"]
            if not all(map(_FITS[kind], values)):
                why = f"failed to parse field [{field}]"
                return {**about, "status": 400, **_error("document_parsing_exception", why)}
        documents[key] = fields
        return {**about, "status": 201, "result": "created"}

    def documents(self, index: str = "weft") -> list[dict[str, Any]]:
        """What is there, in the order in which it came."""
        with self.changed:
            return list(self.indices.get(index, (None, {}))[1].values())

    def wait_for(self, documents: int) -> list[dict[str, Any]]:
        with self.changed:
            there = self.changed.wait_for(lambda: len(self.documents()) >= documents, 60)
            assert there, self.documents()
            return self.documents()

    def wait_until(
        self, wanted: Callable[[dict[str, Any]], bool], index: str = "weft"
    ) -> list[dict[str, Any]]:
        """All documents, once there is such a one."""

        def there() -> list[dict[str, Any]]:
            return self.documents(index)

        with self.changed:
            assert self.changed.wait_for(lambda: any(map(wanted, there())), 60), there()
            return there()

    def wait_until_asked(self, times: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.asked >= times, 60), self.asked

    def close(self) -> None:
        self.free.set()
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()


def _error(kind: str, reason: str) -> dict[str, Any]:
    about = {"type": kind, "reason": reason}
    return {"error": {**about, "root_cause": [about]}}


def _by(value: Any) -> dict[str, Any]:
    """How a field is mapped that nobody has mapped, by its first value."""
    if isinstance(value, str):
        return {"type": "keyword"}  # as the template among the mappings has it
    if isinstance(value, bool):
        return {"type": "boolean"}
    return {"type": "long" if isinstance(value, int) else "float"}


Serve = Callable[..., Server]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts servers, where no variable says who writes."""
    for name in ("API_KEY", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"ELASTICSEARCH_{name}", raising=False)
    started: list[Server] = []

    def start(tls: ssl.SSLContext | None = None) -> Server:
        started.append(Server(tls))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def server(serve: Serve) -> Server:
    """A server that is there."""
    return serve()
