"""Real OpenSSH servers on loopback; tests are skipped where there are none, failed in CI.

The hosts ``node1`` to ``node14`` are this machine, by an sshd of the tests with keys made for it;
``gate`` is another sshd, through which one can go to ``inner1`` and ``inner2``. Nobody's own
``~/.ssh`` is read or written.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import psutil
import pytest

from tests.systems.needs import free_port, needed
from tests.waiting import eventually

BOUND = 60.0
"""Seconds that anything here may take, on a machine with other things to do."""

NODES = tuple(f"node{n}" for n in range(1, 15))


def key_in(folder: Path, name: str) -> Path:
    """Make a pair of keys."""
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "weft", "-f", str(folder / name)]
    subprocess.run(made, check=True, timeout=BOUND)
    return folder / name


def name_of(process: psutil.Process) -> str:
    """The name of a process; empty if it is gone."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


class Server:
    """An sshd in a folder.

    Args:
        folder: for its key and log.
        authorized: the public keys that it takes.
        hidden: a folder that its processes do not see.

    Attributes:
        port: where it listens.
        log: its log.
    """

    def __init__(self, folder: Path, authorized: Path, hidden: Path | None = None) -> None:
        self.folder, self.port = folder, free_port()
        self.log = folder / "log"
        key_in(folder, "host")
        self._authorized, self._hidden = authorized, hidden
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host_key(self) -> str:
        kind, key, *_ = (self.folder / "host.pub").read_text().split()
        return f"{kind} {key}"

    def start(self) -> None:
        """Listen, with the host key that the folder has now."""
        (self.folder / "sshd_config").write_text(
            "\n".join(
                [
                    f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host",
                    f"PidFile none\nAuthorizedKeysFile {self._authorized}",
                    f"AllowUsers {getpass.getuser()}\nPasswordAuthentication no",
                    "KbdInteractiveAuthentication no\nUsePAM no",
                    "PermitRootLogin prohibit-password\nMaxStartups 100",
                    "AcceptEnv PYTHONPATH",
                    # The quickest, and nothing that looks around on the machine.
                    "KexAlgorithms curve25519-sha256\nPrintLastLog no\nPrintMotd no",
                    "Subsystem sftp internal-sftp",
                    # The folder is usually below a temporary one that all can write.
                    "StrictModes no",
                    "",
                ]
            )
        )
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "sshd"
        words = [sshd, "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.log)]
        if self._hidden is not None:
            text = 'mount -t tmpfs none "$1" && shift && exec "$@"'
            words = ["unshare", "--mount", "sh", "-c", text, "sh", str(self._hidden), *words]
        self._process = subprocess.Popen(words)
        eventually(self._listens, "sshd does not listen")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def accepted(self, times: int = 0) -> int:
        """How many connections were let in, once it says so of so many."""
        words = "Accepted publickey"
        eventually(
            lambda: self.log.read_text().count(words) >= times,
            lambda: f"{times} were not let in:\n{self.log.read_text()}",
        )
        return self.log.read_text().count(words)

    def sessions(self) -> list[psutil.Process]:
        """The processes that serve connections."""
        assert self._process is not None
        started = psutil.Process(self._process.pid).children(recursive=True)
        return [one for one in started if name_of(one).startswith("sshd")]

    def cut(self) -> None:
        """End all connections, as a crash of the network's other end does."""
        for one in self.sessions():
            try:
                one.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue

    def stop(self) -> None:
        """Listen no more."""
        if self._process is not None:
            self.cut()
            self._process.terminate()
            self._process.wait(BOUND)
            self._process = None


@attrs.frozen(kw_only=True)
class Site:
    """Hosts, and what is needed to reach them.

    Attributes:
        config: the ssh_config file.
        key: the private key that they take.
        known: the file with their keys.
        inner: the server behind ``node…`` and ``inner…``.
        gate: that of ``gate``.
    """

    folder: Path
    config: Path
    key: Path
    known: Path
    inner: Server
    gate: Server

    def options(self, hosts: Sequence[str] = NODES, **more: object) -> dict[str, object]:
        """Options of the provider that lead to hosts."""
        return {
            "hosts": tuple(hosts),
            "ssh_config": str(self.config),
            "known_hosts": str(self.known),
            "key": str(self.key),
            "agent": False,
            "python": sys.executable,
            **more,
        }


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two servers and fourteen names."""
    needed("sshd", "ssh", "ssh-keygen")
    if os.getuid() == 0:
        # The folder that separates its privileges; the package leaves it to the init system.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder = tmp_path_factory.mktemp("site")
    folder.chmod(0o700)
    key = key_in(folder, "user")
    servers = []
    for name in ("inner", "gate"):
        (folder / name).mkdir()
        servers.append(Server(folder / name, folder / "user.pub"))
    inner, gate = servers
    known = folder / "known"
    known.write_text(f"machines {inner.host_key}\ngate {gate.host_key}\n")
    config = folder / "config"
    common = f"  HostName 127.0.0.1\n  User {getpass.getuser()}\n"
    config.write_text(
        # As on a cluster whose login shells find weft.
        f"Host *\n  SendEnv PYTHONPATH\n"
        f"Host node*\n{common}  Port {inner.port}\n  HostKeyAlias machines\n"
        f"Host gate\n{common}  Port {gate.port}\n  HostKeyAlias gate\n"
        # Whoever connects by himself reaches nothing.
        f"Host inner*\n{common}  Port {inner.port}\n  HostKeyAlias machines\n"
    )
    try:
        for one in servers:
            one.start()
        yield Site(folder=folder, config=config, key=key, known=known, inner=inner, gate=gate)
    finally:
        for one in servers:
            one.stop()
