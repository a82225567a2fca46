"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import provider
from weft_lsf import __version__
from weft_lsf.dialect import LSFDialect
from weft_lsf.manifest import lsf
from weft_lsf.settings import LSF

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in filter(None, (lsf.settings, lsf.factory, lsf.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert lsf.name == LSF.plugin
    assert lsf.interface == provider.VERSION
    assert set(lsf.capabilities) == set(provider.CAPABILITIES)
    assert lsf.requires is not None
    assert set(lsf.requires.commands) == set(LSFDialect.needed)


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {"provider.lsf": "weft_lsf.manifest:lsf"}


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
