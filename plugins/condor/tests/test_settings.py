"""Options that cannot work are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest

from weft_condor.settings import Condor, seconds_of


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [("00:10:00", 600), ("100:00:00", 360000), ("2-01:00:30", 176430), ("unlimited", None)],
)
def test_times_are_hours_minutes_and_seconds(walltime: str, seconds: float | None) -> None:
    assert seconds_of(walltime) == seconds
    assert Condor(walltime=walltime).walltime == walltime


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"walltime": "90"}, "is no time"),
        ({"walltime": "1:30"}, "is no time"),
        ({"walltime": "00:00:00"}, "no time at all"),
        ({"accounting_group": "a b"}, "accounting_group"),
        ({"project": 'a"b'}, "project"),
        ({"schedd": "a\nqueue"}, "schedd"),
        ({"cores_per_node": 0}, "cores_per_node"),
        ({"memory_per_node": 0}, "memory_per_node"),
        ({"disk_per_node": 0}, "disk_per_node"),
        ({"gpus_per_node": 0}, "gpus_per_node"),
        ({"requirements": "true\nqueue 9"}, "one line"),
        ({"getenv": "PATH"}, "sequence of names"),
        ({"getenv": ("PATH, HOME",)}, "sequence of names"),
        ({"transfer_input_files": "model.bin"}, "sequence of paths"),
        ({"transfer_input_files": ("a,b",)}, "sequence of paths"),
        ({"transfer_input_files": ("$(x)",)}, "sequence of paths"),
        ({"scheduler_options": "+A = 1"}, "sequence of lines"),
        ({"scheduler_options": ("nonsense",)}, "line of a submit description"),
        ({"scheduler_options": ("+A = 1\nqueue 9",)}, "line of a submit description"),
        ({"scheduler_options": ("+A = 1 \\",)}, "swallow the next line"),
        ({"scheduler_options": ("Output = x",)}, "kept in its folder"),
        ({"scheduler_options": ("MY.WeftFolder = 1",)}, "found again by their folders"),
        ({"scheduler_options": ("periodic_remove = false",)}, "walltime is said with it"),
        ({"scheduler_options": ("request_cpus=4",)}, "the option 'cores_per_node'"),
        ({"scheduler_options": ("universe = parallel",)}, "vanilla, container or docker"),
        ({"poll_interval": 0}, "poll_interval"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        Condor(**options)


def test_other_lines_are_taken() -> None:
    lines = ("+WantGlidein = true", "universe = container", "rank = Memory", "MY.A = 1")
    assert Condor(scheduler_options=list(lines)).scheduler_options == lines
