"""Pure: what PSI/J says of a job, and what the job has left itself, becomes what is said of it.

PSI/J takes a job that its batch system does not list for completed, and one failed question for the
failure of all jobs. So an end is believed only with a proof: the exit code that the job wrote as
its last deed, the one that PSI/J read, a state that the batch system itself has said, or that it
was asked for.
"""

import re
from typing import Final

import attrs

from weft.values.jobs import JobState

__all__ = ["GONE", "Heard", "Verdict", "judged"]

GONE: Final = 3
"""Answers in a row without a job after which its batch system has it no more."""

# From here on, an exit code of a shell stands for the signal that ended its command, and the batch
# system knows better why it was sent.
_SIGNALS: Final = 128
# The words of PSI/J 0.9.11 for what went wrong with a question, and so says nothing of the job.
_UNASKED: Final = re.compile(
    r"Failed to poll for job status|Failed to update job status|Error updating job statuses"
)
_OVERDUE: Final = re.compile(r"time limit|walltime|TIMELIMIT|TERM_RUNLIMIT|DEADLINE", re.IGNORECASE)
_LIVE: Final = {
    "NEW": JobState.QUEUED,
    "QUEUED": JobState.QUEUED,
    "STAGE_IN": JobState.QUEUED,
    "ACTIVE": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    "CLEANUP": JobState.RUNNING,
}


@attrs.frozen(kw_only=True)
class Heard:
    """What was last heard of a job.

    Attributes:
        state: PSI/J's name of its state.
        words: what PSI/J, or the batch system, says of it.
        code: the exit code that PSI/J has read.
        own: the exit code that the job has written itself.
        cancelled: whether it was asked to end.
        seen: whether the batch system has ever shown it.
        gone: answers in a row that did not have it.
    """

    state: str
    words: str = ""
    code: int | None = None
    own: int | None = None
    cancelled: bool = False
    seen: bool = False
    gone: int = 0


@attrs.frozen(kw_only=True)
class Verdict:
    """What is said of a job.

    Attributes:
        state: where it is.
        reason: why, for people.
        code: its exit code.
        again: whether PSI/J has to be asked anew, since it considers the job as settled.
    """

    state: JobState
    reason: str
    code: int | None = None
    again: bool = False


def judged(heard: Heard, name: str) -> Verdict:
    """What is to be said of a job.

    Args:
        heard: what was heard of it.
        name: of the executor of PSI/J.
    """
    own = heard.own
    if own is not None and own < _SIGNALS:
        return _by_code(own, heard, "the job")
    live = _LIVE.get(heard.state)
    if live is not None:
        reason = f"{name}: {heard.state}"
        return Verdict(state=live, reason=f"{reason} ({heard.words})" if heard.words else reason)
    if heard.state == "FAILED" and _UNASKED.search(heard.words):
        return Verdict(
            state=JobState.UNKNOWN, reason=f"{name} could not be asked: {heard.words}", again=True
        )
    if heard.state == "CANCELED":
        why = "cancelled" if heard.cancelled else f"{name} says that it was cancelled"
        return Verdict(state=JobState.CANCELLED, reason=why, code=own)
    if own is not None:
        return _by_code(own, heard, "the job")
    if heard.code is not None:
        return _by_code(heard.code, heard, "PSI/J")
    if heard.cancelled:
        return Verdict(state=JobState.CANCELLED, reason="cancelled")
    if heard.state == "FAILED":
        overdue = _OVERDUE.search(heard.words)
        return Verdict(
            state=JobState.EXPIRED if overdue else JobState.FAILED,
            reason=f"{name} says that it failed: {heard.words or 'no reason given'}",
        )
    if heard.seen and heard.gone >= GONE:
        return Verdict(
            state=JobState.FAILED,
            reason=f"{name} does not list it any more, and it has left no exit code: it was ended "
            "from outside",
        )
    return Verdict(
        state=JobState.UNKNOWN,
        reason=f"{name} does not list it, and it has left no exit code",
        again=True,
    )


def _by_code(code: int, heard: Heard, whose: str) -> Verdict:
    if code == 0:
        return Verdict(state=JobState.DONE, reason="ended with exit code 0", code=0)
    if heard.cancelled:
        return Verdict(state=JobState.CANCELLED, reason="cancelled", code=code)
    if _OVERDUE.search(heard.words):
        return Verdict(state=JobState.EXPIRED, reason=heard.words, code=code)
    return Verdict(
        state=JobState.FAILED, reason=f"ended with exit code {code}, as {whose} says", code=code
    )
