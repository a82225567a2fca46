"""How notebooks show futures and sessions: values in, HTML out. Pure.

Imported only when something is displayed. The HTML has inline styles and no script, takes its
colours of text from the page, so that it reads on light and on dark, and is bounded: whatever a
task returned or raised, a few lines come of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from weft.errors import WeftError
from weft.shown import exact, value_text
from weft.values.states import TaskState
from weft.values.task import TaskId, Try

if TYPE_CHECKING:
    from weft.interfaces.executor import ExecutorStatus
    from weft.status import Status

__all__ = ["clock", "error_line", "file_html", "short_form", "status_html", "task_html"]

_SHORT: Final = 240
"""Letters of a value, an error or a name that are shown."""
_ROWS: Final = 20
"""Apps, executors or failures that are shown; of more, the rest are counted."""
_COLOURS: Final[Mapping[TaskState, str]] = {
    TaskState.PENDING: "#8a95a6",
    TaskState.STAGING_IN: "#c08a2e",
    TaskState.LAUNCHED: "#3f86dd",
    TaskState.JOINING: "#4a9ec9",
    TaskState.STAGING_OUT: "#c08a2e",
    TaskState.DONE: "#1f9d82",
    TaskState.FAILED: "#dc5a22",
    TaskState.CANCELLED: "#9a6cba",
}
"""Of marks and bars alone, dark enough for white paper and light enough for black."""
_SIGNS: Final[Mapping[TaskState, str]] = {
    TaskState.DONE: "✓",
    TaskState.FAILED: "✗",
    TaskState.CANCELLED: "⊘",
    TaskState.LAUNCHED: "▶",
}
_WORDS: Final[Mapping[TaskState, str]] = {
    TaskState.PENDING: "waits",
    TaskState.STAGING_IN: "files are brought",
    TaskState.LAUNCHED: "launched",
    TaskState.JOINING: "waits for its tasks",
    TaskState.STAGING_OUT: "files are taken away",
}
_ORDER: Final = (
    TaskState.DONE,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.LAUNCHED,
    TaskState.JOINING,
    TaskState.STAGING_OUT,
    TaskState.STAGING_IN,
    TaskState.PENDING,
)

# ------------------------------------------------------------------------------------- short forms


def short_form(value: Any) -> str:
    """A value in a few letters: a container by its first elements, anything else by its ``repr``.

    Never raises but what ends a program. An object's own ``repr`` is called once, and is what takes
    time and memory here, if anything does; the built-in containers are never written out in full.
    """
    return value_text(value, _SHORT)


def error_line(error: BaseException) -> str:
    """The class of an error and the first line of its message, cut."""
    try:
        text = exact(error.what if isinstance(error, WeftError) else str(error))[: 16 * _SHORT]
        line = next((one for one in text.splitlines() if one.strip()), "")
    except Exception:  # noqa: BLE001 - the error is a user's: its methods may raise anything
        line = "(its message cannot be shown)"
    name = type(error).__name__
    return _cut(f"{name}: {line.strip()}" if line else name)


def clock(seconds: float) -> str:
    """A time as people read it: ``0.12 s``, ``7.0 s``, ``2:05 min``, ``1:02:03 h``, ``2 d 3:04 h``.

    Args:
        seconds: how long; less than nothing counts as nothing.
    """
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours}:{minutes:02} h"
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def _cut(text: str) -> str:
    text = exact(text)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


# ---------------------------------------------------------------------------------------- a future


def task_html(
    app: str,
    number: TaskId,
    state: TaskState,
    *,
    tries: Sequence[Try] = (),
    executor: str = "",
    inputs: int = 0,
    from_memory: bool = False,
    result: Any = None,
    error: BaseException | None = None,
) -> str:
    """The future of a task.

    Args:
        app: the name of its app.
        number: its own.
        state: where it is.
        tries: those that have ended.
        executor: the label of where it is now; empty if it is nowhere.
        inputs: how many results it waits for.
        from_memory: whether memory answered it.
        result: its value, if it is done.
        error: its exception, if it failed.
    """
    facts = list(_ran(tries, executor, inputs, from_memory=from_memory))
    said = ""
    if state is TaskState.DONE:
        said = _line(short_form(result))
    elif error is not None:
        said = _line(error_line(error), _COLOURS[TaskState.FAILED])
    return _card(_head(state, app, f"task {number}", facts) + said, _COLOURS[state])


def file_html(
    url: str,
    path: str,
    app: str,
    number: TaskId,
    state: TaskState,
    *,
    error: BaseException | None = None,
) -> str:
    """The future of a file.

    Args:
        url: the file's.
        path: where it is, or will be, on this machine; empty if it is not there.
        app: the name of the app whose task makes it.
        number: the number of that task.
        state: whether the file is there.
        error: why it will not be.
    """
    name = _cut(url).rstrip("/").rpartition("/")[2] or _cut(url)
    head = _head(state, name, f"file of {_cut(app)}, task {number}", ())
    where = _line(_cut(path or url))
    failed = "" if error is None else _line(error_line(error), _COLOURS[TaskState.FAILED])
    return _card(head + where + failed, _COLOURS[state])


def _ran(tries: Sequence[Try], executor: str, inputs: int, *, from_memory: bool) -> Iterable[str]:
    if from_memory:
        yield "from memory"
    if inputs:
        yield _many(inputs, "input") + " to come"
    seconds = [one.seconds for one in tries if one.seconds is not None]
    if seconds:
        yield f"ran {clock(sum(seconds))}"
    if len(tries) > 1:
        yield f"{len(tries)} tries"
    last = tries[-1] if tries else None
    where = executor or (last.executor if last else "")
    if where:
        yield f"on {where}"
    if last and last.place and not executor:
        yield last.place


# --------------------------------------------------------------------------------------- a session


def status_html(status: Status) -> str:
    """A session, or how it was."""
    total = sum(status.counts.values())
    open_ = TaskState.DONE if status.closed else TaskState.LAUNCHED
    head = _head(
        open_,
        status.program or "run",
        "closed" if status.closed else "open",
        [clock(status.elapsed), _many(total, "task")],
        sign="■" if status.closed else "▶",
    )
    memory = sum(status.from_memory.values())
    parts = [
        head,
        _bar(status.counts, total),
        _line(_counted(status.counts) + (f" ({memory} from memory)" if memory else "")),
        _apps(status.apps),
        *_some([_failure(one) for one in status.failures[: _ROWS + 1]], len(status.failures)),
        *_some(
            [_executor(label, one) for label, one in list(status.executors.items())[: _ROWS + 1]],
            len(status.executors),
        ),
        _line(_cut(str(status.run_folder)), quiet=True),
    ]
    return _card("".join(parts), _COLOURS[TaskState.FAILED if status.failures else open_])


def _apps(apps: Mapping[str, Mapping[TaskState, int]]) -> str:
    if not apps:
        return ""
    rows = "".join(
        f'<tr style="background:transparent"><td style="{_CELL}">{escape(_cut(app))}</td>'
        f'<td style="{_CELL};text-align:right">{sum(counts.values())}</td>'
        f'<td style="{_CELL};width:9em">{_bar(counts, sum(counts.values()))}</td>'
        f'<td style="{_CELL}">{escape(_counted(counts))}</td></tr>'
        for app, counts in list(apps.items())[:_ROWS]
    )
    more = len(apps) - _ROWS
    rest = _line(f"and {_many(more, 'more app')}", quiet=True) if more > 0 else ""
    return (
        '<table style="border-collapse:collapse;margin:6px 0;font-size:inherit;color:inherit">'
        f"{rows}</table>{rest}"
    )


def _failure(group: Any) -> str:
    text = _cut(" ".join(exact(group.example).split()))
    said = f"{group.count} × {_cut(group.app)}: {group.error}" + (f": {text}" if text else "")
    return _line(f"{said} (task {group.task})", _COLOURS[TaskState.FAILED])


def _executor(label: str, status: ExecutorStatus) -> str:
    parts = [_many(status.workers, "worker")]
    if status.running is not None:
        parts.append(f"{status.running} busy")
    if status.waiting:
        parts.append(f"{_many(status.waiting, 'task')} in its queue")
    there = sum(not one.ended for one in status.blocks)
    if status.blocks:
        parts.append(f"{_many(there, 'block')}, {len(status.blocks) - there} ended")
    return (
        f'<div style="margin-top:3px"><b style="font-weight:600">{escape(_cut(label))}</b> '
        f'<span style="opacity:.75">{escape(" · ".join(parts))}</span></div>'
    )


def _some(rows: Sequence[str], number: int) -> Iterable[str]:
    yield from rows[:_ROWS]
    if number > _ROWS:
        yield _line(f"and {number - _ROWS} more", quiet=True)


def _counted(counts: Mapping[TaskState, int]) -> str:
    some = [f"{counts[one]} {one.label}" for one in _ORDER if counts.get(one)]
    return ", ".join(some) or "no tasks"


# ------------------------------------------------------------------------------------ what they use

_CELL: Final = (
    "text-align:left;padding:2px 14px 2px 0;border:0;color:inherit;vertical-align:middle;"
    "overflow-wrap:anywhere"
)


def _card(inner: str, colour: str) -> str:
    return (
        f'<div class="weft-display" style="border:1px solid rgba(128,128,128,.35);'
        f"border-left:4px solid {colour};border-radius:6px;padding:7px 12px;margin:2px 0;"
        "max-width:56em;font-size:13px;line-height:1.5;"
        f'font-variant-numeric:tabular-nums;color:inherit;background:transparent">{inner}</div>'
    )


def _head(
    state: TaskState, name: str, about: str, facts: Iterable[str], *, sign: str | None = None
) -> str:
    colour = _COLOURS[state]
    mark = sign if sign is not None else _SIGNS.get(state, "•")
    word = about if sign is not None else f"{_WORDS.get(state, state.label)} · {about}"
    rest = "".join(f" · {escape(_cut(one))}" for one in facts)
    return (
        f'<div><span style="color:{colour};font-weight:700">{mark}</span> '
        f'<b style="font-weight:600;overflow-wrap:anywhere">{escape(_cut(name))}</b> '
        f'<span style="opacity:.75">{escape(word)}{rest}</span></div>'
    )


def _line(text: str, colour: str = "", *, quiet: bool = False) -> str:
    """A line of what somebody else wrote, in letters of one width."""
    bar = f"border-left:3px solid {colour};padding-left:8px;" if colour else ""
    dim = "opacity:.65;" if quiet else ""
    return (
        f'<div style="{bar}{dim}margin-top:3px;font-family:monospace;font-size:12px;'
        f'white-space:pre-wrap;overflow-wrap:anywhere">{escape(text)}</div>'
    )


def _bar(counts: Mapping[TaskState, int], total: int) -> str:
    parts = "".join(
        f'<span title="{counts[one]} {one.label}" style="flex:{counts[one]} 0 2px;'
        f'background:{_COLOURS[one]}"></span>'
        for one in _ORDER
        if total and counts.get(one)
    )
    return (
        '<div style="display:flex;height:7px;border-radius:4px;overflow:hidden;margin:4px 0;'
        f'background:rgba(128,128,128,.2)">{parts}</div>'
    )


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
