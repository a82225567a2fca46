"""The launcher keeps what is promised of its text, on the one host of a job."""

import pytest

from weft_testkit import LauncherConformance


class TestQrsh(LauncherConformance):
    name = "qrsh"

    @pytest.fixture(autouse=True)
    def _in_a_job(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOSTNAME", "node1")
