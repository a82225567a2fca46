"""Options that cannot work are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_slurm.settings import Slurm, Srun, seconds_of


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        ("30", 1800),
        ("30:15", 1815),
        ("01:30:15", 5415),
        ("100:00:00", 360000),
        ("2-0", 172800),
        ("1-12", 129600),
        ("1-12:30", 131400),
        ("1-12:30:05", 131405),
        ("UNLIMITED", None),
        ("infinite", None),
    ],
)
def test_times_are_those_of_sbatch(walltime: str, seconds: float | None) -> None:
    assert seconds_of(walltime) == seconds
    assert Slurm(walltime=walltime).walltime == walltime


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_time_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    written = f"{days}-{hours:02}:{minutes:02}:{seconds:02}"
    assert seconds_of(written) == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"walltime": "1h"}, "no time as Slurm has it"),
        ({"walltime": "00:00:00"}, "no time at all"),
        ({"walltime": ""}, "no time as Slurm has it"),
        ({"partition": "normal debug"}, "partition"),
        ({"partition": "a\n#SBATCH --qos=b"}, "partition"),
        ({"account": "a;b"}, "account"),
        ({"cores_per_node": 0}, "cores_per_node"),
        ({"memory_per_node": -1}, "memory_per_node"),
        ({"constraint": "a\nb"}, "one line"),
        ({"gres": " "}, "one line"),
        ({"gpus_per_node": 0}, "number from 1"),
        ({"gpus_per_node": "many"}, "number from 1"),
        ({"gpus_per_node": True}, "number from 1"),
        ({"scheduler_options": "--mail-type=END"}, "sequence of lines"),
        ({"scheduler_options": ("mail-type=END",)}, "behind #SBATCH"),
        ({"scheduler_options": ("--a\n--b",)}, "behind #SBATCH"),
        ({"scheduler_options": ("--comment='x",)}, "quotes do not match"),
        ({"scheduler_options": ("--array=1-9",)}, "a block is one job"),
        ({"scheduler_options": ("--out=x",)}, "kept in its folder"),
        ({"scheduler_options": ("--licenses=a -o x",)}, "kept in its folder"),
        ({"scheduler_options": ("-N2",)}, "nodes_per_block"),
        ({"scheduler_options": ("--requeue",)}, "replaced by a new one"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"command_timeout": 0}, "command_timeout"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        Slurm(**options)


def test_other_lines_of_sbatch_are_taken() -> None:
    lines = ("--nodelist=n1", "--no-kill", "--hold", "--comment='a b' # why", "-L matlab:2")
    assert Slurm(scheduler_options=list(lines)).scheduler_options == lines


@pytest.mark.parametrize("options", ["--exact", [""], ["a\0"], [1]])
def test_words_for_srun_are_words(options: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="sequence of words"):
        Srun(options=options)
