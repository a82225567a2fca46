"""The executors of core, under the kit."""

from collections.abc import Mapping
from typing import ClassVar

import pytest

from weft.values.settings import Settings
from weft_testkit import ExecutorConformance


class TestThreads(ExecutorConformance):
    name = "threads"
    not_supported: ClassVar[Mapping[str, str]] = {
        "E066": "Python code on a thread cannot be stopped, only the command of a bash app."
    }

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("executor", "threads", max_threads=2)

    @pytest.fixture
    def one_at_a_time(self, settings: Settings) -> Settings:
        return self.registry().settings("executor", "threads", max_threads=1)


class TestProcesses(ExecutorConformance):
    name = "processes"

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("executor", "processes", max_workers=2)

    @pytest.fixture
    def one_at_a_time(self, settings: Settings) -> Settings:
        return self.registry().settings("executor", "processes", max_workers=1)
