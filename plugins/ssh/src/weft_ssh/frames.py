"""What travels between a client and the watcher of a job, and how it is cut into frames. Pure.

    client ──▶ watcher    length (4 bytes), JSON            nothing: a sign of life
    watcher ──▶ client    GREETING, then: kind, length (1 + 4 bytes), bytes

Before the greeting, a login shell may say what it likes.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = [
    "BEGUN",
    "ERR",
    "FILE",
    "GREETING",
    "OUT",
    "VERDICT",
    "NotUnderstood",
    "Reader",
    "file_in",
    "frame",
]

GREETING: Final = b"\0weft-ssh 1\n"
BEGUN, OUT, ERR, FILE, VERDICT = b"b", b"o", b"e", b"f", b"v"
_KINDS: Final = frozenset((BEGUN, OUT, ERR, FILE, VERDICT))
_HEAD: Final = struct.Struct(">cI")
_LENGTH: Final = struct.Struct(">I")
_LONGEST: Final = 1 << 20
_NOISE: Final = 1 << 16


class NotUnderstood(ValueError):
    """What came is not what a watcher says."""


def frame(said: Mapping[str, Any] | None = None) -> bytes:
    """A frame for the watcher; a sign of life when there is nothing to say."""
    data = b"" if said is None else json.dumps(said).encode("ascii")
    return _LENGTH.pack(len(data)) + data


def file_in(data: bytes) -> tuple[str, bytes]:
    """The name and the next bytes of a file that was fetched.

    Raises:
        NotUnderstood: it is none, or its name leads out of its folder.
    """
    if len(data) < _LENGTH.size:
        raise NotUnderstood("a file without a name")
    (length,) = _LENGTH.unpack_from(data)
    name = data[_LENGTH.size : _LENGTH.size + length].decode("utf-8", "surrogateescape")
    parts = name.split("/")
    if not name or "\0" in name or any(part in {"", ".", ".."} for part in parts):
        raise NotUnderstood(f"a file of the name {name!r}")
    return name, data[_LENGTH.size + length :]


class Reader:
    """Cuts what comes from a host into frames.

    Attributes:
        greeted: whether the watcher is there.
        noise: what came before it, from the login shell.
    """

    def __init__(self) -> None:
        self.greeted = False
        self.noise = b""
        self._rest = bytearray()

    def take(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames that are complete now: kind and bytes.

        Raises:
            NotUnderstood: something else is at the other end.
        """
        rest = self._rest
        rest += data
        if not self.greeted:
            at = rest.find(GREETING)
            if at < 0:
                if len(rest) > _NOISE:
                    raise NotUnderstood(f"{len(rest)} bytes of something else")
                return
            self.greeted, self.noise = True, bytes(rest[:at])
            del rest[: at + len(GREETING)]
        while len(rest) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(rest)
            if kind not in _KINDS or length > _LONGEST:
                raise NotUnderstood(f"a frame of the kind {kind!r} with {length} bytes")
            end = _HEAD.size + length
            if len(rest) < end:
                return
            taken = bytes(rest[_HEAD.size : end])
            del rest[:end]
            yield kind, taken

    def unread(self) -> bytes:
        """What came and is no frame yet, for people."""
        return bytes(self._rest[:_NOISE])
