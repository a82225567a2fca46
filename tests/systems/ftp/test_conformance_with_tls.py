"""The stager keeps the same promises with a server that wants TLS.

Apart from ``test_conformance``, which is run under several interpreters.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.systems.ftp.kit import FilesOverFTP
from weft_testkit.remote import LocalRemote, Remote

if TYPE_CHECKING:
    from tests.systems.ftp.conftest import Server


@pytest.mark.slow
class TestFTPS(FilesOverFTP):
    @pytest.fixture
    def there(self, secured: Server) -> Server:
        return secured

    @pytest.fixture
    def remote(self, there: Server, scratch: Path) -> Remote:
        folder = there.files / scratch.name
        return LocalRemote(folder, there.url(f"{folder.name}/"), server=there.process)
