"""Proxies of what lies in a store, and how they travel.

Packed by the serializer, a proxy travels as the name of its store and its key. Pickled by anything
else, such as a checkpoint or another executor, it travels as the object it stands for: a proxy
means nothing when its run is over.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from proxystore.proxy import Proxy, ProxyResolveError

from weft_proxystore.payload import opened
from weft_proxystore.stores import RunStore

__all__ = ["Lender", "Lent", "Loan", "borrowed", "fetched", "lent_by", "loan_of"]


class Lender:
    """A store from which proxies of this process fetch.

    Args:
        name: by which the same store is known in all processes of a run.
        store: it.
        held: called with a key for each proxy that is made here from afar.
        let_go: called with a key when such a proxy is no more; from within the collection of
            garbage, so it must take no lock.
    """

    def __init__(
        self,
        name: str,
        store: RunStore,
        held: Callable[[Any], None] | None = None,
        let_go: Callable[[Any], None] | None = None,
    ) -> None:
        self.name, self.store, self.held, self.let_go = name, store, held, let_go

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """While it is entered, what this thread opens is lent by this one."""
        before, _here.lender = _here.lender, self
        try:
            yield
        finally:
            _here.lender = before


class _Here(threading.local):
    lender: Lender | None = None


_here = _Here()


class Loan:
    """What makes a proxy the object: called when it is first used."""

    __slots__ = ("__weakref__", "key", "lender")

    def __init__(self, lender: Lender, key: Any) -> None:
        self.lender, self.key = lender, key

    def __call__(self) -> Any:
        """The object.

        Raises:
            StoreAway, ObjectGone: it cannot be had.
        """
        return opened(self.lender.store.fetch(self.key))


class Lent(Proxy):  # type: ignore[type-arg]
    """A proxy of an object in a store."""

    @property
    def __proxy_wrapped__(self) -> Any:
        try:
            return Proxy.__proxy_wrapped__.fget(self)  # type: ignore[attr-defined]
        except ProxyResolveError as trouble:
            # It says what every proxy says; its cause says what is the matter.
            raise trouble.cause from None

    @__proxy_wrapped__.setter
    def __proxy_wrapped__(self, target: Any) -> None:
        object.__setattr__(self, "__proxy_target__", target)

    @__proxy_wrapped__.deleter
    def __proxy_wrapped__(self) -> None:
        object.__delattr__(self, "__proxy_target__")

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.__proxy_wrapped__,)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _itself, (self.__proxy_wrapped__,)


def _itself(value: Any) -> Any:
    return value


def loan_of(value: Any) -> Loan | None:
    """The loan of a proxy of ours, which is not touched."""
    if type(value) is not Lent:
        return None
    loan = object.__getattribute__(value, "__proxy_factory__")
    return loan if isinstance(loan, Loan) else None


def lent_by(name: str, key: Any) -> Any:
    """A proxy that has come from afar. Part of the wire format."""
    lender = _lender(name)
    loan = Loan(lender, key)
    if lender.held is not None and lender.let_go is not None:
        lender.held(key)
        weakref.finalize(loan, lender.let_go, key).atexit = False
    return Lent(loan)


def fetched(name: str, key: Any) -> Any:
    """The object itself, fetched now. Part of the wire format."""
    return opened(_lender(name).store.fetch(key))


def borrowed(name: str, key: Any, *, lazily: bool) -> tuple[Any, ...]:
    """How a proxy, or what is fetched at once, is written in a pickle."""
    return (lent_by if lazily else fetched), (name, key)


def _lender(name: str) -> Lender:
    lender = _here.lender
    if lender is None or lender.name != name:
        from weft.errors import SerializationError

        raise SerializationError(
            "A proxy",
            "",
            "It is of a store that this process has not opened, or has closed.",
            "Use it in the run that made it, before its session closes.",
        )
    return lender
