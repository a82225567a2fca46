"""The worker's half: a packed call is opened, run, and its outcome packed.

Nothing that a call does, short of ending the process, comes out of :meth:`Runner.run`.
"""

from __future__ import annotations

from _pickle import dumps as pickled  # `pickle` itself would load regular expressions
from _pickle import loads

from weft.calls.chunks import chunked, holds_large

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pickle import PickleBuffer
    from typing import Any, NoReturn

    from weft.calls.chosen import Opened
    from weft.calls.chunks import Chunks

__all__ = ["ERROR", "VALUE", "Result", "Runner", "by_value_if_strange", "value_of"]

VALUE, ERROR = 0, 1
"""What a result's ``kind`` may be."""

_LARGE = 65536
_TRIED = 262144
_GLOBAL = b"\x93"  # the opcode of pickle that fetches a class or a function by its name


class Result:
    """The outcome of a call, packed.

    Attributes:
        kind: ``VALUE`` or ``ERROR``.
        head: the value or the error: bytes, or the pieces of a large pickle.
        buffers: large parts of the value.
    """

    __slots__ = ("buffers", "head", "kind")

    def __init__(
        self, kind: int, head: bytes | Chunks, buffers: Sequence[PickleBuffer] = ()
    ) -> None:
        self.kind, self.head, self.buffers = kind, head, buffers


class Runner:
    """Runs calls, one at a time, and remembers the definitions they need.

    Args:
        chunks: whether the pickle of large bytes and texts may be a ``Chunks``, which copies
            nothing; for carriers that can send one.
    """

    def __init__(self, *, chunks: bool = False) -> None:
        self._chunks = chunks
        self._blobs: dict[bytes, bytes] = {}
        self._functions: dict[bytes, Callable[..., Any]] = {}
        self._large: list[PickleBuffer] = []

    def define(self, digest: bytes, blob: bytes) -> None:
        """Take a definition; it is opened when a call needs it."""
        self._blobs[digest] = blob

    def forget(self) -> None:
        """Drop all definitions; the client sends again what it needs."""
        self._blobs.clear()
        self._functions.clear()

    def run(
        self,
        digest: bytes | None,
        needs: Sequence[bytes],
        head: Any,
        buffers: Sequence[Any] = (),
    ) -> Result:
        """Run one call. Raises nothing, whatever the call raises."""
        return self.run_taken(digest, needs, [head, buffers])

    def run_taken(self, digest: bytes | None, needs: Sequence[bytes], payload: list[Any]) -> Result:
        """Run one call, whose head and buffers are taken from a list.

        So they are held by nobody any more when the arguments have been made of them.
        """
        try:
            buffers, head = payload.pop(), payload.pop()
            for need in needs:
                if need not in self._functions:
                    self._functions[need] = self._opened(need)
            opened = None
            if digest is None:
                given = _arguments(head, buffers)
                if type(given) is tuple:
                    function, args, kwargs = given
                else:  # a serializer was chosen
                    opened = given
                    function, args, kwargs = opened.function, opened.args, opened.kwargs
            else:
                function = self._functions.get(digest) or self._opened(digest)
                given = _arguments(head, buffers)
                if type(given) is tuple:
                    args, kwargs = given
                else:
                    opened = given
                    args, kwargs = opened.args, opened.kwargs
            del head, buffers, given
        except BaseException as error:  # noqa: BLE001 - unpickling runs anybody's code
            return _failed(error, 2)
        try:
            value = function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - whatever it raises, the task failed
            return _failed(error, 1)
        if opened is not None and not opened.chosen.serializer.one_way:
            return self._packed_as_chosen(value, opened)
        return self._packed(value)

    def _opened(self, digest: bytes) -> Callable[..., Any]:
        try:
            function: Callable[..., Any] = loads(self._blobs[digest])
        except BaseException as trouble:  # noqa: BLE001 - raised again, explained
            _raise_not_opened("The function", trouble)
        del self._blobs[digest]
        self._functions[digest] = function
        return function

    def _packed(self, value: Any) -> Result:
        try:
            if self._chunks and holds_large((value,)):
                return self._in_chunks(value)
            head = pickled(value, 5, buffer_callback=self._keep_small)
            buffers: Sequence[PickleBuffer] = ()
            if self._large:
                buffers, self._large = self._large, []
            if len(head) < _TRIED and _GLOBAL in head:
                loads(head, buffers=buffers)  # what explodes on opening explodes here, not at home
                head = by_value_if_strange(value, head) or head
        except BaseException as trouble:  # noqa: BLE001 - __reduce__ is anybody's code
            self._large = []
            return self._by_value(value, trouble)
        return Result(VALUE, head, buffers)

    def _packed_as_chosen(self, value: Any, opened: Opened) -> Result:
        from weft.calls.chosen import packed_value

        chosen = opened.chosen
        try:
            head = packed_value(chosen, value, opened.whose, self._keep_small)
        except BaseException as trouble:  # noqa: BLE001 - a plugin's, and __reduce__ is anybody's
            self._large = []
            error = _not_packed(value, trouble, trouble, chosen.serializer.pack, chosen.name)
            return _failed(error, 0)
        buffers, self._large = self._large, []
        return Result(VALUE, head, buffers)

    def _in_chunks(self, value: Any) -> Result:
        whole = chunked(value, self._keep_small)
        buffers, self._large = self._large, []
        head: bytes | Chunks = whole
        if _GLOBAL in whole.names:
            head = by_value_if_strange(value, whole.names) or whole
        return Result(VALUE, head, buffers)

    def _by_value(self, value: Any, trouble: BaseException) -> Result:
        try:
            from weft.calls.byvalue import dumps

            head = dumps(value, self._keep_small)
            buffers, self._large = self._large, []
            loads(head, buffers=buffers)
        except BaseException as deeper:  # noqa: BLE001 - as above
            self._large = []
            return _failed(_not_packed(value, deeper, trouble), 0)
        return Result(VALUE, head, buffers)

    def _keep_small(self, buffer: PickleBuffer) -> bool:
        # Pickle puts a buffer in line if this returns something true.
        try:
            if buffer.raw().nbytes < _LARGE:
                return True
        except BufferError:  # not contiguous
            return True
        self._large.append(buffer)
        return False


def _arguments(head: Any, buffers: Sequence[Any]) -> Any:
    try:
        return loads(head, buffers=buffers) if buffers else loads(head)
    except BaseException as trouble:  # noqa: BLE001 - raised again, explained
        _raise_not_opened("The arguments", trouble)


def _failed(error: BaseException, frames: int) -> Result:
    from weft.calls.failures import pack_error

    try:
        return Result(ERROR, pack_error(error, frames))
    except BaseException as trouble:  # noqa: BLE001 - such as no memory left, or a signal in between
        return Result(ERROR, pack_error(type(trouble)(f"while packing {type(error).__name__}")))


def _raise_not_opened(what: str, trouble: BaseException) -> NoReturn:
    from weft.errors import SerializationError, SerializerMissing

    if isinstance(trouble, SerializerMissing):  # which says it better
        raise trouble
    raise SerializationError(
        what,
        "",
        f"The worker could not load it: {type(trouble).__name__}: {_said(trouble)}",
        "Make sure that the worker can import all it needs, and that loading it does nothing else.",
    ) from trouble


def _not_packed(
    value: Any,
    trouble: BaseException,
    first: BaseException,
    dumps: Callable[[Any], object] | None = None,
    by: str = "",
) -> BaseException:
    from weft.calls.search import culprit
    from weft.errors import SerializationError

    if dumps is None:
        from weft.calls import byvalue

        dumps = byvalue.dumps

    found = culprit([("result", value)], dumps)
    reason = f"{type(trouble).__name__}: {_said(trouble)}"
    if by:
        reason = f"The serializer {by!r} refuses it: {reason}"
    if isinstance(trouble, RecursionError):
        reason += " (it is nested too deeply)"
    error = SerializationError(
        f"The result, of type {type(value).__name__},",
        found.path,
        reason,
        found.todo
        or "Return something that can be pickled, such as a path or the data to make the object "
        "from.",
    )
    error.what = error.what.replace("sent to a worker", "brought back from the worker")
    error.args = (error.what,)
    error.__cause__ = first
    return error


def _said(trouble: BaseException) -> str:
    try:
        return str(trouble)[:2000]
    except BaseException as worse:  # noqa: BLE001 - __str__ is anybody's code
        return f"(its message cannot be shown: {type(worse).__name__})"


def _mirrors() -> bool:
    """Whether this worker holds the mirror of any module but the main script."""
    import sys

    mirror = sys.modules.get("weft.calls.mirror")
    return mirror is not None and bool(mirror.others)


def by_value_if_strange(value: Any, head: bytes) -> bytes | None:
    """Other bytes for a value that refers to what only this worker knows, else ``None``.

    Names that came from the client mean the same there. Names that a task made here, such as a
    class it put into the main module, mean nothing there, and so travel by value.
    """
    if b"__main__" not in head and not _mirrors():
        return None
    from weft.calls import byvalue, mirror

    if all(mirror.came_from_home(thing) for thing in byvalue.strangers(value)):
        return None
    return byvalue.dumps(value)


def value_of(head: Any, buffers: Sequence[Any] = ()) -> Any:
    """The value again, on the client.

    Raises:
        SerializationError: it cannot be opened here.
    """
    try:
        return loads(head, buffers=buffers)
    except BaseException as trouble:
        from weft.errors import SerializationError

        error = SerializationError(
            "The result",
            "",
            f"It cannot be loaded here: {type(trouble).__name__}: {_said(trouble)}",
            "Return plain data, or objects of classes that this process can import.",
        )
        error.what = "The result cannot be brought back from the worker."
        error.args = (error.what,)
        raise error from trouble
