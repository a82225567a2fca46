"""Pure: from where to where a transfer goes, as paths of collections."""

import os
from pathlib import Path, PurePosixPath

import attrs

from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft_globus.settings import Globus
from weft_globus.urls import BadUrl, Position, below, position_of

__all__ = ["Leg", "leg_of", "named", "path_here"]


@attrs.frozen(kw_only=True)
class Leg:
    """What the service is asked for.

    Attributes:
        source: what is moved.
        target: where it is to be in the end.
        here: the file at the place of the tasks, if that is seen from this machine.
    """

    source: Position
    target: Position
    here: Path | None


def named(url: str, way: Way) -> Position:
    """The file that a URL names.

    Raises:
        StagingError: it names none.
    """
    try:
        return position_of(url)
    except BadUrl as bad:
        raise StagingError(url, way, bad.why, bad.todo) from None


def leg_of(transfer: Transfer, settings: Globus) -> Leg:
    """From where to where.

    Raises:
        StagingError: the URL is no good, or no collection has the place of the tasks.
    """
    there = named(transfer.file.url, transfer.way)
    base = transfer.place.urls.get("globus")
    if base:
        placed, here = _at_site(transfer, base), None
    else:
        here = Path(os.path.abspath(transfer.placed.filepath))  # noqa: PTH100 - '..' undone
        placed = _at_home(transfer, here, settings)
    source, target = (there, placed) if transfer.way is Way.IN else (placed, there)
    return Leg(source=source, target=target, here=here)


def path_here(path: str, settings: Globus) -> Path | None:
    """The path on this machine of a path of the local collection; ``None`` if it is elsewhere."""
    inner = below(path, settings.collection_path or settings.local_path)
    return None if inner is None else Path(settings.local_path, inner)


def _at_site(transfer: Transfer, base: str) -> Position:
    """Where the site's own collection has the placed file."""
    place = transfer.place
    inner = below(transfer.placed.filepath, os.fspath(place.folder))
    try:
        root = position_of(base.rstrip("/"))
    except BadUrl as bad:
        raise StagingError(
            transfer.file.url,
            transfer.way,
            f"The site of the executor {place.executor!r} has the URL {base!r} for globus. "
            f"{bad.why}",
            bad.todo,
        ) from None
    if inner is None:
        raise _outside(transfer)
    return root.joined(inner)


def _at_home(transfer: Transfer, here: Path, settings: Globus) -> Position:
    """Where the local collection has the placed file."""
    if not settings.local_collection:
        raise StagingError(
            transfer.file.url,
            transfer.way,
            f"No collection of Globus is known that has {_folder(transfer.place)!r}, the folder of "
            f"the tasks of the executor {transfer.place.executor!r}.",
            "Give the site of the executor its URL, urls={'globus': 'globus://ID/folder'}; or, "
            "where this machine has a collection (Globus Connect Personal makes one), name it: "
            "weft.stager('globus', local_collection='ID').",
        )
    if below(os.fspath(here), os.path.abspath(transfer.place.folder)) is None:  # noqa: PTH100
        raise _outside(transfer)
    inner = below(os.fspath(here), settings.local_path)
    if inner is None:
        # The folder may be named through a link.
        real = here.parent.resolve() / here.name
        inner = below(os.fspath(real), os.fspath(Path(settings.local_path).resolve()))
    if inner is None:
        raise StagingError(
            transfer.file.url,
            transfer.way,
            f"{str(here)!r} is not in {settings.local_path!r}, the folder that the collection "
            f"{settings.local_collection} has of this machine.",
            "Have the run folder in it (Config(run_dir=…)), or name a folder in the option "
            "local_path that holds it.",
        )
    root = PurePosixPath(settings.collection_path or settings.local_path)
    return Position(settings.local_collection.lower(), os.fspath(root / inner))


def _outside(transfer: Transfer) -> StagingError:
    return StagingError(
        transfer.file.url,
        transfer.way,
        f"{transfer.placed.filepath!r} is outside of {_folder(transfer.place)!r}, the folder of "
        "the tasks.",
    )


def _folder(place: Place) -> str:
    return os.fspath(place.folder)
