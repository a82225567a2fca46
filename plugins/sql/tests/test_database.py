"""The schema: made once, known again, changed by revisions, left alone where it is another's."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from weft.errors import ConfigurationError
from weft_sql import changes, schema
from weft_sql.changes import upgrade
from weft_sql.database import Database
from weft_sql.places import Place
from weft_sql.schema import VERSION, VERSION_TABLE, metadata

BOUND = 60.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weft.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    made = Database(Place("sqlite", path))
    yield made
    made.close()


def prepared(path: Path) -> None:
    database = Database(Place("sqlite", path))
    try:
        database.prepare()
    finally:
        database.close()


def revision_of(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    connection.close()
    return str(found[0])


def test_it_is_made_once_and_known_again(path: Path) -> None:
    prepared(path)
    prepared(path)
    assert revision_of(path) == VERSION
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_many_that_begin_together_make_it_once(path: Path) -> None:
    troubles: list[BaseException] = []

    def begin() -> None:
        try:
            prepared(path)
        except BaseException as error:  # noqa: BLE001 - looked at below
            troubles.append(error)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert not troubles
    assert revision_of(path) == VERSION


def test_one_that_another_writes_to_is_waited_for(path: Path) -> None:
    prepared(path)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ended = threading.Timer(1.0, other.rollback)
    ended.start()
    prepared(path)
    assert ended.finished.is_set()
    ended.join()
    other.close()


def test_the_revisions_make_what_the_tables_say() -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        upgrade(connection)
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []
        assert set(sqlalchemy.inspect(connection).get_view_names()) == set(schema.VIEWS)
        assert connection.exec_driver_sql(f"SELECT * FROM {VERSION_TABLE}").scalar() == VERSION
    engine.dispose()


def test_what_a_newer_version_made_is_left_alone(path: Path, database: Database) -> None:
    prepared(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()
    with pytest.raises(ConfigurationError) as raised:
        database.prepare()
    assert "newer weft-sql" in raised.value.what
    assert "'9999'" in raised.value.why
    assert "Install the newer weft-sql" in raised.value.todo
    assert revision_of(path) == "9999"


def test_tables_of_something_else_are_left_alone(path: Path, database: Database) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE task (id INTEGER)")
    connection.close()
    with pytest.raises(ConfigurationError) as raised:
        database.prepare()
    assert "task" in raised.value.why


def test_a_file_that_is_no_database_is_named(path: Path, database: Database) -> None:
    path.write_text("my thesis, chapter one " * 100)
    with pytest.raises(ConfigurationError) as raised:
        database.prepare()
    assert str(path) in raised.value.what
    assert "not a database" in raised.value.why
    assert path.read_text().startswith("my thesis")


@pytest.fixture
def next_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A version of the package that has one revision more."""
    folder = tmp_path / "versions"
    folder.mkdir()
    for file in changes.versions_folder().glob("[0-9]*.py"):
        (folder / file.name).write_text(file.read_text())
    name = f"{int(VERSION) + 1:04}"
    (folder / f"{name}_more.py").write_text(
        f"""
import sqlalchemy as sa
from alembic import op

revision = {name!r}
down_revision = {VERSION!r}


def upgrade():
    with op.batch_alter_table("task") as task:
        task.add_column(sa.Column("mood", sa.Text()))
        task.alter_column("detail", new_column_name="details")
"""
    )
    monkeypatch.setattr(changes, "versions_folder", lambda: folder)
    return name


def test_an_older_schema_is_brought_up_to_date_with_what_is_in_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, next_revision: str
) -> None:
    prepared(path)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO task (run, task, app, state, detail, seq) "
            "VALUES (1, 2, 'sum', 'failed', 'why', 3)"
        )
    connection.close()
    for module in ("schema", "database"):
        monkeypatch.setattr(f"weft_sql.{module}.VERSION", next_revision)
    prepared(path)
    assert revision_of(path) == next_revision
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT app, details, mood FROM task").fetchall() == [
            ("sum", "why", None)
        ]
        assert connection.execute("SELECT count(*) FROM overhead").fetchone() == (0,)
    connection.close()


def test_a_database_of_the_first_schema_gets_the_details(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with monkeypatch.context() as before, engine.begin() as connection:
        before.setattr("weft_sql.schema.VERSION", "0001")
        upgrade(connection)
        assert "detail" not in sqlalchemy.inspect(connection).get_table_names()
        connection.exec_driver_sql(
            "INSERT INTO task (run, task, app, state, seq) VALUES (1, 2, 'sum', 'failed', 3)"
        )
    engine.dispose()
    assert revision_of(path) == "0001"
    prepared(path)
    assert revision_of(path) == VERSION
    with sqlite3.connect(path) as found:
        assert found.execute("SELECT app FROM task").fetchall() == [("sum",)]
        assert found.execute("SELECT arguments, traceback FROM detail").fetchall() == []
    found.close()


def test_an_older_schema_is_not_changed_under_those_who_write(
    path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, next_revision: str
) -> None:
    database.prepare()
    writes = database.session()
    with monkeypatch.context() as changed:
        for module in ("schema", "database"):
            changed.setattr(f"weft_sql.{module}.VERSION", next_revision)
        with pytest.raises(ConfigurationError) as raised:
            prepared(path)
        assert "other runs write to it" in raised.value.why
        assert revision_of(path) == VERSION
        writes.close()
        database.close()
        prepared(path)
        assert revision_of(path) == next_revision
