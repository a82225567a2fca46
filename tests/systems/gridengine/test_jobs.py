"""Single jobs on a real Grid Engine: refusals, what keeps them waiting, and how they end."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.waiting import eventually
from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import JOB_ENDED, Job, JobState, JobStatus
from weft.values.problem import Severity
from weft_gridengine.checks import checks
from weft_gridengine.launchers import QrshLauncher
from weft_gridengine.provider import GridEngineProvider
from weft_gridengine.settings import GridEngine, Qrsh

if TYPE_CHECKING:
    from tests.systems.gridengine.conftest import Cell

BOUND = 60.0
# The first test brings up the cell, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)
Make = Callable[..., GridEngineProvider]
MakeJob = Callable[..., Job]


@pytest.fixture
def make(cell: Cell, tmp_path: Path) -> Iterator[Make]:
    """Makes and starts providers, and closes them."""
    made: list[GridEngineProvider] = []

    def making(**options: Any) -> GridEngineProvider:
        made.append(GridEngineProvider(GridEngine(**options)))
        made[-1].start(FakeContext(tmp_path))
        return made[-1]

    yield making
    for one in made:
        one.close()


@pytest.fixture
def job(tmp_path: Path) -> MakeJob:
    numbers = itertools.count(1)

    def making(command: str = "true", **more: Any) -> Job:
        name = f"weft-test-{next(numbers)}"
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        return Job(name=name, command=command, folder=folder, **more)

    return making


def until(
    provider: GridEngineProvider, job: str, holds: Callable[[JobStatus], object]
) -> JobStatus:
    end = time.monotonic() + BOUND
    while True:
        status = provider.status([job])[job]
        if holds(status):
            return status
        assert time.monotonic() < end, f"it stays {status}"
        time.sleep(0.5)


def runs(status: JobStatus) -> bool:
    return status.state is JobState.RUNNING


def ended(status: JobStatus) -> bool:
    return status.state in JOB_ENDED


# ----------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "what", "option"),
    [
        ({"queue": "alll.q"}, "has no queue 'alll.q'", "option queue"),
        ({"parallel_environment": "mpii"}, "parallel environment 'mpii'", "option parallel_env"),
        ({"project": "nobodys"}, "has no project 'nobodys'", "option project"),
        (
            {"queue": "short.q", "walltime": "00:05:01"},
            "walltime '00:05:01' is more than any",
            "option walltime",
        ),
        ({"resources": {"gpuu": 1}}, "has no resource 'gpuu'", "named in the option resources"),
        ({"resources": {"mem_free": "lots"}}, "not take a job", "is not a memory value"),
        ({"scheduler_options": ("-flying",)}, "not take a job", "invalid option argument"),
    ],
)
def test_what_the_cluster_does_not_have_is_told_before_the_first_job(
    make: Make, options: dict[str, Any], what: str, option: str
) -> None:
    with pytest.raises(WeftError) as caught:
        make(**options)
    assert what in caught.value.what
    assert option in f"{caught.value.why} {caught.value.todo}"


def test_the_checks_say_what_they_saw(cell: Cell, tmp_path: Path) -> None:
    asked = GridEngine(
        queue="*.q",
        parallel_environment="smp",
        slots_per_node=2,
        project="research",
        exclusive=True,
        memory_per_slot=1 << 20,
    )
    found = list(checks(asked, tmp_path))
    assert [one for one in found if one.severity is not None] == []
    text = " ".join(one.what for one in found)
    assert "short.q (00:05:00)" in text
    assert "'$pe_slots'" in text
    assert "could run here" in text
    wide = GridEngine(parallel_environment="smp", slots_per_node=64)
    (warning,) = [one for one in checks(wide, tmp_path) if one.severity is not None]
    assert warning.severity is Severity.WARNING
    assert 'cannot run in PE "smp"' in warning.why


def test_a_qmaster_that_is_not_there_is_told(
    cell: Cell, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SGE_QMASTER_PORT", "1")
    with pytest.raises(WeftError, match="Grid Engine does not answer") as caught:
        make()
    assert "unable to send message to qmaster using port 1" in caught.value.why
    monkeypatch.setenv("SGE_ROOT", str(tmp_path))
    with pytest.raises(WeftError, match="does not answer") as caught:
        make()
    assert str(tmp_path) in caught.value.why


def test_a_job_for_two_nodes_needs_somebody_to_grant_them(make: Make, job: MakeJob) -> None:
    with pytest.raises(WeftError, match="was not given") as caught:
        make().submit(job(nodes=2))
    assert "option parallel_environment" in caught.value.why
    with pytest.raises(WeftError, match="was not given") as caught:
        make(parallel_environment="smp").submit(job(nodes=2))
    assert "all slots on one host" in caught.value.why


def test_too_many_jobs_are_no_refusal_but_come_later(
    cell: Cell, make: Make, job: MakeJob, tmp_path: Path
) -> None:
    provider = make(queue="closed.q")
    provider.submit(job())
    shown = cell.ask("qconf", "-sconf")
    text = "\n".join(line for line in shown.splitlines() if not line.startswith("#"))
    file = tmp_path / "global"
    file.write_text(text.replace("max_u_jobs                   0", "max_u_jobs  1") + "\n")
    cell.ask("qconf", "-Mconf", str(file))
    try:
        with pytest.raises(SubmitLater, match="only 1 jobs are allowed per user"):
            provider.submit(job())
    finally:
        file.write_text(text + "\n")
        cell.ask("qconf", "-Mconf", str(file))
    provider.submit(job())


# ----------------------------------------------------------------------------------- while it waits


def test_what_keeps_a_job_waiting_is_said(cell: Cell, make: Make, job: MakeJob) -> None:
    closed, wide = make(queue="closed.q"), make(parallel_environment="mpi", slots_per_node=64)
    held = make(scheduler_options=("-h",))
    waiting = {one: one.submit(job()) for one in (closed, wide, held)}
    status = until(closed, waiting[closed], lambda one: "disabled" in one.reason)
    assert status.state is JobState.QUEUED
    assert status.reason.startswith('qw: queue instance "closed.q@')
    status = until(wide, waiting[wide], lambda one: "slots" in one.reason)
    assert 'cannot run in PE "mpi" because it only offers' in status.reason
    status = until(held, waiting[held], lambda one: "hqw" in one.reason)
    assert "'qrls' lets it go" in status.reason
    # What others delete while it waits leaves no account at all.
    cell.ask("qdel", waiting[held])
    status = until(held, waiting[held], ended)
    assert status.state is JobState.FAILED
    assert "does not say how it ended" in status.reason


def test_what_cannot_be_started_fails_with_the_reason_and_does_not_stay(
    cell: Cell, make: Make, job: MakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    provider = make(scheduler_options=("-h",))
    job_id = provider.submit(job())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").rmdir()
    cell.ask("qrls", job_id)
    status = until(provider, job_id, ended)
    assert status.state is JobState.FAILED
    assert status.reason.startswith("Eqw: can't chdir to"), status.reason
    assert "No such file or directory" in status.reason
    assert job_id not in cell.jobs()


# ------------------------------------------------------------------------------------------ its end


def test_each_end_is_told_apart(cell: Cell, make: Make, job: MakeJob) -> None:
    """Together, since each takes Grid Engine seconds."""
    provider, late = make(), make(walltime="3")
    overdue = late.submit(job("sleep 60"))
    deleted = provider.submit(job("sleep 60"))
    killed = provider.submit(job("kill -9 $$"))
    again = provider.submit(job("exit 99"))
    error = provider.submit(job("exit 100"))
    until(provider, deleted, runs)
    cell.ask("qmod", "-sj", deleted)
    status = until(provider, deleted, lambda one: "suspended" in one.reason)
    assert status.state is JobState.RUNNING
    cell.ask("qdel", deleted)
    for job_id in (deleted, killed):
        status = until(provider, job_id, ended)
        assert (status.state, status.exit_code) == (JobState.FAILED, -9)
        assert "failed 100 : assumedly after job; exit status 137" in status.reason
    # Grid Engine takes these two for orders, and is not given them.
    for job_id, code in ((again, 99), (error, 100)):
        status = until(provider, job_id, ended)
        assert (status.state, status.exit_code) == (JobState.FAILED, code)
    status = until(late, overdue, ended)
    assert status.state is JobState.EXPIRED
    assert "failed 37" in status.reason


def test_a_job_has_the_environment_of_its_client_and_nobody_else_sees_it(
    cell: Cell, make: Make, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIT_SECRET", "hush\n'hush'")
    monkeypatch.setenv("JOB_ID", "of another job")
    provider = make(scheduler_options=("-h",))
    asked = job('printf "%s|%s|%s" "$KIT_SECRET" "$JOB_ID" "$PATH"')
    job_id = provider.submit(asked)
    assert "hush" not in cell.ask("qstat", "-j", job_id)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in asked.folder.iterdir()}
    assert modes == {0o600}
    cell.ask("qrls", job_id)
    assert until(provider, job_id, ended).state is JobState.DONE
    secret, number, path = (asked.folder / "job.out").read_text().split("|")
    assert (secret, number) == ("hush\n'hush'", job_id)
    assert path.endswith(os.environ["PATH"])


# There is one host, and it has a second name.
TWO_HOSTS = """
awk '{{print $1, 1, $3, $4; print "localhost", 1, $3, $4}}' "$PE_HOSTFILE" > '{file}'
export PE_HOSTFILE='{file}'
"""


def test_qrsh_starts_a_task_of_the_job_on_each_other_host_and_it_ends_with_the_job(
    cell: Cell, make: Make, job: MakeJob, tmp_path: Path
) -> None:
    provider = make(parallel_environment="mpi")
    hosts = TWO_HOSTS.format(file=tmp_path / "hosts")
    launcher = QrshLauncher(Qrsh())
    text = launcher.compose(f"echo \"it's  $JOB_ID\"; echo $$ >> '{tmp_path}/pids'", nodes=2)
    good = job(hosts + text, nodes=2)
    good_id = provider.submit(good)
    status = until(provider, good_id, ended)
    assert status.state is JobState.DONE, (good.folder / "job.err").read_text()
    assert (good.folder / "job.out").read_text().count(f"it's  {good_id}") == 2
    assert len(set((tmp_path / "pids").read_text().split())) == 2
    text = launcher.compose(f"echo $$ >> '{tmp_path}/late'; exec sleep 600", nodes=2)
    late = provider.submit(job(hosts + text, nodes=2))
    begun = tmp_path / "late"
    until(provider, late, lambda _: begun.exists() and len(begun.read_text().split()) == 2)
    provider.cancel([late])
    assert until(provider, late, ended).state is JobState.CANCELLED
    end = time.monotonic() + BOUND
    while any(Path(f"/proc/{pid}").exists() for pid in begun.read_text().split()):
        assert time.monotonic() < end, "a task of the job lives on"
        time.sleep(0.1)
    text = launcher.compose("true", nodes=3)
    few = job(hosts + text, nodes=2)
    status = until(provider, provider.submit(few), ended)
    assert status.state is JobState.FAILED
    assert "was given 2 hosts, and 3 were asked for" in (few.folder / "job.err").read_text()


def test_an_end_is_told_where_no_accounts_can_be_read(cell: Cell, make: Make, job: MakeJob) -> None:
    accounting = cell.folder / "sge" / "default" / "common" / "accounting"
    kept = accounting.with_name("kept")
    if accounting.exists():  # a qmaster makes it when it first has something to write there
        accounting.rename(kept)

    def taken() -> bool:
        """Put something in its place that no qmaster can write to."""
        accounting.unlink(missing_ok=True)
        try:
            accounting.mkdir()
        except FileExistsError:  # it has just made another one
            return False
        return True

    try:
        provider = make()
        (good, killed) = (provider.submit(job(one)) for one in ("exit 0", "sleep 1; kill -9 $$"))
        until(provider, killed, runs)
        eventually(taken)
        assert until(provider, good, ended).state is JobState.DONE
        status = until(provider, killed, ended)
        assert status.state is JobState.FAILED
        assert "does not say how it ended" in status.reason
    finally:
        if accounting.is_dir():
            accounting.rmdir()
        if kept.exists():
            kept.rename(accounting)


# ------------------------------------------------------------------------ commands, and a lost mind


HANGS = """#!/bin/sh
{real} "$@" > /dev/null
: > '{begun}'
exec sleep 600
"""


def test_a_job_of_which_a_hanging_qsub_did_not_tell_is_deleted_before_the_next(
    cell: Cell, make: Make, job: MakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    provider = make(queue="closed.q")
    programs, begun = tmp_path / "bin", tmp_path / "begun"
    programs.mkdir()
    fake = programs / "qsub"
    fake.write_text(HANGS.format(real=shutil.which("qsub"), begun=begun))
    fake.chmod(0o700)
    kept = provider._commands
    path = f"{programs}{os.pathsep}{kept.environment['PATH']}"
    provider._commands = attrs.evolve(
        kept, environment={**kept.environment, "PATH": path}, timeout=10.0
    )
    with pytest.raises(SubmitLater, match="has not come back within 10 s"):
        provider.submit(job())
    provider._commands = kept
    assert begun.exists()
    (untold,) = cell.jobs()
    told = provider.submit(job())
    assert list(cell.jobs()) == [told] != [untold]


def test_jobs_of_others_and_of_other_names_are_not_ours_to_end(
    cell: Cell, make: Make, job: MakeJob
) -> None:
    provider = make(queue="closed.q")
    waiting = job()
    job_id = provider.submit(waiting)
    assert provider.site.startswith("gridengine:weft@")
    assert list(provider.listed({job_id: waiting.name, "999999": "gone"})) == [job_id]
    assert not provider.listed({job_id: "another"})
    provider.cancel([job_id])
    assert until(provider, job_id, ended).state is JobState.CANCELLED
    assert not provider.listed({job_id: waiting.name})
