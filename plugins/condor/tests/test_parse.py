"""What HTCondor prints, and what it comes to. Where texts are from is said in ``standins.py``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.batch.commands import NoAnswer, Said
from weft.batch.dialect import Seen
from weft.values.jobs import JobState
from weft_condor import parse

QUEUED, RUNNING, DONE = JobState.QUEUED, JobState.RUNNING, JobState.DONE
FAILED, CANCELLED, EXPIRED = JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED
MORE = "it took more than it asked for: raise memory_per_node or disk_per_node"
RULE = 'The job attribute PeriodicRemove expression "(JobStatus == 2)" evaluated to TRUE'
BY_HAND = "via condor_rm (by user me)"


@pytest.mark.parametrize(
    ("ad", "state", "stuck"),
    [
        ({"JobStatus": 1}, QUEUED, False),
        ({"JobStatus": 1, "NumJobStarts": 0}, QUEUED, False),
        ({"JobStatus": 1, "NumJobStarts": 1}, FAILED, True),
        ({"JobStatus": 2, "NumJobStarts": 1}, RUNNING, False),
        ({"JobStatus": 2, "NumJobStarts": 2}, FAILED, True),
        ({"JobStatus": 3, "NumJobStarts": 1}, RUNNING, False),
        ({"JobStatus": 3}, QUEUED, False),
        ({"JobStatus": 4, "ExitBySignal": False, "ExitCode": 0}, DONE, False),
        ({"JobStatus": 4, "ExitBySignal": False, "ExitCode": 3}, FAILED, False),
        ({"JobStatus": 4, "ExitBySignal": True, "ExitSignal": 9}, FAILED, False),
        ({"JobStatus": 5, "HoldReasonCode": 1}, QUEUED, False),
        ({"JobStatus": 5, "HoldReasonCode": 15}, QUEUED, False),
        ({"JobStatus": 5, "HoldReasonCode": 16}, QUEUED, False),
        ({"JobStatus": 5, "HoldReasonCode": 1, "NumJobStarts": 1}, FAILED, True),
        ({"JobStatus": 5, "HoldReasonCode": 13}, FAILED, True),
        ({"JobStatus": 5, "HoldReasonCode": 34, "NumJobStarts": 1}, FAILED, True),
        ({"JobStatus": 5, "HoldReasonCode": 46, "NumJobStarts": 1}, EXPIRED, True),
        ({"JobStatus": 5, "HoldReasonCode": 47, "NumJobStarts": 1}, EXPIRED, True),
        ({"JobStatus": 5}, FAILED, True),
        ({"JobStatus": 6, "NumJobStarts": 1}, RUNNING, False),
        ({"JobStatus": 7, "NumJobStarts": 1}, RUNNING, False),
        ({"JobStatus": 0}, JobState.UNKNOWN, False),
        ({"JobStatus": 8}, JobState.UNKNOWN, False),
    ],
)
def test_every_status_in_the_queue_comes_to_something(
    ad: dict[str, Any], state: JobState, stuck: bool
) -> None:
    assert parse.state_of(ad) == (state, stuck)


@pytest.mark.parametrize(
    ("ad", "state"),
    [
        ({"RemoveReason": BY_HAND}, CANCELLED),
        ({}, CANCELLED),
        ({"RemoveReason": RULE, "LastJobStatus": 2}, EXPIRED),
        ({"RemoveReason": RULE}, EXPIRED),
        ({"RemoveReason": RULE, "LastJobStatus": 1}, FAILED),
    ],
)
def test_a_removed_job_that_has_gone_has_ended_in_one_of_three_ways(
    ad: dict[str, Any], state: JobState
) -> None:
    assert parse.state_of({"JobStatus": 3, "NumJobStarts": 1, **ad}, gone=True) == (state, False)


def shown(*ads: dict[str, Any]) -> Said:
    jobs = [{"ClusterId": 12, "ProcId": 0, **ad} for ad in ads]
    return Said(name="condor_q", out=json.dumps(jobs))


def only(ad: dict[str, Any]) -> Seen:
    (found,) = parse.queued(shown(ad))
    return found


@pytest.mark.parametrize(
    ("ad", "words", "code"),
    [
        ({"JobStatus": 1}, "IDLE", None),
        (
            {"JobStatus": 1, "LastRejMatchReason": "no match found "},
            "IDLE (no match found): 'condor_q -better-analyze' tells what is in its way",
            None,
        ),
        (
            {"JobStatus": 1, "NumJobStarts": 1, "LastRemoteHost": "slot1@a"},
            *("IDLE again: it has lost its machine slot1@a", None),
        ),
        ({"JobStatus": 2, "RemoteHost": "slot1@a"}, "RUNNING on slot1@a", None),
        ({"JobStatus": 2, "RemoteHost": "/Expr(x)/", "NumJobStarts": "/Expr(y)/"}, "", None),
        ({"JobStatus": 4, "ExitCode": 0}, "COMPLETED", 0),
        ({"JobStatus": 4, "ExitCode": 3}, "COMPLETED, exit code 3", 3),
        (
            {"JobStatus": 4, "ExitBySignal": True, "ExitSignal": 9, "ExitCode": 0},
            *("COMPLETED, exit code -9", -9),
        ),
        (
            {
                "JobStatus": 5,
                "HoldReasonCode": 34,
                "HoldReasonSubCode": 102,
                "HoldReason": "memory usage exceeded request_memory",
            },
            f"HELD (code 34.102: memory usage exceeded request_memory): {MORE}",
            None,
        ),
        (
            {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "via condor_hold (by user me)"},
            *(
                "HELD (code 1.0: via condor_hold (by user me)): 'condor_release' lets it go",
                None,
            ),
        ),
        ({"JobStatus": 5}, "HELD (code 0.0: no reason is told)", None),
        ({"JobStatus": 3, "RemoveReason": BY_HAND}, f"REMOVED ({BY_HAND})", None),
    ],
)
def test_words_and_codes_are_those_of_htcondor(
    ad: dict[str, Any], words: str, code: int | None
) -> None:
    found = only(ad)
    assert found.reason.startswith(words)
    assert words == found.reason or not words
    assert found.code == code


def test_of_a_removed_job_it_is_said_why() -> None:
    gone = {"JobStatus": 3, "RemoveReason": RULE}
    expired, lost = parse.ended(shown({**gone, "LastJobStatus": 2}, {**gone, "LastJobStatus": 1}))
    assert expired.reason == f"REMOVED, at the end of its walltime ({RULE})"
    assert lost.reason == f"REMOVED, since its machine was taken away ({RULE})"


def test_a_job_is_known_by_its_owner_its_name_and_its_folder() -> None:
    found = only(
        {"JobStatus": 1, "Owner": "me", "JobBatchName": "weft-1", "WeftFolder": "/runs/a%20b"}
    )
    assert (found.id, found.user, found.name, found.path) == ("12.0", "me", "weft-1", "/runs/a b")


@pytest.mark.parametrize("out", ["", "\n", "[\n]\n", "[]"])
def test_no_job_is_an_answer(out: str) -> None:
    assert parse.queued(Said(name="condor_q", out=out)) == []
    assert parse.ended(Said(name="condor_history", out=out)) == []


def test_silence_of_the_schedd_is_no_answer() -> None:
    said = "-- Failed to fetch ads from: <10.0.0.1:9618?addrs=x> : ap1\nSECMAN:2007:Failed to end"
    with pytest.raises(NoAnswer, match="Failed to fetch ads"):
        parse.queued(Said(name="condor_q", code=1, err=said))
    assert parse.passing(Said(name="condor_q", code=1, err=said))


@pytest.mark.parametrize("out", ["<html>", "{}", "[1]", '[{"JobStatus": 1}]', "[{"])
def test_what_is_no_answer_is_said_to_be_none(out: str) -> None:
    with pytest.raises(ValueError, match=r"ClassAd|Expecting"):
        parse.queued(Said(name="condor_q", out=out))


# ---------------------------------------------------------------------------- condor_submit, others


def test_the_ids_are_those_of_as_many_jobs_as_were_submitted() -> None:
    assert parse.submitted(Said(out="12.0 - 12.0\n")) == ["12.0"]
    assert parse.submitted(Said(out="A word of the day.\n1201.0 - 1201.0\n")) == ["1201.0"]
    assert parse.submitted(Said(out="12.0 - 12.2\n"), 3) == ["12.0", "12.1", "12.2"]
    for out in ("", "12.0 - 12.3\n", "12.1 - 12.1\n", "12\n"):
        with pytest.raises(ValueError, match="no id of one job"):
            parse.submitted(Said(out=out))
    with pytest.raises(ValueError, match="no ids of 3 jobs"):
        parse.submitted(Said(out="12.0 - 12.0\n"), 3)


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ("Can't find address of schedd elsewhere", "schedd"),
        (
            "Failed to commit job submission into the queue.\nERROR: accounting_group 'x' is none",
            "accounting_group",
        ),
        (
            "Failed to commit job submission into the queue.\nERROR: No ProjectName was given",
            "project",
        ),
        ("Failed to commit job submission into the queue.\nERROR: Ask Bob first", ""),
        ("request_memory = 4 potatoes is invalid, must eval to a non-negative integer.", ""),
        ("Parse error in expression: \n\tRequirements = a && (\n\t", "requirements"),
        ('Can\'t open "/x" with flags 00 (No such file or directory)', "transfer_input_files"),
        ("Parse error in expression: \n\tA = )\n\t", "scheduler_options"),
        ("Failed to parse command file (line 3).", "scheduler_options"),
        ("AUTHENTICATE:1003:Failed to authenticate with any method", ""),
        ("Out of cheese", ""),
    ],
)
def test_a_refusal_is_about_an_option_and_says_what_to_do(said: str, about: str) -> None:
    found = parse.refusal(Said(name="condor_submit", code=1, err=f"\nERROR: {said}\n"))
    if "request_memory" in said:
        about = "memory_per_node"
    assert (found.about, found.later, found.doubtful) == (about, False, False)
    assert found.said == " ".join(said.replace("ERROR: ", "").split())
    assert found.todo


@pytest.mark.parametrize(
    ("said", "doubtful"),
    [
        ("Can't find address of local schedd", False),
        ("Failed to connect to local queue manager\nSECMAN:2007:Failed to end classad", False),
        ("Number of submitted jobs would exceed MAX_JOBS_PER_OWNER", False),
        ("Failed to commit job submission into the queue.\nERROR: SECMAN:2011:timeout", True),
    ],
)
def test_what_passes_is_tried_later(said: str, doubtful: bool) -> None:
    found = parse.refusal(Said(name="condor_submit", code=1, err=f"\nERROR: {said}\n"))
    assert (found.later, found.doubtful) == (True, doubtful)


def test_a_commit_that_failed_without_a_reason_may_have_been_one() -> None:
    said = "\nERROR: Failed to commit job submission into the queue.\n"
    found = parse.refusal(Said(name="condor_submit", code=1, err=said))
    assert (found.later, found.doubtful) == (False, True)


@pytest.mark.parametrize(
    ("err", "spent"),
    [
        ("Job 12.0 not found\n", True),
        ("Job 12.0 already marked for removal\nJob 13.0 not found\n", True),
        ("Couldn't find/remove all jobs in cluster 12\n", True),
        ("Permission denied to remove job 12.0\n", False),
        ("Job 12.0 not found\nPermission denied to remove job 13.0\n", False),
        ("", False),
    ],
)
def test_that_a_job_has_gone_is_no_failure_of_condor_rm(err: str, spent: bool) -> None:
    assert parse.spent(Said(name="condor_rm", code=1, err=err)) is spent


def test_the_schedd_is_named() -> None:
    said = (
        "\n\n-- Schedd: ap1.example.org : <134.158.84.226:9618?... @ 06/29/23 13:18:02\n\n"
        "Total for query: 1 jobs; 0 completed, 0 removed, 0 idle, 1 running, 0 held, 0 suspended\n"
    )
    assert parse.schedd(said) == "ap1.example.org"
    with pytest.raises(ValueError, match="no schedd"):
        parse.schedd("<html>")


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.text(max_size=3),
    st.sampled_from(["/Expr(x)/", "PeriodicRemove"]),
)
ANSWERS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "ClusterId",
                    "ProcId",
                    "JobStatus",
                    "HoldReasonCode",
                    "RemoveReason",
                    "ExitBySignal",
                ]
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
        found = parse.queued(Said(name="condor_q", out=json.dumps(answer)))
    except (ValueError, NoAnswer):
        return
    assert all(one.id and isinstance(one.state, JobState) for one in found)
