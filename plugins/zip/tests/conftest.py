"""A stager at work, and the folder of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_zip.settings import Zip
from weft_zip.stager import ZipStager


@attrs.frozen
class Bench:
    """A stager, an archive that need not be there, and the folder of the tasks."""

    stager: ZipStager
    archive: Path
    tasks: Path
    context: FakeContext

    def file(self, member: str) -> File:
        return File(f"zip://{self.archive}/{member}")

    def brought(self, member: str) -> Path:
        plan = self.plan(Way.IN, member)
        self.stager.move(plan)
        return plan.placed.as_path()

    def refused(self, way: Way, member: str) -> StagingError:
        """Have it tried, and see that nothing came of it but the error."""
        plan = self.plan(way, member)
        before = sorted(self.tasks.iterdir())
        with pytest.raises(StagingError) as caught:
            self.stager.move(plan)
        assert sorted(self.tasks.iterdir()) == before
        assert not list(self.archive.parent.glob(".*")), "it left something beside the archive"
        return caught.value

    def meanwhile(self, act: Callable[[], None]) -> None:
        """Have something happen each time the stager says how far it is."""
        ours = self.context.progress

        def progress(transfer: Transfer, done: int, total: int | None = None) -> None:
            ours(transfer, done, total)
            act()

        self.context.progress = progress  # type: ignore[method-assign]

    def made(self, member: str, content: bytes) -> Transfer:
        plan = self.plan(Way.OUT, member)
        plan.placed.as_path().write_bytes(content)
        return plan

    def plan(self, way: Way, member: str) -> Transfer:
        place = Place(executor="here", folder=self.tasks, shared=False)
        return self.stager.plan(way, self.file(member), place)


@pytest.fixture
def benches(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Makes stagers with options, and closes them."""
    made: list[Bench] = []
    for name in ("tasks", "own", "there"):
        (tmp_path / name).mkdir()

    def make(**options: object) -> Bench:
        stager = ZipStager(Zip(**options))  # type: ignore[arg-type]
        context = FakeContext(tmp_path / "own")
        stager.start(context)
        made.append(Bench(stager, tmp_path / "there" / "a.zip", tmp_path / "tasks", context))
        return made[-1]

    yield make
    for one in made:
        one.stager.close()


@pytest.fixture
def bench(benches: Callable[..., Bench]) -> Bench:
    """A stager as it is without options."""
    return benches()
