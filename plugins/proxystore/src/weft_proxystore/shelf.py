"""Files in a store of a run: put there in pieces, read piece by piece, removed.

    put   claim ──▶ pieces ──▶ record ──▶ claim and former pieces removed
    get   record ──▶ pieces ──▶ is it the same record still?

At most one piece is in memory for each file on its way, besides what the connector makes of it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from typing import BinaryIO

from weft_proxystore.errors import ObjectGone, StoreAway
from weft_proxystore.records import (
    INLINE,
    Record,
    Unreadable,
    claim_name,
    piece_name,
    record_name,
)
from weft_proxystore.stores import RunStore

__all__ = ["Changed", "Shelf"]


class Changed(Exception):
    """A file is another one now than when it was begun; the text says how that was seen."""


class Shelf:
    """The files of a run in its store. From any thread.

    Args:
        store: it.
        piece: bytes of a piece.
    """

    def __init__(self, store: RunStore, piece: int) -> None:
        self._store, self._piece = store, piece

    @property
    def named(self) -> str:
        """The store in words."""
        return self._store.named

    def record(self, url: str) -> Record | None:
        """What is known of a file; ``None`` if it is not there.

        Raises:
            StoreAway: the store cannot be asked, or what it has under that name is no record.
        """
        return self._read(record_name(url))

    def put(self, url: str, content: BinaryIO, size: int, tell: Callable[[int], None]) -> None:
        """Put a file there, in place of what was there under its name.

        Args:
            url: what it is called.
            content: so many bytes are read of it.
            size: how many.
            tell: called with the bytes that have been sent; what it raises is let through, after
                cleaning up.

        Raises:
            StoreAway: that could not be done; what was there before is there still.
            Changed: there is less to read, or somebody else sends it too.
        """
        former = self.record(url)
        sending = uuid.uuid4().hex
        if size <= INLINE:
            tell(0)
            data = _exactly(content, size)
            record = Record(url=url, id=sending, size=size, content=data)
            self._store.put_at(record_name(url), record.packed())
        else:
            record = Record(url=url, id=sending, size=size, piece=self._piece, at=self._store.here)
            self._put_pieces(record, content, tell)
        if former is not None:
            self._drop_pieces(former)
        tell(size)

    def _put_pieces(self, record: Record, content: BinaryIO, tell: Callable[[int], None]) -> None:
        claim = claim_name(record.url)
        left = self._read(claim)
        if left is not None:
            self._drop_pieces(left)
        self._store.put_at(claim, record.packed())
        done = 0
        try:
            for number in range(record.pieces):
                tell(done)
                data = _exactly(content, record.length(number))
                self._store.put_at(piece_name(record.id, number), data, record.at)
                done += len(data)
            mine = self._read(claim)
            if mine is None or mine.id != record.id:
                # A later try has begun, and has removed pieces of this one.
                raise Changed("it is sent by another try, too")
            self._store.put_at(record_name(record.url), record.packed())
        except BaseException:
            # The store may be away; then the end of the run, or the next run, removes them.
            with contextlib.suppress(StoreAway):
                self._drop_pieces(record)
                self._drop_claim(record)
            raise
        self._drop_claim(record)

    def get(self, record: Record, write: Callable[[bytes], None]) -> None:
        """Read a file.

        Args:
            record: what ``record`` said of it.
            write: called with each piece, in order; what it raises is let through.

        Raises:
            StoreAway: the store cannot be asked.
            Changed: it is not there any more as it was.
        """
        if not record.piece:
            write(record.content)
            return
        for number in range(record.pieces):
            try:
                data = self._store.fetch(self._key(record, number))
            except ObjectGone:
                raise Changed(self._lost(record, number)) from None
            if len(data) != record.length(number):
                raise Changed(
                    f"piece {number} has {len(data)} bytes, and should have {record.length(number)}"
                )
            write(data)

    def remove(self, url: str) -> None:
        """Remove a file, and what is left of sending it.

        Raises:
            StoreAway: that could not be done.
        """
        record, claim = self.record(url), self._read(claim_name(url))
        if record is not None:
            self._store.evict(self._store.key_at(record_name(url)))
            self._drop_pieces(record)
        if claim is not None:
            self._drop_pieces(claim)
            self._drop_claim(claim)

    def _lost(self, record: Record, number: int) -> str:
        now = self.record(record.url)
        if now is not None and now.id == record.id:
            return f"the store has lost piece {number} of {record.pieces}"
        return "it was made anew meanwhile" if now is not None else "it was removed meanwhile"

    def _read(self, name: str) -> Record | None:
        try:
            data = self._store.fetch(self._store.key_at(name))
        except ObjectGone:
            return None
        try:
            return Record.unpacked(data)
        except Unreadable as trouble:
            raise StoreAway(
                self.named, "be read", f"What it has under {name!r} is no record: {trouble}."
            ) from trouble

    def _key(self, record: Record, number: int) -> object:
        return self._store.key_at(piece_name(record.id, number), record.at)

    def _drop_pieces(self, record: Record) -> None:
        for number in range(record.pieces):
            self._store.evict(self._key(record, number))

    def _drop_claim(self, record: Record) -> None:
        name = claim_name(record.url)
        now = self._read(name)
        if now is not None and now.id == record.id:
            self._store.evict(self._store.key_at(name))


def _exactly(content: BinaryIO, size: int) -> bytes:
    data = content.read(size)
    if len(data) != size:
        raise Changed(f"it has {size - len(data)} bytes less than when it was begun")
    return data
