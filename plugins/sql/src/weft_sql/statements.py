"""The statements that write rows, for each database. Pure.

Rows go over in few statements of many: each call into a database lets go of Python's lock, and may
get it back only when the threads that run tasks have had their turn.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Double, Table, Text

from weft_sql.schema import ONCE, TABLES

__all__ = ["Statement", "as_arrays", "parts", "statements"]

Statement = tuple[str, tuple[Any, ...]]
"""A text with placeholders, and what goes in their places."""

_LENGTHS: Final = (1024, 128, 16, 1)
"""How many rows one statement of SQLite has: few texts, which it keeps ready to run."""


def statements(dialect: str, table: str, rows: Sequence[Sequence[Any]]) -> Iterator[Statement]:
    """What writes these rows.

    Rows of tables that are only added to are added unless they are there, so that writing twice is
    as good as once. In tables that say how things stand, a row that is there is changed where the
    new one has a value.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
        table: its name.
        rows: values in the order of the columns; no two with the same key.
    """
    if dialect == "postgresql":
        yield _unnested(table), as_arrays(rows, _are_floats(table))
        return
    for part in parts(rows, _LENGTHS):
        yield _listed(table, len(part)), tuple(itertools.chain.from_iterable(part))


def parts(
    rows: Sequence[Sequence[Any]], lengths: Sequence[int]
) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows in parts of these lengths, long ones first; the last length is 1."""
    done = 0
    for length in lengths:
        while len(rows) - done >= length:
            yield rows[done : done + length]
            done += length


def as_arrays(rows: Sequence[Sequence[Any]], floats: Sequence[bool]) -> tuple[list[Any], ...]:
    """The rows by columns, as PostgreSQL takes them; whole numbers are floats where they are to be.

    Args:
        rows: at least one.
        floats: of each column, whether it holds floats.
    """
    return tuple(
        [_as_float(column) for column in values] if kind else list(values)
        for values, kind in zip(zip(*rows, strict=True), floats, strict=True)
    )


def _as_float(value: float | None) -> float | None:
    return None if value is None else float(value)


@cache
def _are_floats(table: str) -> tuple[bool, ...]:
    return tuple(isinstance(column.type, Double) for column in TABLES[table].columns)


@cache
def _listed(table: str, length: int) -> str:
    """An INSERT with a placeholder for each value."""
    row = f"({', '.join('?' * len(TABLES[table].columns))})"
    return _insert(TABLES[table], f"VALUES {', '.join([row] * length)}")


@cache
def _unnested(table: str) -> str:
    """An INSERT with a placeholder for each column, which takes an array."""
    arrays = ", ".join(
        "%s::text[]"
        if isinstance(column.type, Text)
        else "%s::float8[]"
        if isinstance(column.type, Double)
        else "%s::bigint[]"
        for column in TABLES[table].columns
    )
    return _insert(TABLES[table], f"SELECT * FROM unnest({arrays})")  # noqa: S608 - casts


def _insert(table: Table, source: str) -> str:
    names = ", ".join(_quoted(column.name) for column in table.columns)
    key = ", ".join(_quoted(column.name) for column in table.primary_key)
    return (  # every name in it is one of the schema
        f"INSERT INTO {_quoted(table.name)} ({names}) {source} "
        f"ON CONFLICT ({key}) DO {_conflict(table)}"
    )


def _conflict(table: Table) -> str:
    if table.name not in _STANDING:
        return "NOTHING"
    changes = ", ".join(
        f"{_quoted(name)} = coalesce({', '.join(_sides(table.name, name))})"
        for name in (column.name for column in table.columns if not column.primary_key)
    )
    return f"UPDATE SET {changes}"


def _sides(table: str, column: str) -> tuple[str, str]:
    new, old = f"excluded.{_quoted(column)}", f"{_quoted(table)}.{_quoted(column)}"
    return (old, new) if (table, column) in ONCE else (new, old)


_STANDING: Final = frozenset({"executor", "task", "try", "block", "manager", "transfer"})


def _quoted(name: str) -> str:
    return f'"{name}"'
