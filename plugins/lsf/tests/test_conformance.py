"""The provider keeps what its interface promises, over stand-ins that run jobs for real."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from weft.batch.commands import Line
from weft.batch.provider import BatchProvider
from weft.values.jobs import Job
from weft.values.settings import Settings
from weft_lsf import LSF
from weft_lsf.dialect import LSFDialect
from weft_testkit import ProviderConformance
from weft_testkit.standin import Cell


class TestLSF(ProviderConformance):
    name = "lsf"

    @pytest.fixture(autouse=True)
    def _on(self, cell: Cell) -> None:
        """There have to be commands."""

    @pytest.fixture
    def patience(self) -> float:
        return 60.0

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("provider", "lsf", queue="normal")


class JoinsLines(LSFDialect):
    """Broken on purpose: a command of several lines becomes one, as if said on bsub's own."""

    def submission(self, job: Job) -> Line:
        return super().submission(attrs.evolve(job, command=job.command.replace("\n", ";")))


class TestJoinsLines(TestLSF):
    killed_by = "P010"

    def open(self, settings: Settings) -> Any:
        assert isinstance(settings, LSF)
        return BatchProvider(JoinsLines(settings), settings)
