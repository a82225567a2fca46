"""Connections to servers, kept open between transfers and shared by them.

ask ── slot of the server ──▶ pool of urllib3 ──▶ connection, TLS, proxy
 ▲                                                       │
 └── a redirect: as anew, with what that server is told ─┘
"""

import contextlib
import http.client
import os
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import urllib3
import urllib3.connection
import urllib3.exceptions
import urllib3.util

from weft_http.addresses import Address, follow
from weft_http.answers import Facts, facts_of, of_status
from weft_http.credentials import Login, login_for
from weft_http.settings import Http
from weft_http.slots import Slots
from weft_http.trouble import Trouble, of_connection

__all__ = ["PIECE", "SENT", "Answer", "Connections", "manager_for", "trust"]

PIECE: Final = 64 * 1024
"""Bytes read at once: what came, at most so many. Larger ones leave the caches of processors."""
SENT: Final = 256 * 1024
_ELSEWHERE: Final = frozenset({301, 302, 303, 307, 308})
_HELD: Final = 4096
"""Bytes of an answer that is no file which are read, for its words and to keep the connection."""
_PROXIES: Final = tuple(
    name for kind in ("http", "https", "all") for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY")
)
_FAILURES: Final = (urllib3.exceptions.HTTPError, OSError, ValueError)


class _Exchange:
    """One request and its answer. ``more``: the server went on behind the end that it named."""

    more = False


def _patient(kind: type[Any], seconds: float) -> type[Any]:
    """A connection that gives as much time to what is sent as to what is read.

    Of itself it goes by the time limit of connecting until all is sent.
    """

    class Patient(kind):  # type: ignore[misc]
        def connect(self) -> None:
            try:
                super().connect()
            except TimeoutError as error:  # of TLS; the others are told apart by urllib3
                raise urllib3.exceptions.ConnectTimeoutError(self, "no TLS") from error

        def request(self, *args: Any, **named: Any) -> None:
            if self.sock is None:
                self.connect()
            self.timeout = seconds
            self.exchange = _Exchange()
            super().request(*args, **named)

        def response_class(self, *args: Any, **named: Any) -> http.client.HTTPResponse:
            self.coming = http.client.HTTPResponse(*args, **named)
            return self.coming

        def getresponse(self) -> Any:
            try:
                return super().getresponse()
            except BaseException:
                # One whose headers are refused may be the last to hold the socket.
                self.coming.close()
                raise

    return Patient


def _watchful(kind: type[Any], connections: type[Any]) -> type[Any]:
    """A pool that looks, when a connection comes back, whether anything is left in it."""

    class Watchful(kind):  # type: ignore[misc]
        ConnectionCls = connections

        def _put_conn(self, conn: Any) -> None:
            # When urllib3 calls this the answer has been read to its end, and nobody else has the
            # connection yet.
            if conn is not None and conn.sock is not None and _holds_data(conn.sock):
                conn.exchange.more = True
                conn.close()
            super()._put_conn(conn)

    return Watchful


def _holds_data(sock: Any) -> bool:
    if isinstance(sock, ssl.SSLSocket):
        # Not whether it is readable: tickets of TLS make it so, too.
        return sock.pending() > 0
    try:
        return urllib3.util.wait_for_read(sock, 0) and bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


class Answer:
    """What a server answered to one request; its content is read once."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse, address: Address, login: Login, slots: Slots
    ) -> None:
        self._response, self._login, self._slots = response, login, slots
        self.address = address
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def facts(self) -> Facts:
        """What its headers say."""
        return facts_of(self.status, self.headers)

    def pieces(self, *, decode: bool) -> Iterator[bytes]:
        """The content, as it comes.

        Args:
            decode: whether to unpack what was packed on its way.

        Raises:
            Trouble: it does not come, or not as it should.
        """
        read = self._response.read1
        exchange = getattr(self._response.connection, "exchange", None)
        try:
            while piece := read(PIECE, decode_content=decode):
                self._slots.look()
                yield piece
        except urllib3.exceptions.DecodeError as error:
            raise Trouble(
                f"{self.address.server} packed the content as "
                f"{self.headers.get('Content-Encoding')!r}, and it cannot be unpacked.",
                again=True,
            ) from error
        except _FAILURES as error:
            raise of_connection(error, self.address.server) from error
        if exchange is not None and exchange.more:
            raise Trouble(
                f"{self.address.server} sends more than the "
                f"{self.headers.get('Content-Length')} bytes that it named.",
                "Ask who runs the server; the file may have grown meanwhile.",
                again=True,
            )

    def refused(self, *, sending: bool = False) -> Trouble:
        """What it means, where it is no success."""
        return of_status(
            self.status,
            self.words(),
            self.headers,
            server=self.address.server,
            sending=sending,
            told=self._login.told,
        )

    def words(self) -> str:
        """What the server says to people: the reason, and a short text without markup."""
        said = " ".join(str(self._response.reason or "").split())[:80]
        text = b""
        with contextlib.suppress(*_FAILURES):
            text = self._response.read(_HELD, decode_content=False) or b""
        plain = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if plain in {"text/plain", "application/json", "application/problem+json"}:
            line = " ".join(text.decode("utf-8", "replace").split())
            shown = "".join(letter for letter in line if letter.isprintable())[:200].rstrip(". ")
            said = f"{said}: {shown}" if shown and shown.lower() != said.lower() else said
        return said

    def release(self) -> None:
        """Give the connection back, or close it where something of the answer was left."""
        with contextlib.suppress(*_FAILURES):
            if not self._response.closed:
                self._response.close()
            self._response.release_conn()


class Connections:
    """All connections of a stager. From any thread.

    Args:
        settings: the options.
    """

    def __init__(self, settings: Http) -> None:
        self._settings = settings
        self._slots = Slots(settings.connections)
        self._managers: dict[str, urllib3.PoolManager] = {}
        self._making = threading.Lock()
        self._timeout = urllib3.Timeout(
            connect=settings.connect_timeout, read=settings.read_timeout
        )

    @contextlib.contextmanager
    def ask(
        self,
        method: str,
        address: Address,
        headers: Mapping[str, str],
        body: Callable[[], Iterator[bytes]] | None = None,
    ) -> Iterator[Answer]:
        """Send a request, and follow where it leads.

        Args:
            method: such as ``GET``.
            address: of the file.
            headers: beside those that every request has.
            body: gives what is sent, anew for each server that is asked.

        Raises:
            Trouble: there is no answer, or it leads nowhere.
        """
        at = address
        for _ in range(self._settings.max_redirects + 1):
            with self._slots.one(at.origin), contextlib.ExitStack() as releasing:
                answer = self._once(method, at, headers, body)
                releasing.callback(answer.release)
                if answer.status not in _ELSEWHERE:
                    yield answer
                    return
                location = answer.headers.get("Location", "")
                answer.words()  # so that the connection can be used again
            at = follow(
                at,
                location,
                method=method,
                status=answer.status,
                allow_downgrade=self._settings.allow_downgrade,
            )
        raise Trouble(
            f"{address.server} and those it leads to say more than {self._settings.max_redirects} "
            f"times that the file is elsewhere, in the end at {at.shown!r}.",
            "Open the URL in a browser, and name the one where that arrives.",
        )

    def close(self) -> None:
        """Close what is open, and let no transfer go on."""
        self._slots.close()
        with self._making:
            managers, self._managers = list(self._managers.values()), {}
        for manager in managers:
            for key in manager.pools.keys():  # noqa: SIM118 - it cannot be iterated over itself
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
            manager.clear()

    def _once(
        self,
        method: str,
        at: Address,
        headers: Mapping[str, str],
        body: Callable[[], Iterator[bytes]] | None,
    ) -> Answer:
        login = login_for(at, self._settings)
        sent = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": "weft-http",
            **headers,
        }
        if login.header:
            sent["Authorization"] = login.header
        manager = self._manager(at)
        try:
            response = manager.request(
                method,
                at.url,
                headers=sent,
                body=body() if body is not None else None,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=self._timeout,
            )
        except _FAILURES as error:
            raise of_connection(error, at.server, sending=body is not None) from error
        return Answer(response, at, login, self._slots)

    def _manager(self, at: Address) -> urllib3.PoolManager:
        proxy = _proxy_for(at) if self._settings.proxies else ""
        with self._making:
            self._slots.look()
            if proxy not in self._managers:
                self._managers[proxy] = self._make(proxy)
            return self._managers[proxy]

    def _make(self, proxy: str) -> urllib3.PoolManager:
        settings = self._settings
        options: dict[str, Any] = {
            "num_pools": 64,
            "maxsize": settings.connections,
            "ssl_context": trust(settings),
            "blocksize": SENT,
        }
        manager = manager_for(proxy, **options)
        patience = settings.read_timeout
        plain = _patient(urllib3.connection.HTTPConnection, patience)
        secure = _patient(urllib3.connection.HTTPSConnection, patience)
        manager.pool_classes_by_scheme = {
            "http": _watchful(urllib3.HTTPConnectionPool, plain),
            "https": _watchful(urllib3.HTTPSConnectionPool, secure),
        }
        return manager


def manager_for(proxy: str, **options: Any) -> urllib3.PoolManager:
    """What has the connections by way of a proxy, or of none if that is empty.

    Raises:
        Trouble: it is no proxy.
    """
    if not proxy:
        return urllib3.PoolManager(**options)
    at = proxy if "://" in proxy else f"http://{proxy}"
    try:
        login = urllib3.util.parse_url(at).auth
        packed = urllib3.util.make_headers(proxy_basic_auth=login) if login else None
        return urllib3.ProxyManager(at, proxy_headers=packed, **options)
    except (ValueError, urllib3.exceptions.HTTPError):
        # Not its words, which hold the URL and so the password.
        raise Trouble(
            "The proxy that the environment names is none that can be used.",
            "Mend HTTP_PROXY or HTTPS_PROXY: http://host:port.",
        ) from None


def trust(settings: Http) -> ssl.SSLContext:
    """Whom to trust, and by which certificate to be known.

    Raises:
        Trouble: a file of the settings cannot be used.
    """
    option = "ca_file"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        option = "client_certificate"
        if settings.client_certificate is not None:
            # An empty passphrase in place of a question at the terminal.
            context.load_cert_chain(settings.client_certificate, settings.client_key, password="")
    except (OSError, ValueError) as error:
        path = settings.ca_file if option == "ca_file" else settings.client_certificate
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise Trouble(
            f"The file {path!r} of the option {option} cannot be used: {why}.",
            "It is to hold certificates in the format PEM, and be readable here.",
        ) from None
    return context


def _proxy_for(at: Address) -> str:
    # Looked for by their names first: going through all of the environment costs more than a
    # tenth of what a small file does.
    if not any(os.environ.get(name) for name in _PROXIES):
        return ""
    proxies = urllib.request.getproxies_environment()
    found = proxies.get(at.scheme) or proxies.get("all") or ""
    # Where the environment names a proxy, this looks at NO_PROXY alone.
    if not found or urllib.request.proxy_bypass(f"{at.host}:{at.port}"):
        return ""
    return found
