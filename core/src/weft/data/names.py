"""The names under which files lie in a folder, and names of others that lead nowhere else. Pure.

https://host/run%207/reads.bam      4f0c1b7a93e2-reads.bam
https://host/run%207/reads.bam.bai  4f0c1b7a93e2-reads.bam.bai    siblings stay siblings
https://other/reads.bam             81d5b7c0aa42-reads.bam        and others stay apart
https://host/a/..%2F..%2Fb          0d2f11c9ef0a6b1c44d1e7c2-.._.._b
"""

import hashlib
import os
import re
from typing import Final
from urllib.parse import quote, unquote

__all__ = ["LONGEST", "NameLeadsOut", "name_for", "name_for_url", "relative_name"]

LONGEST: Final = 255
"""Bytes that a name may have, on most file systems."""

_KEPT: Final = 200
"""Bytes that stay of the last part when all of it would be too long."""
_HARMFUL: Final = re.compile("[/\\\\\x00-\x1f\x7f-\x9f\ud800-\udc7f\udd00-\udfff]")
"""No part of a name. A surrogate stands for a byte, or for nothing that could be written."""
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_UNQUOTED: Final = "!$&'()*+,;=:@"
"""What may stand in the path of a URL as it is, besides letters, digits and ``-._~``."""


class NameLeadsOut(ValueError):
    """A name that would lead out of the folder it is meant for; the text says why."""


def name_for(path: str) -> str:
    """A name for the file of that path that no file of another path gets.

    Files of one folder share what it begins with, so that ``reads.bam`` and ``reads.bam.bai`` still
    belong together, and it ends as the path does.

    Args:
        path: a path of this machine, made absolute, without ``..``.
    """
    folder, name = os.path.split(path)
    return _made(name, folder, path)


def name_for_url(url: str) -> str:
    """A name for the file of a URL that no file of another URL gets.

    It is one part of a path, whatever the URL holds: no slash, no control character, never ``.``
    or ``..``, at most 255 bytes. Files of one folder share what it begins with, and it ends as the
    last part of the URL's path does, with ``%20`` and the like undone.
    """
    path, query = _without_query(url)
    folder, _, last = path.rpartition("/")
    # As bytes that are no text can stand in a URL, they can stand in a name.
    plain = unquote(last, errors="surrogateescape")
    before = f"{folder}/{query}"
    # 'a%20b' and 'a b' are two files for some that serve them, as are '%41' and 'A'.
    if plain == last:
        before = f"={before}"
    elif last == quote(plain, safe=_UNQUOTED, errors="surrogateescape"):
        before = f"%{before}"
    else:
        before = f"!{url}"
    return _made(plain, before, url)


def relative_name(name: str) -> str:
    """A name with ``/`` between its parts that stays in its folder, in its shortest form.

    For what others say: members of archives, and files that a task says it made.

    Raises:
        NameLeadsOut: it is absolute, has a part ``..``, or cannot be the name of a file.
    """
    if not name:
        raise NameLeadsOut("It is empty.")
    if name.startswith("/"):
        raise NameLeadsOut(f"{name!r} is not relative to the folder.")
    if found := _CONTROL.search(name):
        raise NameLeadsOut(f"{name!r} holds {found[0]!r}, which is no letter of a name.")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise NameLeadsOut(f"{name!r} leads out of the folder by '..'.")
    if not parts:
        raise NameLeadsOut(f"{name!r} is the folder itself.")
    try:
        long = next((part for part in parts if len(os.fsencode(part)) > LONGEST), None)
    except UnicodeEncodeError:
        raise NameLeadsOut(f"{name!r} cannot be written as the name of a file.") from None
    if long is not None:
        raise NameLeadsOut(f"{long[:40]!r}… is longer than the {LONGEST} bytes of a name.")
    return "/".join(parts)


def _made(plain: str, before: str, whole: str) -> str:
    """The name, from its last part, what tells it from others of that last part, and all of it."""
    safe = _HARMFUL.sub("_", plain)
    if safe and safe == plain:
        made = f"{_hashed(before, 12)}-{safe}"
        if len(os.fsencode(made)) <= LONGEST:
            return made
    # Letters that were replaced could be those of another; so could an end without its front.
    end = os.fsencode(safe)[-_KEPT:].decode("utf-8", "ignore")
    return f"{_hashed(whole, 24)}-{end or 'root'}"


def _without_query(url: str) -> tuple[str, str]:
    ends = [at for at in (url.find("?"), url.find("#")) if at >= 0]
    end = min(ends, default=len(url))
    return url[:end], url[end:]


def _hashed(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
