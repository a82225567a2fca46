"""The provider keeps the promises of its interface, over stand-ins for the commands of PBS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs
import pytest

from weft.batch.provider import BatchProvider
from weft.values.jobs import Job
from weft.values.settings import Settings
from weft_pbs import Pbs
from weft_pbs.dialect import PbsDialect
from weft_testkit import ProviderConformance
from weft_testkit.standin import Cell

BOUND = 60.0


class _OverStandins(ProviderConformance):
    name = "pbs"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("provider", "pbs", command_timeout=20.0)


class TestWithHistory(_OverStandins):
    @pytest.fixture(autouse=True)
    def _on(self, cluster: Cell) -> None:
        """There has to be a cluster."""


# One configuration in each session; what differs in the others, test_provider.py looks at.
@pytest.mark.slow
class TestForgetful(_OverStandins):
    """Ended jobs are gone at once."""

    not_supported: ClassVar[Mapping[str, str]] = {
        "P024": "a server without a history does not say which signal has killed a job"
    }

    @pytest.fixture(autouse=True)
    def _on(self, clusters: Callable[..., Cell]) -> None:
        clusters(history=False)


@pytest.mark.slow
class TestTorque(_OverStandins):
    @pytest.fixture(autouse=True)
    def _on(self, torque: Cell) -> None:
        """There has to be a cluster."""


class KnowsLatinAlone(PbsDialect):
    """Broken on purpose: the script is written with the letters of ASCII."""

    def files(self, job: Job) -> Mapping[str, str]:
        plain = job.command.encode("ascii", "replace").decode("ascii")
        return super().files(attrs.evolve(job, command=plain))


class TestKnowsLatinAlone(TestWithHistory):
    killed_by = "P010"

    def open(self, settings: Settings) -> Any:
        assert isinstance(settings, Pbs)
        return BatchProvider(KnowsLatinAlone(settings), settings)


del _OverStandins
