"""What rsync says, understood. Pure.

Exit codes are those of the section "EXIT VALUES" of its manual, rsync(1).
"""

import re
from typing import Final

import attrs

__all__ = ["Trouble", "bytes_done", "lines_about", "understood", "validator_in"]


@attrs.frozen
class Trouble:
    """Why a transfer failed.

    Attributes:
        why, todo: for people.
        again: whether another try may help.
        of_all: whether it kept every file of the transfer from being moved.
        full: whether there was no space; what has come so far is not kept then.
    """

    why: str
    todo: str = ""
    again: bool = False
    of_all: bool = False
    full: bool = False


_PROGRESS: Final = re.compile(rb"(?:^|\r|\n)\s*([0-9]+)\s+[0-9]+%")
_LISTED: Final = re.compile(
    r"^-\S{9}\S?\s+([0-9]+) ([0-9]{4}/[0-9]{2}/[0-9]{2}) ([0-9:]{8}) ", re.MULTILINE
)

_NOISE: Final = re.compile(
    r"^rsync error: |read error: Connection reset by peer|^\s*$|^Password: $"
)
"""Lines that come after what matters: the code again, and the end of the connection."""

_CODES: Final = {
    1: ("It does not take what was asked of it", False, "Install rsync 3.1 or newer."),
    2: ("The two sides speak no common version of its protocol", False, "Install a newer rsync."),
    3: ("It cannot read what it is to send, or write where it is to", False, ""),
    4: ("The other side cannot do what is asked of it", False, "Install a newer rsync there."),
    5: ("The daemon does not serve this", False, ""),
    6: ("The daemon cannot write its log", False, ""),
    10: ("The connection failed", True, ""),
    11: ("A file could not be read or written", False, "Look at the space and permissions."),
    12: ("The connection ended too early", True, ""),
    13: ("It could not say what it had to say", True, ""),
    14: ("Its processes could not talk to one another", True, ""),
    15: ("A process of it crashed", True, ""),
    16: ("A process of it was killed", True, ""),
    19: ("It was told to end", True, ""),
    20: ("It was told to end", True, ""),
    21: ("It lost a process of its own", True, ""),
    22: ("It had not enough memory", True, ""),
    23: ("Not everything could be moved", False, ""),
    24: ("A file went away while it was moved", True, ""),
    30: ("The other side was silent for too long", True, "The option read_timeout says how long."),
    35: ("The daemon took too long to answer", True, "The option connect_timeout says how long."),
    126: ("ssh could not start it there", False, ""),
    127: ("It is not there", False, ""),
    255: ("ssh could not connect", True, ""),
}
"""What it is, whether another try may help, and what to do."""

_ONE_FILE: Final = frozenset({3, 23, 24})
"""Codes that speak of some of the files and not of all."""


@attrs.frozen
class _Clue:
    """What a line says that its code does not."""

    pattern: re.Pattern[str]
    again: bool
    todo: str = ""
    full: bool = False


def _clue(pattern: str, *, again: bool, todo: str = "", full: bool = False) -> _Clue:
    return _Clue(re.compile(pattern), again, todo, full)


_CLUES: Final = (
    _clue(
        r"Host key verification failed|host key is known|HOST IDENTIFICATION HAS CHANGED",
        again=False,
        todo="Connect once by hand and compare the fingerprint; if the key has changed, ask why "
        "before the old one is removed.",
    ),
    _clue(
        r"Permission denied \([a-z,-]+\)",
        again=False,
        todo="Have the host take your key (ssh-copy-id), load it (ssh-add), or name it by the "
        "option key.",
    ),
    _clue(
        r"@ERROR: auth failed",
        again=False,
        todo="Name the user in the URL, and give the password by RSYNC_PASSWORD or the option "
        "password_file.",
    ),
    _clue(
        r"@ERROR: max connections",
        again=True,
        todo="It takes as many as its configuration says.",
    ),
    _clue(r"did not see server greeting", again=True),
    _clue(
        r"@ERROR: Unknown module",
        again=False,
        todo="`rsync rsync://HOST/` lists the modules of a daemon.",
    ),
    _clue(
        r"password file must|could not open password file|password_file",
        again=False,
        todo="The option password_file names a file that only its owner can read.",
    ),
    _clue(r"read[- ]?only", again=False, todo="The module is served for reading alone."),
    _clue(
        r"rsync: (command )?not found|rsync: No such file",
        again=False,
        todo="Install rsync there, or say by the option remote_program where it is.",
    ),
    _clue(r"No space left on device|quota exceeded", again=True, todo="Make space.", full=True),
    _clue(r"File too large", again=False, todo="A limit or the file system forbids it.", full=True),
    _clue(
        r"failed: No such file or directory",
        again=False,
        todo="Check the path; it is case-sensitive.",
    ),
    _clue(r"Permission denied \(13\)", again=False, todo="Look at the permissions there."),
    _clue(
        r"failed verification|Input/output error|Stale file handle|has vanished",
        again=True,
    ),
    _clue(
        r"timed out|Connection refused|Connection reset|closed by|Name or service not known"
        r"|Could not resolve|Temporary failure|No route to host|unreachable|Broken pipe",
        again=True,
    ),
)


def bytes_done(piece: bytes) -> int | None:
    """How many bytes have been moved, by the last that a piece of output says of it."""
    found = _PROGRESS.findall(piece)
    return int(found[-1]) if found else None


def validator_in(listed: str) -> str | None:
    """The time and the size of the file that a listing shows; ``None`` if it shows none."""
    found = _LISTED.search(listed)
    if found is None:
        return None
    size, day, time = found.groups()
    return f"{day.replace('/', '-')}T{time}-{size}"


def lines_about(said: str, path: str) -> str:
    """The lines in which a path stands, written as rsync writes it."""
    raw = path.encode("utf-8", "surrogateescape")
    # What does not print is written as \#ooo.
    shown = "".join(chr(b) if 0x20 <= b < 0x7F else f"\\#{b:03o}" for b in raw)
    return "\n".join(line for line in said.splitlines() if f'"{shown}"' in line)


def understood(code: int, said: str) -> Trouble:
    """What an exit code other than 0 means, with what was said.

    Args:
        code: negative for the signal that ended it.
        said: the end of what it wrote as errors.
    """
    lines = [line.strip() for line in said.splitlines() if not _NOISE.search(line)]
    told = "; ".join(lines[-3:])
    if code < 0:
        return Trouble(f"rsync was ended by signal {-code}.", again=True, of_all=True)
    what, again, todo = _CODES.get(code, ("It failed", False, ""))
    full = False
    for clue in _CLUES:
        if clue.pattern.search(said):
            again, full, todo = clue.again, clue.full, clue.todo or todo
            break
    why = f"rsync: {what} (exit code {code}){f': {told}' if told else ''}."
    return Trouble(why, todo, again, of_all=code not in _ONE_FILE, full=full)
