"""Claims of the way between client and interchange."""

from __future__ import annotations

import os
import select
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from weft_htex.messages import BadMessage, Cut
from weft_htex.stream import Stream, pair

Ends = tuple[Stream, Stream]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = (Stream(end) for end in pair())
    yield one, other
    one.close()
    other.close()


def _brought(sender: Stream, receiver: Stream, count: int = 1) -> list[Sequence[Any]]:
    """So many messages, while the sender sends what waits; fewer if no more come."""
    waits = select.poll()
    waits.register(receiver.fd, select.POLLIN)
    came: list[Sequence[Any]] = []
    while len(came) < count and not receiver.over:
        sender.flush()
        parts = receiver.receive()
        if parts is not None:
            came.append(parts)
        elif not sender.blocked and not waits.poll(0):
            break
    return came


def _bytes(parts: Sequence[Any]) -> list[bytes]:
    return [bytes(part) for part in parts]


def test_messages_arrive_whole_and_in_order(ends: Ends) -> None:
    here, there = ends
    sent = [[b"T%d" % number, b"", b"x" * number] for number in range(500)]
    for parts in sent:
        here.send(parts)

    assert [_bytes(parts) for parts in _brought(here, there, 500)] == sent
    assert there.receive() is None
    assert not there.over


def test_what_is_larger_than_any_room_on_the_way_waits_and_arrives(ends: Ends) -> None:
    here, there = ends
    large = os.urandom(5_000_000)
    here.send([b"first", large, b"last"])
    here.send([b"behind"])
    assert here.blocked
    assert here.waiting > 1_000_000

    whole, behind = _brought(here, there, 2)

    assert _bytes(whole) == [b"first", large, b"last"]
    assert _bytes(behind) == [b"behind"]
    assert here.flush()
    assert here.waiting == 0


def test_a_large_part_that_arrived_can_be_written_to(ends: Ends) -> None:
    here, there = ends
    here.send([b"first", bytes(1_000_000)])
    (parts,) = _brought(here, there)

    assert not memoryview(parts[1]).readonly


def test_a_frame_that_came_in_pieces_goes_on_as_one(ends: Ends) -> None:
    here, there = ends
    for size in (3, 100_000):
        here.send([b"head", Cut([b"a" * size, memoryview(b"b" * size)]), b"tail"])
        (parts,) = _brought(here, there)

        assert _bytes(parts) == [b"head", b"a" * size + b"b" * size, b"tail"]


def test_what_was_said_before_the_end_is_heard_before_it(ends: Ends) -> None:
    here, there = ends
    here.send([b"last words"])
    here.close()

    assert _brought(here, there) == [[b"last words"]]
    there.fired()
    assert there.receive() is None
    assert there.over


def test_what_was_read_last_tells_that_there_is_no_more(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = ends
    reads = Counter[str]()
    read = there._recv_into

    def counting(space: memoryview) -> int:
        reads["calls"] += 1
        return read(space)

    monkeypatch.setattr(there, "_recv_into", counting)
    for _ in range(3):
        here.send([b"one"])
        assert there.receive() is not None
        assert there.receive() is None

    assert reads["calls"] == 3
    # None was no promise: what comes later is found when it is asked for again.
    here.send([b"one"])
    assert there.receive() is not None
    here.send([b"another"])
    there.fired()
    assert there.receive() is not None


def test_who_is_gone_takes_nothing_and_blocks_nobody(ends: Ends) -> None:
    here, there = ends
    there.close()
    for _ in range(3):
        here.send([b"x" * 1_000_000])

    assert not here.blocked
    assert here.waiting == 0
    assert here.receive() is None
    assert here.over


def test_closing_gives_what_waits_a_while_and_no_longer(ends: Ends) -> None:
    here, there = ends
    here.send([b"x" * 5_000_000])
    here.close(0.05)

    assert _brought(here, there) == []
    assert there.over


def test_the_end_is_seen_though_a_copy_of_the_descriptor_is_held(ends: Ends) -> None:
    here, there = ends
    copy = os.dup(here.fd)
    try:
        here.close()
        assert there.receive() is None
        assert there.over
    finally:
        os.close(copy)


def test_what_is_no_message_is_an_error_and_the_end() -> None:
    end, other = pair()
    with other:
        here = Stream(end)
        other.send(b"\xff" * 64)
        with pytest.raises(BadMessage, match="no message"):
            here.receive()

        assert here.over
        assert here.receive() is None
        here.close()
