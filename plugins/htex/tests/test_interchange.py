"""Claims of the interchange: real sockets on loopback, a client and managers played by the test."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import random
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq

from weft_htex import interchange as module
from weft_htex import messages
from weft_htex.interchange import Interchange
from weft_htex.keys import make_pair
from weft_htex.orders import Parameters
from weft_htex.sockets import first_reached
from weft_htex.stream import Stream, pair

BOUND = 60.0
PYTHON = ".".join(map(str, sys.version_info[:3]))
WEFT = "1.2.3"
FUNCTION = b"f" * 16

Socket = zmq.Socket[bytes]


class Clock:
    """Time that goes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeManager:
    """A manager's socket, turned by hand."""

    def __init__(self, desk: Desk, block: str, pair: tuple[str, str] | None) -> None:
        self.desk, self.block = desk, block
        self.pair = pair
        self.heard: list[messages.Control] = []
        self.tasks: dict[int, messages.Row] = {}
        self.definitions: list[bytes] = []
        self.came = Counter[bytes]()
        self.connect()

    def connect(self) -> None:
        self.connect_to_nobody()
        self.socket.connect(self.desk.hello.addresses[0])

    def connect_to_nobody(self) -> None:
        self.socket = self.desk.outside.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.SNDHWM, 0)
        # Who was turned away has nobody to send to, and would wait for that without end.
        self.socket.set(zmq.SNDTIMEO, int(BOUND * 1000))
        if self.pair is not None:
            self.socket.set(zmq.CURVE_SERVERKEY, self.desk.hello.key.encode())
            self.socket.set(zmq.CURVE_PUBLICKEY, self.pair[0].encode())
            self.socket.set(zmq.CURVE_SECRETKEY, self.pair[1].encode())
        self.whole = messages.Whole()

    def reconnect(self) -> None:
        self.socket.close(0)
        self.connect()

    def send(self, parts: Sequence[Any]) -> None:
        for one in messages.messages_out(parts):
            self.socket.send_multipart(one)

    def say(self, said: messages.Control, minor: int = messages.VERSION[1]) -> None:
        self.send(messages.control_out(said, minor))

    def registration(self, **different: Any) -> messages.Register:
        fields: dict[str, Any] = {
            "version": messages.VERSION,
            "python": PYTHON,
            "weft": WEFT,
            "packages": {},
            "block": self.block,
            "host": "node",
            "pid": 7,
            "workers": 2,
            "cores": 2.0,
            "memory": 1 << 30,
            "accelerators": 0,
            "ends": 0.0,
        }
        return messages.Register(**{**fields, **different})

    def register(self, **different: Any) -> messages.Welcome:
        self.say(self.registration(**different))
        welcome: messages.Welcome = self.hear(messages.Welcome)
        return welcome

    def refusal(self, **different: Any) -> str:
        self.say(self.registration(**different))
        refused: messages.Refused = self.hear(messages.Refused)
        return refused.why

    def until(self, happened: Callable[[], Any], bound: float = BOUND) -> None:
        """Take what comes until something has happened."""
        end = time.monotonic() + bound
        while not happened():
            left = max(0, int((end - time.monotonic()) * 1000))
            assert self.socket.poll(left), f"not within {bound} s; heard {self.heard[-5:]}"
            whole = self.whole.take(self.socket.recv_multipart())
            if whole is not None:
                self.take(whole)

    def take(self, parts: Sequence[Any]) -> None:
        kind = messages.kind_of(parts)
        self.came[kind] += 1
        if kind == messages.CONTROL:
            self.heard.append(messages.control_in(parts))
        elif kind == messages.DEFINE:
            self.definitions += messages.definitions_in(parts)
        else:
            for row in messages.rows_in(parts):
                assert isinstance(row, messages.Row)
                self.tasks[row.id] = row

    def hear(self, kind: type[Any], bound: float = BOUND) -> Any:
        """The next control message of a kind."""
        found: list[Any] = []

        def heard() -> bool:
            while self.heard:
                one = self.heard.pop(0)
                if isinstance(one, kind):
                    found.append(one)
                    return True
            return False

        self.until(heard, bound)
        return found[0]

    def get(self, *ids: int) -> None:
        """Wait until these tasks are here."""
        self.until(lambda: self.tasks.keys() >= set(ids))

    def answer(self, *ids: int, attempt: int | None = None, head: bytes = b"ok") -> None:
        """Results of tasks that are here, or are not."""
        rows = []
        for number in ids:
            row = self.tasks.get(number)
            tried = attempt if attempt is not None else row.attempt if row is not None else 1
            rows.append(messages.result_bytes(number, tried, 0, head, worker=1, seconds=0.5))
        self.send(messages.rows_out(messages.RESULTS, rows))

    def end(self, number: int, how: str, attempt: int = 1) -> None:
        self.say(messages.Ends(ends=[[number, attempt, how, "why", "there"]]))


class Client:
    """The client's end of the way to an interchange."""

    def __init__(self, end: socket.socket) -> None:
        self.stream = Stream(end)
        self.poll = select.poll()

    def send(self, parts: Sequence[Any]) -> None:
        """Send a message, however long that takes."""
        self.stream.send(parts)
        self.poll.register(self.stream.fd, select.POLLOUT)
        while not self.stream.flush():
            assert self.poll.poll(BOUND * 1000), "nobody takes it"

    def next(self, bound: float = BOUND) -> Sequence[Any] | None:
        """The next message; ``None`` if none comes."""
        end = time.monotonic() + bound
        self.poll.register(self.stream.fd, select.POLLIN)
        while (parts := self.stream.receive()) is None and not self.stream.over:
            left = end - time.monotonic()
            if left <= 0 or not self.poll.poll(left * 1000):
                return None
        return parts

    def close(self) -> None:
        self.stream.close()


class Desk:
    """The client's side, and the interchange behind it."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic, **how: Any):
        self.folder = folder
        how = {"local": True, "weft": WEFT, **how}
        ours, theirs = pair()
        self.client = Client(ours)
        given = Parameters(folder=str(folder), **how)
        self.interchange = Interchange(given, theirs, clock=clock)
        self.thread = threading.Thread(target=self.interchange.run)
        self.outside: zmq.Context[Socket] = zmq.Context()
        self.results: dict[int, bytes] = {}
        self.ends: dict[int, list[Any]] = {}
        self.heard: list[messages.Control] = []
        self.came = Counter[bytes]()
        self.managers: list[FakeManager] = []
        self.pairs: dict[str, tuple[str, str]] = {}
        self.ignored = 0
        self.told: list[str] = []
        self.thread.start()
        self.hello: messages.Hello = self.hear(messages.Hello)

    def send(self, parts: Sequence[Any]) -> None:
        self.client.send(parts)

    def say(self, said: messages.Control) -> None:
        self.send(messages.control_out(said))

    def admit(self, block: str = "b") -> None:
        pair = self.pairs[block] = make_pair()
        self.say(messages.Admit(block=block, key=pair[0]))

    def manager(self, block: str = "b", **how: Any) -> FakeManager:
        """A manager that is registered."""
        made = self.stranger(block)
        made.register(**how)
        return made

    def stranger(self, block: str = "b", pair: tuple[str, str] | None = None) -> FakeManager:
        """A manager that is not."""
        if block not in self.pairs and pair is None:
            self.admit(block)
        made = FakeManager(self, block, pair or self.pairs[block])
        self.managers.append(made)
        return made

    def submit(self, *ids: int, attempt: int = 1, head: bytes = b"arguments", **how: Any) -> None:
        how = {"digests": [FUNCTION], "app": b"app", **how}
        rows = [messages.task_bytes(number, attempt, head, **how) for number in ids]
        self.send(messages.rows_out(messages.TASKS, rows))

    def until(self, happened: Callable[[], Any], bound: float = BOUND) -> None:
        end = time.monotonic() + bound
        while not happened():
            parts = self.client.next(end - time.monotonic())
            assert parts is not None, f"not within {bound} s; heard {self.heard[-3:]}"
            self.take(parts)

    def take(self, parts: Sequence[Any]) -> None:
        kind = messages.kind_of(parts)
        self.came[kind] += 1
        if kind == messages.RESULTS:
            for row in messages.rows_in(parts):
                assert isinstance(row, messages.ResultRow)
                assert row.id not in self.results, "said twice"
                self.results[row.id] = bytes(row.head)
            return
        said = messages.control_in(parts)
        if isinstance(said, messages.Ends):
            self.ends.update({one[0]: one for one in said.ends})
        elif isinstance(said, messages.News):
            self.ignored = said.ignored
            self.told += [text for _, text in said.told]
        self.heard.append(said)

    def hear(self, kind: type[Any], fits: Callable[[Any], Any] = lambda _: True) -> Any:
        """The next control message of a kind that fits."""
        found: list[Any] = []

        def heard() -> bool:
            while self.heard:
                one = self.heard.pop(0)
                if isinstance(one, kind) and fits(one):
                    found.append(one)
                    return True
            return False

        self.until(heard)
        return found[0]

    def poke(self) -> None:
        """Let the interchange have a turn, and look at its clock."""
        self.say(messages.Drop(ids=[]))

    def close(self) -> None:
        self.interchange.stop()
        self.thread.join(BOUND)
        assert not self.thread.is_alive()
        for one in self.managers:
            one.socket.close(0)
        self.client.close()
        self.outside.term()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def one(**how: Any) -> Desk:
        made.append(Desk(tmp_path / f"folder{len(made)}", **how))
        return made[-1]

    yield one
    for desk in made:
        desk.close()


@pytest.fixture
def desk(make: Callable[..., Desk]) -> Desk:
    return make()


# ---------------------------------------------------------------------------- tasks and results


def test_a_task_goes_to_a_manager_and_its_result_comes_back(desk: Desk) -> None:
    manager = desk.manager()
    desk.submit(7, head=b"two and two")
    manager.get(7)
    assert bytes(manager.tasks[7].arguments) == b"two and two"
    manager.answer(7, head=b"four")

    desk.until(lambda: desk.results)

    assert desk.results == {7: b"four"}


def test_tasks_wait_for_the_first_manager(desk: Desk) -> None:
    desk.submit(1, 2)
    manager = desk.manager()

    manager.get(1, 2)


def test_a_definition_goes_to_each_manager_once_ahead_of_its_tasks(desk: Desk) -> None:
    desk.send(messages.definitions_out({FUNCTION: b"blob"}))
    first, second = desk.manager(), desk.manager()
    for ids in ((1, 2, 3, 4), (5, 6, 7, 8)):
        desk.submit(*ids)
        for manager in (first, second):
            manager.until(lambda manager=manager: len(manager.tasks) >= 2)  # type: ignore[misc]
            manager.answer(*manager.tasks)
            manager.tasks.clear()
        desk.until(lambda ids=ids: desk.results.keys() >= set(ids))  # type: ignore[misc]

    assert first.definitions == second.definitions == [FUNCTION]


def test_a_definition_that_is_missing_is_sent_or_asked_for(desk: Desk) -> None:
    manager = desk.manager()
    manager.say(messages.Missing(digests=[FUNCTION.hex()]))

    assert desk.hear(messages.Missing).digests == [FUNCTION.hex()]
    desk.send(messages.definitions_out({FUNCTION: b"blob"}))
    manager.until(lambda: manager.definitions == [FUNCTION])
    manager.say(messages.Missing(digests=[FUNCTION.hex()]))
    manager.until(lambda: manager.definitions == [FUNCTION] * 2)


def test_large_payloads_travel_in_pieces_and_arrive_whole(desk: Desk) -> None:
    manager = desk.manager()
    large = random.Random(1).randbytes(3 * messages.FRAME + 17)
    desk.submit(1, head=large, buffers=[large[:100_000], b"small"])
    manager.get(1)
    row = manager.tasks[1]
    assert bytes(row.arguments) == large
    assert [bytes(one) for one in row.buffers] == [large[:100_000], b"small"]
    manager.answer(1, head=large[::-1])

    desk.until(lambda: desk.results)

    assert desk.results[1] == large[::-1]


def test_ten_thousand_tasks_take_few_messages(desk: Desk) -> None:
    """The budget: under 500 messages each way, whoever looks."""
    count, batch = 10_000, 256
    managers = [desk.manager(workers=2) for _ in range(2)]
    desk.came.clear()
    for start in range(0, count, batch):
        desk.submit(*range(start, min(count, start + batch)))
    poller = zmq.Poller()
    for one in (desk.client.stream.fd, *(manager.socket for manager in managers)):
        poller.register(one, zmq.POLLIN)
    answers = 0
    end = time.monotonic() + BOUND
    while len(desk.results) < count:
        assert time.monotonic() < end
        ready = dict(poller.poll(1000))
        while desk.client.stream.fd in ready and (parts := desk.client.stream.receive()):
            desk.take(parts)
        for manager in managers:
            if manager.socket in ready:
                manager.tasks.clear()
                manager.take(manager.socket.recv_multipart())
                if manager.tasks:
                    rows = [
                        messages.result_bytes(number, 1, 0, b"ok", seconds=0.000_01)
                        for number in manager.tasks
                    ]
                    manager.send(messages.rows_out(messages.RESULTS, rows))
                    answers += 1

    assert sum(sum(manager.came.values()) for manager in managers) < 500
    assert answers < 500
    assert sum(desk.came.values()) < 500


# ------------------------------------------------------------------------------- who is believed


def test_a_result_of_another_manager_is_not_accepted(desk: Desk) -> None:
    owner = desk.manager(workers=1)
    desk.submit(1)
    owner.get(1)
    other = desk.manager(workers=1)
    other.answer(1, head=b"forged")
    desk.hear(messages.News, lambda news: news.ignored == 1)
    owner.answer(1, head=b"true")
    owner.answer(1, head=b"again")
    desk.hear(messages.News, lambda news: news.ignored == 2)

    assert desk.results == {1: b"true"}


def test_a_late_result_of_an_old_attempt_is_not_accepted(desk: Desk) -> None:
    manager = desk.manager(workers=2)
    desk.submit(1, attempt=1)
    manager.get(1)
    desk.submit(1, attempt=2)
    assert manager.hear(messages.Cancel).ids == [1]
    manager.until(lambda: manager.tasks[1].attempt == 2)
    manager.answer(1, attempt=1, head=b"old")
    manager.answer(1, attempt=2, head=b"new")
    desk.until(lambda: desk.results)

    assert desk.results == {1: b"new"}


def test_the_good_results_of_a_message_count_beside_the_bad_ones(desk: Desk) -> None:
    manager = desk.manager(workers=2)
    desk.submit(1, 2)
    manager.get(1, 2)
    manager.answer(1, 99, 2, head=b"x" * 100_000)
    desk.until(lambda: len(desk.results) == 2)

    assert desk.results == {1: b"x" * 100_000, 2: b"x" * 100_000}


@pytest.mark.parametrize(
    "junk",
    [
        [b"nonsense"],
        [b""],
        [b"C{"],
        [b'C["beat",{}]'],
        [b'C["ends",{"ends":[[1,2]]}]'],
        [b'C["ends",{"ends":[[1,1,"exploded","",""]]}]'],
        [b'C["admit",{"block":"x","key":""}]'],
        [b'C["missing",{"digests":["xyz"]}]'],
        [b"Rcut short"],
        [b"T" + b"\0" * 100],
        [messages.RESULTS, b"stray frame"],
        [messages.PIECES + b"\1\0\0\0"],
    ],
)
def test_who_sends_what_is_no_message_is_cut_off_and_its_tasks_go_elsewhere(
    desk: Desk, junk: list[bytes]
) -> None:
    bad = desk.manager(workers=1)
    desk.submit(1)
    bad.get(1)
    bad.socket.send_multipart(junk)
    assert "no message" in bad.hear(messages.Refused).why
    desk.until(lambda: 1 in desk.ends)
    assert desk.ends[1][2] == "lost"
    good = desk.manager(workers=1)
    desk.submit(1, attempt=2)
    good.get(1)
    bad.answer(1, attempt=2)
    good.answer(1, head=b"right")
    desk.until(lambda: desk.results)

    assert desk.results == {1: b"right"}


def test_ten_thousand_random_messages_harm_nobody_else(desk: Desk) -> None:
    chance = random.Random(20)
    good = desk.manager(workers=1)
    desk.submit(1)
    good.get(1)
    bad = desk.stranger()
    seeds = [
        messages.control_out(bad.registration()),
        messages.control_out(messages.Beat(running=[1], waiting=2)),
        messages.control_out(messages.Ends(ends=[[1, 1, "killed", "", ""]])),
        messages.control_out(messages.Close(timeout=1.0)),
        messages.control_out(messages.Missing(digests=["00" * 16])),
        messages.rows_out(messages.RESULTS, [messages.result_bytes(1, 1, 0, b"forged")]),
        messages.rows_out(messages.RESULTS, [messages.result_bytes(1, 1, 0, b"f" * 70_000)]),
        messages.rows_out(messages.TASKS, [messages.task_bytes(1, 1, b"forged")]),
        messages.definitions_out({FUNCTION: b"forged"}),
        [messages.PIECE, b"piece"],
        [messages.PIECES + struct.pack("<I", 1)],
    ]
    for number in range(10_000):
        parts = [bytearray(part) for part in chance.choice(seeds)]
        if number % 50:
            mutate(chance, parts)
        bad.socket.send_multipart([bytes(part) for part in parts])
        while bad.socket.poll(0):
            bad.socket.recv_multipart()
    good.answer(1, head=b"right")
    desk.until(lambda: desk.results)
    after = desk.manager(workers=1)
    desk.submit(2, 3)
    after.until(lambda: after.tasks)

    assert desk.results == {1: b"right"}
    assert 1 not in desk.ends
    assert desk.thread.is_alive()


def mutate(chance: random.Random, parts: list[bytearray]) -> None:
    """Change a message in one of the ways in which messages go wrong."""
    part = chance.choice(parts)
    way = chance.randrange(6)
    at = chance.randrange(len(part) + 1)
    if way == 0:
        del part[at:]
    elif way == 1:
        part += chance.randbytes(chance.randrange(1, 50))
    elif way == 2 and part:
        part[chance.randrange(len(part))] = chance.randrange(256)
    elif way == 3:
        part[at:at] = chance.randbytes(chance.randrange(1, 9))
    elif way == 4:
        parts.append(bytearray(chance.randbytes(chance.randrange(20))))
    else:
        parts[:] = [bytearray(chance.randbytes(chance.randrange(200)))]


def test_who_has_keys_of_his_own_does_not_get_in(desk: Desk) -> None:
    desk.admit("b")
    stranger = desk.stranger("b", make_pair())
    stranger.say(stranger.registration())
    desk.hear(messages.News, lambda news: news.ignored >= 1)

    assert not stranger.socket.poll(0)


def test_who_knocks_before_it_is_admitted_is_let_in_once_it_is(desk: Desk) -> None:
    early = desk.stranger("b", desk.pairs.setdefault("b", make_pair()))
    early.socket.close(0)
    hear, say = os.pipe()
    found: list[Any] = []

    def made() -> Socket:
        early.connect_to_nobody()
        return early.socket

    def knock() -> None:
        found.append(first_reached([desk.hello.addresses[0]], made, BOUND, hear))

    knocking = threading.Thread(target=knock)
    knocking.start()
    desk.hear(messages.News, lambda news: news.ignored >= 1)  # it was turned away
    desk.say(messages.Admit(block="b", key=desk.pairs["b"][0]))
    knocking.join(BOUND)
    os.close(hear)
    os.close(say)

    assert found[0] is not None
    assert early.register().manager


def test_who_registers_before_its_block_is_admitted_is_welcome_once_it_is(
    make: Callable[..., Desk],
) -> None:
    desk = make(encrypted=False)
    early = FakeManager(desk, "late", None)
    desk.managers.append(early)
    early.say(early.registration())
    desk.poke()
    assert not early.socket.poll(50)  # neither welcome nor refused
    desk.admit("late")

    assert early.hear(messages.Welcome).manager


def test_who_is_told_to_stop_knocking_does_so(desk: Desk) -> None:
    early = desk.stranger("b", make_pair())
    early.socket.close(0)
    hear, say = os.pipe()
    os.write(say, b"!")

    def made() -> Socket:
        early.connect_to_nobody()
        return early.socket

    assert first_reached([desk.hello.addresses[0]], made, BOUND, hear) is None
    os.close(hear)
    os.close(say)


def test_the_key_of_one_block_is_not_good_for_another(desk: Desk) -> None:
    desk.admit("mine")
    desk.admit("yours")
    thief = desk.stranger("mine")

    assert "'yours'" in thief.refusal(block="yours")


def test_the_key_of_a_block_that_has_ended_is_refused_and_its_tasks_are_lost(desk: Desk) -> None:
    manager = desk.manager("b")
    desk.submit(1)
    manager.get(1)
    desk.say(messages.Admit(block="b", key=""))
    desk.until(lambda: 1 in desk.ends)
    assert desk.ends[1][2] == "lost"
    manager.hear(messages.Close)
    before = desk.ignored
    late = desk.stranger("b")
    with contextlib.suppress(zmq.Again):  # it may have been turned away by now
        late.say(late.registration())
    desk.hear(messages.News, lambda news: news.ignored > before)

    assert not late.socket.poll(0)


def test_who_comes_without_encryption_or_with_junk_does_not_get_in(desk: Desk) -> None:
    desk.admit("b")
    plain = FakeManager(desk, "b", None)
    desk.managers.append(plain)
    plain.say(plain.registration())
    port = int(desk.hello.addresses[0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), BOUND) as raw:
        raw.settimeout(BOUND)
        raw.sendall(b"GET / HTTP/1.0\r\n\r\n" * 100)
        with contextlib.suppress(ConnectionError):
            while raw.recv(4096):
                pass
    manager = desk.manager()
    desk.submit(1)
    manager.get(1)

    assert not plain.socket.poll(0)


def test_a_frame_that_is_too_large_ends_the_connection(desk: Desk) -> None:
    manager = desk.manager(workers=1)
    desk.submit(1)
    manager.get(1)
    manager.socket.send(b"R" + bytes(16 * 1024 * 1024))
    good = desk.manager(workers=1)
    desk.submit(2)

    good.get(2)


def test_without_encryption_only_loopback_is_listened_at(make: Callable[..., Desk]) -> None:
    desk = make(encrypted=False, local=False)
    desk.admit("b")
    manager = FakeManager(desk, "b", None)
    desk.managers.append(manager)
    manager.register()

    assert desk.hello.key == ""
    assert all(address.startswith("tcp://127.0.0.1:") for address in desk.hello.addresses)


# ------------------------------------------------------------------------------ who may register


@pytest.mark.parametrize(
    ("different", "words"),
    [
        ({"version": (99, 0)}, ["99.0", "1.2"]),
        ({"python": "3.4.0"}, ["3.4.0", ".".join(PYTHON.split(".")[:2])]),
        ({"weft": "9.9.9"}, ["9.9.9", WEFT]),
        ({"block": "unknown"}, ["'unknown'"]),
        ({"workers": 0}, ["no worker"]),
        ({"cores": -1.0}, ["cannot be"]),
        ({"cores": 1e308}, ["cannot be"]),
        ({"ends": float("nan")}, ["cannot be"]),
    ],
)
def test_who_does_not_fit_is_told_why_and_so_is_the_client(
    desk: Desk, different: dict[str, Any], words: list[str]
) -> None:
    why = desk.stranger().refusal(**different)
    news = desk.hear(messages.News, lambda news: news.told)

    assert all(word in why for word in words)
    assert [level for level, _ in news.told] == ["refused"]
    assert all(word in news.told[0][1] for word in words)


def test_a_manager_of_an_earlier_minor_version_says_less_and_works(desk: Desk) -> None:
    manager = desk.manager(version=(1, 0))
    desk.submit(1, 2)
    manager.get(1, 2)
    manager.answer(1)
    manager.say(messages.Ends(ends=[[2, 1, "killed", "why", ""]]), 0)
    desk.until(lambda: desk.results and desk.ends)

    assert desk.ends[2][4] == "manager-1 on node"
    assert [one.ran for one in desk.heard if isinstance(one, messages.Ends)] == [()]


def test_who_says_when_a_task_ran_is_passed_on_and_who_says_nonsense_is_not(desk: Desk) -> None:
    manager = desk.manager()
    desk.submit(1, 2)
    manager.get(1, 2)
    end = [1, 1, "killed", "why", ""]
    manager.say(messages.Ends(ends=[end], ran=[[1e9, 2.5]]))
    assert desk.hear(messages.Ends).ran == ([1e9, 2.5],)

    for ran in ([[1.0, -1.0]], [[float("nan"), 1.0]], [[1.0]], [[1.0, 1.0], [1.0, 1.0]]):
        manager.say(messages.Ends(ends=[[2, 1, "killed", "why", ""]], ran=ran))
        manager.hear(messages.Refused)
        manager = desk.manager()
    desk.until(lambda: 2 in desk.ends)
    assert desk.ends[2][2] == "lost"


LINE = [1, 1, 2.5, "WARNING", "a.logger", "text", 0]
SAMPLE = [1, 1, 2.5, True, 0.5, None, 1, 2, 3, None, None, 1, None]


def test_what_tasks_log_and_use_is_passed_on_before_results_that_came_later(desk: Desk) -> None:
    manager = desk.manager()
    desk.submit(1)
    manager.get(1)
    manager.say(messages.Told(lines=[LINE], samples=[SAMPLE]))
    manager.answer(1)
    seen: list[bool] = []

    def told() -> bool:
        heard = any(isinstance(one, messages.Told) for one in desk.heard)
        seen.append(heard or not desk.results)
        return bool(desk.results)

    desk.until(told)
    (said,) = [one for one in desk.heard if isinstance(one, messages.Told)]
    assert (said.lines, said.samples) == ([LINE], [SAMPLE])
    assert all(seen), "the result came before what was told"


@pytest.mark.parametrize(
    ("lines", "samples"),
    [
        ([LINE[:-1]], []),
        ([[*LINE[:5], 7, 0]], []),
        ([[*LINE[:2], "now", *LINE[3:]]], []),
        ([], [SAMPLE[:-1]]),
        ([], [[*SAMPLE[:4], "much", *SAMPLE[5:]]]),
        ([], [[*SAMPLE[:4], float("inf"), *SAMPLE[5:]]]),
    ],
)
def test_who_tells_nonsense_is_not_passed_on(
    desk: Desk, lines: list[list[Any]], samples: list[list[Any]]
) -> None:
    manager = desk.manager()
    manager.say(messages.Told(lines=lines, samples=samples))
    assert manager.hear(messages.Refused).why
    desk.hear(messages.News)
    assert not [one for one in desk.heard if isinstance(one, messages.Told)]


def test_a_manager_cannot_say_whose_results_are(desk: Desk) -> None:
    manager = desk.manager()
    desk.submit(1)
    manager.get(1)
    forged = [(messages.source_bytes("manager-9 on elsewhere"), ())]
    manager.send(messages.rows_out(messages.RESULTS, forged))
    desk.until(lambda: desk.ends)

    assert desk.ends[1][4] == "manager-1 on node"
    assert desk.results == {}


def test_a_registration_of_a_later_minor_version_is_understood(desk: Desk) -> None:
    manager = desk.stranger()
    later = (messages.VERSION[0], messages.VERSION[1] + 1)
    (text,) = messages.control_out(manager.registration(version=later))
    name, fields = json.loads(text[1:])
    fields["something new"] = 1
    manager.socket.send(b"C" + json.dumps([name, fields]).encode())

    assert manager.hear(messages.Welcome).version == messages.VERSION


def test_a_manager_must_not_choose_its_identity(desk: Desk) -> None:
    desk.admit("b")
    manager = FakeManager.__new__(FakeManager)
    manager.__dict__.update(FakeManager(desk, "b", desk.pairs["b"]).__dict__)
    manager.socket.close(0)
    own = desk.outside.socket(zmq.DEALER)
    own.set(zmq.LINGER, 0)
    own.set(zmq.ROUTING_ID, b"somebody")
    own.set(zmq.CURVE_SERVERKEY, desk.hello.key.encode())
    own.set(zmq.CURVE_PUBLICKEY, desk.pairs["b"][0].encode())
    own.set(zmq.CURVE_SECRETKEY, desk.pairs["b"][1].encode())
    own.connect(desk.hello.addresses[0])
    manager.socket = own
    desk.managers.append(manager)

    assert "identity" in manager.refusal()


def test_who_is_not_registered_is_told_so_once(desk: Desk) -> None:
    manager = desk.stranger()
    for _ in range(3):
        manager.say(messages.Beat())
    manager.hear(messages.Refused)
    manager.register()

    assert not [one for one in manager.heard if isinstance(one, messages.Refused)]


# ------------------------------------------------------------------------------------ going away


def test_a_silent_manager_is_lost_and_only_what_it_ran_is_blamed(
    make: Callable[..., Desk],
) -> None:
    clock = Clock()
    desk = make(clock=clock, heartbeat=5.0, lost_after=30.0)
    silent, lively = desk.manager(workers=2), desk.manager(workers=1, host="lively")
    desk.submit(1, 2, 3)
    silent.get(1)
    lively.until(lambda: lively.tasks)
    (theirs,) = lively.tasks
    mine = [number for number in (1, 2, 3) if number != theirs]
    silent.get(*mine)
    silent.say(messages.Beat(running=[mine[0]], waiting=1))
    silent.say(messages.Missing(digests=["00" * 16]))
    # So what came before has been heard too.
    desk.hear(messages.Missing, lambda said: said.digests == ["00" * 16])
    for _ in range(7):
        clock.now += 5.0
        lively.say(messages.Beat())
        lively.hear(messages.Beat)
    desk.until(lambda: len(desk.ends) == 2)

    assert desk.ends[mine[0]][2] == "killed"
    assert desk.ends[mine[1]][2] == "lost"
    assert "30 s" in desk.ends[mine[0]][3] or "35 s" in desk.ends[mine[0]][3]
    news = desk.hear(messages.News, lambda news: len(news.managers) == 1)
    assert [one["host"] for one in news.managers.values()] == ["lively"]


def test_a_manager_hears_a_sign_of_life_from_the_interchange(make: Callable[..., Desk]) -> None:
    clock = Clock()
    desk = make(clock=clock)
    manager = desk.manager()
    clock.now += 5.0
    desk.poke()

    manager.hear(messages.Beat)


def test_a_manager_whose_connection_broke_is_lost_within_a_heartbeat(
    make: Callable[..., Desk],
) -> None:
    desk = make(heartbeat=0.3, lost_after=600.0)
    manager = desk.manager()
    desk.submit(1)
    manager.get(1)
    manager.socket.close(0)

    desk.until(lambda: 1 in desk.ends)

    assert desk.ends[1][2] == "lost"
    assert "connection" in desk.ends[1][3]


def test_a_manager_that_comes_back_keeps_what_it_holds(make: Callable[..., Desk]) -> None:
    desk = make(heartbeat=60.0, lost_after=600.0)
    manager = desk.manager(workers=3)
    desk.submit(1, 2)
    manager.get(1, 2)
    name = desk.hear(messages.News, lambda news: news.managers).managers.popitem()[0]
    manager.reconnect()
    again = manager.register(workers=3, resumes=name, holds=[[1, 1], [77, 1]])
    assert again.manager == name
    assert manager.hear(messages.Cancel).ids == [77]
    desk.until(lambda: 2 in desk.ends)
    manager.answer(1)
    desk.until(lambda: desk.results)
    desk.submit(3)
    manager.get(3)

    desk.until(lambda: 2 in desk.ends)
    assert desk.ends[2][2] == "lost"
    assert desk.results.keys() == {1}


def test_a_manager_of_another_block_cannot_take_a_name_over(desk: Desk) -> None:
    manager = desk.manager("mine", workers=1)
    desk.submit(1)
    manager.get(1)
    thief = desk.stranger("yours")
    welcome = thief.register(resumes="manager-1", holds=[[1, 1]])
    assert welcome.manager != "manager-1"
    assert thief.hear(messages.Cancel).ids == [1]
    thief.answer(1, head=b"forged")
    manager.answer(1, head=b"right")
    desk.until(lambda: desk.results)

    assert desk.results == {1: b"right"}


def test_a_manager_that_says_good_bye_is_gone_at_once(desk: Desk) -> None:
    manager = desk.manager()
    desk.submit(1)
    manager.get(1)
    manager.say(messages.Close(timeout=0.0))
    desk.until(lambda: 1 in desk.ends)
    news = desk.hear(messages.News, lambda news: not news.managers)

    assert news.managers == {}


def test_draining_gives_back_what_has_not_begun_to_others(desk: Desk) -> None:
    old = desk.manager("old", workers=2)
    desk.submit(1, 2)
    old.get(1, 2)
    new = desk.manager("new", workers=2)
    desk.say(messages.Drain(block="old"))
    assert old.hear(messages.Drain).block == "old"
    old.end(2, "returned")
    new.get(2)
    old.answer(1)
    new.answer(2)
    desk.until(lambda: len(desk.results) == 2)
    assert desk.ends == {}
    late = desk.stranger("old")
    late.register()

    late.hear(messages.Drain)


def test_cancelled_tasks_are_ended_here_or_where_they_are(desk: Desk) -> None:
    manager = desk.manager(workers=1)
    desk.submit(1, 2, 3)
    manager.get(1)
    desk.say(messages.Cancel(ids=[1, 2]))
    assert manager.hear(messages.Cancel).ids == [1]
    manager.end(1, "cancelled")
    manager.get(3)
    desk.say(messages.Drop(ids=[3]))
    assert manager.hear(messages.Drop).ids == [3]
    desk.until(lambda: len(desk.ends) == 2)

    assert {number: end[2] for number, end in desk.ends.items()} == {1: "cancelled", 2: "cancelled"}


def test_ends_say_how_why_and_where(desk: Desk) -> None:
    manager = desk.manager(workers=1)
    desk.submit(1)
    manager.get(1)
    manager.end(1, "killed")
    desk.until(lambda: desk.ends)

    assert desk.ends[1] == [1, 1, "killed", "why", "there"]


def test_tasks_that_fit_no_manager_are_told_of(desk: Desk) -> None:
    desk.manager(workers=2)
    desk.submit(1, needs=b'{"cores": 64}')
    desk.submit(2, needs=b"nonsense")
    told = desk.hear(messages.Unfit)
    desk.until(lambda: 2 in desk.ends)

    assert told.ids == [1]
    assert not told.time
    desk.until(lambda: 2 in desk.ends)
    assert desk.ends[2][2] == "lost"


def test_close_lets_managers_finish_and_then_ends(desk: Desk) -> None:
    manager = desk.manager()
    desk.submit(1)
    manager.get(1)
    desk.say(messages.Close(timeout=60.0))
    assert manager.hear(messages.Close).timeout == 60.0
    manager.answer(1)
    desk.until(lambda: desk.results)
    manager.say(messages.Close(timeout=0.0))
    desk.thread.join(BOUND)

    assert not desk.thread.is_alive()


def test_who_comes_while_it_closes_is_sent_away_and_nobody_is_warned(desk: Desk) -> None:
    working, late = desk.manager(), desk.stranger("other")
    desk.submit(1)
    working.get(1)
    desk.say(messages.Close(timeout=60.0))
    working.hear(messages.Close)
    late.say(late.registration())
    assert late.hear(messages.Close).timeout == 0.0
    working.answer(1)
    desk.until(lambda: desk.results)
    working.say(messages.Close(timeout=0.0))
    desk.thread.join(BOUND)

    assert not desk.thread.is_alive()
    # What was to be told before the end is on the way now.
    while (parts := desk.client.next(0.0)) is not None:
        desk.take(parts)
    assert desk.told == []


def test_who_comes_back_while_it_closes_may_end_what_it_runs(make: Callable[..., Desk]) -> None:
    desk = make(lost_after=300.0, heartbeat=100.0)
    manager = desk.stranger()
    name = manager.register().manager
    desk.submit(1)
    manager.get(1)
    desk.say(messages.Close(timeout=60.0))
    manager.hear(messages.Close)
    manager.reconnect()
    manager.register(resumes=name, holds=[[1, 1]])
    manager.answer(1)
    desk.until(lambda: 1 in desk.results)
    manager.say(messages.Close(timeout=0.0))
    desk.thread.join(BOUND)

    assert not desk.thread.is_alive()
    assert desk.ends == {}


def test_close_does_not_wait_for_ever(make: Callable[..., Desk]) -> None:
    clock = Clock()
    desk = make(clock=clock)
    manager = desk.manager()
    desk.say(messages.Close(timeout=60.0))
    manager.hear(messages.Close)
    desk.say(messages.Close(timeout=1.0))
    manager.hear(messages.Close)
    clock.now += 7.0
    desk.poke()
    desk.thread.join(BOUND)

    assert not desk.thread.is_alive()


def test_when_it_is_stopped_managers_are_told_to_end(desk: Desk) -> None:
    manager = desk.manager()
    desk.interchange.stop()
    assert manager.hear(messages.Close).timeout == 0.0
    desk.thread.join(BOUND)

    assert not desk.thread.is_alive()


def test_a_client_that_takes_nothing_for_a_while_loses_nothing(make: Callable[..., Desk]) -> None:
    desk = make(prefetch=200)
    manager = desk.manager(workers=20)
    count = 4000
    desk.submit(*range(count))
    manager.until(lambda: len(manager.tasks) == count)
    # One message each, more than there is room for on the way; the client reads none of them.
    for number in range(count):
        manager.answer(number, head=b"x" * 5000)
    desk.until(lambda: len(desk.results) == count)

    assert desk.ends == {}


# ------------------------------------------------------------------------------------ operations


def test_the_log_has_lines_for_events_and_none_for_tasks_and_is_private(desk: Desk) -> None:
    manager = desk.manager(host="no\nde")
    desk.submit(*range(500), head=b"secret arguments")
    while len(desk.results) < 500:
        manager.until(lambda: manager.tasks)
        manager.answer(*manager.tasks)
        manager.tasks.clear()
        before = len(desk.results)
        desk.until(lambda before=before: len(desk.results) > before)  # type: ignore[misc]
    log = desk.folder / "interchange.log"
    lines = log.read_text().splitlines()

    assert len(lines) < 10
    assert any("manager-1 on no?de (block b): 2 workers" in line for line in lines)
    assert "secret" not in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.folder.stat().st_mode) == 0o700


def test_news_tell_of_managers(desk: Desk) -> None:
    desk.manager(host="here", pid=5, workers=3, packages={"weft-htex": "1"}, ends=100.0)
    news = desk.hear(messages.News, lambda news: news.managers)
    (seen,) = news.managers.values()

    assert {key: seen[key] for key in ("block", "host", "pid", "workers", "python", "state")} == {
        "block": "b", "host": "here", "pid": 5, "workers": 3, "python": PYTHON, "state": "working",
    }  # fmt: skip
    assert seen["packages"] == {"weft-htex": "1"}
    assert 0 < seen["left"] <= 100.0


def test_news_tell_how_long_a_manager_has_had_no_task(make: Callable[..., Desk]) -> None:
    clock = Clock()
    desk = make(clock=clock, heartbeat=10.0, lost_after=1000.0)
    manager = desk.manager(workers=1)

    def later(seconds: float) -> None:
        clock.now += seconds
        desk.poke()

    def idle_and_held() -> tuple[float, int]:
        news = desk.hear(messages.News, lambda news: news.managers)
        (seen,) = news.managers.values()
        return seen["idle"], seen["held"]

    def run(number: int) -> None:
        desk.submit(number)
        manager.get(number)
        manager.answer(number)
        desk.until(lambda: number in desk.results)

    later(4.0)
    assert idle_and_held() == (4.0, 0)
    # It was said to have none, so that it has one is news, which come as soon as they may.
    desk.submit(1)
    manager.get(1)
    later(1.0)
    assert idle_and_held() == (0.0, 1)
    # What comes and goes between two looks at the managers is none.
    manager.answer(1)
    desk.until(lambda: 1 in desk.results)
    for number in range(2, 6):
        run(number)
        later(0.5)
    later(4.0)
    # All news since the last came now.
    assert idle_and_held() == (4.5, 0)
    run(6)
    later(1.0)
    assert idle_and_held() == (0.0, 0), "it was used, if for less than a moment"
    later(9.5)
    assert idle_and_held() == (10.5, 0)


def test_ports_of_a_range_are_used(make: Callable[..., Desk]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        desk = make(ports=(port, min(65535, port + 200)))

    assert port < int(desk.hello.addresses[0].rpartition(":")[2]) <= port + 200


def test_a_range_without_a_free_port_is_an_error_that_says_so(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        given = Parameters(folder=str(tmp_path / "f"), local=True, ports=(port, port))
        ours, theirs = pair()
        one = Interchange(given, theirs)
        with ours, pytest.raises(OSError, match=str(port)):
            one.run()


# --------------------------------------------------------------------------- a process of its own


class Process:
    """An interchange as a process, and the client's socket to it."""

    def __init__(self, folder: Path, prefix: Sequence[str] = (), **how: Any) -> None:
        self.parameters = Parameters(folder=str(folder), local=True, weft=WEFT, **how)
        ours, theirs = pair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, *(prefix or ("-m", "weft_htex.interchange"))],
                stdin=theirs.fileno(),
                stderr=subprocess.PIPE,
            )
        self.client = Client(ours)
        self.client.send([self.parameters.to_json().encode()])

    def hello(self) -> messages.Hello:
        parts = self.client.next()
        assert parts is not None
        said = messages.control_in(parts)
        assert isinstance(said, messages.Hello)
        return said

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(BOUND)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.client.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def one(**how: Any) -> Process:
        made.append(Process(how.pop("folder", tmp_path / "folder"), **how))
        return made[-1]

    yield one
    for each in made:
        each.close()


def test_the_process_says_hello_and_ends_when_told_to(process: Callable[..., Process]) -> None:
    one = process()
    hello = one.hello()
    assert hello.pid == one.process.pid
    one.client.send(messages.control_out(messages.Close(timeout=0.0)))

    assert one.process.wait(BOUND) == 0


def test_the_process_ends_when_its_client_goes(process: Callable[..., Process]) -> None:
    one = process()
    one.hello()
    one.client.close()

    assert one.process.wait(BOUND) == 0


def test_when_the_client_is_killed_the_process_goes_by_itself(tmp_path: Path) -> None:
    parameters = Parameters(folder=str(tmp_path / "folder"), local=True).to_json()
    script = (
        "import select, subprocess, sys\n"
        "from weft_htex.stream import Stream, pair\n"
        "ours, theirs = pair()\n"
        "one = subprocess.Popen([sys.executable, '-m', 'weft_htex.interchange'],"
        " stdin=theirs.fileno())\n"
        "theirs.close()\n"
        "way = Stream(ours)\n"
        f"way.send([{parameters!r}.encode()])\n"
        "while way.receive() is None:\n    assert select.select([ours], [], [], 60)[0]\n"
        "print(one.pid, flush=True)\n"
        "one.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        handle = os.pidfd_open(int(client.stdout.readline()))
        try:
            client.send_signal(signal.SIGKILL)
            gone = select.poll()
            gone.register(handle, select.POLLIN)
            assert gone.poll(int(BOUND * 1000)), "the interchange outlived its client"
        finally:
            os.close(handle)


def test_parameters_that_cannot_work_end_the_process_with_a_sentence(
    process: Callable[..., Process], tmp_path: Path
) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    one = process(folder=open_to_all)

    assert one.process.wait(BOUND) == 2
    assert one.process.stderr is not None
    assert b"open to others" in one.process.stderr.read()


def test_who_starts_it_by_hand_is_told_that_its_client_does() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "weft_htex.interchange"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )

    assert ended.returncode == 2
    assert "an executor htex starts it" in ended.stderr


def test_no_secret_is_in_the_arguments_the_environment_or_the_files(
    process: Callable[..., Process], tmp_path: Path
) -> None:
    one = process()
    hello = one.hello()
    place = Path("/proc") / str(one.process.pid)
    said = place.joinpath("cmdline").read_bytes() + place.joinpath("environ").read_bytes()
    assert hello.key.encode() not in said
    files = [file for file in (tmp_path / "folder").iterdir() if file.is_file()]

    assert [file.name for file in files] == ["interchange.log"]
    assert hello.key not in files[0].read_text()


LOADED = {"pickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle"}


def test_none_of_its_modules_imports_what_could_unpickle() -> None:
    folder = Path(module.__file__).parent
    for name in ("interchange", "matching", "messages", "keys", "addresses"):
        tree = ast.parse((folder / f"{name}.py").read_text())
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            roots = {one.partition(".")[0] for one in names}
            assert not roots & LOADED, name
            assert not any(one.startswith("weft.calls") for one in names), name


def test_while_it_serves_nothing_can_be_unpickled(process: Callable[..., Process]) -> None:
    """pyzmq imports pickle for methods that are not used here; so that module is made blunt."""
    blunt = (
        "import atexit, os, pickle, sys\n"
        "def refuse(*args, **kwargs):\n    raise SystemExit(77)\n"
        "pickle.load = pickle.loads = pickle.Unpickler = refuse\n"
        "from weft_htex.interchange import main\n"
        "def look():\n"
        "    if {'dill', 'cloudpickle', 'weft.calls', 'weft.session'} & set(sys.modules):\n"
        "        os._exit(99)\n"
        "atexit.register(look)\n"
        "main()\n"
    )
    one = process(prefix=("-c", blunt))
    one.hello()
    row = messages.task_bytes(1, 1, b"cos\nsystem\n(S'true'\ntR.")
    one.client.send(messages.rows_out(messages.TASKS, [row]))
    one.client.send(messages.control_out(messages.Close(timeout=0.0)))

    assert one.process.wait(BOUND) == 0


def test_parameters_survive_the_way_through_json() -> None:
    given = Parameters(folder="/f", addresses=("a", "b"), ports=(1, 2), prefetch=3)

    assert Parameters.from_json(given.to_json()) == given
