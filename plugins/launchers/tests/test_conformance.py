"""The launchers keep what the interface promises, and the kit would tell if one did not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from weft.interfaces.launcher import Launcher
from weft.values.settings import Settings
from weft_testkit import LauncherConformance


class OnStandIns(LauncherConformance):
    """Runs through stand-ins, on two machines."""

    __test__ = False
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def nodes(self) -> int:
        return 2

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("launcher", self.name, **self.options)

    @pytest.fixture
    def scratch(self, tmp_path: Path) -> Path:
        # Beside the list of machines, which is not the launcher's.
        folder = tmp_path / "scratch"
        folder.mkdir(mode=0o700)
        return folder


class TestAprun(OnStandIns):
    __test__ = True
    name = "aprun"


class TestFlux(OnStandIns):
    __test__ = True
    name = "flux"


class TestGnuParallel(OnStandIns):
    __test__ = True
    name = "gnu-parallel"


class TestIbrun(OnStandIns):
    __test__ = True
    name = "ibrun"


class TestJsrun(OnStandIns):
    __test__ = True
    name = "jsrun"


class TestMpiexec(OnStandIns):
    __test__ = True
    name = "mpiexec"


class TestMpirun(OnStandIns):
    __test__ = True
    name = "mpirun"


class TestMpiexecOfOpenMpi(OnStandIns):
    __test__ = True
    name = "mpiexec"

    @pytest.fixture(autouse=True)
    def _kind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STANDIN_MPI", "openmpi")


class TestMpiexecOfPals(OnStandIns):
    __test__ = True
    name = "mpiexec"
    options: ClassVar[dict[str, Any]] = {"implementation": "pals"}

    @pytest.fixture(autouse=True)
    def _kind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STANDIN_MPI", "pals")


class Bent(Launcher):
    """A sound launcher, broken on purpose: its text is bent."""

    def __init__(self, sound: Launcher, old: str, new: str) -> None:
        self._sound, self._old, self._new = sound, old, new

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        text = self._sound.compose(command, nodes=nodes, per_node=per_node)
        return text.replace(self._old, self._new)


class TestForgetsTheOtherMachines(TestAprun):
    killed_by = "L006"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), "-n 2 -N 1", "-n 1 -N 1")


class TestSplitsTheCommandIntoWords(TestFlux):
    killed_by = "L008"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), '"$weft_command"', '"$(echo $weft_command)"')


class TestLosesTheExitCode(TestIbrun):
    killed_by = "L007"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), '"$weft_command"', '"($weft_command) || :"')


class TestLosesQuotesOnTheWay(TestGnuParallel):
    killed_by = "L008"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), "\\0047", "")


class TestForgetsTheMachinesOfResourceSets(TestJsrun):
    killed_by = "L006"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), "-n 2 -r 1", "-n 1 -r 1")


class TestLosesTheCodeOfMpiexec(TestMpiexec):
    killed_by = "L007"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), '"$weft_command"', '"($weft_command) || :"')


class TestTakesNoCountForWrong(TestMpirun):
    killed_by = "L004"

    def open(self, settings: Settings) -> Any:
        sound = super().open(settings)

        class Obliging(Launcher):
            def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
                made: str = sound.compose(command, nodes=max(nodes, 1), per_node=max(per_node, 1))
                return made

        return Obliging()
