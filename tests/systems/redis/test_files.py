"""Files through a real Redis: whole runs, and what is said when it is away, full, or lost one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import weft
from tests.waiting import eventually
from weft import Config, File, Site, python_app
from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft_proxystore.settings import ProxyStoreFiles
from weft_proxystore.stager import ProxyStoreStager

if TYPE_CHECKING:
    from tests.systems.redis.conftest import Server

BOUND = 60.0
PIECE = 2**20


@python_app
def make(text: str, times: int, outputs: Any) -> None:
    Path(outputs[0]).write_text(text * times)


@python_app
def length(file: Any) -> int:
    return len(Path(file).read_text())


def settings(server: Server) -> ProxyStoreFiles:
    return ProxyStoreFiles(
        connector="redis",
        options={"hostname": "127.0.0.1", "port": server.port, "timeout": 10.0},
        piece_size=PIECE,
    )


def config(server: Server, folder: Path, **options: Any) -> Config:
    executors = [
        weft.executor(
            "processes", label=name, max_workers=1, site=Site(name=name, folder=folder / name)
        )
        for name in ("west", "east")
    ]
    return Config(
        executors=executors, stagers=[settings(server)], run_dir=folder / "runs", **options
    )


def test_sites_pass_files_on_by_redis_and_nothing_is_left(server: Server, tmp_path: Path) -> None:
    server.client.set("somebody else's", "value")
    with weft.load(config(server, tmp_path)):
        files = [File(f"proxystore://part/{n}") for n in range(10)]
        made = [
            make.options(executors=["west"])("x", n * 400_000, outputs=[file])
            for n, file in enumerate(files)
        ]
        found = [length.options(executors=["east"])(one.outputs[0]) for one in made]
        assert [one.result(BOUND) for one in found] == [n * 400_000 for n in range(10)]
        assert server.client.keys("weft:*-files:f-*")
    assert server.client.keys() == [b"somebody else's"]


@pytest.fixture
def stager(server: Server, tmp_path: Path) -> Iterator[ProxyStoreStager]:
    made = ProxyStoreStager(settings(server))
    made.start(FakeContext(tmp_path))
    yield made
    server.stop()
    server.start()
    made.close()


def planned(stager: ProxyStoreStager, way: Way, folder: Path) -> Transfer:
    folder.mkdir(exist_ok=True)
    place = Place(executor="x", folder=folder, shared=False)
    return stager.plan(way, File("proxystore://file"), place)


def refused(stager: ProxyStoreStager, transfer: Transfer) -> StagingError:
    with pytest.raises(StagingError) as caught:
        stager.move(transfer)
    return caught.value


def test_what_is_said_when_redis_is_away_full_or_lost_a_file(
    server: Server, stager: ProxyStoreStager, tmp_path: Path
) -> None:
    out, into = planned(stager, Way.OUT, tmp_path / "a"), planned(stager, Way.IN, tmp_path / "b")
    out.placed.as_path().write_bytes(b"x" * 4 * PIECE)

    client = server.client
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 2 * PIECE)
    full = refused(stager, out)
    assert full.again
    assert "could not take an object of 1,048,576 bytes" in full.reason
    assert "The store is full" in str(full)
    client.config_set("maxmemory", 0)
    assert client.keys("*:p-*") == [], "what had been sent stays"

    stager.move(out)
    client.delete(*client.keys("*:p-*-2"))
    lost = refused(stager, into)
    assert lost.again
    assert "has lost piece 2 of 4" in lost.reason

    client.flushall()
    gone = refused(stager, into)
    assert not gone.again
    assert "There is no such file" in gone.reason

    server.stop()
    for transfer in (out, into):
        away = refused(stager, transfer)
        assert away.again
        assert f"redis (127.0.0.1:{server.port}) could not" in away.reason
        assert "See that the store runs" in str(away)
    assert not list((tmp_path / "b").iterdir())


def test_a_redis_that_is_not_there_fails_what_needs_it_and_no_more(
    server: Server, tmp_path: Path
) -> None:
    server.stop()
    with weft.load(config(server, tmp_path, transfer_retries=0)):
        error = make.options(executors=["west"])(
            "x", 1, outputs=[File("proxystore://a")]
        ).exception(BOUND)
        assert isinstance(error, StagingError), repr(error)
        assert f"redis (127.0.0.1:{server.port}) could not be opened" in str(error)
        server.start()
        file = File("proxystore://a")
        made = make.options(executors=["west"])("x", 1, outputs=[file])
        assert length.options(executors=["east"])(made.outputs[0]).result(BOUND) == 1
    assert server.client.keys() == []


KILLED = """
import sys, time
from pathlib import Path
import weft
from weft import Config, File, python_app

@python_app
def make(outputs):
    Path(outputs[0]).write_text("x" * 200_000)

@python_app
def slow(file):
    time.sleep(600)

if __name__ == "__main__":
    options = {{"hostname": "127.0.0.1", "port": {port}}}
    stager = weft.stager("proxystore", connector="redis", options=options)
    executor = weft.executor("threads", max_threads=1)
    with weft.load(Config(executors=[executor], stagers=[stager], run_dir={folder!r})):
        made = make(outputs=[File("proxystore://a")])
        made.result()
        slow(made.outputs[0]).result()
"""


def test_files_of_a_killed_script_are_removed_by_the_next(server: Server, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(port=server.port, folder=str(tmp_path / "first")))
    with subprocess.Popen([sys.executable, script], cwd=tmp_path) as process:
        try:
            eventually(lambda: bool(server.client.keys("*:f-*")), "nothing is stored")
        finally:
            process.kill()
    with weft.load(config(server, tmp_path)):
        made = make.options(executors=["west"])("x", 1, outputs=[File("proxystore://b")])
        made.result(BOUND)
        assert len(server.client.keys("weft:*-files:f-*")) == 1
    assert server.client.keys() == []
