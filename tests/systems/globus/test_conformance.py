"""The kit for stagers, with the real SDK and the collections of the tests."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.systems.globus.cloud import Cloud
from tests.systems.globus.conftest import ARCHIVE, BOUND, HOME
from tests.waiting import eventually
from weft.interfaces.stager import Transfer, Way
from weft.values.files import File
from weft.values.settings import Settings
from weft_globus.settings import Globus
from weft_testkit import StagerConformance
from weft_testkit.bent import BentStager, Broken
from weft_testkit.limits import no_file_beyond
from weft_testkit.remote import LocalRemote, Remote

LONG_AGO = 1_600_000_000


class Archive(LocalRemote):
    """A collection. The server that writes to it is a thread of this process.

    The network goes away between the machine of the script and the service, which goes on by
    itself.
    """

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        super().__init__(folder, f"globus://{ARCHIVE}/")
        self._cloud = cloud

    def publish(self, content: bytes, name: str) -> File:
        file = super().publish(content, name)
        # One that is new may change within the second, and is not told from others by its time.
        os.utime(self._path(file), (LONG_AGO, LONG_AGO))
        return file

    def later(self, file: File, seconds: float) -> None:
        os.utime(self._path(file), (LONG_AGO, LONG_AGO + seconds))

    def breaking(self, after: int) -> AbstractContextManager[None] | None:
        return no_file_beyond(after)

    @contextlib.contextmanager
    def gone(self) -> Iterator[None]:
        self._cloud.cut()
        try:
            yield
        finally:
            self._cloud.resume()

    @contextlib.contextmanager
    def cutting(self, after: int) -> Iterator[None]:
        """The service gets so far, and then cannot be reached."""
        cloud = self._cloud
        cloud.most = after

        def cut() -> None:
            eventually(lambda: not cloud.flow.is_set(), "nothing was moved")
            # Who waits has heard how far it is.
            seen = cloud.count("GET /v0.10/task/")
            eventually(lambda: cloud.count("GET /v0.10/task/") > seen + 1, "nobody asks")
            cloud.cut()

        cutter = threading.Thread(target=cut, name="cutter", daemon=True)
        cutter.start()
        try:
            yield
        finally:
            cutter.join(BOUND)
            cloud.most = float("inf")
            cloud.flow.set()
            cloud.resume()


@pytest.mark.usefixtures("logged_in")
class TestGlobus(StagerConformance):
    """The whole kit, with files that come from a collection to that of this machine."""

    name = "globus"

    @pytest.fixture
    def settings(self, scratch: Path, folders: dict[str, Path], cloud: Cloud) -> Settings:
        cloud.collections[HOME].folder = scratch
        return Globus(
            local_collection=HOME,
            local_path=str(scratch),
            collection_path="/",
            join_window=0.0,
            poll_interval=0.05,
            patience=0.2,
            outage=0.0,
        )

    @pytest.fixture
    def remote(self, folders: dict[str, Path], cloud: Cloud) -> Remote:
        return Archive(folders[ARCHIVE], cloud)


class TakesTheOrderForTheDeed(BentStager):
    """Broken on purpose: it answers before the service has moved anything."""

    def move(self, transfer: Transfer) -> None:
        if transfer.way is Way.OUT:
            super().move(transfer)
        else:
            transfer.placed.as_path().touch()


class TestTakesTheOrderForTheDeed(Broken, TestGlobus):
    killed_by = "S101"
    Bent = TakesTheOrderForTheDeed
