"""What the commands of Cobalt print, text by text; where each is from, standins.py says."""

from __future__ import annotations

import pytest

from weft.batch.commands import NoAnswer, Said
from weft.values.jobs import JobState
from weft_cobalt import parse

TWO = """\
JobID: 500001
    JobName    : weft-1
    User       : me
    State      : running
    Location   : nid00[012-013]
    OutputPath : /runs/a: b/job.out

JobID:     17
    JobName    : -
    User       : me
    State      : user_hold
    Location   : None
    OutputPath : -

"""
# Each cell is followed by two blanks, the last too.
_ROWS = (
    "Name              Users  MaxTime   State     ",
    "=============================================",
    "default           *      24:00:00  running   ",
    "debug-cache-quad  *      None      draining  ",
)
TABLE = "\n".join(_ROWS)


def one(state: str) -> tuple[JobState, str]:
    text = f"JobID: 7\n    State : {state}\n\n"
    (found,) = parse.seen(Said(name="qstat", out=text))
    return found.state, found.reason


def test_jobs_as_qstat_lists_them() -> None:
    first, second = parse.seen(Said(name="qstat", out=TWO))
    assert (first.id, first.name, first.user) == ("500001", "weft-1", "me")
    assert (first.state, first.reason) == (JobState.RUNNING, "running on nid00[012-013]")
    assert first.path == "/runs/a: b/job.out"
    assert (second.id, second.name, second.path) == ("17", "", "")
    assert second.reason == "user_hold: it is held back; 'qrls' lets it go"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("queued", JobState.QUEUED),
        ("starting", JobState.RUNNING),
        ("running", JobState.RUNNING),
        ("exiting", JobState.RUNNING),
        ("killing", JobState.RUNNING),
        ("preempting", JobState.RUNNING),
        ("preempted", JobState.RUNNING),
        ("user_hold", JobState.QUEUED),
        ("admin_hold", JobState.QUEUED),
        ("dep_hold", JobState.QUEUED),
        ("dep_fail", JobState.QUEUED),
        ("maxrun_hold", JobState.QUEUED),
        ("done", JobState.RUNNING),
        ("strange", JobState.UNKNOWN),
    ],
)
def test_a_word_comes_to_a_state(word: str, state: JobState) -> None:
    found, reason = one(word)
    assert found is state
    assert reason.startswith(word)


def test_none_of_them_known_is_an_answer() -> None:
    assert parse.seen(Said(name="qstat", code=1)) == []
    assert parse.seen(Said(name="qstat")) == []


@pytest.mark.parametrize(
    ("out", "err", "code"),
    [
        ("", "Failed to connect to queue manager", 1),
        ("", "", 2),
        ("", "", -9),
        (TWO, "", 1),
        (TWO, "*** FATAL EXCEPTION: no ***", 0),
    ],
)
def test_a_refusal_to_answer_is_no_answer(out: str, err: str, code: int) -> None:
    with pytest.raises(NoAnswer, match=r"^qstat: "):
        parse.seen(Said(name="qstat", out=out, err=err, code=code))


@pytest.mark.parametrize(
    "out", ["<html>503</html>", "a: b\n", "    State : running\n", "JobID: 7\n    User : me\n"]
)
def test_rubbish_is_no_answer(out: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse.seen(Said(name="qstat", out=out))


@pytest.mark.parametrize("out", ["500001\n", "500001 Job routed to queue x\n", "Memo\n17\n"])
def test_an_id_is_found_in_what_qsub_prints(out: str) -> None:
    assert parse.submitted(out) in {"500001", "17"}


@pytest.mark.parametrize("out", ["", "failed to create teh job.  maybe a queue isn't there\n"])
def test_what_is_no_id_is_none(out: str) -> None:
    with pytest.raises(ValueError, match="no id of a job"):
        parse.submitted(out)


@pytest.mark.parametrize(
    ("err", "about"),
    [
        ("Walltime greater than the 'debug' queue max walltime of 01:00:00", "walltime"),
        ("You are not allowed to submit to the 'private' queue", "queue"),
        ("Project xyz has no allocation", "account"),
        ("node count out of realistic range", ""),
        ("Usage: qsub.py\n\nqsub.py: error: no such option: --foo", "scheduler_options"),
        ("command /x/job.cobalt not found, or is not a file", ""),
        ("something else", ""),
    ],
)
def test_a_refusal_says_what_to_do(err: str, about: str) -> None:
    found = parse.refusal(Said(name="qsub", err=err, code=1))
    assert (found.later, found.doubtful, found.about) == (False, False, about)
    assert found.todo
    assert found.said == " ".join(err.split())


def test_what_passes_is_tried_later_and_what_was_cut_off_looked_for() -> None:
    assert parse.refusal(Said(name="qsub", err="Failed to connect to queue manager", code=1)).later
    full = "The limit of 20 jobs per user in the 'default' queue has been reached"
    assert parse.refusal(Said(name="qsub", err=full, code=1)).later
    assert parse.refusal(Said(name="qsub", err="Error submitting job", code=1)).doubtful
    assert "exit code 3" in parse.refusal(Said(name="qsub", code=3)).said


def test_the_table_of_queues() -> None:
    first, second = parse.queues(TABLE)
    assert (first.name, first.state, first.limit) == ("default", "running", "24:00:00")
    assert (second.name, second.state, second.limit) == ("debug-cache-quad", "draining", "")
    with pytest.raises(ValueError, match="no queues"):
        parse.queues("Failed\n")


@pytest.mark.parametrize(
    ("log", "state"),
    [
        ("Jobid: 7\nqsub ...\n", None),
        ("x Info: task completed normally with an exit code of 0; initiating", JobState.DONE),
        ("x Info: task completed normally with an exit code of 3; initiating", JobState.FAILED),
        ("x Info: task completed normally with an exit code of None; init", JobState.FAILED),
        ("x Info: maximum execution time exceeded; initiating job term", JobState.EXPIRED),
        ("x Info: user delete requested with signal SIGTERM by user me\n", JobState.CANCELLED),
    ],
)
def test_a_log_tells_the_end(log: str, state: JobState | None) -> None:
    found = parse.end(log)
    assert (found[0] if found else None) is state


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[components]\nservice-location=https://sdb:8256\n", "https://sdb:8256"),
        ("[components]\npython=/usr/bin/python\n", ""),
        ("no such thing", ""),
        ("", ""),
    ],
)
def test_where_cobalt_is(text: str, where: str) -> None:
    assert parse.location(text) == where
