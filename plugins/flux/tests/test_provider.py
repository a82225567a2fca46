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
from weft_flux.checks import checks
from weft_flux.dialect import build
from weft_flux.settings import Flux
from weft_testkit.rig import come_to
from weft_testkit.standin import Cell

BOUND = 60.0
Making = Callable[..., BatchProvider]
Jobs = Callable[..., Job]


@pytest.fixture
def provider(cell: Cell, tmp_path: Path) -> Making:
    def making(**options: Any) -> BatchProvider:
        made = build(Flux(**{"command_timeout": 20.0, **options}))
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
        ({"queue": "missing"}, "no queue 'missing'", "batch, debug, old, night"),
        ({"queue": "debug", "walltime": "31m"}, "more than the 30m", "refuses"),
        ({"queue": "debug", "walltime": "UNLIMITED"}, "more than the 30m", "refuses"),
    ],
)
def test_what_the_instance_does_not_have_ends_the_start(
    provider: Making, options: dict[str, Any], what: str, why: str
) -> None:
    with pytest.raises(WeftError, match=what) as caught:
        provider(**options)
    assert why in caught.value.why
    assert caught.value.todo


def test_doctor_says_the_same_and_tells_of_closed_queues(cell: Cell, tmp_path: Path) -> None:
    found = list(checks(Flux(queue="missing"), tmp_path))
    assert [one.severity for one in found] == [None, Severity.ERROR]
    assert found[0].what == "The Flux instance on standin[1-4] answers, with version 0.88.0."
    for name, why in (("old", "disabled by administrator"), ("night", "scheduling is stopped")):
        (_, closed) = checks(Flux(queue=name), tmp_path)
        assert closed.severity is Severity.WARNING
        assert why in closed.why
    assert [one.severity for one in checks(Flux(), tmp_path)] == [None, None]


def test_an_instance_without_queues_needs_no_name_of_one(cell: Cell, tmp_path: Path) -> None:
    cell.configure(queues={"": {"limit": 600}}, queue="")
    (_, alone) = checks(Flux(), tmp_path)
    assert alone.what == "The Flux instance takes jobs, with at most 10m for a job."
    (_, none) = checks(Flux(queue="batch"), tmp_path)
    assert (none.severity, none.why) == (Severity.ERROR, "It has no queues at all.")


def test_an_old_release_that_does_not_tell_limits_is_good_enough(
    cell: Cell, tmp_path: Path
) -> None:
    cell.configure(old=True)
    (_, found) = checks(Flux(queue="debug", walltime="99h"), tmp_path)
    assert found.what == "The queue 'debug' takes jobs."


@pytest.mark.parametrize(
    ("kind", "why"), [("fail", "Unable to connect"), ("garbage", "told of no queue"), ("hang", "")]
)
def test_an_instance_that_does_not_answer_is_told_of(
    cell: Cell, provider: Making, kind: str, why: str
) -> None:
    cell.fault("flux queue", kind, "flux-queue: ERROR: Unable to connect to Flux", 1)
    with pytest.raises(WeftError, match="Flux does not answer") as caught:
        provider(command_timeout=1.0 if kind == "hang" else 20.0)
    assert (why or "has not come back within 1 s") in caught.value.why


def test_a_missing_command_is_named(
    cell: Cell, provider: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell.programs / "flux").unlink()
    monkeypatch.setenv("PATH", str(cell.programs))
    with pytest.raises(WeftError, match="cannot be reached") as caught:
        provider()
    assert "no command flux" in caught.value.why
    assert "flux resource list" in caught.value.todo


def test_the_instance_that_is_named_is_the_one_that_is_asked(cell: Cell, provider: Making) -> None:
    assert provider(uri="ssh://there/x")._commands.environment["FLUX_URI"] == "ssh://there/x"
    cell.configure(attributes={"jobid": "ƒiFkbMhFM"})
    assert provider().site == "flux:standin[1-4]/ƒiFkbMhFM"


# -------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue": "old"}, "job submission is disabled: disabled by administrator"),
        ({"bank": "nobodys"}, "cannot find user/bank entry"),
        ({"scheduler_options": ("--zz=1",)}, "unrecognized arguments: --zz"),
    ],
)
def test_a_refusal_has_the_words_of_flux_and_leaves_no_job(
    cell: Cell, provider: Making, job: Jobs, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(WeftError) as caught:
        provider(**options).submit(job())
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


def test_a_command_that_flux_would_misread_is_refused(provider: Making, job: Jobs) -> None:
    with pytest.raises(WeftError) as caught:
        provider().submit(job("true\n# flux: -n 4"))
    assert "takes for an option" in caught.value.why


def test_a_broker_that_does_not_answer_is_no_refusal(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    cell.fault("flux batch", "fail", "flux-batch: ERROR: Unable to connect to Flux", 1)
    with pytest.raises(SubmitLater, match="Unable to connect"):
        one.submit(job())


def test_a_job_of_which_flux_did_not_tell_is_cancelled_before_the_next(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    cell.fault("flux batch", "garbage")
    with pytest.raises(WeftError) as caught:
        one.submit(job("sleep 600"))
    assert "no job id" in caught.value.why
    assert cell.left() == [1]
    cell.fault("flux batch", "")
    second = one.submit(job("sleep 600", 2))
    assert len(cell.calls("flux cancel")) == 1
    one.close()
    assert cell.calls("flux cancel")[1] == [second]


# --------------------------------------------------------------------------------- how jobs are


def test_what_cannot_be_had_fails_with_the_words_of_flux(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    status = come_to(one, one.submit(job(nodes=5)))
    assert (status.state, status.exit_code) == (JobState.FAILED, None)
    assert status.reason == "FAILED (alloc: unsatisfiable request)"


def test_a_job_at_its_limit_has_expired(cell: Cell, provider: Making, job: Jobs) -> None:
    status = come_to(one := provider(walltime="500ms"), one.submit(job("sleep 600")))
    assert (status.state, status.exit_code) == (JobState.EXPIRED, 142)
    assert "resource allocation expired" in status.reason


def test_what_keeps_a_job_waiting_is_told(cell: Cell, provider: Making, job: Jobs) -> None:
    cell.configure(pending="insufficient resources")
    one = provider()
    number = one.submit(job())
    status = one.status([number])[number]
    assert (status.state, status.reason) == (JobState.QUEUED, "SCHED (insufficient resources)")
    held = provider(scheduler_options=("--urgency=0",))
    number = held.submit(job("true", 2))
    assert "it is held" in held.status([number])[number].reason
    one.close()
    held.close()


def test_half_of_the_calls_may_fail(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    words = "flux: ERROR: [Errno 11] Resource temporarily unavailable"
    for name in ("flux jobs", "flux cancel"):
        cell.fault(name, "every-second", words, 1)
    good, long = one.submit(job()), one.submit(job("sleep 600", 2))
    assert come_to(one, good).state is JobState.DONE
    one.cancel([long])
    assert come_to(one, long).state is JobState.CANCELLED


def test_while_flux_is_silent_nothing_has_ended(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    number = one.submit(job())
    cell.fault("flux jobs", "fail", "flux-jobs: ERROR: Unable to connect to Flux", 1)
    status = one.status([number])[number]
    assert status.state is JobState.UNKNOWN
    assert "Unable to connect" in status.reason
    cell.fault("flux jobs", "garbage")
    assert one.status([number])[number].state is JobState.UNKNOWN
    cell.fault("flux jobs", "")
    assert come_to(one, number).state is JobState.DONE


def test_what_cannot_be_cancelled_is_told(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    number = one.submit(job("sleep 600"))
    cell.fault("flux cancel", "fail", "flux-cancel: ERROR: Permission denied", 1)
    with pytest.raises(WeftError, match="could not be cancelled") as caught:
        one.cancel([number])
    assert "Permission denied" in caught.value.why
    assert f"flux cancel {number}" in caught.value.todo
    cell.fault("flux cancel", "")
    one.close()


def test_only_what_is_ours_is_listed(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    number, done = one.submit(job("sleep 600")), one.submit(job("true", 2))
    come_to(one, done)
    jobs = {number: "weft-1", done: "weft-2", "f99": "weft-1"}
    assert list(one.listed(jobs)) == [number]
    assert list(one.listed({number: "another"})) == []
    assert one.site == "flux:standin[1-4]"
    one.close()


def test_a_job_gets_the_machines_that_it_asks_for(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider(cores_per_node=4)
    asked = job('echo "$STANDIN_NODES"', nodes=3)
    come_to(one, one.submit(asked))
    assert (asked.folder / "job.out").read_text() == "node1,node2,node3\n"
