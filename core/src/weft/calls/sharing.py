"""Objects that many calls share: sent to each worker once, and named in the calls.

    client                                         worker
    shared(array) ── packed at once ─▶ Definition ── with the first call that needs it ──▶ Content
    call(handle)  ── only its key ───────────────────────────────────────────────▶ handle.value

The content travels as the definitions of functions do: once to each worker (on a cluster once to
each node, which gives it to its workers), from where it is forgotten when room is needed, and asked
for again. What is shared is what the object was when it was shared: later changes are not seen.
"""

from __future__ import annotations

from _blake2 import blake2b  # as in call.py
from _pickle import dumps, loads  # as in running.py
from _thread import get_ident
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary, ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weft.calls.call import Definition

T = TypeVar("T")

__all__ = ["Content", "Shared", "arrived", "known", "met", "shared"]

_handles: WeakValueDictionary[bytes, Shared[Any]] = WeakValueDictionary()
_contents: WeakValueDictionary[bytes, Content] = WeakValueDictionary()
# Which handles were pickled by which thread since it last asked. Weak, for others pickle too.
_pickled: dict[int, dict[bytes, ref[Shared[Any]]]] = {}


class Shared(Generic[T]):
    """A handle of an object that many calls share. Made by :func:`shared`.

    Small to pass and to send. Good for as long as the handle lives; to be passed to apps as it is,
    or within other arguments.

    Attributes:
        key: what it is known by; the same content has the same.
    """

    __slots__ = ("__weakref__", "_content", "_definition", "key")

    def __init__(self, key: bytes, content: Content, definition: Definition | None = None) -> None:
        self.key, self._content, self._definition = key, content, definition

    @property
    def value(self) -> T:
        """The object.

        In the process that shared it, that very object. On a worker, one that all calls there
        share: arrays in it cannot be written to, and nothing else in it is to be changed either.
        """
        opened: T = self._content.value()
        return opened

    @property
    def definition(self) -> Definition | None:
        """What travels; ``None`` where it has arrived."""
        return self._definition

    @property
    def size(self) -> int:
        """The bytes that travel, once to each worker; 0 on a worker."""
        return 0 if self._definition is None else len(self._definition.blob)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._definition is not None:
            _pickled.setdefault(get_ident(), {})[self.key] = ref(self)
        return known, (self.key,)

    def __weft_memo__(self) -> object:
        """What stands for it in the memory of cached apps: its content."""
        return self.key

    def __repr__(self) -> str:
        return f"<shared {self.key.hex()[:8]}>"


class Content:
    """What a handle stands for, in one process."""

    __slots__ = ("__weakref__", "_buffers", "_head", "_opened", "_value")

    def __init__(self, head: bytes, buffers: tuple[Any, ...], value: Any = None) -> None:
        self._head, self._buffers, self._value = head, buffers, value
        self._opened = not head

    def value(self) -> Any:
        """The object, made of its bytes when it is asked for first."""
        if not self._opened:
            self._value = loads(self._head, buffers=self._buffers)
            self._opened, self._head, self._buffers = True, b"", ()
        return self._value


class _Arrives:
    """Pickles as the act of taking a content."""

    def __init__(self, key: bytes, head: bytes, buffers: tuple[Any, ...]) -> None:
        self.key, self.head, self.buffers = key, head, buffers

    def __reduce__(self) -> tuple[Any, ...]:
        return arrived, (self.key, self.head, *self.buffers)


def shared(value: T) -> Shared[T]:
    """A handle of an object that many calls share, such as a large array or table.

    The object is packed once, now, and sent to each worker once, with the first call that needs it;
    calls carry the handle alone. An app takes the object as ``handle.value``::

        genome = weft.shared(load_genome())
        futures = [align(read, genome) for read in reads]  # align uses genome.value

    Args:
        value: what can be pickled. It is not to be changed afterwards: workers keep what it was.

    Raises:
        SerializationError: it cannot be pickled; the error names the part.
    """
    from pickle import PickleBuffer

    from weft.calls import byvalue
    from weft.calls.call import Definition
    from weft.calls.packing import refusal

    buffers: list[PickleBuffer] = []

    def beside(buffer: PickleBuffer) -> bool:
        try:
            buffer.raw()
        except BufferError:  # not contiguous: pickle puts it in line
            return True
        buffers.append(buffer)
        return False

    try:
        head = byvalue.dumps(value, beside)
    except Exception as trouble:
        raise refusal("What is to be shared", [("the object", value)], trouble) from trouble
    # As bytes, so that what is made of it on workers is not to be written to.
    solid = tuple([bytes(buffer.raw()) for buffer in buffers])
    digest = blake2b(head, digest_size=16)
    for one in solid:
        digest.update(one)
    key = digest.digest()
    found = _handles.get(key)
    if found is None:
        definition = Definition(dumps(_Arrives(key, head, solid), 5))
        found = _handles[key] = Shared(key, Content(b"", (), value), definition)
    return found


def met(within: bytes | None = None) -> tuple[Definition, ...]:
    """The contents of handles that this thread has pickled since it last asked.

    Args:
        within: the pickle, for others may have pickled handles as well; left out where it is not
            to be looked into.
    """
    if not _pickled:
        return ()
    found = _pickled.pop(get_ident(), None)
    if found is None:
        return ()
    handles = [
        one
        for key, weak in found.items()
        if (one := weak()) is not None and (within is None or key in within)
    ]
    return tuple([one.definition for one in handles if one.definition is not None])


# -------------------------------------------------------------------------------------------------
# where it arrives


def arrived(key: bytes, head: bytes, *buffers: Any) -> Content:
    """A content. Part of the wire format."""
    content = _contents.get(key)
    if content is None:
        content = _contents[key] = Content(head, buffers)
    return content


def known(key: bytes) -> Shared[Any]:
    """The handle of that key. Part of the wire format.

    Raises:
        SerializationError: nothing here is known by it.
    """
    handle = _handles.get(key)
    if handle is not None:
        return handle
    content = _contents.get(key)
    if content is None:
        from weft.errors import SerializationError

        raise SerializationError(
            "A shared object",
            "",
            "Its handle arrived without it: the handle was let go of where it was shared, or was "
            "pickled by something else than a call of an app.",
            "Keep the handle that weft.shared returned for as long as it is in use.",
        )
    handle = _handles[key] = Shared(key, content)
    return handle
