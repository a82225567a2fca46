"""The provider keeps the promises of its interface, over a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from weft.values.settings import Settings
from weft_testkit import ProviderConformance

if TYPE_CHECKING:
    from tests.systems.ssh.conftest import Site

BOUND = 60.0


class TestSSH(ProviderConformance):
    name = "ssh"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self, site: Site) -> Settings:
        return self.registry().settings("provider", "ssh", **site.options())
