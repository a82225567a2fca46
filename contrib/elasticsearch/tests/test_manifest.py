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
from weft_elasticsearch import __version__
from weft_elasticsearch.manifest import elasticsearch
from weft_elasticsearch.settings import Elasticsearch

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in (elasticsearch.settings, elasticsearch.factory):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert elasticsearch.name == Elasticsearch.plugin
    assert elasticsearch.interface == monitor.VERSION


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "monitor.elasticsearch": "weft_elasticsearch.manifest:elasticsearch"
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__


def test_what_is_loaded_to_list_and_to_check_loads_no_client() -> None:
    code = (
        "import sys, weft_elasticsearch, weft_elasticsearch.manifest, weft_elasticsearch.settings;"
        "sys.exit(bool({'elasticsearch', 'elastic_transport', 'urllib3'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"server": "search.example.org:9200"}, "is a URL such as"),
        ({"server": ""}, "is a URL such as"),
        ({"server": "https://me:sesame@search.example.org"}, "ELASTICSEARCH_API_KEY"),
        ({"server": "https://search.example.org:99999"}, "is a URL such as"),
        ({"index": "Weft"}, "lower-case"),
        ({"index": "_all"}, "begins with a letter"),
        ({"index": "weft/other"}, "lower-case"),
        ({"timeout": 0}, "timeout"),
        ({"backlog": 1}, "backlog"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_named(options: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        Elasticsearch(**options)
    assert "sesame" not in str(raised.value)
