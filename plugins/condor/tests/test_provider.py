"""The provider over commands that refuse, hang, lie and forget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft.batch.arrays import ArrayProvider
from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import Job, JobState
from weft.values.problem import Severity
from weft_condor.checks import checks
from weft_condor.dialect import build
from weft_condor.settings import Condor
from weft_testkit.rig import come_to, until
from weft_testkit.standin import Cell

BOUND = 60.0
DOWN = "-- Failed to fetch ads from: <127.0.0.1:9618> : standin"
Making = Callable[..., ArrayProvider]
Jobs = Callable[..., Job]


@pytest.fixture
def provider(cell: Cell, tmp_path: Path) -> Making:
    def making(**options: Any) -> ArrayProvider:
        made = build(Condor(**{"command_timeout": 20.0, **options}))
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


def test_doctor_names_the_queue_and_looks_for_a_machine(cell: Cell, tmp_path: Path) -> None:
    fits = Condor(cores_per_node=8, memory_per_node=16 << 30, requirements='OpSys == "LINUX"')
    queue, machine = checks(fits, tmp_path)
    assert (queue.what, queue.severity) == ("The schedd 'standin' answers.", None)
    assert machine.severity is None
    for wrong in (
        Condor(cores_per_node=9),
        Condor(memory_per_node=17 << 30),
        Condor(requirements='OpSys == "WINDOWS"'),
    ):
        (_, machine) = checks(wrong, tmp_path)
        assert (machine.severity, machine.what[:24]) == (
            Severity.WARNING,
            "The pool has no machine ",
        )
    # An expression that speaks of the job is left for when there is one.
    (_, machine) = checks(Condor(requirements="TARGET.Cpus > MY.RequestCpus"), tmp_path)
    assert machine.what == "The pool has a machine."


def test_a_pool_that_does_not_answer_is_a_warning(cell: Cell, tmp_path: Path) -> None:
    cell.fault("condor_status", "garbage")
    (_, machine) = checks(Condor(), tmp_path)
    assert machine.severity is Severity.WARNING
    assert "could not be found out" in machine.what


@pytest.mark.parametrize(
    ("kind", "why"), [("fail", "Failed to fetch ads"), ("garbage", "no schedd"), ("hang", "1 s")]
)
def test_a_queue_that_does_not_answer_is_told_of(
    cell: Cell, provider: Making, kind: str, why: str
) -> None:
    cell.fault("condor_q", kind, DOWN, 1)
    with pytest.raises(WeftError, match="HTCondor does not answer") as caught:
        provider(command_timeout=1.0 if kind == "hang" else 20.0)
    assert why in caught.value.why


def test_a_missing_command_is_named(
    cell: Cell, provider: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell.programs / "condor_history").unlink()
    monkeypatch.setenv("PATH", str(cell.programs))
    with pytest.raises(WeftError, match="cannot be reached") as caught:
        provider()
    assert "no command condor_history" in caught.value.why
    assert "access point" in caught.value.todo


# -------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"accounting_group": "nobodys"}, "accounting_group 'nobodys' is not one of this pool's"),
        ({"requirements": "OpSys == && ("}, "Parse error in expression: Requirements"),
        ({"transfer_input_files": ("/no/such/file",)}, "Can't open '/no/such/file'"),
        ({"scheduler_options": ("nonsense_option = 1",)}, "Is it a typo?"),
        ({"scheduler_options": ("+Mine = )",)}, "Parse error in expression: Mine"),
    ],
)
def test_a_refusal_has_the_words_of_condor_submit_and_leaves_no_job(
    cell: Cell, provider: Making, job: Jobs, options: dict[str, Any], said: str
) -> None:
    cell.configure(groups=["", "physics"])
    with pytest.raises(WeftError) as caught:
        # A requirement that nobody understands is told of at the start, as a warning.
        provider(**options).submit(job())
    assert not isinstance(caught.value, SubmitLater)
    assert said in caught.value.why
    assert caught.value.todo
    assert cell.jobs() == []


def test_more_than_one_machine_is_refused_before_anything_is_written(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    asked = job(nodes=2)
    with pytest.raises(WeftError) as caught:
        provider().submit(asked)
    assert "a slot on one" in caught.value.why
    assert list(asked.folder.iterdir()) == []
    assert cell.calls("condor_submit") == []


def test_a_queue_that_is_nowhere_is_told_of(cell: Cell, provider: Making) -> None:
    with pytest.raises(WeftError, match="does not answer") as caught:
        provider(schedd="elsewhere")
    assert "Can't find address of schedd elsewhere" in caught.value.why
    assert provider(schedd="ap2", pool="cm1:9618").site == "condor:standin"
    assert cell.calls("condor_q")[-1] == ["-pool", "cm1:9618", "-name", "ap2", "-totals"]


def test_a_folder_that_cannot_be_used_is_refused(provider: Making, job: Jobs) -> None:
    asked = job()
    asked.folder.rmdir()
    with pytest.raises(WeftError, match="was not given the job") as caught:
        provider().submit(asked)
    assert "No such file or directory" in caught.value.why


def test_a_schedd_that_does_not_answer_is_no_refusal(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    cell.fault("condor_submit", "fail", "\nERROR: Can't find address of local schedd", 1)
    with pytest.raises(SubmitLater, match="Can't find address of local schedd"):
        one.submit(job())


def test_a_job_of_which_condor_submit_did_not_tell_is_removed_before_the_next(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    cell.fault("condor_submit", "garbage")
    with pytest.raises(WeftError) as caught:
        one.submit(job("sleep 600"))
    assert "no id of one job" in caught.value.why
    assert cell.left() == [1]
    cell.fault("condor_submit", "")
    assert one.submit(job("sleep 600", 2)) == "2.0"
    assert cell.calls("condor_rm") == [["1.0"]]
    one.close()
    assert cell.calls("condor_rm")[1] == ["2.0"]


# --------------------------------------------------------------------------- several at once


def test_several_jobs_are_one_submission_and_each_is_itself(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    asked = [job(f'echo "$N"; exit {n}', n, environment={"N": str(n)}) for n in range(3)]
    ids = [str(found) for found in one.submit_all(asked)]
    assert ids == ["1.0", "1.1", "1.2"]
    assert len(cell.calls("condor_submit")) == 1
    for number, (job_id, single) in enumerate(zip(ids, asked, strict=True)):
        status = come_to(one, job_id)
        assert (status.state is JobState.DONE, status.exit_code) == (number == 0, number)
        assert (single.folder / "job.out").read_text() == f"{number}\n"


def test_one_of_several_is_cancelled_and_the_others_are_listed(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    asked = [job("sleep 600", n) for n in range(3)]
    ids = [str(found) for found in one.submit_all(asked)]
    one.cancel(ids[1:2])
    assert come_to(one, ids[1]).state is JobState.CANCELLED
    names = {job_id: single.name for job_id, single in zip(ids, asked, strict=True)}
    assert sorted(one.listed(names)) == [ids[0], ids[2]]
    one.close()
    assert cell.calls("condor_rm")[1:] == [[ids[0], ids[2]]]


def test_several_of_which_condor_submit_did_not_tell_are_removed_before_the_next(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    cell.fault("condor_submit", "garbage")
    found = one.submit_all([job("sleep 600", n) for n in range(2)])
    assert all(isinstance(error, WeftError) for error in found)
    assert len(cell.left()) == 2
    cell.fault("condor_submit", "")
    last = one.submit(job("sleep 600", 7))
    # Those that have not begun yet do not find their folders any more.
    until(lambda: cell.left() == [3], BOUND, "the others stay")
    one.cancel([last])
    come_to(one, last)


# --------------------------------------------------------------------------------- how jobs are


def test_files_are_carried_to_where_the_job_starts(
    cell: Cell, provider: Making, job: Jobs, tmp_path: Path
) -> None:
    (tmp_path / "model.bin").write_text("model")
    one = provider(transfer_input_files=(str(tmp_path / "model.bin"),), cores_per_node=3)
    asked = job('pwd; cat model.bin; echo $WEFT_CORES; echo "${PATH_OF_MINE-none}"')
    assert come_to(one, one.submit(asked)).state is JobState.DONE
    where, *said = (asked.folder / "job.out").read_text().splitlines()
    assert Path(where).parent == cell.folder
    assert said[0] == "model3"
    assert said[1] == "none"


def test_variables_come_along_by_their_names(
    provider: Making, job: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE_A", "a")
    monkeypatch.setenv("YOURS", "b")
    one = provider(getenv=("MINE_*",))
    asked = job('echo "${MINE_A-none} ${YOURS-none}"')
    come_to(one, one.submit(asked))
    assert (asked.folder / "job.out").read_text() == "a none\n"


def test_a_job_at_the_end_of_its_walltime_has_expired(provider: Making, job: Jobs) -> None:
    status = come_to(one := provider(walltime="00:00:01"), one.submit(job("sleep 600")))
    assert status.state is JobState.EXPIRED
    assert "PeriodicRemove" in status.reason


def test_what_no_machine_fits_waits_and_says_so(provider: Making, job: Jobs) -> None:
    one = provider(cores_per_node=9)
    number = one.submit(job())
    status = one.status([number])[number]
    assert status.state is JobState.QUEUED
    assert status.reason.startswith("IDLE (no match found): 'condor_q -better-analyze'")
    one.close()


def test_a_job_that_is_held_back_waits(provider: Making, job: Jobs) -> None:
    one = provider(scheduler_options=("hold = true",))
    number = one.submit(job())
    status = one.status([number])[number]
    assert status.state is JobState.QUEUED
    assert status.reason.startswith("HELD (code 15.0: submitted on hold at user's request)")
    one.close()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (
            {"on_hold": {"1": [34, 102, "memory usage exceeded request_memory"]}},
            "HELD (code 34.102: memory usage exceeded request_memory)",
        ),
        ({"evicted": ["1"]}, "IDLE again: it has lost its machine slot1_1@node1"),
    ],
)
def test_what_would_stay_in_the_queue_for_ever_has_failed_and_is_removed(
    cell: Cell, provider: Making, job: Jobs, what: dict[str, Any], reason: str
) -> None:
    one = provider()
    number = one.submit(job("sleep 600"))
    come_to(one, number, JobState.RUNNING)
    cell.configure(**what)
    status = one.status([number])[number]
    assert status.state is JobState.FAILED
    assert status.reason.startswith(reason)
    assert cell.calls("condor_rm") == [[number]]
    one.close()
    assert cell.calls("condor_rm") == [[number]]


def test_while_the_history_lags_no_end_is_made_up(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    asked = job("exit 3")
    number = one.submit(asked)
    until(lambda: not cell.left(), BOUND, "the job stays")
    (asked.folder / "job.code").unlink()  # as if the folder were not seen from that machine
    cell.configure(lags=True)
    assert one.status([number])[number].state is JobState.UNKNOWN
    cell.configure(lags=False)
    status = one.status([number])[number]
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)


def test_half_of_the_calls_may_fail(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    for name in ("condor_q", "condor_history", "condor_rm"):
        cell.fault(name, "every-second", DOWN, 1)
    good, long = one.submit(job()), one.submit(job("sleep 600", 2))
    assert come_to(one, good).state is JobState.DONE
    one.cancel([long])
    assert come_to(one, long).state is JobState.CANCELLED


def test_while_the_schedd_is_silent_nothing_has_ended(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    number = one.submit(job())
    cell.fault("condor_q", "fail", DOWN, 1)
    status = one.status([number])[number]
    assert status.state is JobState.UNKNOWN
    assert "Failed to fetch ads" in status.reason
    cell.fault("condor_q", "garbage")
    assert one.status([number])[number].state is JobState.UNKNOWN
    cell.fault("condor_q", "")
    assert come_to(one, number).state is JobState.DONE


def test_what_cannot_be_cancelled_is_told(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    number = one.submit(job("sleep 600"))
    cell.fault("condor_rm", "fail", f"Permission denied to remove job {number}", 1)
    with pytest.raises(WeftError, match="could not be cancelled") as caught:
        one.cancel([number])
    assert "Permission denied to remove job" in caught.value.why
    assert f"condor_rm {number}" in caught.value.todo
    cell.fault("condor_rm", "")
    one.close()


def test_what_is_held_in_the_queue_is_found_and_removed_like_what_waits(
    cell: Cell, provider: Making, job: Jobs
) -> None:
    one = provider()
    cell.fault("condor_submit", "garbage")
    with pytest.raises(WeftError):
        one.submit(job("sleep 600"))
    cell.fault("condor_submit", "")
    hold = [13, 2, "Transfer input files failure"]
    cell.configure(on_hold={"1": hold})
    second = one.submit(job("sleep 600", 2))
    assert cell.calls("condor_rm") == [["1.0"]]
    cell.configure(on_hold={"2": hold})
    assert list(one.listed({second: "weft-2"})) == [second]
    one.close()


def test_only_what_is_ours_is_listed(cell: Cell, provider: Making, job: Jobs) -> None:
    one = provider()
    number, done = one.submit(job("sleep 600")), one.submit(job("true", 2))
    come_to(one, done)
    jobs = {number: "weft-1", done: "weft-2", "99.0": "weft-1"}
    assert list(one.listed(jobs)) == [number]
    assert list(one.listed({number: "another"})) == []
    one.close()
