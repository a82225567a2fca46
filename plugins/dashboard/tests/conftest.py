"""Logs of invented runs, and a server that shows them on loopback."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from weft.eventlog.writer import NAME, EventLogWriter
from weft.values.events import RunEnded, RunStarted, TaskMoved, TaskSubmitted
from weft.values.states import TaskState
from weft_dashboard.app import Dashboard, Serving
from weft_dashboard.guard import Access
from weft_testkit.rig import until

BOUND = 60.0
TOKEN = "a-token-of-tests"
BEGAN = 1_800_000_000.0


class Log:
    """The log of an invented run; the run goes on until it is closed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.path = folder, folder / NAME
        self._writer = EventLogWriter(self.path, {"run": "run-1"}, pytest.fail)
        self.now = BEGAN
        self.write(RunStarted(BEGAN, "run-1", str(folder), "survey.py", "0.1", "head", "ann", 7))

    def write(self, *events: Any) -> None:
        self._writer.write(events)

    def tasks(self, app: str, first: int, number: int, *, failing: frozenset[int] = frozenset(),
              needs: Sequence[int] = ()) -> None:  # fmt: skip
        """Calls that are launched, and end a second later; those that need what failed are dead."""
        events: list[Any] = []
        for task in range(first, first + number):
            events.append(TaskSubmitted(self.now, task, app, tuple(needs)))
            if any(need in failing for need in needs):
                dead = TaskMoved(self.now, task, app, TaskState.FAILED, detail="An input failed.")
                events.append(dead)
                continue
            events.append(TaskMoved(self.now + 0.5, task, app, TaskState.LAUNCHED, 1, "pool"))
            state = TaskState.FAILED if task in failing else TaskState.DONE
            detail = f"ValueError: no strand {task}" if task in failing else ""
            ran = ("worker 1 on node1", self.now + 0.75, 0.5)
            events.append(TaskMoved(self.now + 1.5, task, app, state, 1, "", detail, *ran))
        self.now += 2
        self.write(*events)

    def end(self) -> None:
        self.write(RunEnded(self.now, "run-1", 0, 0, 0))
        self.close()

    def close(self) -> None:
        """Let go of the log, as the system does for a process that ends."""
        self._writer.close()


@attrs.frozen
class Server:
    """A dashboard on loopback."""

    port: int
    folder: Path

    def get(
        self, path: str, *, method: str = "GET", token: str | None = TOKEN, **headers: str
    ) -> tuple[int, str, http.client.HTTPMessage]:
        """The status, the text and the headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND)
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        if token:
            access = Access("127.0.0.1", token)
            given.setdefault("cookie", f"{access.cookie}={access.pass_}")
        try:
            connection.request(method, path, headers=given)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def view(self, path: str) -> dict[str, Any]:
        """A view as data."""
        status, text, _ = self.get(path)
        assert status == 200, text
        data: dict[str, Any] = json.loads(text)
        return data

    def listen(self, query: str) -> Listener:
        """The updates of a view."""
        return Listener(self.port, f"/api/events?{query}")


class Listener:
    """A client of server-sent events, which applies patches as pages do."""

    def __init__(self, port: int, path: str) -> None:
        access = Access("127.0.0.1", TOKEN)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=BOUND)
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Cookie: {access.cookie}={access.pass_}\r\n\r\n".encode()
        )
        self._file = self.socket.makefile("rb")
        self.kinds: list[str] = []
        self.sizes: list[int] = []
        self.data: Any = None

    def next(self) -> Any:
        """The view after its next update."""
        kind, text = "", b""
        while True:
            line = self._file.readline()
            assert line, "the server has closed the stream"
            if line.startswith(b"event: "):
                kind = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                text = line[6:]
            elif line == b"\n" and text:
                break
        self.kinds.append(kind)
        self.sizes.append(len(text))
        told = json.loads(text)
        self.data = patched(self.data, told) if kind == "patch" else told
        return self.data

    def until(self, holds: Callable[[Any], object]) -> Any:
        """The view once something holds of it."""
        while not (self.data is not None and holds(self.data)):
            self.next()
        return self.data

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def patched(data: Any, patch: Any) -> Any:
    """What RFC 7396 makes of an object and a merge patch."""
    if not isinstance(patch, dict):
        return patch
    made = dict(data) if isinstance(data, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = patched(made.get(key), value)
    return made


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """The log of a run that goes on."""
    made = Log(tmp_path / "0000")
    yield made
    made.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A dashboard of the runs in the folder of the test."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    # What the system keeps for a client that does not read is no more than what tests reckon with.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    dashboard = Dashboard(tmp_path, Access("127.0.0.1", TOKEN))
    running = Serving(dashboard)
    thread = threading.Thread(
        target=running.run, kwargs={"sockets": [listener]}, name="weft-test-server", daemon=True
    )
    thread.start()
    yield Server(listener.getsockname()[1], tmp_path)
    until(lambda: dashboard._topics.clients == 0, BOUND, "clients that have gone are kept")
    running.should_exit = True
    thread.join(BOUND)
    assert not thread.is_alive(), "the server did not end"
