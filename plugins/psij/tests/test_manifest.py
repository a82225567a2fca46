"""The declarations agree with what they lead to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from weft.interfaces import provider
from weft.values.plugin import Component
from weft_psij import __version__
from weft_psij.manifest import psij
from weft_psij.settings import PSIJ

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


@pytest.mark.parametrize("one", [psij], ids=lambda one: one.name)
def test_a_declaration_leads_to_what_it_names(one: Component) -> None:
    for place in filter(None, (one.settings, one.factory, one.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interfaces() -> None:
    assert psij.name == PSIJ.plugin
    assert psij.interface == provider.VERSION
    assert set(psij.capabilities) == set(provider.CAPABILITIES)


def test_the_entry_points_lead_to_the_declarations() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "provider.psij": "weft_psij.manifest:psij"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
