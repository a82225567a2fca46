"""The provider keeps the promises of its interface, over PSI/J itself on this machine."""

from __future__ import annotations

import pytest

from weft.values.settings import Settings
from weft_testkit import ProviderConformance

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
