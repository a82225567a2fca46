"""A real daemon of rsync and a real OpenSSH server, both on loopback.

Tests are skipped where there are none, and failed in CI.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.systems.needs import free_port, needed
from tests.systems.ssh.conftest import Server, key_in
from tests.waiting import eventually

BOUND = 60.0
"""Seconds that anything here may take, on a machine with other things to do."""


@attrs.frozen(kw_only=True)
class Daemon:
    """An rsync daemon.

    Attributes:
        port: where it listens.
        files: the folder of its modules ``files`` and ``locked``; that of ``reading`` is the same.
        password: the file with the password of the user ``me`` of ``locked``.
        process: its number.
    """

    port: int
    files: Path
    password: Path
    process: int

    def url(self, path: str, module: str = "files", user: str = "") -> str:
        who = f"{user}@" if user else ""
        return f"rsync://{who}127.0.0.1:{self.port}/{module}/{path}"


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon for all tests; each has a folder of its own in its module."""
    needed("rsync")
    folder = tmp_path_factory.mktemp("rsyncd")
    folder.chmod(0o700)
    (folder / "files").mkdir()
    secrets, password, port = folder / "secrets", folder / "password", free_port()
    for file, text in ((secrets, "me:the word\n"), (password, "the word\n")):
        file.touch(mode=0o600)
        file.write_text(text)
    (folder / "conf").write_text(
        f"use chroot = no\naddress = 127.0.0.1\nport = {port}\nlog file = {folder}/log\n"
        f"lock file = {folder}/lock\n"
        + (f"uid = {getpass.getuser()}\ngid = {os.getgid()}\n" if os.getuid() == 0 else "")
        + f"[files]\npath = {folder}/files\nread only = no\n"
        f"[reading]\npath = {folder}/files\n"
        f"[locked]\npath = {folder}/files\nread only = no\n"
        f"auth users = me\nsecrets file = {secrets}\n"
        f"[full]\npath = {folder}/files\nmax connections = -1\n"
    )
    words = ["rsync", "--daemon", "--no-detach", f"--config={folder}/conf"]
    # A full disk is an error to it, and not its end.
    with subprocess.Popen(words, restore_signals=False, stdin=subprocess.DEVNULL) as process:

        def listens() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", port)) == 0

        try:
            eventually(listens, "the daemon does not listen")
            yield Daemon(port=port, files=folder / "files", password=password, process=process.pid)
        finally:
            process.terminate()
            process.wait(BOUND)


@attrs.frozen(kw_only=True)
class Host:
    """A host over ssh: this machine.

    Attributes:
        server: its sshd.
        key: the private key that it takes.
        known: the file with its own key.
    """

    server: Server
    key: Path
    known: Path

    def url(self, path: str | Path) -> str:
        """The URL of an absolute path, or of one that begins with ``~``."""
        return f"rsync+ssh://{getpass.getuser()}@127.0.0.1:{self.server.port}/{path}".replace(
            f"{self.server.port}//", f"{self.server.port}/"
        )

    def options(self, **more: object) -> dict[str, object]:
        """Options of the stager that lead there."""
        return {
            "ssh_config": "/dev/null",
            "known_hosts": str(self.known),
            "key": str(self.key),
            **more,
        }


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A server and a key for it."""
    needed("rsync", "sshd", "ssh", "ssh-keygen")
    if os.getuid() == 0:
        # The folder that separates its privileges; the package leaves it to the init system.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder = tmp_path_factory.mktemp("host")
    folder.chmod(0o700)
    key = key_in(folder, "user")
    (folder / "sshd").mkdir()
    server = Server(folder / "sshd", folder / "user.pub")
    known = folder / "known"
    # At any port: also at the other end of a wire.
    known.write_text(f"[127.0.0.1]:* {server.host_key}\n")
    try:
        server.start()
        yield Host(server=server, key=key, known=known)
    finally:
        server.stop()


def rsync_path() -> str:
    """Where the program is."""
    found = shutil.which("rsync")
    assert found is not None
    return found
