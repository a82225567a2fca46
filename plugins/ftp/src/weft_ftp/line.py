"""A connection to an FTP server: logged in, in binary mode, with TLS on both of its ways."""

import contextlib
import ftplib
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO, Final

import attrs

from weft_ftp.address import Server
from weft_ftp.login import Login, LoginUnknown
from weft_ftp.settings import FTP
from weft_ftp.words import code_of

__all__ = ["Facts", "Line"]

_PIECE: Final = 256 * 1024
_TICK: Final = 1.0
"""Seconds of silence after which somebody is asked whether a transfer is still wanted."""

_NOOP: Final = 5.0
"""Seconds that a server has to say that it is still there, before another connection is made."""

_UNKNOWN: Final = frozenset({500, 501, 502, 503, 504})
"""Codes for what a server cannot do."""

_IMPLICIT: Final = 990

Went = Callable[[int], None]
"""Told how many bytes have been moved; what it raises ends the transfer."""


@attrs.frozen
class Facts:
    """What a server says of a file, as far as it does: bytes, and the time of the last change."""

    size: int | None
    changed: str | None

    @property
    def validator(self) -> str | None:
        """Both, if both are known."""
        if self.size is None or self.changed is None:
            return None
        return f"{self.changed}-{self.size}"


class _Plain(ftplib.FTP):
    """FTP without TLS."""


class _TLS(ftplib.FTP_TLS):
    """FTP with TLS, whose ways for data go on with the session of the way for commands.

    Servers ask for that, so that nobody else can take the way for data (RFC 4217, section 10).
    """

    implicit = False

    def connect(  # type: ignore[override] # ftplib takes None for what it keeps
        self, host: str = "", port: int = 0, timeout: float = -999
    ) -> str:
        """Connect; with TLS before the first word, if that is how the server does."""
        if not self.implicit:
            return super().connect(host, port, timeout)
        self.host, self.port = host, port
        plain = socket.create_connection((host, port), self.timeout)
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def ntransfercmd(
        self, cmd: str, rest: int | str | None = None
    ) -> tuple[socket.socket, int | None]:
        """As the plain one, and then TLS with the session of the other way."""
        plain, size = super(ftplib.FTP_TLS, self).ntransfercmd(cmd, rest)
        try:
            session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
            return (
                self.context.wrap_socket(plain, server_hostname=self.host, session=session),
                size,
            )
        except BaseException:
            plain.close()
            raise


class Line:
    """One connection, used by one thread at a time. ``cut`` alone may come from another one.

    Args:
        server: where it leads.
        settings: how.
        login: who one is there.

    Attributes:
        idle_since: when it was put away, by ``time.monotonic``.

    Raises:
        LoginUnknown: the settings cannot be used.

    Every method raises what ``ftplib`` and the connection raise: ``ftplib.Error``, ``EOFError``,
    ``OSError``.
    """

    def __init__(self, server: Server, settings: FTP, login: Login) -> None:
        self._settings = settings
        self._data: socket.socket | None = None
        self.idle_since = 0.0
        self._ftp: ftplib.FTP
        if server.tls:
            try:
                context = ssl.create_default_context(cafile=settings.ca_file)
            except OSError as error:
                why = f"The certificates in {settings.ca_file!r} cannot be used: {error}."
                raise LoginUnknown(why, "Mend the option ca_file.") from error
            secured = _TLS(context=context, encoding=settings.encoding)
            secured.implicit = (
                server.port == _IMPLICIT if settings.implicit is None else settings.implicit
            )
            self._ftp = secured
        else:
            self._ftp = _Plain(encoding=settings.encoding)
        self._ftp.timeout = settings.connect_timeout
        try:
            usual = _IMPLICIT if server.tls and settings.implicit else ftplib.FTP_PORT
            self._ftp.connect(server.host, server.port or usual)
            self._patient()
            # FTP_TLS.login has the way for commands secured before it says who one is.
            if isinstance(self._ftp, _TLS):
                if not self._ftp.implicit:
                    self._ftp.auth()
                self._ftp.login(login.user, login.password, login.account, secure=False)
                self._ftp.prot_p()
            else:
                self._ftp.login(login.user, login.password, login.account)
            self._ftp.voidcmd("TYPE I")
        except BaseException:
            self.close()
            raise

    def _patient(self) -> None:
        if self._ftp.sock is not None:
            self._ftp.sock.settimeout(self._settings.read_timeout)

    # --------------------------------------------------------------------------------- the commands

    def is_alive(self) -> bool:
        """Whether the server still listens."""
        if self._ftp.sock is None:
            return False
        try:
            self._ftp.sock.settimeout(min(_NOOP, self._settings.read_timeout))
            self._ftp.voidcmd("NOOP")
            self._patient()
        except (ftplib.Error, EOFError, OSError):
            return False
        return True

    def facts(self, path: str) -> Facts:
        """What the server says of a file."""
        size = self._asked("SIZE", path)
        changed = self._asked("MDTM", path)
        return Facts(int(size) if size and size.isdecimal() else None, changed)

    def _asked(self, command: str, path: str) -> str | None:
        try:
            reply = self._ftp.sendcmd(f"{command} {path}")
        except ftplib.error_perm as error:
            # 550 too: some say it of what they cannot do. RETR will say what is wrong.
            if code_of(error) in {*_UNKNOWN, 550}:
                return None
            raise
        return reply[4:].strip() if reply.startswith("213") else None

    def make_folders(self, path: str) -> None:
        """Make the folders that lead to a path, as far as they are not there."""
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            if folder not in {"", "."}:
                # What is there already is refused; what is not will be missed afterwards.
                with contextlib.suppress(ftplib.error_perm):
                    self._ftp.mkd(folder)

    def rename(self, before: str, after: str) -> None:
        """Rename a file, in place of one that is there."""
        try:
            self._ftp.rename(before, after)
        except ftplib.error_perm as refused:
            # Some servers replace nothing.
            try:
                self._ftp.delete(after)
            except ftplib.error_perm:
                raise refused from None
            self._ftp.rename(before, after)

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._ftp.delete(path)

    # ------------------------------------------------------------------------------------ the bytes

    def fetch(self, path: str, begin: int) -> Generator[bytes, None, None]:
        """The bytes of a file from one on; an empty piece for each second in which none came."""
        with self._way(f"RETR {path}", begin) as data:
            silent_since = time.monotonic()
            while True:
                try:
                    piece = data.recv(_PIECE)
                except TimeoutError:
                    if time.monotonic() - silent_since > self._settings.read_timeout:
                        raise
                    yield b""
                    continue
                if not piece:
                    break
                silent_since = time.monotonic()
                yield piece

    def store(self, path: str, content: BinaryIO, went: Went) -> int:
        """Send a file, and return its size."""
        sent = 0
        with self._way(f"STOR {path}", 0) as data:
            while piece := memoryview(content.read(_PIECE)):
                while piece:
                    count = self._send(data, piece, lambda: went(sent))  # noqa: B023 - called at once
                    piece, sent = piece[count:], sent + count
                went(sent)
        return sent

    def _send(self, data: socket.socket, piece: memoryview, waiting: Callable[[], None]) -> int:
        began = time.monotonic()
        while True:
            try:
                return data.send(piece)
            except TimeoutError:
                if time.monotonic() - began > self._settings.read_timeout:
                    raise
                waiting()

    @contextlib.contextmanager
    def _way(self, command: str, begin: int) -> Iterator[socket.socket]:
        """The way for the data of a command, until the server has said that it was all."""
        data, _ = self._ftp.ntransfercmd(command, begin or None)
        self._data = data
        try:
            data.settimeout(min(_TICK, self._settings.read_timeout))
            yield data
            if isinstance(data, ssl.SSLSocket):
                # Says that this was all; what the other side thinks of it is in its reply.
                with contextlib.suppress(OSError):
                    data.unwrap()
        finally:
            self._data = None
            data.close()
        self._ftp.voidresp()

    # -------------------------------------------------------------------------------------- the end

    def cut(self) -> None:
        """End it at once, from any thread: who waits for it gets an error."""
        for one in (self._data, self._ftp.sock):
            if one is not None:
                with contextlib.suppress(OSError):
                    # Of the socket below TLS, which is not asked for its opinion.
                    socket.socket.shutdown(one, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it, without a word: nothing is lost by that."""
        if self._ftp.sock is not None:
            self._ftp.close()

    def bid_farewell(self) -> None:
        """Close it as a server likes it; not waiting long."""
        if self._ftp.sock is None:
            return
        with contextlib.suppress(ftplib.Error, EOFError, OSError):
            self._ftp.sock.settimeout(1.0)
            self._ftp.quit()
        self.close()
