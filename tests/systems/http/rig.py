"""A stager at work, and what a test says to it in one line."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_http.stager import HttpStager


@attrs.frozen
class Work:
    """A stager, and the folder of the tasks."""

    stager: HttpStager
    context: FakeContext
    folder: Path

    def plan(self, url: str, way: Way = Way.IN) -> Transfer:
        place = Place(executor="test", folder=self.folder, shared=False)
        return self.stager.plan(way, File(url), place)

    def bring(self, url: str) -> bytes:
        plan = self.plan(url)
        self.stager.move(plan)
        return plan.placed.as_path().read_bytes()

    def send(self, content: bytes, url: str) -> None:
        plan = self.plan(url, Way.OUT)
        plan.placed.as_path().write_bytes(content)
        self.stager.move(plan)

    def refused(self, url: str, way: Way = Way.IN) -> StagingError:
        """The error with which a file does not come, or go."""
        plan = self.plan(url, way)
        if way is Way.OUT:
            plan.placed.as_path().write_bytes(b"content")
        with pytest.raises(StagingError) as caught:
            self.stager.move(plan)
        return caught.value

    def left(self) -> list[str]:
        """What is in the folder."""
        return sorted(path.name for path in self.folder.iterdir())
