"""``weft runs export``: the provenance of a run, from its event log."""

import json
import shutil
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click

from weft.errors import WeftError
from weft.eventlog.reader import EventLogReader
from weft.eventlog.runs import find_run, held
from weft_provenance.addresses import address
from weft_provenance.crate import LOG, METADATA, crate
from weft_provenance.record import Record, recorded

__all__ = ["main"]

_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}


def main(words: Sequence[str]) -> int:
    """The command ``weft runs export``. Returns its exit code."""
    answer = _export.main(list(words), prog_name="weft runs export", standalone_mode=False)
    return answer if isinstance(answer, int) else 0


@click.command(context_settings=_SETTINGS)
@click.argument("run", default="latest")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "kind",
    type=click.Choice(["ro-crate", "prov"]),
    required=True,
    help="ro-crate: a Provenance Run Crate 0.5, in a folder, or in an archive if TARGET ends with "
    ".zip. prov: W3C PROV, as PROV-JSON, or as PROV-N if TARGET ends with .provn.",
)
@click.option(
    "--run-dir",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("weft-runs"),
    help="Where the run folders are: the run_dir of the configuration. [default: weft-runs]",
)
@click.option(
    "--license", "license_", metavar="URL", default="", help="The licence of what is in the crate."
)
@click.option(
    "--anonymous",
    is_flag=True,
    help="Leave out who ran it, where, and by which command; script and event log, which may say "
    "it, are left out too.",
)
def _export(
    run: str, target: Path, *, kind: str, run_dir: Path, license_: str, anonymous: bool
) -> int:
    """Write the provenance of a run: its script, apps, tasks, files and failures.

    RUN is its folder, the folder's name or number, the beginning of the run's id, or 'latest'.
    TARGET must not be there yet. What the event log does not say is not in it.
    """
    if target.exists() or target.is_symlink():
        raise WeftError(
            f"{target} is there already.", why="Nothing is overwritten.", todo="Name another one."
        )
    log, record = _read(find_run(run, run_dir))
    if kind == "prov":
        _write_prov(record, target, anonymous=anonymous)
    else:
        _write_crate(record, log, target, license_=license_, anonymous=anonymous)
    click.echo(f"{target}: {len(record.actions):,} tasks, {record.failed:,} of which failed")
    if record.going_on:
        click.echo("  The run goes on: what its log had by now is there.")
    elif record.ended is None:
        click.echo("  The log does not say that the run has ended.")
    if record.gaps:
        click.echo(f"! {record.gaps}", err=True)
    return 0


def _read(folder: Path) -> tuple[Path, Record]:
    with EventLogReader(folder) as reader:
        # First the lock, then the log: what a run writes at its end is there before it lets go.
        writing = held(reader.path)
        record = recorded(reader.new(final=writing is False))
        record.going_on = bool(writing) and record.ended is None
        about = reader.header.about if reader.header else {}
        record.run_id = record.run_id or str(about.get("run", ""))
        if reader.missing or reader.skipped:
            record.gaps = (
                f"The event log is damaged: {reader.missing} chunks are missing, "
                f"{reader.skipped} bytes could not be read. What they held is not here."
            )
        elif record.ended is not None and record.ended.lost_events:
            record.gaps = f"{record.ended.lost_events} events came too fast to be recorded."
        return reader.path, record


def _script(record: Record) -> Path | None:
    """The script, where it is still to be found."""
    started = record.started
    if started is None:
        return None
    # The command names it as it was given; a program that was piped in or typed has none.
    for word in (*started.command[1:], started.program):
        path = Path(started.cwd or "/") / word
        if path.suffix == ".py" and path.name == Path(started.program).name and path.is_file():
            return path
    return None


def _address(record: Record) -> str:
    found = _script(record)
    started = record.started
    named = str(found) if found else started.program if started else ""
    return address(named, started.cwd if started else "") if named else ""


def _write_prov(record: Record, target: Path, *, anonymous: bool) -> None:
    from weft_provenance.document import document

    made = document(record, script=_address(record), anonymous=anonymous)
    text = made.get_provn() if target.suffix == ".provn" else made.serialize(format="json")
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(str(text), encoding="utf-8")
        part.rename(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _cannot(target, error) from error


def _write_crate(
    record: Record, log: Path, target: Path, *, license_: str, anonymous: bool
) -> None:
    found = None if anonymous else _script(record)
    # A crate has to hold the workflow that it is of: where it cannot, it says why there.
    script = f"script/{found.name}" if found else "script/NOT-HERE.txt"
    graph = crate(
        record,
        made=time.time(),
        script=quote(script, errors="surrogateescape"),
        there=found is not None,
        license_url=license_,
        anonymous=anonymous,
    )
    files: dict[str, Path | str] = {METADATA: json.dumps(graph, indent=1)}
    files[script] = found or (
        "It was left out, since whoever made this crate wanted no names in it.\n"
        if anonymous
        else "It was not to be found when this crate was made.\n"
    )
    if not anonymous:
        files[LOG] = log
    part = target.with_name(f".{target.name}.part")
    try:
        if target.suffix == ".zip":
            _pack(part, files)
        else:
            _lay_out(part, files)
        part.rename(target)
    except OSError as error:
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        raise _cannot(target, error) from error


def _pack(archive: Path, files: Mapping[str, Path | str]) -> None:
    with zipfile.ZipFile(archive, "x", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            if isinstance(content, Path):
                packed.write(content, name)
            else:
                packed.writestr(name, content)


def _lay_out(folder: Path, files: Mapping[str, Path | str]) -> None:
    folder.mkdir()
    (folder / "script").mkdir()
    for name, content in files.items():
        if isinstance(content, Path):
            shutil.copyfile(content, folder / name)
        else:
            (folder / name).write_text(content, encoding="utf-8")


def _cannot(target: Path, error: OSError) -> WeftError:
    return WeftError(
        f"{target} cannot be written.",
        why=f"{error.strerror or error}",
        todo="See that its folder exists and that you may write there.",
    )
