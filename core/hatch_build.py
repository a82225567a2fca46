"""Puts the repository's maturity ledger into what is built from core.

The ledger lies at the top of the repository, above this folder; in a source distribution it lies
beside this file. An editable install reads it where it is.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LEDGER = "maturity.toml"


class Ledger(BuildHookInterface[BuilderConfig]):
    """Adds ``maturity.toml``: to the package in a wheel, to the top of a source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say where the file is taken from, and where it goes."""
        if version == "editable":
            return
        here = Path(self.root)
        source = next(file for file in (here / LEDGER, here.parent / LEDGER) if file.is_file())
        target = LEDGER if self.target_name == "sdist" else f"weft/{LEDGER}"
        build_data["force_include"][str(source)] = target
