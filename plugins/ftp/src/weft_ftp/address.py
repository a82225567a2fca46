"""What a URL of FTP names. Pure.

    ftp://[user@]host[:port]/path          from the folder in which the user arrives
    ftp://[user@]host[:port]//path         from the root; %2Fpath is the same
    ftps://…                               the same, with TLS

As RFC 1738 has it, but for the type at the end: files are always moved as they are.
"""

import re
from typing import Final
from urllib.parse import unquote

import attrs

from weft.data.urls import is_secret

__all__ = ["Address", "BadAddress", "Server", "understood"]

_HOST: Final = re.compile(
    r"((?P<user>[^@:/\s]+)@)?"
    r"(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[A-Fa-f0-9:.]+\])"
    r"(:(?P<port>[0-9]{1,5}))?"
)
_TYPE: Final = re.compile(r";type=[ai]$", re.IGNORECASE)


class BadAddress(ValueError):
    """A URL that names no file. The arguments are why, and what to do."""

    def __init__(self, why: str, todo: str) -> None:
        super().__init__(why)
        self.why, self.todo = why, todo


@attrs.frozen(kw_only=True)
class Server:
    """A server, and who is to be known there.

    Attributes:
        tls: whether it is ``ftps``.
        host: its name or address, without brackets.
        port: 0 for the usual one.
        user: empty for the one of the netrc file, or anonymous.
    """

    tls: bool
    host: str
    port: int = 0
    user: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


@attrs.frozen
class Address:
    """A file of a server: its path, as it is written in commands."""

    server: Server
    path: str


def understood(url: str) -> Address:
    """What a URL names.

    Raises:
        BadAddress: it names no file.
    """
    if is_secret(url):
        raise BadAddress(
            "It holds a password, which would be in logs.",
            "Leave it out, and write 'machine HOST login USER password WORD' into ~/.netrc, which "
            "only you may be able to read.",
        )
    scheme, _, rest = url.partition("://")
    netloc, _, raw = rest.partition("/")
    match = _HOST.fullmatch(netloc)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise BadAddress(
            f"{netloc!r} is no name of a host." if netloc else "It names no host.",
            "Write ftp://host/path or ftp://user@host:port/path.",
        )
    path = unquote(_TYPE.sub("", raw), errors="surrogateescape")
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in path):
        raise BadAddress(
            "Its path holds a control character, such as the end of a line, and FTP has no way to "
            "write that.",
            "Have the file renamed over there.",
        )
    parts = path.split("/")
    if {".", ".."} & set(parts):
        raise BadAddress(
            "A part of its path is '.' or '..'.", "Name the file by the path that leads to it."
        )
    if not parts[-1]:
        raise BadAddress("It names no file.", "Write ftp://host/path.")
    server = Server(
        tls=scheme.lower() == "ftps",
        host=match["host"].strip("[]"),
        port=int(match["port"] or 0),
        user=unquote(match["user"] or ""),
    )
    # A space at the front would be lost, and a dash taken for an option by some.
    return Address(server, path if path[0] not in " -~" else f"./{path}")
