"""Checksums of what goes by, and what they are to be."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from weft_http.parts import Part
from weft_http.trouble import Trouble

__all__ = ["Sums"]

_READ: Final = 1024 * 1024


class Sums:
    """Counts up the checksums of one file.

    Args:
        said: those that the server says, the most trustworthy first; one is enough.
        expected: the algorithm and the digits that the user wants.
    """

    def __init__(self, said: Mapping[str, str], expected: tuple[str, str] | None) -> None:
        self._said = next(iter(said.items()), None)
        self._expected = expected
        self._counted: dict[str, Any] = {}
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        wanted = {one[0] for one in (self._said, self._expected) if one is not None}
        self._counted = {name: hashlib.new(name, usedforsecurity=False) for name in wanted}

    def update(self, piece: bytes) -> None:
        """Take in what comes next."""
        for one in self._counted.values():
            one.update(piece)

    def reread(self, part: Part, end: int) -> None:
        """Take in what had come before."""
        if self._counted:
            for at in range(0, end, _READ):
                self.update(part.read(min(_READ, end - at), at))

    def must_agree(self, *, again: bool = False) -> None:
        """See that it is the content that it should be.

        Args:
            again: whether another try may bring another content.

        Raises:
            Trouble: it is not.
        """
        if self._said is not None:
            name, wanted = self._said
            found = self._counted[name].hexdigest()
            if found != wanted:
                raise Trouble(
                    f"The {name} of what came is {found}, and the server says {wanted}.",
                    "It was spoilt on its way, or the server is wrong about it.",
                    again=True,
                )
        if self._expected is not None:
            name, wanted = self._expected
            found = self._counted[name].hexdigest()
            if found != wanted:
                raise Trouble(
                    f"The {name} of the content is {found}, and you expect {wanted}.",
                    "The file has changed, or the checksum is that of another.",
                    again=again,
                )
