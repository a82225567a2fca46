"""The provider on a real cluster: what is refused, what waits, how jobs end, what is forgotten."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import JOB_ENDED, Job, JobState, JobStatus
from weft.values.problem import Severity
from weft_slurm.checks import checks
from weft_slurm.provider import SlurmProvider
from weft_slurm.settings import Slurm

if TYPE_CHECKING:
    from tests.systems.slurm.conftest import Cluster

BOUND = 60.0
# The first test brings up the cluster, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)
Make = Callable[..., SlurmProvider]
Until = Callable[..., JobStatus]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes and starts providers, and closes them."""
    made: list[SlurmProvider] = []

    def making(**options: Any) -> SlurmProvider:
        made.append(SlurmProvider(Slurm(**{"exclusive": False, **options})))
        made[-1].start(FakeContext(tmp_path))
        return made[-1]

    yield making
    for one in made:
        one.close()


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    numbers = itertools.count(1)

    def making(command: str = "true", **more: Any) -> Job:
        name = f"weft-test-{next(numbers)}"
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        return Job(name=name, command=command, folder=folder, **more)

    return making


@pytest.fixture
def until(eventually: Callable[..., None]) -> Until:
    """Waits until what a provider says of a job is as it should be; gives the status."""

    def waiting(
        provider: SlurmProvider,
        job: str,
        holds: Callable[[JobStatus], object],
        bound: float = BOUND,
    ) -> JobStatus:
        seen: list[JobStatus] = []

        def there() -> object:
            seen.append(provider.status([job])[job])
            return holds(seen[-1])

        eventually(there, lambda: f"the job {job} stays {seen[-1]}", bound)
        return seen[-1]

    return waiting


def ended(status: JobStatus) -> bool:
    return status.state in JOB_ENDED


# ----------------------------------------------------------------------------------------- refusals


def test_a_partition_that_is_not_there_is_told_before_the_first_job(
    cluster: Cluster, make: Make
) -> None:
    with pytest.raises(WeftError) as caught:
        make(partition="norml")
    assert "no partition 'norml'" in caught.value.what
    assert "normal, debug, closed" in caught.value.why
    assert not cluster.jobs()


def test_so_is_a_walltime_that_the_partition_does_not_give(cluster: Cluster, make: Make) -> None:
    with pytest.raises(WeftError, match="'00:06:00' is more than the 5:00"):
        make(partition="debug", walltime="00:06:00")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"account": "nobodys"}, ("Invalid account or account/part", "option account")),
        ({"qos": "golden"}, ("Invalid qos specification", "option qos")),
        ({"constraint": "warp"}, ("Invalid feature specification", "option constraint")),
        ({"reservation": "mine"}, ("Requested reservation is invalid", "option reservation")),
        ({"gres": "gpu:1"}, ("Invalid generic resource (gres)", "gres or gpus_per_node")),
        ({"memory_per_node": 1 << 50}, ("Memory specification", "option memory_per_node")),
        ({"scheduler_options": ("--flying",)}, ("unrecognized option", "scheduler_options")),
    ],
)
def test_a_refusal_has_the_words_of_sbatch_and_what_to_do(
    cluster: Cluster,
    make: Make,
    job: Callable[..., Job],
    options: dict[str, Any],
    words: tuple[str, str],
) -> None:
    said, todo = words
    if not cluster.accounts and {"account", "qos"} & set(options):
        pytest.skip("this cluster keeps no accounts")
    provider = make(**options)
    with pytest.raises(WeftError) as caught:
        provider.submit(job())
    assert not isinstance(caught.value, SubmitLater)
    assert said in caught.value.why
    assert todo in caught.value.todo
    assert not cluster.jobs()


def test_too_many_jobs_are_no_refusal_but_come_later(
    cluster: Cluster, make: Make, job: Callable[..., Job], until: Until
) -> None:
    if not cluster.accounts:
        pytest.skip("this cluster keeps no accounts")
    provider = make(qos="narrow")
    first = provider.submit(job("sleep 60"))
    with pytest.raises(SubmitLater, match="QOSMaxSubmitJobPerUserLimit"):
        provider.submit(job())
    provider.cancel([first])
    until(provider, first, ended)
    second = provider.submit(job())
    assert until(provider, second, ended).state is JobState.DONE


def test_the_checks_find_what_the_cluster_does_not_have(cluster: Cluster, tmp_path: Path) -> None:
    def errors(**options: Any) -> list[str]:
        found = checks(Slurm(**options), tmp_path)
        return [one.what for one in found if one.severity is Severity.ERROR]

    assert errors() == []
    assert errors(partition="normal,debug") == []
    assert "no partition 'norml'" in errors(partition="norml")[0]
    if cluster.accounts:
        assert errors(account="research", qos="fast") == []
        assert "no account 'nobodys'" in errors(account="nobodys")[0]
        assert "quality of service 'golden'" in errors(qos="golden")[0]


def test_a_controller_that_is_down_is_told(
    cluster: Cluster, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = Path(cluster.conf).read_text()
    port = next(line for line in text.splitlines() if line.startswith("SlurmctldPort="))
    (tmp_path / "slurm.conf").write_text(text.replace(port, "SlurmctldPort=1"))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    with pytest.raises(WeftError, match="Slurm does not answer"):
        make(command_timeout=2.0)


# ------------------------------------------------------------- commands that are not as they were


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a script in the place of a command, as sites do; ``$real`` is the command."""
    folder = tmp_path / "instead"
    folder.mkdir()
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{folder}:{path}")

    def putting(name: str, script: str) -> None:
        real = shutil.which(name, path=path)
        assert real is not None
        file = folder / f"{name}.new"
        file.write_text(f"#!/bin/sh\nreal={real}\n{script}\n")
        file.chmod(0o700)
        file.rename(folder / name)

    return putting


def test_a_job_of_which_a_hanging_sbatch_did_not_tell_is_found_and_cancelled(
    cluster: Cluster,
    make: Make,
    job: Callable[..., Job],
    eventually: Callable[..., None],
    instead: Callable[[str, str], None],
) -> None:
    instead("sbatch", '$real "$@" >/dev/null; sleep 600')
    provider = make(partition="closed", command_timeout=10.0)
    with pytest.raises(SubmitLater, match="sbatch has not come back within 10 s"):
        provider.submit(job())
    eventually(lambda: len(cluster.jobs()) == 1, "the job was not heard")
    instead("sbatch", 'exec $real "$@"')
    second = provider.submit(job())
    eventually(lambda: cluster.jobs() == [second], lambda: f"left: {cluster.jobs()}")


def test_a_squeue_that_fails_half_of_the_time_costs_nothing(
    cluster: Cluster,
    make: Make,
    job: Callable[..., Job],
    until: Until,
    instead: Callable[[str, str], None],
) -> None:
    instead(
        "squeue",
        'if mkdir "$0.odd" 2>/dev/null; then\n'
        "  echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2\n"
        "  exit 1\n"
        "fi\n"
        'rmdir "$0.odd"\n'
        'exec $real "$@"',
    )
    provider = make()
    seen = [provider.status([job_id])[job_id] for job_id in [provider.submit(job("exit 3"))] * 3]
    assert all("could not be asked" not in one.reason for one in seen), seen
    (job_id,) = provider._jobs
    status = until(provider, job_id, ended)
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)


def test_what_a_command_prints_that_is_no_answer_is_shown_and_ends_nothing(
    cluster: Cluster, make: Make, job: Callable[..., Job], instead: Callable[[str, str], None]
) -> None:
    provider = make()
    running = provider.submit(job("sleep 600"))
    instead("squeue", "echo 'The system goes down for maintenance at noon.'")
    broken = make()
    assert broken.status([running])[running].state is JobState.UNKNOWN
    provider._commands = broken._commands
    status = provider.status([running])[running]
    assert status.state is JobState.UNKNOWN
    assert "The system goes down for maintenance" in status.reason


# ----------------------------------------------------------------------------------- while it waits


def test_what_keeps_a_job_waiting_is_said(
    cluster: Cluster, make: Make, job: Callable[..., Job], until: Until
) -> None:
    provider = make(partition="closed")
    waiting = provider.submit(job())
    status = until(provider, waiting, lambda one: "Partition" in one.reason)
    assert status.state is JobState.QUEUED
    assert status.reason == "PENDING (PartitionDown): the partition starts no jobs"
    wide = make(cores_per_node=64)
    status = until(wide, wide.submit(job()), lambda one: "Partition" in one.reason)
    assert "PartitionConfig" in status.reason
    assert "of the kind that is asked for" in status.reason
    held = make(scheduler_options=("--hold",))
    job_id = held.submit(job())
    status = until(held, job_id, lambda one: "Held" in one.reason)
    assert "scontrol release" in status.reason


def test_a_job_runs_where_its_reason_says(
    cluster: Cluster, make: Make, job: Callable[..., Job], until: Until
) -> None:
    provider = make(scheduler_options=("--nodelist=node2",))
    running = provider.submit(job("sleep 60"))
    status = until(provider, running, lambda one: one.state is JobState.RUNNING)
    assert status.reason == "RUNNING on node2"


def test_it_is_never_put_back_into_the_queue(
    cluster: Cluster, make: Make, job: Callable[..., Job], until: Until
) -> None:
    provider = make()
    running = provider.submit(job("sleep 60"))
    until(provider, running, lambda one: one.state is JobState.RUNNING)
    shown = cluster.ask("scontrol", "--oneliner", "show", "job", running)
    assert " Requeue=0 " in shown


# ------------------------------------------------------------------------------------------ its end


def test_a_job_that_others_cancel_is_cancelled(
    cluster: Cluster, make: Make, job: Callable[..., Job], until: Until
) -> None:
    provider = make()
    running = provider.submit(job("sleep 60"))
    until(provider, running, lambda one: one.state is JobState.RUNNING)
    cluster.ask("scancel", running)
    assert until(provider, running, ended).state is JobState.CANCELLED


def test_a_job_that_has_to_give_way_has_failed_with_the_words_for_it(
    cluster: Cluster, make: Make, job: Callable[..., Job], until: Until
) -> None:
    low = make(partition="scavenge", exclusive=True)
    scavenger = low.submit(job("sleep 600", nodes=3))
    until(low, scavenger, lambda one: one.state is JobState.RUNNING)
    high = make(partition="urgent", exclusive=True)
    urgent = high.submit(job("true", nodes=3))
    status = until(low, scavenger, ended)
    assert status.state is JobState.FAILED
    assert status.reason.startswith("PREEMPTED")
    assert until(high, urgent, ended).state is JobState.DONE


def test_a_job_that_waits_for_what_will_never_be_says_so(
    cluster: Cluster, make: Make, job: Callable[..., Job], until: Until
) -> None:
    provider = make()
    failed = provider.submit(job("exit 1"))
    until(provider, failed, ended)
    late = make(scheduler_options=(f"--dependency=afterok:{failed}",))
    waiting = late.submit(job())
    status = until(late, waiting, lambda one: "DependencyNeverSatisfied" in one.reason)
    assert status.state is JobState.QUEUED
    assert "it waits for a job that did not end as it was to" in status.reason


def test_two_hundred_jobs_are_one_submission_and_as_quickly_gone(
    cluster: Cluster, make: Make, job: Callable[..., Job]
) -> None:
    provider = make(partition="closed")
    jobs = [job() for _ in range(200)]
    ids = [one for one in provider.submit_all(jobs) if isinstance(one, str)]
    assert len(set(ids)) == 200
    assert len({one.partition("_")[0] for one in ids}) == 1
    found = provider.status(ids)
    assert {one.state for one in found.values()} == {JobState.QUEUED}
    names = {job_id: one.name for job_id, one in zip(ids, jobs, strict=True)}
    assert set(provider.listed(names)) == set(ids)
    provider.cancel(ids[:100])
    assert set(provider.listed(names)) == set(ids[100:])
    provider.close()
    assert not provider.listed(names)


def test_a_job_that_slurm_has_forgotten_is_believed_what_it_wrote(
    forgetful: Cluster, make: Make, job: Callable[..., Job], eventually: Callable[..., None]
) -> None:
    provider = make()
    jobs = [provider.submit(job(f"exit {code}")) for code in (0, 3)]

    eventually(lambda: not forgetful.jobs("--states=all"), "nothing is forgotten", 2 * BOUND)
    good, bad = (provider.status(jobs)[one] for one in jobs)
    assert (good.state, good.exit_code) == (JobState.DONE, 0)
    assert (bad.state, bad.exit_code) == (JobState.FAILED, 3)
    assert "forgotten" in bad.reason


def test_no_end_is_made_up_for_a_job_that_left_no_word(
    forgetful: Cluster, make: Make, job: Callable[..., Job], eventually: Callable[..., None]
) -> None:
    provider = make()
    running = provider.submit(job("kill -9 $$"))
    eventually(lambda: not forgetful.jobs("--states=all"), "nothing is forgotten", 2 * BOUND)
    status = provider.status([running])[running]
    assert status.state is JobState.UNKNOWN
    assert status.reason == "the job is not known to squeue"


def test_jobs_of_others_and_of_other_names_are_not_ours_to_end(
    cluster: Cluster, make: Make, job: Callable[..., Job], until: Until
) -> None:
    provider = make()
    running = job("sleep 60")
    job_id = provider.submit(running)
    assert provider.site.startswith("slurm:weft@")
    assert list(provider.listed({job_id: running.name, "999999": "gone"})) == [job_id]
    assert not provider.listed({job_id: "another"})
    provider.cancel([job_id])
    until(provider, job_id, ended)
    assert not provider.listed({job_id: running.name})
