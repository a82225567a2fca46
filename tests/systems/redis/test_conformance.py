"""The kit for serializers, with all that it packs going through a real Redis where it may."""

from __future__ import annotations

from typing import Any

import pytest

from weft.values.settings import Settings
from weft_testkit import SerializerConformance


class TestRedis(SerializerConformance):
    name = "proxystore"

    @pytest.fixture
    def settings(self, server: Any) -> Settings:
        options = {"hostname": "127.0.0.1", "port": server.port}
        return self.registry().settings(
            "serializer", "proxystore", connector="redis", options=options
        )
