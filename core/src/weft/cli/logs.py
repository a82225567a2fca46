"""``weft logs``: what the tasks of a run have logged and printed; also all that is told of one."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from weft.cli.console import columns, console, counted, write
from weft.cli.runs import RUN_DIR
from weft.eventlog.runs import Run, events_of_run, find_run
from weft.eventlog.story import TaskStory, TaskTold
from weft.eventlog.text import amount
from weft.values.events import (
    LogLine,
    ResourceSample,
    TaskDetails,
    TaskMoved,
    TaskSubmitted,
    as_data,
)
from weft.values.states import TaskState
from weft.values.task import TaskId
from weft.values.watch import LEVELS

__all__ = ["logs", "show_task", "task_as_data"]

_STYLES: Final = {"CRITICAL": "bold red", "ERROR": "red", "WARNING": "yellow", "DEBUG": "dim"}
_PAUSE: Final = 0.2
_SHOWN: Final = 12
"""Samples of a task that are shown, spread over its time."""


@click.command()
@click.argument("run", default="latest")
@click.option("--task", "task", type=int, metavar="N", help="Only of the task with this number.")
@click.option("--app", metavar="NAME", help="Only of the tasks of this app.")
@click.option(
    "--level",
    type=click.Choice(list(LEVELS), case_sensitive=False),
    help="Only what was logged, from this level on; not what was printed.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
@RUN_DIR
@click.option("--json", "as_json", is_flag=True, help="Write each line as an object of JSON.")
def logs(  # noqa: PLR0917 - by name, from click
    run: str,
    task: int | None,
    app: str | None,
    level: str | None,
    follow: bool,
    run_dir: Path,
    as_json: bool,
) -> int:
    """Show what the tasks of a run have logged and printed.

    RUN is its folder, the folder's name or number, the beginning of the run's id, or 'latest',
    which it is when left out.

    What is told is set by Config(task_logs=..., task_prints=...).
    """
    folder = find_run(run, run_dir)
    out = console()
    show = _as_json if as_json else _plainly if not out.is_terminal else _in_colours(out)
    shown = 0
    for line, its in _lines(folder, follow=follow):
        if _wanted(line, its, task, app, level):
            show(line, its)
            shown += 1
    if not shown and not as_json and not follow:
        asked = " of that kind" if task is not None or app or level else ""
        out.print(f"The tasks of {folder.name} have told of no line{asked}.", soft_wrap=True)
    return 0


def _lines(folder: Path, *, follow: bool) -> Iterator[tuple[LogLine, str]]:
    """The lines of a run, each with the app of its task, where that is told."""
    apps: dict[TaskId, str] = {}
    # Of a task that has just been launched, an executor may have told before the kernel has.
    early: dict[TaskId, list[LogLine]] = {}
    for event in events_of_run(folder, pause=_rest if follow else None):
        if type(event) is LogLine:
            if event.id in apps:
                yield event, apps[event.id]
            else:
                early.setdefault(event.id, []).append(event)
        elif type(event) is TaskSubmitted or (type(event) is TaskMoved and event.id not in apps):
            apps[event.id] = event.app
            for line in early.pop(event.id, ()):
                yield line, event.app
    for lines in early.values():  # of tasks whose calls were told in a part that is damaged
        yield from ((line, "") for line in lines)


def _rest() -> None:
    """Show what there is so far, and wait for more of it."""
    sys.stdout.flush()
    time.sleep(_PAUSE)


def _wanted(line: LogLine, its: str, task: int | None, app: str | None, level: str | None) -> bool:
    if (task is not None and line.id != task) or (app is not None and its != app):
        return False
    if level is None:
        return True
    # Levels that somebody made up have no place among the others, so they are shown.
    least = LEVELS[level.upper()]
    return bool(line.logger) and LEVELS.get(line.level, least) >= least


# ------------------------------------------------------------------------------------------- lines


def _as_json(line: LogLine, app: str) -> None:
    sys.stdout.write(json.dumps({**as_data(line), "app": app}) + "\n")


def _plainly(line: LogLine, app: str) -> None:
    sys.stdout.write(_said(line, app).plain + "\n")


def _in_colours(out: Console) -> Callable[[LogLine, str], None]:
    return lambda line, app: out.print(_said(line, app), soft_wrap=True)


def _said(line: LogLine, app: str) -> Text:
    attempt = f", try {line.attempt}" if line.attempt > 1 else ""
    whose = f"task {line.id}{attempt}" + (f" ({app})" if app else "")
    said = Text.assemble((f"{_clock(line.time)} ", "dim"), (f"{whose} ", "cyan"))
    said.append(f"{line.level:<8}", _STYLES.get(line.level, ""))
    said.append(f" {line.logger}: " if line.logger else " ", "dim")
    said.append(_harmless(line.text))
    if line.dropped and line.logger != "weft":
        said.append(f" [{counted(line.dropped, 'line')} before it left out]", "yellow")
    return said


def _harmless(text: str) -> str:
    """The text without what a terminal would obey; its later lines are indented."""
    if not text.isprintable():
        shown = (c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
        text = "".join(shown).rstrip("\n").replace("\n", "\n    ")
    return text


def _clock(at: float) -> str:
    thousandths = round(at * 1000)
    second = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(thousandths // 1000))
    return f"{second}.{thousandths % 1000:03d}"


# ---------------------------------------------------------------------------------------- one task


def _task(run: Run, number: int) -> tuple[TaskStory, TaskTold]:
    task = run.story.tasks.get(number)
    if task is None:
        others = counted(len(run.story.tasks), "other task")
        raise click.BadParameter(
            f"{run.folder.name} tells of no task {number}, but of {others}; they are numbered from "
            "0 in the order of their calls.",
            param_hint="--task",
        )
    return task, _told(run, number)


def _told(run: Run, number: int) -> TaskTold:
    """What is told of a task; of very many with details, those of this one are looked up."""
    told = run.story.told.get(number)
    if run.story.undetailed:
        told = told or TaskTold()
        for event in events_of_run(run.folder):
            if type(event) is TaskDetails and event.id == number:
                told.add_details(event)
    return told or TaskTold()


def task_as_data(run: Run, number: int) -> dict[str, Any]:
    """A task, its call, tracebacks, lines and samples, as plain data.

    Raises:
        click.BadParameter: there is no such task.
    """
    task, told = _task(run, number)
    split = {name: getattr(task.split, name) for name in task.split.__slots__}
    plain = ("id", "app", "submitted", "attempt", "lost_tries", "executor", "place", "error")
    return {
        **{name: getattr(task, name) for name in plain},
        "state": task.state.label,
        "needs": list(task.needs),
        "inputs": list(task.inputs),
        "outputs": list(task.outputs),
        "arguments": told.arguments,
        "result": told.result,
        "tracebacks": {str(attempt): text for attempt, text in told.tracebacks.items()},
        "from_memory": task.from_memory,
        "seconds": split,
        "lines": [as_data(line) for line in told.lines],
        "lines_before": told.unkept,
        "lines_left_out": told.dropped,
        "samples": [as_data(sample) for sample in told.samples],
        "peak": told.peak,
    }


def show_task(run: Run, number: int, out: Console) -> None:
    """Write what became of a task: its call, its errors, what it used, and what it said.

    Raises:
        click.BadParameter: there is no such task.
    """
    task, told = _task(run, number)
    tries = f", try {task.attempt}" if task.attempt > 1 else ""
    out.print(
        Text.assemble((f"task {number} ({task.app})", "bold"), f"  {task.state.label}{tries}")
    )
    if task.place:
        out.print(Text(task.place, "dim"), soft_wrap=True)
    if task.error:
        out.print(Text(_harmless(task.error), "red"), soft_wrap=True)
    parts = [f"{getattr(task.split, name):.3g} s {name}" for name in ("waited", "launched", "ran")]
    out.print(", ".join(parts), soft_wrap=True)
    _show_call(task, told, out)
    _show_tracebacks(task, told, out)
    if told.samples:
        out.print()
        _show_samples(told, out)
    if told.lines or told.unkept:
        out.print()
        if told.unkept:
            more = f"{counted(told.unkept, 'earlier line')}: 'weft logs --task {number}' shows them"
            out.print(more, style="dim", soft_wrap=True)
        for line in told.lines:
            out.print(_said(line, ""), soft_wrap=True)


def _show_call(task: TaskStory, told: TaskTold, out: Console) -> None:
    said = []
    if told.arguments is not None:
        said.append(f"{task.app}({told.arguments})")
    if told.result is not None:
        said.append(f"returned {told.result}")
    if task.inputs:
        said.append(f"of the files {', '.join(task.inputs)}")
    if task.outputs:
        said.append(f"makes {', '.join(task.outputs)}")
    if said:
        out.print()
        for line in said:
            out.print(Text(_harmless(line)), soft_wrap=True)


def _show_tracebacks(task: TaskStory, told: TaskTold, out: Console) -> None:
    for attempt, text in sorted(told.tracebacks.items()):
        out.print()
        of = f"try {attempt}" if attempt else "before the first try"
        if task.lost_tries or not attempt:
            out.print(Text(f"{of}:", "bold"))
        for line in text.rstrip("\n").split("\n"):
            out.print(Text(_harmless(line)), soft_wrap=True)
    if task.state is TaskState.FAILED and task.attempt not in told.tracebacks and task.attempt:
        out.print()
        why = "Its traceback was not told: of very many failures of one kind, only some are."
        out.print(why, style="dim", soft_wrap=True)


def _show_samples(told: TaskTold, out: Console) -> None:
    heads = ["time", "user", "system", "memory", "peak", "read", "written", "processes"]
    accelerators = any(sample.gpu_memory is not None for sample in told.samples)
    grid = columns(*heads, *(["accelerators"] if accelerators else []))
    for sample in _spread(told.samples):
        row = [
            _clock(sample.time).partition(" ")[2],
            _seconds(sample.user),
            _seconds(sample.system),
            _bytes(sample.resident),
            _bytes(sample.peak),
            _bytes(sample.read),
            _bytes(sample.written),
            str(sample.processes),
        ]
        grid.add_row(*row, *([_bytes(sample.gpu_memory)] if accelerators else []))
    write(grid, out)
    count = len(told.samples)
    if count > _SHOWN:
        out.print(f"{_SHOWN} of {count} samples: --json shows them", style="dim")


def _spread(samples: list[ResourceSample]) -> Iterable[ResourceSample]:
    """Some of them, the first and the last among them."""
    last = len(samples) - 1
    if last < _SHOWN:
        return samples
    return [samples[round(at * last / (_SHOWN - 1))] for at in range(_SHOWN)]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def _bytes(value: float | None) -> str:
    return "" if value is None else amount(value)
