"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from weft.interfaces import monitor
from weft_prometheus import __version__
from weft_prometheus.manifest import prometheus
from weft_prometheus.settings import Prometheus

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in (prometheus.settings, prometheus.factory):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert prometheus.name == Prometheus.plugin
    assert prometheus.interface == monitor.VERSION


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "monitor.prometheus": "weft_prometheus.manifest:prometheus"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__


def test_what_is_loaded_to_list_and_to_check_loads_no_client() -> None:
    code = (
        "import sys, weft_prometheus, weft_prometheus.manifest, weft_prometheus.settings;"
        "sys.exit(bool({'prometheus_client', 'wsgiref', 'http.server'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"address": "localhost"}, "an address of this machine"),
        ({"textfile": "weft.txt"}, "ends with .prom"),
        ({"port": 70000}, "port"),
        ({"interval": 0}, "interval"),
        ({"max_apps": 0}, "max_apps"),
        ({"readers": "some"}, "readers"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_named(options: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Prometheus(**options)
