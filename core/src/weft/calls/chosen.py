"""Serializers that were chosen: how what they pack travels.

Without a choice, calls are packed as :mod:`weft.calls.packing` does, which is the quickest way
there is. An executor or an app that names a serializer gets calls of the same form, in which
something else has packed the payload:

    definition   a *recipe*: the id of the format, and where to find what opens it
    head         a pickle that asks for ``opened_call(key, …, buffers)``, or ``opened_value(…)``

So whatever carries calls and results carries these too, and each of them names its own serializer.
A recipe travels once to each worker, and is used there when the first payload of it comes. The
names of the functions here are part of the wire format.
"""

from __future__ import annotations

from _pickle import dumps, loads  # as in running.py
from os import urandom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from weft.calls.call import Definition
    from weft.interfaces.serializer import Serializer

    Whose = tuple[str, int | None]

__all__ = [
    "Chosen",
    "Maker",
    "Opened",
    "learn",
    "opened_call",
    "opened_value",
    "packed_call",
    "packed_function",
    "packed_value",
]

_recipes: dict[bytes, tuple[Any, ...]] = {}
_open: dict[bytes, Chosen] = {}


class Chosen:
    """A serializer that is open, with what it takes to open it elsewhere.

    Attributes:
        serializer: it.
        name: of its component.
        key: what its recipe is known by.
        whole: whether it packs functions too; else those go as they do without a choice.
        by_value: for the default way, packages whose functions and classes travel by value;
            ``None`` where something else is to pack. Then there is no recipe.
        definition: the recipe.
    """

    __slots__ = ("by_value", "definition", "key", "name", "serializer", "whole")

    def __init__(
        self,
        serializer: Serializer,
        name: str,
        *,
        whole: bool = False,
        by_value: frozenset[str] | None = None,
        definition: Definition | None = None,
        key: bytes = b"",
    ) -> None:
        self.serializer, self.name, self.whole, self.by_value = serializer, name, whole, by_value
        self.definition, self.key = definition, key

    @classmethod
    def with_recipe(
        cls,
        serializer: Serializer,
        maker: Maker,
        *,
        whole: bool = False,
        parts: Sequence[Maker] = (),
        run_id: str = "",
    ) -> Chosen:
        """A serializer that others can open too. Known here until it is closed.

        Args:
            serializer: it.
            maker: what makes it.
            whole: whether it packs functions too.
            parts: what makes the serializers that it is made of.
            run_id: of the run, for its start.

        Raises:
            SerializationError: its settings cannot be packed.
        """
        from weft.calls.call import Definition

        recipe = (serializer.id, run_id, maker.packed(), [part.packed() for part in parts])
        key = urandom(8)  # two of one recipe are two, each of a life of its own
        made = cls(serializer, maker.name, whole=whole, key=key)
        made.definition = Definition(dumps(_Recipe(key, recipe), 5))
        _open[key] = made
        return made

    def close(self) -> None:
        """Let go of it."""
        if _open.get(self.key) is self:
            del _open[self.key]
        self.serializer.close()


class Maker:
    """What it takes to make a serializer.

    Attributes:
        name: of its component.
        settings: what it is made of.
        factory: ``"module:callable"``, which makes it of them.
        modules: what it needs to import, by name.
        package: what to install where it cannot be made.
        version: of that.
    """

    __slots__ = ("factory", "modules", "name", "package", "settings", "version")

    def __init__(
        self,
        *,
        name: str,
        settings: Any,
        factory: str,
        modules: tuple[str, ...] = (),
        package: str = "",
        version: str = "",
    ) -> None:
        self.name, self.settings, self.factory, self.modules = name, settings, factory, modules
        self.package, self.version = package, version

    def packed(self) -> tuple[Any, ...]:
        """Itself in a recipe.

        Raises:
            SerializationError: its settings cannot be packed.
        """
        try:
            settings = dumps(self.settings, 5)
        except Exception as trouble:
            from weft.errors import SerializationError

            raise SerializationError(
                f"The settings of the serializer {self.name!r}",
                "",
                f"{type(trouble).__name__}: {trouble}",
                "Name what it needs by texts and numbers: workers make their own of the settings.",
            ) from trouble
        return self.name, settings, self.factory, self.modules, self.package, self.version


class _Recipe:
    """Pickles as the act of learning a recipe."""

    def __init__(self, key: bytes, recipe: tuple[Any, ...]) -> None:
        self.key, self.recipe = key, recipe

    def __reduce__(self) -> tuple[Any, ...]:
        return learn, (self.key, self.recipe)


class _Sent:
    """Pickles as the act of opening what a serializer packed."""

    __slots__ = ("asked", "opens")

    def __init__(self, opens: Callable[..., Any], asked: tuple[Any, ...]) -> None:
        self.opens, self.asked = opens, asked

    def __reduce__(self) -> tuple[Any, ...]:
        return self.opens, self.asked


class Opened:
    """A call that a serializer packed, open.

    Attributes:
        function: what to call, where that is not known by a definition.
        args, kwargs: what to call it with.
        chosen: what packs its result.
        whose: the app and the task whose result that is.
    """

    __slots__ = ("args", "chosen", "function", "kwargs", "whose")

    def __init__(
        self,
        function: Any,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        chosen: Chosen,
        whose: Whose,
    ) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.chosen, self.whose = chosen, whose


# -------------------------------------------------------------------------------------------------
# where it is packed


def packed_call(
    chosen: Chosen,
    function: bytes | None,
    arguments: Sequence[Any],
    whose: Whose,
    keep_small: Callable[[Any], bool],
) -> bytes:
    """The head of a call; its large buffers are given to ``keep_small``.

    Args:
        chosen: what packs it.
        function: the packed function, where that is no definition.
        arguments: a list of two, the list and the dict of them.
        whose: the app and the task.
        keep_small: told each buffer, says whether it stays in line.

    Raises:
        Exception: what the serializer raises.
    """
    from weft.interfaces.serializer import Subject

    app, task = whose
    buffers = chosen.serializer.pack_for(arguments, Subject(part="arguments", app=app, task=task))
    asked = (chosen.key, function, whose, *_to_hand_over(buffers))
    return dumps(_Sent(opened_call, asked), 5, buffer_callback=keep_small)


def packed_value(
    chosen: Chosen,
    value: Any,
    whose: Whose,
    keep_small: Callable[[Any], bool],
) -> bytes:
    """The head of a result; otherwise as :func:`packed_call`."""
    from weft.interfaces.serializer import Subject

    app, task = whose
    buffers = chosen.serializer.pack_for(value, Subject(part="result", app=app, task=task))
    asked = (chosen.key, *_to_hand_over(buffers))
    return dumps(_Sent(opened_value, asked), 5, buffer_callback=keep_small)


def packed_function(chosen: Chosen, function: Any, app: str) -> bytes:
    """A function as the bytes of a definition."""
    from weft.interfaces.serializer import Subject

    buffers = chosen.serializer.pack_for(function, Subject(part="function", app=app))
    # It is sent once and kept as bytes, so its parts are put into one.
    asked = (chosen.key, *_to_hand_over(buffers))
    return dumps(_Sent(opened_value, asked), 5)


def _to_hand_over(buffers: Sequence[Any]) -> list[Any]:
    from pickle import PickleBuffer

    return [PickleBuffer(buffer) for buffer in buffers]


# -------------------------------------------------------------------------------------------------
# where it is opened


def learn(key: bytes, recipe: tuple[Any, ...]) -> bytes:
    """Take a recipe, for when it is needed. Part of the wire format."""
    _recipes[key] = recipe
    return key


def opened_call(key: bytes, function: bytes | None, whose: Whose, *buffers: Any) -> Opened:
    """A call that a serializer packed. Part of the wire format.

    Raises:
        SerializerMissing: there is none here that could open it.
        Exception: what the serializer raises.
    """
    chosen = _by(key)
    args, kwargs = chosen.serializer.unpack(buffers)
    made = None if function is None else loads(function)
    return Opened(made, args, kwargs, chosen, whose)


def opened_value(key: bytes, *buffers: Any) -> Any:
    """A value that a serializer packed; otherwise as :func:`opened_call`."""
    return _by(key).serializer.unpack(buffers)


def _by(key: bytes) -> Chosen:
    found = _open.get(key)
    if found is None:
        recipe = _recipes.get(key)
        if recipe is None:
            from weft.errors import SerializationError

            raise SerializationError(
                "A payload",
                "",
                "It was packed by a serializer that this process knows nothing of.",
                "Open it in the run that packed it, before its session closes.",
            )
        found = _open[key] = _made(key, recipe)
    return found


def _made(key: bytes, recipe: tuple[Any, ...]) -> Chosen:
    """Open a serializer by its recipe, in a process that runs tasks."""
    import atexit

    from weft.interfaces.serializer import SerializerContext

    wanted, run_id, maker, parts = recipe

    def part(settings: Any) -> Serializer:
        for one in parts:
            if one[0] == settings.plugin and loads(one[1]) == settings:
                return _by_maker(one, wanted)
        raise LookupError(f"{settings!r} is not in the settings of the serializer {maker[0]!r}")

    made = _by_maker(maker, wanted, exactly=True)
    made.start(SerializerContext(run_id=run_id, part=part, on_worker=True))
    chosen = Chosen(made, maker[0], key=key)
    atexit.register(chosen.close)
    return chosen


def _by_maker(maker: tuple[Any, ...], wanted: str, *, exactly: bool = False) -> Serializer:
    """Make a serializer.

    Raises:
        SerializerMissing: it cannot be made here.
    """
    from importlib import import_module

    from weft.errors import SerializerMissing

    name, settings, factory, modules, package, version = maker
    try:
        for module in modules:
            import_module(module)
        home, _, attribute = factory.partition(":")
        made: Serializer = getattr(import_module(home), attribute)(loads(settings))
    except Exception as trouble:
        reason = f"{type(trouble).__name__}: {trouble}"
        raise SerializerMissing(name, wanted, reason, package=package, version=version) from trouble
    if exactly and made.id != wanted:
        reason = f"What is installed there speaks another format, {made.id!r}."
        raise SerializerMissing(name, wanted, reason, package=package, version=version)
    return made
