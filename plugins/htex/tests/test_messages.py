"""Claims of the wire format."""

from __future__ import annotations

import contextlib
import json
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.values.message import message
from weft_htex import messages
from weft_htex.messages import FRAME, LARGE, BadMessage, ResultRow, Row, Whole

DIGESTS = st.lists(st.binary(min_size=16, max_size=16), max_size=3)
BUFFERS = st.lists(st.binary(max_size=20), max_size=3)

TASKS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 2**64 - 1),
            "attempt": st.integers(0, 2**16 - 1),
            "head": st.one_of(st.binary(max_size=50), st.just(bytes(LARGE))),
            "priority": st.integers(-(2**31), 2**31 - 1),
            "walltime": st.floats(0, 1e9),
            "digests": DIGESTS,
            "app": st.text(max_size=20).map(str.encode),
            "needs": st.sampled_from([b"", b'{"cores": 2}']),
            "buffers": BUFFERS,
        }
    ),
    max_size=6,
)

CONTROLS: list[messages.Control] = [
    messages.Register(
        version=(1, 0), python="3.11.7", weft="0.1", packages={"a": "1"}, block="b", host="h",
        pid=1, workers=2, cores=2.5, memory=3, accelerators=4, ends=5.0, resumes="m",
        holds=([1, 2],),
    ),
    messages.Welcome(version=(1, 0), manager="m", beat=5.0, lost=30.0),
    messages.Refused(why="so"),
    messages.Beat(running=(1,), waiting=2),
    messages.Missing(digests=["00"]),
    messages.Ends(ends=[[1, 2, "lost", "why", "where"]]),
    messages.Cancel(ids=[1]),
    messages.Drop(ids=[1]),
    messages.Drain(block="b"),
    messages.Close(timeout=1.0),
    messages.Hello(addresses=["tcp://h:1"], key="k", pid=1),
    messages.Admit(block="b", key="k"),
    messages.Unfit(ids=[1], time=True, why="so"),
    messages.News(managers={"m": {"block": "b"}}, waiting=1, ignored=2, told=(["info", "x"],)),
]  # fmt: skip


@given(TASKS)
def test_tasks_are_read_as_they_were_written(tasks: list[dict[str, Any]]) -> None:
    parts = messages.rows_out(messages.TASKS, [messages.task_bytes(**task) for task in tasks])
    for row, task in zip(messages.rows_in(parts), tasks, strict=True):
        assert isinstance(row, Row)
        assert (row.id, row.attempt) == (task["id"], task["attempt"])
        assert (row.priority, row.walltime) == (task["priority"], task["walltime"])
        assert list(row.digests) == task["digests"]
        assert row.app.encode() == task["app"]
        assert row.needs.encode() == task["needs"]
        assert row.arguments == task["head"]
        assert list(row.buffers) == task["buffers"]


@given(TASKS, st.randoms(use_true_random=False))
def test_rows_can_be_put_into_other_messages(tasks: list[dict[str, Any]], chance: Any) -> None:
    parts = messages.rows_out(messages.TASKS, [messages.task_bytes(**task) for task in tasks])
    rows = list(messages.task_rows(parts))
    order = list(range(len(rows)))
    chance.shuffle(order)
    again = messages.rows_out(messages.TASKS, [rows[at][3:] for at in order])

    found = [(row.id, row.attempt, row.arguments) for row in messages.rows_in(again)]  # type: ignore[union-attr]
    assert found == [(tasks[at]["id"], tasks[at]["attempt"], tasks[at]["head"]) for at in order]


def test_tasks_of_one_manner_say_it_in_the_same_bytes() -> None:
    rows = [
        messages.task_bytes(number, number, b"x" * number, app=b"a", digests=[b"f" * 16])
        for number in range(5)
    ]
    found = list(messages.task_rows(messages.rows_out(messages.TASKS, rows)))

    assert len({manner for _, _, manner, _, _ in found}) == 1


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=40), BUFFERS), max_size=6))
def test_results_are_read_as_they_were_written(results: list[tuple[int, bytes, Any]]) -> None:
    rows = [
        messages.result_bytes(
            number, 3, 1, head, worker=5, seconds=0.5, buffers=buffers, begun=number % 3 * 1.5
        )
        for number, head, buffers in results
    ]
    parts = messages.rows_out(messages.RESULTS, rows)
    scanned = messages.result_rows(parts)
    for row, scan, (number, head, buffers) in zip(
        messages.rows_in(parts), scanned, results, strict=True
    ):
        assert isinstance(row, ResultRow)
        assert (row.id, row.attempt, row.kind, row.worker) == (number, 3, 1, 5)
        assert (row.head, list(row.buffers), row.seconds) == (head, buffers, 0.5)
        assert (row.begun, row.source) == (number % 3 * 1.5, "")
        assert scan[:3] == (number, 3, 0.5)
        assert parts[0][scan[3] : scan[4]] == row.data
        assert parts[scan[5] : scan[6]] == list(row.frames)


def test_whose_results_are_is_said_once_for_all_that_follow() -> None:
    rows: list[tuple[bytes, Any]] = [messages.result_bytes(n, 1, 0, b"v") for n in range(4)]
    for at, source in ((3, "manager-2 on b"), (1, "manager-1 on ä")):
        rows.insert(at, (messages.source_bytes(source), ()))
    parts = messages.rows_out(messages.RESULTS, rows)

    found = [(row.id, row.source) for row in messages.rows_in(parts)]  # type: ignore[union-attr]  # the kind says which rows
    one, two = "manager-1 on ä", "manager-2 on b"
    assert found == [(0, ""), (1, one), (2, one), (3, two)]
    with pytest.raises(BadMessage, match="whose results"):  # which no manager may
        messages.result_rows(parts)


def test_what_began_when_costs_eight_bytes_and_an_earlier_minor_nothing() -> None:
    (early, _), (late, _) = (
        messages.result_bytes(1, 1, 0, b"v", begun=begun) for begun in (0.0, 1.5)
    )
    assert len(late) - len(early) == 8
    ends = messages.Ends(ends=[[1, 1, "killed", "why", "where"]], ran=[[5.0, 0.5]])
    assert messages.control_in(messages.control_out(ends, 0), 0) == messages.Ends(ends=ends.ends)
    assert messages.control_in(messages.control_out(ends)) == messages.Ends(
        ends=ends.ends, ran=([5.0, 0.5],)
    )


def test_a_large_head_travels_in_a_frame() -> None:
    large = bytes(LARGE)
    _, frames = messages.task_bytes(1, 1, large, buffers=[b"b"])
    assert frames == [large, b"b"]
    parts = messages.rows_out(messages.RESULTS, [messages.result_bytes(1, 1, 0, large)])
    (row,) = messages.rows_in(parts)
    assert isinstance(row, ResultRow)
    assert row.head == large


@pytest.mark.parametrize("said", CONTROLS, ids=lambda said: said.name)
def test_control_messages_are_read_as_they_were_said(said: messages.Control) -> None:
    assert messages.control_in(messages.control_out(said)) == said


@pytest.mark.parametrize("said", CONTROLS, ids=lambda said: said.name)
def test_a_field_too_many_or_too_few_or_of_another_type_is_refused(said: messages.Control) -> None:
    (text,) = messages.control_out(said)
    name, fields = json.loads(text[1:])
    for key in fields:
        for wrong in (
            {**fields, key: {"no": 1} if key not in {"packages", "managers"} else 1},
            {other: value for other, value in fields.items() if other != key},
            {**fields, "more": 1},
        ):
            with pytest.raises(BadMessage):
                messages.control_in([b"C" + json.dumps([name, wrong]).encode()])


@pytest.mark.parametrize(
    "text", [b"C", b"C[]", b"C[1,2]", b'C["beat"]', b'C["no",{}]', b"C[[[[", b"C" + b"[" * 100_000]
)
def test_what_is_no_control_message_is_refused(text: bytes) -> None:
    with pytest.raises(BadMessage):
        messages.control_in([text])
    assert messages.version_of([text]) is None


def test_a_control_message_has_one_frame() -> None:
    with pytest.raises(BadMessage):
        messages.control_in([*messages.control_out(messages.Beat()), b"more"])


def test_a_field_of_a_later_minor_version_is_left_out_for_earlier_peers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @message(eq=True)
    class Later(messages.Control):
        name = "later"
        since = {"new": 1}  # noqa: RUF012 - a class of fields
        old: int
        new: int = 7

    monkeypatch.setattr(messages, "_CONTROLS", {"later": Later})
    early = messages.control_out(Later(old=1, new=2), 0)

    assert b"new" not in early[0]
    assert messages.control_in(early, 0) == Later(old=1, new=7)
    assert messages.control_in(messages.control_out(Later(old=1, new=2), 1), 1) == Later(
        old=1, new=2
    )


@given(st.binary(max_size=200), st.lists(st.binary(max_size=20), max_size=3))
def test_random_bytes_are_refused_and_nothing_else(text: bytes, more: list[bytes]) -> None:
    for kind in (messages.TASKS, messages.RESULTS, messages.CONTROL, messages.DEFINE, b""):
        read(kind + text, more)


def read(first: bytes, more: list[bytes]) -> None:
    parts = [first, *more]
    for reader in (
        lambda: list(messages.rows_in(parts)),
        lambda: list(messages.task_rows(parts)),
        lambda: messages.result_rows(parts),
        lambda: messages.control_in(parts),
        lambda: messages.definitions_in(parts),
        lambda: messages.kind_of(parts),
        lambda: Whole().take(parts),
        lambda: [messages.manner_of(manner) for _, _, manner, _, _ in messages.task_rows(parts)],
    ):
        with contextlib.suppress(BadMessage):
            reader()


def test_a_row_changed_in_any_byte_is_read_or_refused() -> None:
    chance = random.Random(3)
    rows = [
        messages.task_bytes(1, 1, b"arguments", digests=[b"d" * 16], app=b"app", buffers=[b"x"]),
        messages.result_bytes(1, 1, 0, b"value", buffers=[b"x"]),
    ]
    for kind, row in zip((messages.TASKS, messages.RESULTS), rows, strict=True):
        first, *frames = messages.rows_out(kind, [row, row])
        for at in range(1, len(first)):
            for _ in range(3):
                changed = bytearray(first)
                changed[at] = chance.randrange(256)
                read(bytes(changed), frames)


def test_a_walltime_that_is_no_number_is_refused() -> None:
    for walltime in (float("nan"), float("inf"), -1.0):
        row = messages.task_bytes(1, 1, b"", walltime=walltime)
        ((_, _, manner, _, _),) = messages.task_rows(messages.rows_out(messages.TASKS, [row]))
        with pytest.raises(BadMessage):
            messages.manner_of(manner)


# ------------------------------------------------------------------------------------------ pieces


def travel(parts: list[Any], whole: Whole) -> Any:
    *before, last = messages.messages_out(parts)
    for one in before:
        assert sum(len(part) for part in one) <= FRAME + 1
        assert whole.take([bytes(part) for part in one]) is None
    return whole.take([bytes(part) for part in last])


def test_a_small_message_travels_as_it_is() -> None:
    parts = messages.rows_out(messages.TASKS, [messages.task_bytes(1, 1, b"x", buffers=[b"y"])])

    assert messages.messages_out(parts) == [parts]


@pytest.mark.parametrize(
    "sizes", [[FRAME + 1], [10, FRAME], [10, 3 * FRAME, 5, LARGE + 1, 0], [FRAME * 2 + 3, 7]]
)
def test_a_large_message_travels_in_pieces(sizes: list[int]) -> None:
    parts = [b"R" + bytes(sizes[0]), *(bytes([at]) * size for at, size in enumerate(sizes[1:]))]
    whole = Whole()
    for _ in range(2):
        assert travel(list(parts), whole) == parts


def test_pieces_go_on_as_they_came() -> None:
    parts = [b"R", bytes(2 * FRAME), b"small"]
    cut = travel(parts, Whole(join=False))
    assert type(cut[1]) is messages.Cut

    assert travel(list(cut), Whole()) == parts


def test_pieces_that_never_end_are_refused() -> None:
    whole = Whole(most=100)
    whole.take([b"P", bytes(60)])
    with pytest.raises(BadMessage, match="100"):
        whole.take([b"P", bytes(60)])


@pytest.mark.parametrize(
    "parts",
    [
        [b"P"],
        [b"P", b"a", b"b"],
        [b"Q1"],
        [b"Q" + struct.pack("<I", 1)],
        [b"Q" + struct.pack("<I", 0)],
        [b"Q", b"stray"],
    ],
)
def test_pieces_that_make_no_message_are_refused(parts: list[bytes]) -> None:
    with pytest.raises(BadMessage):
        Whole().take(parts)


def test_signs_of_life_fit_in_between() -> None:
    parts = [b"R", bytes(2 * FRAME)]
    *before, last = messages.messages_out(parts)
    whole = Whole()
    beat = messages.control_out(messages.Beat())
    for one in before:
        assert whole.take(one) is None
        assert whole.take(beat) == beat

    assert whole.take(last) == parts
