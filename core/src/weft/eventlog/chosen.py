"""Which failed tasks of a run somebody means, in words for ``weft run --only``. Pure.

    --only fit        ──▶ fit         an app of the run with tasks that did not end well
    --only 17,23      ──▶ call:9f…    what these failed tasks are called in every run
    either            ──▶ was:3c…:fit what functions that failed were, for what they returned

What is needed for a task to have a name in every run is told with its failure (``CallFailed``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

from weft.errors import CannotRetry
from weft.eventlog.story import AppStory, RunStory, TaskStory
from weft.eventlog.text import harmless, tasks_in_words
from weft.values.choice import CALL, WAS
from weft.values.states import TaskState
from weft.values.task import TaskId

__all__ = ["chosen", "in_words"]


def chosen(story: RunStory, words: Iterable[str]) -> list[str]:
    """The words for ``weft run --only``: apps by their names, tasks by the names of their calls.

    With them are the functions of apps that failed, as they were: by those, results of their other
    calls are found although it was mended.

    Args:
        story: of the run.
        words: names of apps and numbers of tasks, with commas between them.

    Raises:
        CannotRetry: what a word means is not there, or cannot be chosen.
    """
    parts = [part.strip() for word in words for part in word.split(",")]
    numbers = [TaskId(int(part)) for part in parts if _is_number(part)]
    names = [part for part in parts if not _is_number(part)]
    calls = [_call_of(story, number) for number in numbers]
    apps = [_app_of(story, name) for name in names]
    roots = {root.app for root in (story.root_of(story.tasks[one]) for one in numbers)}
    for app in apps:
        _would_run(story, app, roots | set(names))
    if not parts:
        return []
    former = [f"{WAS}{one.function}:{one.app}" for one in story.calls.values() if one.function]
    return list(dict.fromkeys([*(app.name for app in apps), *calls, *former]))


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= 18


def _refuse(what: str, why: str, todo: str) -> NoReturn:
    raise CannotRetry(f"{what} cannot be chosen.", why=why, todo=todo)


# ------------------------------------------------------------------------------------ by a number


def _call_of(story: RunStory, number: TaskId) -> str:
    task = story.tasks.get(number)
    if task is None:
        _refuse(
            f"Task {number}",
            "The run has none of this number.",
            "'weft runs show' says which tasks failed, and their numbers.",
        )
    what, app = f"Task {number}, of {harmless(task.app, 80)},", harmless(task.app, 80)
    by_name = f"Choose all of its app that did not end well, by its name: --only {app}."
    if task.state is TaskState.DONE:
        _refuse(what, "It ended well: its result is used again.", _failed_ones(story))
    if task.state is not TaskState.FAILED:
        how = "was cancelled" if task.state is TaskState.CANCELLED else "did not come to its end"
        _refuse(what, f"It {how}, and only failures tell what they are in other runs.", by_name)
    root = story.root_of(task)
    if root is not task:
        _refuse(
            what,
            f"It failed because of {harmless(root.app, 80)} (task {root.id}), and what it is "
            "called with was not known.",
            f"Choose that one, --only {root.id}: what needs its result follows.",
        )
    told = story.calls.get(number)
    if told is None:
        _refuse(
            what,
            "Its failure tells nothing by which it is found in another run: its app has no "
            "cache=True, its arguments cannot be told from others, or the log was written by an "
            "older version of weft.",
            by_name,
        )
    return f"{CALL}{told.call}"


def _failed_ones(story: RunStory) -> str:
    failed = [one for one in story.tasks.values() if one.state is TaskState.FAILED]
    some = ", ".join(str(one.id) for one in failed if story.root_of(one) is one)
    if len(some) > 60:
        some = f"{some[:60].rpartition(',')[0]}, ..."
    return f"These failed by themselves: {some}." if some else "No task failed by itself."


# ---------------------------------------------------------------------------------------- by an app


def _app_of(story: RunStory, name: str) -> AppStory:
    app = story.apps.get(name)
    if app is None:
        near = difflib.get_close_matches(name, story.apps, 1)
        known = ", ".join(harmless(one, 40) for one in list(story.apps)[:8])
        more = ", ..." if len(story.apps) > 8 else ""
        _refuse(
            f"{harmless(name, 80)!r}",
            f"The run has no app of this name: it has {known or 'none'}{more}.",
            f"Did you mean {near[0]!r}?" if near else "Name one of these, or numbers of tasks.",
        )
    if app.counts[TaskState.DONE] == app.tasks:
        _refuse(
            f"The app {harmless(name, 80)!r}",
            f"All its tasks ended well: it had {tasks_in_words(app.counts)}.",
            "Leave it away: its results are used again.",
        )
    return app


def _would_run(story: RunStory, app: AppStory, chosen: set[str]) -> None:
    """See that something of an app would be executed: not all of it waits for what is left out."""
    roots = list(_roots(story, app))
    if None in roots or any(root.app in chosen for root in roots if root is not None):
        return
    first = next(root for root in roots if root is not None)
    _refuse(
        f"The app {harmless(app.name, 80)!r}",
        f"What failed of it did so because of others, such as {harmless(first.app, 80)} "
        f"(task {first.id}), and those would be left out.",
        f"Choose what failed by itself, such as --only {harmless(first.app, 80)}: what needs its "
        "results follows.",
    )


def _roots(story: RunStory, app: AppStory) -> Iterator[TaskStory | None]:
    """Why tasks of an app did not end well; ``None`` for one that did not fail."""
    for task in story.tasks.values():
        if task.app == app.name and task.state is not TaskState.DONE:
            yield story.root_of(task) if task.state is TaskState.FAILED else None


def in_words(words: Sequence[str]) -> str:
    """What is executed, for people: ``of fit; 2 tasks by their numbers``."""
    calls = sum(word.startswith(CALL) for word in words)
    apps = [harmless(word, 80) for word in words if not word.startswith((CALL, WAS))]
    parts = [f"the app{'s' if len(apps) > 1 else ''} {', '.join(apps)}"] if apps else []
    if calls:
        parts.append(f"{calls} task{'s' if calls > 1 else ''} by number")
    return " and ".join(parts)
