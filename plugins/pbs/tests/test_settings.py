"""Options that cannot work are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_pbs.settings import Pbs, seconds_of


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [("90", 90), ("30:00", 1800), ("12:00:00", 43200), ("100:00:00", 360000), ("2:0:0:0", 172800)],
)
def test_times_are_those_of_pbs(walltime: str, seconds: float) -> None:
    assert seconds_of(walltime) == seconds
    assert Pbs(walltime=walltime).walltime == walltime


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 59))
def test_a_time_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int) -> None:
    assert seconds_of(f"{hours}:{minutes:02}:{seconds:02}") == (hours * 60 + minutes) * 60 + seconds


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"walltime": "1h"}, "no time as PBS has it"),
        ({"walltime": "1:2:3:4:5"}, "no time as PBS has it"),
        ({"walltime": "00:00:00"}, "no time at all"),
        ({"queue": "work q"}, "queue"),
        ({"queue": "a\n#PBS -A b"}, "queue"),
        ({"account": "a;b"}, "account"),
        ({"project": "-a"}, "project"),
        ({"cores_per_node": 0}, "cores_per_node"),
        ({"memory_per_node": 0}, "memory_per_node"),
        ({"gpus_per_node": 0}, "gpus_per_node"),
        ({"select_options": "a b"}, "what each node has to have"),
        ({"select_options": "a=1+2:b=2"}, "what each node has to have"),
        ({"select_options": "ncpus=4"}, "cores_per_node"),
        ({"select_options": "x=1:mpiprocs=4"}, "listed once"),
        ({"place": "free;rm"}, "place"),
        ({"dialect": "openpbs"}, "dialect"),
        ({"scheduler_options": "-m e"}, "sequence of lines"),
        ({"scheduler_options": ("m e",)}, "behind #PBS"),
        ({"scheduler_options": ("-m e\n-h",)}, "behind #PBS"),
        ({"scheduler_options": ("-M 'x",)}, "quotes do not match"),
        ({"scheduler_options": ("-J 1-9",)}, "a block is one job"),
        ({"scheduler_options": ("-t1-9",)}, "a block is one job"),
        ({"scheduler_options": ("-h -o x",)}, "kept in its folder"),
        ({"scheduler_options": ("-q short",)}, "option 'queue'"),
        ({"scheduler_options": ("-l walltime=1",)}, "option 'walltime'"),
        ({"scheduler_options": ("-l software=x,select=2",)}, "nodes_per_block"),
        ({"scheduler_options": ("-lnodes=2",)}, "nodes_per_block"),
        ({"scheduler_options": ("-W block=true",)}, "without waiting"),
        ({"scheduler_options": ("-r y",)}, "replaced by a new one"),
        ({"scheduler_options": ("-- /bin/true",)}, "what runs"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"command_timeout": 0}, "command_timeout"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        Pbs(**options)


def test_other_lines_of_qsub_are_taken() -> None:
    lines = (
        "-m abe",
        "-M me@example.org",
        "-h",
        "-V",
        "-l software=matlab",
        "-W umask=022",
        "-p 5",
    )
    assert Pbs(scheduler_options=list(lines)).scheduler_options == lines


@pytest.mark.parametrize("queue", ["workq", "R123.server", "short@other.example:15001"])
def test_a_queue_may_be_a_reservation_or_elsewhere(queue: str) -> None:
    assert Pbs(queue=queue).queue == queue
