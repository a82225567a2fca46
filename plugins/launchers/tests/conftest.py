"""Stand-ins for the programs, first on the PATH, and the machines of a job."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

_AT = Path(__file__).with_name("standins.py")
_spec = importlib.util.spec_from_file_location("weft_launchers_standins", _AT)
assert _spec is not None
assert _spec.loader is not None
standins = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = standins
_spec.loader.exec_module(standins)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the stand-ins."""
    folder = tmp_path_factory.mktemp("programs")
    standins.install(folder)
    return folder


@pytest.fixture(autouse=True)
def _machines(programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A job under PBS that has four machines of two cores each."""
    monkeypatch.setenv("PATH", standins.first(programs))
    names = tmp_path / "weft-machines"
    names.write_text("".join(f"node{number}\n" * 2 for number in range(1, 5)))
    monkeypatch.setenv("PBS_NODEFILE", str(names))
