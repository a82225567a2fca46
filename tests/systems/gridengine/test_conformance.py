"""The provider keeps the promises of its interface, on a real Grid Engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import pytest

from weft.values.jobs import JobId, JobState, JobStatus
from weft.values.settings import Settings
from weft_testkit import ProviderConformance
from weft_testkit.bent import BentProvider, Broken

if TYPE_CHECKING:
    from tests.systems.gridengine.conftest import Cell

# The first test brings up the cell, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)


class TestGridEngine(ProviderConformance):
    name = "gridengine"

    @pytest.fixture(autouse=True)
    def _in(self, cell: Cell) -> None:
        """There has to be a cell."""

    @pytest.fixture
    def patience(self) -> float:
        return 60.0

    @pytest.fixture
    def settings(self) -> Settings:
        # Its two "nodes" are two slots of one host; there is only one here.
        return self.registry().settings(
            "provider", "gridengine", command_timeout=20.0, parallel_environment="mpi"
        )


class TakesEveryEndForAFailure(BentProvider):
    """Broken on purpose: who has left the queue has failed, whatever the account says."""

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        return {
            job: attrs.evolve(one, state=JobState.FAILED) if one.state is JobState.DONE else one
            for job, one in super().status(ids).items()
        }


class TestTakesEveryEndForAFailure(Broken, TestGridEngine):
    killed_by = "P001"
    Bent = TakesEveryEndForAFailure
