"""ProxyStore's connector for Redis, with keys of one run."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from typing import Any, Final

import redis
from proxystore.connectors.redis import RedisConnector, RedisKey

__all__ = ["RunsRedis"]

_RUNS: Final = "weft:runs"
_AT_ONCE: Final = 500
_PATIENCE: Final = 30.0


class RunsRedis(RedisConnector):
    """Objects of a run in Redis, under keys that begin with the run's.

    Args:
        hostname, port: of the server.
        run_id: whose keys.
        db: the number of the database.
        username: of the account, if there are accounts.
        password_variable: the environment variable that holds the password, here and where tasks
            run.
        ssl: whether the connection is encrypted.
        ca_file: certificates of authorities to trust, instead of the system's.
        timeout: seconds that the server may be silent.
    """

    def __init__(
        self,
        hostname: str = "localhost",
        port: int = 6379,
        *,
        run_id: str,
        db: int = 0,
        username: str | None = None,
        password_variable: str = "WEFT_REDIS_PASSWORD",  # noqa: S107 - the name of a variable
        ssl: bool = False,
        ca_file: str | None = None,
        timeout: float = _PATIENCE,
    ) -> None:
        self.hostname, self.port, self.clear, self.run_id = hostname, port, False, run_id
        self._redis_client: Any = redis.Redis(
            host=hostname,
            port=port,
            db=db,
            username=username,
            password=os.environ.get(password_variable) or None,
            ssl=ssl,
            ssl_ca_certs=ca_file,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
        )

    here = ""

    def key_for(self, name: str, at: str = "") -> RedisKey:
        """The key of an object of this run with a name."""
        return RedisKey(redis_key=f"weft:{self.run_id}:{name}")

    def put(self, obj: Any) -> RedisKey:
        """Store an object under a new key of this run."""
        key = self.key_for(uuid.uuid4().hex)
        self.set(key, obj)
        return key

    def set(self, key: RedisKey, obj: Any) -> None:
        """Store an object under a key; it is not copied before."""
        self._redis_client.set(key.redis_key, obj)

    def begin_run(self, note: str, is_dead: Callable[[str], bool]) -> bool:
        """Note whose run this is, unless it is noted; remove what runs left that are dead.

        Returns:
            Whether it was not noted.
        """
        for run, noted in self._redis_client.hgetall(_RUNS).items():
            if is_dead(noted.decode()):
                self._remove(run.decode())
        return bool(self._redis_client.hsetnx(_RUNS, self.run_id, note))

    def forget_run(self) -> None:
        """Take the note away, and leave the rest."""
        self._redis_client.hdel(_RUNS, self.run_id)

    def end_run(self) -> None:
        """Remove all that this run has left."""
        self._remove(self.run_id)

    def _remove(self, run: str) -> None:
        found = self._redis_client.scan_iter(match=f"weft:{run}:*", count=_AT_ONCE)
        keys: list[bytes] = []
        for key in found:
            keys.append(key)
            if len(keys) == _AT_ONCE:
                self._redis_client.delete(*keys)
                keys = []
        if keys:
            self._redis_client.delete(*keys)
        self._redis_client.hdel(_RUNS, run)
