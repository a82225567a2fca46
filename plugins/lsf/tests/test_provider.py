"""The provider over commands that refuse, hang, lie and forget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft.batch.provider import BatchProvider
from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import Job, JobState
from weft.values.problem import Severity
from weft_lsf.checks import checks
from weft_lsf.dialect import build
from weft_lsf.settings import LSF
from weft_testkit.rig import come_to, until
from weft_testkit.standin import Cell

BOUND = 60.0
Making = Callable[..., BatchProvider]
Jobs = Callable[..., Job]


@pytest.fixture
def provider(cell: Cell, tmp_path: Path) -> Making:
    def making(**options: Any) -> BatchProvider:
        made = build(LSF(**{"command_timeout": 20.0, **options}))
        made.start(FakeContext(tmp_path))
        return made

    return making


@pytest.fixture
def job(tmp_path: Path) -> Jobs:
    def making(command: str = "true", number: int = 1, **more: Any) -> Job:
        folder = tmp_path / f"job-{number}"
        folder.mkdir()
        return Job(name=f"weft-{number}", command=command, folder=folder, **more)

    return making


# ----------------------------------------------------------------------------------- at the start


@pytest.mark.parametrize(
    ("options", "what", "why"),
    [
        ({"queue": "missing"}, "no queue 'missing'", "normal, short, old"),
        ({"queue": "short", "walltime": "0:31"}, "more than the 30 minutes", "refuses"),
    ],
)
def test_what_the_cluster_does_not_have_ends_the_start(
    provider: Making, options: dict[str, Any], what: str, why: str
) -> None:
    with pytest.raises(WeftError, match=what) as caught:
        provider(**options)
    assert why in caught.value.why
    assert caught.value.todo


def test_doctor_says_the_same_and_tells_of_a_closed_queue(cell: Cell, tmp_path: Path) -> None:
    found = list(checks(LSF(queue="missing"), tmp_path))
    assert [one.severity for one in found] == [None, Severity.ERROR]
    assert "'standin' answers, with IBM Spectrum LSF Standard" in found[0].what
    (_, closed) = checks(LSF(queue="old"), tmp_path)
    assert (closed.severity, closed.why) == (Severity.WARNING, "LSF says that it is Closed:Inact.")
    assert [one.severity for one in checks(LSF(), tmp_path)] == [None, None]


@pytest.mark.parametrize(
    ("kind", "why"), [("fail", "LSF is down"), ("garbage", "no table"), ("hang", "within 1 s")]
)
def test_a_cluster_that_does_not_answer_is_told_of(
    cell: Cell, provider: Making, kind: str, why: str
) -> None:
    cell.fault("bqueues", kind, "LSF is down. Please wait ...", 255)
    with pytest.raises(WeftError, match="LSF does not answer") as caught:
        provider(command_timeout=1.0 if kind == "hang" else 20.0)
    assert why in caught.value.why


def test_a_missing_command_is_named(
    cell: Cell, provider: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell.programs / "bhist").unlink()
    monkeypatch.setenv("PATH", str(cell.programs))
    with pytest.raises(WeftError, match="cannot be reached") as caught:
        provider()
    assert "no command bhist" in caught.value.why
    assert "profile.lsf" in caught.value.todo


# -------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue": "old"}, "Queue has been closed"),
        ({"queue": "short", "exclusive": True}, "Queue does not accept EXCLUSIVE jobs"),
        ({"project": "nobodys"}, "does not exist"),
        ({"user_group": "others"}, "User not in the specified user group"),
        ({"resources": "select[a"}, "syntax error"),
        ({}, "Too many processors requested"),
        ({"cores_per_node": 64}, "Too many processors requested"),
        ({"scheduler_options": ("-Zz",)}, "-Zz: Illegal option"),
    ],
)
def test_a_refusal_has_the_words_of_bsub_and_leaves_no_job(
    cell: Cell, provider: Making, job: Jobs, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(WeftError) as caught:
        # There are four machines.
        provider(**options).submit(job(nodes=5 if not options else 1))
    assert not isinstance(caught.value, SubmitLater)
    assert said in caught.value.why
    assert caught.value.todo
    assert cell.jobs() == []


def test_a_folder_that_cannot_be_used_is_refused(provider: Making, job: Jobs) -> None:
    asked = job()
    asked.folder.rmdir()
    with pytest.raises(WeftError, match="was not given the job") as caught:
        provider().submit(asked)
    assert "No such file or directory" in caught.value.why


def test_a_daemon_that_does_not_answer_is_no_refusal(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    cell.fault("bsub", "fail", "LSF is down. Please wait ...", 255)
    with pytest.raises(SubmitLater, match="LSF is down"):
        one.submit(job())


def test_a_job_of_which_bsub_did_not_tell_is_cancelled_before_the_next(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    cell.fault("bsub", "garbage")
    with pytest.raises(WeftError) as caught:
        one.submit(job("sleep 600"))
    assert "no job id" in caught.value.why
    assert cell.left() == [1]
    cell.fault("bsub", "")
    assert one.submit(job("sleep 600", 2)) == "2"
    assert cell.calls("bkill") == [["1"]]
    one.close()
    assert cell.calls("bkill") == [["1"], ["2"]]


# --------------------------------------------------------------------------------- how jobs are


def test_what_bjobs_has_forgotten_the_history_tells(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    number = one.submit(job("exit 3"))
    until(lambda: not cell.left(), BOUND, "the job stays")
    cell.configure(cleaned=True)
    status = one.status([number])[number]
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)
    assert cell.calls("bhist") == [["-l", number]]


def test_a_job_at_its_limit_has_expired(cell: Cell, provider: Making, job: Jobs) -> None:
    cell.configure(minute=0.05)
    status = come_to(one := provider(walltime="10"), one.submit(job("sleep 600")))
    assert status.state is JobState.EXPIRED
    assert "TERM_RUNLIMIT" in status.reason


def test_what_keeps_a_job_waiting_is_told(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider(scheduler_options=("-H",))
    number = one.submit(job())
    status = one.status([number])[number]
    assert status.state is JobState.QUEUED
    assert status.reason.startswith("PSUSP (The job was suspended by the user")
    one.close()


def test_half_of_the_calls_may_fail(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    words = "Failed in an LSF library call: LIM is down; try later"
    for name in ("bjobs", "bkill"):
        cell.fault(name, "every-second", words, 255)
    good, long = one.submit(job()), one.submit(job("sleep 600", 2))
    assert come_to(one, good).state is JobState.DONE
    one.cancel([long])
    assert come_to(one, long).state is JobState.CANCELLED


def test_while_lsf_is_silent_nothing_has_ended(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    number = one.submit(job())
    cell.fault("bjobs", "fail", "LSF is down. Please wait ...", 255)
    status = one.status([number])[number]
    assert status.state is JobState.UNKNOWN
    assert "LSF is down" in status.reason
    cell.fault("bjobs", "garbage")
    assert one.status([number])[number].state is JobState.UNKNOWN
    cell.fault("bjobs", "")
    assert come_to(one, number).state is JobState.DONE


def test_what_cannot_be_cancelled_is_told(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    number = one.submit(job("sleep 600"))
    cell.fault("bkill", "fail", f"Job <{number}>: User permission denied", 255)
    with pytest.raises(WeftError, match="could not be cancelled") as caught:
        one.cancel([number])
    assert "User permission denied" in caught.value.why
    assert f"bkill {number}" in caught.value.todo
    cell.fault("bkill", "")
    one.close()


def test_only_what_is_ours_is_listed(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    number, done = one.submit(job("sleep 600")), one.submit(job("true", 2))
    come_to(one, done)
    jobs = {number: "weft-1", done: "weft-2", "99": "weft-1"}
    assert list(one.listed(jobs)) == [number]
    assert list(one.listed({number: "another"})) == []
    assert one.site == "lsf:standin"
    one.close()


def test_a_job_gets_the_machines_that_it_asks_for(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider(cores_per_node=4)
    asked = job('echo "$LSB_HOSTS"', nodes=3)
    come_to(one, one.submit(asked))
    assert (asked.folder / "job.out").read_text() == "node1,node2,node3\n"
