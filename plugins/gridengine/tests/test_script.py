"""Settings and a job become text: exactly this."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.values.jobs import Job
from weft_gridengine.script import client_text, options, script, verification
from weft_gridengine.settings import GridEngine

WHOLE = """#!/bin/sh
#$ -N weft-htex-1
#$ -o /runs/1/job.out
#$ -e /runs/1/job.err
#$ -j n
#$ -S /bin/sh
#$ -cwd
#$ -r n
#$ -l h_rt=172800,mem_free=65536K,excl=true,gpu=2,ssd=true
#$ -q all.q,*.long
#$ -P research
#$ -pe mpi-16 64
#$ -m e
. /runs/1/job.client || exit 1

. /runs/1/job.env || exit 1
(
echo 'two  words'
)
weft_code=$?
echo "$weft_code" > /runs/1/job.code.part && mv /runs/1/job.code.part /runs/1/job.code
case $weft_code in 99|100) exit 1 ;; esac
exit "$weft_code"
"""
ASKED = GridEngine(
    queue="all.q,*.long",
    project="research",
    walltime="48:00:00",
    slots_per_node=16,
    parallel_environment="mpi-16",
    memory_per_slot=64 << 20,
    memory_resource="mem_free",
    exclusive=True,
    resources={"gpu": 2, "ssd": True},
    scheduler_options=["-m e"],
)


def job(folder: str = "/runs/1", **more: Any) -> Job:
    named = {"name": "weft-htex-1", "command": "true", "folder": Path(folder), **more}
    return Job(**named)


def test_every_option_has_its_line() -> None:
    assert script(ASKED, job(command="echo 'two  words'", nodes=4), "excl") == WHOLE


def test_what_is_left_out_is_left_to_the_site() -> None:
    found = [line.partition(" ")[0] for line in options(GridEngine(), job())]
    assert found == ["-N", "-o", "-e", "-j", "-S", "-cwd", "-r", "-l"]


def test_memory_is_rounded_up_and_no_limit_of_time_is_said_so() -> None:
    asked = GridEngine(memory_per_slot=1025, walltime="infinity")
    assert "-l h_rt=INFINITY,h_vmem=2K" in options(asked, job())


@pytest.mark.parametrize("name", ["$HOME", "a:b", "a,b", "it's", 'a "b"', "a b", "数据"])
def test_output_goes_where_the_options_of_qsub_cannot_say(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for file in ("job.env", "job.client"):
        (folder / file).touch()
    text = script(GridEngine(), job(str(folder), command="echo good; echo bad >&2"))
    assert "#$ -o /dev/null\n#$ -e /dev/null\n" in text
    subprocess.run(["/bin/sh"], input=text.encode(), check=True)
    assert (folder / "job.out").read_text() == "good\n"
    assert (folder / "job.err").read_text() == "bad\n"


def test_several_nodes_need_somebody_to_grant_them() -> None:
    with pytest.raises(ValueError, match="on 2 nodes needs the option parallel_environment"):
        options(GridEngine(), job(nodes=2))
    assert "-pe mpi 2" in options(GridEngine(parallel_environment="mpi"), job(nodes=2))


def test_a_folder_with_the_end_of_a_line_in_its_name_is_refused() -> None:
    with pytest.raises(ValueError, match="end of a line"):
        script(GridEngine(), job("/runs/a\nb"))


def test_a_question_submits_nothing() -> None:
    words = verification(GridEngine(scheduler_options=["-w n", "-ac a='b c'"]))
    assert words[:3] == ["qsub", "-N", "weft-question"]
    assert words[-5:] == ["-b", "y", "-w", "v", "true"], "the last -w counts"
    assert "a=b c" in words


@settings(deadline=None, max_examples=40)  # each starts a shell
@given(
    st.dictionaries(
        st.from_regex(r"W_[A-Za-z0-9_]{1,8}", fullmatch=True),
        st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])),
        min_size=1,
        max_size=4,
    )
)
def test_variables_of_the_client_arrive_as_they_are(variables: dict[str, str]) -> None:
    text = client_text(variables) + "".join(f'printf "%s\\0" "${one}"\n' for one in variables)
    said = subprocess.run(["/bin/sh"], input=text.encode(), capture_output=True, check=True).stdout
    assert said.decode().split("\0")[:-1] == list(variables.values())


def test_what_grid_engine_says_of_a_job_is_not_overruled() -> None:
    text = client_text(
        {
            "PATH": "/client's/bin",
            "LD_LIBRARY_PATH": "/lib",
            "BASH_FUNC_module%%": "() { eval; }",
            "JOB_ID": "7",
            "NSLOTS": "3",
            "TMPDIR": "/login/tmp",
            "PE_HOSTFILE": "/x",
            "SGE_TASK_ID": "1",
            "HOME": "/home/other",
            "CUDA_VISIBLE_DEVICES": "0",
        }
    )
    assert text == (
        "export PATH=\"${TMPDIR:+$TMPDIR:}\"'/client'\"'\"'s/bin'\nexport LD_LIBRARY_PATH=/lib\n"
    )
