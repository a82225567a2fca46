"""The provider over a PSI/J that forgets, fails, hangs, dies; tests/systems/psij has a real one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.errors import SubmitLater, WeftError
from weft.values.jobs import Job, JobId, JobState, JobStatus
from weft.values.problem import Severity
from weft_psij.checks import checks
from weft_psij.provider import LastingPsijProvider, PsijProvider
from weft_psij.settings import PSIJ

Make = Callable[..., PsijProvider]
NewJob = Callable[..., Job]
Plan = Callable[..., None]

BOUND = 60.0
UNASKED = "Failed to poll for job status: Traceback …"


def until(
    provider: PsijProvider, job_id: JobId, state: JobState, words: str = ""
) -> tuple[JobStatus, set[JobState]]:
    """Ask until the job is in this state. Returns its status, and all states that it was in."""
    seen = set()
    end = time.monotonic() + BOUND
    while True:
        status = provider.status([job_id])[job_id]
        seen.add(status.state)
        if status.state is state and words in status.reason:
            return status, seen
        assert time.monotonic() < end, status
        time.sleep(0.02)


def write_code(job: Job, code: int) -> None:
    (job.folder / "job.code.part").write_text(f"{code}\n")
    (job.folder / "job.code.part").rename(job.folder / "job.code")


def test_a_job_that_is_not_listed_has_not_ended_by_that(
    make: Make, job: NewJob, plan: Plan
) -> None:
    plan(news=[[["COMPLETED"]]])
    provider, one = make(), job()
    job_id = provider.submit(one)
    until(provider, job_id, JobState.UNKNOWN, "does not list it")
    plan(news=[[["ACTIVE"]]])
    _, seen = until(provider, job_id, JobState.RUNNING)
    assert seen <= {JobState.UNKNOWN, JobState.QUEUED, JobState.RUNNING}
    write_code(one, 3)
    status, _ = until(provider, job_id, JobState.FAILED)
    assert status.exit_code == 3


def test_a_job_that_ran_and_is_listed_no_more_was_ended_from_outside(
    make: Make, job: NewJob, plan: Plan
) -> None:
    plan(news=[[["ACTIVE"], ["COMPLETED"]], [["COMPLETED"]]])
    provider = make()
    status, seen = until(provider, provider.submit(job()), JobState.FAILED)
    assert "does not list it any more" in status.reason
    assert JobState.DONE not in seen


def test_a_question_that_failed_ends_no_job(make: Make, job: NewJob, plan: Plan) -> None:
    plan(news=[[["ACTIVE"], ["FAILED", None, UNASKED]], [["ACTIVE"]]])
    provider = make()
    _, seen = until(provider, provider.submit(job()), JobState.RUNNING)
    assert JobState.FAILED not in seen


def test_a_cancelled_job_that_counts_as_completed_was_cancelled(
    make: Make, job: NewJob, plan: Plan
) -> None:
    plan(news=[[["ACTIVE"]]], cancelled=["COMPLETED"])
    provider = make()
    job_id = provider.submit(job())
    until(provider, job_id, JobState.RUNNING)
    provider.cancel([job_id])
    until(provider, job_id, JobState.CANCELLED)


def test_the_job_says_its_end_before_psij_does(make: Make, job: NewJob, plan: Plan) -> None:
    plan(news=[[["ACTIVE"]]])
    provider, one = make(), job()
    job_id = provider.submit(one)
    write_code(one, 0)
    status, _ = until(provider, job_id, JobState.DONE)
    assert status.exit_code == 0


@pytest.mark.parametrize("how", ["hang", "die"])
def test_a_submission_that_does_not_come_back_leaves_nothing_that_runs(
    make: Make, job: NewJob, plan: Plan, tmp_path: Path, how: str
) -> None:
    provider = make(command_timeout=8.0)
    first = provider.submit(job())
    plan(submit=how)
    with pytest.raises(SubmitLater, match="it ends at once"):
        provider.submit(job())
    assert not (tmp_path / "job-1" / "job.sh").exists()
    plan(news=[[["ACTIVE"]]])
    until(provider, provider.submit(job()), JobState.RUNNING)
    until(provider, first, JobState.RUNNING)


def test_a_ghost_of_a_submission_ends_at_once(make: Make, job: NewJob, tmp_path: Path) -> None:
    make().submit(job(f"touch {tmp_path}/ran"))
    ((script, mark), _) = json.loads((tmp_path / "plan.submitted").read_text())
    for word, ran in (("another", False), (mark, True)):
        subprocess.run(["/bin/sh", script, word], check=True, timeout=BOUND)
        assert (tmp_path / "ran").exists() is ran


def test_what_cannot_be_taken_now_is_asked_again_and_what_cannot_be_is_refused(
    make: Make, job: NewJob, plan: Plan
) -> None:
    provider = make()
    plan(submit="sbatch: error: Socket timed out on send/recv operation")
    with pytest.raises(SubmitLater, match="Socket timed out"):
        provider.submit(job())
    plan(submit="sbatch: error: invalid partition specified: norml")
    with pytest.raises(WeftError, match="norml") as caught:
        provider.submit(job())
    assert not isinstance(caught.value, SubmitLater)


def test_names_and_attributes_arrive(make: Make, job: NewJob, tmp_path: Path) -> None:
    make(attributes={"slurm.qos": "debug"}).submit(job())
    _, custom = json.loads((tmp_path / "plan.submitted").read_text())
    assert custom == {"slurm.job-name": "job-0", "slurm.qos": "debug"}


def test_a_cancel_that_fails_is_told(make: Make, job: NewJob, plan: Plan) -> None:
    provider = make()
    job_id = provider.submit(job())
    plan(cancel="scancel: error: Unable to contact slurm controller")
    with pytest.raises(WeftError, match="Unable to contact"):
        provider.cancel([job_id])


def test_the_client_keeps_its_handler_of_sigchld(make: Make, job: NewJob) -> None:
    before = signal.getsignal(signal.SIGCHLD)
    make().submit(job())
    assert signal.getsignal(signal.SIGCHLD) is before
    assert "psij" not in sys.modules


def test_changes_are_told(make: Make, job: NewJob, plan: Plan) -> None:
    plan(news=[[["ACTIVE"]]])
    provider = make()
    told: list[bool] = []
    provider.watch(lambda: told.append(True))
    until(provider, provider.submit(job()), JobState.RUNNING)
    assert told


def test_jobs_that_are_listed_are_told_by_their_numbers(make: Make, plan: Plan) -> None:
    provider = make()
    assert isinstance(provider, LastingPsijProvider)
    plan(list=["12", "13.server"])
    assert list(provider.listed({"12.server.site": "a", "99": "b"})) == ["12.server.site"]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("STANDIN_ABSENT", "1", "does not have it: No module named 'psij'"),
        ("STANDIN_VERSION", "0.9.3", "has psij-python 0.9.3, and 0.9.11 or newer is needed"),
    ],
)
def test_a_psij_that_will_not_do(
    make: Make, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(WeftError, match=words):
        make()


def test_an_executor_that_cannot_be_opened(make: Make) -> None:
    with pytest.raises(WeftError, match=r"no radical\.pilot here"):
        make(executor="rp")


def test_a_python_that_is_not_there(make: Make) -> None:
    with pytest.raises(WeftError, match="/no/such/python"):
        make(python="/no/such/python")


def test_a_provider_that_is_closed_takes_no_job(make: Make, job: NewJob) -> None:
    provider = make()
    provider.close()
    with pytest.raises(WeftError, match="closed"):
        provider.submit(job())


def test_the_doctor_says_what_is_there(plan: Plan, tmp_path: Path) -> None:
    plan(list=["12", "13"])
    settings = PSIJ(executor="slurm", python=sys.executable)
    first, second = list(checks(settings, tmp_path))
    assert first.what == "PSI/J 0.9.11 is there, with its executor 'slurm'."
    assert second.what == "Its batch system answers, and lists 2 jobs of yours."
    (only,) = list(checks(PSIJ(executor="rp", python=sys.executable), tmp_path))
    assert only.severity is Severity.ERROR
    assert "no radical.pilot here" in only.why
