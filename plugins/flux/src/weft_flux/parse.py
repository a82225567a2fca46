"""Pure: what the commands of Flux print becomes values.

States and results: RFC 21 of Flux. Ids: RFC 19, of which flux prints the form F58: ``ƒ`` and digits
to the base 58, or ``f`` where the locale has no ``ƒ``. Here an id always begins with ``f``, which
every command takes. ``flux jobs --json``: flux-jobs(1); for a single id it prints a job, for
several, or none, all of them in ``jobs``.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from weft.batch.commands import Said
from weft.batch.dialect import Refusal, Seen
from weft.values.jobs import JobId, JobState

__all__ = [
    "ID",
    "QUEUES",
    "Queue",
    "f58",
    "passing",
    "queues",
    "refusal",
    "seen",
    "spent",
    "state_of",
    "submitted",
    "version",
]

ID: Final = re.compile(r"f[1-9A-HJ-NP-Za-km-z]+")
QUEUES: Final = "{queue}|{limits.timelimit!F}"
"""What ``flux queue list`` is asked for."""

_PRINTED: Final = re.compile(r"[ƒf]([1-9A-HJ-NP-Za-km-z]+)")
_DIGITS: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_SIGNALS: Final = 128

_STATES: Final[Mapping[str, JobState]] = {
    "NEW": JobState.QUEUED,
    "DEPEND": JobState.QUEUED,
    "PRIORITY": JobState.QUEUED,
    "SCHED": JobState.QUEUED,
    "RUN": JobState.RUNNING,
    # Its processes are being ended; how it ended is said afterwards.
    "CLEANUP": JobState.RUNNING,
}
_RESULTS: Final[Mapping[str, JobState]] = {
    "COMPLETED": JobState.DONE,
    "FAILED": JobState.FAILED,
    "CANCELED": JobState.CANCELLED,
    # RFC 21 had it with two of them once.
    "CANCELLED": JobState.CANCELLED,
    "TIMEOUT": JobState.EXPIRED,
}


@attrs.frozen(kw_only=True)
class Queue:
    """A queue.

    Attributes:
        name: its name; empty where there are no queues.
        closed: why it takes no jobs; empty if it does.
        stopped: whether it starts none.
        limit: the longest time for a job, as Flux writes it; empty for none, ``None`` where it is
            not told.
    """

    name: str
    closed: str = ""
    stopped: bool = False
    limit: str | None = None


def f58(number: int) -> JobId:
    """An id as text.

    Raises:
        ValueError: it is no id.
    """
    if number < 0:
        raise ValueError(f"{number} is no id of a job of Flux")
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 58)
        digits = _DIGITS[digit] + digits
    return f"f{digits}"


# ------------------------------------------------------------------------------------ flux batch


def submitted(said: Said) -> JobId:
    """The id that ``flux batch`` prints; a site's wrapper may print more, so the last one counts.

    Raises:
        ValueError: there is none.
    """
    for line in reversed(said.out.splitlines()):
        if found := _PRINTED.fullmatch(line.strip()):
            return f"f{found[1]}"
    raise ValueError(f"flux batch printed no job id, but {said.words!r}")


_LATER: Final = re.compile(
    r"Unable to connect to Flux|flux_open|Connection (?:refused|reset)|Broken pipe"
    r"|No service matching|Function not implemented|Resource temporarily unavailable"
    r"|max_active_jobs|too many jobs|timed out",
    re.IGNORECASE,
)
_SHOWN: Final = "'flux resource list' shows what there is."
_LIMITS: Final = "'flux queue list' shows the limits of each queue."
_REFUSALS: Final[tuple[tuple[str, str, str], ...]] = (
    # What flux says, the option that it is about, what to do.
    (
        r"requested duration|time.?limit|duration",
        "walltime",
        f"Ask for less in the option walltime; {_LIMITS}",
    ),
    (
        r"requested n?nodes|requested nnodes|requested ncores|requested ngpus|nnodes exceeds",
        "",
        f"Ask for fewer nodes_per_block, cores_per_node or gpus_per_node; {_LIMITS}",
    ),
    (
        r"unsatisfiable|insufficient resources|infeasible",
        "",
        f"Ask for fewer nodes_per_block, cores_per_node or gpus_per_node; {_SHOWN}",
    ),
    (
        r"submission is disabled|\bqueue\b",
        "queue",
        "Name one of the queues that 'flux queue list' lists in the option queue.",
    ),
    (
        r"\bbank\b|association",
        "bank",
        "Name a bank of yours in the option bank; 'flux account view-user $USER' lists them.",
    ),
    (
        r"constraint|propert|--requires",
        "requires",
        f"Write the option requires as 'flux batch --requires' takes it; {_SHOWN}",
    ),
    (
        r"unrecognized arguments|ambiguous option|argument|orphan|directive",
        "scheduler_options",
        "Look at scheduler_options: this release of Flux does not know one of them.",
    ),
    (
        r"permission|only the instance owner|guest",
        "",
        "Ask whether your account may submit jobs to this instance.",
    ),
)


def refusal(said: Said) -> Refusal:
    """What flux's words mean when it did not take a job, and what to do."""
    words = re.sub(r"\bflux-batch: (?:ERROR|error): ", "", said.words)
    if _LATER.search(words):
        return Refusal(said=words, later=True)
    for pattern, about, todo in _REFUSALS:
        if re.search(pattern, words, re.IGNORECASE):
            return Refusal(said=words, todo=todo, about=about)
    return Refusal(
        said=words,
        todo="Look at what flux says; 'flux batch job.flux' in the folder of the block says the "
        "same.",
    )


# ------------------------------------------------------------------------------------- flux jobs


def seen(said: Said) -> list[Seen]:
    """The jobs of ``flux jobs --json``; those that it does not know are left out.

    Raises:
        NoAnswer: Flux does not answer.
        ValueError: it is no answer.
    """
    unknown = [line for line in said.err.splitlines() if _UNKNOWN.search(line)]
    text = said.out.strip()
    if not text:
        if not unknown:
            said.good()
            raise ValueError("flux jobs printed nothing")
        return []
    return [_job(one) for one in _records(json.loads(text))]


def _records(answer: Any) -> list[Mapping[str, Any]]:
    jobs = answer.get("jobs", [answer]) if isinstance(answer, dict) else None
    if isinstance(jobs, list) and all(isinstance(one, dict) for one in jobs):
        return jobs
    raise ValueError("flux jobs printed no jobs")


_UNKNOWN: Final = re.compile(r"\bunknown\b|job is inactive")


def _job(record: Mapping[str, Any]) -> Seen:
    number, stage = record.get("id"), str(record.get("state", ""))
    if type(number) is not int or not stage:
        raise ValueError("flux jobs printed a job without id or state")
    result = str(record.get("result", ""))
    state = state_of(stage, result)
    return Seen(
        id=f58(number),
        state=state,
        reason=_words(record, stage, result, state),
        code=_code(record, state),
        user=str(record.get("username", "")),
        name=str(record.get("name", "")),
        path=str(record.get("cwd", "")),
    )


def state_of(state: str, result: str = "") -> JobState:
    """What a state of Flux comes to; ``UNKNOWN`` for a word that is none.

    Args:
        state: the state.
        result: of a job that is INACTIVE.
    """
    if state == "INACTIVE":
        return _RESULTS.get(result, JobState.UNKNOWN)
    return _STATES.get(state, JobState.UNKNOWN)


def _code(record: Mapping[str, Any], state: JobState) -> int | None:
    """The exit code; of a job that never began, Flux makes one up."""
    code = record.get("returncode")
    began = "t_run" in record or "waitstatus" in record
    if state is JobState.DONE:
        return 0
    return code if isinstance(code, int) and began else None


def _words(record: Mapping[str, Any], stage: str, result: str, state: JobState) -> str:
    if state is JobState.QUEUED:
        if record.get("urgency") == 0:
            return f"{stage} (urgency 0): it is held; 'flux job urgency ID default' lets it go"
        why = _why_pending(record)
        return stage + (f" ({why})" if why else "")
    if stage != "INACTIVE":
        nodes = record.get("nodelist")
        return f"{stage} on {nodes}" if nodes else stage
    exception = record.get("exception")
    code = _code(record, state)
    words = result or stage
    if code and state is not JobState.CANCELLED:
        words += f", exit code {code}"
    if isinstance(exception, dict) and exception.get("occurred"):
        note = str(exception.get("note") or "").strip()
        told = str(exception.get("type") or "exception") + (f": {note}" if note else "")
        words += f" ({told})"
    return words


def _why_pending(record: Mapping[str, Any]) -> str:
    waits = record.get("dependencies")
    if record.get("state") == "DEPEND" and isinstance(waits, list) and waits:
        return "it waits for " + ", ".join(map(str, waits))
    annotations = record.get("annotations")
    sched = annotations.get("sched") if isinstance(annotations, dict) else None
    reason = sched.get("reason_pending") if isinstance(sched, dict) else None
    return str(reason or "")


def passing(said: Said) -> bool:
    """Whether a question failed for a reason that may be over in a second."""
    return _LATER.search(said.err or said.out) is not None


def spent(said: Said) -> bool:
    """Whether all that ``flux cancel`` complains of is that jobs have ended, or are not known."""
    complaints = [line for line in said.err.splitlines() if line.strip()]
    return bool(complaints) and all(_UNKNOWN.search(line) for line in complaints)


# ----------------------------------------------------------------------- flux queue, flux version


def queues(status: str, limits: str = "") -> list[Queue]:
    """The queues, by ``flux queue status`` and ``flux queue list --format=QUEUES``.

    An instance without queues is one, without a name.

    Raises:
        ValueError: it tells of none.
    """
    found: dict[str, Queue] = {}
    line_of = re.compile(
        r"(?:(?P<name>\S+): )?(?:Job submission is (?P<taken>enabled|disabled)(?:: (?P<why>.*))?"
        r"|Scheduling is (?P<begun>started|stopped).*)"
    )
    for line in status.splitlines():
        if not (told := line_of.fullmatch(line.strip())):
            continue
        name = told["name"] or ""
        queue = found.get(name, Queue(name=name))
        if told["taken"] == "disabled":
            queue = attrs.evolve(queue, closed=told["why"] or "it is disabled")
        elif told["begun"] == "stopped":
            queue = attrs.evolve(queue, stopped=True)
        found[name] = queue
    if not found:
        raise ValueError(f"flux queue status told of no queue, but {status.strip()[:200]!r}")
    for line in limits.splitlines():
        name, _, limit = line.strip().partition("|")
        if name in found and limit:
            unlimited = limit in {"inf", "infinity"}
            found[name] = attrs.evolve(found[name], limit="" if unlimited else limit)
    return list(found.values())


def version(said: str) -> str:
    """The version of the broker, by ``flux version``; of the commands if it does not tell."""
    told = dict(re.findall(r"^(\S+):\s+(\S+)", said, re.MULTILINE))
    return str(told.get("broker") or told.get("commands") or "an unknown version")
