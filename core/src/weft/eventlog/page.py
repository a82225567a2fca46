"""The report of a run as one page of HTML that needs nothing else. Pure: figures to text.

No script, no font and no address of anywhere else: plots are SVG in the page, and its policy (CSP)
forbids it to load anything. Light and dark follow the reader's system. All that others named or
said is made harmless and escaped. What is drawn is binned, and lists have an end, so that the page
of a million tasks is as small as that of a hundred.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from weft.eventlog.text import files_moved, harmless, moment, percent, span, tasks_in_words
from weft.values.states import TaskState

if TYPE_CHECKING:
    from weft.eventlog.figures import AppFigures, Histogram, Part, RunFigures

__all__ = ["page"]

_APPS: Final = 40
_PLOTS: Final = 12
"""Apps whose run times are drawn."""
_CAUSES: Final = 30
_NOTICES: Final = 20
_WIDTH: Final = 920
_LEFT: Final = 56
"""Of a plot, what the words at its left side take."""

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2430; --soft: #5d6b7e;
  --line: #dde3ea; --box: #f5f7fa; --c1: #2b6cd4; --c2: #d07f1c; --c3: #2c9a63; --c4: #cf3a3a;
  --c5: #8353c9; --c6: #8a97a8; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161c; --ink: #e4e9f0; --soft: #95a3b6;
  --line: #2b333f; --box: #1a2029; --c1: #6ba4ff; --c2: #f0a552; --c3: #57c98f; --c4: #ff7b72;
  --c5: #b895ff; --c6: #75839a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1000px; padding: 28px 24px 60px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 25px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 34px 0 8px; }
p { margin: 4px 0 10px; }
.soft { color: var(--soft); }
.state { font-size: 14px; font-weight: 600; border-radius: 20px; padding: 2px 11px;
  border: 1px solid currentColor; vertical-align: 4px; margin-left: 8px; white-space: nowrap; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px;
  margin: 18px 0 6px; }
.tile { background: var(--box); border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 21px; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; text-align: right; }
td { text-align: right; }
th, td { padding: 4px 0 4px 14px; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child, .words { text-align: left; overflow-wrap: break-word; }
th:first-child, td:first-child { padding-left: 0; max-width: 340px; }
td.words { max-width: 480px; }
.wide { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--soft); }
svg .grid { stroke: var(--line); }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 2px 0 6px; color: var(--soft);
  font-size: 13px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px;
  vertical-align: -1px; }
.bad { color: var(--c4); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr));
  gap: 14px 22px; }
.plots h3 { font-size: 14px; margin: 0; overflow-wrap: anywhere; }
@media print { body { max-width: none; } }
"""

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_PART_COLOURS: Final = {
    "ran": "--c3",
    "waited for inputs or a retry": "--c6",
    "files brought and taken away": "--c5",
    "in the executor's queue and on the way": "--c1",
    "on the way back": "--c2",
    "launched, and no worker said more": "--c1",
    "waited for the tasks of a join app": "--c5",
}


def page(figures: RunFigures, name: str, state: str) -> str:
    """The report of a run.

    Args:
        figures: of the run.
        name: of its folder.
        state: how it is, as ``weft.eventlog.runs`` says it.
    """
    program = figures.started.program if figures.started else "a run"
    title = _said(f"{name} {program}", 120)
    body = "\n".join(
        [
            *_head(figures, name, program, state),
            *_causes(figures),
            *_timeline(figures),
            *_overhead(figures),
            *_workers(figures),
            *_apps(figures),
            *_longest(figures),
            *_rest(figures),
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        "</body>\n</html>\n"
    )


def _said(text: str, most: int = 200) -> str:
    return escape(harmless(text, most))


# ---------------------------------------------------------------------------------------- sections


def _head(figures: RunFigures, name: str, program: str, state: str) -> Iterator[str]:
    colour = {"ended": "--c3", "running": "--c1", "broken off": "--c4"}.get(state, "--c6")
    yield (
        f'<h1>{_said(program, 120)} <span class="soft">{_said(name, 60)}</span>'
        f'<span class="state" style="color: var({colour})">{_said(state)}</span></h1>'
    )
    words = [f"since {moment(figures.begun)}"]
    started = figures.started
    if started is not None:
        if started.host:
            words.append(f"on {_said(started.host)}")
        if started.user:
            words.append(f"as {_said(started.user)}")
        words.append(f"weft {_said(started.weft_version)}")
        if started.python:
            words.append(f"Python {_said(started.python)}")
    yield f'<p class="soft">{" · ".join(words)}<br>{_said(tasks_in_words(figures.counts))}</p>'
    done = figures.counts[TaskState.DONE]
    failed = figures.counts[TaskState.FAILED]
    busy = sum(one.busy for one in figures.executors)
    available = sum(one.available for one in figures.executors)
    tiles = [
        ("took", span(figures.seconds), ""),
        ("tasks", f"{figures.tasks:,}", ""),
        ("failed", f"{failed:,}", "bad" if failed else ""),
        ("done per second", f"{done / figures.seconds:,.3g}" if figures.seconds else "-", ""),
        ("workers busy", percent(min(1.0, busy / available)) if available else "-", ""),
    ]
    remembered = sum(app.from_memory for app in figures.apps)
    if remembered:
        tiles.append(("from memory", f"{remembered:,}", ""))
    if figures.lost_tries:
        tiles.append(("tries lost", f"{figures.lost_tries:,}", ""))
    cells = "".join(
        f'<div class="tile"><b class="{style}">{value}</b>{label}</div>'
        for label, value, style in tiles
    )
    yield f'<div class="tiles">{cells}</div>'


def _causes(figures: RunFigures) -> Iterator[str]:
    if not figures.causes:
        return
    yield "<h2>Failures, by what caused them</h2>"
    rows = [
        (
            _said(cause.app, 60),
            _said(cause.example or cause.error, 300),
            f"{cause.count:,}",
            f"{cause.others:,}" if cause.others else "",
            f"{cause.task}",
        )
        for cause in figures.causes[:_CAUSES]
    ]
    yield _table(("app", "error", "tasks", "failed because of it", "first task"), rows, words=1)
    yield _more(len(figures.causes) - _CAUSES, "cause")


def _timeline(figures: RunFigures) -> Iterator[str]:
    if not figures.launched or not figures.tasks:
        return
    yield "<h2>Tasks over time</h2>"
    curves = [
        ("waiting", "--c6", figures.waiting),
        ("at an executor: in its queue, on the way, or running", "--c1", figures.launched),
    ]
    yield _key([(label, colour) for label, colour, _ in curves])
    yield _plot(curves, figures.width, "tasks, on average")
    yield "<h2>Use of the workers</h2>"
    workers = sum(one.workers for one in figures.executors)
    running = [("tasks that ran, as workers told when they ended", "--c3", figures.ran)]
    if workers:
        level = tuple(float(workers) for _ in figures.ran)
        running.append((f"workers, {workers:,} in all", "--c6", level))
    yield _key([(label, colour) for label, colour, _ in running])
    yield _plot(running, figures.width, "tasks that ran, on average")
    yield "<h2>Throughput</h2>"
    rates = [
        ("ended per second", "--c1", tuple(n / figures.width for n in figures.ended)),
        ("failed per second", "--c4", tuple(n / figures.width for n in figures.failed)),
    ]
    yield _key([(label, colour) for label, colour, _ in rates])
    yield _plot(rates, figures.width, "tasks per second")


def _overhead(figures: RunFigures) -> Iterator[str]:
    if not figures.parts:
        return
    yield "<h2>Where the time of the tasks went</h2>"
    yield _stack(figures.parts, 22)
    yield _key([(part.name, _PART_COLOURS.get(part.name, "--c6")) for part in figures.parts])
    number = max(1, figures.tasks)
    rows = [
        (_said(part.name), span(part.seconds), percent(part.share), span(part.seconds / number))
        for part in figures.parts
    ]
    yield _table(("", "in all", "share", "per task"), rows)


def _workers(figures: RunFigures) -> Iterator[str]:
    used = [one for one in figures.executors if one.tries]
    if not used:
        return
    yield "<h2>Executors</h2>"
    rows = []
    for one in used:
        use = one.utilisation
        rows.append(
            (
                _said(one.label, 60),
                _said(one.plugin, 60),
                f"{one.tries:,}",
                f"{one.workers:,}{'' if one.told else ' seen'}",
                span(one.available) if one.available else "-",
                span(one.busy),
                percent(use) if use is not None else "-",
            )
        )
    heads = ("executor", "plugin", "tries", "workers", "their time", "they ran tasks", "busy")
    yield _table(heads, rows, words=1)
    if not all(one.told for one in used):
        yield (
            '<p class="soft">Of workers that are seen, those count that ran something, for as long '
            "as their executor was there.</p>"
        )


def _apps(figures: RunFigures) -> Iterator[str]:
    if not figures.apps:
        return
    yield "<h2>Apps</h2>"
    counts = ("app", "tasks", "done", "failed", "from memory", "tries lost")
    heads = (*counts, "median", "95 of 100", "longest", "in all")
    yield _table(heads, [_app(one) for one in figures.apps[:_APPS]])
    yield _more(len(figures.apps) - _APPS, "app")
    drawn = [one for one in figures.apps if one.histogram is not None][:_PLOTS]
    if drawn:
        yield "<h2>How long tasks ran</h2>"
        yield (
            '<p class="soft">Tasks that ended well, by how long they ran; each bar is a span that '
            "is a fixed factor longer than the one before it, the same for all apps.</p>"
        )
        yield '<div class="plots">'
        for one in drawn:
            assert one.histogram is not None
            yield f"<div><h3>{_said(one.app, 60)}</h3>{_bars(one.histogram)}</div>"
        yield "</div>"


def _app(one: AppFigures) -> tuple[str, ...]:
    times = one.times
    failed = f'<span class="bad">{one.failed:,}</span>' if one.failed else ""
    return (
        _said(one.app, 60),
        f"{one.tasks:,}",
        f"{one.done:,}",
        failed,
        f"{one.from_memory:,}" if one.from_memory else "",
        f"{one.lost_tries:,}" if one.lost_tries else "",
        *(
            (span(times.median), span(times.p95), span(times.most), span(times.total))
            if times
            else ("", "", "", "")
        ),
    )


def _longest(figures: RunFigures) -> Iterator[str]:
    if not figures.longest:
        return
    yield "<h2>The tasks that ran longest</h2>"
    rows = [
        (
            f"{_said(one.app, 60)} (task {one.task})",
            _said(one.place, 80),
            one.state.label.replace("_", " "),
            span(one.seconds),
        )
        for one in figures.longest
    ]
    yield _table(("task", "where", "state", "ran for"), rows, words=1)


def _rest(figures: RunFigures) -> Iterator[str]:
    if figures.moved or figures.unmoved:
        yield "<h2>Files</h2>"
        yield f"<p>{_said(files_moved(figures))}.</p>"
    if figures.notices or figures.lost_events:
        yield "<h2>Notices</h2>"
        rows = [
            (moment(one.time), _said(one.level), _said(f"{one.source}: {one.text}", 400))
            for one in figures.notices[:_NOTICES]
        ]
        if figures.lost_events:
            words = f"{figures.lost_events:,} events were not told: too many at once"
            rows.append(("", "warning", words))
        yield _table(("when", "", ""), rows, words=2)
        yield _more(len(figures.notices) - _NOTICES, "notice")
    started = figures.started
    if started is not None and started.command:
        yield "<h2>Started with</h2>"
        yield f"<p>{_said(' '.join(started.command), 600)}"
        yield f'<br><span class="soft">in {_said(started.cwd, 300)}</span></p>'


# ------------------------------------------------------------------------------------------ pieces


def _more(number: int, noun: str) -> str:
    if number <= 0:
        return ""
    return f'<p class="soft">and {number:,} more {noun}{"" if number == 1 else "s"}</p>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int = 0) -> str:
    """A table of cells that are HTML; the column ``words`` has sentences, and begins left."""

    def cell(tag: str, place: int, text: str) -> str:
        style = ' class="words"' if place == words and words else ""
        return f"<{tag}{style}>{text}</{tag}>"

    lines = ["".join(cell("th", place, head) for place, head in enumerate(heads))]
    lines += ["".join(cell("td", place, text) for place, text in enumerate(row)) for row in rows]
    inner = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table>\n{inner}\n</table></div>'


def _key(entries: Sequence[tuple[str, str]]) -> str:
    """Which colour is what."""
    items = "".join(
        f'<span><i style="background: var({colour})"></i>{_said(label)}</span>'
        for label, colour in entries
    )
    return f'<div class="key">{items}</div>'


def _plot(curves: Sequence[tuple[str, str, Sequence[float]]], width: float, label: str) -> str:
    """Curves of bins over the time of a run, each an area with its outline.

    Args:
        curves: name, colour and values of each.
        width: seconds of a bin.
        label: what the values are.
    """
    height, top, bottom = 190, 8, 24
    bins = max(len(values) for _, _, values in curves)
    highest = max((max(values, default=0.0) for _, _, values in curves), default=0.0)
    most, marks = _scale(highest)
    inner, tall = _WIDTH - _LEFT - 8, height - top - bottom
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_said(label)}">']
    for mark in marks:
        y = top + tall * (1 - mark / most)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - 8}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{mark:,g}</text>')
    for _, colour, values in curves:
        steps = []
        for place, value in enumerate(values):
            left = _LEFT + inner * place / bins
            right = _LEFT + inner * (place + 1) / bins
            y = top + tall * (1 - value / most)
            steps.append(f"{left:.1f} {y:.1f}H{right:.1f}")
        if steps:
            outline = "M" + "L".join(steps)
            area = f"{outline}V{top + tall}H{_LEFT}Z"
            parts.append(f'<path d="{area}" fill="var({colour})" fill-opacity=".14"/>')
            parts.append(
                f'<path d="{outline}" fill="none" stroke="var({colour})" stroke-width="1.5"/>'
            )
    for number in range(5):
        x = _LEFT + inner * number / 4
        anchor = ("start", "middle", "middle", "middle", "end")[number]
        words = span(bins * width * number / 4)
        parts.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="{anchor}">{words}</text>')
    return "".join(parts) + "</svg>"


def _scale(highest: float) -> tuple[float, list[float]]:
    """The end of an axis that holds a value, and round numbers on it."""
    if highest <= 0:
        return 1.0, [0.0, 1.0]
    step = 10.0**-12
    while step * 5 < highest:
        for factor in (2.0, 2.5, 2.0):
            if step * 5 < highest:
                step *= factor
    marks = [step * number for number in range(6)]
    while len(marks) > 2 and marks[-2] >= highest:
        marks.pop()
    return marks[-1], [float(f"{mark:.6g}") for mark in marks]


def _stack(parts: Sequence[Part], height: int) -> str:
    """Parts of a whole, one beside the other."""
    pieces = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="parts of the time">']
    x = 0.0
    for part in parts:
        wide = _WIDTH * part.share
        colour = _PART_COLOURS.get(part.name, "--c6")
        pieces.append(
            f'<rect x="{x:.1f}" width="{wide:.1f}" height="{height}" fill="var({colour})">'
            f"<title>{_said(part.name)}: {span(part.seconds)}, {percent(part.share)}</title></rect>"
        )
        x += wide
    return "".join(pieces) + "</svg>"


def _bars(found: Histogram) -> str:
    """Durations in bins as bars."""
    width, height, bottom = 300, 96, 18
    most = max(found.counts) or 1
    step = width / len(found.counts)
    tall = height - bottom - 4
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="how long tasks ran">']
    for place, count in enumerate(found.counts):
        if count:
            high = max(1.5, tall * count / most)
            low, up = span(found.edges[place]), span(found.edges[place + 1])
            parts.append(
                f'<rect x="{place * step:.1f}" y="{4 + tall - high:.1f}" width="{step - 1:.1f}" '
                f'height="{high:.1f}" rx="1.5" fill="var(--c1)">'
                f"<title>{low} to {up}: {count:,}</title></rect>"
            )
    parts.append(f'<path class="grid" d="M0 {height - bottom}H{width}"/>')
    middle = found.edges[len(found.counts) // 2]
    for x, anchor, edge in (
        (0, "start", found.edges[0]),
        (width / 2, "middle", middle),
        (width, "end", found.edges[-1]),
    ):
        parts.append(f'<text x="{x:g}" y="{height - 4}" text-anchor="{anchor}">{span(edge)}</text>')
    return "".join(parts) + "</svg>"
