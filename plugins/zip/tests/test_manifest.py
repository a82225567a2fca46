"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import stager
from weft_zip import __version__
from weft_zip.manifest import zip_members
from weft_zip.settings import Zip

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in filter(None, (zip_members.settings, zip_members.factory, zip_members.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert zip_members.name == Zip.plugin
    assert zip_members.interface == stager.VERSION
    assert set(zip_members.capabilities) == set(stager.CAPABILITIES)


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "stager.zip": "weft_zip.manifest:zip_members"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
