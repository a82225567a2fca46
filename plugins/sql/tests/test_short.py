"""What is told in rows comes to the tables that the events of the rows come to."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from weft.values.events import BEGUN, DONE, TaskMoved, TaskSubmitted, TryEnded, made
from weft.values.states import TaskState
from weft_sql.database import Database
from weft_sql.places import located
from weft_sql.record import enter, entry, write
from weft_sql.rows import Fold, Short
from weft_sql.schema import TABLES
from weft_testkit.monitor import all_rows


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(located("weft.db", tmp_path))
    database.prepare()
    yield database
    database.close()


def written(
    database: Database, told: Sequence[Any], cuts: Sequence[int] = (), *, times: int = 1
) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables have of a new run that was told this, but for its number.

    Args:
        database: prepared.
        told: events, and rows of events.
        cuts: where a transaction ends, from the first on.
        times: how often each transaction is made.
    """
    with database.connect() as connection:
        with connection.begin():
            about = entry(
                run_id="id", program="p", folder="f", recorder="r", host="h", owner="o", started=1.0
            )
            run = enter(connection, about)
        fold = Fold(run)
        for first, last in zip((0, *cuts), (*cuts, len(told)), strict=True):
            rows = fold.rows(told[first:last])
            for time in range(times):
                with connection.begin():
                    write(connection, database.place.dialect, run, rows, anew=not time)
        return {
            name: sorted(
                (
                    tuple(row)
                    for row in connection.execute(
                        select(*[column for column in table.c if column.name != "run"]).where(
                            table.c.run == run
                        )
                    )
                ),
                key=repr,
            )
            for name, table in TABLES.items()
        }


def lives(tasks: int, seed: int) -> list[Any]:
    """Rows of tasks that go several ways, mixed, each in its order."""
    chance = random.Random(seed)
    queues: list[list[Any]] = []
    for task in range(tasks):
        at = float(task)
        app, place = f"app {task % 3}\0", f"worker {task % 2} on node{task % 5}"
        done = (DONE, at + 3, task, app, 1, place, at + 1.25, 0.5)
        begun = (BEGUN, at, task, app, "cpu")
        ways: list[list[Any]] = [
            [begun, done],
            [begun],
            # Its beginning was left out.
            [done],
            [begun, (DONE, at + 3, task, app, 1, "", 0.0, None)],
            [begun, (TaskMoved, at + 2, task, app, TaskState.STAGING_OUT, 1), done],
            [
                begun,
                TryEnded(at + 1, task, app, 1, "cpu", "error", "ValueError: x", 0.5, place),
                (TaskMoved, at + 2, task, app, TaskState.LAUNCHED, 2, "gpu"),
                (DONE, at + 3, task, app, 2, place, at + 2.5, 0.25),
            ],
            [
                (TaskSubmitted, at, task, app, (0, 1, 0)),
                TaskMoved(at + 1, task, app, TaskState.LAUNCHED, 1, "cpu"),
                done,
            ],
            [begun, TaskMoved(at + 1, task, app, TaskState.CANCELLED, 1, "", "by you")],
        ]
        queues.append(chance.choice(ways))
    mixed: list[Any] = []
    while queues:
        queue = chance.choice(queues[:40])
        mixed.append(queue.pop(0))
        if not queue:
            queues.remove(queue)
    return mixed


@pytest.mark.parametrize("seed", range(4))
def test_rows_come_to_what_their_events_come_to(database: Database, seed: int) -> None:
    told = lives(300, seed)
    cuts = sorted(random.Random(seed).sample(range(1, len(told)), 6))
    events = [event for one in told for event in made(one)]
    expected = written(database, events)
    assert len(expected["task"]) == 300
    assert len(expected["state"]) > 600
    assert written(database, told) == expected
    assert written(database, told, cuts) == expected
    assert written(database, told, cuts, times=2) == expected


def test_wherever_a_transaction_ends(database: Database) -> None:
    told = all_rows()
    expected = written(database, [event for one in told for event in made(one)])
    for cut in range(1, len(told)):
        assert written(database, told, [cut]) == expected, cut


def test_what_goes_straight_through_stays_short() -> None:
    rows = Fold(1).rows(
        [
            (BEGUN, 1.0, 1, "sum", "cpu"),
            (BEGUN, 1.5, 2, "sum", "cpu"),
            (DONE, 2.0, 1, "sum", 1, "worker 3 on node17", 1.25, 0.5),
            (DONE, 2.5, 7, "sum", 3, "", 0.0, None),
        ]
    )
    assert rows.short == {
        Short.BEGUN: [(2, 3, 1.5, "sum", "cpu")],
        Short.WHOLE: [(1, 1, 1.0, "sum", "cpu", 5, 2.0, "worker 3", "node17", 1.25, 0.5)],
        Short.DONE: [(7, 6, 2.5, "sum", 3, None, None, None, None)],
    }
    assert rows.events == 6
    assert not rows.standing["task"]


def test_more_than_one_statement_has(database: Database) -> None:
    told: list[Any] = []
    for task in range(5000):
        told += [(BEGUN, 1.0, task, "sum", "cpu"), (DONE, 2.0, task, "sum", 1, "", 1.5, 0.5)]
    found = written(database, told, [7001])
    assert len(found["state"]) == 15_000
    assert len(found["task"]) == len(found["try"]) == 5000
    assert {row[2] for row in found["task"]} == {"done"}
