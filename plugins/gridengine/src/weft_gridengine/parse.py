"""Pure: what the commands of Grid Engine print becomes values.

Jobs are read as XML, which Son of Grid Engine, Univa and Altair write alike, and in which no name
is cut short. Ended jobs are in no XML: ``qacct`` prints lines of a name and a value.

Letters of states: qstat(1), "OUTPUT FORMATS". Codes of failures: sge_diagnostics(5).
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from weft.batch.commands import Said
from weft.batch.dialect import Refusal, Seen
from weft.values.jobs import JobState
from weft_gridengine.settings import seconds_of

__all__ = [
    "Account",
    "account",
    "accounted",
    "attributes",
    "complaint",
    "exclusive_resource",
    "explained",
    "gone",
    "is_passing",
    "limit_of",
    "listed",
    "names",
    "queues_of",
    "refusal",
    "resource_names",
    "state_of",
    "submitted",
]

# ------------------------------------------------------------------------------------ qstat -xml


def state_of(letters: str) -> JobState:
    """What the letters of a state come to; ``UNKNOWN`` for letters that say nothing of it.

    ``E`` is a job that could not be started, and is kept until somebody clears its error: it has
    failed.
    """
    if "E" in letters:
        return JobState.FAILED
    # One that is deleted is where it was until it has gone; so is one that is to be restarted.
    if set(letters) & set("rtsSTN"):
        return JobState.RUNNING
    return JobState.QUEUED if set(letters) & set("qwh") else JobState.UNKNOWN


# What keeps a job from going on, and does not pass by itself. The letter alone is known to few.
_HINTS: Final[Mapping[str, str]] = {
    "h": "it is held back; 'qrls' lets it go",
    "s": "it is suspended; 'qmod -usj' lets it go on",
    "S": "its queue is suspended",
    "T": "it is suspended, since its host is too busy",
    "d": "it is being deleted",
}


def listed(out: str) -> list[Seen]:
    """The jobs of ``qstat -xml``, with or without ``-j``; those that are not there are not in it.

    Raises:
        ValueError: it is no XML of qstat.
    """
    root = _xml(out)
    if root.tag == "unknown_jobs":
        return []
    if root.tag == "detailed_job_info":
        return [
            seen for element in root.iterfind("djob_info/element") for seen in _detailed(element)
        ]
    if root.tag != "job_info":
        raise ValueError(f"qstat printed <{root.tag}>, which is no list of jobs")
    return [seen for element in root.iter("job_list") for seen in _short(element)]


def _xml(out: str) -> ET.Element:
    try:
        # Names may hold what no XML can, and qstat writes it as it is.
        text = re.sub("[\0-\x08\x0b\x0c\x0e-\x1f]", "?", out)
        return ET.fromstring(text)  # noqa: S314 - the site's own program wrote it
    except ET.ParseError as error:
        raise ValueError(f"qstat printed no XML ({error}), but {out.strip()[:200]!r}") from error


def _text(element: ET.Element, *names: str) -> str:
    """What the first of these elements says; empty for none."""
    return next((said.strip() for name in names if (said := element.findtext(name))), "")


def _short(element: ET.Element) -> Iterator[Seen]:
    number = _text(element, "JB_job_number")
    if not number.isdigit():
        return
    letters = _text(element, "state")
    where = _text(element, "queue_name")
    reason = f"{letters} in {where}" if where else letters
    hints = [hint for letter, hint in _HINTS.items() if letter in letters]
    yield Seen(
        id=number,
        state=state_of(letters),
        reason=f"{reason}: {', '.join(hints)}" if hints else reason,
        stuck="E" in letters,
        user=_text(element, "JB_owner"),
        name=_text(element, "JB_name", "JB_job_name"),
    )


def _detailed(element: ET.Element) -> Iterator[Seen]:
    number = _text(element, "JB_job_number")
    if number.isdigit():
        # Whether it runs is written otherwise in each release. It has not ended, or it would not be
        # there.
        yield Seen(
            id=number,
            state=JobState.QUEUED,
            user=_text(element, "JB_owner"),
            name=_text(element, "JB_job_name", "JB_name"),
            path=_text(element, "JB_script_file"),
        )


def explained(out: str) -> list[Seen]:
    """Why jobs wait, or could not be started, by what ``qstat -xml -j`` says of them.

    What the scheduler says of all jobs, such as which queues are disabled, is left out where there
    is something that it says of one.

    Raises:
        ValueError: it is no XML of qstat.
    """
    root = _xml(out)
    said: dict[str, list[str]] = {}
    for element in root.iterfind("djob_info/element"):
        # What kept it from starting.
        errors = [_stripped(one.text or "") for one in element.iter("QIM_message")]
        said[_text(element, "JB_job_number")] = errors
    every: list[str] = []
    for element in root.iterfind("messages/element"):
        for one in element.iterfind("SME_message_list/element"):
            for owner in one.iter("ULNG_value"):
                said.get(_text(owner, "."), []).append(_text(one, "MES_message"))
        shared = element.iterfind("SME_global_message_list/element")
        every.extend(_text(one, "MES_message") for one in shared)
    return [
        Seen(
            id=number,
            state=JobState.UNKNOWN,
            reason="; ".join(_few(messages) or _few(every) or messages),
        )
        for number, messages in said.items()
    ]


# The time of a failure and the process that saw it: 11/21/2026 14:34:55 [0:21655]:
_WHEN: Final = re.compile(r"^[\d/:. -]+\[\d+:\d+\]:\s*(error:\s*)?")
_MOST: Final = 4


def _stripped(message: str) -> str:
    return _WHEN.sub("", " ".join(message.split()))


def _few(said: Sequence[str]) -> list[str]:
    # A queue that was not asked for is no reason; a cluster has hundreds of those.
    kept = [one for one in dict.fromkeys(said) if one and "hard queue list" not in one]
    more = len(kept) - _MOST
    return kept if more <= 0 else [*kept[:_MOST], f"and {more} reasons more"]


# ----------------------------------------------------------------------------------------- qacct


@attrs.frozen(kw_only=True)
class Account:
    """An ended job, as accounts have it.

    Attributes:
        id: its number.
        failed: Grid Engine's code for what went wrong; 0 for nothing.
        said: what that code means, in its words.
        exit_status: that of the job; above 128 for a signal.
        seconds: how long it ran.
        by: who deleted it; empty where that is not told.
        user: whose it was.
        name: its name.
    """

    id: str
    failed: int
    said: str
    exit_status: int
    seconds: float
    by: str = ""
    user: str = ""
    name: str = ""


# Failures after which the job is in the queue again, or still: rescheduling, and errors of the
# start or of the job itself after which it is kept in error.
_KEPT: Final = frozenset({24, 25, 30})
_ENFORCED: Final = 37
_AFTER: Final = 100
_SIGNALS: Final = 128
_DELETED: Final = re.compile(r"[\w.-]+@[\w.-]+|[A-Za-z_][\w.-]*")


def accounted(out: str) -> list[Account]:
    """The jobs of ``qacct -j``; one that was restarted has several entries."""
    return [
        found
        for part in re.split(r"^=+\s*$", out, flags=re.MULTILINE)
        if (found := _account(part)) is not None
    ]


def _account(text: str) -> Account | None:
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        fields.setdefault(name, value.strip())
    failed, status = (_number(fields.get(name, "")) for name in ("failed", "exit_status"))
    number = fields.get("jobnumber", "")
    if failed is None or status is None or not number.isdigit():
        return None
    deleted = fields.get("deleted_by", "")
    return Account(
        id=number,
        failed=int(failed),
        said=" ".join(fields["failed"].split()),
        exit_status=int(status),
        seconds=_number(fields.get("ru_wallclock", "")) or 0.0,
        by=deleted if _DELETED.fullmatch(deleted) and deleted not in {"NONE", "none"} else "",
        user=fields.get("owner", ""),
        name=fields.get("jobname", ""),
    )


def _number(said: str) -> float | None:
    found = re.match(r"-?\d+(\.\d+)?", said)
    return float(found[0]) if found else None


def account(found: Account, walltime: float | None) -> Seen | None:
    """The end that an account tells; ``None`` if it is none.

    Args:
        found: the account.
        walltime: seconds that the job was given, where it was given a limit.
    """
    if found.failed in _KEPT:
        return None
    killed = found.exit_status > _SIGNALS
    code = _SIGNALS - found.exit_status if killed and found.failed else found.exit_status
    reason = f"exit status {found.exit_status}"
    if found.failed:
        reason = f"failed {found.said}; {reason}"
    # What enforces the limit of time says the same of those of memory and processor time, and some
    # releases say no more than of any job that was killed.
    late = walltime is not None and found.seconds >= walltime - 1
    if found.by and not late:
        state, reason = JobState.CANCELLED, f"deleted by {found.by}; {reason}"
    elif late and found.failed in {_ENFORCED, _AFTER}:
        state, reason = JobState.EXPIRED, f"its time was over; {reason}"
    elif found.failed or found.exit_status:
        state = JobState.FAILED
    else:
        state = JobState.DONE
    return Seen(
        id=found.id, state=state, reason=reason, code=code, user=found.user, name=found.name
    )


# ---------------------------------------------------------------------------------- qsub and qdel


def submitted(out: str) -> str:
    """The id in what ``qsub -terse`` prints.

    A site may have wrapped qsub in a program that says more, so the last such line counts.

    Raises:
        ValueError: there is none.
    """
    for line in reversed(out.splitlines()):
        if line.strip().isdigit():
            return line.strip()
    raise ValueError(f"qsub printed no job id, but {out.strip()[:200]!r}")


def complaint(said: str) -> str:
    """What qsub says of a job that it did not submit, without what surrounds it."""
    lines = [
        re.sub(r"^(?:qsub: |error: |Unable to run job: )+", "", line.strip())
        for line in said.splitlines()
    ]
    return " ".join(line for line in lines if line and line != "Exiting.")


_AGAIN: Final = 25  # how qsub ends where asking again makes sense: qsub(1), "EXIT STATUS"
_UNHEARD: Final = re.compile(
    r"unable to send message to qmaster|unable to contact qmaster|got send error"
    r"|Connection refused|cannot reach qmaster|can't connect to|endpoint is not unique",
    re.IGNORECASE,
)
_PERHAPS: Final = re.compile(
    r"failed receiving gdi request|receive timeout|got read error|got no response"
    r"|message receive|Error reading answer list",
    re.IGNORECASE,
)
_FULL: Final = re.compile(r"only \d+ jobs are allowed|too many|try again", re.IGNORECASE)
_REFUSALS: Final[tuple[tuple[str, str, str], ...]] = (
    # What qsub says, the option that it is about, what to do.
    (
        "unknown queue|queue .*does not exist",
        "queue",
        "Name one of the queues that 'qconf -sql' lists in the option queue.",
    ),
    (
        "project|no access to project",
        "project",
        "Name a project of yours in the option project; 'qconf -sprjl' lists all.",
    ),
    (
        "parallel environment|pe range",
        "parallel_environment",
        "Name one of those that 'qconf -spl' lists in the option parallel_environment.",
    ),
    (
        'h_rt|"s_rt',
        "walltime",
        "Write a time in the option walltime, such as '12:00:00'.",
    ),
    (
        'unknown resource|is not a .* value|requests? for .*resource|"?complex',
        "resources",
        "Name what 'qconf -sc' lists, with a value of its kind, in the option resources.",
    ),
    (
        "no suitable queues|cannot run in (?:queue|PE)",
        "",
        "Ask for less: no queue could run this job. 'qsub -w v' on its script says why.",
    ),
    (
        "invalid option|unknown option|Unknown option",
        "scheduler_options",
        "Look at scheduler_options: this release of Grid Engine does not know one of them.",
    ),
    (
        "is not a submit host|not an? (?:admin|submit)|neither submit nor admin host",
        "",
        "Run the script on a machine from which jobs are submitted; 'qconf -ss' lists them.",
    ),
    (
        "denied|not allowed|has no permission|no permission",
        "",
        "Ask the site whether your account may submit jobs like this one.",
    ),
)


def refusal(said: Said) -> Refusal:
    """What it means that qsub ended badly."""
    words = complaint(said.err or said.out) or f"exit code {said.code}"
    if _PERHAPS.search(words):
        return Refusal(said=words, doubtful=True)
    if said.code == _AGAIN or _UNHEARD.search(words) or _FULL.search(words):
        return Refusal(said=words, later=True)
    for pattern, about, todo in _REFUSALS:
        if re.search(pattern, words, re.IGNORECASE):
            return Refusal(said=words, about=about, todo=todo)
    return Refusal(
        said=words,
        todo="Look at what qsub says; the script is kept in the folder of the block, and "
        "'qsub -w v' on it says whether any queue could run it.",
    )


def is_passing(said: Said) -> bool:
    """Whether qmaster did not answer, which it may do in a second."""
    words = said.err or said.out
    return bool(_UNHEARD.search(words) or _PERHAPS.search(words))


_GONE: Final = re.compile(
    r'job "?[\d.]+"? does not exist|already in deletion|has (?:registered|deleted)'
    r"|is already deleted",
    re.IGNORECASE,
)


def gone(said: Said) -> bool:
    """Whether all that qdel says is that jobs are deleted, or not known any more."""
    lines = [line for line in (said.out + "\n" + said.err).splitlines() if line.strip()]
    return bool(lines) and all(_GONE.search(line) for line in lines)


# ------------------------------------------------------------------------------- qconf, qselect


def names(out: str) -> list[str]:
    """The names of ``qconf -sql``, ``-spl`` or ``-sprjl``: one to a line."""
    return [line.strip() for line in out.splitlines() if line.strip()]


def queues_of(out: str) -> list[str]:
    """The queues, each once, of what ``qselect`` prints: ``queue@host``, one to a line."""
    return list(dict.fromkeys(name.partition("@")[0] for name in names(out)))


def attributes(out: str) -> list[dict[str, str]]:
    """The things that ``qconf -sq`` or ``-sp`` shows, each as its attributes by name."""
    found: list[dict[str, str]] = []
    # What does not fit on a line goes on behind a backslash.
    for line in re.sub(r"\\\n\s*", "", out).splitlines():
        name, _, value = line.strip().partition(" ")
        if name in {"qname", "pe_name"}:
            found.append({})
        if found and name:
            found[-1][name] = value.strip()
    return found


def limit_of(value: str) -> str:
    """The most that an attribute such as ``h_rt`` gives on any host; empty for no limit.

    Hosts may differ: ``24:00:00,[@long=72:00:00],[node1=INFINITY]``.
    """
    most, text = -1.0, ""
    for one in re.findall(r"[^,\[\]=]+(?=[,\]]|$)", value):
        try:
            seconds = seconds_of(one)
        except ValueError:
            continue
        if seconds is None:
            return ""
        if seconds > most:
            most, text = seconds, one.strip()
    return text


def _complexes(out: str) -> Iterator[list[str]]:
    for line in out.splitlines():
        words = line.split()
        if len(words) >= 8 and not line.startswith("#"):
            yield words


def resource_names(out: str) -> set[str]:
    """All names, and short names, of the resources of ``qconf -sc`` that jobs may ask for."""
    return {
        name
        for words in _complexes(out)
        if words[4] in {"YES", "Y", "FORCED", "F"}
        for name in words[:2]
    }


def exclusive_resource(out: str) -> str:
    """The resource of ``qconf -sc`` by which a job has a node for itself; empty for none."""
    return next((words[0] for words in _complexes(out) if words[3] == "EXCL"), "")
