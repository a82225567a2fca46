"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from weft.interfaces import monitor
from weft_sql import __version__
from weft_sql.manifest import sql
from weft_sql.settings import Sql

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in (sql.settings, sql.factory):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interface() -> None:
    assert sql.name == Sql.plugin
    assert sql.interface == monitor.VERSION


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "command.runs-rebuild": "weft_sql.manifest:rebuild",
        "monitor.sql": "weft_sql.manifest:sql",
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__


def test_what_is_loaded_to_list_and_to_check_loads_no_database() -> None:
    code = (
        "import sys, weft_sql, weft_sql.manifest, weft_sql.settings, weft_sql.rows;"
        "sys.exit(bool({'sqlalchemy', 'alembic', 'sqlite3', 'psycopg'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("database", "why"),
    [
        ("mysql://db.example.org/weft", "not with mysql://"),
        ("postgresql://me:secret@db.example.org/weft", "PGPASSWORD"),
        ("", "is a path or a URL"),
    ],
)
def test_a_database_that_cannot_be_is_refused_when_it_is_named(database: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        Sql(database=database)
    assert "secret" not in str(raised.value)
