"""Writes a module in which the names of plugins have types.

``weft.executor("htex", ...)`` takes any name and any option, as far as a type checker knows. The
module that is made here has one overload for each installed component, with its name as a literal
and its options as parameters, so that mypy and pyright find a misspelt name, a misspelt option, a
wrong type, a part of the wrong kind and a missing option, and know the class of the result:

    from weft_env import executor

At run time it re-exports the functions of ``weft``. It is an ordinary module beside the user's own:
a folder of stubs would hide the whole of ``weft`` from pyright, and mypy would not read it.
"""

import inspect
import keyword
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs

from weft.configuration.options import annotations_of
from weft.values.plugin import Kind
from weft.values.settings import Settings

__all__ = ["MARK", "Typed", "render"]

MARK: Final = "# Written by weft plugin typings"
"""How such a module begins; a file that begins otherwise is somebody's own."""


@attrs.frozen
class Typed:
    """A component that gets an overload: its kind, the names that lead to it, its settings."""

    kind: Kind
    names: Sequence[str]
    settings: type[Settings]


def render(components: Iterable[Typed]) -> str:
    """The text of the module, the same for the same components."""
    given = sorted(components, key=lambda one: (one.kind, one.names))
    kinds = [kind.value for kind in Kind if kind.has_interface]
    imports = _Imports()
    bodies = []
    for kind in kinds:
        mine = [one for one in given if one.kind == kind]
        bodies += [_overload(one, imports, sole=len(mine) == 1) for one in mine]
        if len(mine) > 1:  # outside a stub, checkers want something that the overloads are of
            bodies.append([f"def {kind}(name: str, /, **options: typing.Any) -> typing.Any: ..."])
    # A kind of which nothing is installed keeps its untyped function.
    typed = {one.kind.value for one in given}
    plain = [kind for kind in kinds if kind not in typed]
    lines = [
        f"{MARK}; write it again when plugins come, go or change.",
        '"""The components that are installed, by their names, with the types of their options."""',
        "",
        "from typing import TYPE_CHECKING",
        "",
        *([f"from weft import {', '.join(plain)}"] if plain else []),
        "if TYPE_CHECKING:",
        *(f"    {line}" for line in imports.lines()),
        "",
        *("\n".join(f"    {line}".rstrip() for line in body) for body in bodies),
        "else:",
        f"    from weft import {', '.join(kind for kind in kinds if kind in typed)}",
        "",
        f"__all__ = {kinds!r}".replace("'", '"'),
    ]
    return "\n".join(lines) + "\n"


class _Imports:
    """The modules that the text needs, each imported under a name that clashes with nothing."""

    def __init__(self) -> None:
        self._modules: set[str] = {"typing"}

    def of(self, module: str, name: str) -> str:
        module = _public(module, name)
        if module == "builtins":
            return name
        self._modules.add(module)
        return f"{module}.{name}"

    def lines(self) -> list[str]:
        return [f"import {module}" for module in sorted(self._modules)]


def _public(module: str, name: str) -> str:
    """The module that others import a class from, where it was made in one of its private ones.

    ``pathlib.Path`` says of itself, from Python 3.13 on, that it is of ``pathlib._local``.
    """
    parts, first = module.split("."), name.partition(".")[0]
    made = getattr(sys.modules.get(module), first, None)
    for length, part in enumerate(parts):
        outside = ".".join(parts[:length])
        offered = getattr(sys.modules.get(outside), first, None)
        if part.startswith("_") and offered is not None and offered is made:
            return outside
    return module


def _overload(one: Typed, imports: _Imports, *, sole: bool) -> list[str]:
    # A single overload is an error to type checkers: one component alone has a plain function.
    head = [] if sole else ["@typing.overload"]
    names = ", ".join(f'"{name}"' for name in one.names)
    lines = [*head, f"def {one.kind.value}(", f"    name: typing.Literal[{names}],", "    /,"]
    parameters = list(_parameters(one.settings, imports))
    if parameters:
        lines += ["    *,", *(f"    {parameter}," for parameter in parameters)]
    result = imports.of(one.settings.__module__, one.settings.__qualname__)
    return [*lines, f") -> {result}: ..."]


def _parameters(cls: type[Settings], imports: _Imports) -> Iterable[str]:
    hints = annotations_of(cls)
    asked = inspect.signature(cls).parameters
    for field in attrs.fields(cls):
        name = field.alias or field.name
        if not field.init or keyword.iskeyword(name):
            continue
        annotation = hints.get(field.name, Any)
        if field.converter is not None:
            annotation = _resolved(asked[name].annotation, field.converter)
        default = "" if field.default is attrs.NOTHING else " = ..."
        yield f"{name}: {_text(annotation, imports)}{default}"


def _resolved(annotation: Any, converter: Any) -> Any:
    """What a converter takes, as attrs found it out; anything, if it does not say."""
    if annotation is inspect.Parameter.empty:
        return Any
    if isinstance(annotation, str):
        function: Callable[..., Any] = getattr(converter, "converter", converter)
        space = vars(sys.modules.get(getattr(function, "__module__", ""), types))
        try:
            return eval(annotation, dict(space))  # noqa: S307 - the text of the converter itself
        except Exception:  # noqa: BLE001 - names that exist for type checkers alone
            return Any
    return annotation


_SPECIAL: Final[Mapping[Any, str]] = {
    Any: "typing.Any",
    None: "None",
    type(None): "None",
    Ellipsis: "...",
}


def _text(annotation: Any, imports: _Imports) -> str:
    """A type as source text."""
    try:
        if annotation in _SPECIAL:
            return _SPECIAL[annotation]
    except TypeError:  # unhashable: the parameters of a Callable
        pass
    if isinstance(annotation, list):
        return f"[{', '.join(_text(part, imports) for part in annotation)}]"
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"typing.Literal[{', '.join(map(_literal, parts))}]"
    if origin in {Union, types.UnionType}:
        return " | ".join(_text(part, imports) for part in parts)
    if origin is not None and not isinstance(origin, type):
        return _text(parts[0], imports) if parts else "typing.Any"  # such as Annotated
    if origin is not None:
        inner = ", ".join(_text(part, imports) for part in parts)
        return f"{imports.of(origin.__module__, origin.__qualname__)}[{inner}]"
    if isinstance(annotation, type) and "<locals>" not in annotation.__qualname__:
        return imports.of(annotation.__module__, annotation.__qualname__)
    return "typing.Any"


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) and '"' not in value else repr(value)
