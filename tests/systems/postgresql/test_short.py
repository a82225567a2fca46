"""What is told in rows comes to the tables of PostgreSQL that the events of the rows come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import select

from weft.testing import FakeContext
from weft.values.events import made
from weft_sql.database import Database
from weft_sql.monitor import SqlMonitor
from weft_sql.places import located
from weft_sql.record import enter, entry, write
from weft_sql.rows import Fold
from weft_sql.schema import TABLES
from weft_sql.settings import Sql
from weft_testkit.monitor import all_rows

if TYPE_CHECKING:
    from tests.systems.postgresql.conftest import Server


@pytest.fixture
def database(server: Server, tmp_path: Path) -> Iterator[Database]:
    database = Database(located(server.url, tmp_path))
    database.prepare()
    yield database
    database.close()


def written(
    database: Database, told: Sequence[Any], cuts: Sequence[int], *, times: int = 1
) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables have of a new run that was told this, each transaction so many times."""
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
                    write(connection, "postgresql", run, rows, anew=not time)
        found: dict[str, list[tuple[Any, ...]]] = {}
        for name, table in TABLES.items():
            columns = [column for column in table.c if column.name != "run"]
            rows_of = connection.execute(select(*columns).where(table.c.run == run))
            found[name] = sorted((tuple(row) for row in rows_of), key=repr)
        return found


@pytest.mark.parametrize("times", [1, 2])
def test_rows_come_to_what_their_events_come_to(database: Database, times: int) -> None:
    told = all_rows()
    expected = written(database, [event for one in told for event in made(one)], [])
    assert len(expected["task"]) == 9
    for cut in range(1, len(told)):
        assert written(database, told, [cut], times=times) == expected, cut


def test_what_is_taken_for_new_and_is_not_keeps_nothing_else_away(
    server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "0001" / "monitor-0-sql"
    folder.mkdir(parents=True)
    context = FakeContext(folder)
    monitor = SqlMonitor(Sql(database=server.url))
    monitor.start(context)
    with psycopg.connect(server.url) as connection:
        found = connection.execute(
            "INSERT INTO try (run, task, attempt) SELECT run, 3, 1 FROM run WHERE recorder = %s "
            "RETURNING run",
            [str(folder)],
        ).fetchone()
    assert found is not None
    monitor.handle(all_rows())
    monitor.close()
    assert context.notices == []
    with psycopg.connect(server.url) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM task WHERE run = %(run)s), missed_events FROM run "
            "WHERE run = %(run)s",
            {"run": found[0]},
        ).fetchone()
    assert counts == (9, 0)
