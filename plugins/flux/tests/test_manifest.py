"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import provider
from weft_flux import __version__
from weft_flux.dialect import FluxDialect
from weft_flux.manifest import flux
from weft_flux.settings import Flux

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in filter(None, (flux.settings, flux.factory, flux.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert flux.name == Flux.plugin
    assert flux.interface == provider.VERSION
    assert set(flux.capabilities) == set(provider.CAPABILITIES)
    assert flux.requires is not None
    assert set(flux.requires.commands) == set(FluxDialect.needed)


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "provider.flux": "weft_flux.manifest:flux"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
