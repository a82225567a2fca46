"""Turns keywords into a settings object, and says in words what is wrong when that cannot be done.

Errors of attrs and of typeguard are written for the author of a class. Here they become sentences
for its user: which plugin, which option, what was given, what is allowed, and the nearest name.
"""

import functools
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

import attrs

from weft.errors import SettingsError, WeftError
from weft.values.plugin import Kind
from weft.values.settings import Settings

__all__ = [
    "allowed",
    "annotations_of",
    "build",
    "described",
    "explained",
    "misfit",
    "nearest",
    "shown",
    "shown_type",
]

S = TypeVar("S", bound=Settings)
C = TypeVar("C")

_LONGEST: Final = 60


def build(settings_class: type[S], owner: str, options: Mapping[str, Any]) -> S:
    """The settings object that these options make.

    Args:
        settings_class: the attrs class of the plugin's settings.
        owner: what to call the plugin in messages, such as ``executor 'threads'``.
        options: what the user gave.

    Raises:
        SettingsError: an option is unknown, missing, or has a value that is not allowed.
    """
    fields = {f.alias or f.name: f for f in attrs.fields(settings_class) if f.init}
    for name in options:
        if name not in fields:
            raise _unknown(owner, name, fields)
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in options:
            raise _missing(owner, name, field, annotations_of(settings_class))
    hints = annotations_of(settings_class)
    for name, value in options.items():
        # A converter may turn what is given into what is annotated, so its result is looked at
        # instead, below.
        if fields[name].converter is None:
            _check(owner, name, value, fields[name], hints)
    try:
        made = settings_class(**options)
    except WeftError:
        raise
    except Exception as trouble:  # validators and converters are the plugin's code
        raise _refused(owner, trouble, fields, options, settings_class) from trouble
    for name in options:
        if fields[name].converter is not None:
            _check(owner, name, getattr(made, fields[name].name), fields[name], hints)
    return made


def annotations_of(settings_class: type[Any]) -> Mapping[str, Any]:
    """The type of each field by its name, as far as annotations can be resolved."""
    hints = dict[str, Any]()
    for field in attrs.fields(settings_class):
        found = field.type
        if isinstance(found, str):
            found = _resolved(field.name, found, settings_class)
        if found is not None:
            hints[field.name] = found
    return hints


def _resolved(name: str, annotation: str, cls: type[Any]) -> Any:
    owner = next((c for c in cls.__mro__ if name in vars(c).get("__annotations__", ())), cls)
    try:
        # The text is that of the class itself.
        return eval(annotation, vars(sys.modules[owner.__module__]))  # noqa: S307
    except Exception:  # noqa: BLE001 - names that exist for type checkers alone
        return None


def explained(owner: str) -> Callable[[type[C]], type[C]]:
    """Make the constructor of an attrs class complain in words, by :class:`SettingsError`.

    For classes that users construct by themselves. Types are looked at only to explain what went
    wrong.
    """

    def decorate(cls: type[C]) -> type[C]:
        construct = cls.__init__

        @functools.wraps(construct)
        def __init__(self: C, **options: Any) -> None:  # noqa: N807 - it takes that one's place
            try:
                construct(self, **options)
            except (TypeError, ValueError) as trouble:
                raise _explanation(owner, trouble, options, cls) from trouble

        cls.__init__ = __init__  # type: ignore[assignment]  # before anybody has an instance
        return cls

    return decorate


def _explanation(
    owner: str, trouble: Exception, options: Mapping[str, Any], cls: type[Any]
) -> SettingsError:
    fields = {f.alias or f.name: f for f in attrs.fields(cls) if f.init}
    hints = annotations_of(cls)
    for name, value in options.items():
        if name not in fields:
            return _unknown(owner, name, fields)
        if fields[name].converter is None and fields[name].name in hints:
            wrong = _wrong(owner, name, value, fields[name], hints)
            if wrong is not None:
                return wrong
    return _refused(owner, trouble, fields, options, cls)


# ---------------------------------------------------------------------------------------- sentences


def _unknown(owner: str, name: str, fields: Mapping[str, Any]) -> SettingsError:
    near = nearest(name, fields)
    kind, _, _ = owner.partition(" ")
    takes = name in {k.value for k in Kind}
    return SettingsError(
        owner,
        name,
        f"this {kind} takes no {name}." if takes else f"there is no option {name!r}.",
        allowed=f"Its options are: {', '.join(fields) or 'none'}.",
        todo=f"Did you mean {' or '.join(near)}?" if near else _where_described(name, owner),
    )


def _missing(owner: str, name: str, field: Any, hints: Mapping[str, Any]) -> SettingsError:
    return SettingsError(
        owner,
        name,
        f"the option {name} must be given.",
        allowed=described(field, hints),
        todo=f"Add {name}=...",
    )


def _check(owner: str, name: str, value: Any, field: Any, hints: Mapping[str, Any]) -> None:
    wrong = _wrong(owner, name, value, field, hints) if field.name in hints else None
    if wrong is not None:
        raise wrong


def _wrong(
    owner: str, name: str, value: Any, field: Any, hints: Mapping[str, Any]
) -> SettingsError | None:
    """The complaint about a value that is not of the type that is asked for, if it is not."""
    trouble = misfit(value, hints[field.name])
    if trouble is None:
        return None
    return SettingsError(
        owner,
        name,
        f"{name}={shown(value, secret=bool(field.metadata.get('secret')))} is not allowed: "
        f"{trouble}",
        allowed=described(field, hints),
        todo=_remedy(name, value, hints[field.name]),
    )


def _refused(
    owner: str,
    trouble: Exception,
    fields: Mapping[str, Any],
    options: Mapping[str, Any],
    settings_class: type[Any],
) -> SettingsError:
    """What a validator or a converter said, about the option it said it of."""
    # attrs puts its own description of the field behind the message; the user is shown the message
    # alone.
    said = str(trouble.args[0]) if trouble.args else type(trouble).__name__
    field = _culprit(trouble, said, fields, options, settings_class)
    if field is None:
        return SettingsError(owner, "", _sentence(said))
    name = field.alias or field.name
    given = options.get(name, field.default)
    secret = bool(field.metadata.get("secret"))
    return SettingsError(
        owner,
        name,
        f"{name}={shown(given, secret=secret)} is not allowed"
        + ("." if secret or _limits(field.validator) else f": {_sentence(said)}"),
        allowed=described(field, annotations_of(settings_class)),
    )


def _culprit(
    trouble: Exception,
    said: str,
    fields: Mapping[str, Any],
    options: Mapping[str, Any],
    settings_class: type[Any],
) -> Any:
    for part in trouble.args[1:]:
        if isinstance(part, attrs.Attribute):
            return part
    for name, field in fields.items():
        if f"'{field.name}'" in said or f"'{name}'" in said:
            return field
    # The message does not say of which option it speaks: find the one whose value brings it about.
    for name, value in options.items():
        if str(_objection(fields[name], value, settings_class)) == str(trouble):
            return fields[name]
    return None


def _objection(field: Any, value: Any, settings_class: type[Any]) -> Exception | None:
    try:
        if callable(field.converter):
            value = field.converter(value)
        if field.validator is not None:
            # Validators get the object too; one that looks into it speaks of more than this option.
            field.validator(object.__new__(settings_class), field, value)
    except Exception as trouble:  # noqa: BLE001 - the plugin's code
        return trouble
    return None


def _remedy(name: str, value: Any, annotation: Any) -> str:
    kind = _kind_wanted(annotation)
    if kind is not None and isinstance(value, str):
        return f"Write {name}=weft.{kind}({value!r})."
    if kind is not None and isinstance(value, type) and issubclass(value, Settings):
        return f"Make an object of it: {name}={value.__name__}(...)."
    if kind is not None:
        return f"Write {name}=weft.{kind}(...)."
    if isinstance(value, str) and _wants_sequence(annotation):
        return f"Write {name}=[{value!r}] for a single one."
    return ""


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _help(field: Any) -> str:
    text, unit = field.metadata.get("help", ""), field.metadata.get("unit", "")
    return (
        f"{f', in {unit}' if unit else ''}: {text}"
        if text
        else f"{f', in {unit}' if unit else ''}."
    )


def _article(words: str) -> str:
    first = words.partition(" ")[0]
    if words.startswith(("a ", "an ", "one of ", "any")) or "|" in words or "[" in first:
        return words
    return f"{'an' if words[:1].lower() in 'aeiou' else 'a'} {words}"


def _where_described(name: str, owner: str) -> str:
    plugin = owner.partition("'")[2].rstrip("'")
    place = f"; 'weft plugin info {plugin}' describes every option." if plugin else "."
    return f"Leave {name} out{place}"


def shown(value: Any, *, secret: bool = False) -> str:
    """A value as it is shown in a message: its ``repr`` if that is short, else its beginning."""
    if secret:
        return "***"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the repr of a user's object
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def nearest(name: str, known: Collection[str], most: int = 3) -> tuple[str, ...]:
    """The known names that are most like this one."""
    from difflib import get_close_matches

    return tuple(get_close_matches(name, list(known), n=most, cutoff=0.6))


# ------------------------------------------------------------------------------------------- limits


def described(field: Any, hints: Mapping[str, Any]) -> str:
    """An option in a sentence: its name, what it may be, its unit and its help text."""
    return f"{field.alias or field.name} is {_article(allowed(field, hints))}{_help(field)}"


def allowed(field: Any, hints: Mapping[str, Any]) -> str:
    """What an option may be, in words: its type and the limits that its validators set."""
    annotation = hints.get(field.name, field.type)
    words, limits = shown_type(annotation), _limits(field.validator)
    if not limits or words.startswith("one of "):
        return words  # the type says the choices already
    return f"{words} ({limits})" if "|" in words else f"{words} {limits}"


def _limits(validator: Any) -> str:
    """The limits that attrs' own validators set, in words; of others nothing is known."""
    match type(validator).__name__:
        case "_NumberValidator":
            return f"{validator.compare_op} {validator.bound}"
        case "_InValidator":
            return "out of " + ", ".join(repr(option) for option in validator.options)
        case "_MatchesReValidator":
            return f"matching {validator.pattern.pattern}"
        case "_MinLengthValidator":
            return f"of length {validator.min_length} or more"
        case "_MaxLengthValidator":
            return f"of length {validator.max_length} or less"
        case "_OptionalValidator":
            return _limits(validator.validator)
        case "_AndValidator":
            parts = validator._validators  # noqa: SLF001 - attrs has no public name for them
            return " and ".join(filter(None, map(_limits, parts)))
    return ""


def shown_type(annotation: Any) -> str:
    """A type as people write it: ``int | None``, ``one of 'a', 'b'``, ``a provider``."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, str):
        return annotation
    origin = get_origin(annotation)
    if origin is Literal:
        return "one of " + ", ".join(repr(value) for value in get_args(annotation))
    if origin in {Union, types.UnionType}:
        return " | ".join(shown_type(part) for part in get_args(annotation))
    if origin is not None:
        inner = ", ".join(
            "..." if part is Ellipsis else shown_type(part)
            for part in get_args(annotation)
            if not isinstance(part, list)
        )
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    kind = _kind_wanted(annotation)
    if kind is not None:
        return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    return getattr(annotation, "__name__", None) or str(annotation).replace("typing.", "")


# -------------------------------------------------------------------------------------------- types


def misfit(value: Any, annotation: Any) -> str | None:
    """Why a value is not of the type that is asked for, as a sentence; ``None`` if it is.

    Plain classes and unions of them are decided here. typeguard is asked, and imported, for the
    rest.
    """
    fits = _fits(value, annotation)
    if fits is True:
        return None
    if fits is False:
        return _mismatch(value, annotation)
    from typeguard import CollectionCheckStrategy, ForwardRefPolicy, TypeCheckError, check_type

    try:
        check_type(
            value,
            annotation,
            forward_ref_policy=ForwardRefPolicy.IGNORE,
            collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS,
        )
    except TypeCheckError as trouble:
        return _sentence(str(trouble))
    except Exception:  # noqa: BLE001, S110 - an unreadable annotation is not the user's fault
        pass
    return None


def _fits(value: Any, annotation: Any) -> bool | None:
    """Whether a value fits, if that can be said without looking into collections; else ``None``."""
    if annotation is Any or annotation is object:
        return True
    if annotation is None:
        return value is None
    origin = get_origin(annotation)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(annotation))
    if origin in {Union, types.UnionType}:
        answers = {_fits(value, part) for part in get_args(annotation)}
        return True if True in answers else None if None in answers else False
    if isinstance(annotation, type) and origin is None:
        if isinstance(value, bool) and annotation in {int, float, complex}:
            return False  # True where a number is wanted is a slip, whatever Python says of bool
        if annotation is float and isinstance(value, int):
            return True
        return _is_instance(value, annotation)
    if isinstance(origin, type):
        if not _is_instance(value, origin) or (
            isinstance(value, str) and _wants_sequence(annotation)
        ):
            return False
        if isinstance(value, Collection) and not value and origin is not tuple:
            return True
    return None


def _is_instance(value: Any, cls: type[Any]) -> bool | None:
    try:
        return isinstance(value, cls)
    except TypeError:  # a protocol that cannot be asked at run time
        return None


def _mismatch(value: Any, annotation: Any) -> str:
    wanted = _kind_wanted(annotation)
    if isinstance(value, Settings):
        given = f"{_article(value.kind.value)} ({value.plugin!r})"
        if wanted:
            return f"it is {given} where a {wanted} belongs."
        return f"it is {given}."
    if isinstance(value, type):
        return f"it is the class {value.__name__} itself."
    if isinstance(value, str) and _wants_sequence(annotation):
        return "it is a single str where several are wanted."
    if get_origin(annotation) is Literal:
        return "it is none of the choices."
    return f"it is {_article(type(value).__name__)}."


def _parts(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in {Union, types.UnionType}:
        for part in get_args(annotation):
            yield from _parts(part)
    else:
        yield annotation


def _kind_wanted(annotation: Any) -> str | None:
    """The kind of component whose settings are asked for, if they are."""
    for part in _parts(annotation):
        if isinstance(part, type) and get_origin(part) is None and issubclass(part, Settings):
            kind: Kind | None = getattr(part, "kind", None)
            return kind.value if kind is not None else None
    return None


def _wants_sequence(annotation: Any) -> bool:
    parts = list(_parts(annotation))
    return str not in parts and any(
        (isinstance(get_origin(p), type) and issubclass(Sequence, get_origin(p)))
        or get_origin(p) in {list, tuple, set}
        for p in parts
    )
