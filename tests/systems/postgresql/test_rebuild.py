"""A run rebuilt from its log in a real PostgreSQL is the one that its monitor wrote there."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy

import weft
from tests.systems.postgresql.conftest import Server
from weft_sql.changes import upgrade
from weft_sql.cli import main
from weft_sql.database import Database
from weft_sql.places import located
from weft_sql.schema import TABLES, VERSION, VERSION_TABLE

BOUND = 60.0


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, but what each writer says of itself."""
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = {
            name: sorted(
                (
                    tuple(row)
                    for row in connection.execute(
                        sqlalchemy.select(
                            *[one for one in table.c if one.name not in {"recorder", "heard"}]
                        )
                    )
                ),
                key=repr,
            )
            for name, table in TABLES.items()
        }
    engine.dispose()
    return found


def test_a_rebuilt_run_is_the_one_that_was_written_live(server: Server, tmp_path: Path) -> None:
    @weft.python_app
    def add(a: int, b: int) -> int:
        return a + b

    @weft.python_app
    def fails(_: int) -> int:
        raise ValueError("told you so — 数据")

    monitor = weft.monitor("sql", database=server.url, name="survey")
    with weft.load(weft.Config(run_dir=tmp_path, retries=1, monitors=[monitor])):
        assert [future.result(BOUND) for future in [add(n, 1) for n in range(50)]][-1] == 50
        assert fails(add(1, 2)).exception(BOUND) is not None
    before = contents(server.url)
    assert len(before["task"]) == 52
    arguments, tracebacks = zip(*[row[5::2] for row in before["detail"]], strict=True)
    assert arguments == ("3", "3")
    assert all("in fails\n" in str(text) and "数据" in str(text) for text in tracebacks)
    for _ in range(2):
        assert main(["latest", f"--run-dir={tmp_path}", f"--database={server.url}"]) == 0
        assert contents(server.url) == before


def test_a_database_of_the_first_schema_gets_the_details(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url.replace("postgresql://", "postgresql+psycopg://")
    maker = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with maker.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE older")
    maker.dispose()
    older = server.url.rpartition("/")[0] + "/older"
    engine = sqlalchemy.create_engine(older.replace("postgresql://", "postgresql+psycopg://"))
    with monkeypatch.context() as before, engine.begin() as connection:
        before.setattr("weft_sql.schema.VERSION", "0001")
        upgrade(connection)
        assert "detail" not in sqlalchemy.inspect(connection).get_table_names()
        connection.exec_driver_sql(
            "INSERT INTO task (run, task, app, state, seq) VALUES (1, 2, 'sum', 'failed', 3)"
        )
    database = Database(located(older, Path("/nowhere")))
    database.prepare()
    database.close()
    with engine.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
        assert found == VERSION
        assert connection.exec_driver_sql("SELECT app FROM task").scalar() == "sum"
        assert connection.exec_driver_sql("SELECT count(*) FROM detail").scalar() == 0
    engine.dispose()
