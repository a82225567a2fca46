"""The provider over stand-ins that refuse, hang, lie and forget; and a whole run of htex."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import weft
from weft import Config, python_app
from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import JOB_ENDED, Job, JobState
from weft.values.problem import Severity
from weft_cobalt.checks import checks
from weft_cobalt.provider import CobaltProvider
from weft_cobalt.settings import Cobalt
from weft_testkit.rig import come_to, until
from weft_testkit.standin import Cell

BOUND = 90.0
LONG = "while :; do sleep 0.1; done"
FIRST = 500001
_EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "guide_cobalt.py"

Making = Callable[..., Any]


@pytest.fixture
def started(tmp_path: Path) -> Making:
    """Makes and starts a provider."""

    def making(**options: Any) -> CobaltProvider:
        made = CobaltProvider(Cobalt(command_timeout=30.0, **options))
        made.start(FakeContext(tmp_path))
        return made

    return making


@pytest.fixture
def job(tmp_path: Path) -> Making:
    def making(number: int = 1, command: str = "true", **more: Any) -> Job:
        folder = tmp_path / f"job {number}"
        folder.mkdir()
        return Job(name=f"weft-{number}", command=command, folder=folder, **more)

    return making


def impatient(provider: CobaltProvider, seconds: float) -> None:
    provider._commands = attrs.evolve(provider._commands, timeout=seconds)


# --------------------------------------------------------------------------------------- the start


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue": "debug"}, "no queue 'debug'"),
        ({"queue": "closed"}, "takes no jobs"),
        ({"queue": "debug-cache-quad", "walltime": "61"}, "more than the 01:00:00"),
    ],
)
def test_what_cobalt_does_not_have_is_told_at_the_start(
    cluster: Cell, started: Making, options: dict[str, str], said: str
) -> None:
    with pytest.raises(WeftError, match=said) as caught:
        started(**options)
    assert caught.value.todo
    assert not cluster.calls("qsub")


def test_without_a_queue_of_that_name_one_has_to_be_named(cluster: Cell, started: Making) -> None:
    cluster.configure(queues={"other": {}})
    with pytest.raises(WeftError, match="no queue 'default', where jobs go that name none"):
        started()


def test_it_is_known_by_where_its_components_are(
    cluster: Cell, started: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert started().site == "cobalt:https://sdb:8256"
    monkeypatch.setenv("COBALT_CONFIG_FILES", "/no/such/file")
    assert started().site == f"cobalt:{os.uname().nodename}"


@pytest.mark.parametrize("kind", ["garbage", "hang", "fail"])
def test_a_queue_manager_that_does_not_answer_is_told(
    cluster: Cell, tmp_path: Path, kind: str
) -> None:
    cluster.fault("qstat", kind, "Failed to connect to queue manager")
    settings = Cobalt(command_timeout=1.5 if kind == "hang" else 30.0)
    with pytest.raises(WeftError, match="Cobalt does not answer") as caught:
        CobaltProvider(settings).start(FakeContext(tmp_path))
    words = {"garbage": "no queues", "hang": "has not come back", "fail": "Failed to connect"}
    assert words[kind] in caught.value.why


def test_the_doctor_looks_at_the_queue(cluster: Cell, tmp_path: Path) -> None:
    found = {one.what: one.severity for one in checks(Cobalt(queue="stopped"), tmp_path)}
    assert found["Cobalt answers: https://sdb:8256."] is None
    assert found["The queue 'stopped' starts no jobs now."] is Severity.WARNING
    (cluster.programs / "qstat").write_text("#!/bin/sh\nexit 3\n")
    (only,) = checks(Cobalt(), tmp_path)
    assert only.severity is Severity.ERROR


# ----------------------------------------------------------------------------------- its whole life


def test_a_refusal_has_the_words_of_qsub(cluster: Cell, started: Making, job: Making) -> None:
    provider = started(queue="private")
    with pytest.raises(WeftError) as caught:
        provider.submit(job())
    assert "You are not allowed to submit to the 'private' queue" in caught.value.why
    assert "There is default, debug-cache-quad, private, closed, stopped." in caught.value.why
    provider = started(queue="debug-cache-quad", walltime="60")
    cluster.configure(queues={"debug-cache-quad": {"maxtime": 30}})
    with pytest.raises(WeftError) as caught:
        provider.submit(job(2))
    assert "queue max walltime of 00:30:00" in caught.value.why
    assert "(The option walltime is '60'.)" in caught.value.why
    with pytest.raises(WeftError) as caught:
        provider.submit(job(3, nodes=5000))
    assert "node count out of realistic range" in caught.value.why
    cluster.fault("qsub", "fail", "Failed to connect to queue manager")
    with pytest.raises(SubmitLater, match="Failed to connect"):
        provider.submit(job(4))
    assert not cluster.jobs()


def test_a_queue_that_is_gone_is_told_though_qsub_ends_well(
    cluster: Cell, started: Making, job: Making
) -> None:
    provider = started()
    cluster.configure(queues={"other": {}})
    with pytest.raises(WeftError) as caught:
        provider.submit(job())
    assert "maybe a queue isn't there" in caught.value.why


def test_a_job_of_which_qsub_did_not_tell_is_deleted_before_the_next(
    cluster: Cell, started: Making, job: Making
) -> None:
    provider, another = started(), started()
    other = another.submit(job(1, LONG))
    cluster.fault("qsub", "garbage")
    with pytest.raises(WeftError, match="no id of a job"):
        provider.submit(job(2, LONG))
    cluster.fault("qsub", "")
    provider.submit(job(3))
    assert cluster.calls("qdel") == [[str(FIRST + 1)]]
    until(lambda: cluster.job(FIRST + 1).how == "cancelled", BOUND, "the lost job lives on")
    come_to(another, other, JobState.RUNNING)


def test_a_held_job_says_so(cluster: Cell, started: Making, job: Making) -> None:
    provider = started(scheduler_options=("-h",))
    job_id = provider.submit(job())
    status = provider.status([job_id])[job_id]
    assert (status.state, status.reason) == (
        JobState.QUEUED,
        "user_hold: it is held back; 'qrls' lets it go",
    )
    cluster.release(FIRST)
    assert come_to(provider, job_id, *JOB_ENDED).state is JobState.DONE


def test_ends_are_read_from_the_log(cluster: Cell, started: Making, job: Making) -> None:
    cluster.configure(minute=0.02)
    provider = started(walltime="1")
    slow = provider.submit(job(1, LONG))
    status = come_to(provider, slow, *JOB_ENDED)
    assert (status.state, status.reason) == (
        JobState.EXPIRED,
        "Cobalt: maximum execution time exceeded",
    )
    provider = started()
    killed, deleted = provider.submit(job(2, "kill -9 $$")), provider.submit(job(3, LONG))
    assert come_to(provider, killed, *JOB_ENDED).state is JobState.FAILED
    come_to(provider, deleted, JobState.RUNNING)
    cluster.cancel(FIRST + 2)
    status = come_to(provider, deleted, *JOB_ENDED)
    assert status.state is JobState.CANCELLED
    assert "user delete requested" in status.reason


@pytest.mark.parametrize("kind", ["fail", "garbage", "hang"])
def test_while_the_queue_manager_is_silent_nothing_has_ended(
    cluster: Cell, started: Making, job: Making, kind: str
) -> None:
    provider = started()
    job_id = provider.submit(job())
    until(lambda: not cluster.left(), BOUND, "it does not end")
    cluster.fault("qstat", kind, "Failed to connect to queue manager")
    impatient(provider, 2.0)
    assert provider.status([job_id])[job_id].state is JobState.UNKNOWN
    cluster.fault("qstat", "")
    impatient(provider, 30.0)
    assert provider.status([job_id])[job_id].state is JobState.DONE


def test_it_works_where_every_second_command_fails(
    cluster: Cell, started: Making, job: Making
) -> None:
    provider = started()
    for name in ("qsub", "qstat", "qdel"):
        cluster.fault(name, "every-second", "Failed to connect to queue manager")
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


def test_only_what_is_ours_is_listed(cluster: Cell, started: Making, job: Making) -> None:
    provider = started(scheduler_options=("-h",))
    ids = [provider.submit(job(number)) for number in range(1, 4)]
    cluster.change(FIRST + 1, user="somebody")
    cluster.cancel(FIRST + 2)
    until(lambda: cluster.left() == [FIRST, FIRST + 1], BOUND, "it does not end")
    jobs = {one: f"weft-{number}" for number, one in enumerate(ids, 1)}
    assert list(provider.listed(jobs)) == [ids[0]]
    assert list(provider.listed({ids[0]: "another"})) == []


# -------------------------------------------------------------------------------------- whole runs


@python_app
def where() -> str:
    """The job on which it runs."""
    return os.environ["COBALT_JOBID"]


def test_a_block_runs_a_task_and_is_gone_afterwards(cluster: Cell, tmp_path: Path) -> None:
    config = Config(
        run_dir=tmp_path / "runs",
        executors=[
            weft.executor(
                "htex",
                provider=weft.provider("cobalt", poll_interval=0.5),
                workers_per_node=1,
            )
        ],
    )
    with weft.load(config):
        assert where().result(BOUND) == str(FIRST)
    until(lambda: not cluster.left(), BOUND, "the block was left behind")


def test_the_configuration_of_the_guide_asks_for_its_nodes(
    cluster: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cluster.configure(machines=2)
    with weft.load(runpy.run_path(str(_EXAMPLE))["config"]):
        until(cluster.jobs, BOUND, "it did not submit")
    (entry,) = cluster.jobs()
    assert entry.nodes == 8
    assert entry.options["project"] == "research"
    assert entry.options["attrs"] == "mcdram=cache:numa=quad"
    until(lambda: not cluster.left(), BOUND, "the block was left behind")
