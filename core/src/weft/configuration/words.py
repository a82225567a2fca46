"""Options of a component, as they are typed behind a command: ``--partition debug``.

What a word means is the type of the option: ``--walltime 30`` is text where text is asked for, and
``--nodes 2`` a number.
"""

import ast
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Union, get_args, get_origin

import attrs

from weft.configuration.options import annotations_of, misfit
from weft.values.settings import Settings

__all__ = ["options_in", "value_in"]

_WORDS: Final = frozenset({"true", "false", "none"})


def options_in(words: Sequence[str], settings_class: type[Settings]) -> dict[str, Any]:
    """The options that ``--name value``, ``--name=value``, ``--flag`` and ``--no-flag`` give.

    An option that takes several values is given once for each. A name that the class does not have
    is taken as it is, so that whoever builds the settings can say which one is near.

    Raises:
        ValueError: a word is no option, or an option has no value; the message says which.
    """
    hints = annotations_of(settings_class)
    fields = {f.alias or f.name: f.name for f in attrs.fields(settings_class) if f.init}
    found: dict[str, Any] = {}
    for name, text in _pairs(words, fields, hints):
        annotation = hints.get(fields.get(name, ""), Any)
        if _is_many(annotation):
            found[name] = (*found.get(name, ()), text)
        elif name in found:
            raise ValueError(f"--{name.replace('_', '-')} is given twice, and takes one value")
        else:
            found[name] = value_in(text, annotation) if isinstance(text, str) else text
    return found


def _pairs(
    words: Sequence[str], fields: Mapping[str, str], hints: Mapping[str, Any]
) -> Iterator[tuple[str, str | bool]]:
    left = list(reversed(words))
    while left:
        word = left.pop()
        if not word.startswith("--") or word == "--":
            raise ValueError(
                f"{word!r} is no option; those of a component are written --name value"
            )
        name, equals, text = word[2:].partition("=")
        name = name.replace("-", "_")
        if equals:
            yield name, text
        elif name not in fields and fields.get(name.removeprefix("no_")) in _flags(hints):
            yield name.removeprefix("no_"), False
        elif fields.get(name) in _flags(hints) and (not left or left[-1].startswith("--")):
            yield name, True
        elif left:
            yield name, left.pop()
        else:
            raise ValueError(f"{word} needs a value")


def _flags(hints: Mapping[str, Any]) -> set[str | None]:
    return {name for name, annotation in hints.items() if annotation is bool}


def _is_many(annotation: Any) -> bool:
    parts = get_args(annotation) if get_origin(annotation) in {Union, types.UnionType} else ()
    return str not in (annotation, *parts) and any(
        isinstance(origin := get_origin(part), type) and issubclass(origin, (Sequence, set))
        for part in (annotation, *parts)
    )


def value_in(text: str, annotation: Any) -> Any:
    """What a word means where a value of that type is wanted; the word itself if nothing fits.

    A number, ``true``, ``false``, ``none``, or anything else that Python writes so, if the type
    takes that; else the word.
    """
    try:
        value = ast.literal_eval(text.capitalize() if text.lower() in _WORDS else text)
    except (ValueError, SyntaxError):
        return text
    return text if misfit(value, annotation) is not None else value
