"""Provider and launchers keep the promises of their interfaces, on a real cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import pytest

from weft.values.jobs import JobId, JobState, JobStatus
from weft.values.settings import Settings
from weft_testkit import LauncherConformance, ProviderConformance
from weft_testkit.bent import BentLauncher, BentProvider, Broken

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


class NeverDone(BentProvider):
    """Broken on purpose: what ended well is said to have failed."""

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        return {
            job: attrs.evolve(one, state=JobState.FAILED) if one.state is JobState.DONE else one
            for job, one in super().status(ids).items()
        }


class TestNeverDone(Broken, TestSlurm):
    killed_by = "P001"
    Bent = NeverDone


class AlwaysWell(BentLauncher):
    """Broken on purpose: the exit code of the command is lost."""

    def bend(self, text: str) -> str:
        return f"{text} || :"


class TestSrunLosesTheExitCode(Broken, TestSrun):
    killed_by = "L007"
    Bent = AlwaysWell


class TestSrunMPILosesTheExitCode(Broken, TestSrunMPI):
    killed_by = "L007"
    Bent = AlwaysWell


del _OnNodes
