"""``weft runs rebuild``: runs from their event logs into a database."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from weft.errors import WeftError
from weft.eventlog.runs import find_run, folders
from weft_sql.database import Database
from weft_sql.places import located
from weft_sql.rebuild import Rebuilt, rebuild
from weft_sql.settings import Sql

__all__ = ["main"]

_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}


def main(words: Sequence[str]) -> int:
    """The command ``weft runs rebuild``. Returns its exit code."""
    answer = _rebuild.main(list(words), prog_name="weft runs rebuild", standalone_mode=False)
    return answer if isinstance(answer, int) else 0


def _is_database(_context: click.Context, _option: click.Parameter, given: str) -> str:
    try:
        return Sql(database=given).database
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(context_settings=_SETTINGS)
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All runs in the folder of runs.")
@click.option(
    "--run-dir",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("weft-runs"),
    help="Where the run folders are: the run_dir of the configuration. [default: weft-runs]",
)
@click.option(
    "--database",
    metavar="PATH|URL",
    default="weft.db",
    callback=_is_database,
    help="As the option of the monitor sql: a file of SQLite, whose path counts from the folder of "
    "runs, or a URL such as postgresql://me@db.example.org/weft. [default: weft.db]",
)
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    default=30.0,
    help="How long to wait for others who write to the database. [default: 30]",
)
def _rebuild(
    runs: tuple[str, ...], *, every: bool, run_dir: Path, database: str, wait: float
) -> int:
    """Write runs into a database as their event logs have them.

    RUN is a run's folder, the folder's name or number, the beginning of the run's id, or 'latest',
    which it is when left out.

    What the database had of a run is replaced, and comes out the same however often that is done.
    Of a run that goes on, what is in its log by now is taken.
    """
    if every and runs:
        raise click.UsageError("Give runs, or --all, and not both.")
    found = folders(run_dir) if every else [find_run(one, run_dir) for one in runs or ("latest",)]
    if not found:
        click.echo(f"No run with an event log is in {run_dir}.")
        return 0
    place = located(database, run_dir.absolute())
    store = Database(place, timeout=max(1.0, wait), busy=wait)
    failed = 0
    try:
        store.prepare()
        # The earliest first, which gives the numbers in the database their order.
        for folder in reversed(found) if every else found:
            try:
                _tell(folder, place, rebuild(folder, store))
            except WeftError as trouble:
                if len(found) == 1:
                    raise
                failed += 1
                click.echo(f"✗ {trouble.what} {trouble.why} {trouble.todo}", err=True)
    finally:
        store.close()
    return 1 if failed else 0


def _tell(folder: Path, place: object, done: Rebuilt) -> None:
    click.echo(f"{folder}: {done.events:,} events, run {done.number} of {place}")
    if done.going_on:
        click.echo("  It goes on: what its log had by now is there. Rebuild it when it has ended.")
    elif not done.ended:
        click.echo("  It was broken off: what its log had until then is there.")
    if done.missing or done.skipped:
        click.echo(
            f"! The log of {folder} is damaged: {done.missing:,} chunks are missing, "
            f"{done.skipped:,} bytes could not be read. What they held is not in the database.",
            err=True,
        )
