"""Why a block did not come up: what its job wrote, what the scheduler said, and what that means.

What a job wrote is read in bounded time and size, and is shown without what looks like a secret.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import attrs

from weft.blocks.lifecycle import BlockRecord
from weft.errors import BlockFailed, WeftError

__all__ = ["Evidence", "failure", "gathered", "hidden", "in_words", "tail"]

_LINES: Final = 20
_BYTES: Final = 8192
# Patterns are compiled when they are first used, and kept by `re`: most blocks come up.
_TELLING: Final = (
    r"(?i:pass(?:word|wd|phrase)?|secret|token|credential|private|apikey|[_-]key|auth(?!or))"
)
_ASSIGNED: Final = (
    rf"((?:[\w-]*{_TELLING}[\w-]*)[\"']?\s*(?:=|:)\s*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&]+)"
)
_OPTION: Final = rf"(--?[\w-]*{_TELLING}[\w-]*\s+)(\"[^\"\n]*\"|'[^'\n]*'|[^\s-]\S*)"
_IN_URL: Final = r"(\w+://[^/\s:@]*:)[^@\s/]+(?=@)"
_BEARER: Final = r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"
_SHORTEST: Final = 6  # a shorter value is in too many words to be put out everywhere


@attrs.frozen(kw_only=True)
class Evidence:
    """What a job left behind: the last lines of what it wrote, as far as they could be read."""

    stdout: str = ""
    stderr: str = ""


def gathered(record: BlockRecord, secrets: Iterable[str] = ()) -> Evidence:
    """The last lines of what the job of a block wrote."""
    known = tuple(secrets)
    return Evidence(
        stdout=hidden(tail(record.stdout), known), stderr=hidden(tail(record.stderr), known)
    )


def tail(path: Path | None, lines: int = _LINES, size: int = _BYTES) -> str:
    """The last lines of a file, and no more than so many bytes; empty if it cannot be read."""
    if path is None:
        return ""
    try:
        # Not blocking: a pipe with nobody at its other end would hold us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError, TypeError):
        return ""
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            return ""
        start = max(0, about.st_size - size)
        data = os.pread(descriptor, size, start)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    text = data.decode("utf-8", "replace")
    if start:
        text = text.partition("\n")[2] or text
    return "\n".join(_plain(line) for line in text.rstrip().splitlines()[-lines:])


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of those variables whose names say that they are secret."""
    return tuple(
        value
        for name, value in environment.items()
        if re.search(_TELLING, name) and len(value) >= _SHORTEST
    )


def hidden(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the secrets that are known, and without what looks like one."""
    for secret in secrets:
        text = text.replace(secret, "***")
    # Each is looked for where it can be at all: most texts have no sign of any.
    if "://" in text:
        text = re.sub(_IN_URL, r"\1***", text)
    text = re.sub(_BEARER, r"\1 ***", text)
    if "=" in text or ":" in text:
        text = re.sub(_ASSIGNED, r"\1***", text)
    if "-" in text:
        text = re.sub(_OPTION, r"\1***", text)
    return text


def in_words(record: BlockRecord) -> str:
    """A block and its job, as they are called in texts."""
    return f"{record.id} (job {record.job})" if record.job else f"{record.id} (no job)"


def failure(
    label: str,
    starts: int,
    record: BlockRecord,
    *,
    command: str,
    evidence: Evidence,
    cause: BaseException | None = None,
) -> BlockFailed:
    """The error for blocks that do not come up, with all that is known of the last one.

    Args:
        label: the executor's.
        starts: how many starts in a row failed.
        record: the last of them.
        command: what it was to run, without secrets.
        evidence: what its job wrote.
        cause: what its provider raised, if it did.
    """
    facts = {"block": in_words(record), "scheduler": hidden(_flat(record.reason))}
    if command:
        facts["command"] = command
    if record.exit_code is not None:
        facts["exit code"] = str(record.exit_code)
    for name, path, said in (
        ("stdout", record.stdout, evidence.stdout),
        ("stderr", record.stderr, evidence.stderr),
    ):
        if path is not None:
            facts[name] = f"in {path}" + (f"\n{said}" if said else ", which is empty")
    why, todo = _understood(record, evidence, cause)
    error = BlockFailed(label, starts, why, todo=todo, facts=facts)
    error.__cause__ = cause
    return error


def _understood(
    record: BlockRecord, evidence: Evidence, cause: BaseException | None
) -> tuple[str, str]:
    """What it most likely is, and what to do about it."""
    if isinstance(cause, WeftError):
        why = cause.what if not cause.why else f"{cause.what} {cause.why}"
        return hidden(why), hidden(cause.todo)
    told = list(re.finditer(_TOLD, evidence.stderr))
    if told:
        # A manager that knows why it ends says it as every error of weft is said.
        what, why, todo = told[-1].groups()
        return f"{what} {why}", todo
    for pattern, why, todo in _KNOWN:
        if re.search(pattern, evidence.stderr) or re.search(pattern, evidence.stdout):
            return why, todo
    if record.exit_code in _CODES:
        return _CODES[record.exit_code]
    return hidden(
        f"The last block ended like this: {_flat(record.reason) or 'no reason given'}."
    ), ""


# Words of others that a reason quotes are indented below it.
_TOLD: Final = r"(?m)^(.+)\nWhy: (.+(?:\n  .*)*)\nDo: (.+)\n\(W-[A-Z]+-\d+\)$"

_KNOWN: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"No module named '?weft",
        "The Python that starts on the machines of the block does not have weft, or not all of it.",
        "Have the block activate the environment in which weft is installed.",
    ),
    (
        r"(?:command )?not found|No such file or directory",
        "Something that the block starts, or reads, is not there on its machines.",
        "Have the block load the modules, or activate the environment, that has it.",
    ),
    (
        r"Permission denied",
        "The block may not read or run something that it needs.",
        "Look at the modes of the file that is named in its output.",
    ),
    (
        r"Disk quota exceeded|No space left on device",
        "There is no space left where the block writes.",
        "Free some space, or have weft write its run folder elsewhere.",
    ),
    (
        r"(?i)out[ -]of[ -]memory|oom[-_ ]kill|cannot allocate memory",
        "The block ran out of memory.",
        "Ask for more memory for each block, or run fewer workers on it.",
    ),
    (
        r"Connection refused|timed out|No route to host|Network is unreachable",
        "The block could not connect to the executor.",
        "Name the address by which the machines of the block can reach this one.",
    ),
)
_KILLED: Final = (
    "The block was killed, most often because it took more memory than it had asked for.",
    "Ask for more memory for each block, or run fewer workers on it.",
)
_CODES: Final[Mapping[int | None, tuple[str, str]]] = {
    0: (
        "The command of the block ended without an error, and so cannot have started workers.",
        "Run the command by hand on one of the machines to see what it says.",
    ),
    126: (
        "A command of the block cannot be run on its machines.",
        "Look whether it is a program for that kind of machine, and may be run.",
    ),
    127: (
        "A command of the block was not found on its machines.",
        "Have the block load the modules, or activate the environment, that has it.",
    ),
    137: _KILLED,
    -9: _KILLED,
}


def _flat(text: str) -> str:
    return " ".join(text.split())


def _plain(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in line)
