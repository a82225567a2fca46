"""Folders as one thing: told apart, packed into one file and put back, put in place, removed.

    marked    what tells one state of a folder from another
    packed    folder ──▶ one file, a tar archive of folders, files, and links within the folder
    unpacked  that file ──▶ .part ──▶ folder: seen under its name only when it is whole

A folder stands for what is in it, so a link that leads out of it is refused, both ways. Links are
made after all files, so that nothing is ever written through one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tarfile

__all__ = ["link_within", "marked", "packed", "put", "removed", "settled", "size_of", "unpacked"]


def walked(folder: str | os.PathLike[str]) -> Iterator[tuple[str, os.stat_result]]:
    """All that is in a folder, by its path from there, with links as links; in a fixed order.

    Raises:
        OSError: a part of it cannot be read.
    """
    waiting = [("", os.fspath(folder))]
    while waiting:
        before, path = waiting.pop()
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            name = before + entry.name
            yield name, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                waiting.append((f"{name}/", entry.path))


def marked(folder: str | os.PathLike[str]) -> str:
    """A short text that is another one whenever something in the folder is.

    It goes by names, sizes, times of change and which file it is, and reads no file. A link counts
    as what it leads to, if that is one file.

    Raises:
        OSError: a part of it cannot be read.
    """
    import hashlib

    whole = hashlib.sha256()
    for name, found in walked(folder):
        seen: tuple[object, ...] = (stat.S_IFMT(found.st_mode),)
        path = os.path.join(folder, name)  # noqa: PTH118 - as fast as can be
        facts = found
        if stat.S_ISLNK(found.st_mode):
            seen += (os.readlink(path),)  # noqa: PTH115 - as above
            with contextlib.suppress(OSError):
                facts = os.stat(path)  # noqa: PTH116 - as above
        if not stat.S_ISDIR(facts.st_mode):
            seen += (facts.st_size, facts.st_mtime_ns, facts.st_dev, facts.st_ino)
        whole.update(repr((name, seen)).encode("utf-8", "surrogateescape"))
    return f"folder-{whole.hexdigest()[:40]}"


def size_of(folder: str | os.PathLike[str]) -> int:
    """The bytes of all files in a folder.

    Raises:
        OSError: a part of it cannot be read.
    """
    return sum(facts.st_size for _, facts in walked(folder) if stat.S_ISREG(facts.st_mode))


def link_within(path: Path, folder: Path) -> str:
    """What a link in a folder is to say, so that it means the same wherever the folder is.

    Raises:
        OSError: it leads out of the folder.
    """
    # Not Path.resolve, which some versions of Python refuse to do for links in a circle.
    root, real = os.path.realpath(folder), os.path.realpath(path)
    if real != root and not real.startswith(root.rstrip("/") + "/"):
        raise OSError(
            errno.EINVAL, "a link in that folder leads out of it", os.fspath(path), None, real
        )
    # From where the link is, whatever links lead there.
    return os.path.relpath(real, os.path.realpath(path.parent))


def settled(folder: Path) -> None:
    """See that no link in a folder leads out of it, and make those relative that do not.

    Raises:
        OSError: one does, or a part of the folder cannot be read.
    """
    for name, facts in list(walked(folder)):
        if stat.S_ISLNK(facts.st_mode):
            path = folder / name
            text = link_within(path, folder)
            if path.readlink().is_absolute():
                path.unlink()
                path.symlink_to(text)


def packed(folder: str | os.PathLike[str], archive: str | os.PathLike[str]) -> None:
    """Write all that is in a folder into one file, which is written anew.

    Raises:
        OSError: a part of it cannot be read, is neither file nor folder, or is a link that leads
            out; or the archive cannot be written.
    """
    import tarfile

    root = Path(folder)
    try:
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as writing:
            for name, facts in walked(root):
                one = tarfile.TarInfo(name)
                one.mode, one.mtime = stat.S_IMODE(facts.st_mode) & 0o777, facts.st_mtime
                if stat.S_ISDIR(facts.st_mode):
                    one.type = tarfile.DIRTYPE
                    writing.addfile(one)
                elif stat.S_ISLNK(facts.st_mode):
                    one.type, one.linkname = tarfile.SYMTYPE, link_within(root / name, root)
                    writing.addfile(one)
                else:
                    _pack_file(writing, one, root / name)
    except BaseException:
        Path(archive).unlink(missing_ok=True)
        raise


def _pack_file(writing: tarfile.TarFile, one: tarfile.TarInfo, path: Path) -> None:
    # A pipe is not waited for, and a link that took the place of the file is not followed.
    look = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, look), "rb") as reading:
        facts = os.fstat(reading.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is neither a file nor a folder", os.fspath(path))
        one.size = facts.st_size
        writing.addfile(one, reading)


def unpacked(
    archive: str | os.PathLike[str], target: str | os.PathLike[str], *, read_only: bool = False
) -> None:
    """Make a folder of what was packed; one that is there is replaced.

    Args:
        archive: what ``packed`` wrote.
        target: the folder.
        read_only: whether its owner may only read what is in it.

    Raises:
        OSError: it cannot be written; or the archive is none, is cut, or holds what would lead out
            of the folder.
    """
    import tarfile

    whole = Path(target)
    part = whole.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.mkdir(mode=0o700)
        modes: list[tuple[Path, int]] = []
        links: list[tuple[Path, str]] = []
        try:
            with tarfile.open(archive, "r:") as reading:
                for one in reading:
                    _unpack(reading, one, part, modes, links)
        except tarfile.TarError as error:
            raise _odd(f"it is no whole archive ({error})", os.fspath(archive)) from error
        for path, text in links:
            path.symlink_to(text)
            link_within(path, part)
        for path, _ in links:
            link_within(path, part)  # a later one may have changed where it leads
        for path, mode in reversed(modes):
            least = 0o700 if path.is_dir() else 0o400
            path.chmod((mode | least) & 0o500 if read_only else mode | least)
        if read_only:
            part.chmod(0o500)
        put(part, whole)
    finally:
        removed(part)


def _unpack(
    reading: tarfile.TarFile,
    one: tarfile.TarInfo,
    part: Path,
    modes: list[tuple[Path, int]],
    links: list[tuple[Path, str]],
) -> None:
    import shutil

    names = one.name.split("/")
    if "\0" in one.name or any(name in {"", ".", ".."} for name in names):
        raise _odd("a name in it leads out of the folder", one.name)
    path = part.joinpath(*names)
    if one.isdir():
        path.mkdir(mode=0o700)
    elif one.issym():
        links.append((path, one.linkname))
        return
    elif one.isreg():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        data = reading.extractfile(one)
        assert data is not None
        with os.fdopen(os.open(path, flags, 0o600), "wb") as writing:
            shutil.copyfileobj(data, writing, 1 << 20)
            if writing.tell() != one.size:
                raise _odd("it is cut", one.name)
        os.utime(path, (one.mtime, one.mtime))
    else:
        raise _odd("it is neither a file nor a folder", one.name)
    modes.append((path, one.mode & 0o777))


def _odd(what: str, name: str) -> OSError:
    return OSError(errno.EINVAL, what, name)


def put(part: Path, target: Path) -> None:
    """Give a folder its name at once; a folder that has it is replaced.

    Raises:
        OSError: that could not be done; a folder that had the name has it still.
    """
    if not target.is_dir() or target.is_symlink():
        part.rename(target)
        return
    old = target.with_name(f".{uuid.uuid4().hex}.old")
    target.rename(old)
    try:
        part.rename(target)
    except OSError:
        old.rename(target)
        raise
    removed(old)


def removed(path: Path) -> None:
    """Remove a file or a folder with all that is in it; what cannot be removed stays."""
    if not path.is_dir() or path.is_symlink():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    import shutil

    shutil.rmtree(path, ignore_errors=True)
    if path.is_dir():
        for base, folders, _ in os.walk(path):
            for inner in (Path(base), *(Path(base, name) for name in folders)):
                if not inner.is_symlink():
                    with contextlib.suppress(OSError):
                        inner.chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)
