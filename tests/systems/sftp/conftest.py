"""An OpenSSH server of the tests on loopback, for SFTP, and what stands before it on the way.

The rules of the kit have connections break and the server go away. The server itself stays: what
hands on its bytes does that.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import attrs
import pytest

from tests.systems.needs import needed, needed_modules
from tests.systems.ssh.conftest import Server, key_in
from weft_testkit.remote import LocalRemote

BOUND = 60.0
PIECE = 64 * 1024


class Between:
    """Hands on what goes to a server and back, on a port of its own; may cut and be away."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._threads: list[threading.Thread] = []
        self._room: int | None = None
        self._flow = threading.Event()
        self._flow.set()
        self.port = 0
        self._listen()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def _run(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, name="sftp-between")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:  # it was shut down
                    return
                far = socket.create_connection(("127.0.0.1", self._behind), BOUND)
                far.settimeout(None)
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._pairs.add((near, far))
                self._run(self._serve, near, far)

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(
            target=self._hand_on, args=(far, near, True), name="sftp-between-back"
        )
        back.start()
        self._hand_on(near, far, False)
        back.join()
        with self._lock:
            self._pairs.discard((near, far))
        near.close()
        far.close()

    def _hand_on(self, source: socket.socket, to: socket.socket, back: bool) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(PIECE):
                self._flow.wait(BOUND)
                if back and not self._may_pass(len(content)):
                    break
                to.sendall(content)
        _end(source, to)

    def _may_pass(self, size: int) -> bool:
        with self._lock:
            if self._room is None:
                return True
            self._room -= size
            return self._room > 0

    @contextmanager
    def cutting(self, after: int) -> Iterator[None]:
        """While this holds, so many bytes come back, and then the connection ends."""
        self._room = after
        try:
            yield
        finally:
            self._room = None

    def cut(self) -> None:
        """End the connections that there are."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            _end(*pair)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """While this holds, nothing is handed on, and connections stay."""
        self._flow.clear()
        try:
            yield
        finally:
            self._flow.set()

    @contextmanager
    def away(self) -> Iterator[None]:
        """While this holds, nobody listens, and no connection is there."""
        self.close()
        try:
            yield
        finally:
            self._listen()

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        # The one that accepts ends first, so that no pair is made behind our back.
        self._threads[0].join(BOUND)
        self.cut()
        for thread in self._threads:
            thread.join(BOUND)
        self._threads = []


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@attrs.frozen
class Site:
    """The server, what stands before it, and how one gets in."""

    between: Between
    key: Path
    known_hosts: Path

    @property
    def base(self) -> str:
        """What stands before a path in a URL."""
        return f"sftp://{getpass.getuser()}@127.0.0.1:{self.between.port}"

    def options(self) -> dict[str, object]:
        """What the stager is told, so that nobody's own ``~/.ssh`` is read."""
        return {
            "client_keys": [os.fspath(self.key)],
            "known_hosts": os.fspath(self.known_hosts),
            "config": [],
            "agent_path": None,
        }


class Shelf(LocalRemote):
    """A folder that the server gives."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.between = site.between
        super().__init__(folder, f"{site.base}{folder}/")

    def breaking(self, after: int) -> AbstractContextManager[None] | None:
        return None  # the process that writes is started by the server, for each connection

    def cutting(self, after: int) -> AbstractContextManager[None] | None:
        return self.between.cutting(after)

    def gone(self) -> AbstractContextManager[None] | None:
        return self.between.away()


@pytest.fixture(scope="session")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with a key of its own, for the user of the tests."""
    needed("sshd", "ssh-keygen")
    needed_modules("sshfs")
    folder = tmp_path_factory.mktemp("sftp")
    key = key_in(folder, "user")
    (folder / "server").mkdir()
    server = Server(folder / "server", folder / "user.pub")
    server.start()
    between = Between(server.port)
    try:
        known = folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{between.port} {server.host_key}\n")
        yield Site(between, key, known)
    finally:
        between.close()
        server.stop()


@pytest.fixture
def shelf(sftp: Site, tmp_path: Path) -> Shelf:
    """A folder of a test's own."""
    return Shelf(tmp_path / "there", sftp)
