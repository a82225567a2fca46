"""What a widget shows of a run: plain data, bounded, made of its story. Pure.

However many tasks there are, a picture is a few kilobytes: apps, executors and failures beyond a
number are counted, and texts are cut.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from weft.eventlog.runs import RunState
from weft.eventlog.story import AppStory, RunStory, TaskStory
from weft.values.states import FINAL, TaskState

__all__ = ["Edges", "Failures", "Pace", "picture_of"]

APPS: Final = 40
"""Apps that are shown, in the order of their first calls; of more, the rest are counted."""
FAILED_OF_AN_APP: Final = 20
FAILED: Final = 200
"""Failed tasks of one app, and of all apps, that are shown one by one."""
EXECUTORS: Final = 12
TEXT: Final = 300
"""Letters of a text that somebody else wrote."""
WINDOW: Final = 30.0
"""Seconds over which the pace of a run is taken."""


class Edges:
    """Who waits for whom, app by app: how many needs each edge stands for.

    Folded from a story again and again; each time only the tasks that are new are looked at.
    """

    def __init__(self) -> None:
        self.needs: Counter[tuple[str, str]] = Counter()
        self._seen = 0

    def fold(self, story: RunStory) -> Edges:
        """Take in the tasks that have come since. Returns itself."""
        tasks = story.tasks
        for task in islice(tasks.values(), self._seen, None):
            for number in task.needs:
                need = tasks.get(number)
                if need is not None:
                    self.needs[need.app, task.app] += 1
        self._seen = len(tasks)
        return self


class Failures:
    """The failed tasks of each app, the first ones, with what caused them.

    Folded from a story again and again; tasks are looked at only when more have failed.

    Attributes:
        shown: of each app, its first failed tasks.
        dead: of each app, how many failed because of another task.
    """

    def __init__(self) -> None:
        self.shown: dict[str, list[dict[str, Any]]] = {}
        self.dead: Counter[str] = Counter()
        self._known = 0

    def fold(self, story: RunStory) -> Failures:
        """Take in the tasks that have failed since. Returns itself."""
        failed = story.counts[TaskState.FAILED]
        if failed == self._known:
            return self
        self._known = failed
        self.shown, self.dead = {}, Counter()
        left = FAILED
        for task in story.tasks.values():
            if task.state is not TaskState.FAILED:
                continue
            if _is_dead(task):
                self.dead[task.app] += 1
            some = self.shown.setdefault(task.app, [])
            if left and len(some) < FAILED_OF_AN_APP:
                some.append(_failed(story, task))
                left -= 1
        return self


class Pace:
    """How many tasks end in a second, of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, time: float, ended: int) -> None:
        """So many had ended by then; times do not go back."""
        if self._seen and time <= self._seen[-1][0]:
            return
        self._seen.append((time, ended))
        while len(self._seen) > 2 and self._seen[1][0] <= time - WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Tasks per second; 0.0 while that cannot be said."""
        if len(self._seen) < 2:
            return 0.0
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return max(0, after - before) / (last - first)


def picture_of(
    story: RunStory,
    state: RunState,
    *,
    now: float,
    folder: str,
    edges: Edges,
    failures: Failures,
    pace: Pace,
) -> dict[str, Any]:
    """What a widget shows of a run: what JSON knows, and nothing of it without a bound.

    Args:
        story: of the run.
        state: how the run is.
        now: the time, in seconds since the epoch.
        folder: its folder.
        edges: folded from the story.
        failures: folded from it as well.
        pace: of the tasks that have ended.
    """
    apps = list(story.apps.values())[:APPS]
    numbers = {app.name: number for number, app in enumerate(apps)}
    links = [
        (numbers[a], numbers[b], count)
        for (a, b), count in edges.needs.items()
        if a in numbers and b in numbers
    ]
    levels = _levels(len(apps), [(a, b) for a, b, _ in links])
    ended = sum(story.counts[one] for one in FINAL)
    running = state == "running"
    seconds = max(story.seconds, now - story.first) if running else story.seconds
    rate = pace.rate if running or seconds <= 0 else ended / seconds
    return {
        "program": _cut(story.started.program if story.started else "") or "run",
        "folder": _cut(folder),
        "state": state,
        "seconds": seconds,
        "counts": _counts(story.counts),
        "rate": rate,
        "left": story.unfinished / rate if rate and running else None,
        "apps": [_app(app, failures, level) for app, level in zip(apps, levels, strict=True)],
        "more_apps": len(story.apps) - len(apps),
        "edges": [list(link) for link in links],
        "executors": _executors(story),
        "last": _failed(story, story.last_failed) if story.last_failed else None,
    }


def _app(app: AppStory, failures: Failures, level: int) -> dict[str, Any]:
    return {
        "name": _cut(app.name),
        "counts": _counts(app.counts),
        "tasks": app.tasks,
        "dead": failures.dead[app.name],
        "memory": app.from_memory,
        "level": level,
        "failed": failures.shown.get(app.name, []),
    }


def _counts(counts: Mapping[TaskState, int]) -> dict[str, int]:
    return {state.label: number for state, number in counts.items() if number}


def _is_dead(task: TaskStory) -> bool:
    """Whether a failed task was never tried, because of one that it needs."""
    return task.attempt == 0 and bool(task.needs)


def _failed(story: RunStory, task: TaskStory) -> dict[str, Any]:
    root = story.root_of(task)
    said: dict[str, Any] = {
        "task": task.id,
        "app": _cut(task.app),
        "error": _cut(task.error),
        "tries": task.attempt,
        "place": _cut(task.place or task.executor),
    }
    if root is not task:
        said["root"] = {
            "task": root.id,
            "app": _cut(root.app),
            "error": _cut(root.error),
            "place": _cut(root.place or root.executor),
        }
    return said


def _executors(story: RunStory) -> list[dict[str, Any]]:
    """What each executor has: told workers where its managers tell of them, and blocks by state."""
    launched = Counter(task.executor for task in story.launched.values())
    found = []
    for label, executor in islice(story.executors.items(), EXECUTORS):
        managers = [one for (of, _), one in story.managers.items() if of == label]
        there = [one for one in managers if one.state not in ("ended", "lost")]
        blocks = Counter(str(one.state) for (of, _), one in story.blocks.items() if of == label)
        found.append(
            {
                "label": _cut(label),
                "plugin": _cut(executor.plugin),
                "launched": launched[label],
                "workers": sum(one.workers for one in there) if managers else None,
                "blocks": dict(blocks),
                "stopped": executor.stopped is not None,
            }
        )
    return found


def _levels(number: int, links: list[tuple[int, int]]) -> list[int]:
    """The column of each app: one beyond the last of those that it needs.

    Apps come in the order of their first calls, and a task is called after what it needs, so an
    edge to an app that came before is one of a cycle, and moves nothing.
    """
    levels = [0] * number
    before: dict[int, list[int]] = {}
    for a, b in links:
        if a < b:
            before.setdefault(b, []).append(a)
    for b in range(number):
        levels[b] = max((levels[a] + 1 for a in before.get(b, ())), default=0)
    return levels


def _cut(text: str) -> str:
    return text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"
