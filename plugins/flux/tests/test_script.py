"""Settings and a job become text: exactly this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weft.values.jobs import Job
from weft_flux.script import text
from weft_flux.settings import Flux

WHOLE = """#!/bin/sh
#flux: --job-name=weft-htex-1
#flux: --output=job.out
#flux: --error=job.err
#flux: --nodes=4
#flux: --nslots=4
#flux: --time-limit=7200s
#flux: --queue=batch
#flux: --bank=research
#flux: --cores-per-slot=16
#flux: --gpus-per-slot=2
#flux: --requires='bigmem and -host:node7'
#flux: --exclusive
#flux: --urgency=20

"""


def job(folder: str = "/runs/1", **more: Any) -> Job:
    options = {"name": "weft-htex-1", "command": "true", "folder": Path(folder), **more}
    return Job(**options)


def options_in(said: str) -> list[str]:
    return [line[7:] for line in said.splitlines() if line.startswith("#flux: ")]


def test_every_option_has_its_line() -> None:
    asked = Flux(
        queue="batch",
        bank="research",
        walltime="2h",
        cores_per_node=16,
        gpus_per_node=2,
        requires="bigmem and -host:node7",
        scheduler_options=["--urgency=20"],
    )
    assert text(asked, job(nodes=4)).startswith(WHOLE)


def test_what_is_left_out_is_left_to_the_instance() -> None:
    assert options_in(text(Flux(exclusive=False), job())) == [
        *("--job-name=weft-htex-1", "--output=job.out", "--error=job.err", "--nodes=1"),
        *("--nslots=1", "--time-limit=600s"),
    ]


def test_no_limit_is_said_as_flux_has_it() -> None:
    assert "--time-limit=0" in options_in(text(Flux(walltime="UNLIMITED"), job()))
    assert "--time-limit=8640000s" in options_in(text(Flux(walltime="100d"), job()))


@pytest.mark.parametrize("line", ["#flux: -n 4", "  # FLUX: --x", "echo a\n//flux: b"])
def test_a_line_that_flux_would_read_as_an_option_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="takes for an option"):
        text(Flux(), job(command=line))


def test_words_with_flux_in_them_are_no_options() -> None:
    assert "run flux: now" in text(Flux(), job(command="run flux: now\n"))
