"""The stager keeps the promises of its interface, with a real server and TLS."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from weft.errors import StagingError
from weft.interfaces.stager import Transfer
from weft.values.files import File
from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.bent import BentStager, Broken
from weft_testkit.remote import LocalRemote, Remote

if TYPE_CHECKING:
    from tests.systems.http.nginx import Nginx

BOUND = 60.0


class Served(LocalRemote):
    """The folder of the server, in which no two contents are of one second.

    An entity tag of nginx is the second of the last change and the length.
    """

    def __init__(self, nginx: Nginx) -> None:
        super().__init__(nginx.files / "kit", f"{nginx.https}/files/kit/", server=nginx.pid)
        self._nginx, self._second = nginx, 1_000_000_000

    def publish(self, content: bytes, name: str) -> File:
        file = super().publish(content, name)
        self._second += 1
        assert self.folder is not None
        os.utime(self.folder / name, (self._second, self._second))
        return file

    @contextlib.contextmanager
    def gone(self) -> Iterator[None]:
        """As while it is started again after a crash."""
        self._nginx.kill()
        try:
            yield
        finally:
            self._nginx.start()


class TestHttp(StagerConformance):
    name = "http"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self, nginx: Nginx) -> Settings:
        return self.registry().settings("stager", "http", ca_file=str(nginx.ca))

    @pytest.fixture
    def remote(self, nginx: Nginx) -> Remote:
        return Served(nginx)


class SavesThePageOfTheError(BentStager):
    """Broken on purpose: what the server says instead of a file is taken for it."""

    def move(self, transfer: Transfer) -> None:
        try:
            super().move(transfer)
        except StagingError as error:
            transfer.placed.as_path().write_text(f"<html>{error.reason}</html>")


class TestSavesThePageOfTheError(Broken, TestHttp):
    killed_by = "S107"
    Bent = SavesThePageOfTheError
