"""What differs between two runs. Pure: the figures of two come to rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from weft.eventlog.figures import AppFigures
from weft.eventlog.text import columns, data_moved, harmless, moment, percent, span
from weft.values.message import message
from weft.values.states import TaskState

if TYPE_CHECKING:
    from weft.eventlog.figures import RunFigures

__all__ = ["Row", "Section", "compare", "lines_of"]

_APPS: Final = 40


@message(eq=True)
class Row:
    """One thing, in each of two runs.

    Attributes:
        name: what it is.
        before, after: what it is in the first and in the second run, for people.
        change: how the second differs, where that is a number: ``+12 %``, ``x 3.1``; else empty.
    """

    name: str
    before: str
    after: str
    change: str = ""

    @property
    def differs(self) -> bool:
        """Whether it is not the same in both."""
        return self.before != self.after


@message(eq=True)
class Section:
    """Rows about one matter.

    Attributes:
        title: what they are about.
        rows: the rows.
    """

    title: str
    rows: tuple[Row, ...]


def compare(before: RunFigures, after: RunFigures) -> list[Section]:
    """What may differ between two runs, matter by matter; what neither has is left out."""
    sections = [
        Section("RUN", tuple(_run(before, after))),
        Section("TASKS", tuple(_tasks(before, after))),
        Section("WHERE THE TIME OF THE TASKS WENT, per task", tuple(_parts(before, after))),
        Section("APPS, median and 95 of 100 of how long a task ran", tuple(_apps(before, after))),
        Section("FAILURES, by what caused them", tuple(_causes(before, after))),
    ]
    return [one for one in sections if one.rows]


def lines_of(sections: Sequence[Section], names: tuple[str, str]) -> Iterator[str]:
    """Sections as lines of text.

    Args:
        sections: as :func:`compare` made them.
        names: of the two runs.
    """
    rows = [("", *names, "")]
    rows += [(row.name, row.before, row.after, row.change) for one in sections for row in one.rows]
    lines = iter(columns(rows))
    yield next(lines)
    for section in sections:
        yield ""
        yield section.title
        yield from islice(lines, len(section.rows))


def _run(before: RunFigures, after: RunFigures) -> Iterator[Row]:
    yield Row("began", moment(before.begun), moment(after.begun))
    yield _spans("took", before.seconds, after.seconds)
    for name, field in (
        ("program", "program"),
        ("host", "host"),
        ("weft", "weft_version"),
        ("Python", "python"),
    ):
        yield Row(
            name, *(harmless(getattr(one.started, field, "?"), 60) for one in (before, after))
        )
    yield Row("nodes", *(_listed(one.hosts) for one in (before, after)))
    yield Row("executors", *(_executors(one) for one in (before, after)))
    for label in dict.fromkeys(one.label for run in (before, after) for one in run.executors):
        used = [
            next((one.utilisation for one in run.executors if one.label == label), None)
            for run in (before, after)
        ]
        if used != [None, None]:
            words = ["-" if one is None else percent(one) for one in used]
            yield Row(f"workers of {harmless(label, 40)} busy", *words)


def _tasks(before: RunFigures, after: RunFigures) -> Iterator[Row]:
    yield _numbers("tasks", before.tasks, after.tasks)
    for state in TaskState:
        if before.counts.get(state) or after.counts.get(state):
            name = state.label.replace("_", " ")
            yield _numbers(name, before.counts.get(state, 0), after.counts.get(state, 0))
    memory = [sum(app.from_memory for app in one.apps) for one in (before, after)]
    if any(memory):
        yield _numbers("from memory", *memory)
    if before.lost_tries or after.lost_tries:
        yield _numbers("tries lost", before.lost_tries, after.lost_tries)
    if before.moved or after.moved:
        yield _numbers("files moved", before.moved, after.moved)
        known = not (before.unsized or after.unsized)
        data = [data_moved(one.moved, one.moved_bytes, one.unsized) for one in (before, after)]
        change = _change(before.moved_bytes, after.moved_bytes) if known else ""
        yield Row("data moved", data[0], data[1], change)


def _parts(before: RunFigures, after: RunFigures) -> Iterator[Row]:
    each = [
        {part.name: part.seconds / max(1, one.tasks) for part in one.parts}
        for one in (before, after)
    ]
    for name in dict.fromkeys([*each[0], *each[1]]):
        yield _spans(name, each[0].get(name, 0.0), each[1].get(name, 0.0))


def _apps(before: RunFigures, after: RunFigures) -> Iterator[Row]:
    known: list[dict[str, AppFigures]] = [
        {app.app: app for app in one.apps} for one in (before, after)
    ]
    names = list(dict.fromkeys([*known[0], *known[1]]))
    for name in names[:_APPS]:
        pair = [one.get(name) for one in known]
        shown = harmless(name, 40)
        yield _numbers(f"{shown}: tasks", *(one.tasks if one else 0 for one in pair))
        times = [one.times if one else None for one in pair]
        if any(times):
            for word, field in (("median", "median"), ("95 of 100", "p95")):
                values = [getattr(one, field) if one else None for one in times]
                yield _spans(f"{shown}: {word}", *values)
    if len(names) > _APPS:
        yield Row("more apps", "", str(len(names) - _APPS))


def _causes(before: RunFigures, after: RunFigures) -> Iterator[Row]:
    each = [
        {f"{one.app}: {one.error}": one.count + one.others for one in run.causes}
        for run in (before, after)
    ]
    for name in dict.fromkeys([*each[0], *each[1]]):
        yield _numbers(harmless(name, 60), each[0].get(name, 0), each[1].get(name, 0))


def _executors(run: RunFigures) -> str:
    return _listed(
        [
            harmless(f"{one.label} ({one.plugin})" if one.plugin != one.label else one.label, 40)
            for one in run.executors
        ]
    )


def _listed(words: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(harmless(word, 40) for word in words[:most])
    return f"{shown} and {len(words) - most} more" if len(words) > most else shown or "-"


def _numbers(name: str, before: int, after: int) -> Row:
    return Row(name, f"{before:,}", f"{after:,}", _change(before, after))


def _spans(name: str, before: float | None, after: float | None) -> Row:
    if before is None or after is None:
        return Row(name, *("-" if one is None else span(one) for one in (before, after)))
    return Row(name, span(before), span(after), _change(before, after))


def _change(before: float, after: float) -> str:
    if before == after:
        return "="
    if not before or not after:
        return ""
    ratio = after / before
    if ratio >= 2 or ratio <= 0.5:
        return f"x {ratio:.2g}"
    return f"{100 * (ratio - 1):+.0f} %"
