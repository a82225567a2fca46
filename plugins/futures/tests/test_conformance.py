"""The executor keeps the promises of its interface, on pools of either kind."""

from collections.abc import Mapping, Sequence
from multiprocessing import resource_tracker
from typing import ClassVar

import attrs
import pytest

from weft.values.plugin import Component, Support
from weft.values.settings import Settings
from weft.values.task import Outcome, changed
from weft_testkit import ExecutorConformance
from weft_testkit.bent import BentExecutor, Broken

_NOT_STOPPED = "A pool has no way to stop a function that runs; only commands of bash apps end."


class TestProcessPool(ExecutorConformance):
    name = "futures"
    not_supported: ClassVar[Mapping[str, str]] = {
        "E080": _NOT_STOPPED,
        "E111": "A pool gives up all that runs in it when one of its processes dies.",
    }

    @pytest.fixture(autouse=True)
    def _tracker(self) -> None:
        # The standard library's own, one for the life of the process that made a first pool.
        resource_tracker.ensure_running()

    @pytest.fixture
    def settings(self) -> Settings:
        return self._settings(2)

    @pytest.fixture
    def one_at_a_time(self) -> Settings:
        return self._settings(1)

    @pytest.fixture
    def unusable(self) -> Settings:
        return self.registry().settings("executor", "futures", factory="weft_testkit.tasks:fail")

    def _settings(self, workers: int) -> Settings:
        return self.registry().settings(
            "executor",
            "futures",
            factory="concurrent.futures:ProcessPoolExecutor",
            options={"mp_context": "spawn"},
            workers=workers,
        )


class TestThreadPool(ExecutorConformance):
    name = "futures"
    not_supported: ClassVar[Mapping[str, str]] = {"E080": _NOT_STOPPED}

    @classmethod
    def component(cls) -> Component:
        """What is declared is meant of pools of processes."""
        declared = super().component()
        changed = {"remote": Support.UNSUPPORTED, "isolation.process": Support.UNSUPPORTED}
        return attrs.evolve(declared, capabilities={**declared.capabilities, **changed})

    @pytest.fixture
    def settings(self) -> Settings:
        return self._settings(2)

    @pytest.fixture
    def one_at_a_time(self) -> Settings:
        return self._settings(1)

    def _settings(self, workers: int) -> Settings:
        return self.registry().settings(
            "executor",
            "futures",
            factory="concurrent.futures:ThreadPoolExecutor",
            workers=workers,
        )


class LosesValues(BentExecutor):
    """Reports every value as None."""

    def report(self, outcomes: Sequence[Outcome]) -> None:
        super().report([changed(outcome, value=None) for outcome in outcomes])


class TestLosesValues(Broken, TestThreadPool):
    killed_by = "E001"
    Bent = LosesValues
