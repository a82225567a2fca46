"""The provider keeps the promises of its interface, over PSI/J itself on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import pytest

from weft.values.jobs import JobId, JobState, JobStatus
from weft.values.settings import Settings
from weft_testkit import ProviderConformance
from weft_testkit.bent import BentProvider, Broken

BOUND = 60.0


class TestPsij(ProviderConformance):
    name = "psij"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def nodes(self) -> int:
        return 1  # more of them: test_jobs.py, where there is more than this machine

    @pytest.fixture
    def settings(self, psij_python: str) -> Settings:
        return self.registry().settings(
            "provider", "psij", executor="local", python=psij_python, poll_interval=0.5
        )


class TakesCompletedForFailed(BentProvider):
    """Broken on purpose: what PSI/J calls COMPLETED has failed."""

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        return {
            job: attrs.evolve(one, state=JobState.FAILED) if one.state is JobState.DONE else one
            for job, one in super().status(ids).items()
        }


class TestTakesCompletedForFailed(Broken, TestPsij):
    killed_by = "P001"
    Bent = TakesCompletedForFailed
