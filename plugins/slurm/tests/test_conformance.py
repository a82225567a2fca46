"""The launchers keep what is promised of their text; tests/systems/slurm runs it on nodes."""

import pytest

from weft_testkit import LauncherConformance


class TestSrun(LauncherConformance):
    name = "srun"

    @pytest.fixture
    def runs_here(self) -> bool:
        return False

    @pytest.fixture
    def nodes(self) -> int:
        return 3


class TestSrunMPI(TestSrun):
    name = "srun-mpi"
