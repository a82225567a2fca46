"""What is under way at the service, on disk, so that a run that is killed loses nothing.

    <run>/stager-globus/lock           held by the run for as long as it lives
    <run>/stager-globus/ID.transfer    one for each submission, written before it is made

A folder whose lock can be had is one of a run that has ended. What it left is taken over by the
next run beside it that asks for one of the files, and is no longer there then.
"""

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from weft_globus.urls import Position

__all__ = ["Item", "Record", "Records"]

_ENDING: Final = ".transfer"


@attrs.frozen
class Item:
    """One file of a submission, as paths of the two collections.

    Attributes:
        source: what is moved.
        target: where it is to be in the end.
        part: where the service puts it.
        seen: time and size of the source before.
    """

    source: str
    target: str
    part: str
    seen: str


@attrs.frozen(kw_only=True)
class Record:
    """A submission.

    Attributes:
        submission_id: its name at the service.
        task_id: that of its task; empty until the service has said it.
        source, target: the two collections.
        items: its files.
        requested: when it was made, in seconds since 1970.
    """

    submission_id: str
    task_id: str = ""
    source: str
    target: str
    items: tuple[Item, ...]
    requested: float = attrs.field(factory=time.time)

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> "Record":
        """As it was written."""
        return cls(**{**read, "items": tuple(Item(*one) for one in read["items"])})

    def positions(self, item: Item) -> tuple[Position, Position]:
        """Source and target of one of its files."""
        return Position(self.source, item.source), Position(self.target, item.target)


class Records:
    """The submissions of one run. Used by one thread.

    Args:
        folder: the run's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # It has to be seen locked from the first moment, or another run would take this one for
        # ended.
        part = folder / f".{uuid.uuid4().hex}.lock"
        self._lock = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.replace(folder / "lock")

    def write(self, record: Record) -> None:
        """Keep a submission, so that it is there after a loss of power."""
        path = self._path(record)
        part = path.with_suffix(".part")
        text = json.dumps(attrs.asdict(record, recurse=False, filter=_but_items) | _items(record))
        with part.open("w", encoding="utf-8") as writing:
            os.fchmod(writing.fileno(), 0o600)
            writing.write(text)
            writing.flush()
            os.fsync(writing.fileno())
        part.replace(path)

    def remove(self, record: Record) -> None:
        """Forget one."""
        self._path(record).unlink(missing_ok=True)

    def left(self) -> list[Record]:
        """What runs that have ended have left, which is this run's from now on."""
        taken = self._read(self._folder)
        for lock in sorted(self._folder.parent.parent.glob(f"*/{self._folder.name}/lock")):
            if lock.parent == self._folder:
                continue
            with _had(lock) as had:
                for record in self._read(lock.parent) if had else ():
                    try:
                        self.write(record)
                        (lock.parent / self._path(record).name).unlink(missing_ok=True)
                    except OSError:
                        continue  # it stays there for another run
                    taken.append(record)
        return taken

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _read(self, folder: Path) -> list[Record]:
        found = []
        for path in sorted(folder.glob(f"*{_ENDING}")):
            try:
                found.append(Record.of(json.loads(path.read_text("utf-8"))))
            except (OSError, ValueError, TypeError, KeyError):
                continue  # of another version, or not one at all: it stays where it is
        return found

    def _path(self, record: Record) -> Path:
        return self._folder / f"{record.submission_id}{_ENDING}"


@contextlib.contextmanager
def _had(lock: Path) -> Iterator[bool]:
    """Have the lock of another folder, unless its run lives or it is somebody else's."""
    try:
        held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(held)


def _but_items(field: Any, _value: object) -> bool:
    return bool(field.name != "items")


def _items(record: Record) -> dict[str, Any]:
    return {"items": [list(attrs.astuple(one)) for one in record.items]}
