"""Options that cannot work are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_gridengine.settings import GridEngine, seconds_of


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        ("30", 30),
        ("30:15", 1815),
        ("01:30:15", 5415),
        ("100:00:00", 360000),
        ("::5", 5),
        (":2:0", 120),
        ("INFINITY", None),
        ("infinity", None),
    ],
)
def test_times_are_those_of_grid_engine(walltime: str, seconds: float | None) -> None:
    assert seconds_of(walltime) == seconds
    assert GridEngine(walltime=walltime).walltime == walltime


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(0, 99), st.integers(0, 99))
def test_a_time_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int) -> None:
    assert seconds_of(f"{hours}:{minutes}:{seconds}") == (hours * 60 + minutes) * 60 + seconds


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"walltime": "1h"}, "no time as Grid Engine has it"),
        ({"walltime": "2-00:00:00"}, "no time as Grid Engine has it"),
        ({"walltime": "0:0:0"}, "no time at all"),
        ({"walltime": ""}, "no time as Grid Engine has it"),
        ({"queue": "all.q short.q"}, "queue"),
        ({"queue": "a\n#$ -P b"}, "queue"),
        ({"project": "a b"}, "project"),
        ({"slots_per_node": 0}, "slots_per_node"),
        ({"slots_per_node": 4}, "no parallel_environment is named"),
        ({"parallel_environment": "mpi 4"}, "parallel_environment"),
        ({"memory_per_slot": 0}, "memory_per_slot"),
        ({"memory_resource": "h_vmem=1G"}, "memory_resource"),
        ({"memory_per_slot": 1, "resources": {"h_vmem": "1G"}}, "memory_per_slot asks for it"),
        ({"resources": "gpu=1"}, "is a mapping"),
        ({"resources": {"gpu": [1]}}, "without blanks"),
        ({"resources": {"gpu": "1 2"}}, "without blanks"),
        ({"resources": {"gpu": "1,mem=2"}}, "without blanks"),
        ({"resources": {"g p u": 1}}, "no name of a resource"),
        ({"resources": {"h_rt": 5}}, "the option walltime"),
        ({"scheduler_options": "-m e"}, "sequence of lines"),
        ({"scheduler_options": ("m e",)}, "behind #\\$"),
        ({"scheduler_options": ("-m e\n-t 1-9",)}, "behind #\\$"),
        ({"scheduler_options": ("-M 'x",)}, "quotes do not match"),
        ({"scheduler_options": ("-t 1-9",)}, "a block is one job"),
        ({"scheduler_options": ("-m e -o x",)}, "kept in its folder"),
        ({"scheduler_options": ("-pe mpi 4",)}, "option parallel_environment"),
        ({"scheduler_options": ("-r y",)}, "replaced by a new one"),
        ({"scheduler_options": ("-sync y",)}, "without waiting"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"command_timeout": 0}, "command_timeout"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        GridEngine(**options)


def test_what_qsub_knows_is_taken() -> None:
    lines = ("-m e", "-M me@site.org", "-hold_jid 7", "-p -100", "-w e", "-h", "-ac a='b c'")
    queue = "*.q,all.q@@bigmem,gpu.q@node[12],!(a|b)"
    taken = GridEngine(
        queue=queue,
        scheduler_options=list(lines),
        resources={"hostname": "!(a|b)&c*", "gpu": 2, "ssd": True, "load": 0.5},
    )
    assert taken.scheduler_options == lines
    assert taken.queue == queue
