"""The provider keeps the promises of its interface, over stand-ins for the commands of Cobalt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import pytest

from weft.batch.provider import BatchProvider
from weft.values.jobs import Job
from weft.values.settings import Settings
from weft_cobalt import Cobalt
from weft_cobalt.dialect import CobaltDialect
from weft_testkit import ProviderConformance
from weft_testkit.standin import Cell

BOUND = 60.0


class TestCobalt(ProviderConformance):
    name = "cobalt"
    not_supported: ClassVar[Mapping[str, str]] = {
        "P024": "how Cobalt writes down the signal that ended a job is not on record"
    }

    @pytest.fixture(autouse=True)
    def _on(self, cluster: Cell) -> None:
        """There has to be a cluster."""

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("provider", "cobalt", command_timeout=20.0)


class TakesWordsApart(CobaltDialect):
    """Broken on purpose: blanks only part words, as in the arguments of qsub."""

    def files(self, job: Job) -> Mapping[str, str]:
        return super().files(attrs.evolve(job, command=job.command.replace("  ", " ")))


class TestTakesWordsApart(TestCobalt):
    killed_by = "P010"

    def open(self, settings: Settings) -> Any:
        assert isinstance(settings, Cobalt)
        return BatchProvider(TakesWordsApart(settings), settings)
