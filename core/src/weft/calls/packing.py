"""The client's half: a function and its arguments as bytes.

A :class:`Packer` belongs to one thread. It packs each function once, and says with each call which
definitions a worker must have got before it.
"""

from __future__ import annotations

import pickle
from pickle import PicklingError
from pickle import dumps as pickled
from types import BuiltinFunctionType, FunctionType
from weakref import ref

from weft.calls import byvalue, mirror
from weft.calls.call import Call, Definition
from weft.calls.chunks import chunked, holds_large
from weft.calls.sharing import met
from weft.errors import SerializationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from weft.calls.budget import Budget
    from weft.calls.chosen import Chosen

__all__ = ["LARGE", "Packer", "parameter_of", "refusal"]

_GLOBAL = b"\x93"  # the opcode of pickle that fetches a class or a function by its name

LARGE = 65536
"""Bytes from which on a payload travels beside the message that describes it."""


class _Once:
    """A function that was packed, for as long as it lives."""

    __slots__ = ("definition", "function", "needs")

    def __init__(
        self, function: ref[Any], definition: Definition, needs: tuple[Definition, ...]
    ) -> None:
        self.function, self.definition, self.needs = function, definition, needs


class Packer:
    """Packs calls. Belongs to one thread.

    Args:
        chunks: whether the pickle of large bytes and texts may be a :class:`Chunks`, which copies
            nothing; for carriers that can send one.
        strange: packages that workers do not have, as the user says: their functions and classes
            travel by value.
        budget: is shown each call that is not small; ``None`` to look at none.
    """

    def __init__(
        self,
        *,
        chunks: bool = False,
        strange: frozenset[str] = byvalue.NONE,
        budget: Budget | None = None,
    ) -> None:
        self._chunks = chunks
        self._budget = budget
        self._strange = strange
        self._others: dict[int, tuple[Chosen, Packer | _ChosenPacker]] = {}
        self._functions: dict[int, _Once] = {}
        self._strangers: dict[int, tuple[ref[Any], Definition]] = {}
        self._marks: list[bytes] = [b"__main__", *[name.encode() for name in sorted(strange)]]
        self._large: list[pickle.PickleBuffer] = []

    def pack(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        subject: str = "the task",
        *,
        chosen: Chosen | None = None,
        task: int | None = None,
    ) -> Call:
        """The call as bytes.

        Args:
            function: what to call.
            args: its positional arguments.
            kwargs: its keyword arguments.
            subject: what an error message calls this call, such as ``"'align' (task 3)"``.
            chosen: what is to pack it; ``None`` for the default way.
            task: the number of the task, for what was chosen.

        Raises:
            SerializationError: a part of it cannot be packed; the error names the part.
        """
        if chosen is not None:
            other = self._packer_of(chosen)
            if isinstance(other, _ChosenPacker):
                call = other.pack(function, args, kwargs, subject, task)
                return self._weighed(call, function, args, kwargs, subject)
            return other.pack(function, args, kwargs, subject)
        once = self._functions.get(id(function))
        if once is None or once.function() is not function:
            once = self._packed_once(function, subject)
            if once is None:
                return self._with_function(function, args, kwargs, subject)
        if type(kwargs) is not dict:
            kwargs = dict(kwargs)
        try:
            if self._chunks and (holds_large(args) or (kwargs and holds_large(kwargs.values()))):
                call = self._in_chunks(once, (args, kwargs), subject)
                return self._weighed(call, function, args, kwargs, subject)
            head = pickled((args, kwargs), 5, buffer_callback=self._keep_small)
        except BaseException as trouble:  # noqa: BLE001 - __reduce__ and __getstate__ are anybody's code
            self._large.clear()
            return self._arguments_by_value(once, (function, args, kwargs), subject, trouble)
        large: Sequence[pickle.PickleBuffer] = ()
        if self._large:
            large, self._large = self._large, []
        # One byte is found in a tenth of the time that a word takes; plain data has no names in it.
        if _GLOBAL in head:
            needs = once.needs + met(head)
            if b"__main__" in head or len(self._marks) > 1:
                needs += self._needs_of(head, (args, kwargs), subject)
            call = Call(once.definition, needs, head, large)
        else:
            call = Call(once.definition, once.needs, head, large)
        if large or len(head) >= LARGE:
            return self._weighed(call, function, args, kwargs, subject)
        return call

    def _weighed(
        self,
        call: Call,
        function: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        subject: str,
    ) -> Call:
        if self._budget is not None:
            self._budget.weigh(call, function, args, kwargs, subject)
        return call

    def _packer_of(self, chosen: Chosen) -> Packer | _ChosenPacker:
        """What packs as was chosen: itself remembers which functions it has packed."""
        known = self._others.get(id(chosen))
        if known is None:
            made: Packer | _ChosenPacker
            if chosen.by_value is not None:
                made = Packer(chunks=self._chunks, strange=chosen.by_value, budget=self._budget)
            else:
                made = _ChosenPacker(chosen)
            known = self._others[id(chosen)] = (chosen, made)
        return known[1]

    def _in_chunks(self, once: _Once, arguments: Any, subject: str) -> Call:
        head = chunked(arguments, self._keep_small)
        large, self._large = self._large, []
        needs = once.needs + met(head.names) + self._needs_of(head.names, arguments, subject)
        return Call(once.definition, needs, head, large)

    def _keep_small(self, buffer: pickle.PickleBuffer) -> bool:
        # Pickle puts a buffer in line if this returns something true.
        try:
            if buffer.raw().nbytes < LARGE:
                return True
        except BufferError:  # not contiguous
            return True
        self._large.append(buffer)
        return False

    # -------------------------------------------------------------------------------------------
    # functions

    def packed_function(self, function: Any, subject: str) -> _Once:
        """A function that may be packed once, packed."""
        once = self._functions.get(id(function))
        if once is None or once.function() is not function:
            once = self._packed_once(function, subject)
        assert once is not None
        return once

    def _packed_once(self, function: Any, subject: str) -> _Once | None:
        """The function as a definition; ``None`` for a callable that may change between calls."""
        if not _packs_once(function):
            return None
        key = id(function)
        functions = self._functions

        def forget(dead: ref[Any]) -> None:
            if (once := functions.get(key)) is not None and once.function is dead:
                del functions[key]

        definition = Definition(self._function_bytes(function, subject))
        self._watch_module_of(function)
        once = _Once(ref(function, forget), definition, met(definition.blob))
        functions[key] = once
        return once

    def _function_bytes(self, function: Any, subject: str) -> bytes:
        try:
            return byvalue.dumps(function, strange=self._strange)
        except BaseException as trouble:  # noqa: BLE001 - as above
            named = [("function", function)]
            try:
                return _by_dill(function, self._strange)
            except _OnlyHere as stranger:
                raise refusal(
                    f"The function of {subject}", named, trouble, also=stranger
                ) from trouble
            except BaseException:  # noqa: BLE001 - as above
                raise refusal(f"The function of {subject}", named, trouble) from trouble

    def _with_function(
        self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], subject: str
    ) -> Call:
        whole = (function, args, dict(kwargs))
        try:
            head = byvalue.dumps(whole, self._keep_small, self._strange)
        except BaseException as trouble:
            self._large.clear()
            named = [("function", function), ("args", args), ("kwargs", dict(kwargs))]
            raise refusal(f"The call of {subject}", named, trouble) from trouble
        large, self._large = self._large, []
        return Call(None, met(head), head, large)

    def _watch_module_of(self, function: Any) -> None:
        """From now on, look for that module's name in arguments, if workers cannot import it."""
        inner = function
        while (deeper := getattr(inner, "function", None)) is not None:
            inner = deeper  # what runs around a function may have something around it, too
        name = getattr(inner, "__module__", None)
        if isinstance(name, str) and not byvalue.importable(name, self._strange):
            mark = name.encode()
            if mark not in self._marks:
                self._marks.append(mark)

    # -------------------------------------------------------------------------------------------
    # arguments

    def _arguments_by_value(
        self,
        once: _Once,
        whole: tuple[Any, tuple[Any, ...], Mapping[str, Any]],
        subject: str,
        trouble: BaseException,
    ) -> Call:
        function, args, kwargs = whole
        try:
            head = byvalue.dumps((args, kwargs), self._keep_small, self._strange)
        except BaseException as deeper:  # noqa: BLE001 - as above
            self._large.clear()
            named = [("args", args), ("kwargs", kwargs)]
            raise refusal(
                f"The arguments of {subject}", named, deeper, function=function
            ) from trouble
        large, self._large = self._large, []
        call = Call(once.definition, once.needs + met(head), head, large)
        return self._weighed(call, function, args, kwargs, subject)

    def _needs_of(self, head: bytes, arguments: Any, subject: str) -> tuple[Definition, ...]:
        """Definitions for what pickle wrote as a name of a module that workers cannot import."""
        if not any(mark in head for mark in self._marks):
            return ()
        needs = []
        for stranger in byvalue.strangers(arguments, self._strange):
            known = self._strangers.get(id(stranger))
            if known is None or known[0]() is not stranger:
                try:
                    definition = Definition(_bound_by_name(stranger, self._strange))
                    known = (ref(stranger, self._forgotten(id(stranger))), definition)
                except BaseException as trouble:
                    named = [(stranger.__qualname__, stranger)]
                    raise refusal(f"A class used by {subject}", named, trouble) from trouble
                self._strangers[id(stranger)] = known
            needs.append(known[1])
        return tuple(needs)

    def _forgotten(self, key: int) -> Callable[[ref[Any]], None]:
        strangers = self._strangers

        def forget(dead: ref[Any]) -> None:
            if (known := strangers.get(key)) is not None and known[0] is dead:
                del strangers[key]

        return forget


class _ChosenPacker:
    """Packs calls by a serializer that was chosen. Belongs to the thread of its packer."""

    def __init__(self, chosen: Chosen) -> None:
        assert chosen.definition is not None
        self._chosen = chosen
        self._needs = (chosen.definition,)
        self._functions: dict[int, _Once] = {}
        self._large: list[pickle.PickleBuffer] = []
        self._default = Packer()

    def pack(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        subject: str,
        task: int | None,
    ) -> Call:
        """The call as bytes; see :meth:`Packer.pack`."""
        from weft.calls.chosen import packed_call

        chosen, own = self._chosen, None
        once = self._functions.get(id(function))
        if once is None or once.function() is not function:
            once = self._packed_once(function, subject)
            if once is None:
                own = self._function_bytes(function, subject)
        arguments = [list(args), dict(kwargs)]
        try:
            head = packed_call(chosen, own, arguments, (subject, task), self._keep_small)
        except BaseException as trouble:
            self._large.clear()
            raise refusal(
                f"The arguments of {subject}",
                [("args", arguments[0]), ("kwargs", arguments[1])],
                trouble,
                function=function,
                dumps=chosen.serializer.pack,
                by=chosen.name,
            ) from trouble
        large, self._large = self._large, []
        if once is None:
            return Call(None, self._needs + met(), head, large)
        return Call(once.definition, once.needs + met(), head, large)

    def _packed_once(self, function: Any, subject: str) -> _Once | None:
        if not _packs_once(function):
            return None
        if not self._chosen.whole:
            known = self._default.packed_function(function, subject)
            once = _Once(known.function, known.definition, (*self._needs, *known.needs))
        else:
            definition = Definition(self._function_bytes(function, subject))
            once = _Once(ref(function), definition, self._needs + met())
        key, functions = id(function), self._functions

        def forget(dead: ref[Any]) -> None:
            if (found := functions.get(key)) is not None and found.function is dead:
                del functions[key]

        once.function = ref(function, forget)
        functions[key] = once
        return once

    def _function_bytes(self, function: Any, subject: str) -> bytes:
        from weft.calls.chosen import packed_function

        chosen = self._chosen
        try:
            if not chosen.whole:
                return byvalue.dumps(function)
            return packed_function(chosen, function, subject)
        except BaseException as trouble:
            dumps = chosen.serializer.pack if chosen.whole else byvalue.dumps
            raise refusal(
                f"The function of {subject}",
                [("function", function)],
                trouble,
                dumps=dumps,
                by=chosen.name if chosen.whole else "",
            ) from trouble

    def _keep_small(self, buffer: pickle.PickleBuffer) -> bool:
        # Whatever a serializer hands over lies without gaps.
        if buffer.raw().nbytes < LARGE:
            return True
        self._large.append(buffer)
        return False


def _packs_once(function: Any) -> bool:
    """Whether a callable stays what it is, so that it may be packed once."""
    return isinstance(function, (FunctionType, BuiltinFunctionType, type)) or bool(
        getattr(type(function), "packs_once", False)
    )


def _bound_by_name(thing: Any, strange: frozenset[str]) -> bytes:
    """A definition that makes the thing known by its name in the mirror of its module."""
    import sys

    module, name = thing.__module__, thing.__qualname__.partition(".")[0]
    outermost = getattr(sys.modules[module], name)
    binding = _Binding("m" + module, {name: (id(outermost), outermost)})
    return byvalue.dumps(binding, strange=strange)


class _Binding:
    """Pickles as the act of binding names."""

    def __init__(self, home: str, values: Mapping[str, tuple[int, Any]]) -> None:
        self.home, self.values = home, values

    def __reduce__(self) -> tuple[Any, ...]:
        return (mirror.bind, (self.home, self.values))


class _OnlyHere(Exception):
    """What was packed names a module that workers cannot import."""


def _by_dill(function: Any, strange: frozenset[str]) -> bytes:
    # Knows more kinds of objects than we do; slow, and it makes new classes of its own.
    import io

    import dill

    class Opened(dill.Unpickler):  # type: ignore[misc]  # it has no types
        def find_class(self, module: str, name: str) -> Any:
            if module != "__main__" and not byvalue.importable(module, strange):
                raise _OnlyHere(f"workers cannot import the module {module!r}, where {name!r} is")
            return super().find_class(module, name)

    packed: bytes = dill.dumps(function, recurse=True)
    # What it cannot take apart it writes as a name, which is found here and nowhere else.
    Opened(io.BytesIO(packed)).load()
    return packed


def refusal(
    subject: str,
    named: Sequence[tuple[str, Any]],
    trouble: BaseException,
    *,
    function: Any = None,
    also: BaseException | None = None,
    dumps: Callable[[Any], object] = byvalue.dumps,
    by: str = "",
) -> SerializationError:
    """The error of what cannot be packed, with the part of it that cannot.

    Args:
        subject: what was to be packed.
        named: its parts, by the names that the path to the culprit begins with.
        trouble: what was raised.
        function: what is called, for the names of its parameters.
        also: what another way of packing it raised.
        dumps: what packs it.
        by: the name of the serializer that does, if one was chosen.
    """
    from weft.calls.search import culprit

    found = culprit(named, dumps)
    reason = f"{type(trouble).__name__}: {_said(trouble)}"
    if by:
        reason = f"The serializer {by!r} refuses it: {reason}"
    if isinstance(trouble, RecursionError):
        reason += " (it is nested too deeply)"
    elif isinstance(trouble, PicklingError) and not found.path:
        reason += " (pickle refuses it)"
    if function is not None and (name := parameter_of(function, found.path)):
        reason += f" (in the parameter {name!r})"
    if also is not None:
        reason += f"; nor does its name help, for {also}"
    return SerializationError(subject, found.path, reason, found.todo)


def parameter_of(function: Any, path: str) -> str:
    """The name of the parameter that a place among the arguments belongs to, as far as known."""
    import inspect
    import re

    place = re.match(r"args\[(\d+)\]", path)
    if place is None:
        return ""
    try:
        parameters = list(inspect.signature(getattr(function, "function", function)).parameters)
    except (TypeError, ValueError):  # of a builtin, or of what only looks like a function
        return ""
    at = int(place[1])
    return parameters[at] if at < len(parameters) else ""


def _said(trouble: BaseException) -> str:
    try:
        return str(trouble)[:2000]
    except BaseException as worse:  # noqa: BLE001 - __str__ is anybody's code
        return f"(its message cannot be shown: {type(worse).__name__})"
