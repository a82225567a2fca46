"""The kit for stagers passes sound ones; each rule kills the variant that breaks it, first."""

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import attrs
import pytest

from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft.values.plugin import Component, Support
from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.bent import BentStager, Broken


class TestFile(StagerConformance):
    name = "file"


class TestFileSynced(StagerConformance):
    name = "file"

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("stager", "file", sync=True)


# ------------------------------------------------------------------------ broken on purpose


class Variant(Broken, StagerConformance):
    """A kit over a stager that is bent."""

    name = "file"

    @pytest.fixture
    def large(self) -> int:
        return 1_500_000  # every variant goes through all rules before its own


def target(transfer: Transfer) -> Path:
    """Where the file is to be in the end."""
    placed = transfer.placed.as_path()
    return placed if transfer.way is Way.IN else Path(transfer.file.path)


def source(transfer: Transfer) -> Path:
    """Where the file comes from."""
    placed = transfer.placed.as_path()
    return Path(transfer.file.path) if transfer.way is Way.IN else placed


def several() -> bool:
    """Whether this is one of the several at once that the kit has move files."""
    return threading.current_thread().name == "weft-testkit-mover"


class TestClosesOnce(Variant):
    killed_by = "S001"

    class Bent(BentStager):
        closed = False

        def close(self) -> None:
            assert not self.closed
            self.closed = True


class TestNeverStarts(Variant):
    killed_by = "S001"

    @pytest.fixture
    def patience(self) -> float:
        return 0.2

    class Bent(BentStager):
        def start(self, context: StagerContext) -> None:
            threading.Event().wait(2)


class TestPlansByMaking(Variant):
    killed_by = "S002"

    class Bent(BentStager):
        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            planned = super().plan(way, file, place)
            if "not%20there" in file.url:
                planned.placed.as_path().touch()
            return planned


class TestPlansByLooking(Variant):
    killed_by = "S002"

    class Bent(BentStager):
        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            list(place.folder.iterdir())
            return super().plan(way, file, place)


class TestPlansRelativePaths(Variant):
    killed_by = "S003"

    class Bent(BentStager):
        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            return attrs.evolve(
                super().plan(way, file, place), placed=file.placed(f"tasks/{file.filename}")
            )


class TestTurnsTheWay(Variant):
    killed_by = "S003"

    class Bent(BentStager):
        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            return attrs.evolve(super().plan(way, file, place), way=Way.IN)


class TestGoesByTheLastPart(Variant):
    killed_by = "S004"

    class Bent(BentStager):
        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            planned = super().plan(way, file, place)
            return attrs.evolve(planned, placed=file.placed(place.folder / file.filename))


class TestNumbersItsPlaces(Variant):
    killed_by = "S004"

    class Bent(BentStager):
        count = 0

        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            self.count += 1
            planned = super().plan(way, file, place)
            return attrs.evolve(planned, placed=file.placed(place.folder / str(self.count)))


class TestFollowsNames(Variant):
    killed_by = "S005"

    class Bent(BentStager):
        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            planned = super().plan(way, file, place)
            inner = unquote(file.url.partition("/there/")[2])
            return attrs.evolve(planned, placed=file.placed(f"{place.folder}/{inner}"))


class Flips(BentStager):
    """Changes a byte late in a large file."""

    way: ClassVar[Way]

    def move(self, transfer: Transfer) -> None:
        super().move(transfer)
        to = target(transfer)
        if transfer.way is self.way and to.stat().st_size > 300_000:
            content = bytearray(to.read_bytes())
            content[300_000] ^= 1
            to.write_bytes(content)


class TestChangesAByte(Variant):
    killed_by = "S101"

    class Bent(Flips):
        way = Way.IN


class TestNeverComesBack(Variant):
    killed_by = "S101"

    @pytest.fixture
    def patience(self) -> float:
        return 0.2

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            threading.Event().wait(2)


class DisLikes(BentStager):
    """Takes no name of two lines."""

    way: ClassVar[Way]

    def move(self, transfer: Transfer) -> None:
        if transfer.way is self.way and "%0A" in transfer.file.url:
            raise StagingError(transfer.file.url, transfer.way, "what a name")
        super().move(transfer)


class TestTakesNoOddNames(Variant):
    killed_by = "S102"

    class Bent(DisLikes):
        way = Way.IN


class TestForgetsSharedPlaces(Variant):
    killed_by = "S103"

    class Bent(BentStager):
        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            apart = super().plan(way, file, attrs.evolve(place, shared=False))
            return attrs.evolve(apart, place=place)


class TestTakesTheSourceAway(Variant):
    killed_by = "S104"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            super().move(transfer)
            if not transfer.place.shared:
                source(transfer).unlink()


class Copies(BentStager):
    """Makes one file more when something is moved again."""

    way: ClassVar[Way]

    def move(self, transfer: Transfer) -> None:
        again = transfer.way is self.way and target(transfer).exists()
        super().move(transfer)
        if again and not transfer.place.shared:
            target(transfer).with_name("file (1)").touch()


class TestMakesASecondCopy(Variant):
    killed_by = "S105"

    class Bent(Copies):
        way = Way.IN


class Trusts(BentStager):
    """Takes what is there already for what is wanted."""

    way: ClassVar[Way]

    def move(self, transfer: Transfer) -> None:
        if transfer.way is self.way and target(transfer).exists() and not transfer.place.shared:
            return
        super().move(transfer)


class TestServesStale(Variant):
    killed_by = "S106"

    class Bent(Trusts):
        way = Way.IN


class Shrugs(BentStager):
    """Does nothing where there is nothing to move."""

    way: ClassVar[Way]

    def move(self, transfer: Transfer) -> None:
        if transfer.way is not self.way or os.path.lexists(source(transfer)):
            super().move(transfer)


class TestBringsNothingAndSaysNothing(Variant):
    killed_by = "S107"

    class Bent(Shrugs):
        way = Way.IN


class TestRaisesWhatItLikes(Variant):
    killed_by = "S107"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            try:
                super().move(transfer)
            except StagingError as error:
                raise FileNotFoundError(str(error)) from error


class TestLetsRefusalsThrough(Variant):
    killed_by = "S108"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            try:
                super().move(transfer)
            except StagingError as error:
                if transfer.way is Way.IN and os.path.lexists(source(transfer)):
                    raise PermissionError(str(error)) from error
                raise


class InPlace(BentStager):
    """Writes large files under their names, before it moves them as it should."""

    way: ClassVar[Way]

    def move(self, transfer: Transfer) -> None:
        if transfer.way is self.way and source(transfer).exists():
            content = source(transfer).read_bytes()
            if len(content) > 1_000_000:
                target(transfer).write_bytes(content[: len(content) // 2])
        super().move(transfer)


class TestWritesInPlace(Variant):
    killed_by = "S109"

    class Bent(InPlace):
        way = Way.IN


class Untidy(BentStager):
    """Leaves what it had written when the disk was full."""

    way: ClassVar[Way]

    def move(self, transfer: Transfer) -> None:
        try:
            super().move(transfer)
        except StagingError as error:
            full = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EFBIG
            if transfer.way is self.way and full:
                target(transfer).with_name(".part").touch()
            raise


class TestLeavesItsParts(Variant):
    killed_by = "S110"

    class Bent(Untidy):
        way = Way.IN


class Locks(BentStager):
    """Marks what it moves by a file, which is there for ever if it is killed."""

    way: ClassVar[Way]

    def move(self, transfer: Transfer) -> None:
        if transfer.way is not self.way or transfer.place.shared or several():
            return super().move(transfer)
        # Beside the tasks: the kit must not take it for a leftover of one that failed.
        mark = transfer.place.folder.with_name("lock")
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            raise StagingError(transfer.file.url, transfer.way, "it is being moved") from None
        try:
            super().move(transfer)
        finally:
            mark.unlink()


class TestStaysLockedWhenKilled(Variant):
    killed_by = "S401"

    class Bent(Locks):
        way = Way.IN


class TestOpensToAll(Variant):
    killed_by = "S111"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            super().move(transfer)
            target(transfer).chmod(0o644)


class TestChangesAByteOnTheWayOut(Variant):
    killed_by = "S201"

    class Bent(Flips):
        way = Way.OUT


class TestTakesNoOddNamesOut(Variant):
    killed_by = "S202"

    class Bent(DisLikes):
        way = Way.OUT


class TestForgetsWhatIsSharedOut(Variant):
    killed_by = "S203"

    class Bent(BentStager):
        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            if way is Way.IN:
                return super().plan(way, file, place)
            apart = super().plan(way, file, attrs.evolve(place, shared=False))
            return attrs.evolve(apart, place=place)

        def move(self, transfer: Transfer) -> None:
            if transfer.way is Way.IN or not transfer.place.shared:
                super().move(transfer)


class TestTakesTwoCopies(Variant):
    killed_by = "S204"

    class Bent(Copies):
        way = Way.OUT


class TestKeepsWhatWasThere(Variant):
    killed_by = "S205"

    class Bent(Trusts):
        way = Way.OUT


class TestTakesNothingAndSaysNothing(Variant):
    killed_by = "S206"

    class Bent(Shrugs):
        way = Way.OUT


class TestWritesInPlaceThere(Variant):
    killed_by = "S207"

    class Bent(InPlace):
        way = Way.OUT


class TestLeavesItsPartsThere(Variant):
    killed_by = "S208"

    class Bent(Untidy):
        way = Way.OUT


class TestStaysLockedWhenKilledThere(Variant):
    killed_by = "S402"

    class Bent(Locks):
        way = Way.OUT


class TestFollowsLinks(Variant):
    killed_by = "S209"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            made = source(transfer)
            if transfer.way is Way.OUT and made.is_symlink():
                content = made.read_bytes()
                made.unlink()
                made.write_bytes(content)
            super().move(transfer)


class TestTakesAPipeForAFile(Variant):
    killed_by = "S210"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            if source(transfer).is_fifo():
                target(transfer).touch()
            else:
                super().move(transfer)


class TestTakesHalfAFolder(Variant):
    killed_by = "S211"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            super().move(transfer)
            if transfer.way is Way.OUT and target(transfer).is_dir():
                (target(transfer) / "inner" / "b").unlink()


class TestRefusesAFolderHalfway(Variant):
    killed_by = "S211"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            if transfer.way is Way.OUT and source(transfer).is_dir():
                target(transfer).mkdir()
                raise StagingError(transfer.file.url, transfer.way, "it is a folder")
            super().move(transfer)


class TestKnowsOneThread(Variant):
    killed_by = "S301"

    class Bent(BentStager):
        def start(self, context: StagerContext) -> None:
            self.mine = threading.get_ident()

        def move(self, transfer: Transfer) -> None:
            if threading.get_ident() != self.mine:
                raise StagingError(transfer.file.url, transfer.way, "this is another thread")
            super().move(transfer)


class TestMixesThemUp(Variant):
    killed_by = "S302"

    class Bent(BentStager):
        def __init__(self, sound: Stager) -> None:
            super().__init__(sound)
            self.together = threading.Barrier(8)

        def move(self, transfer: Transfer) -> None:
            self.current = transfer
            if several():
                self.together.wait(10)
            super().move(self.current)


class TestLeavesWhatOthersWereQuickerWith(Variant):
    killed_by = "S303"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            again = target(transfer).exists()
            super().move(transfer)
            if several() and again and transfer.file.url.endswith("/file"):
                target(transfer).with_name(f".{threading.get_ident()}.part").touch()


class TestNeverRecovers(Variant):
    killed_by = "S304"

    class Bent(BentStager):
        failures = 0

        def move(self, transfer: Transfer) -> None:
            if self.failures > 1 and source(transfer).exists():
                raise StagingError(transfer.file.url, transfer.way, "it failed before")
            try:
                super().move(transfer)
            except StagingError:
                self.failures += 1
                raise


class Leaves(Variant):
    """What it leaves is waited for, in vain, as long as everything else is."""

    @pytest.fixture
    def patience(self) -> float:
        return 3.0


class TestLeavesAFileOpen(Leaves):
    killed_by = "S305"

    class Bent(BentStager):
        def start(self, context: StagerContext) -> None:
            self.leaked = os.open(os.devnull, os.O_RDONLY)
            super().start(context)


class TestLeavesAProcess(Leaves):
    killed_by = "S305"

    helpers: ClassVar[list[subprocess.Popen[bytes]]] = []

    @pytest.fixture(autouse=True)
    def _reaped(self) -> Iterator[None]:
        yield
        while self.helpers:
            with self.helpers.pop() as helper:
                helper.kill()

    class Bent(BentStager):
        def start(self, context: StagerContext) -> None:
            TestLeavesAProcess.helpers.append(subprocess.Popen(["sleep", "60"]))
            super().start(context)


# ---------------------------------------------------------------------------------- one way only


class OneWay(Variant):
    """A sound stager of which one way is declared unsupported, and is."""

    other: ClassVar[Way]

    @classmethod
    def component(cls) -> Component:
        sound = super().component()
        capabilities = {**sound.capabilities, cls.other.value: Support.UNSUPPORTED}
        return attrs.evolve(sound, capabilities=capabilities)

    def open(self, settings: Settings) -> Any:
        return Single(StagerConformance.open(self, settings), self.other)


class Single(BentStager):
    def __init__(self, sound: Stager, other: Way) -> None:
        super().__init__(sound)
        self.other = other

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        if way is self.other:
            raise StagingError(file.url, way, "not this way")
        return super().plan(way, file, place)


class TestOnlyIn(OneWay):
    other = Way.OUT


class TestOnlyOut(OneWay):
    other = Way.IN
