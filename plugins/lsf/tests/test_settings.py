"""Options that cannot work are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest

from weft_lsf.settings import LSF, minutes_of


@pytest.mark.parametrize(
    ("walltime", "minutes"),
    [("90", 90), ("0:10", 10), ("12:00", 720), ("100:30", 6030), ("02:00:00", 120), ("0:0:1", 1)],
)
def test_times_are_those_of_bsub_rounded_up(walltime: str, minutes: int) -> None:
    assert minutes_of(walltime) == minutes
    assert LSF(walltime=walltime).walltime == walltime


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"walltime": "1h"}, "no time as LSF has it"),
        ({"walltime": "0:00"}, "no time at all"),
        ({"walltime": ""}, "no time as LSF has it"),
        ({"queue": "normal short"}, "queue"),
        ({"queue": "a\n#BSUB -x"}, "queue"),
        ({"project": "a;b"}, "project"),
        ({"cores_per_node": 0}, "cores_per_node"),
        ({"memory_per_node": 0}, "memory_per_node"),
        ({"gpus_per_node": 0}, "number from 1"),
        ({"gpus_per_node": "4"}, "number from 1"),
        ({"gpus_per_node": 'num=4"'}, "number from 1"),
        ({"resources": "a\nb"}, "one line"),
        ({"resources": " "}, "one line"),
        ({"resources": "select[a=='b' && c==\"d\"]"}, "both kinds of quotes"),
        ({"scheduler_options": "-sla fast"}, "sequence of lines"),
        ({"scheduler_options": ("sla fast",)}, "behind #BSUB"),
        ({"scheduler_options": ("-a\n-b",)}, "behind #BSUB"),
        ({"scheduler_options": ("-Lp 'x",)}, "quotes do not match"),
        ({"scheduler_options": ("-J mine",)}, "found again by their names"),
        ({"scheduler_options": ("-sla fast -oo x",)}, "kept in its folder"),
        ({"scheduler_options": ("-n4",)}, "nodes_per_block"),
        ({"scheduler_options": ("-W 5",)}, "the option 'walltime'"),
        ({"scheduler_options": ("-r",)}, "replaced by a new one"),
        ({"scheduler_options": ("-Is",)}, "nobody talks with a block"),
        ({"scheduler_options": ("-K",)}, "without waiting"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"command_timeout": 0}, "command_timeout"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        LSF(**options)


def test_other_lines_of_bsub_are_taken() -> None:
    lines = ("-sla fast", "-H", "-w 'done(7)'", "-m 'node1 node2'")
    assert LSF(scheduler_options=list(lines)).scheduler_options == lines
