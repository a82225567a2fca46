"""What is said of a run in plain text, and the words and numbers for it. Pure: figures to lines.

The lines hold what others named and said, made harmless for a terminal; no colours, and nothing
that would need a terminal.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from weft.values.states import FINAL, TaskState

if TYPE_CHECKING:
    from weft.eventlog.figures import AppFigures, LongTask, RunFigures
    from weft.eventlog.story import Cause, RunStory

__all__ = [
    "amount",
    "cause_in_words",
    "columns",
    "data_moved",
    "files_moved",
    "harmless",
    "moment",
    "percent",
    "report",
    "span",
    "tasks_in_words",
    "where_time_went",
]

_APPS: Final = 20
_CAUSES: Final = 10
_NOTICES: Final = 5
_ODD: Final = "\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029"
"""Blanks that a terminal may take for an order."""


# ------------------------------------------------------------------------------- words and numbers


def harmless(text: str, most: int = 200) -> str:
    r"""A text of somebody else's, as one line that does nothing to a terminal.

    Control characters, which could move the cursor or set colours and titles, and those that turn
    the direction of writing are shown as escapes, such as ``\x1b``.

    Args:
        text: what somebody named an app, or what an error says.
        most: letters that are kept; of a longer one, the first, and a dot of three.
    """
    if len(text) > most:
        text = text[: most - 1] + "…"
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else " " if one.isspace() and one not in _ODD else _escaped(one)
        for one in text
    )


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")


def moment(at: float) -> str:
    """When something was, by the clock of this machine's zone: ``2026-03-01 14:05:09``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else "?"


def span(seconds: float) -> str:
    """How long something took: ``0.2 ms``, ``3.2 s``, ``4:05``, ``1:02:03``, ``2 d 3:04:05``."""
    if not seconds < 1e11:  # no number, or one that no log can mean
        return "?"
    if seconds <= 0:
        return "0 s"
    if seconds < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    text = f"{rest // 60:02}:{rest % 60:02}" if hours or days else f"{rest // 60}:{rest % 60:02}"
    if hours or days:
        text = f"{hours}:{text}"
    return f"{days} d {text}" if days else text


def amount(number: float) -> str:
    """A number of bytes: ``512 B``, ``1.2 GB``, in powers of 1000."""
    if number < 1000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1000
        if number < 999.5:
            return f"{number:.3g} {unit}"
    return f"{number / 1000:,.1f} PB"


def percent(share: float) -> str:
    """A share from 0 to 1: ``62 %``, ``0.4 %``."""
    return f"{100 * share:.0f} %" if share >= 0.01 or share <= 0 else f"{100 * share:.1g} %"


def data_moved(files: int, told: int, unsized: int) -> str:
    """How much data the files had that were moved: ``1.2 GB``, ``unknown``, or something of both.

    Args:
        files: how many there are.
        told: the bytes of those that tell it.
        unsized: how many do not.
    """
    if unsized and unsized >= files:
        return "unknown"
    return f"{amount(told)} and {unsized:,} of unknown size" if unsized else amount(told)


def files_moved(story: RunStory | RunFigures) -> str:
    """What became of the files of a run: ``2 files moved, 1.2 GB, in 3.2 s; 1 try failed``."""
    text = f"{_many(story.moved, 'file')} moved"
    if story.moved:
        data = data_moved(story.moved, story.moved_bytes, story.unsized)
        size = "of unknown size" if data == "unknown" else data
        text += f", {size}, in {span(story.moving)}"
    if story.unmoved:
        text += f"; {story.unmoved:,} {'try' if story.unmoved == 1 else 'tries'} failed"
    return text


def tasks_in_words(counts: dict[TaskState, int]) -> str:
    """How many tasks there are, and in which states: ``3 tasks: 2 done, 1 failed``."""
    total = sum(counts.values())
    if not total:
        return "no tasks"
    order = (*sorted(FINAL), *sorted(set(TaskState) - FINAL, reverse=True))
    parts = [f"{counts[one]:,} {one.label.replace('_', ' ')}" for one in order if counts.get(one)]
    return f"{_many(total, 'task')}: {', '.join(parts)}"


def columns(rows: Sequence[Sequence[str]], left: int = 1, indent: str = "  ") -> list[str]:
    """Rows of a table as lines: the first columns begin at the left, the others end at the right.

    Args:
        rows: the cells; all rows have as many.
        left: how many columns begin at the left.
        indent: what each line begins with.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# ------------------------------------------------------------------------------------- the report


def report(figures: RunFigures, name: str, state: str) -> list[str]:
    """All that is said of a run, line by line.

    Args:
        figures: of the run.
        name: of its folder.
        state: how it is, as ``weft.eventlog.runs`` says it.
    """
    lines = list(_head(figures, name, state))
    for section in (
        list(_failures(figures)),
        list(where_time_went(figures)),
        list(_notices(figures)),
    ):
        if section:
            lines += ["", *section]
    return lines


def _head(figures: RunFigures, name: str, state: str) -> Iterator[str]:
    started = figures.started
    program = harmless(started.program) if started else "a run"
    yield f"{name} {program}: {state}, {span(figures.seconds)}, since {moment(figures.begun)}"
    if started:
        where = f" on {harmless(started.host)}" if started.host else ""
        user = f", as {harmless(started.user)}" if started.user else ""
        python = f", Python {harmless(started.python)}" if started.python else ""
        yield f"weft {harmless(started.weft_version)}{python}{where}{user}"
    remembered = sum(app.from_memory for app in figures.apps)
    more = f"; {remembered:,} from memory" if remembered else ""
    if figures.lost_tries:
        more += f"; {figures.lost_tries:,} tries ended without ending their task"
    rate = ""
    if figures.counts[TaskState.DONE] and figures.seconds >= 1:
        rate = f"; {figures.counts[TaskState.DONE] / figures.seconds:,.3g} done per second"
    yield tasks_in_words(figures.counts) + more + rate


def _failures(figures: RunFigures) -> Iterator[str]:
    if not figures.causes:
        return
    yield "FAILURES, by what caused them"
    for cause in figures.causes[:_CAUSES]:
        yield f"  {cause_in_words(cause)}"
    if len(figures.causes) > _CAUSES:
        yield f"  and {_many(len(figures.causes) - _CAUSES, 'more cause')}"


def cause_in_words(cause: Cause) -> str:
    """What failed in one way, and because of that, in one line.

    ``3 x measure: ValueError: no strand (task 5 was the first; 40 tasks failed because of them)``
    """
    what = harmless(f"{cause.app}: {cause.example or cause.error}", 300)
    several = cause.count != 1
    first = f"task {cause.task}{' was the first' if several else ''}"
    of = "them" if several else "it"
    also = f"; {_many(cause.others, 'task')} failed because of {of}" if cause.others else ""
    return f"{cause.count:,} x {what} ({first}{also})"


def where_time_went(figures: RunFigures) -> Iterator[str]:
    """The overhead, the use of the workers, the apps, the longest tasks and the files."""
    if figures.parts:
        yield "WHERE THE TIME OF THE TASKS WENT"
        number = max(1, figures.tasks)
        yield from columns(
            [("", "in all", "share", "per task")]
            + [
                (part.name, span(part.seconds), percent(part.share), span(part.seconds / number))
                for part in figures.parts
            ]
        )
    used = [one for one in figures.executors if one.tries]
    if used:
        yield ""
        yield "WORKERS"
        for one in used:
            if one.utilisation is None:
                yield f"  {harmless(one.label)}: {_many(one.tries, 'try').replace('trys', 'tries')}"
                continue
            seen = "" if one.told else " that ran something"
            yield (
                f"  {harmless(one.label)}: {percent(one.utilisation)} of "
                f"{span(one.available)} of {_many(one.workers, 'worker')}{seen}"
            )
    timed = [app for app in figures.apps if app.times]
    if timed:
        yield ""
        yield "APPS, those that ran longest in all first"
        heads = ("", "tasks", "failed", "median", "95 of 100", "longest", "in all")
        yield from columns([heads, *map(_app, timed[:_APPS])])
        if len(timed) > _APPS:
            yield f"  and {_many(len(timed) - _APPS, 'more app')}"
    if figures.longest and figures.longest[0].seconds >= 0.01:
        yield ""
        yield "LONGEST TASKS"
        rows = [
            (
                f"{harmless(one.app, 40)} (task {one.task})",
                harmless(one.place, 60),
                span(one.seconds),
            )
            for one in figures.longest[:5]
        ]
        yield from columns(rows, left=2)
    if figures.moved or figures.unmoved:
        yield ""
        yield f"FILES: {files_moved(figures)}"


def _long(one: LongTask) -> tuple[str, ...]:
    return f"{harmless(one.app, 40)} (task {one.task})", harmless(one.place, 60), span(one.seconds)


def _app(app: AppFigures) -> tuple[str, ...]:
    times = app.times
    assert times is not None
    return (
        harmless(app.app, 40),
        f"{app.tasks:,}",
        f"{app.failed:,}" if app.failed else "-",
        span(times.median),
        span(times.p95),
        span(times.most),
        span(times.total),
    )


def _notices(figures: RunFigures) -> Iterable[str]:
    lines = [
        f"  {one.level}: {harmless(one.source, 60)}: {harmless(one.text, 300)}"
        for one in figures.notices[-_NOTICES:]
    ]
    if figures.lost_events:
        lines.append(f"  {figures.lost_events:,} events were not told: too many at once")
    return ["NOTICES", *lines] if lines else []
