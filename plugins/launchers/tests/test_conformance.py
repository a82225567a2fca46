"""The launchers keep what the interface promises, and the kit would tell if one did not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from weft.values.settings import Settings
from weft_testkit import LauncherConformance
from weft_testkit.bent import BentLauncher, Broken


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


def replacing(old: str, new: str) -> type[BentLauncher]:
    """A launcher broken on purpose: something in its text is replaced by something else."""

    class Replacing(BentLauncher):
        def bend(self, text: str) -> str:
            return text.replace(old, new)

    return Replacing


class TestForgetsTheOtherMachines(Broken, TestAprun):
    killed_by = "L006"
    Bent = replacing("-n 2 -N 1", "-n 1 -N 1")


class TestSplitsTheCommandIntoWords(Broken, TestFlux):
    killed_by = "L008"
    Bent = replacing('"$weft_command"', '"$(echo $weft_command)"')


class TestLosesTheExitCode(Broken, TestIbrun):
    killed_by = "L007"
    Bent = replacing('"$weft_command"', '"($weft_command) || :"')


class TestLosesQuotesOnTheWay(Broken, TestGnuParallel):
    killed_by = "L008"
    Bent = replacing("\\0047", "")


class TestForgetsTheMachinesOfResourceSets(Broken, TestJsrun):
    killed_by = "L006"
    Bent = replacing("-n 2 -r 1", "-n 1 -r 1")


class TestLosesTheCodeOfMpiexec(Broken, TestMpiexec):
    killed_by = "L007"
    Bent = replacing('"$weft_command"', '"($weft_command) || :"')


class TestTakesNoCountForWrong(Broken, TestMpirun):
    killed_by = "L004"

    class Bent(BentLauncher):
        def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
            return super().compose(command, nodes=max(nodes, 1), per_node=max(per_node, 1))
