"""A stand-in for S3 on loopback, moto's server, and in front of it one that has what goes wrong.

``WEFT_TEST_MOTO_PYTHON`` is the Python of an environment with what ``requirements.txt`` names.
Tests are skipped where there is none, and fail in CI. The stand-in asks for no credentials and
knows no permissions; so it is the one in front that refuses, breaks off, is busy, or silent.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import threading
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from tests.systems.needs import absent, free_port, needed_modules
from tests.waiting import eventually
from weft.values.files import File
from weft_testkit.remote import Remote

BOUND = 60.0
PIECE = 64 * 1024
BUCKET = "weft"

Fault = Literal["", "busy", "refused", "broken", "silent", "altered", "changing", "unseen"]


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the stand-in, with a bucket."""
    python = os.environ.get("WEFT_TEST_MOTO_PYTHON", "")
    if not python:
        absent("WEFT_TEST_MOTO_PYTHON names no Python with moto")
    needed_modules("s3fs", "aiobotocore")
    log = tmp_path_factory.mktemp("moto") / "log"
    port = free_port()
    words = [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as saying:
        server = subprocess.Popen(words, stdout=saying, stderr=saying)
        try:

            def listens() -> bool:
                assert server.poll() is None, log.read_text()
                with socket.socket() as one:
                    return one.connect_ex(("127.0.0.1", port)) == 0

            eventually(listens, log.read_text)
            assert ask(port, "PUT", f"/{BUCKET}")[0] == 200
            yield port
        finally:
            server.terminate()
            server.wait(BOUND)


_BREAK: Final = ("%0A", urllib.parse.quote("\N{SYMBOL FOR NEWLINE}"))
"""Objects of S3 may have line breaks in their names; the stand-in's must have another letter."""


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Ask the stand-in itself."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=BOUND)
    try:
        headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/aws4"}
        connection.request(method, path.replace(*_BREAK), body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    """Hands on what is asked, but for what is to go wrong."""

    protocol_version = "HTTP/1.1"
    timeout = BOUND
    server: Front

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
        pass

    def _pass_on(self) -> None:
        front = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        front.asked.append((self.command, self.path))
        fault: Fault = front.fault
        if urllib.parse.urlsplit(self.path).path in front.forbidden:
            fault = "refused"
        if self.command == "PUT" and front.is_full(len(body)):
            fault = "refused"
        if fault == "unseen" and self.command in {"GET", "HEAD"}:
            fault = "refused"
        if fault == "silent":
            front.go_on.wait(BOUND)
            self.close_connection = True
            return
        if fault in {"busy", "refused", "broken"}:
            status, code = {
                "busy": (503, "SlowDown"),
                "refused": (403, "AccessDenied"),
                "broken": (500, "InternalError"),
            }[fault]
            text = f"<Error><Code>{code}</Code><Message>{code} it is.</Message></Error>".encode()
            self._answer(status, {"Content-Type": "application/xml"}, text, len(text))
            return
        connection = http.client.HTTPConnection("127.0.0.1", front.behind, timeout=BOUND)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
            connection.request(self.command, self.path.replace(*_BREAK), body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            given = {
                name: value
                for name, value in answer.getheaders()
                if name.lower() not in {"connection", "content-length", "transfer-encoding"}
            }
            told = int(answer.headers.get("Content-Length") or len(content))
            self._answer(answer.status, given, content, told)
        finally:
            connection.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - names of the base

    def _answer(self, status: int, headers: dict[str, str], content: bytes, told: int) -> None:
        front = self.server
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        is_file = self.command == "GET" and status in {200, 206} and "?" not in self.path
        self.send_header("Content-Length", str(told))
        self.end_headers()
        if self.command == "HEAD":
            return
        if is_file:
            if front.fault == "altered":
                content = bytes([content[0] ^ 1]) + content[1:]
            if front.fault == "changing":
                front.change()
            left = front.left(self.path)
            if left is not None and left < len(content):
                content = content[:left]
                self.close_connection = True
            front.count(self.path, len(content))
        self.wfile.write(content)


class Front(ThreadingHTTPServer):
    """Stands before the stand-in."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, behind: int, port: int = 0) -> None:
        self.behind = behind
        self.fault: Fault = ""
        self.forbidden: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.counted: dict[str, int] = {}
        self.limit: tuple[int, dict[str, int]] | None = None
        self.room: int | None = None
        self.change: Callable[[], object] = lambda: None
        self.go_on = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing to say: that connections end is what the tests have them do."""

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """End all connections."""
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def count(self, path: str, size: int) -> None:
        with self._lock:
            self.counted[path] = self.counted.get(path, 0) + size

    def left(self, path: str) -> int | None:
        """How much of a file may still be given."""
        with self._lock:
            if self.limit is None:
                return None
            most, before = self.limit
            return max(0, most - (self.counted.get(path, 0) - before.get(path, 0)))

    def is_full(self, more: int) -> bool:
        """Whether what is put has no room; counts it if it has."""
        with self._lock:
            if self.room is None:
                return False
            self.room -= more
            return self.room < 0

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="s3-front")
        thread.start()
        try:
            yield
        finally:
            self.go_on.set()
            self.shutdown()
            thread.join(BOUND)
            self.cut()
            self.server_close()


class Bucket(Remote):
    """Objects of the stand-in under a prefix of their own, and what stands before it."""

    def __init__(self, behind: int, prefix: str) -> None:
        self._behind, self._prefix = behind, prefix
        self._open = contextlib.ExitStack()
        self._begin(Front(behind))
        self.endpoint = f"http://127.0.0.1:{self.front.server_port}"

    def _begin(self, front: Front) -> None:
        self.front = front
        self._open.enter_context(front.serving())

    def close(self) -> None:
        self._open.close()

    def _path(self, file: File) -> str:
        return "/" + file.url.removeprefix("s3://")

    def address(self, name: str) -> File:
        return File(f"s3://{BUCKET}/{self._prefix}/{urllib.parse.quote(name)}")

    def publish(self, content: bytes, name: str) -> File:
        file = self.address(name)
        assert ask(self._behind, "PUT", self._path(file), content)[0] == 200
        return file

    def fetch(self, file: File) -> bytes | None:
        status, content = ask(self._behind, "GET", self._path(file))
        assert status in {200, 404}, (status, content)
        return content if status == 200 else None

    def names(self) -> Collection[str]:
        prefix = urllib.parse.quote(f"{self._prefix}/")
        query = f"list-type=2&encoding-type=url&prefix={prefix}"
        whole = self._keys(f"/{BUCKET}?{query}", "Contents")
        begun = self._keys(f"/{BUCKET}?uploads&prefix={prefix}", "Upload")
        return {*whole, *(f"{key} (begun)" for key in begun)}

    def _keys(self, path: str, of: str) -> set[str]:
        status, said = ask(self._behind, "GET", path)
        assert status == 200, said
        space = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}
        found = [one.text or "" for one in ET.fromstring(said).findall(f"s3:{of}/s3:Key", space)]
        keys = {urllib.parse.unquote(key) if of == "Contents" else key for key in found}
        keys = {key.replace("\N{SYMBOL FOR NEWLINE}", "\n") for key in keys}
        prefix = f"{self._prefix}/"
        return {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}

    def forbid(self, file: File) -> bool:
        self.front.forbidden.add(self._path(file))
        return True

    def breaking(self, after: int) -> AbstractContextManager[None] | None:
        return self._full(after)

    @contextlib.contextmanager
    def _full(self, after: int) -> Iterator[None]:
        self.front.room = after
        try:
            yield
        finally:
            self.front.room = None

    def cutting(self, after: int) -> AbstractContextManager[None] | None:
        return self._cut(after)

    @contextlib.contextmanager
    def _cut(self, after: int) -> Iterator[None]:
        self.front.limit = (after, dict(self.front.counted))
        try:
            yield
        finally:
            self.front.limit = None

    def gone(self) -> AbstractContextManager[None] | None:
        return self._away()

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        port = self.front.server_port
        self._open.close()
        try:
            yield
        finally:
            self._begin(Front(self._behind, port))

    def given(self, file: File) -> int | None:
        return self.front.counted.get(self._path(file), 0)


@pytest.fixture
def bucket(moto: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A place of a test's own, and the environment in which libraries find credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-tests")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    with contextlib.closing(Bucket(moto, f"{tmp_path.name}-{os.getpid()}")) as made:
        yield made
