"""Pure: what the commands of HTCondor print becomes values.

States, hold codes and attributes: "Job ClassAd Attributes" in the manual. What an attribute says as
an expression, not as a value, JSON has as text; it counts as not told.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from weft.batch.commands import Said
from weft.batch.dialect import Refusal, Seen
from weft.batch.files import folder_of
from weft.values.jobs import JobId, JobState

__all__ = [
    "ATTRIBUTES",
    "Ad",
    "ads",
    "ended",
    "passing",
    "queued",
    "refusal",
    "schedd",
    "spent",
    "state_of",
    "submitted",
]

Ad = Mapping[str, Any]

ATTRIBUTES: Final = (
    *("ClusterId", "ProcId", "JobStatus", "LastJobStatus", "NumJobStarts", "Owner"),
    *(
        "JobBatchName",
        "WeftFolder",
        "WeftArray",
        "RemoteHost",
        "LastRemoteHost",
        "ExitBySignal",
        "ExitCode",
    ),
    *("ExitSignal", "HoldReason", "HoldReasonCode", "HoldReasonSubCode", "RemoveReason"),
    "LastRejMatchReason",
)
"""What is asked of each job."""

_IDS: Final = re.compile(r"^(\d+)\.0 - \1\.(\d+)$", re.MULTILINE)

IDLE, RUNNING, REMOVED, COMPLETED, HELD, TRANSFERRING_OUTPUT, SUSPENDED = range(1, 8)
"""The values of JobStatus."""
_NAMES: Final = ("", "IDLE", "RUNNING", "REMOVED", "COMPLETED", "HELD", "TRANSFERRING", "SUSPENDED")

_USER, _SUBMITTED, _SPOOLING = 1, 15, 16
"""Hold codes of what waits: a person holds it, it was submitted so, its files are not there yet."""
_DURATION: Final = frozenset({46, 47})
"""Hold codes of what has run, or taken, as long as it may."""

# What to do about a hold; the reason itself is HTCondor's.
_HOLDS: Final[Mapping[int, str]] = {
    6: "its script could not be started on that machine",
    12: "its output could not be carried back",
    13: "its files could not be carried to its machine",
    14: "its folder cannot be reached",
    26: "a rule of the pool does not let it go on",
    34: "it took more than it asked for: raise memory_per_node or disk_per_node",
}


# --------------------------------------------------------------------------------- condor_submit


def submitted(said: Said, count: int = 1) -> list[JobId]:
    """The ids in what ``condor_submit -terse`` prints: ``12.0 - 12.3``, the first and the last one.

    Args:
        said: what it printed.
        count: how many jobs were submitted.

    Raises:
        ValueError: there are no ids, or those of more jobs, or of fewer.
    """
    found = _IDS.findall(said.out)
    if not found or int(found[-1][1]) != count - 1:
        wanted = "no id of one job" if count == 1 else f"no ids of {count} jobs"
        raise ValueError(f"condor_submit printed {wanted}, but {said.words!r}")
    return [f"{found[-1][0]}.{number}" for number in range(count)]


_LATER: Final = re.compile(
    r"Can't find address of local schedd|Failed to connect|SECMAN:|Connection (?:refused|reset)"
    r"|timed? ?out|would exceed (?:the )?MAX_JOBS|MAX_JOBS_(?:SUBMITTED|PER_OWNER)"
    r"|Failed to fetch ads|Unable to (?:contact|locate)|temporarily",
    re.IGNORECASE,
)
_REFUSALS: Final[tuple[tuple[str, str, str], ...]] = (
    # What condor_submit says, the option that it is about, what to do.
    (
        "Can't find address of schedd|No such schedd",
        "schedd",
        "Name one of those that 'condor_status -schedd' lists in the option schedd.",
    ),
    (
        "Can't find (?:address of )?(?:collector|pool)",
        "pool",
        "Name the address of the pool's collector in the option pool.",
    ),
    (
        "accounting.?group|AcctGroup",
        "accounting_group",
        "Name a group of yours in the option accounting_group; the pool's pages say which.",
    ),
    (
        "project",
        "project",
        "Name a project of yours in the option project; the pool's pages say which.",
    ),
    (
        "request_?memory",
        "memory_per_node",
        "Ask for less in the option memory_per_node; 'condor_status -compact' shows what there is.",
    ),
    (
        "request_?cpus",
        "cores_per_node",
        "Ask for fewer in the option cores_per_node; 'condor_status -compact' shows what there is.",
    ),
    (
        "requirements",
        "requirements",
        "Write the option requirements as a ClassAd expression.",
    ),
    (
        "transfer_input_files|Can't open .*with flags",
        "transfer_input_files",
        "Name files that are there and can be read in transfer_input_files.",
    ),
    (
        "getenv",
        "getenv",
        "Name single variables in the option getenv; pools may forbid patterns.",
    ),
    (
        "Parse error in expression|Failed to parse|invalid|unrecognized",
        "scheduler_options",
        "Look at scheduler_options: one of its lines is no line of a submit description.",
    ),
    (
        "AUTHENTICATE|authoriz|permission denied|not allowed",
        "",
        "Ask whoever runs the pool whether your account may submit jobs from this machine.",
    ),
)


def refusal(said: Said) -> Refusal:
    """What condor_submit's words mean when it did not take a job, and what to do."""
    words = re.sub(r"\bERROR: ", "", said.words)
    # What the pool's own rules say is printed behind this, as the reason for it.
    own = re.search(r"Failed to commit job submission into the queue\.\s+(\S.*)", words)
    if _LATER.search(words):
        return Refusal(said=words, later=True, doubtful="Failed to commit" in words)
    for pattern, about, todo in _REFUSALS:
        if re.search(pattern, own[1] if own else words, re.IGNORECASE):
            return Refusal(said=words, todo=todo, about=about)
    if own:
        return Refusal(said=words, todo="Do what the pool's own rule asks for in these words.")
    return Refusal(
        said=words,
        doubtful="Failed to commit" in words,
        todo="Look at what condor_submit says; 'condor_submit job.sub' in the folder of the block "
        "says the same.",
    )


# ---------------------------------------------------------------------- condor_q, condor_history


def ads(said: Said) -> list[Ad]:
    """The ClassAds in what a command prints with ``-json``: a list, or nothing at all for none.

    Raises:
        NoAnswer: HTCondor does not answer.
        ValueError: it is no answer.
    """
    text = said.good().strip()
    if not text:
        return []
    answer = json.loads(text, strict=False)
    if isinstance(answer, list) and all(isinstance(one, dict) for one in answer):
        return answer
    raise ValueError("no list of ClassAds was printed")


def queued(said: Said) -> list[Seen]:
    """The jobs of ``condor_q -json``.

    Raises:
        NoAnswer, ValueError: it is no answer.
    """
    return [_job(ad, gone=False) for ad in ads(said)]


def ended(said: Said) -> list[Seen]:
    """The jobs of ``condor_history -json``, all of which have left the queue.

    Raises:
        NoAnswer, ValueError: it is no answer.
    """
    return [_job(ad, gone=True) for ad in ads(said)]


def _job(ad: Ad, *, gone: bool) -> Seen:
    cluster, proc, status = (_number(ad, name) for name in ("ClusterId", "ProcId", "JobStatus"))
    if cluster is None or proc is None or status is None:
        raise ValueError("a ClassAd has no ClusterId, ProcId or JobStatus")
    state, stuck = state_of(ad, gone=gone)
    return Seen(
        id=f"{cluster}.{proc}",
        state=state,
        reason=_words(ad, status, state),
        code=_code(ad) if status == COMPLETED else None,
        user=_text(ad, "Owner"),
        name=_text(ad, "JobBatchName"),
        in_array=ad.get("WeftArray") is True,
        path=folder_of(_text(ad, "WeftFolder")),
        stuck=stuck,
    )


def state_of(ad: Ad, *, gone: bool = False) -> tuple[JobState, bool]:
    """What a job comes to, and whether it would stay for ever as it is.

    Args:
        ad: its ClassAd.
        gone: whether it has left the queue.
    """
    status, starts = _number(ad, "JobStatus"), _number(ad, "NumJobStarts") or 0
    if status == COMPLETED:
        return (JobState.FAILED if _code(ad) else JobState.DONE), False
    if status == REMOVED:
        if gone:
            return _removed(ad), False
        # Its processes are being ended; how it ended is said afterwards.
        return (JobState.RUNNING if starts else JobState.QUEUED), False
    if status == HELD:
        return _held(ad, starts)
    if status == IDLE:
        # It has lost its machine, and waits to begin once more.
        return (JobState.FAILED, True) if starts else (JobState.QUEUED, False)
    if status == RUNNING and starts > 1:
        return JobState.FAILED, True
    if status in {RUNNING, TRANSFERRING_OUTPUT, SUSPENDED}:
        return JobState.RUNNING, False
    return JobState.UNKNOWN, False


def _held(ad: Ad, starts: int) -> tuple[JobState, bool]:
    code = _number(ad, "HoldReasonCode")
    if code in {_USER, _SUBMITTED, _SPOOLING} and not starts:
        return JobState.QUEUED, False
    return (JobState.EXPIRED if code in _DURATION else JobState.FAILED), True


def _removed(ad: Ad) -> JobState:
    """How a removed job has ended: by a person, or by the expression that it was given for that."""
    if "PeriodicRemove" not in _text(ad, "RemoveReason"):
        return JobState.CANCELLED
    return JobState.FAILED if _number(ad, "LastJobStatus") == IDLE else JobState.EXPIRED


def _code(ad: Ad) -> int | None:
    if ad.get("ExitBySignal") is True:
        signal = _number(ad, "ExitSignal")
        return None if signal is None else -signal
    return _number(ad, "ExitCode")


def _words(ad: Ad, status: int, state: JobState) -> str:
    words = _NAMES[status] if 0 < status < len(_NAMES) else f"JobStatus {status}"
    if status == HELD:
        code = _number(ad, "HoldReasonCode") or 0
        numbers = f"{code}.{_number(ad, 'HoldReasonSubCode') or 0}"
        hint = "'condor_release' lets it go" if state is JobState.QUEUED else _HOLDS.get(code)
        words += f" (code {numbers}: {_text(ad, 'HoldReason') or 'no reason is told'})"
        return f"{words}: {hint}" if hint else words
    if status == REMOVED:
        reason = _text(ad, "RemoveReason")
        if state is JobState.EXPIRED:
            return f"{words}, at the end of its walltime ({reason})"
        if state is JobState.FAILED:
            return f"{words}, since its machine was taken away ({reason})"
        return words + (f" ({reason})" if reason else "")
    if status == COMPLETED:
        code_or_signal = _code(ad)
        return f"{words}, exit code {code_or_signal}" if code_or_signal else words
    if state is JobState.FAILED:
        return f"{words} again: it has lost its machine {_text(ad, 'LastRemoteHost')}".rstrip()
    if status == IDLE:
        reason = _text(ad, "LastRejMatchReason").strip()
        analyze = "'condor_q -better-analyze' tells what is in its way"
        return f"{words} ({reason}): {analyze}" if reason else words
    host = _text(ad, "RemoteHost")
    return f"{words} on {host}" if host else words


def _number(ad: Ad, name: str) -> int | None:
    value = ad.get(name)
    return value if type(value) is int else None


def _text(ad: Ad, name: str) -> str:
    value = ad.get(name)
    return value if isinstance(value, str) else ""


def passing(said: Said) -> bool:
    """Whether a question failed for a reason that may be over in a second."""
    return _LATER.search(said.err or said.out) is not None


# ------------------------------------------------------------------------------------- condor_rm


def spent(said: Said) -> bool:
    """Whether all that condor_rm complains of is that jobs have gone, or are about to."""
    complaints = [line for line in said.err.splitlines() if line.strip()]
    over = re.compile(
        r"^Job \d+\.\d+ (?:not found|already marked for removal)|Couldn't find/remove"
    )
    return bool(complaints) and all(over.search(line) for line in complaints)


def schedd(out: str) -> str:
    """The name of the schedd that has answered, by the line at the head of ``condor_q``.

    Raises:
        ValueError: there is none.
    """
    found = re.search(r"^-- Schedd: (\S+) : ", out, re.MULTILINE)
    if found is None:
        raise ValueError(f"condor_q named no schedd, but printed {out.strip()[:200]!r}")
    return found[1]
