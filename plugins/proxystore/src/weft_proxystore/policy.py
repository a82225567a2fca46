"""Which values go through a store: pure decisions on a value and what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from weft.values.message import message

__all__ = ["Policy", "size_of"]

_NEVER: Final = (
    type(None), bool, int, float, complex, type, FunctionType, BuiltinFunctionType, MethodType,
    ModuleType, BaseException,
)  # fmt: skip
_PLAIN: Final = (bytes, bytearray, str)
_HOLDERS: Final = (list, tuple, set, frozenset, dict)
_REFERENCE: Final = 8


def size_of(value: Any) -> int | None:
    """About how many bytes a value takes, as far as that can be had at once; else ``None``.

    Of containers no more than their references, which is less than they take.
    """
    kind = type(value)
    if kind in _PLAIN:
        return len(value)
    if kind in _HOLDERS:
        return _REFERENCE * len(value)
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size
    usage = getattr(value, "memory_usage", None)
    if usage is None or not callable(usage):
        return None
    used = usage()
    return int(used.sum()) if hasattr(used, "sum") else int(used)


@message
class Policy:
    """What is asked for; see the settings of the same names."""

    min_size: int
    types: Sequence[str] = ()
    not_types: Sequence[str] = ()

    def picks(self, value: Any) -> bool:
        """Whether a value is to go through the store.

        Args:
            value: no proxy, which would be fetched to be looked at.
        """
        kind = type(value)
        if issubclass(kind, _NEVER):
            return False
        if self.not_types and _is_one(kind, self.not_types):
            return False
        named = bool(self.types)
        if named and not _is_one(kind, self.types):
            return False
        size = size_of(value)
        if size is None:
            # Only a whole pickle would tell; who named the class has decided.
            return named
        return size >= self.min_size


def comes_lazily(value: Any) -> bool:
    """Whether a proxy can stand for a value: not for what much compiled code takes as it is."""
    return type(value) not in (*_PLAIN, *_HOLDERS)


def _is_one(kind: type, names: Sequence[str]) -> bool:
    return any(
        name in (base.__name__, f"{base.__module__}.{base.__qualname__}")
        for base in kind.__mro__
        for name in names
    )
