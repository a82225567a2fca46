"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import provider
from weft_cobalt import __version__
from weft_cobalt.manifest import cobalt
from weft_cobalt.settings import Cobalt

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in filter(None, (cobalt.settings, cobalt.factory, cobalt.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
    assert cobalt.name == Cobalt.plugin
    assert cobalt.interface == provider.VERSION
    assert set(cobalt.capabilities) == set(provider.CAPABILITIES)


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "provider.cobalt": "weft_cobalt.manifest:cobalt"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
