"""The launcher keeps what is promised of its text, on the one host of a job."""

import pytest

from weft_testkit import LauncherConformance
from weft_testkit.bent import BentLauncher, Broken


class TestQrsh(LauncherConformance):
    name = "qrsh"

    @pytest.fixture(autouse=True)
    def _in_a_job(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOSTNAME", "node1")


class LosesTheCode(BentLauncher):
    """Broken on purpose: it waits for its copies, whatever comes of them."""

    def bend(self, text: str) -> str:
        return text.replace("weft_code=$?", ":")


class TestLosesTheCode(Broken, TestQrsh):
    killed_by = "L007"
    Bent = LosesTheCode
