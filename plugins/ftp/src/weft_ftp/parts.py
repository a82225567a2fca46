"""The file beside a place that is written to until it is whole.

.HASH.part      what an earlier try has left, and what is left to the next one, also when this
one is killed
.HASH.part-of   what the server said of the time and the size of the file that it is a part of
.HEX.part       where nothing is said, or another is at work with the first
"""

import contextlib
import datetime as dt
import fcntl
import ftplib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from weft.data.urls import part_for
from weft_ftp.line import Facts

__all__ = ["Short", "finish", "part_of", "size_of"]


class Short(Exception):
    """The server has sent less than the whole file, and thinks that this was all."""


@contextlib.contextmanager
def part_of(target: Path, validator: str | None) -> Iterator[Path]:
    """The file to write to. It is gone afterwards, unless what went wrong may pass.

    Args:
        target: where the file will be.
        validator: what the server says of it; ``None`` if it says nothing.
    """
    kept = target.with_name(part_for(target.name, ""))
    held = _held(kept) if validator is not None else None
    if held is None or validator is None:
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)
        return
    keep = False
    try:
        _begin(kept, held, validator)
        yield kept
    except (ftplib.error_temp, EOFError, OSError, Short):
        # Of the other side: those of this machine are others.
        keep = size_of(kept) > 0
        raise
    finally:
        if not keep:
            _clean(kept, held)
        os.close(held)


def _clean(kept: Path, held: int) -> None:
    """Delete the part, unless it has been given its name and another is at work with a new one."""
    try:
        if not os.path.samestat(os.fstat(held), kept.lstat()):
            return
    except FileNotFoundError:
        pass
    _mark(kept).unlink(missing_ok=True)
    kept.unlink(missing_ok=True)


def _begin(kept: Path, held: int, validator: str) -> None:
    """See that what is there is a part of the file as it is now, or empty."""
    try:
        same = _mark(kept).read_text(encoding="utf-8") == validator
    except (FileNotFoundError, UnicodeDecodeError):
        same = False
    if not same:
        # In this order: a part is never without its own mark.
        os.ftruncate(held, 0)
        _mark(kept).write_text(validator, encoding="utf-8")


def _mark(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}-of")


def _held(path: Path) -> int | None:
    """A descriptor that keeps others from a file while it is open; ``None`` if another has one."""
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it before may have given it its name, or deleted it.
            if os.path.samestat(os.fstat(held), path.lstat()):
                return held
        except FileNotFoundError:
            pass
        except OSError:  # another has it, or this file system knows no locks
            os.close(held)
            return None
        os.close(held)


def finish(part: Path, target: Path, facts: Facts, *, sync: bool) -> None:
    """Give a file its name, and the time that it has over there."""
    if facts.changed is not None:
        with contextlib.suppress(ValueError):
            changed = dt.datetime.strptime(f"{facts.changed[:14]}Z", "%Y%m%d%H%M%S%z")
            os.utime(part, (changed.timestamp(), changed.timestamp()))
    if sync:
        with part.open("rb") as written:
            os.fsync(written.fileno())
    part.replace(target)
    if sync:
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def size_of(path: Path) -> int:
    """The size of a file; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
