"""The declaration agrees with what it leads to."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from weft_provenance import __version__
from weft_provenance.cli import main
from weft_provenance.manifest import export

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        f"command.{export.name}": "weft_provenance.manifest:export"
    }
    assert export.factory == f"{main.__module__}:{main.__name__}"
    assert _PROJECT["version"] == __version__


def test_a_crate_needs_no_library() -> None:
    code = "import sys, weft_provenance.cli; sys.exit('prov' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
