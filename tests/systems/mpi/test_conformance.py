"""The kit, with real MPICH, Open MPI and GNU parallel over OpenSSH."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.systems.mpi.conftest import Machines, Mpi
from tests.systems.needs import needed
from weft.values.settings import Settings
from weft_testkit import LauncherConformance


class OnMpi(LauncherConformance):
    """As root where the tests run as root."""

    __test__ = False

    @pytest.fixture(autouse=True)
    def _first(self, mpi: Mpi, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in mpi.environment.items():
            monkeypatch.setenv(name, value)

    @pytest.fixture
    def settings(self, mpi: Mpi) -> Settings:
        openmpi: dict[str, Any] = {"allow_run_as_root": os.getuid() == 0}
        return self.registry().settings(
            "launcher", self.name, **(openmpi if mpi.name == "openmpi" else {})
        )


class TestMpiexec(OnMpi):
    __test__ = True
    name = "mpiexec"


class TestMpirun(OnMpi):
    __test__ = True
    name = "mpirun"


class TestGnuParallel(LauncherConformance):
    name = "gnu-parallel"

    @pytest.fixture
    def nodes(self) -> int:
        return 2

    @pytest.fixture
    def settings(self, machines: Machines) -> Settings:
        needed("parallel", "perl")
        return self.registry().settings(
            "launcher", self.name, ssh=machines.ssh, node_file=str(machines.names)
        )
