"""A serializer that is open, and a store in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weft.interfaces.serializer import SerializerContext
from weft_proxystore.serializer import ProxyStoreSerializer
from weft_proxystore.settings import ProxyStore

Open = Callable[..., ProxyStoreSerializer]


def _none(settings: Any) -> Any:
    raise LookupError(f"there is no {settings!r} here")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(folder: Path) -> Iterator[Open]:
    made: list[ProxyStoreSerializer] = []

    def start(run: str = "run-1", *, on_worker: bool = False, **options: Any) -> Any:
        settings = ProxyStore(
            connector="file", options={"store_dir": str(folder)}, min_size=1000, **options
        )
        one = ProxyStoreSerializer(settings)
        one.start(SerializerContext(run_id=run, part=_none, on_worker=on_worker))
        made.append(one)
        return one

    yield start
    for one in made:
        one.close()
