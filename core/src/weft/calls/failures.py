"""Exceptions that travel.

What always arrives is text: the exception's type, its message, and the whole traceback with causes,
contexts and notes. The exception itself travels beside the text, and only if the worker could bring
it back from its own bytes as the same thing; so an exception with an unusual constructor never does
harm at home.
"""

from __future__ import annotations

import contextlib
import pickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["RemoteTraceback", "error_of", "explained", "pack_error", "rebuilt"]

_LONGEST = 200_000
"""Characters of a traceback that travel; the middle of a longer one is left out."""


class RemoteTraceback(Exception):
    """The traceback of a worker, as text; the ``__cause__`` of the exception that came from it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def pack_error(error: BaseException, frames: int = 0) -> bytes:
    """The exception as bytes that can be opened anywhere.

    Args:
        error: what was raised.
        frames: how many of the outermost frames of its traceback are the worker's, and not shown.
    """
    name = _type_name(error)
    message = _message(error)
    text = _traceback(error, frames)
    notes = _notes(error)
    packed, problem = _packed(error, message)
    return pickle.dumps((name, message, text, notes, packed, problem), 5)


def _type_name(error: BaseException) -> str:
    cls = type(error)
    module = cls.__module__
    return (
        cls.__qualname__ if module in {"builtins", "__main__"} else f"{module}.{cls.__qualname__}"
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST]
    except BaseException as trouble:  # noqa: BLE001 - __str__ is anybody's code
        return f"(its message cannot be shown: {type(trouble).__name__})"


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    return [note for note in notes if type(note) is str] if isinstance(notes, list) else []


def _traceback(error: BaseException, frames: int) -> str:
    import traceback

    try:
        trace = error.__traceback__
        for _ in range(frames):
            trace = trace.tb_next if trace is not None else None
        text = "".join(traceback.format_exception(type(error), error, trace))
    except BaseException as trouble:  # noqa: BLE001 - __str__, notes and causes are anybody's code
        text = _plain_traceback(error, trouble)
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        left_out = len(text) - 2 * half
        text = f"{text[:half]}\n  ... {left_out} characters left out ...\n{text[-half:]}"
    return text


def _plain_traceback(error: BaseException, trouble: BaseException) -> str:
    import traceback

    try:
        lines = "".join(traceback.format_tb(error.__traceback__))
    except BaseException:  # noqa: BLE001 - as above
        lines = ""
    said = f"{_type_name(error)}: {_message(error)}"
    more = f"(shown in part: {type(trouble).__name__})"
    return f"Traceback (most recent call last):\n{lines}{said}\n{more}\n"


# ------------------------------------------------------------------------------------------- the
# object itself


def _packed(error: BaseException, message: str) -> tuple[bytes | None, str]:
    """The exception's own bytes, tried; or ``None``, and what went wrong."""
    problem = ""
    for way in (_as_it_pickles, _by_its_facts):
        try:
            packed = way(error)
            back = pickle.loads(packed)
            if type(back) is not type(error):
                problem = problem or f"it comes back as {type(back).__name__}"
            elif _message(back) != message:
                problem = problem or "it comes back with another message"
            else:
                return packed, ""
        except BaseException as trouble:  # noqa: BLE001 - pickling and unpickling run anybody's code
            problem = problem or f"{type(trouble).__name__}: {_message(trouble)[:500]}"
    return None, problem


def _as_it_pickles(error: BaseException) -> bytes:
    from weft.calls.running import by_value_if_strange

    try:
        packed = pickle.dumps(error, 5)
        return by_value_if_strange(error, packed) or packed
    except (pickle.PicklingError, AttributeError, TypeError):
        from weft.calls.byvalue import dumps

        return dumps(error)


def _by_its_facts(error: BaseException) -> bytes:
    """For classes whose constructor does not take what the exception's ``args`` hold."""
    from weft.calls.byvalue import dumps

    facts = {}
    for name, value in error.__dict__.items():
        with contextlib.suppress(BaseException):  # pickling runs anybody's code
            dumps(value)
            facts[name] = value
    return dumps(_Facts(type(error), error.args, facts))


class _Facts:
    """Pickles as an exception that is made without calling its constructor."""

    def __init__(self, cls: type, args: tuple[Any, ...], facts: dict[str, Any]) -> None:
        self.cls, self.args, self.facts = cls, args, facts

    def __reduce__(self) -> tuple[Any, ...]:
        return (rebuilt, (self.cls, self.args, self.facts))


def rebuilt(
    cls: type[BaseException], args: tuple[Any, ...], facts: dict[str, Any]
) -> BaseException:
    """An exception with these ``args`` and attributes. Part of the wire format."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


# -------------------------------------------------------------------------------------------------
# at home


def error_of(packed: Any) -> BaseException:
    """The exception again, with the worker's traceback as its cause. Never raises."""
    try:
        name, message, text, notes, own, problem = pickle.loads(packed)
    except BaseException as trouble:  # noqa: BLE001 - bytes from a worker that a task may have damaged
        return _remote(
            "an exception",
            "",
            "",
            f"what the worker said of it cannot be read: {_message(trouble)}",
        )
    if own is None:
        return _remote(name, message, text, problem)
    try:
        error = pickle.loads(own)
        if not isinstance(error, BaseException):
            return _remote(name, message, text, f"it comes back as {type(error).__name__}")
        if not getattr(error, "__notes__", None):
            for note in notes:
                error.add_note(note)
        error.__cause__ = RemoteTraceback(text)
    except BaseException as trouble:  # noqa: BLE001 - unpickling runs anybody's code
        return _remote(name, message, text, f"{type(trouble).__name__}: {_message(trouble)[:500]}")
    return error


def _remote(name: str, message: str, text: str, problem: str) -> BaseException:
    from weft.errors import RemoteError

    error = RemoteError(name, message, text, problem)
    error.__cause__ = RemoteTraceback(text)
    return error


def explained(error: BaseException, note: str) -> BaseException:
    """The same exception with a note, such as which task it was and where it ran. Never raises."""
    with contextlib.suppress(BaseException):  # add_note may be anybody's code
        error.add_note(note)
    return error
