"""What has come of a file so far, beside its final name.

    .NAME+VERSION.part ──rename──▶ name

The first half of the part's name comes of the file's name, the second of what it is a part of: so
parts of two versions never meet, and those of former versions are found and removed. Who writes a
part holds a lock on it; who finds it locked writes one of its own, which is not gone on with.
"""

import contextlib
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["WORTH_KEEPING", "Part", "opened"]

WORTH_KEEPING: Final = 1024 * 1024
"""Bytes of a file from which on it is worth going on where it was interrupted."""

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Part:
    """The bytes of one file that have come. Used by one thread.

    Attributes:
        path: where they are.
        size: how many there are.
        known: whether another try can find them.
    """

    def __init__(self, path: Path, descriptor: int, *, known: bool) -> None:
        self.path, self.known = path, known
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor

    def cut(self, size: int) -> None:
        """Keep only so many bytes."""
        os.ftruncate(self._descriptor, size)
        self.size = size

    def add(self, piece: bytes) -> None:
        """Write bytes behind the others."""
        view = memoryview(piece)
        while view:
            written = os.pwrite(self._descriptor, view, self.size)
            view, self.size = view[written:], self.size + written

    def pieces(self, size: int) -> Iterator[bytes]:
        """What is there, from the beginning, in pieces of that size."""
        at = 0
        while piece := os.pread(self._descriptor, size, at):
            yield piece
            at += len(piece)

    def finish(self, final: Path, *, sync: bool) -> None:
        """Have it seen under its final name."""
        if sync:
            os.fsync(self._descriptor)
        self.path.replace(final)
        if sync:
            folder = os.open(final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@contextlib.contextmanager
def opened(final: Path, version: str) -> Iterator[Part]:
    """The part of that version of a file, for this thread alone.

    It is there afterwards unless ``finish`` or ``path.unlink`` took it away. One that no other try
    could find is removed in any case.

    Args:
        final: the name under which the file is to be seen.
        version: what it is a part of; empty for one that is not to be gone on with.
    """
    begin = f".{_hashed(final.name)}"
    part: Part | None = None
    if version:
        path = final.with_name(f"{begin}{_hashed(version)}.part")
        _remove_others(final.parent, begin, path)
        part = _claimed(path, os.open(path, _FLAGS, 0o666), known=True)
    if part is None:
        path = final.with_name(f".{uuid.uuid4().hex}.part")
        part = Part(path, os.open(path, _FLAGS | os.O_EXCL, 0o666), known=False)
    descriptor = part._descriptor  # noqa: SLF001 - its own
    try:
        yield part
    finally:
        if not part.known:
            part.path.unlink(missing_ok=True)
        os.close(descriptor)  # and the lock goes


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _claimed(path: Path, descriptor: int, *, known: bool) -> Part | None:
    """The part of an open file, if nobody else has it; else the file is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before may have renamed it to the final name since it was opened.
        facts, found = os.fstat(descriptor), path.stat()
        if (facts.st_dev, facts.st_ino) == (found.st_dev, found.st_ino):
            return Part(path, descriptor, known=known)
    except OSError:  # it is locked, it is gone, or this file system has no locks
        pass
    os.close(descriptor)
    return None


def _remove_others(folder: Path, begin: str, mine: Path) -> None:
    """Remove the parts of other versions of a file that nobody writes."""
    for path in folder.glob(f"{begin}*.part"):
        if path == mine:
            continue
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        part = _claimed(path, descriptor, known=False)
        if part is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)
