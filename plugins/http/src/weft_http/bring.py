"""One file that is brought: from the first byte, or on from where an earlier try had come to."""

from collections.abc import Callable
from typing import Final

import attrs

from weft_http.addresses import Address
from weft_http.answers import Facts
from weft_http.connections import Answer, Connections
from weft_http.parts import Part
from weft_http.sums import Sums
from weft_http.trouble import Trouble

__all__ = ["OVERLAP", "Bringing"]

OVERLAP: Final = 64 * 1024
"""Bytes before the end of a part that are asked for again and compared: after a crash of the
machine they may never have reached the disk, and a server may say of two contents that they are
one."""

_PASSING: Final = frozenset({408, 425, 429, 502, 503, 504})
"""What servers answer for a while, whatever they are asked."""
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_PACKED_NAMES: Final = (".gz", ".tgz")


@attrs.frozen(kw_only=True)
class Bringing:
    """What is needed to bring one file into its part.

    Attributes:
        connections: to the servers.
        address: of the file.
        part: where it goes.
        expected: the checksum that the user wants, by its algorithm.
        unknown_length: whether a file is taken of which nobody says where it ends.
        told: is told, for each piece, how much there is, and how much there will be.
    """

    connections: Connections
    address: Address
    part: Part
    expected: tuple[str, str] | None
    unknown_length: bool
    told: Callable[[int, int | None], None]

    def fetch(self) -> None:
        """Have the whole file in the part.

        Raises:
            Trouble: it did not come, or is not what it should be.
            OSError: it cannot be written.
        """
        if not self._go_on():
            # What had come is not the beginning of what is there now: once more, from the start.
            self.part.drop()
            self._go_on()

    def _go_on(self) -> bool:
        """Have what is missing; false if it does not fit what had come before."""
        part = self.part
        at = max(0, part.size - OVERLAP) if part.condition else 0
        asked = {"Range": f"bytes={at}-", "If-Range": part.condition} if at else {}
        with self.connections.ask("GET", self.address, asked) as answer:
            if at and answer.status == 416:
                return False
            if answer.status != 200 and not (at and answer.status == 206):
                if answer.status not in _PASSING:
                    part.drop()  # perhaps it is the range that the server cannot stand
                raise answer.refused()
            if answer.status == 206:
                facts = _facts_of_rest(answer, at, part.condition)
                if facts is None:
                    return False
                unpacked = False
            else:
                facts = answer.facts()
                unpacked = _is_unpacked(answer, facts)
                self._must_end(answer, facts)
                part.begin(facts.condition, facts.total)
                at = 0
            sums = Sums(facts.sums, self.expected)
            sums.reread(part, at)
            resumed, held = at > 0, part.size
            for piece in answer.pieces(decode=unpacked):
                if at < held and part.read(min(len(piece), held - at), at) != piece[: held - at]:
                    return False
                part.write(piece, at)
                sums.update(piece)
                at += len(piece)
                self.told(at, facts.total)
        self._must_be_whole(at, facts, sums, resumed=resumed)
        return True

    def _must_end(self, answer: Answer, facts: Facts) -> None:
        if facts.ends or facts.sums or self.expected is not None or self.unknown_length:
            return
        raise Trouble(
            f"{answer.address.server} does not say how long the file is, so one that was cut short "
            "would look whole.",
            "Add its checksum to the URL, as #sha256=…, or set unknown_length=True.",
        )

    def _must_be_whole(self, end: int, facts: Facts, sums: Sums, *, resumed: bool) -> None:
        if facts.total is not None and end != facts.total:
            raise Trouble(
                f"{self.address.server} sent {end:,} bytes of {facts.total:,}.",
                "Ask who runs the server if it happens again.",
                again=True,
            )
        try:
            sums.must_agree(again=resumed)
        except Trouble:
            self.part.drop()  # there is nothing to go on with
            raise


def _facts_of_rest(answer: Answer, at: int, condition: str) -> Facts | None:
    """What an answer to a range says, if it is the rest that was asked for."""
    try:
        facts = answer.facts()
    except Trouble:
        return None
    # An answer to If-Range may leave the condition out.
    same = facts.condition in {"", condition}
    return facts if same and facts.start == at and not facts.encoding else None


def _is_unpacked(answer: Answer, facts: Facts) -> bool:
    """Whether what comes is packed for its way alone, and to be unpacked."""
    if not facts.encoding:
        return False
    if facts.encoding not in _PACKED:
        raise Trouble(
            f"{answer.address.server} sends the file packed as {facts.encoding!r}, although it was "
            "asked not to.",
            "Have the server send it as it is, or pack the file itself and name it so.",
        )
    # Of such a name the packed file is what is wanted, whatever the server calls it.
    return not answer.address.path.partition("?")[0].endswith(_PACKED_NAMES)
