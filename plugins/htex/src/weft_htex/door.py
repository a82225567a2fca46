"""Where managers of this machine come in: a socket in the interchange's private folder.

What is said there need not be encrypted, and is not copied through a network: nobody but the user
reaches the folder, and the system says whose process knocks. Managers on other machines may see the
file, if the folder is shared; nobody listens to it there, so they go to the next address.

A payload of a hundred megabytes costs a quarter of what it costs through memory that both sides
map, since that is had page by page; and no end of anybody, however sudden, leaves anything behind.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["DOOR", "Door", "is_door", "knocked"]

DOOR: Final = "managers.sock"
"""The socket's name in the interchange's folder."""

_SCHEME: Final = "unix:"
_LONGEST: Final = 100  # bytes of a socket's path, with something to spare
_BACKLOG: Final = 128
_AT_ONCE: Final = 64


def is_door(address: str) -> bool:
    """Whether an address is that of a door."""
    return address.startswith(_SCHEME)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """The path, in few enough bytes for a socket."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class Door:
    """The socket that is listened at.

    Args:
        folder: which nobody but the user reaches.

    Attributes:
        address: for managers.
        fd: readable when somebody knocks.

    Raises:
        OSError: the folder's file system has no sockets.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder.absolute() / DOOR
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(self._path) as name:
                self._socket.bind(name)
                # The folder keeps others out; but nothing of a run is open to them by itself.
                Path(name).chmod(0o600)
            self._socket.listen(_BACKLOG)
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()
        self.address = f"{_SCHEME}{self._path}"

    def opened(self) -> Iterator[socket.socket]:
        """Those who have knocked, as far as they are the user's."""
        for _ in range(_AT_ONCE):
            try:
                one, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError:  # who knocked has gone, or there is no descriptor left for them
                return
            if _user_of(one) == os.getuid():
                yield one
            else:
                one.close()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _user_of(end: socket.socket) -> int:
    """Whose process is at the other end, where the system tells; else the folder has to do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(user)


def knocked(address: str) -> socket.socket | None:
    """The way through a door; ``None`` if it is not on this machine, or nobody is behind it."""
    path = Path(address.removeprefix(_SCHEME))
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            end.connect(name)
        if _user_of(end) != os.getuid():
            raise PermissionError(f"{path} is somebody else's")
    except OSError:
        end.close()
        return None
    return end
