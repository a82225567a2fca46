"""Real FTP servers (ProFTPD) on loopback, one of them with TLS.

Tests are skipped where there are none, and failed in CI.
"""

from __future__ import annotations

import contextlib
import getpass
import grp
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.systems.needs import free_port, needed
from tests.waiting import eventually

BOUND = 60.0
"""Seconds that anything here may take, on a machine with other things to do."""

MODULES = Path("/usr/lib/proftpd")


@attrs.frozen(kw_only=True)
class Server:
    """An FTP server.

    Attributes:
        port: where it listens.
        files: the folder of its users.
        netrc: a file with the login of ``me``.
        process: its number.
        log: what it wrote of connections and commands.
        certificate: what its TLS is judged by; none without TLS.
    """

    port: int
    files: Path
    netrc: Path
    process: int
    log: Path
    certificate: Path | None = None

    def url(self, path: str, user: str = "") -> str:
        scheme = "ftp" if self.certificate is None else "ftps"
        return f"{scheme}://{user + '@' if user else ''}127.0.0.1:{self.port}/{path}"

    def logged(self, command: str, times: int = 0) -> int:
        """How often that is in its log, once it is so often: a line may come after the answer."""
        eventually(
            lambda: self.log.read_text().count(command) >= times,
            lambda: f"{command!r} is not logged {times} times:\n{self.log.read_text()}",
        )
        return self.log.read_text().count(command)

    def options(self, **more: object) -> dict[str, object]:
        """Options of the stager with which it is logged in."""
        own: dict[str, object] = {"netrc": str(self.netrc)}
        if self.certificate is not None:
            own["ca_file"] = str(self.certificate)
        return {**own, **more}


def _certificate(folder: Path) -> Path:
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    words += ["-subj", "/CN=weft", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    subprocess.run(words, check=True, capture_output=True, timeout=BOUND)
    (folder / "key").chmod(0o600)
    return folder / "certificate"


@contextlib.contextmanager
def proftpd(folder: Path, *, tls: bool = False, more: str = "") -> Iterator[Server]:
    """A server in a folder, which has the rights of whoever runs the tests."""
    needed("proftpd", "openssl")
    folder.chmod(0o700)
    for name in ("files", "run"):
        (folder / name).mkdir(mode=0o700)
    user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "sesame"], check=True, capture_output=True, text=True
    ).stdout.strip()
    ids = f"{os.getuid()}:{os.getgid()}"
    passwd = f"me:{hashed}:{ids}::{folder}/files:/bin/sh\n{user}:*:{ids}::{folder}/files:/bin/sh\n"
    for name, text in (
        ("passwd", passwd),
        ("group", f"{group}:x:{os.getgid()}:\n"),
        ("netrc", "machine 127.0.0.1 login me password sesame\n"),
    ):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    certificate = _certificate(folder) if tls else None
    port = free_port()
    (folder / "conf").write_text(
        (f"ModulePath {MODULES}\nLoadModule mod_tls.c\n" if tls else "")
        + f"""ServerName weft
ServerType standalone
DefaultAddress 127.0.0.1
SocketBindTight on
Port {port}
UseIPv6 off
UseReverseDNS off
WtmpLog off
User {user}
Group {group}
RootLogin on
MaxInstances 40
RequireValidShell off
UseFtpUsers off
AuthOrder mod_auth_file.c
AuthUserFile {folder}/passwd
AuthGroupFile {folder}/group
AllowStoreRestart on
AllowRetrieveRestart on
AllowOverwrite on
PidFile {folder}/run/pid
ScoreboardFile {folder}/run/scoreboard
DelayTable none
SystemLog {folder}/log
LogFormat all "%a %m %F %s"
ExtendedLog {folder}/commands ALL all
{more}
"""
        + (
            f"""TLSEngine on
TLSRequired on
TLSRSACertificateFile {certificate}
TLSRSACertificateKeyFile {folder}/key
"""
            if tls
            else ""
        )
        + f"""<Anonymous {folder}/files>
  User {user}
  Group {group}
  UserAlias anonymous {user}
  RequireValidShell off
  <Limit WRITE>
    DenyAll
  </Limit>
</Anonymous>
"""
    )
    found = shutil.which("proftpd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found is not None
    words = [found, "--nodaemon", "--quiet", "--config", str(folder / "conf")]
    with (
        (folder / "said").open("wb") as said,
        # A full disk is an error to it, and not its end.
        subprocess.Popen(
            words, restore_signals=False, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        ) as process,
    ):

        def listens() -> bool:
            assert process.poll() is None, (folder / "said").read_text()
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", port)) == 0

        try:
            eventually(listens, "the server does not listen")
            yield Server(
                port=port,
                files=folder / "files",
                netrc=folder / "netrc",
                process=process.pid,
                log=folder / "commands",
                certificate=certificate,
            )
        finally:
            process.terminate()
            process.wait(BOUND)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without TLS for all tests."""
    with proftpd(tmp_path_factory.mktemp("ftp")) as made:
        yield made


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that wants TLS on both ways."""
    if not (MODULES / "mod_tls.so").exists():
        needed("proftpd", "mod_tls of proftpd")
    with proftpd(tmp_path_factory.mktemp("ftps"), tls=True) as made:
        yield made
