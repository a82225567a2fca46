"""The statements that make rows of several tables out of what is short. Pure.

What is short goes over once, and the database makes what each table has of it: a task that came and
went takes 11 values where its five rows have 51, and no time of the threads that run tasks, as
databases work without Python's lock. SQLite puts it into a temporary table, which is in memory, and
has a statement for each table; PostgreSQL does it all in one statement.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import attrs

from weft_sql.rows import Short
from weft_sql.statements import Statement, as_arrays, parts

__all__ = ["short_statements"]

_LENGTHS: Final = (2048, 128, 16, 1)
"""Rows of one statement of SQLite, which may have 32766 values in all."""

_FLOATS: Final = frozenset({"time", "done", "begun", "seconds"})
_TEXTS: Final = frozenset({"app", "executor", "worker", "node"})


@attrs.frozen
class _Target:
    """What a table has of something short, which is called ``v``.

    Attributes:
        table: its name.
        values: by the names of columns, expressions. ``n`` is the number of the row, from 0 on.
        key: the columns by which a row is known.
        rows: how many rows it has of each.
        changes: what becomes of a row that is there; it stays as it is if there are none.
    """

    table: str
    values: dict[str, str]
    key: str
    rows: int = 1
    changes: str = ""

    def insert(self, *, anew: bool) -> str:
        """The statement, but for what ``v`` is.

        Args:
            anew: whether rows that it does not change are known not to be there.
        """
        names = ", ".join(f'"{name}"' for name in self.values)
        source = "v"
        if self.rows > 1:
            numbers = " UNION ALL ".join(f"SELECT {n} AS n" for n in range(self.rows))
            source = f"v CROSS JOIN ({numbers}) AS k"
        text = (  # nothing in it but what is written here
            f'INSERT INTO "{self.table}" ({names}) SELECT {", ".join(self.values.values())} '  # noqa: S608
            f"FROM {source} WHERE true"
        )
        if anew and not self.changes:
            return text
        do = f"UPDATE SET {self.changes}" if self.changes else "NOTHING"
        return f"{text} ON CONFLICT ({self.key}) DO {do}"


def _moves(*moves: dict[str, str]) -> _Target:
    """The rows of the table of moves."""
    values = {"run": "v.run", "task": "v.task"}
    for name in ("seq", "time", "state", "attempt", "executor"):
        each = [move.get(name, "NULL") for move in moves]
        cases = "".join(f" WHEN {n} THEN {one}" for n, one in enumerate(each))
        values[name] = each[0] if len(set(each)) == 1 else f"CASE k.n{cases} END"
    return _Target("state", values, "run, task, seq", rows=len(moves))


_PENDING: Final = {"seq": "v.seq", "time": "v.time", "state": "'pending'", "attempt": "0"}
_LAUNCHED: Final = {
    "seq": "v.seq + 1",
    "time": "v.time",
    "state": "'launched'",
    "attempt": "1",
    "executor": "v.executor",
}
_AT_ONCE: Final = {"run": "v.run", "task": "v.task", "app": "v.app", "submitted": "v.time"}
_FIRST: Final = {
    "run": "v.run",
    "task": "v.task",
    "attempt": "1",
    "executor": "v.executor",
    "launched": "v.time",
}
_RAN: Final = {"worker": "v.worker", "node": "v.node", "begun": "v.begun", "seconds": "v.seconds"}

_TARGETS: Final[dict[Short, tuple[_Target, ...]]] = {
    # What was submitted is new: rows that are there are those of a first attempt to write it.
    Short.BEGUN: (
        _moves(_PENDING, _LAUNCHED),
        _Target(
            "task",
            _AT_ONCE
            | {
                "state": "'launched'",
                "attempt": "1",
                "executor": "v.executor",
                "seq": "v.seq + 1",
            },
            "run, task",
        ),
        _Target("try", _FIRST, "run, task, attempt"),
    ),
    Short.WHOLE: (
        _moves(
            _PENDING,
            _LAUNCHED,
            {"seq": "v.done_seq", "time": "v.done", "state": "'done'", "attempt": "1"},
        ),
        _Target(
            "task",
            _AT_ONCE
            | {
                "state": "'done'",
                "ended": "v.done",
                "attempt": "1",
                "executor": "v.executor",
                "seq": "v.done_seq",
            },
            "run, task",
        ),
        _Target(
            "try",
            _FIRST | _RAN | {"ended": "v.done", "outcome": "'done'", "seq": "v.done_seq"},
            "run, task, attempt",
        ),
    ),
    Short.DONE: (
        _moves({"seq": "v.seq", "time": "v.time", "state": "'done'", "attempt": "v.attempt"}),
        _Target(
            "task",
            {
                "run": "v.run",
                "task": "v.task",
                "app": "v.app",
                "state": "'done'",
                "ended": "v.time",
                "seq": "v.seq",
            },
            "run, task",
            changes="state = excluded.state, ended = excluded.ended, seq = excluded.seq",
        ),
        _Target(
            "try",
            {"run": "v.run", "task": "v.task", "attempt": "v.attempt"}
            | _RAN
            | {"ended": "v.time", "outcome": "'done'", "seq": "v.seq"},
            "run, task, attempt",
            # How a try ended is told once.
            changes=", ".join(
                [f"{name} = coalesce(excluded.{name}, try.{name})" for name in _RAN]
                + [
                    f"{name} = coalesce(try.{name}, excluded.{name})"
                    for name in ("ended", "outcome", "seq")
                ]
            ),
        ),
    ),
}


def short_statements(
    dialect: str, run: int, kind: Short, rows: Sequence[Sequence[Any]], *, anew: bool
) -> Iterator[Statement]:
    """What writes these rows.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
        run: the number of the run.
        kind: what the rows are.
        rows: their values; no two of one task, or of one try of it.
        anew: whether it was never tried before; PostgreSQL takes half of the time then. Else
            writing them twice is as good as once.
    """
    if not rows:
        return
    if dialect == "postgresql":
        floats = [name in _FLOATS for name in kind.value]
        yield _at_once(kind, anew=anew), (run, *as_arrays(rows, floats))
        return
    yield _temporary(kind), ()
    yield f"DELETE FROM temp.{_name(kind)}", ()  # noqa: S608 - a name of ours
    for part in parts(rows, _LENGTHS):
        yield _listed(kind, len(part)), tuple(itertools.chain.from_iterable(part))
    for statement in _from_temporary(kind):
        yield statement, (run,)


def _name(kind: Short) -> str:
    return f"weft_{kind.name.lower()}"


@cache
def _temporary(kind: Short) -> str:
    # A column without a type holds what it is given.
    return f"CREATE TEMP TABLE IF NOT EXISTS {_name(kind)} ({', '.join(kind.value)})"


@cache
def _listed(kind: Short, length: int) -> str:
    row = f"({', '.join('?' * len(kind.value))})"
    return f"INSERT INTO temp.{_name(kind)} VALUES {', '.join([row] * length)}"  # noqa: S608 - as above


@cache
def _from_temporary(kind: Short) -> tuple[str, ...]:
    source = f"WITH v AS (SELECT ? AS run, * FROM temp.{_name(kind)})"  # noqa: S608 - as above
    return tuple(f"{source} {target.insert(anew=False)}" for target in _TARGETS[kind])


@cache
def _at_once(kind: Short, *, anew: bool) -> str:
    arrays = ", ".join(
        "%s::text[]" if name in _TEXTS else "%s::float8[]" if name in _FLOATS else "%s::bigint[]"
        for name in kind.value
    )
    names = ", ".join(kind.value)
    source = f"v AS (SELECT %s::bigint AS run, u.* FROM unnest({arrays}) AS u({names}))"  # noqa: S608
    *others, last = [target.insert(anew=anew) for target in _TARGETS[kind]]
    parts_of = [source, *(f"w{n} AS ({one})" for n, one in enumerate(others))]
    return f"WITH {', '.join(parts_of)} {last}"
