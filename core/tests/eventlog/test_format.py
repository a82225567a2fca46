"""Event logs as bytes: what goes in comes out, and damage costs what it hits."""

import enum
import math
import zlib
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.eventlog import format as form
from weft.eventlog.columns import Budget, Reader, Symbol, put_column
from weft.eventlog.format import (
    Damaged,
    Splitter,
    chunks_of,
    decode,
    header_line,
    read_header,
)
from weft.values.events import Notice, TaskMoved, TaskSubmitted
from weft.values.message import as_mapping, fields_of, message
from weft.values.states import TaskState


@message
class Odd:
    """An event that this package has never heard of."""

    time: float
    value: Any
    other: Any = None


@message
class Empty:
    """An event that says nothing."""


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
    | st.binary(max_size=20)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
MOVES = st.builds(
    TaskMoved,
    st.floats(0, 2e9),
    st.integers(0, 10**9),
    st.sampled_from(["a", "b", "long name"]),
    st.sampled_from(TaskState),
    st.integers(0, 4),
    st.sampled_from(["", "threads"]),
    st.text(max_size=5),
)
SUBMITTED = st.builds(
    TaskSubmitted,
    st.floats(0, 2e9),
    st.integers(0, 2**70),
    st.sampled_from(["a", "b"]),
    st.lists(st.integers(0, 10**6), max_size=5).map(tuple),
)
EVENTS = st.lists(
    MOVES | SUBMITTED | st.builds(Odd, st.floats(), VALUES, VALUES) | st.builds(Empty), max_size=30
)


def members(kind: str, name: str) -> object:
    return TaskState[name.upper()] if kind == "TaskState" else Symbol(kind, name)


def read(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The events of a body as their class and their fields."""
    found = decode(body, members)
    rows = [
        iter(
            [
                dict(zip(table.fields, values, strict=True))
                for values in zip(*table.columns, strict=True)
            ]
            if table.fields
            else [{} for _ in range(table.count)]
        )
        for table in found.tables
    ]
    return [(found.tables[number].kind, next(rows[number])) for number in found.order]


def meant(event: object) -> tuple[str, dict[str, Any]]:
    return type(event).__name__, as_mapping(event)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of one kind; NaN equals itself here."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        both = one == other and math.copysign(1, one) == math.copysign(1, other)
        return both or (math.isnan(one) and math.isnan(other))
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def bodies(data: bytes) -> tuple[list[bytes], Splitter]:
    splitter = Splitter()
    return [*splitter.feed(data), *splitter.finish()], splitter


def sample(number: int) -> list[bytes]:
    """Chunks that differ, with a few events of two classes in each."""
    made: list[bytes] = []
    for one in range(number):
        made += chunks_of(
            [
                TaskSubmitted(one + 0.5, one, "app", (1, 2)),
                TaskMoved(one + 0.75, one, "app", TaskState.DONE, 1, "", "memory"),
            ],
            one,
        )
    return made


# ------------------------------------------------------------------------------------- round trips


@settings(max_examples=80, deadline=None)
@given(EVENTS)
def test_any_events_come_back_as_they_were(events: Sequence[object]) -> None:
    whole = b"".join(chunks_of(events))

    found, splitter = bodies(whole)

    back = [event for body in found for event in read(body)]
    assert same(back, [meant(event) for event in events]), (back, events)
    assert (splitter.skipped, splitter.missing, splitter.waiting) == (0, 0, 0)


@settings(max_examples=80, deadline=None)
@given(st.lists(VALUES, max_size=40))
def test_any_column_comes_back_as_it_was(column: Sequence[Any]) -> None:
    data = put_column(column, Budget(2**20, 2**20))
    reader = Reader(data, cells=2**20, room=2**20)
    assert same(list(reader.column(len(column))), list(column))
    assert reader.left == 0


@settings(max_examples=80, deadline=None)
@given(EVENTS)
def test_rows_are_written_as_the_events_that_they_stand_for(events: Sequence[object]) -> None:
    rows = [(type(one), *as_mapping(one).values()) for one in events]
    assert b"".join(chunks_of(rows)) == b"".join(chunks_of(events))


def test_a_row_may_leave_its_last_fields_out() -> None:
    (chunk,) = chunks_of([(TaskMoved, 1.0, 7, "app", TaskState.LAUNCHED), (Odd, 2.0, 1, 2)])
    (body,), _ = bodies(chunk)
    assert read(body) == [
        ("TaskMoved", {"time": 1.0, "id": 7, "app": "app", "state": TaskState.LAUNCHED}),
        ("Odd", {"time": 2.0, "value": 1, "other": 2}),
    ]


def test_what_is_no_data_is_written_as_its_text(tmp_path: Any) -> None:
    class Unshown:
        def __str__(self) -> str:
            raise RuntimeError

    deep: Any = ()
    for _ in range(50):
        deep = (deep,)
    events = [
        Odd(0.0, tmp_path, Colour.RED),
        Odd(0.0, Unshown(), Colour.BLUE),
        Odd(0.0, deep, range(2)),
    ]
    (chunk,) = chunks_of(events)
    (body,), _ = bodies(chunk)
    values = [fields for _, fields in read(body)]
    assert values[0]["value"] == str(tmp_path)
    assert values[0]["other"] == Symbol("Colour", "red")
    assert values[1]["value"] == "<Unshown>"
    assert values[1]["other"] == Symbol("Colour", "blue")
    assert str(values[2]["value"]).startswith("((((((((")
    assert values[2]["other"] == "range(0, 2)"


def test_much_text_takes_less_room_than_it_has() -> None:
    events = [Notice(float(i), "info", "x", f"line {i} of a long tale " * 20) for i in range(100)]
    chunk = b"".join(chunks_of(events))
    assert len(chunk) < sum(len(one.text) for one in events) / 5
    assert same([fields for _, fields in read(bodies(chunk)[0][0])], [*map(as_mapping, events)])


def test_events_that_are_too_many_for_a_chunk_take_several() -> None:
    events = [Odd(float(i), i) for i in range(form.EVENTS_AT_MOST + 1)]
    made = chunks_of(events, 5)
    assert len(made) == 2
    found, splitter = bodies(b"".join(chunks_of([Empty()], 0) + chunks_of(events, 1)))
    assert splitter.missing == 0
    back = [fields["value"] for body in found[1:] for _, fields in read(body)]
    assert back == list(range(form.EVENTS_AT_MOST + 1))


def test_an_event_that_is_too_large_for_a_chunk_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "BODY_AT_MOST", 2**20)
    monkeypatch.setattr(form, "ROOM_AT_MOST", 2**21)
    monkeypatch.setattr(form, "CELLS_AT_MOST", 2**20)
    events = [
        Odd(1.0, Random(1).randbytes(form.BODY_AT_MOST + 1), "kept"),
        TaskSubmitted(2.0, 1, "app", tuple(range(form.CELLS_AT_MOST // 2))),
        Odd(3.0, ("x",) * (form.CELLS_AT_MOST // 2), None),
        Odd(4.0, "much of little " * (form.ROOM_AT_MOST // 10), None),
    ]
    found, _ = bodies(b"".join(chunks_of(events)))
    (_, first), (_, second), (_, third), (_, last) = [
        event for body in found for event in read(body)
    ]
    assert (len(first["value"]), first["other"]) == (form.TEXT_AT_MOST, "kept")
    assert second["needs"] == tuple(range(form.TEXT_AT_MOST))
    assert len(third["value"]) == form.TEXT_AT_MOST
    assert len(last["value"]) == form.TEXT_AT_MOST


# ------------------------------------------------------------------------------------------ damage


def test_a_cut_at_any_byte_leaves_everything_before_it() -> None:
    chunks = sample(3)
    whole = b"".join(chunks)
    ends = [sum(map(len, chunks[: n + 1])) for n in range(3)]
    expected, _ = bodies(whole)
    for cut in range(len(whole) + 1):
        found, splitter = bodies(whole[:cut])
        complete = sum(end <= cut for end in ends)
        assert found == expected[:complete]
        assert splitter.skipped == cut - ([0, *ends][complete])


def test_a_file_that_grows_is_read_once_whatever_the_pieces() -> None:
    whole = b"".join(sample(4))
    expected, _ = bodies(whole)
    for size in (1, 3, 19, 20, 21, 200):
        splitter = Splitter()
        found = []
        for at in range(0, len(whole), size):
            found += list(splitter.feed(whole[at : at + size]))
        assert found == expected
        assert (splitter.at, splitter.waiting, splitter.skipped) == (len(whole), 0, 0)


def test_a_byte_that_has_flipped_costs_its_chunk_and_no_other() -> None:
    chunks = sample(3)
    whole = b"".join(chunks)
    expected, _ = bodies(whole)
    ends = [sum(map(len, chunks[: n + 1])) for n in range(3)]
    for at in range(len(whole)):
        for bit in (0x01, 0x80):
            broken = bytearray(whole)
            broken[at] ^= bit
            found, splitter = bodies(bytes(broken))
            hit = sum(end <= at for end in ends)
            assert found == expected[:hit] + expected[hit + 1 :], at
            assert splitter.skipped == len(chunks[hit])
            # Of the last one, no other chunk can say that it is missing.
            assert splitter.missing == (hit < 2)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_range_that_was_removed_costs_the_chunks_it_touches(data: st.DataObject) -> None:
    chunks = sample(6)
    whole = b"".join(chunks)
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    expected, _ = bodies(whole)
    at, kept = 0, []
    for body, chunk in zip(expected, chunks, strict=True):
        if at + len(chunk) <= begin or at >= end or begin == end:
            kept.append(body)
        at += len(chunk)
    found, splitter = bodies(whole[:begin] + whole[end:])
    # What is left of two chunks may be one of them, where they end alike.
    assert [body for body in found if body in kept] == kept
    assert found == [body for body in expected if body in found]
    if found and found[-1] == expected[-1]:
        assert splitter.missing == len(expected) - len(found)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 3), max_size=3))
def test_junk_between_chunks_is_passed_over(junk: bytes, places: list[int]) -> None:
    chunks = sample(3)
    expected, _ = bodies(b"".join(chunks))
    for place in places:
        chunks.insert(place, junk)
    found, splitter = bodies(b"".join(chunks))
    assert found == expected
    assert splitter.skipped == len(junk) * len(places)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400))
def test_junk_is_no_body_or_one(junk: bytes) -> None:
    try:
        found = decode(junk)
    except Damaged:
        return
    assert len(found.order) == sum(table.count for table in found.tables)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_body_changed_on_purpose_is_read_or_refused(data: st.DataObject) -> None:
    """A CRC-32 keeps out accidents, not intent; whoever reads must hold out against both."""
    (chunk,) = chunks_of(data.draw(EVENTS.filter(bool)))
    (body,), _ = bodies(chunk)
    broken = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Damaged):
        decode(bytes(broken))


def bomb(column: bytes, count: int = 1) -> bytes:
    """A body of one class with one field, whose column is as given."""
    order = bytes([8]) + bytes(8)  # all of them are of table 0
    name = b"\x01\x00X"
    return (
        count.to_bytes(4, "little")
        + b"\x01\x00"
        + order
        + name
        + b"\x01\x00"
        + count.to_bytes(4, "little")
        + name
        + column
    )


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def length(number: int) -> bytes:
    return bytes([8]) + number.to_bytes(8, "little", signed=True)


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(bytes([14]) + length(2**40) + bytes([0]), id="a sequence of 2**40"),
        pytest.param(
            bytes([14]) + length(2**22) + (bytes([14]) + length(2**10)) * 3 + b"\x00", id="nested"
        ),
        pytest.param(bytes([14]) + length(-1) + bytes([0]), id="a length below 0"),
        pytest.param(bytes([12]) + b"\xff" * 4 + bytes([0]), id="a table of 2**32"),
        pytest.param(
            bytes([18]) + (2**31).to_bytes(4, "little") + sized(zlib.compress(bytes(2**24))),
            id="packed to 2 GiB",
        ),
        pytest.param(bytes([18]) * 2000, id="packed without end"),
        pytest.param((bytes([14]) + length(1)) * 2000, id="sequences without end"),
        pytest.param(bytes([200]), id="a kind that there is not"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_body_cannot_ask_for_more_than_a_chunk_may_have(column: bytes) -> None:
    assert decode(bomb(b"\x00")).tables[0].columns == [[None]]
    with pytest.raises(Damaged):
        decode(bomb(column))
    with pytest.raises(Damaged):
        decode(bomb(b"\x00", form.EVENTS_AT_MOST + 1))


# ------------------------------------------------------------------------------------------ header


def test_the_first_line_says_what_the_file_is() -> None:
    line = header_line({"events": "1.1", "run": "ab"})
    assert line.startswith(b"weft event log 1.0 ")
    assert line.endswith(b"\n")
    header = read_header(line + b"more")
    assert header is not None
    assert (header.version, header.about) == ((1, 0), {"events": "1.1", "run": "ab"})


def test_a_first_line_that_has_changed_says_nothing() -> None:
    line = header_line({"events": "1.1"})
    for at in range(len(line)):
        for bit in (0x01, 0x20, 0x80):
            broken = bytearray(line)
            broken[at] ^= bit
            assert read_header(bytes(broken)) is None, at
        assert read_header(line[:at]) is None


def test_a_chunk_of_another_major_is_not_taken_for_one() -> None:
    assert bytes([form.MARK[-1]]) == form.VERSION.split(".", maxsplit=1)[0].encode()


def test_the_fields_of_events_are_known_by_name() -> None:
    assert fields_of(TaskMoved)[:4] == ("time", "id", "app", "state")
