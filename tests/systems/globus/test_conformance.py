"""The kit for stagers, with the real SDK and the collections of the tests."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import pytest

from tests.systems.globus.cloud import Cloud
from tests.systems.globus.conftest import ARCHIVE
from weft.values.settings import Settings
from weft_globus.settings import Globus
from weft_testkit import StagerConformance
from weft_testkit.limits import no_file_beyond
from weft_testkit.remote import LocalRemote, Remote


class Archive(LocalRemote):
    """A collection. The server that writes to it is a thread of this process."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        super().__init__(folder, f"globus://{ARCHIVE}/")
        self._cloud = cloud

    def breaking(self, after: int) -> AbstractContextManager[None] | None:
        return no_file_beyond(after)


@pytest.mark.usefixtures("logged_in")
class TestGlobus(StagerConformance):
    """The whole kit, with files that come from a collection to that of this machine."""

    name = "globus"
    plugin: ClassVar[str] = "globus"

    @pytest.fixture
    def settings(self, scratch: Path, folders: dict[str, Path], cloud: Cloud) -> Settings:
        from tests.systems.globus.conftest import HOME

        cloud.collections[HOME].folder = scratch
        return Globus(
            local_collection=HOME,
            local_path=str(scratch),
            collection_path="/",
            join_window=0.0,
            poll_interval=0.05,
            patience=0.2,
        )

    @pytest.fixture
    def remote(self, folders: dict[str, Path], cloud: Cloud) -> Remote:
        return Archive(folders[ARCHIVE], cloud)
