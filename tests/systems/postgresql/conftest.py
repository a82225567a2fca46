"""A real PostgreSQL on loopback. Tests are skipped where there is none, and failed in CI."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.systems.needs import absent, free_port

BOUND = 60.0


def programs() -> Path:
    """Where the server's programs are: Debian has them beside one another, off the PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    found = shutil.which("initdb")
    if not (found and Path(found).resolve().with_name("postgres").exists()):
        absent("postgresql is not installed")
    return Path(found).resolve().parent


@attrs.define
class Server:
    """A server, which can be killed and started again at its port."""

    programs: Path
    folder: Path
    port: int
    runs: bool = False

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def owner(self) -> dict[str, Any]:
        """As whom it runs: it refuses to be root."""
        return {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}

    def make(self) -> None:
        if self.owner:
            shutil.chown(self.folder, **self.owner)
        subprocess.run(
            [
                str(self.programs / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres",
                "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
            ],
            check=True, cwd="/", timeout=2 * BOUND, stdout=subprocess.DEVNULL, **self.owner,
        )  # fmt: skip

    def start(self) -> None:
        """Start it as no child of this process: the kit ends those that it finds after a test."""
        options = f"-p {self.port} -k '' -c listen_addresses=127.0.0.1 -c shared_buffers=16MB"
        self._control("-l", str(self.folder / "data" / "log"), "-o", options, "-w", "start")
        self.runs = True

    def stop(self) -> None:
        """End it at once, and every connection to it."""
        if self.runs:
            self._control("-m", "immediate", "-w", "stop")
            self.runs = False

    def _control(self, *words: str) -> None:
        subprocess.run(
            [str(self.programs / "pg_ctl"), "-D", str(self.folder / "data"), *words],
            check=True, cwd="/", timeout=2 * BOUND, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.owner,
        )  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    there = programs()
    if os.getuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            absent("there is no user postgres for a server to run as")
    # Not below a folder that root alone may enter, as those of pytest are.
    folder = Path(tempfile.mkdtemp(prefix="weft-postgresql-"))
    folder.chmod(0o755)
    made = Server(there, folder, free_port())
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
