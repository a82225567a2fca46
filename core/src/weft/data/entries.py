"""What is kept of files, and what follows from it. Pure: it knows no file system and no clock.

A *key* says which content is meant. A *record* says how the kept content looked when it was put
there; a *look* says how it looks now.

    (URL, validator) ──key_of──▶ key          record, look ──judged──▶ good | gone | changed
    entries, limit ──victims──▶ those to go, least recently used first
"""

import enum
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from weft.data.urls import masked

__all__ = [
    "Entry",
    "Look",
    "Record",
    "Verdict",
    "checksum_in",
    "judged",
    "key_of",
    "parsed",
    "shown",
    "victims",
    "written",
]

_VERSION: Final = 1
_CHECKSUM: Final = re.compile(r"(sha256|sha512|blake2b):([0-9a-fA-F]+)")
_LETTERS: Final = {"sha256": 64, "sha512": 128, "blake2b": 128}
_LONGEST: Final = 2000
"""Letters of a URL or validator that are written down, for people."""


def checksum_in(validator: str) -> tuple[str, str] | None:
    """The kind and the hexadecimal digits of a validator such as ``sha256:9f86d0…``.

    Only of kinds for which nobody can make two contents with one checksum; ``None`` for all other
    validators.
    """
    found = _CHECKSUM.fullmatch(validator)
    if found is None or len(found[2]) != _LETTERS[found[1]]:
        return None
    return found[1], found[2].lower()


def key_of(url: str, validator: str) -> str:
    """The key of a content: of its checksum if that is known, so that two URLs may share it."""
    checksum = checksum_in(validator)
    text = f"checksum\0{checksum}" if checksum else f"url\0{url}\0{validator}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


@attrs.frozen
class Look:
    """How a content looks to ``stat``."""

    size: int
    mtime_ns: int
    inode: int


@attrs.frozen
class Record:
    """How a content looked when it was put there.

    Attributes:
        key: of the content.
        look: how it looked.
        url: where it came from, as people may see it; cut if it is very long.
        validator: what was said of it there; cut likewise.
    """

    key: str
    look: Look
    url: str
    validator: str

    @classmethod
    def of(cls, url: str, validator: str, look: Look) -> "Record":
        """The record of the content of a URL."""
        key = key_of(url, validator)
        return cls(key, look, shown(url)[:_LONGEST], validator[:_LONGEST])


def shown(url: str) -> str:
    """A URL without what may be a secret: a password, or the signature behind a ``?``."""
    plain, query, _ = masked(url).partition("?")
    return f"{plain}?…" if query else plain


def written(record: Record) -> bytes:
    """A record as it is kept: one line of JSON, whose last letter says that it is whole."""
    row = [_VERSION, record.key, *attrs.astuple(record.look), record.url, record.validator]
    return json.dumps(row).encode("ascii") + b"\n"


def parsed(data: bytes, key: str) -> Record | None:
    """The record of a key; ``None`` for what is cut, foreign, of another key or of no sense."""
    if not data.endswith(b"]\n"):
        return None
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, list) or len(row) != 7 or row[:2] != [_VERSION, key]:
        return None
    numbers, texts = row[2:5], row[5:]
    if any(type(one) is not int or one < 0 for one in numbers):
        return None
    if any(type(one) is not str for one in texts):
        return None
    return Record(key, Look(*numbers), *texts)


class Verdict(enum.Enum):
    """What may be done with a kept content."""

    GOOD = "good"
    """It is what was put there."""
    GONE = "gone"
    """It is not there, or another file is in its place: fetch it."""
    CHANGED = "changed"
    """Somebody wrote into it, such as through a hard link: fetch it, and say so."""


def judged(record: Record | None, look: Look | None) -> Verdict:
    """Whether a content may be used."""
    if record is None or look is None or look.inode != record.look.inode:
        return Verdict.GONE
    return Verdict.GOOD if look == record.look else Verdict.CHANGED


@attrs.frozen(kw_only=True)
class Entry:
    """One kept content, as ``weft cache list`` shows it.

    Attributes:
        record: what was written down.
        used: when it was used last, in seconds since 1970.
        others: how many files of tasks are this very content, by hard links.
        good: whether it is what was put there; one that is not is fetched anew at its next use.
    """

    record: Record
    used: float
    others: int = 0
    good: bool = True


def victims(
    entries: Iterable[Entry], limit: float, *, before: float = float("-inf"), keep: str = ""
) -> Sequence[Entry]:
    """Those to be removed: bad ones, those of no use since ``before``, and as many as are too much.

    Of the latter, the least recently used go first; and before them those that are files of tasks
    too stay, since to forget them frees nothing until the tasks' files are gone as well.

    Args:
        entries: all there are.
        limit: bytes that may stay.
        before: seconds since 1970; what was used last before that goes.
        keep: the key of an entry that stays, whatever its size.
    """
    found = [one for one in entries if one.record.key != keep]
    gone = [one for one in found if not one.good or one.used < before]
    rest = [one for one in found if one.good and one.used >= before]
    rest.sort(key=lambda one: (one.others > 0, one.used))
    left = sum(one.record.look.size for one in rest)
    for one in rest:
        if left <= limit:
            break
        gone.append(one)
        left -= one.record.look.size
    return gone
