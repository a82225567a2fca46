"""Whole runs with a store of files."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.proxy import Proxy

import weft
from weft import Config, python_app
from weft_proxystore.errors import StoreAway

BOUND = 60.0
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "guide_proxystore.py"


@python_app
def total(values: Any, more: Any = None) -> tuple[float, str]:
    return float(values.sum()) + (0 if more is None else len(more["text"])), type(values).__name__


@python_app
def make(size: int) -> Any:
    return np.ones(size)


def config(folder: Path, plugin: str, **options: Any) -> Config:
    serializer = weft.serializer(
        "proxystore",
        connector="file",
        options={"store_dir": str(folder / "store")},
        min_size=10_000,
        **options,
    )
    workers = {"max_workers": 2} if plugin == "processes" else {}
    executor = weft.executor(plugin, serializer=serializer, **workers)
    return Config(executors=[executor], run_dir=folder / "runs")


@pytest.mark.parametrize("plugin", ["processes", "htex"])
def test_arguments_and_results_go_through_the_store(tmp_path: Path, plugin: str) -> None:
    with weft.load(config(tmp_path, plugin)):
        store = tmp_path / "store"
        values = np.arange(100_000.0)
        text = {"text": "t" * 50_000}
        futures = [total(values, more=text) for _ in range(10)]
        assert {future.result(BOUND) for future in futures} == {(values.sum() + 50_000, "Lent")}
        made = make(50_000)
        assert total(made).result(BOUND)[0] == 50_000.0
        assert type(made.result(BOUND)).__mro__[1] is Proxy
        assert made.result().shape == (50_000,)
        assert len(list(store.rglob("*.ready"))) <= 3
    assert list(store.iterdir()) == []


def test_the_example_of_the_guide_runs(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("/scratch/me/store", str(tmp_path / "store"))
    script = tmp_path / "guide_proxystore.py"
    script.write_text(text)
    here = Path.cwd()
    try:
        import os

        os.chdir(tmp_path)
        found = runpy.run_path(str(script))
        assert -0.1 < found["best"]() < 0.1
    finally:
        os.chdir(here)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_store_that_cannot_be_made_is_said_when_the_session_opens(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("no folder")
    with pytest.raises(StoreAway, match="could not be opened") as caught:
        weft.load(config(tmp_path, "processes")).close()
    assert str(tmp_path / "store") in str(caught.value)
