"""``weft check``: every problem of a configuration file, with its place and its remedy."""

from pathlib import Path
from typing import Any

import attrs
import click

from weft.cli.console import console, counted, show_error, show_json, show_mark, show_problem
from weft.cli.doctor import Line, own_checks, show
from weft.configuration.check import load_config, problems
from weft.configuration.config import Config, parts_of
from weft.configuration.registry import default_registry
from weft.errors import ConfigFileError
from weft.values.problem import Problem

__all__ = ["check"]


@click.command()
@click.argument(
    "file", metavar="CONFIG.py", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--here",
    is_flag=True,
    help="Also have each component look around here, such as ask a scheduler for its queues.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the problems as JSON.")
def check(file: Path, here: bool, as_json: bool) -> int:
    """Say every problem of a configuration file.

    The file is run; its variable `config`, or what its function `config()` returns, is looked at.
    Nothing is started, and without --here nobody is asked. With it, a queue that is not there is
    found before the first job; a file with problems of its own is not taken so far.

    Exit code: 0 if the configuration can be used, 1 if it has problems, 2 if the file cannot be
        run.
    """
    try:
        config = load_config(file)
    except ConfigFileError as trouble:
        if as_json:
            show_json({"file": str(file), "ok": False, "problems": [_from_file(trouble)]})
        else:
            show_error(trouble)
        return 2
    found = problems(config)
    errors = sum(problem.is_error for problem in found)
    lines = _looked_around(config) if here and not errors else []
    missed = sum(line.status == "error" for line in lines)
    if as_json:
        seen = {"findings": [attrs.asdict(line) for line in lines]} if here else {}
        shown = [_shown(problem) for problem in found]
        ok = not (errors or missed)
        show_json({"file": str(file), "ok": ok, "problems": shown, **seen})
    else:
        _print(file, config, found, missed)
        if here and errors:
            console().print("\nOnce that is mended, --here has the components look around.")
        if lines:
            console().print()
            show(lines)
    return 1 if errors or missed else 0


def _looked_around(config: Config) -> list[Line]:
    registry = default_registry().restricted(config)
    return [line for part in parts_of(config) for line in own_checks(config, part, registry)]


def _from_file(trouble: ConfigFileError) -> dict[str, Any]:
    place = f"line {trouble.line}" if trouble.line is not None else ""
    what = f"{trouble.problem} {trouble.why}".strip()
    return _shown(Problem(code=trouble.code, place=place, what=what, remedy=trouble.todo))


def _shown(problem: Problem) -> dict[str, Any]:
    return attrs.asdict(problem)


def _print(file: Path, config: Config, found: list[Problem], missed: int) -> None:
    out = console()
    errors = [problem for problem in found if problem.is_error]
    warnings = [problem for problem in found if not problem.is_error]
    if errors:
        out.print(f"{file} has {counted(len(errors), 'problem')}:", style="bold")
    else:
        if missed:
            told = f"{file} is well written, but cannot be used here: see below."
            out.print(told, style="bold red")
        else:
            out.print(f"{file} can be used.", style="bold green")
        _summary(config)
    for problem in errors:
        out.print()
        show_problem(problem, out)
    if warnings:
        out.print()
        out.print(f"{'Also worth a look' if errors else 'Worth a look'}:", style="bold")
    for problem in warnings:
        out.print()
        show_problem(problem, out)


def _summary(config: Config) -> None:
    """What the configuration comes to, in a few lines."""
    from weft.configuration.maturity import notice

    registry = default_registry().restricted(config)
    out = console()
    rows = {
        "executors": [
            f"{e.called}" + f" ({e.plugin})" * (e.called != e.plugin) for e in config.executors
        ],
        "monitors": [m.plugin for m in config.monitors],
        "stagers": [s.plugin for s in config.stagers],
    }
    for name, parts in rows.items():
        if parts:
            out.print(f"  {name:<10} {', '.join(parts)}")
    out.print(f"  {'run_dir':<10} {config.run_dir.absolute()}")
    for settings in (*config.executors, *config.monitors, *config.stagers):
        offer = registry.offer_of(settings)
        said = notice(registry.manifest(offer), registry.rating(offer))
        if said:
            show_mark("warning", said, out, 2)
