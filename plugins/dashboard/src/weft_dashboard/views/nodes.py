"""The machines of a run: what they have, and what tasks did there. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from weft_dashboard.book import Book
from weft_dashboard.views.overview import rows_of

__all__ = ["nodes"]

_SHOWN: Final = 200
_AT_WORK: Final = frozenset({"working", "draining", "away"})


def nodes(book: Book, _asked: Mapping[str, str]) -> dict[str, Any]:
    """Each node: managers and workers there, tries, and what those took of its time and memory."""
    story, annals = book.story, book.annals
    found: dict[str, dict[str, Any]] = {}
    for manager in story.managers.values():
        node = found.setdefault(manager.host, _empty())
        node["managers"][f"{manager.executor} {manager.manager}"] = {
            "executor": manager.executor,
            "block": manager.block,
            "state": manager.state,
            "workers": manager.workers,
            "pid": manager.pid,
            "python": manager.python,
            "reason": manager.reason,
        }
        if manager.state in _AT_WORK:
            node["workers"] += manager.workers
    for name, use in annals.nodes.items():
        node = found.setdefault(name, _empty())
        node["tries"], node["failed"], node["ran"] = use.tries, use.failed, use.seconds
        node["seen"] = len(use.workers)
        node["busy"] = rows_of(use.busy)
        if use.sampled:
            node["processor"], node["peak"] = use.processor, use.peak
            node["memory"] = rows_of(use.memory)
    chosen = sorted(found.items(), key=lambda one: (-one[1]["ran"], one[0]))[:_SHOWN]
    return {"nodes": dict(chosen), "nodes_in_all": len(found), "time": rows_of(annals.time)}


def _empty() -> dict[str, Any]:
    return {"managers": {}, "workers": 0, "seen": 0, "tries": 0, "failed": 0, "ran": 0.0}
