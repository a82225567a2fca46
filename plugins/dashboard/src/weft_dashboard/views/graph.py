"""The graph of a run: apps, and the tasks of those that are unfolded. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from weft.eventlog.story import AppStory, RunStory, TaskStory
from weft.values.states import FINAL, TaskState
from weft.values.task import TaskId
from weft_dashboard.book import Book
from weft_dashboard.layout import placed
from weft_dashboard.views.overview import counts_of

__all__ = ["graph"]

_OF_AN_APP: Final = 1_500
_IN_ALL: Final = 4_000
_APPS: Final = 400
_ORDER: Final = {TaskState.FAILED: 0, TaskState.CANCELLED: 1, TaskState.DONE: 3}


def graph(book: Book, asked: Mapping[str, str]) -> dict[str, Any]:
    """Nodes with their places, and edges with how many needs they stand for.

    What may be asked for: ``open``, the numbers of the apps that are unfolded, with commas between
    them; an app has the number by which it was called first. Of an app with very many tasks, the
    failed ones and those at work are shown, and one node stands for the rest.
    """
    story = book.story
    apps = list(story.apps.values())[:_APPS]
    opened = _opened(asked.get("open", ""), len(apps))
    names = {app.name: f"a{number}" for number, app in enumerate(apps)}
    visible = _visible(story, {apps[number].name for number in opened})
    nodes: dict[str, dict[str, Any]] = {}
    seen: dict[str, int] = {}
    for tasks in visible.values():
        for one in tasks:
            seen[one.app] = seen.get(one.app, 0) + 1
    for number, app in enumerate(apps):
        if app.name not in visible:
            nodes[names[app.name]] = _app_node(number, app, app.tasks)
            continue
        for one in visible[app.name]:
            nodes[f"t{one.id}"] = _task_node(number, one)
        rest = app.tasks - seen.get(app.name, 0)
        if rest:
            nodes[names[app.name]] = _app_node(number, app, rest) | {"rest": True}
    edges = _edges(book, names, visible, nodes)
    for name, (column, row) in placed(nodes, edges).items():
        nodes[name]["x"], nodes[name]["y"] = column, row
    return {
        "nodes": nodes,
        "edges": {f"{a} {b}": number for (a, b), number in edges.items()},
        "apps": {app.name: {"number": number, "tasks": app.tasks, "counts": counts_of(app.counts)}
                 for number, app in enumerate(apps)},
        "apps_in_all": len(story.apps),
        "open": sorted(opened),
    }  # fmt: skip


def _opened(text: str, apps: int) -> set[int]:
    found = set()
    for part in text.split(",") if text else ():
        if not (part.isascii() and part.isdecimal() and len(part) < 6):
            raise ValueError(f"open has to be numbers of apps with commas, and is {text[:40]!r}.")
        if int(part) < apps:
            found.add(int(part))
    return found


def _visible(story: RunStory, opened: set[str]) -> dict[str, list[TaskStory]]:
    """The tasks that are shown, of each app that is unfolded."""
    found: dict[str, list[TaskStory]] = {name: [] for name in opened}
    if not opened:
        return found
    for one in story.tasks.values():
        if one.app in opened:
            found[one.app].append(one)
    share = min(_OF_AN_APP, _IN_ALL // len(opened))
    for name, tasks in found.items():
        if len(tasks) > share:
            tasks.sort(key=lambda one: (_ORDER.get(one.state, 2), one.id))
            found[name] = sorted(tasks[:share], key=lambda one: one.id)
    return found


def _app_node(number: int, app: AppStory, tasks: int) -> dict[str, Any]:
    return {"app": app.name, "number": number, "tasks": tasks, "counts": counts_of(app.counts)}


def _task_node(number: int, one: TaskStory) -> dict[str, Any]:
    data: dict[str, Any] = {
        "task": one.id,
        "app": one.app,
        "number": number,
        "state": one.state.label,
    }
    if one.state is TaskState.FAILED and one.attempt == 0 and one.needs:
        data["dead"] = True
    elif one.lost_tries and one.state not in FINAL:
        data["retried"] = True
    return data


def _edges(
    book: Book,
    names: Mapping[str, str],
    visible: Mapping[str, list[TaskStory]],
    nodes: Mapping[str, Any],
) -> dict[tuple[str, str], int]:
    """Edges between what is shown: those of shown tasks one by one, the others by their apps."""
    found: dict[tuple[str, str], int] = {}
    counted: dict[tuple[str, str], int] = {}  # by the names of apps: those that shown tasks have
    for before, after in _needs_of(book, visible):
        key = (_node(before, names, nodes), _node(after, names, nodes))
        if key[0] in nodes and key[1] in nodes:
            found[key] = found.get(key, 0) + 1
        apps = (before.app, after.app)
        counted[apps] = counted.get(apps, 0) + 1
    for apps, number in book.annals.edges.items():
        rest = number - counted.get(apps, 0)
        pair = (names.get(apps[0], ""), names.get(apps[1], ""))
        if rest > 0 and pair[0] in nodes and pair[1] in nodes:
            found[pair] = found.get(pair, 0) + rest
    return found


def _needs_of(
    book: Book, visible: Mapping[str, list[TaskStory]]
) -> Iterator[tuple[TaskStory, TaskStory]]:
    """Each need that a shown task has, or is: what is needed, and what needs it; each once."""
    tasks = book.story.tasks
    shown: set[TaskId] = {one.id for some in visible.values() for one in some}
    for some in visible.values():
        for one in some:
            for number in one.needs:
                before = tasks.get(number)
                if before is not None:
                    yield before, one
            for number in book.annals.needed_by.get(one.id, ()):
                if number not in shown:
                    yield one, tasks[number]


def _node(one: TaskStory, names: Mapping[str, str], nodes: Mapping[str, Any]) -> str:
    own = f"t{one.id}"
    return own if own in nodes else names.get(one.app, "")
