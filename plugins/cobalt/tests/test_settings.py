"""Options that cannot work are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest

from weft_cobalt.settings import Cobalt, seconds_of


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        ("30", 1800),
        ("01:30", 5400),
        ("12:00:00", 43200),
        ("00:10:30", 630),
        ("2:00:00:00", 172800),
        ("0", None),
    ],
)
def test_times_are_those_of_qsub(walltime: str, seconds: float | None) -> None:
    assert seconds_of(walltime) == seconds
    assert Cobalt(walltime=walltime).walltime == walltime


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"walltime": "1h"}, "no time as Cobalt has it"),
        ({"walltime": ""}, "no time as Cobalt has it"),
        ({"queue": "a b"}, "queue"),
        ({"account": "a\n#COBALT -q b"}, "account"),
        ({"attributes": "mcdram"}, "attrs"),
        ({"attributes": "a=b c=d"}, "attrs"),
        ({"scheduler_options": "--dependencies 17"}, "sequence of lines"),
        ({"scheduler_options": ("dependencies",)}, "behind #COBALT"),
        ({"scheduler_options": ("-h\n-q x",)}, "behind #COBALT"),
        ({"scheduler_options": ("--env 'a",)}, "quotes do not match"),
        ({"scheduler_options": ("-n 2",)}, "nodes_per_block"),
        ({"scheduler_options": ("-h -t30",)}, "option 'walltime'"),
        ({"scheduler_options": ("--node=2",)}, "nodes_per_block"),
        ({"scheduler_options": ("--mode c16",)}, "script of a block"),
        ({"scheduler_options": ("-O out",)}, "kept in its folder"),
        ({"scheduler_options": ("--attrs a=b",)}, "option 'attributes'"),
        ({"poll_interval": 0}, "poll_interval"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        Cobalt(**options)


def test_other_lines_of_qsub_are_taken() -> None:
    lines = ("--dependencies 17:18", "-M me@example.org", "-h", "--env A=b", "--run_project")
    assert Cobalt(scheduler_options=list(lines)).scheduler_options == lines
