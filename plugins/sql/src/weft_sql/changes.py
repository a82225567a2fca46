"""The schema from one version to the next, by alembic, which is imported when it is needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from weft_sql import schema

__all__ = ["is_older", "make_views", "revisions", "stamp", "upgrade"]

_FOLDER: Final = Path(__file__).with_name("migrations")


def revisions() -> Sequence[str]:
    """Every revision that this version knows, oldest first."""
    return sorted(path.name.partition("_")[0] for path in versions_folder().glob("[0-9]*.py"))


def versions_folder() -> Path:
    """Where the revisions are."""
    return _FOLDER / "versions"


def is_older(found: str) -> bool:
    """Whether a revision is one before that of this version."""
    return found in revisions() and found < schema.VERSION


def stamp(connection: Connection) -> None:
    """Say that the database has the schema of this version, as alembic says it."""
    connection.execute(
        text(
            f"CREATE TABLE {schema.VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, CONSTRAINT "
            f"{schema.VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(
        text(f"INSERT INTO {schema.VERSION_TABLE} (version_num) VALUES (:now)"),  # noqa: S608 - as above
        {"now": schema.VERSION},
    )


def make_views(connection: Connection) -> None:
    """Make every view. They hold nothing, so no revision speaks of them: they are made anew."""
    for name, query in schema.VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")


def upgrade(connection: Connection) -> None:
    """Bring the schema up to that of this version, in the transaction of the connection."""
    for name in schema.VIEWS:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    command.upgrade(config, schema.VERSION)
    make_views(connection)
