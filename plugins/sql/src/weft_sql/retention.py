"""Which runs are kept, and how the others are removed."""

from typing import Final

from sqlalchemy import Connection, delete, func, or_, select

from weft_sql.schema import TABLES

__all__ = ["SILENT", "forget", "outdated"]

SILENT: Final = 7 * 86400.0
"""Seconds after which a run that did not end, and was not heard of, is taken for one that died."""


def outdated(
    connection: Connection, *, now: float, keep_runs: int | None, keep_days: float | None
) -> list[int]:
    """The numbers of the runs that are not to be kept, oldest first.

    Only runs that are over are among them: those that ended, and those that were not heard of for
    longer than ``SILENT``.
    """
    run = TABLES["run"].c
    last = func.coalesce(run.ended, run.heard, run.started)
    over = or_(run.ended.is_not(None), last < now - SILENT)
    numbers = connection.execute(select(run.run, last).where(over).order_by(last, run.run)).all()
    gone: list[int] = []
    if keep_runs is not None:
        gone += [number for number, _ in numbers[: max(0, len(numbers) - keep_runs)]]
    if keep_days is not None:
        gone += [number for number, at in numbers if at < now - keep_days * 86400]
    return list(dict.fromkeys(gone))


def forget(connection: Connection, run: int) -> None:
    """Remove all that is known of a run. Its space in a file is used for what comes next."""
    for table in TABLES.values():
        connection.execute(delete(table).where(table.c.run == run))
