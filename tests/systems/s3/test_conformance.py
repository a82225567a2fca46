"""The kit, with the real client of S3 and a stand-in for its service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.remote import Remote

if TYPE_CHECKING:
    from tests.systems.s3.conftest import Bucket

BOUND = 60.0


class TestS3(StagerConformance):
    name = "fsspec"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def remote(self, bucket: Bucket) -> Remote:
        return bucket

    @pytest.fixture
    def settings(self, bucket: Bucket) -> Settings:
        return self.registry().settings(
            "stager",
            "fsspec",
            options={"s3": {"endpoint_url": bucket.endpoint}},
            piece=5 * 1024 * 1024,
        )

    @pytest.fixture
    def large(self) -> int:
        return 12 * 1024 * 1024  # several parts
