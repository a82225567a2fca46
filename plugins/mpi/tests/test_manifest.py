"""The declaration agrees with what it leads to."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

from weft.interfaces.executor import CAPABILITIES, OWN_CAPABILITIES, VERSION
from weft_mpi import __version__
from weft_mpi.manifest import mpi
from weft_mpi.settings import MPI
from weft_mpi.shape import OPTIONS

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


def test_the_declaration_leads_to_what_it_names() -> None:
    for place in (mpi.settings, mpi.factory):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
    assert mpi.name == MPI.plugin
    assert mpi.interface == VERSION


def test_what_tasks_may_ask_for_is_declared() -> None:
    own = {f"{OWN_CAPABILITIES}{name}" for name in OPTIONS}
    assert set(mpi.capabilities) == {*CAPABILITIES, *own}


def test_the_entry_point_leads_to_the_declaration() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {"executor.mpi": "weft_mpi.manifest:mpi"}


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__


def _loaded(modules: str, looked_for: tuple[str, ...]) -> str:
    code = (
        f"import sys, {modules}\n"
        f"print([name for name in sys.modules if name.startswith({looked_for!r})])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    return ran.stdout.strip()


def test_the_declaration_and_the_settings_load_nothing_heavy() -> None:
    heavy = ("zmq", "asyncio", "subprocess", "weft.calls", "weft_htex")
    assert _loaded("weft_mpi.manifest, weft_mpi.settings", heavy) == "[]"


def test_what_runs_on_a_node_loads_neither_kernel_nor_configuration() -> None:
    far = ("weft.dataflow", "weft.configuration", "weft.session", "weft.apps", "pluggy", "mpi4py")
    assert _loaded("weft_mpi.manager, weft_mpi.task, weft_mpi.ranks", far) == "[]"
