"""The declarations agree with what they lead to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from weft.interfaces import launcher, provider
from weft.values.plugin import Component
from weft_ssh import __version__
from weft_ssh.manifest import hosts, ssh
from weft_ssh.settings import SSH, SSHHosts

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


@pytest.mark.parametrize("one", [ssh, hosts], ids=lambda one: one.name)
def test_a_declaration_leads_to_what_it_names(one: Component) -> None:
    for place in filter(None, (one.settings, one.factory, one.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interfaces() -> None:
    assert [one.name for one in (ssh, hosts)] == [SSH.plugin, SSHHosts.plugin]
    assert ssh.interface == provider.VERSION
    assert hosts.interface == launcher.VERSION
    assert set(ssh.capabilities) == set(provider.CAPABILITIES)


def test_the_entry_points_lead_to_the_declarations() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "launcher.ssh": "weft_ssh.manifest:hosts",
        "provider.ssh": "weft_ssh.manifest:ssh",
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
