"""What the guide shows can be loaded, and does what it says."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import Config
from weft.configuration.check import load_config, problems

BOUND = 60.0
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")


def test_the_configuration_of_the_guide_is_right_where_slurm_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in COMMANDS:
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    config = load_config(EXAMPLES / "guide_mpi.py")
    assert problems(config) == []


def test_the_apps_of_the_guide_start_their_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    spec = importlib.util.spec_from_file_location("guide_mpi_apps", EXAMPLES / "guide_mpi_apps.py")
    assert spec is not None
    assert spec.loader is not None
    apps: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(apps)
    monkeypatch.syspath_prepend(str(EXAMPLES))  # where workers find it
    monkeypatch.chdir(tmp_path)
    (tmp_path / "simulate").write_text('#!/bin/sh\necho "$1 as rank $PMI_RANK of $PMI_SIZE"\n')
    (tmp_path / "simulate").chmod(0o755)
    config = Config(
        run_dir=tmp_path / "runs",
        executors=[weft.executor("mpi", hosts=("a", "b", "c", "d"), launcher_program=launcher)],
    )
    with weft.load(config):
        asked = apps.simulate("warm", stdout=str(tmp_path / "out"))
        assert apps.sweep(["warm", "cold"]).result(BOUND) == [0, 0]
        assert asked.result(BOUND) == 0
    said = (tmp_path / "out").read_text().splitlines()
    assert sorted(said) == ["warm.in as rank 0 of 2", "warm.in as rank 1 of 2"]
