"""One file that is sent: as it was when it was opened, or not at all."""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from weft_http.addresses import Address
from weft_http.connections import SENT, Connections
from weft_http.sums import Sums
from weft_http.trouble import Trouble

__all__ = ["send"]

_STORED: Final = frozenset({200, 201, 204})


def send(
    made: BinaryIO,
    connections: Connections,
    address: Address,
    expected: tuple[str, str] | None,
    told: Callable[[int, int | None], None],
) -> None:
    """Send a file by PUT, in place of what may be there.

    Args:
        made: the file, open for reading.
        connections: to the servers.
        address: where it goes.
        expected: the checksum that it must have, by its algorithm.
        told: is told, for each piece, how much has gone, and how much there is.

    Raises:
        Trouble: it could not be sent, or changed meanwhile.
    """
    size = os.fstat(made.fileno()).st_size
    headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}

    def body() -> Iterator[bytes]:
        made.seek(0)
        done = 0
        for piece in _steady(made, size, Sums({}, expected)):
            yield piece
            done += len(piece)
            told(done, size)

    # No If-None-Match: what a task made takes the place of what was there, also when it is sent
    # again because the answer was lost.
    with connections.ask("PUT", address, headers, body) as answer:
        if answer.status not in _STORED:
            raise answer.refused(sending=True)


def _steady(made: BinaryIO, size: int, sums: Sums) -> Iterator[bytes]:
    """The pieces of a file, the last one only if it is as it was and what it should be."""
    before, done = os.fstat(made.fileno()), 0
    while True:
        try:
            piece = made.read(min(SENT, size - done))
        except OSError as error:
            raise Trouble(f"What the task made cannot be read: {error.strerror}.") from error
        sums.update(piece)
        done += len(piece)
        after = os.fstat(made.fileno())
        same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        if not same or (not piece and done < size):
            raise Trouble(
                "What the task made changes while it is sent.",
                "See that nothing that the task started still writes when it ends.",
                again=True,
            )
        if done == size:
            sums.must_agree()
            yield piece
            return
        yield piece
