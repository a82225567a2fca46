"""Writes an event log: a listener of the monitoring that adds chunks to a file.

No thread of its own: the thread of the monitors calls it, with a batch at a time. A disk that does
not take a chunk costs the events of that chunk; the person who watches is told once, and the log
says how many are missing as soon as the disk takes chunks again.
"""

import fcntl
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from weft.errors import RunFolderError
from weft.eventlog.format import chunks_of, header_line
from weft.values.events import Notice, events_in

__all__ = ["NAME", "EventLogWriter"]

_TRIES: Final = 50
_PAUSE: Final = 0.01

NAME: Final = "events.weft"
"""The name of the log in its run folder."""


class EventLogWriter:
    """An event log that is being written.

    Args:
        path: the file; one that is there is added to.
        about: what the first line says of it.
        complain: gets one sentence when the disk does not take a chunk, for the first time.

    Raises:
        RunFolderError: the file cannot be written.
    """

    def __init__(
        self, path: Path, about: Mapping[str, Any], complain: Callable[[str], None]
    ) -> None:
        self._path, self._complain = path, complain
        self._number = 0
        self._unwritten = 0
        self._complained = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file = os.open(path, flags, 0o600)
        except OSError as error:
            raise self._cannot(error) from error
        try:
            os.fchmod(self._file, 0o600)
            self._hold()
            if os.fstat(self._file).st_size == 0:
                self._add(header_line(about))
        except OSError as error:
            os.close(self._file)
            raise self._cannot(error) from error

    def _hold(self) -> None:
        """Hold a lock for as long as the log is written, by which others see that the run goes on.

        Where the file system knows no locks, they cannot see it, and that is all.
        """
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # somebody looks just now, which takes no time
                time.sleep(_PAUSE)
            except OSError:
                return
            else:
                return

    def _cannot(self, error: OSError) -> RunFolderError:
        return RunFolderError(
            str(self._path.parent),
            f"The event log {self._path.name!r} cannot be written: {error.strerror}.",
        )

    @property
    def unwritten(self) -> int:
        """How many events were not written since the disk last took a chunk."""
        return self._unwritten

    def write(self, events: Sequence[Any]) -> None:
        """Add events, as they are or as rows; never raises because of the disk."""
        if self._unwritten:
            gap = f"{self._unwritten} events before this are missing: the disk did not take them."
            events = [Notice(time.time(), "warning", "event log", gap), *events]
        for chunk in chunks_of(events, self._number):
            try:
                self._add(chunk)
            except OSError as error:
                # The notice of the gap is none of them; and one chunk is, but for batches of an
                # odd size, all of them.
                self._unwritten += sum(map(events_in, events)) - bool(self._unwritten)
                if not self._complained:
                    self._complained = True
                    self._complain(
                        f"The event log {str(self._path)!r} cannot be written: "
                        f"{error.strerror or error}. The run goes on, and so will the log when "
                        "it can."
                    )
                return
            self._number += 1
        self._unwritten = 0

    def _add(self, data: bytes) -> None:
        """All of it or nothing, if the disk lets us take back what it took."""
        begin = os.fstat(self._file).st_size
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:] if written else data)
        except OSError:
            if written:
                os.ftruncate(self._file, begin)
            raise

    def close(self) -> None:
        """Close the file; twice is once."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
