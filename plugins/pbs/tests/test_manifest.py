"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import provider
from weft_pbs import __version__
from weft_pbs.manifest import pbs
from weft_pbs.settings import Pbs

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in filter(None, (pbs.settings, pbs.factory, pbs.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
    assert pbs.name == Pbs.plugin
    assert pbs.interface == provider.VERSION
    assert set(pbs.capabilities) == set(provider.CAPABILITIES)


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {"provider.pbs": "weft_pbs.manifest:pbs"}


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
