"""Settings and a job become text: exactly this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weft.batch.arrays import Array
from weft.values.jobs import Job
from weft_slurm.script import inherited, script, script_of_array
from weft_slurm.settings import Slurm

WHOLE = """#!/bin/sh
#SBATCH --job-name=weft-htex-1
#SBATCH --output=/runs/1/job.out
#SBATCH --error=/runs/1/job.err
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --time=2-00:00:00
#SBATCH --no-requeue
#SBATCH --export=ALL
#SBATCH --open-mode=truncate
#SBATCH --partition=normal,debug
#SBATCH --account=research
#SBATCH --qos=fast
#SBATCH --cpus-per-task=16
#SBATCH --mem=65536K
#SBATCH --constraint="[haswell|skylake]&bigmem"
#SBATCH --gpus-per-node=a100:4
#SBATCH --gres="nvme:1(S:0)"
#SBATCH --reservation=monday
#SBATCH --exclusive
#SBATCH --mail-type=END

. /runs/1/job.env || exit 1
(
echo 'two  words'
)
weft_code=$?
echo "$weft_code" > /runs/1/job.code.part && mv /runs/1/job.code.part /runs/1/job.code
exit "$weft_code"
"""


def job(folder: str = "/runs/1", **more: Any) -> Job:
    options = {"name": "weft-htex-1", "command": "true", "folder": Path(folder), **more}
    return Job(**options)


def options_in(text: str) -> list[str]:
    return [line[8:] for line in text.splitlines() if line.startswith("#SBATCH ")]


def test_every_option_has_its_line() -> None:
    asked = Slurm(
        partition="normal,debug",
        account="research",
        qos="fast",
        walltime="2-00:00:00",
        cores_per_node=16,
        memory_per_node=64 << 20,
        constraint="[haswell|skylake]&bigmem",
        gpus_per_node="a100:4",
        gres="nvme:1(S:0)",
        reservation="monday",
        scheduler_options=["--mail-type=END"],
    )
    assert script(asked, job(command="echo 'two  words'", nodes=4)) == WHOLE


ARRAY = """#!/bin/sh
#SBATCH --array=0-199
#SBATCH --job-name=weft-htex
#SBATCH --output="/run s/50%%/array/%a/job.out"
#SBATCH --error="/run s/50%%/array/%a/job.err"
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --time=00:10:00
#SBATCH --no-requeue
#SBATCH --export=ALL
#SBATCH --open-mode=truncate
#SBATCH --exclusive

exec /bin/sh '/run s/50%/array'/"$SLURM_ARRAY_TASK_ID"/job.sh
"""


def test_jobs_of_an_array_have_their_output_and_their_script_by_number() -> None:
    array = Array(name="weft-htex", size=200, nodes=4, folder=Path("/run s/50%/array"))
    assert script_of_array(Slurm(), array) == ARRAY


def test_what_is_left_out_is_left_to_the_site() -> None:
    found = options_in(script(Slurm(exclusive=False), job()))
    assert [one.partition("=")[0] for one in found] == [
        "--job-name",
        "--output",
        "--error",
        "--nodes",
        "--ntasks-per-node",
        "--time",
        "--no-requeue",
        "--export",
        "--open-mode",
    ]


def test_all_memory_is_zero_and_less_is_rounded_up() -> None:
    assert "--mem=0" in options_in(script(Slurm(memory_per_node=0), job()))
    assert "--mem=2K" in options_in(script(Slurm(memory_per_node=1025), job()))


def test_names_of_folders_are_quoted_and_are_no_patterns() -> None:
    found = options_in(script(Slurm(), job('/a b/50%j "it\'s" #1')))
    assert '--output="/a b/50%%j \\"it\'s\\" #1/job.out"' in found


@pytest.mark.parametrize("name", ["back\\slash", "new\nline"])
def test_a_folder_that_sbatch_cannot_be_told_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="backslash or a control character"):
        script(Slurm(), job(f"/runs/{name}"))


def test_a_command_that_no_shell_can_read_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        script(Slurm(), job(command="echo \0"))


def test_what_surrounds_the_client_does_not_become_part_of_the_job() -> None:
    environ = {
        "PATH": "/bin",
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_JOB_ID": "7",
        "SLURM_MEM_PER_CPU": "1000",
        "SBATCH_PARTITION": "debug",
        "SBATCH_ACCOUNT": "research",
        "SBATCH_EXPORT": "NONE",
        "SQUEUE_PARTITION": "debug",
    }
    assert inherited(Slurm(partition="normal"), environ) == {
        "PATH": "/bin",
        "SLURM_CONF": "/etc/slurm.conf",
        # Not configured, so the user's own word counts.
        "SBATCH_ACCOUNT": "research",
    }
