"""The arguments of rsync. Pure.

Names of files never stand among them: they are in a file of names, each ended by a zero byte, where
neither a shell nor rsync finds patterns, options or comments in them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from weft_rsync.address import Address, End
from weft_rsync.settings import Rsync

__all__ = ["PARTIAL", "bringing", "environment", "listing", "names", "sending"]

PARTIAL: Final = ".weft-partial"
"""The folder, beside a file that is brought, with what has come of it so far."""

_OWN: Final = frozenset(
    {"RSYNC_RSH", "RSYNC_PARTIAL_DIR", "RSYNC_OLD_ARGS", "RSYNC_PROTECT_ARGS", "RSYNC_ICONV"}
)
"""Variables by which rsync would do other things than the arguments say."""

_BOTH: Final = (
    "--from0",
    "--relative",
    "--no-implied-dirs",
    "--times",
    # Files of the same size and time may differ all the same.
    "--ignore-times",
    "--info=progress2",
    "--no-human-readable",
    "--no-motd",
    # Each piece of progress at once, and not when there is a line of it.
    "--outbuf=N",
    "-s",
)


def bringing(settings: Rsync, end: End, listed: str, folder: str) -> list[str]:
    """Brings what is listed into a folder; links over there are followed, and none is made here."""
    more = ["--copy-links", f"--partial-dir={PARTIAL}"]
    return [*_all(settings, end, listed), *more, "--", _remote(end), f"{folder}/"]


def sending(settings: Rsync, end: End, listed: str, folder: str) -> list[str]:
    """Sends what is listed out of a folder."""
    return [*_all(settings, end, listed), "--no-links", "--", f"{folder}/", _remote(end)]


def listing(settings: Rsync, end: End, listed: str) -> list[str]:
    """Says the size and the time of what is listed."""
    # The folder is not touched: rsync wants one to be named where names are listed.
    more = ["--copy-links", "--list-only"]
    return [*_all(settings, end, listed), *more, "--", _remote(end), "./"]


def names(addresses: Sequence[Address]) -> bytes:
    """What stands in the file of names."""
    # Without './', a name that begins with '#' or ';' would be a comment.
    paths = (f"./{one.path}".encode("utf-8", "surrogateescape") for one in addresses)
    return b"".join(path + b"\0" for path in paths)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The variables for rsync: it speaks English, and of times in UTC."""
    kept = {name: value for name, value in given.items() if name not in _OWN}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _all(settings: Rsync, end: End, listed: str) -> list[str]:
    words = [settings.program, f"--files-from={listed}", *_BOTH]
    words.append(f"--timeout={settings.read_timeout}")
    if settings.compress:
        words.append("--compress")
    if settings.bandwidth is not None:
        words.append(f"--bwlimit={settings.bandwidth}")
    if end.ssh:
        words += ["-e", " ".join(map(_quoted, _ssh(settings, end)))]
        if settings.remote_program is not None:
            words.append(f"--rsync-path={settings.remote_program}")
    else:
        words.append(f"--contimeout={settings.connect_timeout}")
        if settings.password_file is not None:
            words.append(f"--password-file={settings.password_file}")
    return words


def _ssh(settings: Rsync, end: End) -> list[str]:
    # What ssh is told first is what holds, whatever its files say. A silent host is given up
    # after three questions.
    every = max(1, settings.read_timeout // 3)
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": settings.connect_timeout,
        "ServerAliveInterval": every,
        "ServerAliveCountMax": 3,
        "ClearAllForwardings": "yes",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "PermitLocalCommand": "no",
        "RequestTTY": "no",
    }
    words = [settings.ssh]
    if settings.ssh_config is not None:
        words += ["-F", settings.ssh_config]
    if settings.key is not None:
        words += ["-i", settings.key, "-o", "IdentitiesOnly=yes"]
    if settings.known_hosts is not None:
        # Quoted for ssh, which takes several files with spaces between them.
        options["UserKnownHostsFile"] = f'"{settings.known_hosts}"'
        options["GlobalKnownHostsFile"] = "none"
    if end.port:
        words += ["-p", end.port]
    return [*words, *(word for item in options.items() for word in ("-o", f"{item[0]}={item[1]}"))]


def _quoted(word: str) -> str:
    """As rsync takes words apart: a quotation mark twice stands for itself."""
    return "'" + word.replace("'", "''") + "'"


def _remote(end: End) -> str:
    if end.ssh:
        return f"{end.login}:{'./' if end.base == '~' else '/'}"
    port = f":{end.port}" if end.port else ""
    return f"rsync://{end.login}{port}/{end.base}/"
