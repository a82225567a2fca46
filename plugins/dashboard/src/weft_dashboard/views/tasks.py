"""The tasks of a run, and one of them. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from weft.eventlog.story import RunStory, TaskStory, TaskTold
from weft.values.states import FINAL, TaskState
from weft.values.task import TaskId
from weft_dashboard.annals import Annals, Move
from weft_dashboard.book import Book
from weft_dashboard.views.overview import split_of

__all__ = ["number_in", "task", "tasks"]

_ON_A_PAGE: Final = 100
_NEIGHBOURS: Final = 50
_DEAD: Final = 10_000

_ORDERS: Final[Mapping[str, Callable[[TaskStory], Any]]] = {
    "newest": lambda one: -one.id,
    "oldest": lambda one: one.id,
    "changed": lambda one: -one.since,
    "longest": lambda one: -one.split.total,
    "tries": lambda one: -one.lost_tries,
}
_BY_NUMBER: Final = {"newest": True, "oldest": False}
_CHOICES: Final = ("app", "state", "words")


def tasks(book: Book, asked: Mapping[str, str]) -> dict[str, Any]:
    """A page of the tasks.

    What may be asked for: ``app``; ``state``, by its label, or ``dead`` for what failed because of
    another task, or ``unfinished``; ``words``, which are sought in errors, places and names;
    ``order``, one of ``newest``, ``oldest``, ``changed``, ``longest`` and ``tries``; ``page``, from
    0.
    """
    order = asked.get("order", "newest")
    if order not in _ORDERS:
        raise ValueError(f"There is no order {order!r}: there are {', '.join(_ORDERS)}.")
    page = number_in(asked, "page", 0)
    story = book.story
    rows = slice(page * _ON_A_PAGE, (page + 1) * _ON_A_PAGE)
    if order in _BY_NUMBER and not any(asked.get(name) for name in _CHOICES):
        # All of them, of which only those of the page are looked at.
        numbers = sorted(story.tasks, reverse=_BY_NUMBER[order])
        found, shown = len(numbers), [story.tasks[number] for number in numbers[rows]]
    else:
        chosen = sorted(_chosen(story, asked), key=_ORDERS[order])
        found, shown = len(chosen), chosen[rows]
    return {
        "apps": sorted(story.apps),
        "found": found,
        "page": page,
        "pages": max(1, -(-found // _ON_A_PAGE)),
        "tasks": [_row(one) for one in shown],
    }


def _chosen(story: RunStory, asked: Mapping[str, str]) -> Iterator[TaskStory]:
    app, words = asked.get("app", ""), asked.get("words", "").lower()
    fits = _state(asked.get("state", ""))
    for one in story.tasks.values():
        if app and one.app != app:
            continue
        if fits is not None and not fits(one):
            continue
        if words and not any(words in text.lower() for text in (one.error, one.place, one.app)):
            continue
        yield one


def _state(label: str) -> Callable[[TaskStory], bool] | None:
    if not label:
        return None
    if label == "dead":
        return lambda one: one.state is TaskState.FAILED and one.attempt == 0 and bool(one.needs)
    if label == "unfinished":
        return lambda one: one.state not in FINAL
    try:
        state = TaskState[label.upper()]
    except KeyError:
        raise ValueError(f"There is no state {label!r} of tasks.") from None
    return lambda one: one.state is state


def _row(one: TaskStory) -> dict[str, Any]:
    return {
        "id": one.id,
        "app": one.app,
        "state": one.state.label,
        "submitted": one.submitted,
        "since": one.since,
        "attempt": one.attempt,
        "lost": one.lost_tries,
        "executor": one.executor,
        "place": one.place,
        "error": one.error,
        "memory": one.from_memory,
        "dead": one.state is TaskState.FAILED and one.attempt == 0 and bool(one.needs),
        **split_of(one.split),
    }


def number_in(asked: Mapping[str, str], name: str, otherwise: int | None = None) -> int:
    """A number that was asked for, not below 0.

    Raises:
        ValueError: it is none.
    """
    text = asked.get(name, "")
    if not text and otherwise is not None:
        return otherwise
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise ValueError(f"{name} has to be a number, such as 0, and is {text[:40]!r}.")
    return int(text)


# ---------------------------------------------------------------------------------------------- one


def task(book: Book, asked: Mapping[str, str]) -> dict[str, Any]:
    """A task, whose number is ``task``: its call, tries, times, neighbours, lines, samples."""
    number = number_in(asked, "task")
    story, annals = book.story, book.annals
    one = story.tasks.get(TaskId(number))
    if one is None:
        if book.whole and book.state != "running":
            raise ValueError(f"This run has no task {number}.")
        return {"task": {"id": number, "known": False}}
    moves = annals.moves(one.id)
    root = story.root_of(one) if one.state is TaskState.FAILED else one
    dependants = annals.needed_by.get(one.id, ())
    told = story.told.get(one.id)
    return {
        "task": {"known": True, **_row(one)},
        "moves": [{"time": move.time, "state": move.state.label} for move in moves],
        "tries": list(_tries(moves, annals, one)),
        "needs": [_neighbour(story, number) for number in one.needs[:_NEIGHBOURS]],
        "needs_in_all": len(one.needs),
        "needed_by": [_neighbour(story, number) for number in dependants[:_NEIGHBOURS]],
        "needed_by_in_all": len(dependants),
        "dead": _dead(story, annals, one),
        "root": _neighbour(story, root.id) if root is not one else {},
        **_call(one, told),
        "lines": [
            {
                "time": line.time,
                "attempt": line.attempt,
                "level": line.level,
                "logger": line.logger,
                "text": line.text,
                "dropped": line.dropped,
            }
            for line in (told.lines if told else ())
        ],
        "lines_unkept": told.unkept if told else 0,
        "samples": [
            {
                name: value
                for name in _SAMPLED
                if (value := getattr(sample, name)) is not None
            }
            for sample in (told.samples if told else ())
        ],
    }  # fmt: skip


def _call(one: TaskStory, told: TaskTold | None) -> dict[str, Any]:
    """How a task was called, what it returned, its files, and why its tries failed."""
    data: dict[str, Any] = {
        "inputs": list(one.inputs[:_NEIGHBOURS]),
        "inputs_in_all": len(one.inputs),
        "outputs": list(one.outputs[:_NEIGHBOURS]),
        "outputs_in_all": len(one.outputs),
        "tracebacks": [],
    }
    if told is not None:
        if told.arguments is not None:
            data["arguments"] = told.arguments
        if told.result is not None:
            data["result"] = told.result
        data["tracebacks"] = [
            {"attempt": attempt, "text": text}
            for attempt, text in sorted(told.tracebacks.items(), reverse=True)
        ]
    return data


_SAMPLED: Final = (
    "time", "attempt", "user", "system", "resident", "peak", "read", "written", "processes",
    "gpu_memory",
)  # fmt: skip


def _neighbour(story: RunStory, number: TaskId) -> dict[str, Any]:
    one = story.tasks.get(number)
    if one is None:
        return {"id": number, "app": "", "state": "unknown", "error": ""}
    return {"id": number, "app": one.app, "state": one.state.label, "error": one.error}


def _dead(story: RunStory, annals: Annals, one: TaskStory) -> int:
    """How many tasks failed because this one had; the count ends at a bound."""
    if one.state is not TaskState.FAILED:
        return 0
    count = 0
    for looked, number in enumerate(annals.dependants(one.id)):
        if looked >= _DEAD:
            break
        other = story.tasks[number]
        count += other.state is TaskState.FAILED and other.attempt == 0
    return count


def _tries(moves: list[Move], annals: Annals, one: TaskStory) -> Iterator[dict[str, Any]]:
    """Each try: where it was, and how its time splits up.

    Clocks of machines differ, so what a worker says is held within what the script has seen.
    """
    lost = {ended.attempt: ended for ended in annals.lost.get(one.id, ())}
    for move, after in zip(moves, [*moves[1:], None], strict=True):
        if move.state is not TaskState.LAUNCHED:
            continue
        data: dict[str, Any] = {
            "attempt": move.attempt,
            "executor": move.executor,
            "launched": move.time,
        }
        if after is not None:
            data |= {"ended": after.time, "place": after.place, "state": after.state.label}
            if after.seconds is not None:
                begun = min(max(after.begun or move.time, move.time), after.time)
                ran = min(max(after.seconds, 0.0), after.time - begun)
                data |= {
                    "before": begun - move.time,
                    "ran": ran,
                    "after": after.time - begun - ran,
                }
            if after.detail and after.state is TaskState.FAILED:
                data["error"] = after.detail
        end = lost.get(move.attempt)
        if end is not None:
            data |= {"error": end.error, "how": end.ended, "delay": end.delay}
        yield data
