"""The stager keeps the same promises over a real sshd.

Apart from ``test_conformance``, which is run under several interpreters.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.systems.wires import WiredRemote, wire_to
from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.remote import Remote

if TYPE_CHECKING:
    from tests.systems.rsync.conftest import Host

BOUND = 60.0


@pytest.mark.slow
class TestHost(StagerConformance):
    name = "rsync"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self, host: Host) -> Settings:
        return self.registry().settings("stager", "rsync", **host.options())

    @pytest.fixture
    def remote(self, host: Host, scratch: Path) -> Iterator[Remote]:
        with wire_to(host.server.port) as wire:
            base = host.url(scratch / "there").replace(f":{host.server.port}", f":{wire.port}")
            yield WiredRemote(scratch / "there", base + "/", wire)
