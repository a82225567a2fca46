"""The serializer: what the policy picks goes into the store, and a note of where it is travels.

    client    pack_for ── picked ──▶ store.put once for each content ── note of the key ──▶ task
              ended(tasks) ──▶ what none of the tasks that are left needs is removed
    worker    unpack ── note ──▶ a proxy, or the object
              pack_for(result) ── picked ──▶ store.put ── note ──▶ client: a proxy, held until it is
              no more and no task needs it

Packing belongs to the threads of executors, ``ended`` to another; what is known of the store is
guarded by one lock.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Final

import cloudpickle

from weft.errors import WeftError
from weft.interfaces.serializer import Buffer, Serializer, SerializerContext, Subject
from weft.values.task import TaskId
from weft_proxystore.keeping import Book
from weft_proxystore.lending import Lender
from weft_proxystore.noting import Notes
from weft_proxystore.payload import digest_of, joined, parts_of
from weft_proxystore.policy import Policy
from weft_proxystore.settings import ProxyStore
from weft_proxystore.stores import RunStore

__all__ = ["ProxyStoreSerializer", "build"]

_LARGE: Final = 65536


def build(settings: ProxyStore) -> ProxyStoreSerializer:
    """The factory that the declaration names."""
    return ProxyStoreSerializer(settings)


class ProxyStoreSerializer(Serializer):
    """Sends through a store what its policy picks.

    Without ``start`` there is no store, and all is packed as it is.
    """

    id = "weft-proxystore1"

    def __init__(self, settings: ProxyStore) -> None:
        self._settings = settings
        self._policy = Policy(
            min_size=settings.min_size, types=settings.types, not_types=settings.not_types
        )
        self._lock = threading.Lock()
        self._book = Book()
        self._key_of: dict[str, Any] = {}
        self._name_of_content: dict[str, str] = {}
        self._content_of_name: dict[str, str] = {}
        self._known: dict[int, tuple[Any, str]] = {}
        # Filled from within the collection of garbage, which may come anywhere; so no lock.
        self._dropped: deque[Any] = deque()
        self._lender: Lender | None = None
        self._inner: Serializer | None = None
        self._on_worker = False

    def start(self, context: SerializerContext) -> None:
        """Open the store.

        Raises:
            ConfigurationError: the connector cannot be made.
            StoreAway: it cannot be reached.
        """
        settings = self._settings
        if settings.inner is not None:
            self._inner = context.part(settings.inner)
            self._inner.start(context)
        self._on_worker = context.on_worker
        store = RunStore(
            settings, context.run_id, mine=not context.on_worker, kept=settings.keep_size
        )
        shown = hashlib.blake2b(repr(settings).encode(), digest_size=6).hexdigest()
        name = f"{context.run_id}-{shown}"
        if context.on_worker:
            self._lender = Lender(name, store)
        else:
            self._lender = Lender(name, store, self._held, self._dropped.append)

    # --------------------------------------------------------------------------------- to and fro

    def pack(self, value: Any) -> Sequence[Buffer]:
        """As it is, whole."""
        return self._packed(value, None)

    def pack_for(self, value: Any, subject: Subject) -> Sequence[Buffer]:
        """With notes in place of what the policy picks.

        Raises:
            StoreAway: an object could not be stored.
        """
        if self._lender is None or subject.part == "function":
            return self._packed(value, None)
        if subject.part == "result":
            notes = self._notes(None, keep=False, picks=self._settings.results)
            return self._packed(notes.walked(value), notes)
        notes = self._notes(subject.task, keep=True, picks=True)
        names = self._settings.names
        if not names:
            return self._packed(notes.walked(value), notes)
        args, kwargs = value
        named = {key: notes.walked(one) if key in names else one for key, one in kwargs.items()}
        return self._packed([args, named], self._notes(subject.task, keep=True, picks=False))

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        """The object again, with proxies where there are notes."""
        with self._lender.opening() if self._lender is not None else nullcontext():
            if self._inner is not None:
                return self._inner.unpack(buffers)
            return pickle.loads(buffers[0], buffers=buffers[1:])

    def _notes(self, task: TaskId | None, *, keep: bool, picks: bool) -> Notes:
        assert self._lender is not None
        return Notes(
            self._lender,
            self,
            self._policy if picks else None,
            task,
            keep=keep,
            lazy=self._settings.lazy,
            whole=self._inner is not None or bool(self._settings.names),
        )

    def _packed(self, value: Any, notes: Notes | None) -> Sequence[Buffer]:
        if self._inner is not None:
            return self._inner.pack(value)
        large: list[Buffer] = []

        def keep_small(buffer: pickle.PickleBuffer) -> bool:
            # Pickle puts a buffer in line if this returns something true.
            try:
                raw = buffer.raw()
            except BufferError:  # not contiguous
                return True
            if raw.nbytes < _LARGE:
                return True
            large.append(raw)
            return False

        head = io.BytesIO()
        _Pickler(head, keep_small, notes).dump(value)
        return [head.getvalue(), *large]

    # ------------------------------------------------------------------------- what is in the store

    def stored(self, value: Any, task: TaskId | None, *, keep: bool) -> Any:
        """The key of a value in the store; put there if its content is not.

        Args:
            value: it.
            task: which task needs it until it has ended.
            keep: whether the same content is stored once; else each time.
        """
        assert self._lender is not None
        parts = None
        with self._lock:
            known = self._known.get(id(value))
            if known is not None and known[0] is value:
                self._book.need(known[1], task)
                return self._key_of[known[1]]
        parts = parts_of(value)
        content = digest_of(parts) if keep else ""
        with self._lock:
            name = self._name_of_content.get(content)
            if name is not None:
                self._book.need(name, task)
                return self._key_of[name]
        key = self._lender.store.put(joined(parts))
        if self._on_worker:
            return key
        with self._lock:
            name = str(key)
            self._key_of[name] = key
            if keep:
                self._name_of_content[content], self._content_of_name[name] = name, content
                if type(value) in (bytes, str):
                    # They cannot change, so need not be looked at again while they are held.
                    self._known[id(value)] = (value, name)
            self._book.need(name, task)
        return key

    def needed(self, key: Any, task: TaskId | None) -> None:
        """A task gets a proxy that is there already."""
        if not self._on_worker:
            with self._lock:
                self._key_of.setdefault(str(key), key)
                self._book.need(str(key), task)

    def _held(self, key: Any) -> None:
        with self._lock:
            self._key_of.setdefault(str(key), key)
            self._book.hold(str(key))

    def ended(self, tasks: Sequence[TaskId]) -> None:
        """Remove what no other task needs."""
        if self._inner is not None:
            self._inner.ended(tasks)
        with self._lock:
            names = self._book.ended(tasks)
            while self._dropped:
                names += self._book.let_go(str(self._dropped.popleft()))
            free = self._forgotten(names)
        self._remove(free)

    def _forgotten(self, names: Sequence[str]) -> list[Any]:
        gone = set(names)
        for name in names:
            self._name_of_content.pop(self._content_of_name.pop(name, ""), None)
        if gone:
            self._known = {one: known for one, known in self._known.items() if known[1] not in gone}
        return [self._key_of.pop(name) for name in names if name in self._key_of]

    def _remove(self, keys: Sequence[Any]) -> None:
        lender = self._lender
        for key in keys if lender is not None else ():
            try:
                lender.store.evict(key)  # type: ignore[union-attr]
            except WeftError:
                # The end of the run removes it, or the next run does; the task has ended well.
                return

    def close(self) -> None:
        """Empty the store."""
        lender, self._lender = self._lender, None
        if self._inner is not None:
            self._inner.close()
        if lender is None:
            return
        with self._lock:
            left = self._forgotten(self._book.keys())
        lender.store.close(left)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """As cloudpickle, with notes in place of what is picked."""

    def __init__(
        self, file: io.BytesIO, keep: Callable[[pickle.PickleBuffer], bool], notes: Notes | None
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=keep)
        self._notes = notes

    def reducer_override(self, obj: Any) -> Any:
        """What pickle asks of all but the plainest objects."""
        if self._notes is not None:
            noted = self._notes.of(obj)
            if noted is not None:
                return noted
        return super().reducer_override(obj)
