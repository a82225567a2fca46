"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import provider
from weft_condor import __version__
from weft_condor.dialect import CondorDialect
from weft_condor.manifest import condor
from weft_condor.settings import Condor

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in filter(None, (condor.settings, condor.factory, condor.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert condor.name == Condor.plugin
    assert condor.interface == provider.VERSION
    assert set(condor.capabilities) == set(provider.CAPABILITIES)
    assert condor.requires is not None
    assert set(condor.requires.commands) == set(CondorDialect.needed)


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "provider.condor": "weft_condor.manifest:condor"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
