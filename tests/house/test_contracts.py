"""The import contracts hold."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.house.conftest import Tree


def test_the_import_contracts_hold(tree: Tree) -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    program = "from importlinter.cli import lint_imports_command as lint; lint()"

    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=tree.root,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
