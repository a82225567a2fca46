"""The executor keeps the promises of its interface."""

from collections.abc import Sequence

import pytest

from weft.values.settings import Settings
from weft.values.task import Outcome, changed
from weft_testkit import ExecutorConformance
from weft_testkit.bent import BentExecutor, Broken


class TestMPI(ExecutorConformance):
    name = "mpi"

    @pytest.fixture
    def settings(self) -> Settings:
        # Tasks of the kit start no ranks, so that nobody looks for these machines.
        return self._settings(hosts=("alpha", "beta"))

    @pytest.fixture
    def one_at_a_time(self) -> Settings:
        return self._settings(hosts=("alpha",))

    @pytest.fixture
    def idle(self) -> Settings:
        return self._settings(init_blocks=0, max_idle=0.5)

    def _settings(self, **options: object) -> Settings:
        return self.registry().settings("executor", "mpi", mode="direct", **options)


class LosesValues(BentExecutor):
    """Reports every value as None."""

    def report(self, outcomes: Sequence[Outcome]) -> None:
        super().report([changed(outcome, value=None) for outcome in outcomes])


class TestLosesValues(Broken, TestMPI):
    killed_by = "E001"
    Bent = LosesValues
