"""Settings and a job become a script and a command line: exactly these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weft.values.jobs import Job
from weft_cobalt.settings import Cobalt
from weft_cobalt.submission import inherited, script, words


def job(folder: str = "/runs/1", **more: Any) -> Job:
    return Job(**{"name": "weft-htex-1", "command": "true", "folder": Path(folder), **more})


def test_every_option_is_said() -> None:
    asked = Cobalt(
        queue="debug-cache-quad",
        account="research",
        walltime="01:00:00",
        attributes="mcdram=cache:numa=quad",
        scheduler_options=["--dependencies 17"],
    )
    assert words(asked, job(nodes=8), Path("/home/me/my work")) == [
        "qsub",
        *("--nodecount", "8", "--time", "01:00:00", "--mode", "script"),
        *("--cwd", "/home/me/my work"),
        *("--output", "/runs/1/job.out", "--error", "/runs/1/job.err"),
        *("--debuglog", "/runs/1/job.cobaltlog", "--jobname", "weft-htex-1"),
        *("--queue", "debug-cache-quad", "--project", "research"),
        *("--attrs", "mcdram=cache:numa=quad"),
        "/runs/1/job.cobalt",
    ]
    assert script(asked, job()).startswith("#!/bin/sh\n#COBALT --dependencies 17\n\n. /runs/1/job.")


def test_what_is_left_out_is_left_to_the_site() -> None:
    found = words(Cobalt(), job(), Path("/"))
    assert not {"--queue", "--project", "--attrs"} & set(found)
    assert "#COBALT" not in script(Cobalt(), job())


def test_a_folder_that_cobalt_would_rename_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\$jobid"):
        script(Cobalt(), job("/runs/$jobid"))


def test_what_surrounds_the_client_does_not_reach_the_commands() -> None:
    environ = {
        "PATH": "/bin",
        "QSTAT_HEADER": "JobID",
        "QSTAT_HEADER_FULL": "JobID",
        "COBALT_JOBID": "7",
        "COBALT_CONFIG_FILES": "/etc/other.conf",
    }
    assert inherited(environ) == {"PATH": "/bin", "COBALT_CONFIG_FILES": "/etc/other.conf"}
