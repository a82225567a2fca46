"""What travels to a worker: calls, and the definitions that they need.

Apart from what makes them, since who only passes them on has no use for that.
"""

from __future__ import annotations

from _blake2 import blake2b  # `hashlib`, which has it from there, would load OpenSSL too

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pickle import PickleBuffer

    from weft.calls.chunks import Chunks

__all__ = ["Call", "Definition"]


class Definition:
    """A function, or a class of the main script, as bytes, to be sent to each worker once.

    Attributes:
        digest: what it is known by; the same bytes have the same digest.
        blob: the bytes.
    """

    __slots__ = ("__weakref__", "blob", "digest")

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.digest = blake2b(blob, digest_size=16).digest()


class Call:
    """One call, packed.

    Attributes:
        function: the definition of the function, or ``None`` if it is in ``head``.
        needs: other definitions that a worker must have before it opens ``head``.
        head: the arguments (with the function, if that is not a definition): bytes, or the
            pieces of a large pickle.
        buffers: large parts of the arguments, left where they were.
    """

    __slots__ = ("buffers", "function", "head", "needs")

    def __init__(
        self,
        function: Definition | None,
        needs: tuple[Definition, ...],
        head: bytes | Chunks,
        buffers: Sequence[PickleBuffer],
    ) -> None:
        self.function, self.needs, self.head, self.buffers = function, needs, head, buffers

    @property
    def size(self) -> int:
        """The bytes of the arguments."""
        return len(self.head) + sum(buffer.raw().nbytes for buffer in self.buffers)
