"""The executor keeps the promises of its interface, in both of its modes."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import psutil
import pytest

from weft.values.settings import Settings
from weft.values.task import Outcome, Resources, changed
from weft_testkit import ExecutorConformance
from weft_testkit.bent import BentExecutor, Broken

_ACCELERATORS = ("0", "1")


class TestBroker(ExecutorConformance):
    name = "htex"
    mode: ClassVar[Literal["broker", "direct"]] = "broker"

    @pytest.fixture
    def settings(self) -> Settings:
        return self._settings(workers_per_node=2, accelerators=_ACCELERATORS)

    @pytest.fixture
    def one_at_a_time(self) -> Settings:
        return self._settings(workers_per_node=1)

    @pytest.fixture
    def room(self) -> Resources:
        # More than half of a node: two such tasks do not fit, whatever the node has.
        cores = len(psutil.Process().cpu_affinity() or ())
        memory = int(psutil.virtual_memory().total * 0.6)
        return Resources(cores=cores, memory=memory, accelerators=len(_ACCELERATORS))

    @pytest.fixture
    def idle(self) -> Settings:
        return self._settings(workers_per_node=1, init_blocks=0, max_idle=0.5)

    def _settings(self, **options: object) -> Settings:
        return self.registry().settings("executor", "htex", mode=self.mode, **options)


class TestDirect(TestBroker):
    mode = "direct"


class LosesValues(BentExecutor):
    """Reports every value as None."""

    def report(self, outcomes: Sequence[Outcome]) -> None:
        super().report([changed(outcome, value=None) for outcome in outcomes])


class TestLosesValues(Broken, TestDirect):
    killed_by = "E001"
    Bent = LosesValues
