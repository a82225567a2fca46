"""The configurations that the guides for batch schedulers show can be loaded, and are all right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weft.configuration.check import load_config, problems

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
COMMANDS = {
    "condor": ("condor_submit", "condor_q", "condor_history", "condor_rm", "condor_status"),
    "flux": ("flux",),
    "lsf": ("bsub", "bjobs", "bhist", "bkill", "bqueues", "lsid", "mpiexec"),
    "slurm": ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun"),
}


@pytest.mark.parametrize("scheduler", COMMANDS)
def test_the_configuration_of_a_guide_is_right_where_its_commands_are(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in COMMANDS[scheduler]:
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    config = load_config(EXAMPLES / f"guide_{scheduler}.py")
    (executor,) = config.executors
    assert getattr(executor, "provider").plugin == scheduler  # noqa: B009 - not of every executor
    assert problems(config) == []
