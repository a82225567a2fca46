"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import stager
from weft_fsspec import __version__
from weft_fsspec.addresses import parsed
from weft_fsspec.manifest import fsspec
from weft_fsspec.settings import PROTOCOLS, Fsspec

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in (fsspec.settings, fsspec.factory):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert fsspec.name == Fsspec.plugin
    assert fsspec.interface == stager.VERSION
    assert set(fsspec.capabilities) == set(stager.CAPABILITIES)


def test_each_scheme_is_of_a_protocol_that_has_an_extra() -> None:
    found = {parsed(f"{scheme}://somewhere/file").protocol for scheme in fsspec.schemes}
    assert found == set(PROTOCOLS) == set(_PROJECT["optional-dependencies"])


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "stager.fsspec": "weft_fsspec.manifest:fsspec"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
