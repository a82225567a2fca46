"""The widget: one traitlet that holds the picture of a run, and the page that draws it."""

from __future__ import annotations

import os
import threading
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Protocol

import anywidget
import traitlets

from weft.eventlog.reader import EventLogReader
from weft_jupyter.follower import Picture, follower

__all__ = ["RunWidget", "watch"]

_FIRST: Final = 2.0
"""Seconds that the first picture is waited for, so that it is there in a notebook that is saved."""
_HERE: Final = files("weft_jupyter")


class HasRunFolder(Protocol):
    """A session."""

    @property
    def run_folder(self) -> Path:
        """Where the run's files are."""
        ...


class RunWidget(anywidget.AnyWidget):
    """A run in a notebook, live while it goes on. Make it with :func:`watch`.

    Attributes:
        run_folder: of the run.
        picture: what is shown, as plain data; set while the run is followed.
    """

    _esm = (_HERE / "widget.js").read_text(encoding="utf-8")
    _css = (_HERE / "widget.css").read_text(encoding="utf-8")
    picture = traitlets.Dict().tag(sync=True)
    _followed = False

    def __init__(self, run_folder: Path) -> None:
        super().__init__()
        self.run_folder = run_folder
        self._drawn = threading.Event()
        self._followed = True
        follower.add(run_folder, self._show)
        self._drawn.wait(_FIRST)

    def _show(self, picture: Picture) -> None:
        self.picture = picture
        self._drawn.set()

    def close(self) -> None:
        """Follow the run no more, and take the widget out of the notebook."""
        # Once: garbage collection closes it again, in whatever thread, which may hold locks then.
        if self._followed:
            self._followed = False
            follower.drop(self.run_folder, self._show)
        super().close()

    def __repr__(self) -> str:
        shown: dict[str, Any] = self.picture
        return f"<RunWidget of {self.run_folder}: {shown.get('state', 'not read yet')}>"


def watch(run: HasRunFolder | str | os.PathLike[str]) -> RunWidget:
    """A widget that shows a run: progress, pace, workers, failures, and the graph of its apps.

    It reads the event log of the run, from a thread of its own, at most twice in a second, and
    sends something only when something has changed; the run is not slowed, and closing the session
    waits for no widget. A run that has ended, or was broken off, says so and is followed no more.

    Args:
        run: a session, or the folder of any run: one that goes on in another process, or one that
            has ended.

    Raises:
        EventLogError: there is no event log, or it cannot be read.
    """
    folder = run if isinstance(run, str | os.PathLike) else run.run_folder
    with EventLogReader(folder) as reader:  # what is no log is told here, not in the page
        return RunWidget(reader.path.parent.absolute())
