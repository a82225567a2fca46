"""What happens to the names in a folder while a component works, as the kernel tells it.

Looking again and again misses what is over between two looks; the kernel misses nothing. Where it
does not tell (anywhere but on Linux), there is no :class:`Watch`, and rules that need one are
skipped with that reason.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import Final, Self

import attrs

__all__ = ["Watch", "half_seen"]

# inotify(7): the numbers of <sys/inotify.h>.
_MODIFY: Final = 0x2
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_OVERFLOW: Final = 0x4000
_HEADER: Final = struct.Struct("iIII")
_NAMES: Final = {_MODIFY: "modified", _MOVED_TO: "moved", _CREATE: "created"}

Happening = tuple[str, str]
"""What happened (``created``, ``modified``, or ``moved`` to here), and to which name."""


@attrs.frozen
class Watch:
    """Watches one folder, not those within it, from when it is made until it is closed."""

    _descriptor: int

    @classmethod
    def over(cls, folder: Path) -> Self | None:
        """Begin to watch; ``None`` where the system does not tell.

        Raises:
            OSError: the folder cannot be watched.
        """
        if not sys.platform.startswith("linux"):
            return None
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        mask = _MODIFY | _MOVED_TO | _CREATE
        if libc.inotify_add_watch(descriptor, os.fsencode(folder), mask) < 0:
            error = ctypes.get_errno()
            os.close(descriptor)
            raise OSError(error, os.strerror(error), str(folder))
        return cls(descriptor)

    def happened(self) -> list[Happening]:
        """What happened since the last call, in order.

        Raises:
            OSError: so much that the kernel did not keep all of it.
        """
        found: list[Happening] = []
        while True:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                _, mask, _, length = _HEADER.unpack_from(data, at)
                at += _HEADER.size
                name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
                at += length
                if mask & _OVERFLOW:
                    raise OSError("more happened in the folder than the kernel keeps")
                found += [(word, name) for bit, word in _NAMES.items() if mask & bit]

    def close(self) -> None:
        """Watch no more."""
        os.close(self._descriptor)


def half_seen(happened: list[Happening], name: str) -> bool:
    """Whether a file was to be seen under a name before all of it was there.

    So it was if it was written to under that name, or if something else stood there first. Being
    moved there, or linked there, when it is whole is neither.
    """
    mine = [what for what, whose in happened if whose == name]
    return "modified" in mine or ("created" in mine and "moved" in mine)
