"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import provider
from weft_gridengine import GridEngine, GridEngineProvider, __version__
from weft_gridengine.dialect import GridEngineDialect
from weft_gridengine.manifest import gridengine

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in filter(None, (gridengine.settings, gridengine.factory, gridengine.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert gridengine.name == GridEngine.plugin
    assert gridengine.interface == provider.VERSION
    assert set(gridengine.capabilities) == set(provider.CAPABILITIES)
    assert gridengine.requires.commands == GridEngineDialect.needed
    assert gridengine.requires.hint == GridEngineDialect.hint


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "provider.gridengine": "weft_gridengine.manifest:gridengine",
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
    assert issubclass(GridEngineProvider, provider.Provider)
