"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import launcher, provider
from weft_gridengine import GridEngine, GridEngineProvider, Qrsh, __version__
from weft_gridengine.dialect import GridEngineDialect
from weft_gridengine.manifest import gridengine, qrsh

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    places = (gridengine.settings, gridengine.factory, gridengine.checks)
    for place in filter(None, (*places, qrsh.settings, qrsh.factory)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert gridengine.name == GridEngine.plugin
    assert qrsh.name == Qrsh.plugin
    assert gridengine.interface == provider.VERSION
    assert qrsh.interface == launcher.VERSION
    assert set(gridengine.capabilities) == set(provider.CAPABILITIES)
    assert gridengine.requires.commands == GridEngineDialect.needed
    assert gridengine.requires.hint == GridEngineDialect.hint


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "launcher.qrsh": "weft_gridengine.manifest:qrsh",
        "provider.gridengine": "weft_gridengine.manifest:gridengine",
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
    assert issubclass(GridEngineProvider, provider.Provider)
