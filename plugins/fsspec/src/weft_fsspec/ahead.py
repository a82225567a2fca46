"""Blocks of a file of an SFTP server, asked for ahead of the answers. Coroutines.

    read(16 MiB) ──▶ up to 64 requests at a time ──▶ one piece

An answer takes a round trip, so one request after another would leave the line idle. ``asyncssh``
asks ahead by itself unless a file was opened with ``block_size=0``; yet when a connection ends it
takes the error of one of its tasks and leaves those of the others, each of which ``asyncio`` prints
later, wherever garbage happens to be collected. Here a group owns them: none outlives its call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol

__all__ = ["Opened", "read", "write"]

_AT_ONCE: Final = 64
"""Requests under way for one file. With the 255 KiB that OpenSSH takes they are 16 MiB."""


class Opened(Protocol):
    """A file that was opened with ``block_size=0``, so that each call is one request."""

    async def read(self, size: int, offset: int) -> bytes:
        """Up to so many bytes; none at the end of the file."""
        ...

    async def write(self, data: bytes, offset: int) -> int:
        """Put them there, all of them."""
        ...


async def read(file: Opened, begin: int, size: int, block: int) -> bytes:
    """So many bytes of a file from a place on; fewer if it ends before.

    Args:
        file: see ``Opened``.
        begin: of the first byte.
        size: in bytes.
        block: the most bytes of one request.

    Raises:
        Exception: what the first request that failed raised.
    """
    content = bytearray(size)
    ends = size

    async def one(at: int, until: int) -> None:
        nonlocal ends
        while at < until:  # a server may send less than was asked for
            answer = await file.read(until - at, begin + at)
            if not answer:
                ends = min(ends, at)
                return
            content[at : at + len(answer)] = answer
            at += len(answer)

    await _each(size, block, one)
    return bytes(memoryview(content)[:ends])


async def write(file: Opened, begin: int, piece: bytes, block: int) -> None:
    """Put bytes into a file from a place on.

    Args:
        file: see ``Opened``.
        begin: of the first byte.
        piece: the bytes.
        block: the most bytes of one request.

    Raises:
        Exception: what the first request that failed raised.
    """

    async def one(at: int, until: int) -> None:
        await file.write(piece[at:until], begin + at)

    await _each(len(piece), block, one)


async def _each(size: int, block: int, work: Callable[[int, int], Awaitable[None]]) -> None:
    """Have the work done for each block, several at a time; the first that fails ends all."""
    blocks = ((at, min(at + block, size)) for at in range(0, size, block))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, -(-size // block))):
                group.create_task(_take(blocks, work))
    except BaseExceptionGroup as errors:
        # Of one connection, they say the same.
        raise errors.exceptions[0] from None


async def _take(
    blocks: Iterator[tuple[int, int]], work: Callable[[int, int], Awaitable[None]]
) -> None:
    """Work on the next block until there is none. Tasks of one loop may share the iterator."""
    for at, until in blocks:
        await work(at, until)
