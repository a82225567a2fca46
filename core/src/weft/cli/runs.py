"""``weft runs``: which runs there are, and what became of the tasks of one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from weft.cli import Lazy, LazyGroup
from weft.cli.console import columns, console, counted, show_json, show_mark, write
from weft.eventlog.compare import compare, lines_of
from weft.eventlog.figures import RunFigures, Timeline, figures_of
from weft.eventlog.page import page
from weft.eventlog.runs import Run, find_run, open_run, summaries
from weft.eventlog.story import AppStory, RunStory
from weft.eventlog.text import cause_in_words, files_moved, harmless, moment, span, tasks_in_words
from weft.eventlog.text import report as lines_of_report
from weft.values.message import as_mapping
from weft.values.states import TaskState

__all__ = ["RUN_DIR", "compare_", "list_", "report", "runs", "show"]

_LISTED: Final = 30
_APPS: Final = 20
_CAUSES: Final = 10
_NOTICES: Final = 5
_STYLES: Final = {"running": "cyan", "ended": "", "broken off": "yellow", "unknown": "dim"}


@click.group(
    cls=LazyGroup,
    lazy={
        "list": Lazy("weft.cli.runs:list_", "Show which runs there are."),
        "show": Lazy("weft.cli.runs:show", "Show what became of the tasks of a run."),
        "report": Lazy("weft.cli.runs:report", "Say where the time of a run went; as a page, too."),
        "compare": Lazy("weft.cli.runs:compare_", "Say how two runs differ."),
        "retry": Lazy("weft.cli.retry:retry", "Run a script again; what ended well is kept."),
    },
    prefix="runs-",
)
def runs() -> None:
    """Show runs by their event logs, also while they run."""


RUN_DIR: Final = click.option(
    "--run-dir",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("weft-runs"),
    help="Where the run folders are: the run_dir of the configuration. [default: weft-runs]",
)
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Write it as JSON.")


# ------------------------------------------------------------------------------------------- list


@click.command("list")
@click.option("--all", "every", is_flag=True, help=f"All of them, not the latest {_LISTED}.")
@RUN_DIR
@_JSON
def list_(run_dir: Path, every: bool, as_json: bool) -> int:
    """Show which runs there are, the latest first.

    A run that was broken off did not end: it was killed, or its machine went down.
    """
    found = summaries(run_dir)
    if as_json:
        show_json([as_mapping(one) for one in found])
        return 0
    out = console()
    if not found:
        out.print(f"No run with an event log is in {run_dir}.", soft_wrap=True)
        return 0
    shown = found if every else found[:_LISTED]
    grid = columns("run", "started", "took", "tasks", "failed", "state", "program")
    for one in shown:
        tasks = one.done + one.failed + one.cancelled + one.unfinished
        grid.add_row(
            one.folder.name,
            moment(one.started),
            span(one.seconds) if one.started else "",
            f"{tasks:,}" if one.started else "",
            Text(f"{one.failed:,}", "red") if one.failed else "",
            Text(one.state, _STYLES[one.state]),
            one.problem or harmless(one.program),
        )
    write(grid, out)
    if len(found) > len(shown):
        out.print()
        out.print(f"{len(found) - len(shown)} earlier ones: --all shows them.", style="dim")
    return 0


# ------------------------------------------------------------------------------------------- show


@click.command()
@click.argument("run", default="latest")
@click.option(
    "--task", type=int, metavar="N", help="Of this task alone: its call, errors, use and lines."
)
@RUN_DIR
@_JSON
def show(run: str, task: int | None, run_dir: Path, as_json: bool) -> int:
    """Show what became of the tasks of a run.

    RUN is its folder, the folder's name or number, the beginning of the run's id, or 'latest',
    which it is when left out.
    """
    with open_run(find_run(run, run_dir)) as found:
        if task is not None:
            from weft.cli.logs import show_task, task_as_data

            if as_json:
                show_json(task_as_data(found, task))
            else:
                show_task(found, task, console())
        elif as_json:
            show_json(_as_data(found))
        else:
            _print(found, console())
    return 0


def _as_data(run: Run) -> dict[str, Any]:
    story = run.story
    split = story.split()
    return {
        **as_mapping(run.summary()),
        "counts": _counts(story.counts),
        "apps": [
            {
                "app": app.name,
                "counts": _counts(app.counts),
                "from_memory": app.from_memory,
                "tries_lost": app.lost_tries,
                **_split_data(app),
                "longest": app.longest,
            }
            for app in story.apps.values()
        ],
        "failures": [as_mapping(cause) for cause in story.causes()],
        "seconds_of_tasks": {
            "waited": split.waited,
            "staged": split.staged,
            "launched": split.launched,
            "joined": split.joined,
            "ran": split.ran,
        },
        "executors": [
            {
                "label": one.label,
                "plugin": one.plugin,
                "started": one.started,
                "stopped": one.stopped,
                "tries": one.launched,
            }
            for one in story.executors.values()
        ],
        "managers": [as_mapping(one) for one in story.managers.values()],
        "blocks": [as_mapping(one) for one in story.blocks.values()],
        "files": {
            "moved": story.moved,
            "bytes": story.moved_bytes if story.unsized < story.moved or not story.moved else None,
            "of_unknown_size": story.unsized,
            "failed_tries": story.unmoved,
            "seconds": story.moving,
        },
        "notices": [as_mapping(one) for one in story.notices],
        "other_events": story.others,
        "log": {
            "events": story.events,
            "missing_chunks": run.missing,
            "skipped_bytes": run.skipped,
            "lost_events": story.ended.lost_events if story.ended else 0,
        },
    }


def _counts(counts: dict[TaskState, int]) -> dict[str, int]:
    return {state.label: number for state, number in counts.items()}


def _split_data(app: AppStory) -> dict[str, float]:
    one = app.split
    return {
        "waited": one.waited,
        "staged": one.staged,
        "launched": one.launched,
        "joined": one.joined,
        "ran": one.ran,
    }


def _print(run: Run, out: Console) -> None:
    story = run.story
    _print_head(run, out)
    if story.apps:
        out.print()
        _print_apps(story, out)
    causes = story.causes()
    if causes:
        out.print()
        for cause in causes[:_CAUSES]:
            show_mark("error", cause_in_words(cause), out)
        if len(causes) > _CAUSES:
            out.print(f"  and {counted(len(causes) - _CAUSES, 'more cause')}: --json shows them")
    _print_parts(story, out)
    _print_troubles(run, out)


def _print_head(run: Run, out: Console) -> None:
    story, short = run.story, run.summary()
    name = harmless(short.program) or "a run"
    when = ", and nothing was written yet"
    if short.started:
        when = f", {span(short.seconds)}, since {moment(short.started)}"
    out.print(
        Text.assemble(
            (f"{run.folder.name} ", "bold"),
            (name, "bold"),
            "  ",
            (run.state, _STYLES[run.state]),
            when,
        ),
        soft_wrap=True,
    )
    out.print(Text(str(run.folder), "dim"), soft_wrap=True)
    tasks = tasks_in_words(story.counts)
    seconds = story.seconds
    rate = ""
    if story.counts[TaskState.DONE] and seconds >= 1:
        rate = f", {story.counts[TaskState.DONE] / seconds:,.3g} done per second"
    out.print(tasks + rate, soft_wrap=True)


def _print_apps(story: RunStory, out: Console) -> None:
    heads = [
        "app",
        "tasks",
        "done",
        "failed",
        "retries",
        "waited",
        "launched",
        "ran",
        "longest",
        "",
    ]
    staged = any(app.split.staged for app in story.apps.values())
    if staged:
        heads.insert(6, "staged")
    grid = columns(*heads)
    apps = sorted(story.apps.values(), key=lambda app: -app.split.total)
    for app in apps[:_APPS]:
        notes = []
        if app.from_memory:
            notes.append(f"{app.from_memory:,} from memory")
        if app.counts[TaskState.CANCELLED]:
            notes.append(f"{app.counts[TaskState.CANCELLED]:,} cancelled")
        row: list[str | Text] = [
            harmless(app.name, 80),
            f"{app.tasks:,}",
            f"{app.counts[TaskState.DONE]:,}",
            Text(f"{app.counts[TaskState.FAILED]:,}", "red")
            if app.counts[TaskState.FAILED]
            else "",
            f"{app.lost_tries:,}" if app.lost_tries else "",
            span(app.split.waited),
            span(app.split.launched),
            span(app.split.ran),
            span(app.longest),
            ", ".join(notes),
        ]
        if staged:
            row.insert(6, span(app.split.staged))
        grid.add_row(*row)
    write(grid, out)
    if len(apps) > _APPS:
        out.print(f"and {counted(len(apps) - _APPS, 'more app')}: --json shows them", style="dim")


def _print_parts(story: RunStory, out: Console) -> None:
    lines = []
    for one in story.executors.values():
        plugin = f" ({one.plugin})" if one.plugin and one.plugin != one.label else ""
        tries = f"{one.launched:,} tries" if one.launched != 1 else "1 try"
        lines.append(f"executor {one.label}{plugin}: {tries}")
    states: dict[tuple[str, str], int] = {}
    for block in story.blocks.values():
        key = (block.executor, str(block.state))
        states[key] = states.get(key, 0) + 1
    for (executor, state), number in states.items():
        lines.append(f"  {counted(number, 'block')} of {executor} {state}")
    if story.moved or story.unmoved:
        lines.append(files_moved(story))
    if lines:
        out.print()
        for line in lines:
            out.print(line, soft_wrap=True)


def _print_troubles(run: Run, out: Console) -> None:
    story = run.story
    bad = [one for one in story.notices if one.level in ("warning", "error")]
    shown: Sequence[Any] = bad[-_NOTICES:]
    troubles = [(one.level, harmless(f"{one.source}: {one.text}", 500)) for one in shown]
    if story.ended and story.ended.lost_events:
        troubles.append(
            ("warning", f"{story.ended.lost_events:,} events were not told: too many at once.")
        )
    if run.missing or run.skipped:
        lacks = f"{counted(run.missing, 'chunk')} missing, {run.skipped:,} bytes passed over"
        troubles.append(("warning", f"The log is damaged: {lacks}. All else is counted here."))
    if troubles:
        out.print()
        for level, text in troubles:
            show_mark(level, text, out)


# --------------------------------------------------------------------------- report and compare


@click.command()
@click.argument("run", default="latest")
@click.option(
    "--html",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report to a file, as a page that needs nothing else.",
)
@RUN_DIR
def report(run: str, run_dir: Path, file: Path | None) -> int:
    """Say where the time of a run went, what failed, and which apps took longest.

    RUN is its folder, the folder's name or number, the beginning of the run's id, or 'latest',
    which it is when left out. Of a run that goes on, it says how things are.
    """
    out = console()
    with open_run(find_run(run, run_dir), Timeline()) as found:
        figures = _figures(found)
        if file is None:
            for line in lines_of_report(figures, found.folder.name, found.state):
                out.out(line, highlight=False)
        else:
            _written(file, page(figures, found.folder.name, found.state))
            show_mark("ok", f"The report is in {harmless(str(file), 500)}.", out)
        if found.missing or found.skipped:
            lacks = (
                f"{counted(found.missing, 'chunk')} missing, {found.skipped:,} bytes passed over"
            )
            show_mark("warning", f"The log is damaged: {lacks}. The rest is reported.", out)
    return 0


@click.command("compare")
@click.argument("before")
@click.argument("after")
@RUN_DIR
def compare_(before: str, after: str, run_dir: Path) -> int:
    """Say how two runs differ: tasks, durations, overhead, failures, versions, hosts.

    BEFORE and AFTER are runs, named as for 'weft runs show'.
    """
    figures = []
    names = []
    for name in (before, after):
        with open_run(find_run(name, run_dir), Timeline()) as found:
            figures.append(_figures(found))
            names.append(found.folder.name)
    if names[0] == names[1]:
        names = [f"{names[0]} (first)", f"{names[1]} (second)"]
    out = console()
    for line in lines_of(compare(figures[0], figures[1]), (names[0], names[1])):
        out.out(line, highlight=False)
    return 0


def _figures(run: Run) -> RunFigures:
    assert run.timeline is not None
    return figures_of(run.story, run.timeline)


def _written(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{str(file)!r} cannot be written: {error.strerror}.") from None
