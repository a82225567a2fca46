"""The declaration agrees with what it leads to."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

from weft.interfaces.executor import CAPABILITIES, VERSION
from weft_futures.manifest import futures
from weft_futures.settings import Futures


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in (futures.settings, futures.factory):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
    assert futures.name == Futures.plugin
    assert futures.interface == VERSION
    assert set(futures.capabilities) == set(CAPABILITIES)


def test_the_entry_point_leads_to_the_declaration() -> None:
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    points = project["project"]["entry-points"]["weft.components"]
    assert points == {"executor.futures": "weft_futures.manifest:futures"}


def test_the_declaration_and_the_settings_load_no_pool() -> None:
    code = (
        "import sys, weft_futures.manifest, weft_futures.settings\n"
        "heavy = {'concurrent.futures', 'multiprocessing', 'weft.calls', 'weft_futures.executor'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert ran.stdout.strip() == "[]"
