"""One face for the file systems of fsspec: what a file is like, pieces of it, sending one.

object stores    cat_file by ranges            open("wb"), write …, close = seen as a whole
sftp             open("rb"), blocks ahead      open(".part"), blocks …, close, rename

The libraries of the protocols are loaded when the first file of theirs is moved. Those that work
with ``asyncio`` do so in the loop that they are given; every request is waited for within bounds.
"""

import contextlib
import posixpath
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final, Protocol

import attrs

from weft_fsspec import ahead
from weft_fsspec.addresses import Address
from weft_fsspec.loops import Loop
from weft_fsspec.settings import Fsspec
from weft_fsspec.trouble import Wrong

__all__ = ["Facts", "Source", "Store", "Stores"]

Tell = Callable[[int], None]
"""Is told how many bytes have been sent; may raise to have it end."""


class Source(Protocol):
    """What is to be sent."""

    def read(self, size: int, /) -> bytes:
        """The next bytes; none at the end."""
        ...


_MOST_PARTS: Final = 10_000
"""Parts that an object of S3 may be put in; elsewhere it may be more."""

_LEAST_BLOCK: Final = 32 * 1024
"""Bytes that every SFTP server takes in one request, also one that does not tell its limits."""

_ABORT: Final = 20.0
"""Seconds for taking back what was begun, after something else went wrong."""


@attrs.frozen
class Facts:
    """What a store says of a file.

    Attributes:
        size: in bytes.
        version: another text whenever the content is another.
        md5: the checksum of the content in hexadecimal; empty where the store has none.
    """

    size: int
    version: str
    md5: str = ""


class Store(ABC):
    """The files of a bucket's or a server's owner, by way of one file system of fsspec.

    From any thread. What its methods raise is what the library raises.

    Args:
        settings: the stager's.
        address: of a file in it.
        loop: gives the event loop.
    """

    module: str
    extra: str

    def __init__(self, settings: Fsspec, address: Address, loop: Loop) -> None:
        self._settings = settings
        self._seconds = settings.connect_timeout + settings.read_timeout
        try:
            library = import_module(self.module)
        except ImportError as error:
            raise Wrong(
                f"Files of {address.protocol}:// URLs need {self.module!r}, and that cannot be "
                f"imported: {error}.",
                f"pip install 'weft-fsspec[{self.extra}]', also where tasks run if files are "
                "fetched from there.",
            ) from error
        own = settings.options.get(address.protocol, {})
        made = merged(self.defaults(address), own)
        self._system: Any = self.make(library, {**made, "skip_instance_cache": True}, loop)

    @abstractmethod
    def defaults(self, address: Address) -> Mapping[str, Any]:
        """What the file system is made with, unless options say otherwise."""

    @abstractmethod
    def make(self, library: Any, options: dict[str, Any], loop: Loop) -> Any:
        """The file system."""

    @staticmethod
    def key(address: Address) -> tuple[str, ...]:
        """Addresses with the same one are served by one store."""
        return (address.protocol,)

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        return True

    @abstractmethod
    def facts(self, address: Address) -> Facts:
        """What is there."""

    @abstractmethod
    def pieces(self, address: Address, begin: int, end: int) -> Iterator[bytes]:
        """The content from one byte to before another, in pieces; short if the file is."""

    @abstractmethod
    def send(self, address: Address, source: Source, size: int, tell: Tell) -> None:
        """Put a file there, seen when it is whole; when this raises, nothing was put."""

    @abstractmethod
    def close(self) -> None:
        """End its connections."""

    def _whole(self, size: int) -> float:
        """Seconds that a request of that size may take: a line of 64 kB/s is slow, not silent."""
        return self._seconds + size / 65536


def merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Options, the user's over the defaults, also within those that are mappings."""
    made = dict(defaults)
    for name, value in own.items():
        before = made.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        made[name] = {**before, **value} if both and before is not None else value
    return made


class _Objects(Store):
    """An object store: what is put is seen when all of it has come."""

    def _name(self, address: Address) -> str:
        return f"{address.host}/{address.path}"

    def pieces(self, address: Address, begin: int, end: int) -> Iterator[bytes]:
        """One request for each."""
        name = self._name(address)
        for at in range(begin, end, self._settings.piece):
            until = min(at + self._settings.piece, end)
            piece: bytes = self._system.cat_file(
                name, start=at, end=until, timeout=self._whole(until - at)
            )
            yield piece
            if len(piece) < until - at:
                return

    def send(self, address: Address, source: Source, size: int, tell: Tell) -> None:
        """In parts, which become one object at the end, or in one request if it is small."""
        done = 0
        piece_size = max(self._settings.piece, -(-size // _MOST_PARTS))
        writing = self._system.open(
            self._name(address), "wb", block_size=piece_size, **self._sending()
        )
        try:
            tell(0)
            while piece := source.read(piece_size):
                writing.write(piece)
                done += len(piece)
                tell(done)
            writing.close()
        except BaseException:
            # Closing it would make an object of what has come so far, as would its end.
            writing.closed = True
            with contextlib.suppress(Exception):
                writing.discard()
            raise

    def _sending(self) -> Mapping[str, Any]:
        return {}


class S3(_Objects):
    """Amazon S3, and what speaks like it."""

    module, extra = "s3fs", "s3"

    def defaults(self, address: Address) -> Mapping[str, Any]:
        """No cache of listings, and no trying again within: that is not a stager's to decide."""
        return {
            "use_listings_cache": False,
            "config_kwargs": {
                "connect_timeout": self._settings.connect_timeout,
                "read_timeout": self._settings.read_timeout,
                "retries": {"total_max_attempts": 1},
            },
        }

    def make(self, library: Any, options: dict[str, Any], loop: Loop) -> Any:
        """With a session of its own."""
        made = library.S3FileSystem(loop=loop.running(), **options)
        made.retries = 1
        return made

    def facts(self, address: Address) -> Facts:
        """Of the object's head. The entity tag is an MD5 sum unless parts or keys came in."""
        head = self._system.call_s3(
            "head_object", Bucket=address.host, Key=address.path, timeout=self._seconds
        )
        tag = str(head.get("ETag", "")).strip('"')
        encrypted = "kms" in str(head.get("ServerSideEncryption", "")) or bool(
            head.get("SSECustomerAlgorithm")
        )
        plain = len(tag) == 32 and not encrypted
        changed = head.get("LastModified")
        return Facts(int(head["ContentLength"]), tag or f"{changed}", tag if plain else "")

    def close(self) -> None:
        """Close its client."""
        from fsspec.asyn import sync

        creator = getattr(self._system, "_s3creator", None)
        if creator is not None:
            sync(self._system.loop, creator.__aexit__, None, None, None, timeout=_ABORT)


class Google(_Objects):
    """Google Cloud Storage."""

    module, extra = "gcsfs", "gs"

    def defaults(self, address: Address) -> Mapping[str, Any]:
        """No cache of listings."""
        return {
            "use_listings_cache": False,
            "requests_timeout": self._settings.read_timeout,
            "timeout": self._seconds,
        }

    def make(self, library: Any, options: dict[str, Any], loop: Loop) -> Any:
        """With a session of its own.

        Not what gcsfs offers first, which asks another service what kind of bucket it is, and waits
        a minute for that.
        """
        return library.core.GCSFileSystem(loop=loop.running(), **options)

    def facts(self, address: Address) -> Facts:
        """Every change of an object makes another generation of it."""
        info = self._system.info(self._name(address), timeout=self._seconds)
        _no_folder(info)
        md5 = _from_base64(info.get("md5Hash"))
        return Facts(int(info["size"]), f"{info.get('generation') or info.get('etag')}", md5)

    def close(self) -> None:
        """Close its session."""
        from fsspec.asyn import sync

        session = getattr(self._system, "_session", None)
        if session is not None:
            sync(self._system.loop, session.close, timeout=_ABORT)


class Azure(_Objects):
    """Azure Blob Storage and Data Lake."""

    module, extra = "adlfs", "az"

    def defaults(self, address: Address) -> Mapping[str, Any]:
        """The account is in the URL, if it is of the form container@account.host."""
        _, at, host = address.host.partition("@")
        found = {"account_name": host.partition(".")[0]} if at else {}
        return {
            "use_listings_cache": False,
            "connection_timeout": self._settings.connect_timeout,
            "read_timeout": self._settings.read_timeout,
            **found,
        }

    def make(self, library: Any, options: dict[str, Any], loop: Loop) -> Any:
        """With a client of its own, in the loop of fsspec.

        It closes its client again when the process ends, for which the loop has to run then.
        """
        return library.AzureBlobFileSystem(**options)

    @staticmethod
    def key(address: Address) -> tuple[str, ...]:
        """One for each account."""
        return (address.protocol, address.host.partition("@")[2])

    def _name(self, address: Address) -> str:
        return f"{address.host.partition('@')[0]}/{address.path}"

    def _sending(self) -> Mapping[str, Any]:
        return {"overwrite": True}

    def facts(self, address: Address) -> Facts:
        """Every change of a blob gives it another entity tag."""
        info = self._system.info(self._name(address), timeout=self._seconds, refresh=True)
        _no_folder(info)
        md5 = (info.get("content_settings") or {}).get("content_md5")
        return Facts(int(info["size"]), str(info.get("etag", "")).strip('"'), _hex(md5))

    def close(self) -> None:
        """Close its client."""
        from fsspec.asyn import sync

        sync(self._system.loop, self._system.service_client.close, timeout=_ABORT)


class Sftp(Store):
    """A server that one reaches by SSH."""

    module, extra = "sshfs", "sftp"

    def defaults(self, address: Address) -> Mapping[str, Any]:
        """The server's key has to be known, which sshfs by itself does not ask for."""
        user, _, server = address.host.rpartition("@")
        host, port = _host_and_port(server)
        found: dict[str, Any] = {"host": host}
        if user:
            found["username"] = user
        if port:
            found["port"] = port
        return {
            **found,
            "known_hosts": (),
            "connect_timeout": self._settings.connect_timeout,
            "login_timeout": self._settings.connect_timeout,
            # A server that is gone without a word is noticed by its silence.
            "keepalive_interval": self._settings.read_timeout / 3,
            "keepalive_count_max": 3,
        }

    def make(self, library: Any, options: dict[str, Any], loop: Loop) -> Any:
        """Connect."""

        class Own(library.SSHFileSystem):  # type: ignore[misc]
            """Takes a loop, which sshfs hands on to asyncssh, which takes none."""

            def connect(self, *args: Any, connect_args: Mapping[str, Any], **more: Any) -> Any:
                rest = {name: value for name, value in connect_args.items() if name != "loop"}
                return super().connect(*args, connect_args=rest, **more)

            async def opened(self, path: str, mode: str) -> tuple[Any, int, int]:
                """A file of asyncssh, and the most bytes to read and to write in one request."""
                async with self._pool.get() as channel:
                    limits = channel.limits
                    file = await channel.open(path, mode, block_size=0)
                    most = (limits.max_read_len, limits.max_write_len)
                    return file, *(max(size, _LEAST_BLOCK) for size in most)

            async def end(self) -> None:
                """End the connection, for which sshfs has no method."""
                await self._pool.close()
                await self._stack.aclose()

        return Own(loop=loop.running(), timeout=2 * self._settings.connect_timeout, **options)

    @staticmethod
    def key(address: Address) -> tuple[str, ...]:
        """One connection for each user of each server."""
        return (address.protocol, address.host)

    @property
    def alive(self) -> bool:
        """Whether its connection is there."""
        return not self._system.client.is_closed()

    def facts(self, address: Address) -> Facts:
        """The time of the last change, in whole seconds, with the size."""
        info = self._system.info(address.path, timeout=self._seconds)
        _no_folder(info)
        changed = info.get("mtime")
        return Facts(
            int(info["size"]), f"{changed.timestamp() if changed else 0:.0f}-{info['size']}"
        )

    def pieces(self, address: Address, begin: int, end: int) -> Iterator[bytes]:
        """Each by several requests at once."""
        with self._opened(address.path, "rb") as (file, block, _):
            for at in range(begin, end, self._settings.piece):
                size = min(self._settings.piece, end - at)
                piece: bytes = self._wait(self._whole(size), ahead.read, file, at, size, block)
                yield piece
                if len(piece) < size:
                    return

    def send(self, address: Address, source: Source, size: int, tell: Tell) -> None:
        """Under another name beside its own, and renamed."""
        folder = posixpath.dirname(address.path)
        part = posixpath.join(folder, f".{uuid.uuid4().hex}.part")
        if folder.strip("/"):
            self._system.makedirs(folder, exist_ok=True, timeout=self._seconds)
        done = 0
        try:
            with self._opened(part, "wb") as (file, _, block):
                tell(0)
                while piece := source.read(self._settings.piece):
                    self._wait(self._whole(len(piece)), ahead.write, file, done, piece, block)
                    done += len(piece)
                    tell(done)
            self._system.mv(part, address.path, timeout=self._seconds)
        except BaseException:
            with contextlib.suppress(Exception):
                self._system.rm_file(part, timeout=_ABORT)
            raise

    @contextlib.contextmanager
    def _opened(self, path: str, mode: str) -> Iterator[tuple[Any, int, int]]:
        """See ``Own.opened``; it is closed in the end."""
        file, *most = self._wait(self._seconds, self._system.opened, path, mode)
        try:
            yield file, *most
        except BaseException:
            with contextlib.suppress(Exception):  # what went wrong before is the reason
                self._wait(_ABORT, file.close)
            raise
        self._wait(self._seconds, file.close)

    def _wait(self, seconds: float, work: Callable[..., Any], *args: Any) -> Any:
        """What a coroutine gives, which runs in the loop."""
        from fsspec.asyn import sync

        return sync(self._system.loop, work, *args, timeout=seconds)

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(Exception):  # it may be gone, which is what is wanted
            self._wait(_ABORT, self._system.end)


def _host_and_port(server: str) -> tuple[str, int]:
    """Taken apart; 0 where there is no port. An address of IPv6 stands in brackets."""
    host, found, port = server.rpartition(":")
    if not found or "]" in port:
        return server.strip("[]"), 0
    if not port.isdigit():
        raise Wrong(f"{port!r} is no port.", "Write sftp://HOST:PORT/PATH.")
    return host.strip("[]"), int(port)


def _no_folder(info: Mapping[str, Any]) -> None:
    if info.get("type") == "directory":
        raise Wrong("It is a folder.", "Name each of its files; pack a folder, such as with tar.")


def _from_base64(text: object) -> str:
    import base64
    import binascii

    try:
        return base64.b64decode(str(text), validate=True).hex() if text else ""
    except binascii.Error:
        return ""


def _hex(raw: object) -> str:
    return bytes(raw).hex() if isinstance(raw, bytes | bytearray) else ""


_KINDS: Final[Mapping[str, type[Store]]] = {"s3": S3, "gs": Google, "az": Azure, "sftp": Sftp}


class Stores:
    """The stores that are open. From any thread."""

    def __init__(self, settings: Fsspec) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opening: dict[tuple[str, ...], threading.Lock] = {}
        self._open: dict[tuple[str, ...], Store] = {}
        self._loop = Loop()

    def of(self, address: Address) -> Store:
        """The one that has that file; opened if it is not."""
        kind = _KINDS[address.protocol]
        key = kind.key(address)
        with self._lock:
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:  # one that takes long to connect keeps nobody from another
            with self._lock:
                store = self._open.get(key)
            if store is not None and not store.alive:
                store.close()
                store = None
            if store is None:
                store = kind(self._settings, address, self._loop)
                with self._lock:
                    self._open[key] = store
            return store

    def close(self) -> None:
        """Close all, and the loop. May be called twice."""
        with self._lock:
            stores, self._open = list(self._open.values()), {}
        with contextlib.ExitStack() as ends:  # whatever one of them raises, the others are closed
            ends.callback(self._loop.close)
            for store in stores:
                ends.callback(store.close)
