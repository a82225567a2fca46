"""A manager as its interchange sees it: a real one, on this machine."""

from __future__ import annotations

import operator
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from weft.calls.failures import error_of
from weft.calls.running import ERROR, VALUE, value_of
from weft.values.watch import Watch
from weft_htex import messages
from weft_htex.errors import PayloadTooLarge
from weft_htex.orders import ORDERS, WATCH

BOUND = 60.0


def test_a_task_comes_back_with_its_value(interchange: Any) -> None:
    interchange.start()
    registered = interchange.welcome()
    assert registered.workers == 1

    interchange.deal(7, operator.add, 2, 3)
    interchange.hear(lambda: 7 in interchange.results)

    row = interchange.results[7]
    assert (row.kind, value_of(row.head), row.attempt) == (VALUE, 5, 1)


def test_it_asks_for_definitions_that_it_does_not_have(interchange: Any) -> None:
    interchange.start()
    interchange.welcome()
    row, needed = interchange.row(1, operator.add, 2, 3)

    interchange.send(messages.rows_out(messages.TASKS, [row]))
    interchange.hear(lambda: interchange.said(messages.Missing))
    interchange.send(messages.definitions_out(needed))
    interchange.hear(lambda: 1 in interchange.results)

    asked = interchange.said(messages.Missing)[0].digests
    assert [bytes.fromhex(one) for one in asked] == list(needed)


def test_the_first_address_that_answers_is_taken(interchange: Any) -> None:
    # Nobody listens at the first; the second is a port that only answers TCP.
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        interchange.start(
            addresses=["tcp://127.0.0.1:1", f"tcp://127.0.0.1:{deaf.getsockname()[1]}"]
        )
        interchange.welcome()

    interchange.deal(7, operator.add, 2, 3)
    interchange.hear(lambda: 7 in interchange.results)


def test_it_tells_what_it_runs(interchange: Any) -> None:
    interchange.start()
    interchange.welcome(beat=0.05)

    interchange.deal(3, signal.pause)
    interchange.hear(lambda: any(one.running == (3,) for one in interchange.said(messages.Beat)))


def test_a_task_that_runs_is_cancelled_with_its_worker(interchange: Any) -> None:
    interchange.start()
    interchange.welcome(beat=0.05)
    interchange.deal(3, signal.pause)
    interchange.hear(lambda: any(one.running == (3,) for one in interchange.said(messages.Beat)))

    interchange.say(messages.Cancel(ids=[3]))
    interchange.hear(lambda: 3 in interchange.ends)
    interchange.deal(4, operator.add, 1, 1)
    interchange.hear(lambda: 4 in interchange.results)

    assert interchange.ends[3][:3] == [3, 1, "cancelled"]


def test_a_walltime_is_kept(interchange: Any) -> None:
    interchange.start()
    interchange.welcome()

    interchange.deal(3, signal.pause, walltime=0.2)
    interchange.hear(lambda: 3 in interchange.ends)

    assert interchange.ends[3][2] == "timeout"


def test_a_task_that_kills_its_worker_is_told_of(interchange: Any) -> None:
    interchange.start()
    interchange.welcome()

    interchange.deal(3, os.abort)
    interchange.hear(lambda: 3 in interchange.ends)

    assert interchange.ends[3][2] == "killed"
    assert "SIGABRT" in interchange.ends[3][3]


def test_draining_gives_back_what_has_not_begun_and_finishes_the_rest(interchange: Any) -> None:
    manager = interchange.start()
    interchange.welcome(beat=0.05)
    interchange.deal(1, signal.pause)
    interchange.hear(lambda: any(one.running == (1,) for one in interchange.said(messages.Beat)))
    for number in (2, 3, 4):
        interchange.deal(number, operator.add, 1, 1)

    interchange.say(messages.Drain(block="b-1"))
    interchange.hear(lambda: {2, 3, 4} <= interchange.ends.keys())
    assert {interchange.ends[one][2] for one in (2, 3, 4)} == {"returned"}
    assert manager.poll() is None

    interchange.say(messages.Cancel(ids=[1]))
    interchange.hear(lambda: interchange.said(messages.Close))
    assert manager.wait(BOUND) == 0


def test_close_ends_what_does_not_end_in_time(interchange: Any) -> None:
    manager = interchange.start()
    interchange.welcome(beat=0.05)
    interchange.deal(1, signal.pause)
    interchange.hear(lambda: any(one.running == (1,) for one in interchange.said(messages.Beat)))

    interchange.say(messages.Close(timeout=0.1))
    interchange.hear(lambda: interchange.said(messages.Close))

    assert 1 in interchange.ends
    assert manager.wait(BOUND) == 0


def test_silence_of_the_interchange_ends_it(interchange: Any) -> None:
    manager = interchange.start()
    interchange.auto_beat = False
    interchange.welcome(beat=0.1, lost=1.0)

    assert manager.wait(BOUND) == 3


def test_term_gives_up_what_runs_and_says_so(interchange: Any) -> None:
    manager = interchange.start()
    interchange.welcome(beat=0.05)
    interchange.deal(1, signal.pause)
    interchange.hear(lambda: any(one.running == (1,) for one in interchange.said(messages.Beat)))

    manager.send_signal(signal.SIGTERM)
    interchange.hear(lambda: interchange.said(messages.Close))

    assert interchange.ends[1][2] == "lost"
    assert manager.wait(BOUND) == 4


def test_term_also_ends_one_that_reaches_nobody(interchange: Any) -> None:
    interchange.address = "tcp://127.0.0.1:1"
    manager = interchange.start()
    until = time.monotonic() + BOUND
    # It hears signals before it has a log.
    while not list((interchange.folder / "managers").glob("manager-*.log")):
        assert time.monotonic() < until
        threading.Event().wait(0.01)

    manager.terminate()

    assert manager.wait(BOUND) == 4


def test_who_reaches_nobody_says_where_it_tried(interchange: Any) -> None:
    interchange.address = "tcp://127.0.0.1:1"
    manager = interchange.start(start_timeout=0.5)

    assert manager.wait(BOUND) == 2
    said = manager.stderr.read().decode()
    assert "tcp://127.0.0.1:1" in said
    assert "within 0.5 s" in said


def test_in_silence_it_connects_anew_with_what_it_holds(interchange: Any) -> None:
    interchange.auto_beat = False
    interchange.start(lost_after=4.0)
    interchange.welcome(name="m-7", lost=4.0)
    interchange.deal(9, signal.pause)
    first = interchange.peer

    interchange.hear(lambda: len(interchange.said(messages.Register)) == 2)
    interchange.say(messages.Welcome(version=messages.VERSION, manager="m-7", beat=0.5, lost=BOUND))
    interchange.deal(10, operator.add, 1, 1)
    interchange.say(messages.Cancel(ids=[9]))
    interchange.hear(lambda: 9 in interchange.ends and 10 in interchange.results)

    again = interchange.said(messages.Register)[1]
    assert interchange.peer != first
    assert (again.resumes, again.holds) == ("m-7", ([9, 1],))


@pytest.mark.parametrize("minor", [0, 1])
def test_it_says_when_a_task_ran_where_that_is_understood(interchange: Any, minor: int) -> None:
    interchange.start()
    interchange.minor = minor
    interchange.welcome(version=(1, minor))
    before = time.time()
    interchange.deal(1, operator.add, 1, 1)
    interchange.hear(lambda: interchange.results)
    interchange.deal(2, os._exit, 3)
    interchange.hear(lambda: interchange.ends)

    row, (said,) = interchange.results[1], interchange.said(messages.Ends)
    if not minor:
        assert (row.begun, said.ran) == (0.0, ())
        return
    assert before <= row.begun <= time.time()
    ((begun, seconds),) = said.ran
    assert before <= begun <= begun + seconds <= time.time() + 0.01
    assert said.ends[0][4] == f"worker 1 of m-1 on {socket.gethostname()}"


def speaks(count: int) -> int:
    import logging

    own = logging.getLogger("of.htex")
    own.addHandler(logging.NullHandler())
    own.propagate = False
    for number in range(count):
        own.warning("%d %s", number, "x" * 7000 + "\ud800")
    return count


@pytest.mark.parametrize("minor", [1, 2])
def test_what_tasks_log_and_use_is_told_before_their_results_where_that_is_understood(
    interchange: Any, minor: int
) -> None:
    watch = Watch(level=30, period=600.0)
    interchange.start(extra={WATCH: watch.word()})
    interchange.minor = minor
    interchange.welcome(version=(1, minor))
    interchange.deal(1, speaks, 60, attempt=3)
    before: list[int] = []

    def over() -> bool:
        told = interchange.said(messages.Told)
        if not interchange.results:
            before[:] = [len(told)]
        return bool(interchange.results)

    interchange.hear(over)
    told = interchange.said(messages.Told)
    if minor < messages.TOLD_SINCE:
        assert not told
        return
    assert len(told) == before[0], "a line came after the result"
    lines = [line for one in told for line in one.lines]
    samples = [sample for one in told for sample in one.samples]
    for one in told:
        messages.check_told(one)
    own = [line for line in lines if line[4] == "of.htex"]
    assert 30 <= len(own) <= 60
    assert len(own) + sum(line[6] for line in lines) == 60
    assert {tuple(line[:2]) for line in lines} == {(1, 3)}
    assert len(told) > 1, "all in one message"
    assert [sample[:2] + sample[3:4] for sample in samples] == [[1, 3, True]]


def test_with_nothing_to_tell_it_says_no_more_than_before(interchange: Any) -> None:
    interchange.start(extra={WATCH: Watch(level=30).word()})
    interchange.welcome(beat=60.0)
    interchange.deal(1, operator.add, 1, 1)
    interchange.hear(lambda: interchange.results)
    assert {type(one) for one in interchange.heard} <= {messages.Register, messages.Beat}


def test_refused_it_ends_and_says_why(interchange: Any) -> None:
    manager = interchange.start()
    interchange.hear(lambda: interchange.said(messages.Register))

    interchange.say(messages.Refused(why="The versions differ."))

    assert manager.wait(BOUND) == 2
    assert b"The versions differ." in manager.stderr.read()


def test_told_to_close_before_it_is_welcome_it_ends_as_if_all_were_done(interchange: Any) -> None:
    manager = interchange.start()
    interchange.hear(lambda: interchange.said(messages.Register))

    interchange.say(messages.Close(timeout=0.0))

    assert manager.wait(BOUND) == 0
    assert manager.stderr.read() == b""


def test_unknown_while_it_works_it_registers_again_with_what_it_holds(interchange: Any) -> None:
    interchange.start()
    interchange.welcome(name="m-9", beat=0.05)
    interchange.deal(1, signal.pause)
    interchange.hear(lambda: any(one.running == (1,) for one in interchange.said(messages.Beat)))

    interchange.say(messages.Refused(why="Who are you?"))
    interchange.hear(lambda: len(interchange.said(messages.Register)) == 2)

    again = interchange.said(messages.Register)[1]
    assert (again.resumes, again.holds) == ("m-9", ([1, 1],))


def test_it_registers_when_its_first_worker_is_ready(interchange: Any) -> None:
    # What a worker runs first waits here until the test has seen that nobody registered.
    gate = interchange.folder / "gate"
    os.mkfifo(gate)
    site = interchange.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os\n"
        "if os.environ.get('WEFT_WORKERS'):\n"
        "    with open(os.environ['GATE'], 'rb') as gate:\n"
        "        gate.read()\n"
    )
    interchange.start(environment={"PYTHONPATH": str(site), "GATE": str(gate)})

    # Opened as soon as the worker waits at the other end.
    with gate.open("wb"):
        log = next((interchange.folder / "managers").glob("manager-*.log"))
        until = time.monotonic() + BOUND
        while "reached the interchange" not in log.read_text():
            assert time.monotonic() < until
            threading.Event().wait(0.01)
        assert not interchange.socket.poll(200)
    interchange.welcome()
    interchange.deal(7, operator.add, 2, 3)
    interchange.hear(lambda: 7 in interchange.results)


def test_one_whose_workers_cannot_start_never_registers(interchange: Any) -> None:
    manager = interchange.start(environment={"PYTHONHOME": "/nowhere"}, workers=2)

    assert manager.wait(BOUND) == 2
    said = manager.stderr.read().decode()
    assert not interchange.socket.poll(0)
    assert "workers in a row did not start" in said
    assert "No module named 'encodings'" in said
    assert said.rstrip().endswith("(W-HTX-006)")


def test_a_large_payload_goes_there_and_back(interchange: Any) -> None:
    data = bytes(9 << 20)
    interchange.start()
    interchange.welcome()

    interchange.deal(1, bytes, data)
    interchange.hear(lambda: 1 in interchange.results)

    row = interchange.results[1]
    assert value_of(row.head, row.buffers) == data


def test_a_result_above_the_limit_is_an_error(interchange: Any) -> None:
    interchange.start(max_message=1 << 20)
    interchange.welcome()

    interchange.deal(1, bytes, 2 << 20)
    interchange.hear(lambda: 1 in interchange.results)

    row = interchange.results[1]
    assert row.kind == ERROR
    assert isinstance(error_of(row.head), PayloadTooLarge)


def test_orders_that_others_can_change_are_not_followed(interchange: Any) -> None:
    folder = interchange.folder
    (folder / "orders").write_text("{}")
    (folder / "orders").chmod(0o666)
    ran = subprocess.run(
        [sys.executable, "-m", "weft_htex.manager"],
        env={**os.environ, ORDERS: str(folder / "orders")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "others may write" in ran.stderr


def test_orders_that_are_not_there_are_said_to_be_missing(interchange: Any) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "weft_htex.manager"],
        env={**os.environ, ORDERS: str(interchange.folder / "nothing")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "nothing" in ran.stderr
