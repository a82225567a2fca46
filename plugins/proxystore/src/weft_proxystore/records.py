"""How a file lies in a store: under names of its own, in pieces. Pure.

    f-HASH     the record of a file: what it is called, its size, and where its pieces are; a small
               file is in its record
    c-HASH     the claim of who is sending it: which pieces there may be before there is a record
    p-ID-N     a piece

The hash is that of the URL, the id one of each sending. So a file is never seen before all of it is
there, and what a sender left that was killed is known by its claim.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

import attrs

__all__ = ["INLINE", "Record", "Unreadable", "claim_name", "piece_name", "record_name"]

INLINE: Final = 65536
"""Bytes of a file that is in its record."""

_FORMAT: Final = 1


class Unreadable(ValueError):
    """What lies under the name of a record is none."""


@attrs.frozen(kw_only=True)
class Record:
    """A file in a store.

    Attributes:
        url: what it is called.
        id: of its sending; another one whenever its content may be.
        size: bytes.
        piece: bytes of each piece but the last; 0 if all of it is in the record.
        at: the part of the store that has the pieces, where it has parts.
        content: what is in the record.
    """

    url: str
    id: str
    size: int
    piece: int = 0
    at: str = ""
    content: bytes = b""

    @property
    def pieces(self) -> int:
        """How many there are beside the record."""
        return -(-self.size // self.piece) if self.piece else 0

    def length(self, number: int) -> int:
        """Bytes of a piece."""
        return min(self.piece, self.size - number * self.piece)

    def packed(self) -> bytes:
        """As it lies in the store: a line of JSON, and what it holds of the file."""
        head = {
            "weft": _FORMAT,
            "url": self.url,
            "id": self.id,
            "size": self.size,
            "piece": self.piece,
            "at": self.at,
        }
        return json.dumps(head).encode() + b"\n" + self.content

    @classmethod
    def unpacked(cls, data: bytes) -> Record:
        """What ``packed`` made.

        Raises:
            Unreadable: it did not.
        """
        line, _, content = data.partition(b"\n")
        try:
            head: dict[str, Any] = json.loads(line)
            if head.pop("weft") != _FORMAT:
                raise Unreadable("it was written by another version of weft-proxystore")
            made = cls(**head, content=content)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        if not made.piece and len(content) != made.size:
            raise Unreadable(f"it holds {len(content)} bytes, and says {made.size}")
        return made


def record_name(url: str) -> str:
    """Under which the record of a file lies."""
    return f"f-{_hash(url)}"


def claim_name(url: str) -> str:
    """Under which the claim of who sends a file lies."""
    return f"c-{_hash(url)}"


def piece_name(sending: str, number: int) -> str:
    """Under which a piece lies."""
    return f"p-{sending}-{number}"


def _hash(url: str) -> str:
    return sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:40]
