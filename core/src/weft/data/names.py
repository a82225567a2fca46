"""The names under which files of URLs lie in a folder. Pure.

https://host/run 7/reads.bam      4f0c1b7a93e2-reads.bam
https://host/run 7/reads.bam.bai  4f0c1b7a93e2-reads.bam.bai
https://other/reads.bam           81d5b7c0aa42-reads.bam
https://host/a/..%2F..%2Fb        0d2f11c9ef0a6b1c44d1e7c2-.._.._b
"""

import hashlib
import os
from typing import Final
from urllib.parse import unquote

__all__ = ["name_for_url"]

_LONGEST: Final = 255
_KEPT: Final = 200
"""Bytes that stay of the last part when all of it would be too long."""


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
    safe = "".join("_" if _is_harmful(letter) else letter for letter in plain)
    made = f"{_hashed(folder + '/' + query, 12)}-{safe}"
    raw = os.fsencode(made)
    if safe and safe == plain and len(raw) <= _LONGEST:
        return made
    # Letters that were replaced could be those of another URL; so could an end without its front.
    end = os.fsencode(safe)[-_KEPT:].decode("utf-8", "ignore")
    return f"{_hashed(url, 24)}-{end or 'file'}"


def _without_query(url: str) -> tuple[str, str]:
    ends = [at for at in (url.find("?"), url.find("#")) if at >= 0]
    end = min(ends, default=len(url))
    return url[:end], url[end:]


def _is_harmful(letter: str) -> bool:
    # A surrogate stands for a byte, or for nothing that could be written.
    lone = "\ud800" <= letter <= "\udc7f" or "\udd00" <= letter <= "\udfff"
    return letter in "/\\" or letter < " " or letter == "\x7f" or lone


def _hashed(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
