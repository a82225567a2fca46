"""The kit for stagers, with files going through a real Redis.

What the serializer packs goes through one in whole runs, beside this file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from weft.values.settings import Settings

# The other side of the stager is that of its package's own tests.
_AT = Path(__file__).parents[3] / "plugins" / "proxystore" / "tests" / "far.py"
_spec = spec_from_file_location("weft_proxystore_far", _AT)
assert _spec is not None
assert _spec.loader is not None
far: Any = module_from_spec(_spec)
_spec.loader.exec_module(far)


class InRedis:
    """Objects as the connector of Redis has them."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self._front = f"weft:{far.RUN}:"

    def read(self, name: str) -> bytes | None:
        found: bytes | None = self.server.client.get(self._front + name)
        return found

    def write(self, name: str, data: bytes) -> None:
        self.server.client.set(self._front + name, data)

    def remove(self, name: str) -> None:
        self.server.client.delete(self._front + name)

    def names(self) -> Collection[str]:
        found = self.server.client.keys(f"{self._front}*")
        return [one.decode().removeprefix(self._front) for one in found]


class RedisRemote(far.StoreRemote):  # type: ignore[misc]
    """The files in a Redis, which can be full, and go away."""

    @contextlib.contextmanager
    def breaking(self, after: int) -> Iterator[None]:
        """Less room than the file takes."""
        client = self.objects.server.client
        client.config_set("maxmemory", client.info("memory")["used_memory"] + after)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)

    def gone(self) -> AbstractContextManager[None]:
        """Ended with what it has on disk, and started from that."""
        return self._gone()

    @contextlib.contextmanager
    def _gone(self) -> Iterator[None]:
        server = self.objects.server
        server.client.save()
        server.stop()
        try:
            yield
        finally:
            server.start()


class TestRedisFiles(far.FilesInAStore):  # type: ignore[misc]
    @pytest.fixture
    def settings(self, server: Any) -> Settings:
        options = {"hostname": "127.0.0.1", "port": server.port}
        made: Settings = self.registry().settings(
            "stager", "proxystore", connector="redis", options=options, piece_size=far.PIECE
        )
        return made

    @pytest.fixture
    def remote(self, server: Any) -> Any:
        return RedisRemote(InRedis(server))
