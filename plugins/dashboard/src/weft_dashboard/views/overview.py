"""What a run is and how far it is. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from weft.eventlog.story import RunStory, Split
from weft.values.states import FINAL, TaskState
from weft_dashboard.annals import Bins
from weft_dashboard.book import Book

__all__ = ["about", "counts_of", "overview", "pace", "rows_of", "split_of"]

_CAUSES: Final = 20
_NOTICES: Final = 30
_BLOCKS: Final = 200
_RECENT: Final = 30.0
"""Seconds over which the pace of a run is measured, at least."""


def about(book: Book) -> dict[str, Any]:
    """What every page says of a run."""
    story = book.story
    data: dict[str, Any] = {
        "name": book.name,
        "folder": str(book.folder),
        "state": book.state,
        "whole": book.whole,
        "share": 1.0 if book.whole else round(book.share, 3),
        "started": story.started.time if story.started else story.first,
        "last": story.last,
        "counts": counts_of(story.counts),
    }
    if story.started is not None:
        begun = story.started
        data |= {
            "id": begun.run_id,
            "program": begun.program,
            "weft": begun.weft_version,
            "host": begun.host,
            "user": begun.user,
            "pid": begun.pid,
            "python": begun.python,
            "command": list(begun.command),
            "cwd": begun.cwd,
        }
    if story.ended is not None and story.ended.lost_events:
        data["lost"] = story.ended.lost_events
    if book.missing or book.skipped:
        data["damage"] = {"chunks": book.missing, "bytes": book.skipped}
    return data


def overview(book: Book, _asked: Mapping[str, str]) -> dict[str, Any]:
    """How far a run is: in all, by app, over the time, by executor; what failed, and why."""
    story, annals = book.story, book.annals
    failed = story.counts[TaskState.FAILED]
    causes = book.remembered("causes", (failed, book.whole), story.causes)
    pieces = rows_of(annals.time)
    return {
        "apps": {
            app.name: {
                "tasks": app.tasks,
                "counts": counts_of(app.counts),
                "lost": app.lost_tries,
                "memory": app.from_memory,
                "longest": app.longest,
                **split_of(app.split),
            }
            for app in story.apps.values()
        },
        "split": split_of(story.split()),
        "pace": pace(story, annals.time) if book.state == "running" else {},
        "time": pieces,
        "executors": {
            one.label: {
                "plugin": one.plugin,
                "tries": one.launched,
                "stopped": one.stopped is not None,
            }
            for one in story.executors.values()
        },
        "blocks": {
            f"{block.executor} {block.block}": {
                "executor": block.executor,
                "block": block.block,
                "job": block.job,
                "state": str(block.state),
                "reason": block.reason,
                "managers": block.managers,
                "time": block.time,
                **({} if block.exit_code is None else {"exit": block.exit_code}),
            }
            for block in list(story.blocks.values())[-_BLOCKS:]
        },
        "managers": _managers(story),
        "causes": [
            {
                "app": cause.app,
                "error": cause.error,
                "count": cause.count,
                "task": cause.task,
                "example": cause.example,
                "others": cause.others,
            }
            for cause in causes[:_CAUSES]
        ],
        "causes_in_all": len(causes),
        "notices": [
            {"time": one.time, "level": one.level, "source": one.source, "text": one.text}
            for one in story.notices[-_NOTICES:]
        ],
        "notices_in_all": len(story.notices) + story.unkept,
        "files": {
            "moved": story.moved,
            "failed": story.unmoved,
            "seconds": story.moving,
            "bytes": story.moved_bytes,
            "unsized": story.unsized,
        },
    }


def counts_of(counts: Mapping[TaskState, int]) -> dict[str, int]:
    """How many tasks are in each state, of those states that there are."""
    return {state.label: number for state, number in counts.items() if number}


def split_of(split: Split) -> dict[str, float]:
    """Where the time of tasks went, in seconds."""
    return {
        "waited": split.waited,
        "staged": split.staged,
        "launched": split.launched,
        "joined": split.joined,
        "ran": split.ran,
    }


def rows_of(bins: Bins) -> dict[str, Any]:
    """Pieces of time: when the first begins, how wide they are, and what is in those not empty."""
    return {
        "start": bins.start,
        "width": bins.width,
        "pieces": len(next(iter(bins.rows.values()))),
        **{
            name: {str(index): round(number, 4) for index, number in enumerate(row) if number}
            for name, row in bins.rows.items()
        },
    }


def pace(story: RunStory, time: Bins) -> dict[str, float]:
    """How many tasks end in a second now, and in how many seconds those called so far will have.

    Measured over the pieces of the last half minute, or the last two of them.
    """
    pieces = max(2, round(_RECENT / time.width))
    ended = [sum(three) for three in zip(*(time.rows[name] for name in _ENDED), strict=True)]
    recent = ended[-pieces:]
    seconds = story.last - (time.start + (len(ended) - len(recent)) * time.width)
    if not recent or seconds <= 0:
        return {}
    rate = sum(recent) / seconds
    left = sum(number for state, number in story.counts.items() if state not in FINAL)
    return {"rate": rate, **({"left": left / rate} if rate and left else {})}


_ENDED: Final = ("done", "failed", "cancelled")


def _managers(story: RunStory) -> dict[str, Any]:
    """How many managers of each executor are in each state, and how many workers those have."""
    found: dict[str, dict[str, Any]] = {}
    for manager in story.managers.values():
        of = found.setdefault(manager.executor, {})
        state = of.setdefault(manager.state, {"managers": 0, "workers": 0})
        state["managers"] += 1
        state["workers"] += manager.workers
    return found
