"""What pages show, as plain data: each view is a function of a run and of what was asked for. Pure.

A view is an object of JSON without ``null``, so that merge patches can say what is new in it; what
grows is keyed by what it is, so that patches stay small.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from weft_dashboard.book import Book
from weft_dashboard.views.files import files
from weft_dashboard.views.graph import graph
from weft_dashboard.views.nodes import nodes
from weft_dashboard.views.overview import about, overview
from weft_dashboard.views.tasks import task, tasks

__all__ = ["VIEWS", "shown"]

VIEWS: Final[Mapping[str, Callable[[Book, Mapping[str, str]], dict[str, Any]]]] = {
    "overview": overview,
    "graph": graph,
    "tasks": tasks,
    "task": task,
    "nodes": nodes,
    "files": files,
}
"""By their names: what a run shows, given what was asked for.

They raise ``ValueError``, with a sentence for the one who asked, for what makes no sense.
"""


def shown(book: Book, view: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """A view of a run with what every page says of it.

    Raises:
        KeyError: there is no such view.
        ValueError: what was asked for makes no sense, or is not there.
    """
    return {"run": about(book), **VIEWS[view](book, asked)}
