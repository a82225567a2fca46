"""``weft cache``: which files are kept, and an end to those that are not wanted any more."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click

from weft.cli import Lazy, LazyGroup
from weft.cli.console import columns, console, counted, show_json, show_mark, write
from weft.data.cache import Cache, cache_folder
from weft.data.entries import Entry
from weft.data.layout import SANDBOXES
from weft.eventlog.text import amount

__all__ = ["cache", "list_", "prune"]

_SHOWN: Final = 50
_BYTES: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]?)b?", re.IGNORECASE)


@click.group(
    cls=LazyGroup,
    lazy={
        "list": Lazy("weft.cli.cache:list_", "Show which files are kept."),
        "prune": Lazy("weft.cli.cache:prune", "Remove files that are kept."),
    },
)
def cache() -> None:
    """Show and remove the files that are kept for later tasks and runs."""


_FOLDER: Final = click.option(
    "--folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder in which they are; the cache_dir of a configuration, or of a site.",
)
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Write it as JSON.")


@click.command("list")
@click.option("--all", "every", is_flag=True, help=f"All of them, not the {_SHOWN} used last.")
@_FOLDER
@_JSON
def list_(folder: Path | None, every: bool, as_json: bool) -> int:
    """Show the files that are kept, those that were used last before the others.

    A file that tasks still have in their run folders takes no room beside those.
    """
    found = _opened(folder)
    entries = sorted(found.entries() if found else (), key=lambda one: -one.used)
    if as_json:
        show_json([_as_data(one) for one in entries])
    elif not entries:
        console().print(f"No file is kept in {folder or cache_folder()}.", soft_wrap=True)
    else:
        assert found is not None
        _print(entries, None if every else _SHOWN, found.folder)
    return 0


def _amount(units: dict[str, int], meant: str) -> Callable[..., float | None]:
    def read(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
        if text is None:
            return None
        found = _AMOUNT.fullmatch(text.strip())
        if found is None or found[2].lower() not in units:
            raise click.BadParameter(f"{text!r} is no {meant}.")
        return float(found[1]) * units[found[2].lower()]

    return read


@click.command()
@click.option(
    "--older-than",
    "age",
    metavar="TIME",
    callback=_amount(_SECONDS, "time, such as 30d, 12h or 90m"),
    help="Remove what was not used for so long, such as 30d, 12h or 90m.",
)
@click.option(
    "--limit",
    metavar="SIZE",
    callback=_amount(_BYTES, "size, such as 500M or 20G"),
    help="Keep so much at most, such as 500M or 20G: what was not used for longest goes.",
)
@click.option("--all", "every", is_flag=True, help="Remove all of them.")
@_FOLDER
@click.option(
    "--run-dir",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("weft-runs"),
    show_default=True,
    help="The folder of runs, in which working folders of tasks may be left.",
)
@_JSON
def prune(
    *,
    age: float | None,
    limit: float | None,
    every: bool,
    folder: Path | None,
    run_dir: Path,
    as_json: bool,
) -> int:
    """Remove files that are kept. Tasks that run meanwhile lose nothing.

    Without an option, what was changed, or came only in part, is removed; and always the working
    folders that tasks of runs that were killed have left. Those that were kept on request stay.
    """
    if every and (age is not None or limit is not None):
        raise click.UsageError("--all removes all; leave --older-than and --limit out.")
    rooms = _swept(run_dir)
    if rooms and not as_json:
        show_mark("ok", f"Removed {counted(rooms, 'working folder')} of killed tasks.", console())
    found = _opened(folder)
    if found is None:
        if as_json:
            show_json({"entries": 0, "freed": 0, "parts": 0, "left": 0, "sandboxes": rooms})
        else:
            console().print(f"No file is kept in {folder or cache_folder()}.", soft_wrap=True)
        return 0
    done = found.prune(
        limit=0 if every else float("inf") if limit is None else limit,
        before=float("-inf") if age is None else time.time() - age,
    )
    if as_json:
        show_json(attrs.asdict(done) | {"sandboxes": rooms})
        return 0
    show_mark(
        "ok",
        f"Removed {counted(done.entries, 'file')}"
        + (f" and {counted(done.parts, 'part')} of files" if done.parts else "")
        + f", which freed {amount(done.freed)}; {amount(done.left)} are kept.",
        console(),
    )
    return 0


def _swept(run_dir: Path) -> int:
    """Remove the working folders whose tasks were killed; how many."""
    base = run_dir / SANDBOXES
    if not base.is_dir():
        return 0
    from weft.data.sandbox import sweep

    return sweep(base.absolute())


def _opened(folder: Path | None) -> Cache | None:
    where = folder or cache_folder()
    # To look for files makes no folder for them.
    return Cache(where) if (where / "v1").exists() else None


def _as_data(one: Entry) -> dict[str, Any]:
    return {
        "url": one.record.url,
        "validator": one.record.validator,
        "key": one.record.key,
        "size": one.record.look.size,
        "used": one.used,
        "others": one.others,
        "good": one.good,
    }


def _print(entries: Sequence[Entry], most: int | None, folder: Path) -> None:
    out, now = console(), time.time()
    grid = columns("size", "used", "in tasks", "file")
    for one in entries[:most]:
        grid.add_row(
            amount(one.record.look.size),
            f"{_age(now - one.used)} ago",
            str(one.others or ""),
            one.record.url if one.good else f"{one.record.url} (changed; of no use)",
            style=None if one.good else "yellow",
        )
    write(grid, out)
    total = amount(sum(one.record.look.size for one in entries))
    more = f", of which {most} are shown" if most is not None and len(entries) > most else ""
    out.print()
    out.print(f"{counted(len(entries), 'file')} of {total} in {folder}{more}.", soft_wrap=True)


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
