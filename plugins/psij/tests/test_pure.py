"""Settings, and what is believed of what PSI/J says."""

from __future__ import annotations

from typing import Any

import pytest

from weft.values.jobs import JobState
from weft_psij.judge import GONE, Heard, judged
from weft_psij.settings import EXECUTORS, PSIJ, seconds_of

UNASKED = "Failed to poll for job status: Traceback"


@pytest.mark.parametrize(
    ("heard", "state", "code", "words"),
    [
        (Heard(state="QUEUED"), JobState.QUEUED, None, "QUEUED"),
        (Heard(state="ACTIVE"), JobState.RUNNING, None, "ACTIVE"),
        (Heard(state="COMPLETED", code=0), JobState.DONE, 0, "exit code 0"),
        (Heard(state="COMPLETED", own=0), JobState.DONE, 0, "exit code 0"),
        (Heard(state="COMPLETED", own=5), JobState.FAILED, 5, "as the job says"),
        (Heard(state="FAILED", code=5), JobState.FAILED, 5, "as PSI/J says"),
        (Heard(state="ACTIVE", own=0), JobState.DONE, 0, "exit code 0"),
        (Heard(state="COMPLETED"), JobState.UNKNOWN, None, "does not list it"),
        (Heard(state="COMPLETED", gone=GONE), JobState.UNKNOWN, None, "does not list it"),
        (Heard(state="COMPLETED", seen=True, gone=GONE - 1), JobState.UNKNOWN, None, "not list"),
        (Heard(state="COMPLETED", seen=True, gone=GONE), JobState.FAILED, None, "from outside"),
        (Heard(state="COMPLETED", cancelled=True), JobState.CANCELLED, None, "cancelled"),
        (Heard(state="COMPLETED", cancelled=True, own=0), JobState.DONE, 0, "exit code 0"),
        (Heard(state="FAILED", cancelled=True, code=143), JobState.CANCELLED, 143, "cancelled"),
        (Heard(state="CANCELED"), JobState.CANCELLED, None, "says that it was cancelled"),
        (Heard(state="ACTIVE", own=143), JobState.RUNNING, None, "ACTIVE"),
        (Heard(state="CANCELED", own=143), JobState.CANCELLED, 143, "says that it was cancelled"),
        (Heard(state="COMPLETED", own=143), JobState.FAILED, 143, "as the job says"),
        (
            Heard(state="FAILED", own=143, words="The job exhausted its time limit."),
            JobState.EXPIRED, 143, "time limit",
        ),
        (Heard(state="FAILED", words=UNASKED), JobState.UNKNOWN, None, "could not be asked"),
        (Heard(state="FAILED", words=UNASKED, own=0), JobState.DONE, 0, "exit code 0"),
        (
            Heard(state="FAILED", words=UNASKED, cancelled=True),
            JobState.UNKNOWN, None, "could not be asked",
        ),
        (
            Heard(state="FAILED", words="The job exhausted its time limit."),
            JobState.EXPIRED, None, "time limit",
        ),
        (Heard(state="FAILED"), JobState.FAILED, None, "no reason given"),
    ],
)  # fmt: skip
def test_what_is_believed(heard: Heard, state: JobState, code: int | None, words: str) -> None:
    found = judged(heard, "PSI/J (slurm)")
    assert (found.state, found.code) == (state, code)
    assert words in found.reason
    assert found.again is (state is JobState.UNKNOWN)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_every_executor_of_psij_can_be_named(executor: Any) -> None:
    assert PSIJ(executor=executor).executor == executor


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"executor": "sge"}, "executor"),
        ({"walltime": "10"}, "hours:minutes:seconds"),
        ({"walltime": "00:00:00"}, "no time at all"),
        ({"walltime": "1:99:00"}, "no time"),
        ({"queue": "-q"}, "queue"),
        ({"account": "a b"}, "account"),
        ({"attributes": {"qos": "x"}}, "a dot"),
        ({"attributes": {"slurm.qos": 'a"\n#SBATCH'}}, "without quotes"),
        ({"attributes": {"slurm.qos": "$(id)"}}, "without quotes"),
        ({"python": "-x"}, "python"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"command_timeout": 0}, "command_timeout"),
    ],
)
def test_what_is_no_option_is_refused(options: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"executor": "slurm", **options}
    with pytest.raises((ValueError, TypeError), match=words):
        PSIJ(**given)


def test_times() -> None:
    assert seconds_of("01:02:03") == 3723
    assert seconds_of("48:00:00") == 172800
