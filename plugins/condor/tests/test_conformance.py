"""The provider keeps what its interface promises, over stand-ins that run jobs for real."""

from __future__ import annotations

import pytest

from weft.values.settings import Settings
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
