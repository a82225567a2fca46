"""A real nginx for the tests; they are skipped where there is none, failed in CI."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systems.http.nginx import Nginx
from tests.systems.http.rig import Work
from tests.systems.needs import needed
from weft.testing import FakeContext
from weft_http.settings import Http
from weft_http.stager import HttpStager


@pytest.fixture(scope="session")
def nginx_there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    needed("nginx", "openssl")
    server = Nginx(tmp_path_factory.mktemp("nginx"))
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.files)  # which pytest would keep for some runs


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes very long, unless it is asked for."""
    if "soak" in config.option.markexpr:
        return
    left_out = [one for one in items if one.get_closest_marker("soak") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [one for one in items if one.get_closest_marker("soak") is None]


@pytest.fixture
def nginx(nginx_there: Nginx) -> Nginx:
    """The server, with nothing in its folder."""
    if not nginx_there.runs:
        nginx_there.start()
    for path in nginx_there.files.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return nginx_there


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy and no logins of the machine that runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def working(tmp_path: Path) -> Iterator[Callable[..., Work]]:
    """Makes a stager with options, at work in the same folder each time."""
    folder, own = tmp_path / "tasks", tmp_path / "own"
    folder.mkdir()
    own.mkdir()
    with contextlib.ExitStack() as closing:

        def make(**options: Any) -> Work:
            stager = HttpStager(Http(**options))
            context = FakeContext(own)
            stager.start(context)
            closing.callback(stager.close)
            return Work(stager, context, folder)

        yield make


@pytest.fixture
def work(working: Callable[..., Work]) -> Work:
    """A stager as it is without options."""
    return working()


@pytest.fixture
def trusting(working: Callable[..., Work], nginx: Nginx) -> Work:
    """One that trusts the certificate of the server."""
    return working(ca_file=str(nginx.ca))
