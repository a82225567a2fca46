"""Messages come out of a stream as they went in, however it was torn."""

import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.calls.chunks import chunked, spread
from weft.workers.protocol import CALLS, READY, RESULTS, BrokenStream, Reader, framed

Message = tuple[int, list[bytes]]


def stream_of(messages: list[Message]) -> bytes:
    return b"".join(bytes(part) for kind, parts in messages for part in framed(kind, parts))


def read(stream: bytes, cuts: list[int]) -> list[Message]:
    """What a reader makes of a stream that arrives in pieces of these sizes, again and again."""
    reader, got, at, turn = Reader(), [], 0, 0
    while at < len(stream):
        space = reader.space()
        assert len(space) > 0
        count = min(cuts[turn % len(cuts)], len(space), len(stream) - at)
        turn += 1
        space[:count] = stream[at : at + count]
        at += count
        got += [(kind, [bytes(part) for part in parts]) for kind, parts in reader.advance(count)]
    return got


parts = st.lists(st.binary(max_size=200), max_size=5)
messages = st.lists(st.tuples(st.sampled_from([CALLS, READY, RESULTS]), parts), max_size=8)


@given(messages, st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_messages_survive_any_cuts(sent: list[Message], cuts: list[int]) -> None:
    assert read(stream_of(sent), cuts) == sent


@pytest.mark.parametrize(
    "sizes", [[300_000], [10, 262_144, 0, 5], [0, 0], [262_120], [1_000_000, 1]]
)
@pytest.mark.parametrize("cut", [1 << 20, 65_536, 4097])
def test_large_messages_survive_cuts_too(sizes: list[int], cut: int) -> None:
    chance = random.Random(1)
    big = (RESULTS, [chance.randbytes(size) for size in sizes])
    sent = [(CALLS, [b"a", b"bc"]), big, (CALLS, [b"z"]), big, big, (READY, [])]
    assert read(stream_of(sent), [cut]) == sent


def test_a_large_payload_is_read_into_its_final_place() -> None:
    reader = Reader()
    stream = stream_of([(RESULTS, [b"x" * 1_000_000])])
    space = reader.space()
    space[:100] = stream[:100]
    assert list(reader.advance(100)) == []
    assert len(reader.space()) == 1_000_000 - 100 + 16


def test_pieces_of_a_pickle_arrive_as_one_part() -> None:
    whole = chunked([b"x" * 300_000, "y" * 100_000], lambda _: True)
    sent = framed(CALLS, *spread([b"what it is", whole, b"z"]))

    ((_, parts),) = read(b"".join(map(bytes, sent)), [50_000])

    assert pickle.loads(parts[1]) == [b"x" * 300_000, "y" * 100_000]
    assert parts[2] == b"z"


def test_large_parts_are_memory_that_can_be_written_to() -> None:
    reader = Reader()
    stream = stream_of([(RESULTS, [b"", b"x" * 5_000_000])])
    found: list[memoryview] = []
    while stream:
        space = reader.space()
        count = min(len(space), len(stream))
        space[:count] = stream[:count]
        stream = stream[count:]
        for _, parts in reader.advance(count):
            found = parts
    found[1][0] = 7
    assert bytes(found[1][:2]) == b"\x07x"


@settings(max_examples=300)
@given(st.binary(min_size=8, max_size=400), st.integers(1, 50))
def test_junk_is_refused_or_taken_for_a_message_but_nothing_else(junk: bytes, cut: int) -> None:
    try:
        read(junk, [cut])
    except BrokenStream:
        pass
    except MemoryError:  # it said that it brings terabytes
        pytest.fail("a length was believed that no message has")


def test_words_are_no_message() -> None:
    with pytest.raises(BrokenStream):
        read(b"Hello, this is not a message at all", [100])
