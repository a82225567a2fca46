"""The provider keeps what its interface promises, over a stand-in that runs jobs for real."""

from __future__ import annotations

import pytest

from weft.values.settings import Settings
from weft_testkit import ProviderConformance
from weft_testkit.standin import Cell


class TestFlux(ProviderConformance):
    name = "flux"

    @pytest.fixture(autouse=True)
    def _on(self, cell: Cell) -> None:
        """There has to be a command."""

    @pytest.fixture
    def patience(self) -> float:
        return 60.0

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("provider", "flux", queue="batch")
