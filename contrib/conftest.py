"""What tests of several packages have in common: authorities, and certificates that they made."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

_BOUND = 60.0


@attrs.frozen
class Authority:
    """An authority, with the certificates of a server named ``localhost`` and of a user.

    Attributes:
        folder: where all of it is.
    """

    folder: Path

    @property
    def ca(self) -> Path:
        """What those have who believe it."""
        return self.folder / "ca.pem"

    @property
    def user(self) -> tuple[Path, Path]:
        """The certificate of a user, and its key."""
        return self.folder / "user.pem", self.folder / "user.key"

    def serving(self, *, users_alone: bool = False) -> ssl.SSLContext:
        """What a server has; one for users alone wants to see their certificates."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        made.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        if users_alone:
            made.verify_mode = ssl.CERT_REQUIRED
        return made


@pytest.fixture(scope="session")
def new_authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Authority]:
    """Makes authorities, of which none believes another."""
    if shutil.which("openssl") is None:
        why = "openssl is not installed"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"These tests must run here, and cannot: {why}")
        pytest.skip(why)
    return lambda: _made(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def authority(new_authority: Callable[[], Authority]) -> Authority:
    """The one that has certified the servers."""
    return new_authority()


@pytest.fixture(scope="session")
def stranger(new_authority: Callable[[], Authority]) -> Authority:
    """One of the same name that has not."""
    return new_authority()


def _made(folder: Path) -> Authority:
    def run(*words: str) -> None:
        subprocess.run(
            ["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=_BOUND
        )

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        *("req", "-x509", *curve, "-days", "30", "-subj", "/CN=weft test authority"),
        *("-addext", "basicConstraints=critical,CA:TRUE"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", "ca.key", "-out", "ca.pem"),
    )
    for name, subject, more in (
        ("server", "/CN=localhost", "subjectAltName=DNS:localhost"),
        ("user", "/CN=user", "extendedKeyUsage=clientAuth"),
    ):
        (folder / f"{name}.ext").write_text(more)
        run("req", *curve, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )
    return Authority(folder)
