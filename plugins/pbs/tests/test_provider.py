"""The provider over stand-ins that refuse, hang, lie and forget."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import JOB_ENDED, Job, JobState
from weft.values.problem import Severity
from weft_pbs.checks import checks
from weft_pbs.provider import PbsProvider
from weft_pbs.settings import Pbs
from weft_testkit.rig import come_to, until
from weft_testkit.standin import Cell

BOUND = 60.0
LONG = "while :; do sleep 0.1; done"

Clusters = Callable[..., Cell]
Making = Callable[..., Any]


@pytest.fixture
def started(tmp_path: Path) -> Making:
    """Makes and starts a provider."""

    def making(**options: Any) -> PbsProvider:
        made = PbsProvider(Pbs(command_timeout=30.0, **options))
        made.start(FakeContext(tmp_path))
        return made

    return making


@pytest.fixture
def job(tmp_path: Path) -> Making:
    def making(number: int = 1, command: str = "true", **more: Any) -> Job:
        folder = tmp_path / f"job, {number}"
        folder.mkdir()
        return Job(name=f"weft-{number}", command=command, folder=folder, **more)

    return making


def impatient(provider: PbsProvider, seconds: float) -> None:
    """Give commands so long from now on: little to one that hangs, much to all others."""
    provider._commands = attrs.evolve(provider._commands, timeout=seconds)


# --------------------------------------------------------------------------------------- the start


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue": "wrkq"}, "no queue 'wrkq'"),
        ({"queue": "closed"}, "takes no jobs"),
        ({"queue": "short", "walltime": "00:30:01"}, "more than the 00:30:00"),
        ({"walltime": "25:00:00"}, "more than the 24:00:00"),
    ],
)
def test_what_the_server_does_not_have_is_told_at_the_start(
    cluster: Cell, started: Making, options: dict[str, str], said: str
) -> None:
    with pytest.raises(WeftError, match=said) as caught:
        started(**options)
    assert caught.value.todo
    assert not cluster.calls("qsub")


def test_without_a_default_queue_one_has_to_be_named(clusters: Clusters, started: Making) -> None:
    clusters(default="")
    with pytest.raises(WeftError, match="No queue is named") as caught:
        started()
    assert "workq, short" in caught.value.why
    started(queue="short")


def test_a_queue_that_starts_nothing_is_warned_of(
    cluster: Cell, tmp_path: Path, started: Making
) -> None:
    context = FakeContext(tmp_path)
    PbsProvider(Pbs(queue="stopped")).start(context)
    assert any("starts no jobs" in str(notice) for notice in context.notices)


def test_the_dialect_is_found_out_or_named(cluster: Cell, started: Making) -> None:
    started()
    started(dialect="torque")
    asked = [words for words in cluster.calls("qstat") if words == ["--version"]]
    assert len(asked) == 1


@pytest.mark.parametrize("option", ["project", "place"])
def test_torque_does_not_have_all_options(torque: Cell, started: Making, option: str) -> None:
    with pytest.raises(WeftError, match=f"option {option} means nothing to TORQUE"):
        started(**{option: "x"})


def test_a_missing_command_is_named(
    cluster: Cell, started: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not that of another scheduler, either, which may be here and is called alike.
    monkeypatch.setenv("PATH", str(cluster.programs))
    (cluster.programs / "qselect").unlink()
    with pytest.raises(WeftError, match="cannot be reached") as caught:
        started()
    assert "no command qselect on PATH" in caught.value.why


@pytest.mark.parametrize("kind", ["garbage", "hang", "fail"])
def test_a_server_that_does_not_answer_is_told_at_the_start(
    cluster: Cell, tmp_path: Path, kind: str
) -> None:
    cluster.fault("qstat", kind, "qstat: cannot connect to server server (errno=15010)", 255)
    provider = PbsProvider(Pbs(command_timeout=1.5 if kind == "hang" else 30.0))
    with pytest.raises(WeftError, match="PBS does not answer") as caught:
        provider.start(FakeContext(tmp_path))
    words = {"garbage": "option dialect", "hang": "has not come back", "fail": "cannot connect"}
    assert words[kind] in caught.value.why


def test_the_doctor_looks_at_server_queue_and_nodes(cluster: Cell, tmp_path: Path) -> None:
    asked = Pbs(queue="short", cores_per_node=9, memory_per_node=1 << 30)
    found = {one.what: one.severity for one in checks(asked, tmp_path)}
    assert found["The server 'server' answers, with PBS 23.06.06."] is None
    assert found["The queue 'short' takes and starts jobs, of 00:30:00 at most."] is None
    assert found["There are 4 nodes, of which 4 are up."] is None
    assert found["No node that is up has cores_per_node=9."] is Severity.WARNING
    assert not any("memory_per_node" in what for what in found)


def test_the_doctor_of_torque_knows_its_nodes_too(torque: Cell, tmp_path: Path) -> None:
    found = [one.what for one in checks(Pbs(memory_per_node=33 << 30), tmp_path)]
    assert "The server 'server' answers, with TORQUE 6.1.3." in found
    assert f"No node that is up has memory_per_node={33 << 30}." in found


def test_the_doctor_tells_what_it_could_not_ask(cluster: Cell, tmp_path: Path) -> None:
    cluster.fault("pbsnodes", "fail", "pbsnodes: Unauthorized Request")
    assert any("Unauthorized" in one.why for one in checks(Pbs(), tmp_path))
    cluster.fault("qstat", "fail", "qstat: cannot connect to server server (errno=15010)", 255)
    (only,) = checks(Pbs(), tmp_path)
    assert only.severity is Severity.ERROR
    assert "cannot connect" in only.why


# -------------------------------------------------------------------------------------- submissions


def test_what_is_secret_is_in_no_script(cluster: Cell, started: Making, job: Making) -> None:
    provider = started(scheduler_options=("-h",))
    asked = job(environment={"TOKEN": "hush-hush"})
    provider.submit(asked)
    files = {file.name: file for file in asked.folder.iterdir()}
    assert set(files) == {"job.pbs", "job.env", "job.out", "job.err"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files.values()} == {0o600}
    assert "hush-hush" not in files["job.pbs"].read_text()
    provider.close()
    until(lambda: not cluster.left(), BOUND, "it was left behind")


@pytest.mark.parametrize("torque", [False, True])
def test_a_refusal_has_the_words_of_qsub(
    clusters: Clusters, started: Making, job: Making, torque: bool
) -> None:
    cell = clusters(torque=torque, accounts=["research"], version="6.1.3")
    provider = started(account="nobodys")
    with pytest.raises(WeftError) as caught:
        provider.submit(job())
    assert "Invalid Account" in caught.value.why
    assert "(The option account is 'nobodys'.)" in caught.value.why
    assert "account" in caught.value.todo
    cell.configure(queues={"other": {}})
    with pytest.raises(WeftError) as caught:
        provider.submit(job(2))
    assert "Unknown queue" in caught.value.why
    assert "There is workq, short, closed, stopped." in caught.value.why
    assert not cell.jobs()


def test_a_limit_that_is_new_is_told_by_qsub(cluster: Cell, started: Making, job: Making) -> None:
    provider = started(walltime="01:00:00")
    cluster.configure(queues={"workq": {"walltime": "00:30:00"}})
    with pytest.raises(WeftError) as caught:
        provider.submit(job())
    assert "violates queue and/or server resource limits" in caught.value.why
    assert "qstat -Qf" in caught.value.todo


def test_a_full_queue_and_a_silent_server_are_tried_later(
    cluster: Cell, started: Making, job: Making
) -> None:
    provider = started()
    words = "qsub: Maximum number of jobs for user me already in queue workq"
    cluster.fault("qsub", "fail", words)
    with pytest.raises(SubmitLater, match="Maximum number of jobs"):
        provider.submit(job())
    cluster.fault("qsub", "fail", "qsub: cannot connect to server server (errno=15010)")
    with pytest.raises(SubmitLater, match="cannot connect"):
        provider.submit(job(2))


@pytest.mark.parametrize(("kind", "torque"), [("late", False), ("garbage", True)])
def test_a_job_of_which_qsub_did_not_tell_is_deleted_before_the_next(
    clusters: Clusters, started: Making, job: Making, kind: str, torque: bool
) -> None:
    cell = clusters(torque=torque)
    provider = started()
    cell.fault("qsub", kind)
    for number, patience in enumerate((3.0, 12.0, 48.0), 1):
        impatient(provider, patience)
        with pytest.raises(WeftError):  # one that is to be tried later, or a refusal
            provider.submit(job(number, LONG))
        if cell.jobs():  # it was heard, on a machine with little to do at once
            break
    assert [one.number for one in cell.jobs()] == [1]
    cell.fault("qsub", "")
    impatient(provider, 30.0)
    other = provider.submit(job(9, LONG))
    assert cell.calls("qdel") == [["1.server"]]
    until(lambda: cell.job(1).state == "ended", BOUND, "the lost job lives on")
    assert cell.job(1).how == "cancelled"
    come_to(provider, other, JobState.RUNNING)


def test_jobs_of_that_name_in_other_folders_are_left_alone(
    cluster: Cell, started: Making, job: Making, tmp_path: Path
) -> None:
    first, second = started(), started()
    other = first.submit(job(1, LONG))
    cluster.fault("qsub", "garbage")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(WeftError, match="no id of a job"):
        second.submit(Job(name="weft-1", command=LONG, folder=tmp_path / "elsewhere"))
    cluster.fault("qsub", "")
    second.close()
    assert cluster.calls("qdel") == [["2.server"]]
    come_to(first, other, JobState.RUNNING)


def test_while_it_cannot_be_looked_for_nothing_more_is_submitted(
    cluster: Cell, started: Making, job: Making
) -> None:
    provider = started()
    cluster.fault("qsub", "garbage")
    with pytest.raises(WeftError, match="no id of a job"):
        provider.submit(job())
    cluster.fault("qselect", "fail", "qselect: Unauthorized Request")
    with pytest.raises(SubmitLater, match="of which its submission did not tell"):
        provider.submit(job(2))
    assert len(cluster.calls("qsub")) == 1


# ------------------------------------------------------------------------------------ how they are


def test_a_held_job_says_so_and_starts_when_it_is_released(
    cluster: Cell, started: Making, job: Making
) -> None:
    provider = started(scheduler_options=("-h",))
    job_id = provider.submit(job())
    status = provider.status([job_id])[job_id]
    assert (status.state, status.reason) == (JobState.QUEUED, f"held ('qrls {job_id}' lets it go)")
    cluster.release(1)
    assert come_to(provider, job_id, *JOB_ENDED).state is JobState.DONE


def test_a_job_that_wants_too_much_says_so(cluster: Cell, started: Making, job: Making) -> None:
    provider = started()
    job_id = provider.submit(job(nodes=5))
    reason = provider.status([job_id])[job_id].reason
    assert "Can Never Run" in reason
    assert "as much as it asks for" in reason


@pytest.mark.parametrize(
    ("torque", "history"), [(False, True), (False, False), (True, False)], ids=str
)
def test_a_job_over_its_walltime_has_expired(
    clusters: Clusters, started: Making, job: Making, torque: bool, history: bool
) -> None:
    clusters(torque=torque, history=history)
    provider = started(walltime="1")
    job_id = provider.submit(job(1, LONG))
    status = come_to(provider, job_id, *JOB_ENDED)
    assert status.state is JobState.EXPIRED
    assert "walltime" in status.reason


@pytest.mark.parametrize("keep", [300, 0])
def test_torque_shows_ended_jobs_for_a_while(
    clusters: Clusters, started: Making, job: Making, keep: int
) -> None:
    clusters(torque=True, history=False, keep=keep)
    provider = started()
    good, bad = provider.submit(job(1)), provider.submit(job(2, "exit 3"))
    assert come_to(provider, good, *JOB_ENDED).state is JobState.DONE
    status = come_to(provider, bad, *JOB_ENDED)
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)
    assert ("has forgotten" in status.reason) is (keep == 0)


@pytest.mark.parametrize("history", [True, False])
def test_a_job_that_somebody_else_has_deleted_has_ended(
    clusters: Clusters, started: Making, job: Making, history: bool
) -> None:
    cell = clusters(history=history)
    provider = started()
    job_id = provider.submit(job(1, LONG))
    come_to(provider, job_id, JobState.RUNNING)
    cell.cancel(1)
    state = come_to(provider, job_id, *JOB_ENDED).state
    assert state is (JobState.CANCELLED if history else JobState.FAILED)


def test_a_history_that_is_switched_off_is_not_asked_for_any_more(
    cluster: Cell, started: Making, job: Making
) -> None:
    provider = started()
    job_id = provider.submit(job())
    until(lambda: not cluster.left(), BOUND, "it does not end")
    cluster.configure(history=False)
    assert "not configured" in provider.status([job_id])[job_id].reason
    assert provider.status([job_id])[job_id].state is JobState.DONE
    assert cluster.calls("qstat")[-1] == ["-f", job_id]


@pytest.mark.parametrize("kind", ["fail", "garbage", "hang"])
def test_while_the_server_is_silent_nothing_has_ended(
    cluster: Cell, started: Making, job: Making, kind: str
) -> None:
    provider = started()
    job_id = provider.submit(job())
    until(lambda: not cluster.left(), BOUND, "it does not end")
    cluster.fault("qstat", kind, "qstat: cannot connect to server server (errno=15010)", 255)
    impatient(provider, 2.0)
    status = provider.status([job_id])[job_id]
    assert status.state is JobState.UNKNOWN
    assert "could not be asked" in status.reason
    cluster.fault("qstat", "")
    impatient(provider, 30.0)
    assert provider.status([job_id])[job_id].state is JobState.DONE


def test_it_works_where_every_second_command_fails(
    cluster: Cell, started: Making, job: Making
) -> None:
    provider = started()
    for name in ("qsub", "qstat", "qdel", "qselect"):
        cluster.fault(name, "every-second", f"{name}: cannot connect to server server (errno=1)")
    ids: list[str] = []
    waiting = [job(number, "exit 3" if number % 2 else LONG) for number in range(1, 5)]
    while waiting:
        try:
            ids.append(provider.submit(waiting[0]))
        except SubmitLater:
            # As the pool has it, which gives the next try a new folder.
            for file in waiting[0].folder.iterdir():
                file.unlink()
        else:
            waiting.pop(0)
    for job_id in ids[::2]:
        assert come_to(provider, job_id, *JOB_ENDED).exit_code == 3
    provider.close()
    until(lambda: not cluster.left(), BOUND, "jobs were left behind")
    assert len(cluster.jobs()) == 4


# ------------------------------------------------------------------------------------------ the end


def test_what_cannot_be_deleted_is_told(cluster: Cell, started: Making, job: Making) -> None:
    provider = started()
    job_id = provider.submit(job(1, LONG))
    cluster.fault("qdel", "fail", "qdel: Server could not connect to MOM 1.server", 205)
    with pytest.raises(WeftError, match="could not be cancelled") as caught:
        provider.cancel([job_id])
    assert "could not connect to MOM" in caught.value.why
    assert "qdel 1.server" in caught.value.todo
    cluster.fault("qdel", "")
    provider.close()
    until(lambda: not cluster.left(), BOUND, "it was left behind")


def test_only_what_is_ours_is_listed(cluster: Cell, started: Making, job: Making) -> None:
    provider = started(scheduler_options=("-h",))
    ids = [provider.submit(job(number)) for number in range(1, 4)]
    cluster.change(2, user="somebody")
    cluster.cancel(3)
    until(lambda: cluster.left() == [1, 2], BOUND, "it does not end")
    jobs = {**{one: f"weft-{number}" for number, one in enumerate(ids, 1)}, "99.server": "weft-99"}
    assert list(provider.listed(jobs)) == [ids[0]]
    assert list(provider.listed({ids[0]: "another"})) == []
    assert provider.site == "pbs:server"
    cluster.fault("qstat", "fail", "qstat: cannot connect to server server (errno=1)", 255)
    with pytest.raises(RuntimeError, match="cannot connect"):
        provider.listed(jobs)
