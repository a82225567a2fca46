"""Options that cannot work are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest

from weft_flux.settings import Flux, seconds_of


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        ("90", 5400),
        ("30s", 30),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("2d", 172800),
        ("02:00:30", 7230),
        ("UNLIMITED", None),
        ("inf", None),
    ],
)
def test_times_are_those_of_flux(walltime: str, seconds: float | None) -> None:
    assert seconds_of(walltime) == seconds
    assert Flux(walltime=walltime).walltime == walltime


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"walltime": "1 hour"}, "no time as Flux has it"),
        ({"walltime": "1:30"}, "no time as Flux has it"),
        ({"walltime": "0s"}, "no time at all"),
        ({"walltime": ""}, "no time as Flux has it"),
        ({"queue": "batch debug"}, "queue"),
        ({"queue": "a\n#flux: -x"}, "queue"),
        ({"bank": "a;b"}, "bank"),
        ({"cores_per_node": 0}, "cores_per_node"),
        ({"gpus_per_node": 0}, "gpus_per_node"),
        ({"requires": "a\nb"}, "one line"),
        ({"uri": " "}, "one line"),
        ({"scheduler_options": "--urgency=20"}, "sequence of lines"),
        ({"scheduler_options": ("urgency=20",)}, "behind '#flux:'"),
        ({"scheduler_options": ("--a\n--b",)}, "behind '#flux:'"),
        ({"scheduler_options": ("--setattr=x='y",)}, "quotes do not match"),
        ({"scheduler_options": ('--conf="""',)}, "three quotes"),
        ({"scheduler_options": ("--out=x",)}, "kept in its folder"),
        ({"scheduler_options": ("-N2",)}, "nodes_per_block"),
        ({"scheduler_options": ("--urgency=1 -n 4",)}, "nodes_per_block"),
        ({"scheduler_options": ("--job-n=x",)}, "found again by their names"),
        ({"scheduler_options": ("--dry-run",)}, "nothing would be submitted"),
        ({"poll_interval": 0}, "poll_interval"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        Flux(**options)


def test_other_lines_of_flux_batch_are_taken() -> None:
    lines = ("--urgency=20", "--dependency=afterok:f7", "--setattr=x='a b' # why", "-o verbose")
    assert Flux(scheduler_options=list(lines)).scheduler_options == lines
