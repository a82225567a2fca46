"""What lies in the folder of a job: what is written there for it, and what it leaves itself.

Every file is new, and for its owner alone: what is there already belongs to another job, and what
others may read tells them secrets.
"""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

__all__ = [
    "CODE",
    "ENVIRONMENT",
    "ERR",
    "OUT",
    "OWN",
    "environment_text",
    "folder_of",
    "own_code",
    "word_of",
    "written",
]

ENVIRONMENT: Final = "job.env"
"""The variables of the job, which may be secret, and so are in no script that others can read."""
CODE: Final = "job.code"
"""Where a job writes the exit code of its command, as its last deed."""
OWN: Final = "job.sh"
"""The script of a job that is one of an array."""
OUT: Final = "job.out"
ERR: Final = "job.err"

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def written(folder: Path, name: str, text: str, mode: int = 0o600) -> Path:
    """Write a new file.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    path = folder.absolute() / name
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask takes away
        file.write(text.encode("utf-8", "surrogateescape"))
    return path


def environment_text(environment: Mapping[str, str]) -> str:
    """Shell text that sets these variables.

    Raises:
        ValueError: a shell cannot have such a variable.
    """
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise ValueError(f"no shell can be given the variable {name!r}")
    return "".join(f"export {name}={shlex.quote(one)}\n" for name, one in environment.items())


def own_code(folder: Path) -> int | None:
    """The exit code that a job wrote as its last deed; ``None`` while it has not."""
    try:
        with (folder / CODE).open(encoding="ascii") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return None


def word_of(folder: Path) -> str:
    """A folder as one word without quotes or blanks, for a scheduler to keep beside its job."""
    return quote(str(folder.absolute()), errors="surrogateescape")


def folder_of(word: str) -> str:
    """The folder of which this is the word; empty if it is another text."""
    return unquote(word, errors="surrogateescape") if word.startswith("/") else ""
