"""A run rebuilt from its log in a real PostgreSQL is the one that its monitor wrote there."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy

import weft
from tests.systems.postgresql.conftest import Server
from weft_sql.cli import main
from weft_sql.schema import TABLES

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
    for _ in range(2):
        assert main(["latest", f"--run-dir={tmp_path}", f"--database={server.url}"]) == 0
        assert contents(server.url) == before
