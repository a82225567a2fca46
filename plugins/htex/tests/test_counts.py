"""The budget of the way of a task, counted at each of its ends; no clock decides.

The interchange's own is counted in test_interchange.py.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import weft
from weft_htex import messages
from weft_htex.stream import Stream

_TASKS = 10_000
_BUDGET = 500
"""Messages in one direction for so many tasks on two workers."""


def _noop() -> None:
    return None


class Counted:
    """Messages that pass the client's end of the way to its interchange, by kind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent, self.came = Counter[bytes](), Counter[bytes]()
        send, receive = Stream.send, Stream.receive

        def counting_send(stream: Stream, parts: Any) -> None:
            self.sent[bytes(parts[0][:1])] += 1
            send(stream, parts)

        def counting_receive(stream: Stream) -> Any:
            parts = receive(stream)
            if parts is not None:
                self.came[bytes(parts[0][:1])] += 1
            return parts

        monkeypatch.setattr(Stream, "send", counting_send)
        monkeypatch.setattr(Stream, "receive", counting_receive)

    def reset(self) -> None:
        self.sent.clear()
        self.came.clear()


class Records(logging.Handler):
    """Counts records of logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


def test_the_client_sends_and_gets_few_messages_packs_once_and_logs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weft.calls.packing import Packer

    counted = Counted(monkeypatch)
    packed = Counter[str]()
    pack = Packer.pack

    def counting_pack(packer: Any, *args: Any, **options: Any) -> Any:
        packed["calls"] += 1
        return pack(packer, *args, **options)

    monkeypatch.setattr(Packer, "pack", counting_pack)
    records = Records()
    htex = weft.executor("htex", max_blocks=1, workers_per_node=2)
    with weft.load(weft.Config(run_dir=tmp_path, executors=[htex], memoize=False)):
        call = weft.python_app(_noop)
        for future in [call() for _ in range(100)]:
            future.result(timeout=60)
        counted.reset()
        packed.clear()
        logging.getLogger().addHandler(records)
        try:
            for future in [call() for _ in range(_TASKS)]:
                future.result(timeout=60)
        finally:
            logging.getLogger().removeHandler(records)
        sent, came = counted.sent.copy(), counted.came.copy()

        counted.reset()
        call().result(timeout=60)
        one_sent, one_came = counted.sent.copy(), counted.came.copy()

    assert packed["calls"] == _TASKS + 1
    assert records.count == 0
    assert 0 < sent[messages.TASKS] < _BUDGET
    assert 0 < came[messages.RESULTS] < _BUDGET
    assert sent[messages.DEFINE] == 0, "definitions travel once, and that was before"
    # Of a single task, nothing but itself.
    assert one_sent[messages.TASKS] == one_came[messages.RESULTS] == 1
    assert one_sent[messages.DEFINE] == 0


def test_the_manager_tells_results_in_batches_and_logs_no_task(interchange: Any) -> None:
    interchange.start(workers=2)
    interchange.welcome()
    batch = 250
    rows, needed = [], {}
    for number in range(1, _TASKS + 1):
        row, own = interchange.row(number, _noop)
        rows.append(row)
        needed.update(own)
    came = Counter[bytes]()
    take = interchange.take

    def counting_take(parts: Any) -> None:
        came[messages.kind_of(parts)] += 1
        take(parts)

    interchange.take = counting_take
    interchange.send(messages.definitions_out(needed))
    for start in range(0, _TASKS, batch):
        interchange.send(messages.rows_out(messages.TASKS, rows[start : start + batch]))
    interchange.hear(lambda: len(interchange.results) == _TASKS)

    assert interchange.ends == {}
    assert 0 < came[messages.RESULTS] < _BUDGET
    (log,) = (interchange.folder / "managers").glob("manager-*.log")
    assert len(log.read_text().splitlines()) < 10


def _count_here() -> None:
    """On a worker: count from now on what it reads, writes, pickles, opens and logs."""
    import builtins
    import os
    import sys

    from weft.calls import batches, running

    # A function that travelled by value has none, and what opens others from within it needs them.
    globals()["__builtins__"] = builtins
    counts = Counter[str]()

    def count(where: Any, name: str, as_what: str) -> None:
        counted = getattr(where, name)

        def counting(*args: Any, **options: Any) -> Any:
            counts[as_what] += 1
            return counted(*args, **options)

        setattr(where, name, counting)

    count(os, "readv", "reads")
    count(os, "writev", "writes")
    count(batches, "loads", "messages opened")
    count(batches, "dumps", "messages made")
    count(running, "loads", "calls opened")
    count(running, "pickled", "results pickled")

    class Records(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            counts["log records"] += 1

    logging.getLogger().addHandler(Records(1))
    sys.counted_here = counts  # type: ignore[attr-defined]  # it outlives the task


def _counted_here() -> dict[str, int]:
    import sys

    return dict(sys.counted_here)  # type: ignore[attr-defined]  # put there by the task above


def test_the_worker_gets_and_tells_in_batches_pickles_once_and_logs_nothing(
    tmp_path: Path,
) -> None:
    htex = weft.executor("htex", max_blocks=1, workers_per_node=1)
    with weft.load(weft.Config(run_dir=tmp_path, executors=[htex], memoize=False)):
        call = weft.python_app(_noop)
        report = weft.python_app(_counted_here)
        for future in [call() for _ in range(100)]:
            future.result(timeout=60)
        weft.python_app(_count_here)().result(timeout=60)
        before = report().result(timeout=60)
        for future in [call() for _ in range(_TASKS)]:
            future.result(timeout=60)
        after = report().result(timeout=60)
        call().result(timeout=60)
        one_more = report().result(timeout=60)

    many = {what: after[what] - before.get(what, 0) for what in after}
    # With it comes the report itself, whose function is known by now.
    assert many["calls opened"] == many["results pickled"] == _TASKS + 1
    # One read may bring several messages.
    assert 0 < many["reads"] < _BUDGET
    assert 0 < many["messages opened"] < _BUDGET
    assert 0 < many["messages made"] == many["writes"] < _BUDGET
    assert "log records" not in after
    # Of a single task: one message each way, read and written at once.
    few = {what: one_more[what] - after[what] for what in one_more}
    assert few == {
        "reads": 2,
        "writes": 2,
        "messages opened": 2,
        "messages made": 2,
        "calls opened": 2,
        "results pickled": 2,
    }
