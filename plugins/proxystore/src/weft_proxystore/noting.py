"""Puts notes of where they are in place of values that go through a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from proxystore.proxy import Proxy

from weft.values.task import TaskId
from weft_proxystore.lending import Lender, borrowed, loan_of
from weft_proxystore.policy import Policy, comes_lazily

__all__ = ["Keeper", "Notes", "Written"]

_WALKED: Final = (list, tuple, dict)
_PLAIN: Final = (bytes, bytearray, str, list, tuple, set, frozenset, dict)


class Keeper(Protocol):
    """What knows of each object in the store who needs it."""

    def stored(self, value: Any, task: TaskId | None, *, keep: bool) -> Any:
        """The key of a value in the store; put there if its content is not.

        Args:
            value: it.
            task: which task needs it until it has ended.
            keep: whether the same content is stored once; else each time.
        """
        ...

    def needed(self, key: Any, task: TaskId | None) -> None:
        """A task gets what is in the store already."""
        ...


class Notes:
    """Puts notes in place of values, for one payload.

    Args:
        lender: the store.
        keeper: puts values into it.
        policy: picks them; ``None`` picks none.
        task: whose payload it is.
        keep: whether the same content is stored once, and proxies stay proxies; so for arguments.
            What a task returns is stored anew: what its arguments were proxies of goes with it.
        lazy: whether proxies are made of what is picked.
        whole: whether values in attributes of objects are to be found while walking, since nothing
            asks for them while they are pickled.
    """

    def __init__(
        self,
        lender: Lender,
        keeper: Keeper,
        policy: Policy | None,
        task: TaskId | None,
        *,
        keep: bool,
        lazy: bool,
        whole: bool = False,
    ) -> None:
        self._lender, self._keeper, self._policy, self._task = lender, keeper, policy, task
        self._keep, self._lazy, self._whole = keep, lazy, whole
        self._seen: dict[int, tuple[Any, Any]] = {}

    def of(self, value: Any) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
        """How a value is written in a pickle, if it is picked or a proxy; else ``None``."""
        loan = loan_of(value)
        if loan is not None:
            if self._keep and loan.lender is self._lender:
                self._keeper.needed(loan.key, self._task)
                return borrowed(loan.lender.name, loan.key, lazily=True)
            value = value.__proxy_wrapped__
        elif issubclass(type(value), Proxy):  # of somebody else, who knows what it is for
            return None
        if self._policy is None or not self._policy.picks(value):
            return None if loan is None else (_same, (value,))
        key = self._keeper.stored(value, self._task, keep=self._keep)
        return borrowed(self._lender.name, key, lazily=self._lazy and comes_lazily(value))

    def walked(self, value: Any) -> Any:
        """A value with notes in place of what is picked, in it and in its containers."""
        kind = type(value)
        if (kind in _PLAIN or self._whole) and (kind not in _WALKED or _is_flat(value)):
            noted = self.of(value)
            if noted is not None:
                return Written(*noted)
        if kind not in _WALKED or not value:
            return value
        known = self._seen.get(id(value))
        if known is not None:
            return known[1]
        self._seen[id(value)] = (value, value)  # within itself it stays as it is
        made = self._rebuilt(value, kind)
        self._seen[id(value)] = (value, made)
        return made

    def _rebuilt(self, value: Any, kind: type) -> Any:
        if kind is dict:
            new = {key: self.walked(one) for key, one in value.items()}
            return new if any(new[key] is not one for key, one in value.items()) else value
        items = [self.walked(one) for one in value]
        changed = any(new is not old for new, old in zip(items, value, strict=True))
        return kind(items) if changed else value


class Written:
    """Stands in a container for what a note is in place of."""

    __slots__ = ("_call",)

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._call = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


def _is_flat(value: Any) -> bool:
    """Whether a container holds plain values, as far as its first one shows."""
    first = next(iter(value.values() if isinstance(value, dict) else value), None)
    return type(first) in (int, float, complex, bool)


def _same(value: Any) -> Any:
    return value
