"""What flux prints, and what it comes to. Where texts are from is said in ``standins.py``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.batch.commands import NoAnswer, Said
from weft.batch.dialect import Seen
from weft.values.jobs import JobState
from weft_flux import parse

# Recorded with flux-core 0.89; names of people and machines are others.
RUNNING = (
    '{"t_depend": 1791485339.3604915, "t_priority": 1791485339.374683, "t_sched": '
    '1791485339.3748348, "t_run": 1791485339.3808882, "duration": 0.0, "expiration": 9223372036.0, '
    '"name": "sleep", "cwd": "/home/me", "ntasks": 1, "ncores": 10, "nnodes": 1, "priority": 16, '
    '"ranks": "0", "nodelist": "node1", "id": 91088924704768, "t_submit": 1791485339.3489497, '
    '"t_remaining": 7431886696.486566, "state": "RUN", "username": "me", "userid": 1002, '
    '"urgency": 16, "runtime": 0.13256359100341797, "status": "RUN", "dependencies": [], "jobid": '
    '"\\u0192iFkbMhFM", "annotations": {"sched": {"selection_type": "immediate"}}, "exception": '
    '{"occurred": false}, "uri": "ssh://node1/tmp/flux-o6LytN/local-0"}'
)
CANCELED = (
    '{"t_depend": 1791485339.3604915, "t_run": 1791485339.3808882, "t_cleanup": 1791485358.243194, '
    '"t_inactive": 1791485358.6704354, "duration": 0.0, "name": "sleep", "cwd": "/home/me", '
    '"nodelist": "node1", "success": false, "result": "CANCELED", "waitstatus": 36608, "id": '
    '91088924704768, "t_submit": 1791485339.3489497, "state": "INACTIVE", "username": "me", '
    '"urgency": 16, "status": "CANCELED", "returncode": 143, "dependencies": [], "jobid": '
    '"\\u0192iFkbMhFM", "annotations": {}, "exception": {"occurred": true, "severity": 0, "type": '
    '"cancel", "note": ""}}'
)
HELD = (
    '{"t_depend": 1791485339.6261692, "t_sched": 1791485339.6372695, "duration": 0.0, "name": '
    '"sleep", "cwd": "/home/me", "ntasks": 1, "nnodes": 1, "priority": 0, "id": 91093387444224, '
    '"state": "SCHED", "username": "me", "urgency": 0, "status": "SCHED", "dependencies": [], '
    '"jobid": "\\u0192iFsPiQD5", "annotations": {}, "exception": {"occurred": false}}'
)


@pytest.mark.parametrize(
    ("state", "result", "comes_to"),
    [
        ("NEW", "", JobState.QUEUED),
        ("DEPEND", "", JobState.QUEUED),
        ("PRIORITY", "", JobState.QUEUED),
        ("SCHED", "", JobState.QUEUED),
        ("RUN", "", JobState.RUNNING),
        ("CLEANUP", "", JobState.RUNNING),
        ("INACTIVE", "COMPLETED", JobState.DONE),
        ("INACTIVE", "FAILED", JobState.FAILED),
        ("INACTIVE", "CANCELED", JobState.CANCELLED),
        ("INACTIVE", "CANCELLED", JobState.CANCELLED),
        ("INACTIVE", "TIMEOUT", JobState.EXPIRED),
        ("INACTIVE", "", JobState.UNKNOWN),
        ("NEW_WORD", "", JobState.UNKNOWN),
    ],
)
def test_every_state_comes_to_something(state: str, result: str, comes_to: JobState) -> None:
    assert parse.state_of(state, result) is comes_to


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (91088924704768, "fiFkbMhFM"),
        (91093387444224, "fiFsPiQD5"),
        (91096977768448, "fiFxrykWs"),
        (91150983626752, "fiHP9Htes"),
        (999999, "f68GN"),
        (0, "f1"),
    ],
)
def test_ids_are_written_as_flux_writes_them(number: int, text: str) -> None:
    assert parse.f58(number) == text
    assert parse.ID.fullmatch(text)


def one(out: str) -> Seen:
    (found,) = parse.seen(Said(name="flux", out=out))
    return found


def test_recorded_jobs_are_read() -> None:
    running, canceled, held = one(RUNNING), one(CANCELED), one(HELD)
    assert (running.id, running.state, running.reason) == (
        *("fiFkbMhFM", JobState.RUNNING),
        "RUN on node1",
    )
    assert (running.user, running.name, running.path) == ("me", "sleep", "/home/me")
    assert (canceled.state, canceled.code) == (JobState.CANCELLED, 143)
    assert canceled.reason == "CANCELED (cancel)"
    assert held.state is JobState.QUEUED
    assert held.reason == (
        "SCHED (urgency 0): it is held; 'flux job urgency ID default' lets it go"
    )


def record(**more: Any) -> str:
    return json.dumps({"id": 999999, "state": "SCHED", "urgency": 16, **more})


@pytest.mark.parametrize(
    ("said", "words", "code"),
    [
        ({}, "SCHED", None),
        (
            {"annotations": {"sched": {"reason_pending": "insufficient resources"}}},
            "SCHED (insufficient resources)",
            None,
        ),
        (
            {"state": "DEPEND", "dependencies": ["after-success=f7"]},
            "DEPEND (it waits for after-success=f7)",
            None,
        ),
        ({"state": "CLEANUP", "nodelist": "n[1-2]"}, "CLEANUP on n[1-2]", None),
        (
            {"state": "INACTIVE", "result": "COMPLETED", "returncode": 0, "t_run": 1.0},
            *("COMPLETED", 0),
        ),
        (
            {"state": "INACTIVE", "result": "FAILED", "returncode": 3, "waitstatus": 768},
            *("FAILED, exit code 3", 3),
        ),
        (
            {
                "state": "INACTIVE",
                "result": "FAILED",
                "returncode": 1,
                "exception": {
                    "occurred": True,
                    "type": "alloc",
                    "note": "unsatisfiable request",
                },
            },
            *("FAILED (alloc: unsatisfiable request)", None),
        ),
        (
            {
                "state": "INACTIVE",
                "result": "TIMEOUT",
                "returncode": 142,
                "t_run": 1.0,
                "exception": {
                    "occurred": True,
                    "type": "timeout",
                    "note": "resource allocation expired",
                },
            },
            *("TIMEOUT, exit code 142 (timeout: resource allocation expired)", 142),
        ),
        ({"state": "INACTIVE", "result": "CANCELED", "returncode": -128}, "CANCELED", None),
    ],
)
def test_words_and_codes_are_those_of_flux(
    said: dict[str, Any], words: str, code: int | None
) -> None:
    found = one(record(**said))
    assert (found.reason, found.code) == (words, code)


def test_several_jobs_and_those_that_are_not_known() -> None:
    out = f'{{"jobs": [{RUNNING}, {HELD}]}}'
    said = Said(name="flux", code=1, out=out, err="JobID f68GN unknown\n")
    assert [found.id for found in parse.seen(said)] == ["fiFkbMhFM", "fiFsPiQD5"]
    assert parse.seen(Said(name="flux", code=1, err="JobID 999999 unknown\n")) == []
    assert parse.seen(Said(name="flux", out='{"jobs": []}')) == []


def test_silence_of_flux_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="Unable to connect"):
        parse.seen(Said(name="flux", code=1, err="flux-jobs: ERROR: Unable to connect to Flux"))


@pytest.mark.parametrize("out", ["", "<html>", "[]", '{"jobs": 1}', '{"state": "RUN"}', '{"id": 1'])
def test_what_is_no_answer_is_said_to_be_none(out: str) -> None:
    with pytest.raises(ValueError, match=r"flux jobs|Expecting"):
        parse.seen(Said(name="flux", out=out))


@pytest.mark.parametrize("out", ["ƒiFkbMhFM\n", "fiFkbMhFM\n", "Welcome!\nƒiFkbMhFM\n"])
def test_the_id_is_found(out: str) -> None:
    assert parse.submitted(Said(name="flux", out=out)) == "fiFkbMhFM"


def test_without_an_id_what_was_printed_is_told() -> None:
    with pytest.raises(ValueError, match="no job id, but 'Thanks a lot'"):
        parse.submitted(Said(name="flux", out="Thanks a lot\n"))


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ("[Errno 22] Invalid queue 'x' specified", "queue"),
        ("no queue specified", "queue"),
        ("[Errno 22] job submission is disabled: maintenance", "queue"),
        (
            "[Errno 22] requested duration (1h) exceeds policy limit of 30m for queue debug",
            "walltime",
        ),
        ("[Errno 22] requested nnodes exceeds policy limit of 4", ""),
        ("[Errno 22] unsatisfiable request", ""),
        ("[Errno 22] cannot find user/bank entry for: x", "bank"),
        ("[Errno 22] invalid constraint: unknown operator", "requires"),
        ("unrecognized arguments: --foo", "scheduler_options"),
        ("only the instance owner can submit with FLUX_JOB_WAITABLE", ""),
        ("Out of cheese", ""),
    ],
)
def test_a_refusal_is_about_an_option_and_says_what_to_do(said: str, about: str) -> None:
    found = parse.refusal(Said(name="flux", code=1, err=f"flux-batch: ERROR: {said}\n"))
    assert (found.about, found.later, found.said) == (about, False, said)
    assert found.todo


@pytest.mark.parametrize(
    "said",
    [
        "Unable to connect to Flux: broker socket /run/flux/local was not found",
        "No service matching job-ingest.submit is registered",
        "[Errno 11] Resource temporarily unavailable",
        "user has reached max_active_jobs limit",
    ],
)
def test_what_passes_is_tried_later(said: str) -> None:
    answer = Said(name="flux", code=1, err=f"flux-batch: ERROR: {said}")
    assert parse.refusal(answer).later
    assert parse.passing(answer)


@pytest.mark.parametrize(
    ("err", "spent"),
    [
        ("flux-cancel: ERROR: ƒ68GN: unknown job id\n", True),
        (
            "flux-cancel: ERROR: ƒ68GN: unknown job id\nflux-cancel: ERROR: ƒ1: job is inactive",
            True,
        ),
        ("flux-cancel: ERROR: Permission denied\n", False),
        ("", False),
    ],
)
def test_that_a_job_is_over_is_no_failure_of_flux_cancel(err: str, spent: bool) -> None:
    assert parse.spent(Said(name="flux", code=1, err=err)) is spent


def test_queues_are_read() -> None:
    status = (
        "batch: Job submission is enabled\nbatch: Scheduling is started\n"
        "debug: Job submission is disabled: xyzzy\ndebug: Scheduling is stopped: maintenance\n"
    )
    batch, debug = parse.queues(status, "batch|8h\ndebug|inf\n")
    assert (batch.name, batch.closed, batch.stopped, batch.limit) == ("batch", "", False, "8h")
    assert (debug.closed, debug.stopped, debug.limit) == ("xyzzy", True, "")
    (alone,) = parse.queues("Job submission is enabled\nScheduling is started\n", "|inf\n")
    assert (alone.name, alone.closed) == ("", "")
    with pytest.raises(ValueError, match="no queue"):
        parse.queues("<html>", "")


def test_the_version_is_that_of_the_broker() -> None:
    assert parse.version("commands:\t0.88.0\nbroker:\t\t0.87.0\n") == "0.87.0"
    assert parse.version("commands:\t0.88.0\n") == "0.88.0"
    assert parse.version("") == "an unknown version"


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.text(max_size=3),
    st.sampled_from(["INACTIVE", "RUN", "COMPLETED", "FAILED"]),
)
ANSWERS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["jobs", "id", "state", "result", "returncode", "annotations", "sched", "exception"]
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
        found = parse.seen(Said(name="flux", out=json.dumps(answer)))
    except (ValueError, NoAnswer):
        return
    assert all(one.id and isinstance(one.state, JobState) for one in found)
