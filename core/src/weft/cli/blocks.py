"""``weft blocks``: which jobs of schedulers are on record, and an end to those left behind."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs
import click

from weft.blocks.leases import Found, Reclaimed, found, jobs_folder, reclaim
from weft.cli.console import columns, console, counted, show_json, show_mark, write
from weft.configuration.check import load_config
from weft.configuration.config import Config, parts_of
from weft.configuration.registry import Registry, default_registry
from weft.interfaces.provider import Lasting
from weft.values.events import Event
from weft.values.settings import ProviderSettings

__all__ = ["blocks", "clear_up"]


@click.command()
@click.option(
    "--cancel",
    "file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Cancel what runs that are gone left with the schedulers of this configuration.",
)
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON.")
def blocks(file: Path | None, as_json: bool) -> int:
    """Show the jobs of blocks that are on record for scripts of yours, and whether those still run.

    Jobs of a script that runs are never cancelled here; the script itself ends them.

    Exit code: 0, or 1 if something could not be cancelled.
    """
    folder = jobs_folder()
    if file is not None:
        config = load_config(file)
        done = clear_up(config, default_registry().restricted(config), folder)
        if as_json:
            show_json([_as_data(one.lease) | _outcome(one) for one in done])
        else:
            _print_done(done)
        return 1 if any(one.trouble for one in done) else 0
    leases = sorted(found(folder), key=lambda one: (one.gone, one.site, one.path.name))
    if as_json:
        show_json([_as_data(one) for one in leases])
    else:
        _print(leases)
    return 0


def clear_up(config: Config, registry: Registry, folder: Path) -> list[Reclaimed]:
    """Open each provider of a configuration, and have cancelled what is left with its scheduler.

    Raises:
        WeftError: a provider cannot be had, or cannot start.
    """
    done: list[Reclaimed] = []
    providers = [one for one in parts_of(config) if isinstance(one, ProviderSettings)]
    for settings in dict.fromkeys(providers):
        provider = registry.open(settings)
        if not isinstance(provider, Lasting):
            continue
        with tempfile.TemporaryDirectory(prefix="weft-blocks-") as scratch:
            try:
                provider.start(_Context(Path(scratch)))
                done += reclaim(folder, provider)
            finally:
                provider.close()
    return done


class _Context:
    """What a provider gets here: there is no run."""

    run_id = "weft-blocks"
    program = "weft blocks"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tell(self, event: Event) -> None:
        """Nobody listens."""

    def notice(self, level: str, text: str) -> None:
        """Show it."""
        show_mark("warning" if level == "info" else level, text, console(sys.stderr))


def _as_data(one: Found) -> dict[str, Any]:
    return {**attrs.asdict(one), "path": str(one.path), "jobs": dict(one.jobs)}


def _outcome(one: Reclaimed) -> dict[str, Any]:
    return {"cancelled": list(one.cancelled), "trouble": one.trouble}


def _print(leases: list[Found]) -> None:
    out = console()
    shown = [one for one in leases if one.jobs]
    if not shown:
        out.print("No job is on record.")
        return
    grid = columns("scheduler", "executor", "jobs", "script", "process", "run folder")
    for one in shown:
        process = f"{one.client.pid} on {one.client.host}"
        grid.add_row(
            one.site,
            one.label,
            str(len(one.jobs)),
            one.program,
            f"{process}, gone" if one.gone else process,
            one.run_folder,
            style="yellow" if one.gone else None,
        )
    write(grid, out)
    gone = sum(len(one.jobs) for one in shown if one.gone)
    if gone:
        out.print()
        out.print(
            f"{counted(gone, 'job')} of scripts that are gone may still be there. The next script "
            "that uses the same scheduler cancels them; 'weft blocks --cancel FILE' does it now, "
            "with a configuration that has that scheduler."
        )


def _print_done(done: list[Reclaimed]) -> None:
    out = console()
    if not done:
        out.print("Nothing was left behind with the schedulers of this configuration.")
    for one in done:
        if one.trouble:
            show_mark("error", f"Could not be cancelled: {one.lease}. {one.trouble}", out)
        elif one.cancelled:
            gone = ", ".join(one.cancelled)
            show_mark("ok", f"Cancelled {gone}, left behind by: {one.lease}.", out)
        else:
            show_mark("ok", f"No longer there: {one.lease}.", out)
