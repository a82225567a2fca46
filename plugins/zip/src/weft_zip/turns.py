"""Who writes an archive: one thread of one process at a time, and what others have goes with it.

    thread ──parcel──▶ ┐                       ┌ thread that has the turn: takes all that wait,
    thread ──parcel──▶ ├ waiting ──────────────┤ locks the archive, merges, tells the outcomes
    thread ──parcel──▶ ┘                       └

While one writes, parcels of others gather, and the next one writes them all. So the cost of an
archive is not paid for each member. Between processes it is a lock of the system, which ends with
the process that holds it.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import close
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from weft.data.locks import NO_LOCK, locked
from weft_zip.pack import Packed, part_of
from weft_zip.trouble import Trouble

__all__ = ["Parcel", "Turns", "writing"]

_SHORTEST, _LONGEST = 0.005, 0.5
"""Seconds between looks at a lock. The system has no wait for one that ends by itself."""

_ENDED: Final = "The run has ended."


@attrs.define(eq=False)
class Parcel:
    """Members on their way; it belongs to who has it, and its file is closed by who ends with it.

    Attributes:
        file: in which they are.
        members: they.
        done: whether the outcome is known.
        error: why they were not joined; ``None`` if they were.
        refused: why some of them were not, by name.
    """

    file: BinaryIO
    members: Sequence[Packed]
    done: bool = False
    error: Exception | None = None
    refused: Mapping[str, Trouble] = attrs.field(factory=dict)


@attrs.define(eq=False)
class _Desk:
    """Where parcels for one archive are handed in."""

    waiting: list[Parcel] = attrs.field(factory=list)
    busy: bool = False
    users: int = 0


class Turns:
    """The desks of all archives that are written by this process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._desks: dict[Path, _Desk] = {}
        self.closed: threading.Event = threading.Event()

    def hand_in(
        self,
        path: Path,
        parcel: Parcel,
        write: Callable[[Path, Sequence[Parcel]], None],
        patience: float,
    ) -> None:
        """Have a parcel written, by this thread or by another; then its outcome is known.

        Args:
            path: the archive, links resolved.
            parcel: for it.
            write: writes parcels to an archive, all or none.
            patience: seconds to wait for the turn.

        Raises:
            Trouble: the turn did not come, or the run has ended.
        """
        with self._desk(path) as desk:
            taken = self._my_turn(desk, parcel, patience, path)
            if not taken:
                return
            error: Exception | None = Trouble("Writing the archive was interrupted.", again=True)
            try:
                write(path, taken)
                error = None
            except Exception as raised:  # noqa: BLE001 - told to each whose parcel it was
                error = raised
            finally:
                self._ended(desk, taken, error)

    def close(self) -> None:
        """Whoever waits for a turn gets none."""
        with self._changed:
            self.closed.set()
            self._changed.notify_all()

    @contextlib.contextmanager
    def _desk(self, path: Path) -> Iterator[_Desk]:
        with self._changed:
            desk = self._desks.setdefault(path, _Desk())
            desk.users += 1
        try:
            yield desk
        finally:
            with self._changed:
                desk.users -= 1
                if not desk.users:
                    del self._desks[path]

    def _my_turn(self, desk: _Desk, parcel: Parcel, patience: float, path: Path) -> list[Parcel]:
        """Wait for the turn. Returns what is to be written; nothing if another has done it."""

        def settled() -> bool:
            return not desk.busy or self.closed.is_set() or parcel.done

        with self._changed:
            desk.waiting.append(parcel)
            self._changed.wait_for(settled, patience)
            if parcel.done:
                return []
            if not desk.busy and not self.closed.is_set():
                desk.busy = True
                taken, desk.waiting = desk.waiting, []
                return taken
            if parcel in desk.waiting:  # and not with another, who closes it
                desk.waiting.remove(parcel)
                parcel.file.close()
        raise Trouble(_ENDED) if self.closed.is_set() else _busy(path, patience)

    def _ended(self, desk: _Desk, taken: Sequence[Parcel], error: Exception | None) -> None:
        try:
            for parcel in taken:
                parcel.file.close()
        finally:
            with self._changed:
                for parcel in taken:
                    parcel.error, parcel.done = error, True
                desk.busy = False
                self._changed.notify_all()


@contextlib.contextmanager
def writing(path: Path, patience: float, closed: threading.Event) -> Iterator[None]:
    """The lock of an archive, among all processes of all machines that see it.

    Raises:
        Trouble: others had it for longer than ``patience``, in seconds; or the file system has no
            locks.
        OSError: none can be made.
    """
    lock = part_of(path).with_suffix(".lock")
    until = time.monotonic() + patience
    pause = _SHORTEST
    while True:
        try:
            held = locked(str(lock))
            break
        except BlockingIOError:
            left = until - time.monotonic()
            if left <= 0:
                raise _busy(path, patience) from None
            if closed.wait(min(pause, left)):
                raise Trouble(_ENDED) from None
            pause = min(2 * pause, _LONGEST)
        except PermissionError:
            # What is packed has just been put there, so it is the lock that is refused.
            raise Trouble(
                f"The lock {str(lock)!r} is one of another user.",
                "They may be writing the archive. When nobody is, remove the file: it was left by "
                "a process that was killed.",
                again=True,
            ) from None
    if held == NO_LOCK:
        lock.unlink(missing_ok=True)
        raise Trouble(
            f"The file system of {str(path)!r} has no locks, so that two who write the archive "
            "could harm it.",
            "Put the archive on another one, or have its administrator turn locks on.",
        )
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        close(held)


def _busy(path: Path, patience: float) -> Trouble:
    return Trouble(
        f"Others have been writing {str(path)!r} for more than {patience:g} s.",
        "The option lock_timeout says how long they are waited for; or use more than one archive.",
        again=True,
    )
