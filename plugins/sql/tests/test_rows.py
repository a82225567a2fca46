"""From events to rows, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from weft.values.events import (
    Event,
    FileMoved,
    FileMoving,
    FileNotMoved,
    TaskDetails,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import TaskState
from weft_sql.rows import Fold, Rows, clean
from weft_sql.schema import TABLES
from weft_testkit.monitor import all_events


def named(rows: Rows, table: str) -> list[dict[str, Any]]:
    """The rows of a table, by the names of its columns."""
    found: Sequence[Any] = rows.added.get(table) or list(rows.standing.get(table, {}).values())
    columns = [column.name for column in TABLES[table].columns]
    return [dict(zip(columns, row, strict=True)) for row in found]


def folded(events: Sequence[Event]) -> Rows:
    return Fold(3).rows(events)


def test_every_row_has_a_value_for_each_column_and_names_its_run() -> None:
    rows = folded(all_events())
    for table in {*rows.added, *rows.standing} - {"run"}:
        found = named(rows, table)
        assert all(row["run"] == 3 for row in found), table
        keys = [tuple(row[column.name] for column in TABLES[table].primary_key) for row in found]
        assert len(keys) == len(set(keys)), table
        for row in found:
            empty = {
                column.name
                for column in TABLES[table].columns
                if not column.nullable and row[column.name] is None
            }
            assert not empty, (table, empty)
    assert rows.events == len(all_events())


def test_a_task_that_was_tried_twice() -> None:
    rows = folded(
        [
            TaskSubmitted(1.0, 5, "sum", (2, 3, 2)),
            TaskMoved(2.0, 5, "sum", TaskState.STAGING_IN, 0),
            TaskMoved(3.0, 5, "sum", TaskState.LAUNCHED, 1, "cpu"),
            TaskMoved(4.0, 5, "sum", TaskState.PENDING, 1),
            TryEnded(4.0, 5, "sum", 1, "cpu", "lost", "the node went", 0.5),
            TaskMoved(5.0, 5, "sum", TaskState.LAUNCHED, 2, "gpu"),
            TaskMoved(7.0, 5, "sum", TaskState.STAGING_OUT, 2),
            TaskMoved(8.0, 5, "sum", TaskState.DONE, 2, "", "", "worker 3 on node17", 5.5, 1.0),
        ]
    )
    (task,) = named(rows, "task")
    assert (task["state"], task["submitted"], task["ended"]) == ("done", 1.0, 8.0)
    assert (task["attempt"], task["executor"], task["seq"]) == (2, "gpu", 8)
    assert [row["needs"] for row in named(rows, "edge")] == [2, 3]
    assert [row["state"] for row in named(rows, "state")] == [
        "pending", "staging_in", "launched", "pending", "launched", "staging_out", "done",
    ]  # fmt: skip
    first, second = named(rows, "try")
    assert (first["staging_in"], first["launched"], first["ended"]) == (2.0, 3.0, 4.0)
    assert (first["outcome"], first["error"], first["delay"]) == ("lost", "the node went", 0.5)
    assert (second["staging_in"], second["staging_out"], second["ended"]) == (None, 7.0, 8.0)
    assert (second["outcome"], second["error"]) == ("done", None)
    assert (second["worker"], second["node"]) == ("worker 3", "node17")
    assert (second["begun"], second["seconds"]) == (5.5, 1.0)


def test_details_are_kept_for_each_try_and_what_was_not_told_is_null() -> None:
    rows = folded(
        [
            TaskDetails(1.0, 5, "sum", 1, "'a\0b'", None, "ValueError: \ud800\n"),
            TaskDetails(2.0, 5, "sum", 2, "", "7"),
            TaskDetails(3.0, 6, "sum", 0, None, None, "ValueError\n"),
        ]
    )
    shown = [
        (row["task"], row["attempt"], row["arguments"], row["result"], row["traceback"])
        for row in named(rows, "detail")
    ]
    assert shown == [
        (5, 1, r"'a\x00b'", None, "ValueError: \\ud800\n"),
        (5, 2, "", "7", None),
        (6, 0, None, None, "ValueError\n"),
    ]


def test_what_ends_a_task_between_two_tries_does_not_end_the_former_one_again() -> None:
    rows = folded(
        [
            TaskMoved(3.0, 5, "sum", TaskState.LAUNCHED, 1, "cpu"),
            TaskMoved(4.0, 5, "sum", TaskState.PENDING, 1),
            TryEnded(4.0, 5, "sum", 1, "cpu", "error", "ValueError: x", 60.0),
            TaskMoved(9.0, 5, "sum", TaskState.CANCELLED, 1),
        ]
    )
    (attempt,) = named(rows, "try")
    assert (attempt["outcome"], attempt["ended"]) == ("error", 4.0)
    assert named(rows, "task")[0]["state"] == "cancelled"


def test_a_value_from_memory_is_no_try() -> None:
    rows = folded([TaskMoved(1.0, 5, "sum", TaskState.DONE, 0, "", "memory")])
    assert named(rows, "try") == []
    assert named(rows, "task")[0]["detail"] == "memory"


def test_how_far_a_transfer_is_stays_one_row_until_it_is_over() -> None:
    fold = Fold(3)
    began = FileMoving(1.0, "ftp://a/b", "in", "cpu", 10, 100)
    first = named(
        fold.rows([began, FileMoving(2.0, "ftp://a/b", "in", "cpu", 60, 100)]), "transfer"
    )
    assert [(row["seq"], row["first"], row["bytes"]) for row in first] == [(1, 1.0, 60)]
    failed = FileNotMoved(3.0, "ftp://a/b", "in", "cpu", 1, "broken", 0.5)
    again = FileMoved(4.0, "ftp://a/b", "in", "cpu", 2, 1.0, 100)
    then = named(fold.rows([failed, again]), "transfer")
    assert [(row["seq"], row["error"], row["ended"], row["bytes"]) for row in then] == [
        (1, "broken", 3.0, None),
        (4, None, 4.0, 100),
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Größe 数据", "Größe 数据"),
        ("zero \0", "zero \\x00"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_texts_are_such_as_every_database_takes(text: str, shown: str) -> None:
    assert clean(text) == shown
