"""A store of one run, in one process: opened, filled, read, emptied.

What a run leaves in a store when it is killed is removed by the next run of the same machine: each
run notes there who it is, for the connectors of files and of Redis.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, cast

from weft.errors import ConfigurationError
from weft_proxystore.errors import ObjectGone, StoreAway
from weft_proxystore.settings import CONNECTORS

__all__ = ["Described", "Owner", "RunStore"]


class Described(Protocol):
    """What settings say of a store."""

    @property
    def connector(self) -> str:
        """What stores."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """What that is given."""
        ...


class Connector(Protocol):
    """What is used of a connector of ProxyStore."""

    def put(self, obj: bytes) -> Any: ...

    def get(self, key: Any) -> Any: ...

    def evict(self, key: Any) -> None: ...

    def close(self) -> None: ...


class Naming(Connector, Protocol):
    """What is used of a connector beside, where names of objects are given: that of files."""

    @property
    def here(self) -> str: ...

    def key_for(self, name: str, at: str = "") -> Any: ...

    def set(self, key: Any, obj: bytes) -> None: ...


class Owner:
    """Which process a run is of: a number of a process means something on one machine only."""

    @staticmethod
    def mine() -> dict[str, Any]:
        """This process."""
        return {"host": socket.gethostname(), "pid": os.getpid(), "began": _began(os.getpid())}

    @staticmethod
    def is_dead(noted: Mapping[str, Any]) -> bool:
        """Whether the noted process was one of this machine, and is no more."""
        if noted.get("host") != socket.gethostname():
            return False
        began = _began(int(noted.get("pid", 0)))
        return began is None or began != noted.get("began")


def _began(pid: int) -> str | None:
    """When a process began, in the system's own count; ``None`` if it is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


class RunStore:
    """The store of a run.

    Args:
        settings: which, and how it is reached.
        run_id: whose.
        mine: whether this process empties it in the end; else it only uses it.
        kept: bytes of objects that are kept for who asks for them again, at most.

    Raises:
        ConfigurationError: the connector cannot be made.
        StoreAway: it cannot be reached.
    """

    def __init__(self, settings: Described, run_id: str, *, mine: bool, kept: int = 0) -> None:
        self.named = _named(settings)
        self._mine, self._folder, self._most = mine, None, kept
        self._noted = False
        options = dict(settings.options)
        if settings.connector == "file":
            self._folder = Path(options.pop("store_dir", ".weft-store")).absolute() / run_id
            # The folder is removed by whose it is, and not by each process that used it.
            options |= {"store_dir": str(self._folder), "clear": False}
        elif settings.connector in ("endpoint", "redis"):
            options["run_id"] = run_id
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        with self._trying("be opened"):
            self._connector = _connector(settings, options)
            if mine:
                self._begin(run_id)

    def put(self, data: bytes) -> Any:
        """Store an object; returns its key.

        Raises:
            StoreAway: that could not be done.
        """
        with self._trying(f"take an object of {len(data):,} bytes"):
            return self._connector.put(data)

    @property
    def here(self) -> str:
        """The part of the store that is nearest, where it has parts."""
        return self._naming.here

    def key_at(self, name: str, at: str = "") -> Any:
        """The key of an object with a name.

        Args:
            name: it.
            at: the part of the store that has it.
        """
        return self._naming.key_for(name, at)

    def put_at(self, name: str, data: bytes, at: str = "") -> None:
        """Store an object under a name, in place of what was there.

        Raises:
            StoreAway: that could not be done.
        """
        with self._trying(f"take an object of {len(data):,} bytes"):
            self._naming.set(self.key_at(name, at), data)

    @property
    def _naming(self) -> Naming:
        return cast("Naming", self._connector)

    def fetch(self, key: Any) -> bytes:
        """The bytes of an object.

        Raises:
            StoreAway: it could not be asked.
            ObjectGone: it is not there.
        """
        name = str(key)
        with self._lock:
            known = self._kept.get(name)
            if known is not None:
                self._kept.move_to_end(name)
                return known
        with self._trying("give back an object"):
            data = self._connector.get(key)
        if data is None:
            raise ObjectGone(self.named, name)
        data = bytes(data)
        with self._lock:
            if name not in self._kept and len(data) <= self._most:
                self._kept[name] = data
                self._size += len(data)
                while self._size > self._most:
                    _, old = self._kept.popitem(last=False)
                    self._size -= len(old)
        return data

    def evict(self, key: Any) -> None:
        """Remove an object.

        Raises:
            StoreAway: that could not be done.
        """
        with self._lock:
            self._size -= len(self._kept.pop(str(key), b""))
        with self._trying("remove an object"):
            self._connector.evict(key)

    def close(self, left: Iterable[Any] = (), *, keep: bool = False) -> None:
        """Be done with it; whose it is empties it of what the run left.

        Args:
            left: the keys that are known to be there.
            keep: remove nothing but the note of whose the run is, if this process made it.

        Raises:
            StoreAway: that could not be done.
        """
        with self._trying("be emptied"):
            mine = self._mine and not keep
            if keep and self._noted:
                self._unnote()
            finish = getattr(self._connector, "end_run", None)
            if mine and self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            elif mine and finish is not None:
                finish()
            elif mine:
                for key in left:
                    self._connector.evict(key)
            self._connector.close()

    # ------------------------------------------------------------------------------ runs of before

    def _begin(self, run_id: str) -> None:
        note = json.dumps(Owner.mine())
        if self._folder is not None:
            for other in self._folder.parent.iterdir():
                if other != self._folder:
                    _remove_if_dead(other)
            self._folder.chmod(0o700)
            # Whoever opens it first has it, which is the script.
            with contextlib.suppress(FileExistsError), (self._folder / _NOTE).open("x") as noting:
                noting.write(note)
                self._noted = True
        begin = getattr(self._connector, "begin_run", None)
        if begin is not None:
            self._noted = begin(note, lambda text: Owner.is_dead(json.loads(text)))

    def _unnote(self) -> None:
        if self._folder is not None:
            (self._folder / _NOTE).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # there is more in it
                self._folder.rmdir()
        forget = getattr(self._connector, "forget_run", None)
        if forget is not None:
            forget()

    @contextlib.contextmanager
    def _trying(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (StoreAway, ObjectGone, ConfigurationError):
            raise
        except Exception as trouble:
            raise StoreAway(self.named, doing, f"{type(trouble).__name__}: {trouble}") from trouble


_NOTE: Final = "weft-run.json"


def _remove_if_dead(folder: Path) -> None:
    try:
        note = json.loads((folder / _NOTE).read_text())
    except (OSError, ValueError):  # not of ours, or one that has just begun
        return
    if isinstance(note, dict) and Owner.is_dead(note):
        shutil.rmtree(folder, ignore_errors=True)


def _named(settings: Described) -> str:
    """A store in words, without what may be secret."""
    shown = [
        str(settings.options[one])
        for one in ("store_dir", "hostname", "port", "endpoints")
        if one in settings.options
    ]
    return f"{settings.connector} ({':'.join(shown)})" if shown else settings.connector


def _connector(settings: Described, options: Mapping[str, Any]) -> Connector:
    home, _, name = CONNECTORS.get(settings.connector, settings.connector).partition(":")
    try:
        made = getattr(import_module(home), name)
    except (ImportError, AttributeError) as trouble:
        extra = {"redis": "[redis]", "endpoint": "[endpoints]"}.get(settings.connector, "")
        raise ConfigurationError(
            f"The connector {settings.connector!r} of ProxyStore cannot be loaded.",
            why=f"{type(trouble).__name__}: {trouble}",
            todo=f"Install weft-proxystore{extra}, here and where tasks run."
            if extra
            else "Mend its name, or install what brings it, here and where tasks run.",
        ) from trouble
    try:
        connector: Connector = made(**options)
    except TypeError as trouble:
        raise ConfigurationError(
            f"The connector {settings.connector!r} of ProxyStore does not take these options.",
            why=str(trouble),
            todo="See the documentation of the connector for those that it takes.",
        ) from trouble
    return connector
