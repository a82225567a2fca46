"""How an object lies in a store, and what its content is known by.

    count of parts (u32), length of each (u64), the parts: a pickle of protocol 5, then its large
    buffers; numbers are little-endian

Two objects with the same parts are one in the store.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import cloudpickle

__all__ = ["digest_of", "joined", "opened", "parts_of"]


def parts_of(value: Any) -> list[memoryview]:
    """The pickle of an object and its buffers, which are not copied."""
    buffers: list[pickle.PickleBuffer] = []
    head = io.BytesIO()
    cloudpickle.Pickler(head, protocol=5, buffer_callback=buffers.append).dump(value)
    try:
        return [head.getbuffer(), *(buffer.raw() for buffer in buffers)]
    except BufferError:  # one that is not contiguous, which stays in the pickle then
        head = io.BytesIO()
        cloudpickle.Pickler(head, protocol=5).dump(value)
        return [head.getbuffer()]


def digest_of(parts: Sequence[memoryview]) -> str:
    """What the content is known by."""
    hashed = sha256()
    for part in parts:
        hashed.update(struct.pack("<Q", part.nbytes))
        hashed.update(part)
    return hashed.hexdigest()


def joined(parts: Sequence[memoryview]) -> bytes:
    """The parts as they lie in a store."""
    lengths = [part.nbytes for part in parts]
    head = struct.pack(f"<I{len(parts)}Q", len(parts), *lengths)
    return b"".join([head, *parts])


def opened(data: bytes | bytearray | memoryview) -> Any:
    """The object again; its large parts are those of ``data``.

    Raises:
        ValueError: this is not what ``joined`` made.
    """
    whole = memoryview(data)
    try:
        (count,) = struct.unpack_from("<I", whole)
        lengths = struct.unpack_from(f"<{count}Q", whole, 4)
    except struct.error as trouble:
        raise ValueError(f"it is cut short: {len(whole)} bytes") from trouble
    at = 4 + 8 * count
    if at + sum(lengths) != len(whole):
        raise ValueError(f"{len(whole)} bytes are there, and it says {at + sum(lengths)}")
    parts = []
    for length in lengths:
        parts.append(whole[at : at + length])
        at += length
    # Writable, as they were: what a task does to its object is its own.
    return pickle.loads(parts[0], buffers=[bytearray(part) for part in parts[1:]])
