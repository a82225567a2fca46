"""Provider and launchers keep the promises of their interfaces, on a real cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from weft.values.settings import Settings
from weft_testkit import LauncherConformance, ProviderConformance

if TYPE_CHECKING:
    from tests.systems.slurm.conftest import Cluster

BOUND = 60.0
# The first test brings up the cluster, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)


class TestSlurm(ProviderConformance):
    name = "slurm"

    @pytest.fixture(autouse=True)
    def _on(self, cluster: Cluster) -> None:
        """There has to be a cluster."""

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("provider", "slurm", command_timeout=20.0)


class _OnNodes(LauncherConformance):
    """Two nodes are held, and each text is run as if by the script of a job there."""

    @pytest.fixture(autouse=True)
    def _allocated(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        said = subprocess.run(
            ["salloc", "--no-shell", "--nodes=2", "--exclusive", "--time=5"],
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=True,
        ).stderr
        job = next(
            line.split()[-1] for line in said.splitlines() if "Granted job allocation" in line
        )
        monkeypatch.setenv("SLURM_JOB_ID", job)
        yield
        cluster.ask("scancel", job)

    @pytest.fixture
    def nodes(self) -> int:
        return 2


class TestSrun(_OnNodes):
    name = "srun"


class TestSrunMPI(_OnNodes):
    name = "srun-mpi"


del _OnNodes
