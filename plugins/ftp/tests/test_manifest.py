"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from weft.interfaces import stager
from weft_ftp import __version__
from weft_ftp.manifest import ftp
from weft_ftp.settings import FTP

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in filter(None, (ftp.settings, ftp.factory, ftp.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert ftp.name == FTP.plugin
    assert ftp.interface == stager.VERSION
    assert set(ftp.capabilities) == set(stager.CAPABILITIES)


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {"stager.ftp": "weft_ftp.manifest:ftp"}


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
