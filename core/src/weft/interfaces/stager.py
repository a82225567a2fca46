"""A stager brings files to where tasks run, and brings back what they made."""

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import attrs

from weft.interfaces.context import Context
from weft.values.files import File

__all__ = [
    "CAPABILITIES",
    "VERSION",
    "Place",
    "Spot",
    "Stager",
    "StagerContext",
    "Transfer",
    "Way",
]

VERSION: Final = "1.2"

CAPABILITIES: Final[Mapping[str, str]] = {
    "in": "brings files to tasks",
    "out": "brings back what tasks made",
    "anywhere": "needs nothing of the client, so that the machine of a task can fetch and "
    "send for itself",
    "third-party": "has the two sides move a file between themselves, without its bytes coming by",
    "batch": "moves many files by `move_all` for less than one after another",
    "validator": "tells by `validator` whether a file is still the same, so that copies are kept",
    "progress": "says how far a transfer is, and gives up one that nobody waits for",
    "resume": "goes on where a transfer that was interrupted had come to",
    "folders": "moves a folder and all that is in it, if its URL ends with a slash",
}
"""Names that the ``capabilities`` of a stager's declaration may use, and what each promises."""


class Way(enum.StrEnum):
    """Which way a file goes."""

    IN = "in"
    OUT = "out"


class Spot(enum.StrEnum):
    """The kinds of places, from the script to the task."""

    CLIENT = "client"
    """The machine of the script."""
    SITE = "site"
    """What all machines of an executor see, such as the file system of a cluster."""
    WORKER = "worker"
    """What only the machine of the task sees."""


@attrs.frozen(kw_only=True)
class Place:
    """Where a task will run, as far as files are concerned.

    Attributes:
        executor: the label of the executor.
        folder: where files for it are put, on the machine on which ``move`` is called or on one
            that shares the folder; it exists.
        shared: whether paths of this machine mean the same there.
        spot: what kind of place it is.
        site: the name of the site; what is at one place of a site is at all others with its name.
            Empty for the site of the script.
        urls: the URL by which others reach ``folder``, for each scheme that does, without a slash
            at the end: ``{"globus": "globus://COLLECTION/scratch/weft"}``.
    """

    executor: str
    folder: Path
    shared: bool = True
    spot: Spot = Spot.SITE
    site: str = ""
    urls: Mapping[str, str] = attrs.field(factory=dict)


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


class StagerContext(Context, Protocol):
    """What a stager gets besides what every component gets."""

    def progress(self, transfer: Transfer, done: int, total: int | None = None) -> None:
        """Say how far a transfer is: as often as is convenient, such as for each piece.

        From any thread; cheap, since only some of what is said is passed on.

        Args:
            transfer: as it was given to ``move``.
            done: bytes that have been moved, those of earlier tries that were not lost included.
            total: bytes in all, if that is known.

        Raises:
            StagingError: nobody waits for it any more. To be let through, after cleaning up.
        """
        ...


class Stager(ABC):
    """Moves files of the URL schemes that its declaration names.

    *Life.* ``start``, then ``plan`` and ``move`` from any thread, several at once, then ``close``,
    which may be called twice.

    *Promises.* ``plan`` is quick and touches nothing. A file is never seen half-written under its
    final name. Moving the same file twice gives the same file; one that changed is moved as it is
    now. A ``move`` that fails raises and leaves nothing half-done. No URL, and nothing that a task
    left, leads out of the folder of the place. No ``move`` waits without end for another side that
    is silent. Whether to try again is not the stager's to decide: it says by ``StagingError.again``
    whether that may help, and who called it does so.

    *Folders.* A file whose URL ends with a slash is a folder (``File.is_folder``). Only a stager
    that declares ``folders`` gets such ones. Links that lead out of a folder are refused, or what
    they lead to is put in their place.

    *Elsewhere.* A stager that declares ``anywhere`` is also made, from the same settings, in the
    processes that run tasks, and moves there what was planned here: the ``folder`` of the place is
    one of that machine then, and ``File.local_path`` a path of it.
    """

    @abstractmethod
    def start(self, context: StagerContext) -> None:
        """Make ready."""

    @abstractmethod
    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """Decide where the file will be for the task. Touches nothing."""

    @abstractmethod
    def move(self, transfer: Transfer) -> None:
        """Do what was planned; returns when the file is there. May block.

        A file that needs no moving is only looked for.

        Raises:
            StagingError: it could not be done; the message says what the other side said, and
                ``again`` whether another try may help.
        """

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        """Do several at once; what ``move`` raises is returned, in their order. May block."""
        outcomes: list[Exception | None] = []
        for transfer in transfers:
            try:
                self.move(transfer)
            except Exception as error:  # noqa: BLE001 - it is handed on, and the others are moved
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes

    def validator(self, file: File) -> str | None:
        """A short text that is another one whenever the content of a file is. May block.

        Such as a checksum, an entity tag, or the time of its last change with its size. A copy that
        was made while it said the same is as good as a new one.

        Returns:
            The text, or ``None`` if that cannot be known without moving the file.

        Raises:
            StagingError: as ``move``.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """End what is open."""
