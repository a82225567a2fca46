"""A stager brings files to where tasks run, and brings back what they made."""

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from weft.interfaces.context import Context
from weft.values.files import File

__all__ = ["CAPABILITIES", "VERSION", "Place", "Stager", "Transfer", "Way"]

VERSION: Final = "1.0"

CAPABILITIES: Final[Mapping[str, str]] = {
    "in": "brings files to tasks",
    "out": "brings back what tasks made",
}
"""Names that the ``capabilities`` of a stager's declaration may use, and what each promises."""


class Way(enum.StrEnum):
    """Which way a file goes."""

    IN = "in"
    OUT = "out"


@attrs.frozen(kw_only=True)
class Place:
    """Where a task will run, as far as files are concerned.

    Attributes:
        executor: the label of the executor.
        folder: where files for it are put, on this machine or on one that shares the folder; it
            exists.
        shared: whether paths of this machine mean the same there.
    """

    executor: str
    folder: Path
    shared: bool = True


@attrs.frozen(kw_only=True)
class Transfer:
    """One file to be moved: what ``plan`` decided and ``move`` does.

    Attributes:
        way: in or out.
        file: the file as the user named it.
        placed: the file as the task will know it; its ``local_path`` is where it is put, or found.
        place: where the task runs.
    """

    way: Way
    file: File
    placed: File
    place: Place


class Stager(ABC):
    """Moves files of the URL schemes that its declaration names.

    *Life.* ``start``, then ``plan`` and ``move`` from any thread, several at once, then ``close``,
    which may be called twice.

    *Promises.* ``plan`` is quick and touches nothing. A file is never seen half-written under its
    final name. Moving the same file twice gives the same file; one that changed is moved as it is
    now. A ``move`` that fails raises and leaves nothing half-done. No URL, and nothing that a task
    left, leads out of the folder of the place.
    """

    @abstractmethod
    def start(self, context: Context) -> None:
        """Make ready."""

    @abstractmethod
    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """Decide where the file will be for the task. Touches nothing."""

    @abstractmethod
    def move(self, transfer: Transfer) -> None:
        """Do what was planned; returns when the file is there. May block.

        A file that needs no moving is only looked for.

        Raises:
            StagingError: it could not be done; the message says what the other side said.
        """

    @abstractmethod
    def close(self) -> None:
        """End what is open."""
