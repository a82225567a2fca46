"""What weft hands to a component when it starts it."""

from pathlib import Path
from typing import Protocol

from weft.values.events import Event
from weft.values.plugin import Kind
from weft.values.settings import Settings

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

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        """A component that this one is made of, such as the provider of an executor; not started.

        Args:
            kind: what it is.
            settings: what describes it, as it stands in this component's own settings.
            default: the name of the one to take, with its own defaults, where ``settings`` is
                ``None``.

        Raises:
            ConfigurationError: it cannot be had; the message says why.
        """
        ...
