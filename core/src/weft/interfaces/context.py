"""What weft hands to a component when it starts it."""

from pathlib import Path
from typing import Protocol

from weft.values.events import Event

__all__ = ["Context"]


class Context(Protocol):
    """The part of a run that every component may see.

    Attributes:
        run_id: unique for this run.
        folder: a folder in the run folder for this component alone; it exists and only its owner
            can read it.
        program: the script that runs, for people.
    """

    @property
    def run_id(self) -> str:
        """Unique for this run."""
        ...

    @property
    def folder(self) -> Path:
        """A folder for this component alone."""
        ...

    @property
    def program(self) -> str:
        """The script that runs, for people."""
        ...

    def tell(self, event: Event) -> None:
        """Tell the monitors. Never blocks, never raises; from any thread."""
        ...

    def notice(self, level: str, text: str) -> None:
        """Tell the person who watches the run. From any thread.

        Args:
            level: ``info``, ``warning`` or ``error``.
            text: what to tell.
        """
        ...
