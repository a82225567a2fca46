"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

from weft.interfaces.executor import CAPABILITIES, VERSION
from weft_htex import __version__
from weft_htex.manifest import htex
from weft_htex.settings import HTEX

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in (htex.settings, htex.factory):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
    assert htex.name == HTEX.plugin
    assert htex.interface == VERSION
    assert set(htex.capabilities) == set(CAPABILITIES)


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "executor.htex": "weft_htex.manifest:htex"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__


def test_the_declaration_and_the_settings_load_nothing_heavy() -> None:
    code = (
        "import sys, weft_htex.manifest, weft_htex.settings\n"
        "heavy = {'zmq', 'asyncio', 'subprocess', 'weft.calls', 'weft_htex.executor'}\n"
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


def test_what_runs_on_a_node_loads_neither_kernel_nor_configuration() -> None:
    code = (
        "import sys, weft_htex.manager\n"
        "far = ('weft.dataflow', 'weft.configuration', 'weft.session', 'weft.apps', 'pluggy')\n"
        "print([name for name in sys.modules if name.startswith(far)])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert ran.stdout.strip() == "[]"
