"""The provider keeps the promises of its interface, over a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from weft.values.jobs import Job, JobId
from weft.values.settings import Settings
from weft_testkit import ProviderConformance
from weft_testkit.bent import BentProvider, Broken

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


class QuotesOnce(BentProvider):
    """Broken on purpose: blanks are lost to the shell of the other side."""

    def submit(self, job: Job) -> JobId:
        return super().submit(attrs.evolve(job, command=job.command.replace("  ", " ")))


class TestQuotesOnce(Broken, TestSSH):
    killed_by = "P010"
    Bent = QuotesOnce
