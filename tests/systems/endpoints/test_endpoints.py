"""Objects and files between two sites by real endpoints, which are peers of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import weft
from weft import Config, File, Site, python_app
from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft_proxystore.errors import StoreAway
from weft_proxystore.records import claim_name, piece_name, record_name
from weft_proxystore.settings import ProxyStore, ProxyStoreFiles
from weft_proxystore.stager import ProxyStoreStager
from weft_proxystore.stores import RunStore

if TYPE_CHECKING:
    from tests.systems.endpoints.conftest import Endpoint, Sites

BOUND = 90.0
PIECE = 2**20


@python_app
def make(text: str, times: int, outputs: Any) -> Any:
    Path(outputs[0]).write_text(text * times)
    return np.ones(200_000)


@python_app
def length(file: Any, values: Any) -> tuple[int, float, str]:
    return len(Path(file).read_text()), float(values.sum()), type(values).__name__


def test_two_sites_pass_on_a_file_and_an_array(sites: Sites, tmp_path: Path) -> None:
    """Each worker finds the endpoint of its site; the script is at the first."""
    options = {"endpoints": sites.numbers, "timeout": BOUND}

    def executor(endpoint: Endpoint) -> Any:
        return weft.executor(
            "htex",
            label=endpoint.name,
            workers_per_node=1,
            worker_init=f"export PROXYSTORE_HOME={endpoint.home}",
            site=Site(name=endpoint.name, folder=tmp_path / endpoint.name),
            serializer=weft.serializer("proxystore", connector="endpoint", options=options),
        )

    config = Config(
        executors=[executor(sites.west), executor(sites.east)],
        stagers=[weft.stager("proxystore", connector="endpoint", options=options)],
        run_dir=tmp_path / "runs",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROXYSTORE_HOME", str(sites.west.home))
        with weft.load(config):
            file = File("proxystore://made/one")
            made = make.options(executors=["east"])("x", 200_000, outputs=[file])
            found = length.options(executors=["west"])(made.outputs[0], made)
            assert found.result(BOUND) == (200_000, 200_000.0, "Lent")


Start = Callable[..., ProxyStoreStager]


@pytest.fixture
def stager(sites: Sites, tmp_path: Path) -> Iterator[Start]:
    made: list[ProxyStoreStager] = []

    def start(at: Endpoint, *, timeout: float = BOUND) -> ProxyStoreStager:
        options = {
            "endpoints": sites.numbers,
            "proxystore_dir": str(at.home),
            "timeout": timeout,
        }
        settings = ProxyStoreFiles(connector="endpoint", options=options, piece_size=PIECE)
        made.append(ProxyStoreStager(settings))
        made[-1].start(FakeContext(tmp_path))
        return made[-1]

    yield start
    for one in made:
        one.close()


def planned(stager: ProxyStoreStager, way: Way, folder: Path) -> Transfer:
    folder.mkdir(exist_ok=True)
    place = Place(executor="x", folder=folder, shared=False)
    return stager.plan(way, File("proxystore://file"), place)


def test_a_file_goes_in_pieces_and_nothing_is_left(
    sites: Sites, stager: Start, tmp_path: Path
) -> None:
    west, east = stager(sites.west), stager(sites.east)
    content = bytes(range(256)) * (3 * PIECE // 256) + b"end"
    out, into = planned(east, Way.OUT, tmp_path / "east"), planned(west, Way.IN, tmp_path / "west")
    with pytest.raises(StagingError, match="could not be staged") as caught:
        west.move(into)
    assert "There is no such file" in caught.value.reason
    out.placed.as_path().write_bytes(content)
    east.move(out)
    west.move(into)
    assert into.placed.as_path().read_bytes() == content

    store = east._store
    assert store is not None
    url = out.file.url
    pieces = [(piece_name(west.validator(out.file) or "", n), sites.east.number) for n in range(4)]
    names = [(record_name(url), ""), (claim_name(url), ""), *pieces]
    look = RunStore(east._settings, "run-1-files", mine=False, kept=0)
    assert [_is_there(look, *one) for one in names] == [True, False, True, True, True, True]
    east.close()
    assert [_is_there(look, *one) for one in names] == [False] * 6
    look.close()


def _is_there(store: RunStore, name: str, at: str) -> bool:
    return store._naming.get(store.key_at(name, at)) is not None


def test_no_endpoint_here_is_said(sites: Sites, tmp_path: Path) -> None:
    options = {"endpoints": sites.numbers, "proxystore_dir": str(tmp_path)}
    settings = ProxyStore(connector="endpoint", options=options)
    with pytest.raises(StoreAway, match="no endpoint can be used here") as caught:
        RunStore(settings, "run-1", mine=True)
    assert sites.east.number in str(caught.value)


def test_an_endpoint_that_goes_away_is_said(sites: Sites, stager: Start, tmp_path: Path) -> None:
    west, east = stager(sites.west, timeout=5.0), stager(sites.east)
    out, into = planned(east, Way.OUT, tmp_path / "east"), planned(west, Way.IN, tmp_path / "west")
    out.placed.as_path().write_bytes(b"x" * 2 * PIECE)
    east.move(out)
    sites.east.stop()
    try:
        with pytest.raises(StagingError) as here:
            east.move(out)
        assert here.value.again
        assert "See that the store runs" in str(here.value)
        with pytest.raises(StagingError) as there:
            west.move(into)
        assert there.value.again, str(there.value)
        assert "could not give back an object" in there.value.reason
        assert not list((tmp_path / "west").iterdir())
    finally:
        # One that is started anew is found by none that had been its peer.
        sites.west.stop()
        for one in (sites.west, sites.east):
            one.begin()
        for one in (sites.west, sites.east):
            one.answered()
