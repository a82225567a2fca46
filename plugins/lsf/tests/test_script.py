"""Settings and a job become text: exactly this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weft.values.jobs import Job
from weft_lsf.script import inherited, text
from weft_lsf.settings import LSF

WHOLE = """#!/bin/sh
#BSUB -J weft-htex-1
#BSUB -Jd /runs/1
#BSUB -oo job.out
#BSUB -eo job.err
#BSUB -W 720
#BSUB -rn
#BSUB -n 16
#BSUB -R "span[ptile=4]"
#BSUB -q normal
#BSUB -P research
#BSUB -G physics
#BSUB -app big
#BSUB -U user1#5
#BSUB -x
#BSUB -M 65536KB
#BSUB -R "rusage[mem=65536KB]"
#BSUB -gpu "num=2"
#BSUB -R 'select[model=="A"]'
#BSUB -sla fast

"""


def job(folder: str = "/runs/1", **more: Any) -> Job:
    options = {"name": "weft-htex-1", "command": "true", "folder": Path(folder), **more}
    return Job(**options)


def options_in(said: str) -> list[str]:
    return [line[6:] for line in said.splitlines() if line.startswith("#BSUB ")]


def test_every_option_has_its_line() -> None:
    asked = LSF(
        queue="normal",
        project="research",
        user_group="physics",
        application="big",
        reservation="user1#5",
        walltime="12:00",
        cores_per_node=4,
        exclusive=True,
        memory_per_node=64 << 20,
        gpus_per_node=2,
        resources='select[model=="A"]',
        scheduler_options=["-sla fast"],
    )
    assert text(asked, job(nodes=4)).startswith(WHOLE)


def test_what_is_left_out_is_left_to_the_site() -> None:
    assert options_in(text(LSF(), job())) == [
        *("-J weft-htex-1", "-Jd /runs/1", "-oo job.out", "-eo job.err", "-W 10", "-rn", "-n 1"),
        '-R "span[ptile=1]"',
    ]


def test_whole_nodes_are_asked_for_by_their_number() -> None:
    found = options_in(text(LSF(by_nodes=True, cores_per_node=4), job(nodes=3)))
    assert "-nnodes 3" in found
    assert not [one for one in found if one.startswith(("-n ", "-R"))]


def test_gpus_are_said_as_bsub_has_them_and_memory_is_rounded_up() -> None:
    found = options_in(text(LSF(gpus_per_node="num=4:mode=shared", memory_per_node=1025), job()))
    assert '-gpu "num=4:mode=shared"' in found
    assert "-M 2KB" in found


def test_only_as_many_cores_are_used_as_were_asked_for() -> None:
    assert "\nexport WEFT_CORES=4\n" in text(LSF(cores_per_node=4), job())
    for whole in (LSF(exclusive=True), LSF(by_nodes=True)):
        assert "WEFT_CORES" not in text(whole, job())


def test_a_command_that_no_shell_can_read_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        text(LSF(), job(command="a\0b"))


def test_what_would_change_the_answers_of_commands_is_left_out() -> None:
    outer = {"LSB_JOBID": "7", "BSUB_QUIET": "y", "LSB_BJOBS_FORMAT": "x", "LSB_HOSTS": "a"}
    kept = {"PATH": "/bin", "LSF_ENVDIR": "/etc/lsf", "LSB_DEFAULTQUEUE": "normal"}
    assert inherited({**outer, **kept}) == kept
