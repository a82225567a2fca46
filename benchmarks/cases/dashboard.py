"""What it takes to look at a large run in the browser, and to follow one that is busy."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.case import Bar, Case, Column, Medians, Sample
from benchmarks.contestants import FOLDER, WORKERS
from benchmarks.measuring import cpu_of, peak_of

_WEFT = "weft-dashboard"
_MOST = 100_000
_LIVE = 5.0
"""Seconds for which a run is followed."""
_RATE = 10_000
"""Events that it tells in a second: of each task that it was called, launched and done."""
_BATCH = 0.05
_PATIENCE = 60.0


def measure(contestant: str, size: int) -> Sample:
    assert contestant == _WEFT
    _ended_run(FOLDER / "0000", size)
    began = time.perf_counter()
    with _served() as (pid, port):
        _get(port, "/api/runs")
        listed = time.perf_counter() - began
        page = _get(port, "/api/runs/0000/overview")
        opened = time.perf_counter() - began
        assert json.loads(page)["run"]["whole"], "it has not read all of the log"
        cpu, peak = cpu_of(pid), peak_of(pid)
        looked = time.perf_counter()
        _get(port, "/api/runs/0000/tasks")
        tasks = time.perf_counter() - looked
        live = _followed(port, pid)
    return {
        "open": opened,
        "cpu": cpu,
        "list": listed,
        "tasks": 1e3 * tasks,
        "peak": peak / 1e6,
        "page": len(page),
        **live,
    }


@contextmanager
def _served() -> Iterator[tuple[int, int]]:
    """The process and the port of a dashboard, which answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "weft", "dashboard", str(FOLDER), "--no-token"]
    with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL) as process:
        try:
            until = time.perf_counter() + _PATIENCE
            while True:
                with suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), _PATIENCE).close()
                    break
                assert process.poll() is None, "the dashboard has ended"
                assert time.perf_counter() < until, "the dashboard does not listen"
                time.sleep(0.002)
            yield process.pid, port
        finally:
            process.terminate()


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, f"{path}: {answer.status}"
        return text
    finally:
        connection.close()


def _rows(first: int, count: int, begun: float, seconds: float) -> list[Any]:
    """What is told of tasks, each of which is done when as many others as workers were called."""
    from weft.values.events import BEGUN, DONE

    rows: list[Any] = []
    for number in range(first, first + count):
        now = begun + seconds * (number - first) / count
        rows.append((BEGUN, now, number, f"app{number % 4}", "pool"))
        place = f"worker {number % WORKERS} on node{number % 8}"
        rows.append((DONE, now, number, f"app{number % 4}", 1, place, now, seconds / count))
    return rows


def _ended_run(folder: Path, size: int) -> None:
    """The log of a run as its session writes it: some hundred tasks in a batch."""
    from weft.eventlog.writer import NAME, EventLogWriter
    from weft.values.events import RunEnded, RunStarted

    folder.mkdir(parents=True)
    writer = EventLogWriter(folder / NAME, {}, print)
    began = time.time() - 60.0
    writer.write([RunStarted(began, "ended", str(folder), "survey.py", "")])
    for first in range(0, size, 160):
        writer.write(_rows(first, min(160, size - first), began + 50.0 * first / size, 0.05))
    writer.write([RunEnded(began + 60.0, "ended", size, 0, 0)])
    writer.close()


def _followed(port: int, pid: int) -> Sample:
    """What it takes to follow a run, from when its page is open."""
    from weft.eventlog.writer import NAME, EventLogWriter
    from weft.values.events import RunStarted

    folder = FOLDER / "0001"
    folder.mkdir()
    writer = EventLogWriter(folder / NAME, {}, print)
    writer.write([RunStarted(time.time(), "live", str(folder), "survey.py", "")])
    page = _Page(port, "/api/events?run=0001&view=overview")
    page.until(0)
    each = round(_RATE * _BATCH / 3)
    reader = threading.Thread(target=page.until, args=(round(_LIVE / _BATCH) * each,))
    reader.start()
    cpu, began, told = cpu_of(pid), time.perf_counter(), 0
    for number in range(round(_LIVE / _BATCH)):
        time.sleep(max(0.0, began + number * _BATCH - time.perf_counter()))
        writer.write(_rows(told, each, time.time() - _BATCH, _BATCH))
        told += each
    written = time.perf_counter()
    reader.join(_PATIENCE)
    assert not reader.is_alive(), "the page does not show what was told"
    used, took = cpu_of(pid) - cpu, time.perf_counter() - began
    writer.close()
    page.close()
    return {
        "event": 1e6 * used / (3 * told),
        "share": 100 * used / took,
        "late": 1e3 * (page.seen - written),
        "patch": page.patched / max(1, page.patches),
    }


class _Page:
    """A page that is open: what is sent to it.

    Attributes:
        patches, patched: how many there were, and how many bytes.
        seen: when the tasks were seen that were waited for.
    """

    def __init__(self, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        self._connection.request("GET", path)
        self._answer = self._connection.getresponse()
        self.patches = self.patched = 0
        self.seen = 0.0

    def until(self, done: int) -> None:
        """Take in what is sent until so many tasks are done."""
        kind = b""
        while True:
            line = self._answer.readline()
            assert line, "the stream has ended"
            if line.startswith(b"event: "):
                kind = line[7:].strip()
            elif line.startswith(b"data: "):
                if kind == b"patch":
                    self.patches += 1
                    self.patched += len(line)
                run = json.loads(line[6:]).get("run", {})
                if run.get("counts", {}).get("done", 0) >= done:
                    self.seen = time.perf_counter()
                    return

    def close(self) -> None:
        self._connection.close()


def _bar(what: str, column: str, must: float, unit: str) -> Bar:
    def value(of: Medians) -> float | None:
        return of(_WEFT, _MOST, column)

    return Bar(what, value, must=must, unit=unit, low=True)


CASE = Case(
    name="dashboard",
    title="A large run in the browser, and a busy one",
    about=(
        "The log of a run of so many tasks is there, and no dashboard. Seconds from the start of "
        "its process until the list of runs, and then the overview of the run with all of its log "
        "read, were answered over HTTP; the processor time and the memory that this took; "
        "milliseconds until its tasks were answered, after that. Then a page is open on a run that "
        "tells 10 events in a millisecond, for 5 s: processor time of the dashboard for each of "
        "these, and as a share of one core; how long after the last one was written the page knew "
        "of it; bytes of a patch on average."
    ),
    contestants=(_WEFT,),
    sizes=(_MOST,),
    quick=(10_000,),
    columns=(
        Column("open", "overview s", 2),
        Column("cpu", "its CPU s", 2),
        Column("list", "list s", 2),
        Column("tasks", "tasks ms", 0),
        Column("peak", "peak MB", 0),
        Column("event", "live: CPU µs/event", 2),
        Column("share", "share of a core %", 1),
        Column("late", "late by ms", 0),
        Column("page", "overview B", 0),
        Column("patch", "patch B", 0),
    ),
    measure=measure,
    warm=True,
    bars=(
        _bar("seconds until the overview of 100,000 tasks is there", "open", 1.0, " s"),
        _bar("processor time of these", "cpu", 1.0, " s"),
        _bar("share of a core at 10 events in a millisecond", "share", 10.0, " %"),
    ),
)
