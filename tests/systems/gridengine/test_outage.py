"""Qmaster goes away and comes back: a run outlives that, and nothing is taken for an end.

In a cell of their own: until their host has found the new qmaster, which takes it half a minute, no
job begins, and deleted ones do not go.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import weft
from tests.waiting import eventually
from weft import Config, python_app
from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import Job, JobState
from weft_gridengine.provider import GridEngineProvider
from weft_gridengine.settings import GridEngine

if TYPE_CHECKING:
    from tests.systems.gridengine.conftest import Cell

BOUND = 90.0
# The first test brings up the cell, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)


@python_app
def hold(begun: str, go: str) -> str:
    """Says who it is, and waits."""
    with Path(begun).open("a") as file:
        file.write(f"{os.environ['JOB_ID']}\n")
    until = time.monotonic() + BOUND
    while not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.05)
    return os.environ["JOB_ID"]


def test_while_qmaster_is_away_nothing_has_ended(breakable: Cell, tmp_path: Path) -> None:
    provider = GridEngineProvider(GridEngine(queue="closed.q"))
    provider.start(FakeContext(tmp_path))
    jobs = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        jobs += [Job(name=f"weft-{number}", command="true", folder=tmp_path / str(number))]
    waiting = provider.submit(jobs[0])
    breakable.kill_qmaster()
    try:
        status = provider.status([waiting])[waiting]
        assert status.state is JobState.UNKNOWN
        assert "unable to send message to qmaster" in status.reason
        with pytest.raises(SubmitLater, match="unable to send message to qmaster"):
            provider.submit(jobs[1])
        with pytest.raises(WeftError, match="could not be cancelled"):
            provider.cancel([waiting])
    finally:
        breakable.start_qmaster()
    assert provider.status([waiting])[waiting].state is JobState.QUEUED
    provider.close()
    assert provider.status([waiting])[waiting].state is JobState.CANCELLED


def test_a_run_goes_on_while_qmaster_is_started_again(breakable: Cell, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    asked = Config(
        run_dir=tmp_path / "runs",
        executors=[
            weft.executor(
                "htex",
                provider=weft.provider("gridengine", poll_interval=1.0),
                workers_per_node=1,
                max_blocks=2,
            )
        ],
    )
    with weft.load(asked) as session:
        first = hold(str(begun), str(go))
        eventually(begun.exists, "the task did not begin")
        log = session.status().run_folder / "weft.log"
        breakable.kill_qmaster()
        try:
            # One more block is wanted, and nobody is there to give it.
            second = hold(str(begun), str(go))
            eventually(lambda: "unable to send message" in log.read_text(), "nothing is said of it")
        finally:
            breakable.start_qmaster()
        eventually(lambda: len(breakable.jobs()) == 2, "the other block was not asked for")
        go.touch()
        assert first.result(BOUND) in breakable.jobs()
        assert second.result(BOUND)
