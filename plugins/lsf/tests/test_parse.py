"""What LSF prints, and what it comes to. Where texts are from is said in ``standins.py``."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.batch.commands import NoAnswer, Said
from weft.values.jobs import JobState
from weft_lsf import parse

NEVER = "no machine has what is asked for, now or ever"
QUEUED, RUNNING, DONE = JobState.QUEUED, JobState.RUNNING, JobState.DONE
FAILED, CANCELLED, EXPIRED = JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED


@pytest.mark.parametrize(
    ("stat", "reason", "state"),
    [
        ("PEND", "", QUEUED),
        ("PSUSP", "", QUEUED),
        ("PROV", "", QUEUED),
        ("WAIT", "", QUEUED),
        ("FWD_PEND", "", QUEUED),
        ("RUN", "", RUNNING),
        ("USUSP", "", RUNNING),
        ("SSUSP", "", RUNNING),
        ("DONE", "", DONE),
        ("POST_DONE", "", DONE),
        ("POST_ERR", "", DONE),
        ("EXIT", "", FAILED),
        ("EXIT", "TERM_OWNER: job killed by owner", CANCELLED),
        ("EXIT", "TERM_ADMIN: job killed by root or LSF administrator", CANCELLED),
        ("EXIT", "TERM_FORCE_OWNER: job killed by owner without time for cleanup", CANCELLED),
        ("EXIT", "TERM_FORCE_ADMIN: job killed by root or LSF administrator", CANCELLED),
        ("EXIT", "TERM_RUNLIMIT: job killed after reaching LSF run time limit", EXPIRED),
        ("EXIT", "TERM_DEADLINE: job killed after deadline expires", EXPIRED),
        ("EXIT", "TERM_WINDOW: job killed by queue run window", EXPIRED),
        ("EXIT", "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", FAILED),
        ("EXIT", "TERM_PREEMPT: job killed after preemption", FAILED),
        ("EXIT", "TERM_LOAD: job killed after load exceeds threshold", FAILED),
        ("EXIT", "TERM_UNKNOWN: unknown reason", FAILED),
        ("ZOMBI", "", CANCELLED),
        ("UNKWN", "", JobState.UNKNOWN),
        ("NEW_WORD", "", JobState.UNKNOWN),
    ],
)
def test_every_state_comes_to_something(stat: str, reason: str, state: JobState) -> None:
    assert parse.state_of(stat, reason) is state


def bjobs(*records: dict[str, str], code: int = 0) -> Said:
    answer = {"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": records}
    return Said(name="bjobs", code=code, out=json.dumps(answer))


def test_a_record_becomes_a_job_with_the_words_of_lsf() -> None:
    (job,) = parse.seen(
        bjobs(
            {
                "JOBID": "7",
                "STAT": "EXIT",
                "USER": "me",
                "JOB_NAME": "weft-1",
                "JOB_DESCRIPTION": "/runs/a%20b",
                "EXEC_HOST": "4*node1:4*node2",
                "EXIT_CODE": "140",
                "EXIT_REASON": "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
                "PEND_REASON": "",
            }
        )
    )
    assert (job.id, job.state, job.code, job.user, job.name) == ("7", EXPIRED, 140, "me", "weft-1")
    assert job.path == "/runs/a b"
    assert job.reason == (
        "EXIT, exit code 140 (TERM_RUNLIMIT: job killed after reaching LSF run time limit) on "
        "4*node1:4*node2"
    )


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            {"STAT": "PEND", "PEND_REASON": "New job is waiting for scheduling;"},
            "PEND (New job is waiting for scheduling)",
        ),
        (
            {"STAT": "PSUSP", "PEND_REASON": "The job was suspended by the user while pending;"},
            "PSUSP (The job was suspended by the user while pending): 'bresume' lets it go",
        ),
        (
            {"STAT": "PEND", "PEND_REASON": "Job's resource requirements not satisfied: 4 hosts;"},
            f"PEND (Job's resource requirements not satisfied: 4 hosts): {NEVER}",
        ),
        ({"STAT": "RUN", "EXEC_HOST": "node1"}, "RUN on node1"),
        ({"STAT": "DONE", "EXIT_CODE": "-"}, "DONE"),
        ({"STAT": "UNKWN", "EXEC_HOST": "node1"}, "UNKWN on node1"),
        ({"STAT": "ZOMBI"}, "ZOMBI (killed while its machine could not be reached)"),
    ],
)
def test_words_are_those_of_lsf(record: dict[str, str], words: str) -> None:
    (job,) = parse.seen(bjobs({"JOBID": "7", **record}))
    assert job.reason == words


def test_jobs_that_are_not_found_are_left_out_and_the_others_are_told() -> None:
    said = bjobs(
        {"JOBID": "7", "STAT": "RUN"}, {"JOBID": "8", "ERROR": "Job <8> is not found"}, code=255
    )
    assert [job.id for job in parse.seen(said)] == ["7"]


@pytest.mark.parametrize(
    "said",
    [
        Said(name="bjobs", code=255, err="Job <8> is not found\n"),
        Said(name="bjobs", code=255, err="No matching job found\n"),
        Said(name="bjobs", err="No unfinished job found\n"),
    ],
)
def test_no_job_is_an_answer(said: Said) -> None:
    assert parse.seen(said) == []


def test_silence_of_lsf_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="LSF is down"):
        parse.seen(Said(name="bjobs", code=255, err="LSF is down. Please wait ...\n"))


@pytest.mark.parametrize(
    "out",
    ["", "<html>", '{"RECORDS": 1}', '{"JOBS": 0}', '{"RECORDS": [{"JOBID": "7"}]}', '{"RECORDS'],
)
def test_what_is_no_answer_is_said_to_be_none(out: str) -> None:
    with pytest.raises(ValueError, match=r"bjobs|delimiter|Unterminated|Expecting"):
        parse.seen(Said(name="bjobs", out=out))


# -------------------------------------------------------------------------------------- history

# Recorded with release 10.1; names of people and machines are others.
FAILED_BY_ITSELF = """
Job <873209>, User <somebody>, Project <default>, Command <fdfs>, Esub <esub>
Sun Jan 10 17:50:11: Submitted from host <login-01>, to Queue <research-and-teac
                     hing>, CWD <$HOME>, Requested Resources <rusage[numcpus=1:du
                     ration=480]>;
Sun Jan 10 17:50:12: Dispatched to <node-10-04>, Effective RES_REQ <select[type
                     == local] order[r15s:pg] rusage[numcpus=1.00:duration=8h:de
                     cay=0] span[hosts=1] >;
Sun Jan 10 17:50:12: Starting (Pid 87178);
Sun Jan 10 17:50:12: Running with execution home </homes/somebody>, Execution CW
                     D </homes/somebody>, Execution Pid <87178>;
Sun Jan 10 17:50:12: Exited with exit code 127. The CPU time used is 0.0 second
                     s;
Sun Jan 10 17:50:12: Completed <exit>;


 CORELIMIT
      0 M

Summary of time in seconds spent in various states by  Sun Jan 10 17:50:12
  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL
  1        0        0        0        0        0        1
"""
WELL = """
Job <872795>, User <somebody>, Project <default>, Command <echo Exited with exit
                     code 3>
Sun Jan 10 17:47:38: Submitted from host <login-01>, to Queue <research>;
Sun Jan 10 17:47:39: Dispatched to <node-05-14>;
Sun Jan 10 17:47:39: Starting (Pid 110245);
Sun Jan 10 17:47:39: Done successfully. The CPU time used is 0.0 seconds;
Sun Jan 10 17:47:40: Post job process done successfully;
"""


def history(*events: str, number: int = 7) -> str:
    lines = [f"Fri Sep 19 11:10:05: {event}" for event in ("Submitted from host <h>;", *events)]
    return "\n".join(["", f"Job <{number}>, Job Name <weft-1>, User <me>, Command <x>", *lines, ""])


def ends(out: str) -> list[tuple[str, JobState, int | None]]:
    return [(one.id, one.state, one.code) for one in parse.ended(Said(name="bhist", out=out))]


def test_recorded_histories_tell_the_end() -> None:
    assert ends(FAILED_BY_ITSELF + "-" * 78 + WELL) == [
        ("873209", FAILED, 127),
        ("872795", DONE, 0),
    ]


@pytest.mark.parametrize(
    ("events", "end"),
    [
        (["Exited by signal 9. The CPU time used is 0.0 seconds;"], (FAILED, -9)),
        (
            [
                "Signal <KILL> requested by user or administrator <me>;",
                "Exited by signal 9. The CPU time used is 0.0 seconds;",
                "Completed <exit>; TERM_OWNER: job killed by owner;",
            ],
            (CANCELLED, -9),
        ),
        (
            [
                "Exited with exit code 140. The CPU time used is 1.0 seconds;",
                "Completed <exit>; TERM_RUNLIMIT: job killed after reaching LSF run time limit;",
            ],
            (EXPIRED, 140),
        ),
        (["Exited; TERM_OWNER: job killed by owner;"], (CANCELLED, None)),
        (["Completed <exit>;"], (FAILED, None)),
    ],
)
def test_every_end_of_a_history_is_read(
    events: list[str], end: tuple[JobState, int | None]
) -> None:
    assert ends(history("Dispatched to <n>;", *events)) == [("7", *end)]


def test_a_job_that_was_put_back_into_its_queue_has_not_ended() -> None:
    assert ends(history("Exited with exit code 99.", "Requeued;")) == []
    assert ends(history("Exited with exit code 99.", "Dispatched to <n>;")) == []
    assert ends(history()) == []


def test_a_history_without_jobs_is_an_answer_and_silence_is_none() -> None:
    assert parse.ended(Said(name="bhist", code=255, err="No matching job found\n")) == []
    with pytest.raises(NoAnswer, match="LIM"):
        parse.ended(Said(name="bhist", code=255, err="Cannot open LSF user: LIM is down"))


# ---------------------------------------------------------------------------- bsub, bkill, others


@pytest.mark.parametrize(
    "out",
    [
        "Job <764254593> is submitted to queue <test>.\n",
        "Job <764254593> is submitted to default queue <normal>.\n",
        "Memory reservation is (MB): 10240\nJob <764254593> is submitted to queue <n>.\nBye <7>.\n",
    ],
)
def test_the_id_is_found(out: str) -> None:
    assert parse.submitted(Said(name="bsub", out=out)) == "764254593"


def test_without_an_id_what_was_printed_is_told() -> None:
    with pytest.raises(ValueError, match="no job id, but 'Thanks'"):
        parse.submitted(Said(name="bsub", out="Thanks\n"))


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ("missing: No such queue. Job not submitted.", "queue"),
        ("User cannot use the queue. Job not submitted.", "queue"),
        ("Queue has been closed. Job not submitted.", "queue"),
        ("RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.", "walltime"),
        ("MEMLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.", "memory_per_node"),
        ("Queue does not accept EXCLUSIVE jobs. Job not submitted.", "exclusive"),
        ("User not in the specified user group. Job not submitted.", "user_group"),
        ("Too many processors requested. Job not submitted.", ""),
        ('Error near "select" : duplicate section. Job not submitted.', "resources"),
        ("Error in rusage section. Job not submitted.", "resources"),
        ("Bad resource requirement syntax. Job not submitted.", "resources"),
        ("Request aborted by esub. Job not submitted.", ""),
        ("-foo: Illegal option. Job not submitted.", "scheduler_options"),
    ],
)
def test_a_refusal_is_about_an_option_and_says_what_to_do(said: str, about: str) -> None:
    found = parse.refusal(Said(name="bsub", code=255, err=said))
    assert (found.about, found.later, found.said) == (about, False, said)
    assert found.todo


@pytest.mark.parametrize(
    ("said", "doubtful"),
    [
        ("LSF is down. Please wait ...", False),
        ("Failed in an LSF library call: Slave LIM configuration is not ready yet", False),
        ("batch daemon (mbatchd) not responding ... still trying", False),
        ("Contacting batch daemon: Communication timeout. Job not submitted.", True),
        ("The destination queue has reached its job limit. Job not submitted.", False),
        ("Queue does not have enough per-user job slots. Job not submitted.", False),
    ],
)
def test_what_passes_is_tried_later(said: str, doubtful: bool) -> None:
    found = parse.refusal(Said(name="bsub", code=255, err=said))
    assert (found.later, found.doubtful) == (True, doubtful)
    assert parse.passing(Said(name="bjobs", code=255, err=said))


def test_an_unknown_refusal_keeps_its_words() -> None:
    found = parse.refusal(Said(name="bsub", code=255, err="Out of cheese."))
    assert (found.said, found.later) == ("Out of cheese.", False)
    assert "bsub < job.lsf" in found.todo


@pytest.mark.parametrize(
    ("err", "spent"),
    [
        ("Job <7>: Job has already finished\n", True),
        ("Job <7>: No matching job found\nJob <8> is not found\n", True),
        ("Job <7>: User permission denied\n", False),
        ("Job <7>: No matching job found\nJob <8>: User permission denied\n", False),
        ("", False),
    ],
)
def test_that_a_job_is_over_is_no_failure_of_bkill(err: str, spent: bool) -> None:
    assert parse.spent(Said(name="bkill", code=255, err=err)) is spent


def test_queues_and_their_limits_are_read() -> None:
    table = (
        "QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP\n"
        "normal           30  Open:Active       -    -    -    -     0     0     0     0\n"
        "night             1  Open:Inact        -    -    -    -     0     0     0     0\n"
    )
    normal, night = parse.queues(table)
    assert (normal.name, normal.takes, normal.starts) == ("normal", True, True)
    assert (night.takes, night.starts) == (True, False)
    with pytest.raises(ValueError, match="no table"):
        parse.queues("<html>")
    limits = (
        "DEFAULT LIMITS:\n RUNLIMIT\n 60.0 min\n\nMAXIMUM LIMITS:\n RUNLIMIT\n 1440.0 min of h\n"
    )
    assert parse.queue_limit(limits) == 1440.0
    assert parse.queue_limit("USERS: all\n") is None


def test_the_cluster_is_named() -> None:
    said = "IBM Spectrum LSF Standard 10.1.0.13, Apr 15 2022\n\nMy cluster name is a1\nMy master…\n"
    assert parse.cluster(said) == ("a1", "IBM Spectrum LSF Standard 10.1.0.13, Apr 15 2022")
    with pytest.raises(ValueError, match="no cluster"):
        parse.cluster("LSF is there\n")


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.text(max_size=3),
    st.sampled_from(["7", "DONE", "EXIT", "RUN", "TERM_OWNER: x", "-", "²"]),
)
ANSWERS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["RECORDS", "JOBID", "STAT", "EXIT_CODE", "EXIT_REASON", "JOB_DESCRIPTION", "ERROR"]
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(ANSWERS)
def test_whatever_is_answered_is_read_or_said_to_be_no_answer(answer: object) -> None:
    try:
        found = parse.seen(Said(name="bjobs", out=json.dumps(answer)))
    except (ValueError, NoAnswer):
        return
    assert all(one.id and isinstance(one.state, JobState) for one in found)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["Starting (Pid 7);", "Exit me", "[1] Suspended: x;", "Done?"])))
def test_no_event_is_taken_for_an_end_that_is_none(events: list[str]) -> None:
    assert ends(history(*events)) == []
