"""Objects through a real Redis: whole runs, and what is left when it or a script goes away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import weft
from tests.waiting import eventually
from weft import Config, python_app
from weft.errors import SerializationError
from weft_proxystore.errors import ObjectGone, StoreAway

if TYPE_CHECKING:
    from tests.systems.redis.conftest import Server

BOUND = 60.0


@python_app
def total(values: Any) -> float:
    return float(values.sum())


@python_app
def make(size: int) -> Any:
    return np.ones(size)


def config(folder: Path, server: Server, **options: Any) -> Config:
    serializer = weft.serializer(
        "proxystore",
        connector="redis",
        options={"hostname": "127.0.0.1", "port": server.port, "timeout": 10.0, **options},
        min_size=10_000,
    )
    executor = weft.executor("processes", max_workers=2, serializer=serializer)
    return Config(executors=[executor], run_dir=folder / "runs")


def test_a_run_goes_through_redis_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.client.set("somebody else's", "value")
    values = np.arange(100_000.0)
    with weft.load(config(tmp_path, server)):
        futures = [total(values) for _ in range(20)]
        assert {future.result(BOUND) for future in futures} == {values.sum()}
        made = make(100_000)
        assert total(made).result(BOUND) == 100_000.0
        held = server.client.keys("weft:*")
        assert 1 <= len(held) <= 4, held
        assert made.result().shape == (100_000,)
    assert server.client.keys() == [b"somebody else's"]


def test_a_password_comes_from_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    server.password = "the word"
    server.start("--requirepass", "the word")
    with pytest.raises(StoreAway, match="AuthenticationError"):
        weft.load(config(tmp_path, server))
    monkeypatch.setenv("WEFT_REDIS_PASSWORD", "the word")
    with weft.load(config(tmp_path, server)):
        assert total(np.ones(100_000)).result(BOUND) == 100_000.0


def test_a_redis_that_is_not_there_is_said_when_the_session_opens(
    server: Server, tmp_path: Path
) -> None:
    server.stop()
    with pytest.raises(StoreAway, match=rf"redis \(127.0.0.1:{server.port}\) could not be opened"):
        weft.load(config(tmp_path, server))


def test_a_redis_that_goes_away_fails_what_needs_it_and_no_more(
    server: Server, tmp_path: Path
) -> None:
    with weft.load(config(tmp_path, server)):
        assert total(np.ones(100_000)).result(BOUND) == 100_000.0
        server.stop()
        error = total(np.full(100_000, 2.0)).exception(BOUND)
        assert isinstance(error, (StoreAway, SerializationError)), repr(error)
        assert f"127.0.0.1:{server.port}" in str(error)
        assert "could not take an object" in str(error)
        assert total(np.ones(10)).result(BOUND) == 10.0, "what is small goes on"
        server.start()
        assert total(np.full(100_000, 3.0)).result(BOUND) == 300_000.0
    assert server.client.keys() == []


def test_an_object_that_redis_lost_is_named(server: Server, tmp_path: Path) -> None:
    with weft.load(config(tmp_path, server)):
        made = make(100_000)
        made.exception(BOUND)
        server.client.flushall()
        error = total(made).exception(BOUND)
        assert isinstance(error, ObjectGone), repr(error)
        assert "is not in the store redis" in str(error)


def test_a_full_redis_is_named(server: Server, tmp_path: Path) -> None:
    server.client.config_set("maxmemory", "2mb")
    with weft.load(config(tmp_path, server)):
        error = total(np.ones(1_000_000)).exception(BOUND)
        assert "8,000," in str(error)
        assert "used memory" in str(error)


KILLED = """
import sys, time
import numpy as np
import weft
from weft import Config, python_app

@python_app
def slow(values):
    time.sleep(600)

if __name__ == "__main__":
    options = {{"hostname": "127.0.0.1", "port": {port}}}
    serializer = weft.serializer("proxystore", connector="redis", options=options, min_size=1000)
    executor = weft.executor("processes", max_workers=1, serializer=serializer)
    with weft.load(Config(executors=[executor], run_dir={folder!r})):
        slow(np.ones(100_000)).result()
"""


def test_what_a_killed_script_left_is_removed_by_the_next(server: Server, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(port=server.port, folder=str(tmp_path / "first")))
    with subprocess.Popen([sys.executable, script], cwd=tmp_path) as process:
        try:
            eventually(lambda: len(server.client.keys("weft:*")) == 2, "nothing is stored")
        finally:
            process.kill()
    with weft.load(config(tmp_path, server)):
        assert server.client.keys("weft:*:*") == []
    assert server.client.keys() == []
