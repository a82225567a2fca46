"""Local files: used where they are, or copied to where tasks run.

No thread of its own; ``plan`` and ``move`` are called from any, several at once. They share nothing
but the settings.

    shared place       look that the file is there, or that it was made
    any other place    in    file ──copy──▶ folder/.part ──rename──▶ folder/name
                       out   folder/name ──copy──▶ .part ──rename──▶ file
"""

import difflib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from weft.builtin.settings import Files
from weft.data.names import name_for
from weft.data.trees import put, removed
from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File

__all__ = ["FileStager", "build"]

_HERE: Final = ("", "localhost")
_LOOKED_AT: Final = 10_000


def build(settings: Files) -> "FileStager":
    """The file stager with these settings."""
    return FileStager(settings)


class FileStager(Stager):
    """Moves files whose paths mean something on this machine."""

    def __init__(self, settings: Files) -> None:
        self._sync = settings.sync

    def start(self, context: StagerContext) -> None:
        """Nothing to make ready."""

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """In a shared place the file's own path, made absolute; elsewhere a name in the folder."""
        here = _absolute(file)
        where = here if place.shared else os.fspath(Path(place.folder, name_for(here)).absolute())
        return Transfer(way=way, file=file, placed=file.placed(where), place=place)

    def move(self, transfer: Transfer) -> None:
        """Look for the file, or copy it."""
        url, way = transfer.file.url, transfer.way
        if transfer.file.netloc.lower() not in _HERE:
            raise StagingError(
                url,
                way,
                f"It names the host {transfer.file.netloc!r}, and a file is looked for on this "
                "machine only.",
                "Write file:///path for a path of this machine, or use a scheme that reaches the "
                "other one.",
            )
        here, there = Path(_absolute(transfer.file)), transfer.placed.as_path()
        source, target = (here, there) if way is Way.IN else (there, here)
        _must_exist(source, url, way)
        _must_be_as_named(source, transfer.file, way)
        if transfer.place.shared:
            return
        inside = transfer.place.folder
        _must_be_inside(there, inside, url, way)
        if way is Way.OUT:
            _must_be_inside(source.resolve(), inside, url, way)
        try:
            self._copy(source, target, None if way is Way.IN else inside)
        except OSError as error:
            raise StagingError(
                url,
                way,
                f"Copying {str(source)!r} to {str(target)!r} failed: {_said(error)}.",
                "Look at the space and the permissions there.",
            ) from error
        except _Refused as refusal:
            raise StagingError(url, way, str(refusal)) from None

    def validator(self, file: File) -> str | None:
        """The time of the last change, the size, and which file; of a folder, of all in it."""
        path = Path(_absolute(file))
        _must_exist(path, file.url, Way.IN)
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            from weft.data.trees import marked

            try:
                return marked(path)
            except OSError as error:
                raise StagingError(
                    file.url,
                    Way.IN,
                    f"{error.filename or str(path)!r} cannot be looked at: {_said(error)}.",
                    "Look at the permissions there, and whether something changes the folder.",
                ) from error
        if not stat.S_ISREG(facts.st_mode):
            return None
        return f"{facts.st_mtime_ns}-{facts.st_size}-{facts.st_dev:x}.{facts.st_ino:x}"

    def close(self) -> None:
        """Nothing is open."""

    # ---------------------------------------------------------------------------------- the copying

    def _copy(self, source: Path, target: Path, fence: Path | None) -> None:
        """Copy a file or a folder so that it is seen under its name only when it is whole."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        try:
            if source.is_dir():
                self._copy_folder(source, part, fence)
                put(part, target)
            else:
                self._copy_file(source, part)
                part.replace(target)
            if self._sync:
                _sync(target.parent)
        finally:
            removed(part)

    def _copy_file(self, source: Path, target: Path) -> None:
        # Opening a pipe would wait for somebody at its other end, were it not for O_NONBLOCK.
        look = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(source, look), "rb") as reading:
            facts = os.fstat(reading.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise _Refused(f"{str(source)!r} is neither a file nor a folder.")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(target, flags, 0o600), "wb") as writing:
                shutil.copyfileobj(reading, writing, 1024 * 1024)
                # The owner's rights only: a copy must not be readable by more people than its
                # folder is.
                os.fchmod(writing.fileno(), facts.st_mode & 0o777)
                if self._sync:
                    writing.flush()
                    os.fsync(writing.fileno())
        os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    def _copy_folder(self, source: Path, target: Path, fence: Path | None) -> None:
        """Copy a folder: follow links, or with a fence keep those that do not lead out of it."""
        target.mkdir(mode=0o700)
        for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
            inner, to = Path(entry.path), target / entry.name
            if fence is not None and entry.is_symlink():
                if not _within(inner.resolve(), source.resolve()):
                    raise _Refused(f"{entry.path!r} is a link that leads out of the folder.")
                to.symlink_to(inner.readlink())
            elif entry.is_dir():
                if entry.is_symlink() and _within(source.resolve(), inner.resolve()):
                    raise _Refused(f"{entry.path!r} is a link to a folder that holds it.")
                self._copy_folder(inner, to, fence)
            else:
                self._copy_file(inner, to)
        to_mode = stat.S_IMODE(source.stat().st_mode) | 0o700
        target.chmod(to_mode)
        if self._sync:
            _sync(target)


class _Refused(Exception):
    """A file that is not copied, for a reason other than the system's."""


def _absolute(file: File) -> str:
    # Not Path.absolute, which keeps '..': one file would have several names.
    return os.path.abspath(file.filepath)  # noqa: PTH100


def _within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _must_be_inside(path: Path, folder: Path, url: str, way: Way) -> None:
    if not _within(path.parent.resolve() / path.name, folder.resolve()):
        raise StagingError(
            url,
            way,
            f"{str(path)!r} is outside of {str(folder)!r}, the folder of the tasks of that "
            "executor.",
            "Let the task write the file itself, not a link to another place.",
        )


def _must_exist(path: Path, url: str, way: Way) -> None:
    if path.exists():
        return
    if path.is_symlink():
        raise StagingError(
            url,
            way,
            f"{str(path)!r} is a link to {str(path.readlink())!r}, which is not there.",
        )
    what = "There is no file" if way is Way.IN else "The task did not make"
    todo = (
        "Mend the path; relative ones start from the folder the script was started in."
        if way is Way.IN
        else "Check the name, and whether the task wrote the file somewhere else."
    )
    raise StagingError(url, way, f"{what} {str(path)!r}. {nearest(path)}", todo)


def _must_be_as_named(path: Path, file: File, way: Way) -> None:
    if not file.is_folder or path.is_dir():
        return
    if way is Way.IN:
        todo = "Leave the slash out, if it is the file that is meant."
        raise StagingError(file.url, way, f"{str(path)!r} is no folder.", todo)
    raise StagingError(
        file.url,
        way,
        f"The task made {str(path)!r}, which is no folder, and its name ends with a slash.",
        "Let the task make a folder and write into it, or leave the slash out.",
    )


def nearest(path: Path) -> str:
    """A sentence about what is there instead of a path that is not."""
    folder = path.parent
    if not folder.is_dir():
        there = next((parent for parent in folder.parents if parent.is_dir()), Path("/"))
        missing = there / folder.relative_to(there).parts[0]
        return f"The folder {str(missing)!r} is not there either."
    try:
        names = list(_names_in(folder))
    except OSError as error:
        return f"The folder {str(folder)!r} cannot be listed: {_said(error)}."
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if close:
        return f"In that folder are: {', '.join(map(repr, close))}."
    if not names:
        return f"The folder {str(folder)!r} is empty."
    return "No name in that folder is like it."


def _names_in(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry, _ in zip(entries, range(_LOOKED_AT), strict=False):
            yield entry.name


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _said(error: OSError) -> str:
    return error.strerror or str(error)
