"""A real Redis on loopback. Tests are skipped where there is none, and failed in CI."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import redis

from tests.systems.needs import free_port, needed
from tests.waiting import eventually

BOUND = 60.0


@attrs.define
class Server:
    """A server of Redis, which can be ended and started again at its port."""

    folder: Path
    port: int
    password: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=self.password or None, socket_timeout=BOUND)

    def start(self, *words: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
                    "--appendonly", "no", "--dir", str(self.folder), *words,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
            )  # fmt: skip

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                return bool(self.client.ping())
            except redis.ConnectionError:
                return False

        eventually(answers, "Redis does not answer")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(BOUND)
            self.process = None


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    needed("redis-server")
    made = Server(tmp_path_factory.mktemp("redis"), free_port())
    made.start()
    try:
        yield made
    finally:
        made.stop()
