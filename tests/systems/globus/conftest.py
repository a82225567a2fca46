"""The service of ``cloud``, with somebody logged in, for the real SDK."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from globus_sdk import NativeAppAuthClient
from globus_sdk.login_flows import CommandLineLoginFlowManager

from tests.systems.globus.cloud import NATIVE, Cloud, Collection, code_in
from weft_globus.apps import app_for
from weft_globus.service import Service
from weft_globus.settings import Globus

BOUND = 60.0
"""Seconds that anything here may take, on a machine with other things to do."""

ARCHIVE = "aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa"
"""Where the files of the user are."""
HOME = "bbbbbbbb-2222-4222-8222-bbbbbbbbbbbb"
"""The collection of the machine of the script."""
SITE = "cccccccc-3333-4333-8333-cccccccccccc"
"""The collection of a cluster, whose folders the script does not see."""


class Browser(CommandLineLoginFlowManager):
    """A person who agrees to all, and copies the code."""

    def __init__(self, client: NativeAppAuthClient) -> None:
        super().__init__(client, request_refresh_tokens=True)
        self._url = ""

    def print_authorize_url(self, authorize_url: str) -> None:
        self._url = authorize_url

    def prompt_for_code(self) -> str:
        with urllib.request.urlopen(self._url, timeout=BOUND) as page:
            return code_in(page.read().decode())


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The folders of the collections."""
    made = {ARCHIVE: tmp_path / "archive", HOME: tmp_path / "home", SITE: tmp_path / "site"}
    for one in made.values():
        one.mkdir(mode=0o700)
    return made


@pytest.fixture
def cloud(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    """The service, for the SDK in this process and in those that it starts."""
    with Cloud({one: Collection(folder) for one, folder in folders.items()}) as made:
        made.collections[HOME].kind = "GCP_mapped_collection"
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path / "person"))
        monkeypatch.setenv("WEFT_GLOBUS_CLIENT_ID", NATIVE)
        monkeypatch.delenv("WEFT_GLOBUS_CLIENT_SECRET", raising=False)
        yield made


@pytest.fixture
def login(cloud: Cloud) -> Callable[[], None]:
    """Logs in, as ``weft globus login`` does."""

    def do() -> None:
        settings = Globus()
        app = app_for(settings, Browser)
        service = Service(settings, app)
        try:
            app.login(force=True)
        finally:
            service.close()

    return do


@pytest.fixture
def logged_in(login: Callable[[], None], cloud: Cloud) -> Cloud:
    """The service, with somebody who has logged in."""
    login()
    return cloud


@pytest.fixture
def settings(folders: dict[str, Path]) -> Globus:
    """As a user has them, but that nobody waits long."""
    return Globus(
        local_collection=HOME,
        local_path=str(folders[HOME]),
        collection_path="/",
        join_window=0.02,
        poll_interval=0.05,
        patience=0.2,
        outage=BOUND,
        request_timeout=BOUND,
    )
