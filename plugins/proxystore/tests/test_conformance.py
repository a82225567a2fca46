"""The kit for serializers, with all that it packs going through a store where it may."""

from pathlib import Path

import pytest

from weft.values.settings import Settings
from weft_testkit import SerializerConformance


class TestProxyStore(SerializerConformance):
    name = "proxystore"

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return self.registry().settings(
            "serializer", "proxystore", connector="file", options={"store_dir": str(tmp_path)}
        )
