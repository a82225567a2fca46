"""The declarations agree with what they lead to."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from weft.interfaces import launcher, provider
from weft.values.plugin import Component
from weft_slurm import __version__
from weft_slurm.manifest import slurm, srun, srun_mpi
from weft_slurm.settings import Slurm, Srun, SrunMPI

_PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
    "project"
]


@pytest.mark.parametrize("one", [slurm, srun, srun_mpi], ids=lambda one: one.name)
def test_a_declaration_leads_to_what_it_names(one: Component) -> None:
    for place in filter(None, (one.settings, one.factory, one.checks)):
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_names_and_versions_are_those_of_the_interfaces() -> None:
    assert [one.name for one in (slurm, srun, srun_mpi)] == [
        Slurm.plugin,
        Srun.plugin,
        SrunMPI.plugin,
    ]
    assert slurm.interface == provider.VERSION
    assert {srun.interface, srun_mpi.interface} == {launcher.VERSION}
    assert set(slurm.capabilities) == set(provider.CAPABILITIES)


def test_the_entry_points_lead_to_the_declarations() -> None:
    assert _PROJECT["entry-points"]["weft.components"] == {
        "launcher.srun": "weft_slurm.manifest:srun",
        "launcher.srun-mpi": "weft_slurm.manifest:srun_mpi",
        "provider.slurm": "weft_slurm.manifest:slurm",
    }


def test_the_version_is_the_same_everywhere() -> None:
    assert _PROJECT["version"] == __version__
