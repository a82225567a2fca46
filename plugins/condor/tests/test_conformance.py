"""The provider keeps what its interface promises, over stand-ins that run jobs for real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from weft.batch.arrays import ArrayProvider
from weft.values.jobs import Job
from weft.values.settings import Settings
from weft_condor import Condor
from weft_condor.dialect import CondorDialect
from weft_testkit import ProviderConformance
from weft_testkit.standin import Cell


class TestCondor(ProviderConformance):
    name = "condor"

    @pytest.fixture(autouse=True)
    def _on(self, cell: Cell) -> None:
        """There have to be commands."""

    @pytest.fixture
    def patience(self) -> float:
        return 60.0

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("provider", "condor", cores_per_node=2)


class TakesWordsApart(CondorDialect):
    """Broken on purpose: blanks only part words, as in the old form of a line of arguments."""

    def files(self, job: Job) -> Mapping[str, str]:
        return super().files(attrs.evolve(job, command=job.command.replace("  ", " ")))


class TestTakesWordsApart(TestCondor):
    killed_by = "P010"

    def open(self, settings: Settings) -> Any:
        assert isinstance(settings, Condor)
        return ArrayProvider(TakesWordsApart(settings), settings)
