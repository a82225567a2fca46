"""Two endpoints of ProxyStore, as of two sites, and the relay server that introduces them.

All on loopback. ``WEFT_TEST_ENDPOINTS_PYTHON`` is the Python of an environment with what
``requirements.txt`` names. Tests are skipped where there is none, and fail in CI.
"""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import attrs
import pytest

from tests.systems.needs import absent, free_port
from tests.waiting import eventually

BOUND = 60.0


@attrs.define
class Endpoint:
    """The endpoint of a site, which can be ended."""

    python: Path
    home: Path
    name: str
    number: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.home / "said").read_text()

    def begin(self) -> None:
        words = ["start", self.name, "--no-detach"]
        with (self.home / "said").open("ab") as saying:
            self.process = _program(self.python, "proxystore-endpoint", words, saying, self.home)

    def answered(self) -> None:
        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log
            return _answers(f"http://127.0.0.1:{self.port}/endpoint")

        eventually(answers, lambda: self.log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(BOUND)
            self.process = None


@attrs.frozen
class Sites:
    """Two sites: what all of them are called, and the endpoint of each."""

    west: Endpoint
    east: Endpoint

    @property
    def numbers(self) -> list[str]:
        return [self.west.number, self.east.number]


def _program(
    python: Path, name: str, words: Sequence[str], saying: IO[bytes], home: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [python, python.with_name(name), *words],
        stdin=subprocess.DEVNULL,
        stdout=saying,
        stderr=saying,
        env={**os.environ, "PROXYSTORE_HOME": str(home)},
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=BOUND) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, ConnectionError):
        return False


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The Python with the programs, and the port of a relay server."""
    named = os.environ.get("WEFT_TEST_ENDPOINTS_PYTHON", "")
    if not named:
        absent("WEFT_TEST_ENDPOINTS_PYTHON names no Python with proxystore[endpoints]")
    python, port = Path(named).absolute(), free_port()
    home = tmp_path_factory.mktemp("relay")
    with (home / "said").open("wb") as saying:
        words = ["--host", "127.0.0.1", "--port", str(port)]
        server = _program(python, "proxystore-relay", words, saying, home)
    try:

        def listens() -> bool:
            said = (home / "said").read_text()
            assert server.poll() is None, said
            return "listening" in said

        eventually(listens, (home / "said").read_text)
        yield python, port
    finally:
        server.kill()
        server.wait(BOUND)


@pytest.fixture(scope="module")
def sites(relay: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Two endpoints, each in a folder of its own, as on two machines."""
    python, port = relay
    made = []
    try:
        for name in ("west", "east"):
            made.append(_configured(python, name, port, tmp_path_factory.mktemp(name)))
            made[-1].begin()
        for one in made:
            one.answered()
        yield Sites(*made)
    finally:
        for one in made:
            one.stop()


_CONFIG = """\
name = "{name}"
uuid = "{number}"
port = {port}
host = "127.0.0.1"
host_type = "static"

[relay]
address = "ws://127.0.0.1:{relay}"
# They find each other on this machine; no server on the net is asked for their addresses.
ice_servers = []
"""
"""What ``proxystore-endpoint configure`` writes, but for the last line."""


def _configured(python: Path, name: str, relay: int, home: Path) -> Endpoint:
    port, number = free_port(), str(uuid.uuid4())
    (home / name).mkdir()
    text = _CONFIG.format(name=name, number=number, port=port, relay=relay)
    (home / name / "config.toml").write_text(text)
    return Endpoint(python, home, name, number, port)
