"""The provider keeps what its interface promises, over a stand-in that runs jobs for real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from weft.batch.commands import Said
from weft.batch.dialect import Seen, Source
from weft.batch.provider import BatchProvider
from weft.values.jobs import JobState
from weft.values.settings import Settings
from weft_flux import Flux
from weft_flux.dialect import FluxDialect
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


class TakesEveryEndForAFailure(FluxDialect):
    """Broken on purpose: an inactive job is one that has failed, whatever its result."""

    def sources(self) -> Sequence[Source]:
        (source,) = super().sources()

        def seen(said: Said) -> list[Seen]:
            return [
                attrs.evolve(one, state=JobState.FAILED) if one.state is JobState.DONE else one
                for one in source.seen(said)
            ]

        return [attrs.evolve(source, seen=seen)]


class TestTakesEveryEndForAFailure(TestFlux):
    killed_by = "P001"

    def open(self, settings: Settings) -> Any:
        assert isinstance(settings, Flux)
        return BatchProvider(TakesEveryEndForAFailure(settings), settings)
