"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires

__all__ = ["rebuild", "sql"]

sql = Component(
    kind=Kind.MONITOR,
    name="sql",
    interface="1.1",
    settings="weft_sql.settings:Sql",
    factory="weft_sql.monitor:build",
    summary="Keeps what happens in all runs in tables of SQLite or PostgreSQL.",
    requires=Requires(
        modules=("sqlalchemy", "alembic"), hint="Install weft-sql with what it depends on."
    ),
)

rebuild = Component(
    kind=Kind.COMMAND,
    name="runs-rebuild",
    factory="weft_sql.cli:main",
    summary="Writes runs into a database as their event logs have them.",
)
