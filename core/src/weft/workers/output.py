"""What the workers of a place print: its beginning and its end are kept, the rest is counted.

    slot-0.out     the first half of what may be kept
    slot-0.out.0   a line that says how many bytes are left out here
    slot-0.out.1   the end; what is oldest of it goes when more comes,
    slot-0.out.2   a quarter of what may be kept at a time

In the order of their names they read as one. Whatever ends the writer, what stands there is whole.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["Output"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_FIRST, _GAP, _OLD, _NEW = "", ".0", ".1", ".2"


class Output:
    """Files that take any amount, and keep a bounded part of it. Nothing it does raises.

    Args:
        path: of the first file; there is none until there is something to write.
        most: bytes that all files together may have, but for the line in between.

    Attributes:
        left_out: bytes that came and are in no file any more, or could not be written.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path, self._most = path, most
        self.left_out = 0
        self._fd = -1
        self._room = most - most // 2
        self._ends = 0  # how many files of the end were begun
        self._before = 0  # the bytes in the older one

    def write(self, data: bytes | memoryview) -> None:
        """Take what was printed."""
        rest = memoryview(data)
        try:
            while rest:
                if not self._room or self._fd < 0:
                    self._turn()
                count = os.write(self._fd, rest[: self._room])
                self._room -= count
                rest = rest[count:]
        except OSError:  # a full disk costs what does not fit, and nothing else
            self.left_out += len(rest)

    def _turn(self) -> None:
        """Go on to the next file."""
        if self._fd < 0 and self._room:
            self._fd = os.open(self._path, _FLAGS, 0o600)
            return
        part = self._most // 4
        if self._ends >= 2:
            self.left_out += self._before
            self._say_left_out()
        if self._ends:
            # Not in the place of one that is there: some file systems (ext4) would first write out
            # to the disk what takes its place, each time.
            self._at(_OLD).unlink(missing_ok=True)
            self._at(_NEW).rename(self._at(_OLD))
            self._before = part
        fd = os.open(self._at(_NEW), _FLAGS | os.O_TRUNC, 0o600)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._room = fd, part
        self._ends += 1

    def _say_left_out(self) -> None:
        line = f"\n[{self.left_out:,} bytes are left out here]\n".encode()
        # Over the former one, which was never longer; to empty it first would be as slow.
        fd = os.open(self._at(_GAP), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)

    def _at(self, part: str) -> Path:
        return self._path.with_name(self._path.name + part)

    def close(self) -> None:
        """Let go of the files, and say how much is left out, if it is not said yet."""
        if self.left_out:
            with contextlib.suppress(OSError):
                self._say_left_out()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
