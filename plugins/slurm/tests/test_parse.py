"""What the commands print becomes values. Texts are those that Slurm 22.05.8 printed."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.values.jobs import JOB_ENDED, JobState
from weft_slurm import parse
from weft_slurm.parse import Partition

SQUEUE = """1|COMPLETED|root|node1|None|true|true
9|PENDING|root||PartitionDown|t|/tmp/play/t.sbatch
11|RUNNING|root|node[1-2]|None|weft-htex-1|/tmp/a|b/job.sbatch
"""
SACCT = """2|FAILED|3:0|node1
11|CANCELLED by 0|0:0|node1
12|TIMEOUT|0:0|node[1-2]
13|PENDING|0:0|None assigned
13.batch|FAILED|1:0|node1
"""
SHOWN = (
    "JobId=2 JobName=t UserId=root(0) JobState=FAILED Reason=NonZeroExitCode Dependency=(null) "
    "Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=3:0 RunTime=00:00:00 Comment=ExitCode=9 \n"
)
SINFO = """normal|up|infinite|4|2|1
debug|up|5:00|3|2|1
debug|up|5:00|1|4|1
closed|down|1-00:00:00|4|2|1
"""
CONFIG = """Configuration data as of 2026-11-21T12:33:22
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = realsys
SlurmctldHost[0]        = login(127.0.0.1)
SLURM_VERSION           = 22.05.8
Slurmctld(primary) at login is UP
"""


def test_squeue_lists_jobs() -> None:
    done, waiting, running = parse.queued(SQUEUE)
    assert (done.id, done.state, done.user) == ("1", JobState.DONE, "root")
    assert done.reason == "COMPLETED on node1"
    assert waiting.reason == "PENDING (PartitionDown): the partition starts no jobs"
    assert running.reason == "RUNNING on node[1-2]"
    assert (running.name, running.path) == ("weft-htex-1", "/tmp/a|b/job.sbatch")


def test_the_line_that_names_a_cluster_is_no_job() -> None:
    assert len(parse.queued(f"CLUSTER: realsys\n{SQUEUE}")) == 3


def test_accounts_list_jobs_and_no_steps() -> None:
    found = parse.accounted(SACCT)
    assert [(one.id, one.reason, one.code) for one in found] == [
        ("2", "FAILED on node1", 3),
        ("11", "CANCELLED by 0 on node1", 0),
        ("12", "TIMEOUT on node[1-2]", 0),
        ("13", "PENDING", 0),
    ]
    assert [one.state for one in found] == [
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.EXPIRED,
        JobState.QUEUED,
    ]


# Not recorded, but written by the manuals: states and reasons of squeue(1), the mark for a lack of
# memory of sacct(1). tests/systems/slurm has the first three states from a real cluster.
RAN_OUT = """21|PREEMPTED|root|node[1-3]|Preempted|weft-htex-1|/r/job.sbatch
22|NODE_FAIL|root|node2|NodeDown|weft-htex-2|/r/job.sbatch
23|TIMEOUT|root|node1|TimeLimit|weft-htex-3|/r/job.sbatch
24|OUT_OF_MEMORY|root|node1|OutOfMemory|weft-htex-4|/r/job.sbatch
"""


def test_what_ended_a_job_is_told_in_the_words_of_slurm() -> None:
    found = parse.queued(RAN_OUT)
    assert [(one.state, one.reason) for one in found] == [
        (JobState.FAILED, "PREEMPTED (Preempted) on node[1-3]"),
        (JobState.FAILED, "NODE_FAIL (NodeDown) on node2"),
        (JobState.EXPIRED, "TIMEOUT (TimeLimit) on node1"),
        (JobState.FAILED, "OUT_OF_MEMORY (OutOfMemory) on node1"),
    ]
    (killed,) = parse.accounted("24|OUT_OF_MEMORY|0:125|node1\n")
    assert (killed.state, killed.code) == (JobState.FAILED, None)


def test_jobs_of_an_array_have_a_number_and_a_place() -> None:
    running, waiting = parse.queued(
        "7_0|RUNNING|me|node1|None|weft-htex|/r/array/job.sbatch\n"
        "7_12|PENDING|me||Resources|weft-htex|/r/array/job.sbatch\n"
    )
    assert (running.id, running.in_array, waiting.id) == ("7_0", True, "7_12")
    assert running.has_name("weft-htex-3")
    found = parse.accounted(
        "7_0|COMPLETED|0:0|node1\n7_0.batch|COMPLETED|0:0|node1\n"
        "7_[1-3,7%2]|CANCELLED by 0|0:0|None assigned\n8|FAILED|1:0|node1\n9+0|FAILED|1:0|node1\n"
    )
    assert [one.id for one in found] == ["7_0", "7_1", "7_2", "7_3", "7_7", "8"]
    (coded,) = parse.coded(
        "JobId=9 ArrayJobId=7 ArrayTaskId=2 JobName=weft-htex JobState=FAILED ExitCode=3:0 Run=1"
    )
    assert (coded.id, coded.code) == ("7_2", 3)


def test_what_is_no_list_of_jobs_is_no_answer() -> None:
    assert parse.queued("") == parse.queued("CLUSTER: realsys\n") == parse.accounted("\n") == []
    for reads in (parse.queued, parse.accounted):
        with pytest.raises(ValueError, match="the system is going down"):
            reads("the system is going down\n")


def test_the_exit_code_is_found_among_all_the_rest() -> None:
    assert [(one.id, one.code) for one in parse.coded(SHOWN)] == [("2", 3)]
    assert parse.coded("JobId=3 JobState=PENDING") == parse.coded("") == []


@pytest.mark.parametrize(
    ("said", "code"), [("0:0", 0), ("3:0", 3), ("0:9", -9), ("1:15", 1), ("", None), ("x", None)]
)
def test_an_exit_code_is_a_code_and_a_signal(said: str, code: int | None) -> None:
    assert parse.exit_code(said) == code


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("PENDING", JobState.QUEUED),
        ("CONFIGURING", JobState.QUEUED),
        ("REQUEUE_HOLD", JobState.QUEUED),
        ("SPECIAL_EXIT", JobState.QUEUED),
        ("RUNNING", JobState.RUNNING),
        ("SUSPENDED", JobState.RUNNING),
        ("COMPLETING", JobState.RUNNING),
        ("COMPLETED", JobState.DONE),
        ("CANCELLED", JobState.CANCELLED),
        ("CANCELLED by 1000", JobState.CANCELLED),
        ("CANCELLED+", JobState.CANCELLED),
        ("TIMEOUT", JobState.EXPIRED),
        ("DEADLINE", JobState.EXPIRED),
        ("FAILED", JobState.FAILED),
        ("NODE_FAIL", JobState.FAILED),
        ("BOOT_FAIL", JobState.FAILED),
        ("PREEMPTED", JobState.FAILED),
        ("OUT_OF_MEMORY", JobState.FAILED),
        # Another cluster of the federation has it.
        ("REVOKED", JobState.UNKNOWN),
        ("SOMETHING_NEW", JobState.UNKNOWN),
        ("", JobState.UNKNOWN),
    ],
)
def test_a_state_of_slurm_is_one_of_ours(said: str, state: JobState) -> None:
    assert parse.state_of(said) is state


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("DependencyNeverSatisfied", "did not end as it was to"),
        ("JobHeldUser", "scontrol release"),
        ("JobHeldAdmin", "an administrator"),
        ("PartitionTimeLimit", "more time"),
        ("ReqNodeNotAvail, UnavailableNodes:node[1-2]", "down, drained or reserved"),
    ],
)
def test_what_does_not_pass_by_itself_is_explained(reason: str, hint: str) -> None:
    said = parse.words("PENDING", reason)
    assert said.startswith(f"PENDING ({reason}): ")
    assert hint in said


def test_what_passes_by_itself_is_not() -> None:
    assert parse.words("PENDING", "Resources") == "PENDING (Resources)"
    assert parse.words("FAILED", "NonZeroExitCode", "n1") == "FAILED (NonZeroExitCode) on n1"


@settings(deadline=None)
@given(st.text())
def test_no_text_is_taken_for_an_end_that_is_none(text: str) -> None:
    for reads in (parse.queued, parse.accounted):
        with contextlib.suppress(ValueError):
            assert all(re.fullmatch(r"\d+(_\d+)?", one.id) for one in reads(text))
    if parse.state_of(text) in JOB_ENDED:
        assert text.split(maxsplit=1)[0].rstrip("+").upper() in parse._STATES
    assert parse.refusal(text).said.strip()


def test_partitions_are_listed_once_and_their_nodes_added() -> None:
    assert parse.partitions(SINFO) == [
        Partition(name="normal", up=True, limit="", nodes=4),
        Partition(name="debug", up=True, limit="5:00", nodes=4),
        Partition(name="closed", up=False, limit="1-00:00:00", nodes=4),
    ]


def test_settings_of_the_cluster_are_found() -> None:
    assert parse.settings_of(CONFIG, ["ClusterName", "SlurmctldHost[0]", "Missing"]) == {
        "ClusterName": "realsys",
        "SlurmctldHost[0]": "login(127.0.0.1)",
    }


@pytest.mark.parametrize(
    ("out", "job"),
    [("14\n", "14"), ("14;realsys\n", "14"), ("Welcome to the cluster!\n14\n", "14")],
)
def test_the_id_is_found_in_what_sbatch_prints(out: str, job: str) -> None:
    assert parse.submitted(out) == job


@pytest.mark.parametrize("out", ["", "Submitted\n", "14 jobs\n"])
def test_no_id_is_made_up(out: str) -> None:
    with pytest.raises(ValueError, match="no job id"):
        parse.submitted(out)


_FAILED = "sbatch: error: Batch job submission failed: "


@pytest.mark.parametrize(
    "said",
    [
        f"{_FAILED}Unable to contact slurm controller (connect failure)",
        f"{_FAILED}Socket timed out on send/recv operation",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
        (
            f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{_FAILED}Job violates accounting/QOS "
            "policy (job submit limit, user's size and/or time limits)"
        ),
        f"sbatch: error: AssocMaxSubmitJobLimit\n{_FAILED}Job violates accounting/QOS policy",
        f"{_FAILED}Resource temporarily unavailable",
    ],
)
def test_what_may_pass_is_asked_again(said: str) -> None:
    assert parse.refusal(said).later


@pytest.mark.parametrize(
    ("said", "doubtful"),
    [
        (f"{_FAILED}Socket timed out on send/recv operation", True),
        (f"{_FAILED}Zero Bytes were transmitted or received", True),
        (f"{_FAILED}Unable to contact slurm controller (connect failure)", False),
        ("sbatch: error: AssocMaxSubmitJobLimit", False),
    ],
)
def test_a_controller_that_was_reached_may_have_the_job(said: str, doubtful: bool) -> None:
    assert parse.refusal(said).doubtful is doubtful


@pytest.mark.parametrize(
    ("said", "about"),
    [
        (
            (
                f"sbatch: error: invalid partition specified: nosuch\n{_FAILED}Invalid partition "
                "name specified"
            ),
            "partition",
        ),
        (f"{_FAILED}Invalid account or account/partition combination specified", "account"),
        (f"{_FAILED}Invalid qos specification", "qos"),
        (f"{_FAILED}Invalid feature specification", "constraint"),
        (f"{_FAILED}Requested reservation is invalid", "reservation"),
        ("sbatch: error: Invalid generic resource (gres) specification", "gres"),
        ("sbatch: error: Memory specification can not be satisfied", "memory_per_node"),
        ("sbatch: error: Invalid --time specification", "walltime"),
        (f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{_FAILED}Job violates acc", "walltime"),
        (f"{_FAILED}Requested time limit is invalid (missing or exceeds some limit)", "walltime"),
        ("sbatch: unrecognized option '--flying'", "scheduler_options"),
        (f"{_FAILED}Requested node configuration is not available", ""),
        ("sbatch: error: Munge encode failed: Failed to access socket", ""),
        (f"{_FAILED}Job violates accounting/QOS policy", ""),
        (f"{_FAILED}Access/permission denied", ""),
        ("something that nobody has seen", ""),
    ],
)
def test_what_is_refused_has_words_and_a_remedy(said: str, about: str) -> None:
    found = parse.refusal(said)
    assert not found.later
    assert found.about == about
    assert found.todo
    assert not found.said.startswith("sbatch")
