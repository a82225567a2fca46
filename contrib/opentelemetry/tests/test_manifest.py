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
from weft_opentelemetry import __version__
from weft_opentelemetry.manifest import opentelemetry
from weft_opentelemetry.settings import OpenTelemetry

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in (opentelemetry.settings, opentelemetry.factory):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert opentelemetry.name == OpenTelemetry.plugin
    assert opentelemetry.interface == monitor.VERSION


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "monitor.opentelemetry": "weft_opentelemetry.manifest:opentelemetry"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__


def test_what_is_loaded_to_list_and_to_check_loads_no_client() -> None:
    code = (
        "import sys, weft_opentelemetry, weft_opentelemetry.manifest, weft_opentelemetry.settings;"
        "sys.exit(bool({'opentelemetry', 'requests', 'urllib3'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"endpoint": "grpc://collector.example.org:4317"}, "begins with 'grpc'"),
        ({"endpoint": "collector.example.org:4318"}, "is a URL such as"),
        ({"endpoint": "http://me:sesame@collector.example.org"}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({"endpoint": "http://collector.example.org:99999"}, "is a URL such as"),
        ({"traces": "both"}, "traces"),
        ({"timeout": 0}, "timeout"),
        ({"backlog": 1}, "backlog"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_named(options: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        OpenTelemetry(**options)
    assert "sesame" not in str(raised.value)
