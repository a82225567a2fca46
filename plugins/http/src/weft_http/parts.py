"""What has come of a file so far, beside its final name.

A small file, or one that cannot be gone on with, is written under a name that nobody knows again:

    .5be0….part ──rename──▶ name

Of another one the next try finds what had come, by a note of which content it is a part of. Its
name depends on that content, so parts of two contents never meet, and who writes it holds a lock:

    .NOTE.part = what to ask in If-Range          .PART.part ──rename──▶ name
"""

import contextlib
import fcntl
import os
import uuid
from pathlib import Path
from typing import Final

from weft.data.urls import part_for

__all__ = ["WORTH_KEEPING", "Part"]

WORTH_KEEPING: Final = 1024 * 1024
"""Bytes of a file from which on it is worth going on where it was interrupted."""

_LONGEST_NOTE: Final = 4096


class Part:
    """The bytes of one file that have come, and where they are. Used by one thread.

    Args:
        final: the name under which the file is to be seen.
        url: which file it is.
        keep: whether it may be left for another try.

    Attributes:
        condition: which content it is a part of, if it can be gone on with; else empty.
        size: bytes of it.
    """

    def __init__(self, final: Path, url: str, *, keep: bool) -> None:
        self._final, self._url, self._keep = final, url, keep
        self._note = final.with_name(part_for(final.name, url))
        self._path: Path | None = None
        self._descriptor = -1
        self.condition, self.size = "", 0
        if keep and (condition := self._noted()):
            self._claim(condition, create=False)

    @property
    def path(self) -> str:
        """Where it is, for people; the final name before it is anywhere."""
        return os.fspath(self._path or self._final)

    def begin(self, condition: str, total: int | None) -> None:
        """Begin with nothing.

        Args:
            condition: which content follows, as the server will know it again; empty if it will
                not.
            total: bytes that it has, if that is known.
        """
        worth = self._keep and total is not None and total >= WORTH_KEEPING
        condition = condition if worth else ""
        if condition and self.condition == condition:
            os.ftruncate(self._descriptor, 0)
            self.size = 0
            return
        self.drop()
        # The part is claimed first: a note is written by who has it alone.
        if condition and self._claim(condition, create=True):
            os.ftruncate(self._descriptor, 0)
            self.size = 0
            if not self._write_note(condition):
                self.condition = ""
            return
        self._path = self._final.with_name(f".{uuid.uuid4().hex}.part")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o666)

    def write(self, piece: bytes, at: int) -> None:
        """Write bytes to their place."""
        view = memoryview(piece)
        while view:
            written = os.pwrite(self._descriptor, view, at)
            view, at = view[written:], at + written
        self.size = max(self.size, at)

    def read(self, size: int, at: int) -> bytes:
        """Bytes that are there."""
        return os.pread(self._descriptor, size, at)

    def finish(self, *, sync: bool) -> None:
        """Have it seen under its final name."""
        assert self._path is not None
        if sync:
            os.fsync(self._descriptor)
        self._path.replace(self._final)
        self._path = None  # what was renamed is not to be removed
        if sync:
            folder = os.open(self._final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self.drop()

    def leave(self) -> None:
        """Keep it for another try, if that can go on with it."""
        if self.condition and self.size > 0:
            self._close()
        else:
            self.drop()

    def drop(self) -> None:
        """Remove what is there."""
        if self.condition:
            _remove(self._note)
        if self._path is not None:
            _remove(self._path)
        self._close()

    # ------------------------------------------------------------------------------------------

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)  # and the lock goes
        self._descriptor, self._path = -1, None
        self.condition, self.size = "", 0

    def _claim(self, condition: str, *, create: bool) -> bool:
        """Have the part of that content to oneself; false if it is another's, or not there."""
        path = self._final.with_name(part_for(self._final.name, f"{self._url}\0{condition}"))
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        try:
            descriptor = os.open(path, flags, 0o666)
        except OSError:
            if create:
                raise
            _remove(self._note)  # of a part that is gone
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it before may have renamed it to the final name since it was opened.
            facts, found = os.fstat(descriptor), path.stat()
            mine = (facts.st_dev, facts.st_ino) == (found.st_dev, found.st_ino)
        except (BlockingIOError, FileNotFoundError):
            mine = False
        except OSError:  # a file system without locks: there nothing is gone on with
            _remove(path)
            mine = False
        if not mine:
            os.close(descriptor)
            return False
        self._descriptor, self._path = descriptor, path
        self.condition, self.size = condition, facts.st_size
        return True

    def _noted(self) -> str:
        try:
            with self._note.open("rb") as note:
                return note.read(_LONGEST_NOTE).decode("latin-1")
        except OSError:
            return ""

    def _write_note(self, condition: str) -> bool:
        """Write which content follows; false if it cannot be, and the file can still come."""
        raw = condition.encode("latin-1", "replace")
        if len(raw) >= _LONGEST_NOTE:
            return False
        written = self._note.with_name(f".{uuid.uuid4().hex}.part")
        try:
            written.write_bytes(raw)
            written.replace(self._note)
        except OSError:
            _remove(written)
            return False
        return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
