"""What a URL of rsync names. Pure.

rsync://[user@]host[:port]/module/path         a file of a daemon
rsync+ssh://[user@]host[:port]/path            a file of a host, by its absolute path
rsync+ssh://[user@]host[:port]/~/path          one of the user's home there
"""

import re
from typing import Final
from urllib.parse import unquote

import attrs

from weft.data.urls import host_of, is_secret

__all__ = ["Address", "BadAddress", "End", "understood"]

# Nothing that ssh or rsync could take for an option, nor a shell for anything.
_HOST: Final = re.compile(
    r"((?P<user>[A-Za-z0-9_.][A-Za-z0-9_.-]*)@)?"
    r"(?P<host>[A-Za-z0-9_.][A-Za-z0-9_.-]*|\[[A-Fa-f0-9:.]+(%[A-Za-z0-9_.]+)?\])"
    r"(:(?P<port>[0-9]{1,5}))?"
)
_MODULE: Final = re.compile(r"[A-Za-z0-9_.+ @-]+")


class BadAddress(ValueError):
    """A URL that names no file. The arguments are why, and what to do."""

    def __init__(self, why: str, todo: str) -> None:
        super().__init__(why)
        self.why, self.todo = why, todo


@attrs.frozen(kw_only=True)
class End:
    """The other end of a transfer; files with the same one go together.

    Attributes:
        ssh: whether it is reached by ssh; otherwise it is a daemon.
        login: ``[user@]host``, the host in brackets if it is a number of IPv6.
        port: empty for the usual one.
        base: what the paths of files begin at: the name of a module, ``/``, or ``~`` for the home.
    """

    ssh: bool
    login: str
    port: str
    base: str


@attrs.frozen
class Address:
    """A file of the other end: the path starts from its base, without a slash before or after."""

    end: End
    path: str


def understood(url: str) -> Address:
    """What a URL names.

    Raises:
        BadAddress: it names no file.
    """
    if is_secret(url):
        raise BadAddress(
            "It holds a password, which would be in logs and in lists of processes.",
            "Leave it out. For a daemon, set RSYNC_PASSWORD or the option password_file; for ssh, "
            "use a key.",
        )
    ssh = url.partition("://")[0].lower() == "rsync+ssh"
    netloc = url.partition("://")[2].partition("/")[0]
    match = _HOST.fullmatch(netloc)
    if match is None or (match["port"] and not 1 <= int(match["port"]) <= 65535):
        said = f"{host_of(url)!r} is no name of a host." if netloc else "It names no host."
        raise BadAddress(said, f"Write {_FORMS[ssh]}, with letters that a URL cannot hold encoded.")
    path = unquote(url.partition("://")[2].partition("/")[2], errors="surrogateescape")
    parts = [part for part in path.split("/") if part]
    if "\0" in path or {".", ".."} & set(parts):
        raise BadAddress(
            "A part of its path is '.' or '..', or holds a zero byte.",
            "Name the file by the shortest path that leads to it.",
        )
    base = "/"
    if not ssh or parts[:1] == ["~"]:
        base, parts = (parts[0] if parts else ""), parts[1:]
    if not ssh and base and not _MODULE.fullmatch(base):
        raise BadAddress(f"{base!r} is no name of a module.", f"Write {_FORMS[ssh]}.")
    if not parts or path.endswith("/"):
        raise BadAddress("It names no file.", f"Write {_FORMS[ssh]}.")
    login = f"{match['user']}@{match['host']}" if match["user"] else match["host"]
    return Address(End(ssh=ssh, login=login, port=match["port"] or "", base=base), "/".join(parts))


_FORMS: Final = {
    False: "rsync://host/module/path or rsync://user@host:port/module/path",
    True: "rsync+ssh://host/path, or rsync+ssh://user@host:port/~/path for one in the home",
}
