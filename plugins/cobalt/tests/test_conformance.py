"""The provider keeps the promises of its interface, over stand-ins for the commands of Cobalt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from weft.values.settings import Settings
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
