"""Pure: what the commands of PBS print becomes values.

The text of ``qstat -f``, not ``qstat -F json``: TORQUE has no JSON, and that of PBS Professional is
no JSON in several releases as soon as a variable of any job holds a quotation mark or a number such
as ``005``, or shows one job of several. The text is the same in both: a heading for each object,
four blanks before each attribute, and the rest of a long value on lines of its own.

Letters of states: "Job States" in the PBS Professional Reference Guide, and qstat(1B) of TORQUE.
Exit statuses: "Job Exit Status Codes" in the PBS Professional Administrator's Guide, and "Job Exit
Status" in the TORQUE Administrator Guide.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from weft.batch.commands import NoAnswer, Said
from weft.batch.dialect import Refusal, Seen
from weft.values.jobs import JobId, JobState
from weft_pbs.settings import seconds_of

__all__ = [
    "ID",
    "NONE",
    "Node",
    "Queue",
    "has_no_history",
    "is_busy",
    "is_spent",
    "is_torque",
    "killed",
    "nodes",
    "queues",
    "refusal",
    "seen",
    "server",
    "submitted",
]

NONE: Final = "weft: there are none"
"""What stands in the place of jobs in an answer that has none, since silence is no answer."""

ID: Final = re.compile(r"\d+(\.[A-Za-z0-9][\w.-]*)?")
"""What ids of jobs look like, such as ``2.server``."""
_ATTRIBUTE: Final = re.compile(r" {4}([A-Za-z_][\w.-]*) = ?(.*)")

_STATES: Final[Mapping[str, tuple[JobState, str]]] = {
    "Q": (JobState.QUEUED, "queued"),
    "H": (JobState.QUEUED, "held"),
    "W": (JobState.QUEUED, "waiting for its time"),
    "T": (JobState.QUEUED, "on its way to another queue"),
    "B": (JobState.RUNNING, "begun"),
    "R": (JobState.RUNNING, "running"),
    # These hold their nodes, and may go on.
    "S": (JobState.RUNNING, "suspended"),
    "U": (JobState.RUNNING, "suspended while its node is used"),
    # Its processes are being ended; how it ended is said afterwards.
    "E": (JobState.RUNNING, "exiting"),
    # Another server has it, which is no end.
    "M": (JobState.UNKNOWN, "moved to another server"),
}
_ENDS: Final = frozenset("CFX")
"""Completed, of TORQUE; finished; and expired, which is what a part of an array is."""
_TERMINATED: Final = "91"
"""The substate of a finished job that somebody has deleted: JOB_SUBSTATE_TERMINATED of OpenPBS."""
_SIGNALS: Final = 256
"""Above this, an exit status is the number of a signal."""

# Exit statuses that PBS gives itself; those that are left out have their number only.
_PBSPRO: Final[Mapping[int, str]] = {
    -1: "it could not be started",
    -2: "it could not be started",
    -3: "it could not be started, and was to be tried again",
    -10: "its user is not known on the node",
    -11: "it was to run again, and may not",
    -13: "its user's password was wrong",
    -17: "a hook of the site ended it",
    -19: "a hook of the site ended it",
    -24: "it used more processors than it asked for",
    -25: "it used more processors than it asked for",
    -26: "it used more virtual memory than it asked for",
    -27: "it used more memory than it asked for",
    -28: "it used more processor time than it asked for",
    -29: "it was over its walltime",
    -30: "its nodes did not come together",
}
_TORQUE: Final[Mapping[int, str]] = {
    -1: "it could not be started",
    -2: "it could not be started",
    -3: "it could not be started, and was to be tried again",
    -8: "its script could not be run",
    -9: "its output could not be made",
    -10: "it used more memory than it asked for",
    -11: "it was over its walltime",
    -12: "it used more processor time than it asked for",
}

# What keeps a job waiting, and does not pass by itself.
_HINTS: Final = (
    ("Can Never Run", "no node, or no queue, gives as much as it asks for"),
    ("too many failed attempts", "it was tried many times; the site may know what its nodes lack"),
    ("Queue not started", "the queue starts no jobs"),
    ("not allowed", "a limit of the site keeps it back"),
)


@attrs.frozen(kw_only=True)
class Queue:
    """A queue as ``qstat -Qf`` shows it.

    Attributes:
        name: its name.
        enabled: whether it takes jobs.
        started: whether it starts them.
        limit: the longest time for a job, in PBS's form; empty for none.
    """

    name: str
    enabled: bool
    started: bool
    limit: str


@attrs.frozen(kw_only=True)
class Node:
    """A node as ``pbsnodes -a`` shows it.

    Attributes:
        name: its name.
        up: whether it is there for jobs, now or later.
        cores: how many it has, where that is told.
        memory: bytes that it has, where that is told.
    """

    name: str
    up: bool
    cores: int | None
    memory: int | None


# -------------------------------------------------------------------------------------------- text


def _objects(out: str, kind: str) -> list[tuple[str, dict[str, str]]]:
    """The objects of one kind, such as ``Job Id`` or ``Queue``, with their attributes."""
    found: list[tuple[str, dict[str, str]]] = []
    last = ""
    for line in out.splitlines():
        if line.startswith(f"{kind}:"):
            found.append((line.partition(":")[2].strip(), {}))
            last = ""
        elif not line.strip() or not found:
            last = ""
        elif new := _ATTRIBUTE.fullmatch(line):
            last = new[1]
            # The first counts: what looks like an attribute further down is text of a user's.
            if last in found[-1][1]:
                last = ""
            else:
                found[-1][1][last] = new[2]
        elif last:
            # A long value goes on behind a tab, which terminals and tools may have made blanks.
            found[-1][1][last] += line[1:] if line.startswith("\t") else line.lstrip(" ")
    return found


# -------------------------------------------------------------------------------------------- qsub


def submitted(out: str) -> JobId:
    """The id that qsub prints, such as ``2.server``.

    A site may have wrapped qsub in a program that says more, so the last such line counts.

    Raises:
        ValueError: there is none.
    """
    for line in reversed(out.splitlines()):
        if ID.fullmatch(line.strip()):
            return line.strip()
    raise ValueError(f"qsub printed no id of a job, but {out.strip()!r}")


# The texts of both servers: pbs_messages.c of OpenPBS, pbs_error_db.h of TORQUE.
_BUSY: Final = re.compile(
    r"cannot connect to|could not connect|can ?not establish connection|connection (?:refused|"
    r"reset|timed out|table full)|unable to communicate|unable to get connection|no free "
    r"connections|server shutting down|server busy|too busy|trqauthd|No route to host|"
    r"Resource temporarily unavailable",
    re.IGNORECASE,
)
_FULL: Final = re.compile(
    r"Maximum number of jobs|per-(?:user|group|project) limit|limit of jobs in", re.IGNORECASE
)
_CUT_OFF: Final = re.compile(
    r"protocol error|Premature End|Error (?:reading|writing) data|Socket close|Time ?out\b|"
    r"Too many submit retries|End of File",
    re.IGNORECASE,
)
_SHOWN: Final = "'qstat -Qf' shows the limits of each queue, 'pbsnodes -a' what nodes have."
_REFUSALS: Final[tuple[tuple[str, str, str], ...]] = (
    # What qsub says, the option that it is about, what to do.
    (
        "Unknown queue|locate queue|illegal -q|Unknown Reservation",
        "queue",
        "Name one of the queues that 'qstat -Q' lists in the option queue.",
    ),
    (
        "No default queue",
        "",
        "Name one of the queues that 'qstat -Q' lists in the option queue: this site wants that.",
    ),
    (
        "Queue is not enabled|Queue is currently not available",
        "queue",
        "Name another queue in the option queue, or wait until the site opens this one.",
    ),
    (
        "Access to queue is denied|ACL is not satisfied",
        "queue",
        "Name a queue that you may use in the option queue, or ask the site for it.",
    ),
    (
        r"invalid account|\baccount\b|allocation",
        "account",
        "Name an account of yours in the option account, or ask the site which ones you have.",
    ),
    (
        r"\bproject\b",
        "project",
        "Name a project of yours in the option project, or ask the site which ones you have.",
    ),
    (
        "walltime",
        "walltime",
        "Ask for less in the option walltime; 'qstat -Qf' shows the limit of each queue.",
    ),
    (
        "illegal -N|name is too long",
        "",
        "Give the executor a shorter label: jobs are named for it, and PBS limits their names.",
    ),
    (
        (
            r"violates queue and/or server|exceeds queue resource|limit exceeds|would exceed|"
            r"rejected by all possible"
        ),
        "",
        f"Ask for less time, fewer nodes_per_block or cores_per_node, or another queue; {_SHOWN}",
    ),
    (
        (
            r"Unknown resource|Undefined attribute|Illegal attribute or resource|"
            r"Resource invalid in|cannot be used with|used with select|"
            r"node\(s\) specification|duplicated resource"
        ),
        "select_options",
        (
            "Look at select_options and scheduler_options: this site has no such resource, or "
            "takes it in another form."
        ),
    ),
    (
        "illegal -|usage: qsub|invalid option|unrecognized option|directive error",
        "scheduler_options",
        "Look at scheduler_options: this qsub does not know one of them.",
    ),
    (
        "credential|authenticat|munge",
        "",
        "Ask whoever runs this machine: the server does not believe who you are.",
    ),
    (
        "Unauthorized|Bad [UG]ID|ruserok|not allowed|host not|permission",
        "",
        "Ask the site whether you may submit jobs like this one, and from this machine.",
    ),
)


def refusal(said: Said) -> Refusal:
    """What qsub's words mean, and what to do."""
    lines = (said.err.strip() or said.out.strip()).splitlines()
    words = " ".join(re.sub(r"^qsub: ", "", line.strip()) for line in lines).strip()
    if _CUT_OFF.search(words):
        return Refusal(said=words, doubtful=True)
    if _BUSY.search(words) or _FULL.search(words):
        return Refusal(said=words, later=True)
    for pattern, about, todo in _REFUSALS:
        if re.search(pattern, words, re.IGNORECASE):
            return Refusal(said=words, todo=todo, about=about)
    return Refusal(
        said=words or f"nothing, and ends with exit code {said.code}.",
        todo="Look at what qsub says; the script is kept in the folder of the block, and 'qsub' "
        "on it says the same.",
    )


def is_busy(said: Said) -> bool:
    """Whether the server was not there, or had no time."""
    return _BUSY.search(said.err) is not None


# ------------------------------------------------------------------------------------------- qstat

_NOT_THERE: Final = re.compile(
    r"Unknown Job Id|nonexistent job id|Job has finished|Job not found|unknown job id after",
    re.IGNORECASE,
)
_ENDING: Final = re.compile(
    r"Request invalid for state of job|Delete already in progress|already in exit state",
    re.IGNORECASE,
)


def is_spent(said: Said) -> bool:
    """Whether all that qdel complains of is that jobs have ended, or are ending."""
    lines = [line for line in said.err.splitlines() if line.strip()]
    return bool(lines) and all(_NOT_THERE.search(one) or _ENDING.search(one) for one in lines)


def has_no_history(said: Said) -> bool:
    """Whether a server was asked for ended jobs that keeps none."""
    return "not configured to maintain job history" in said.err


def is_torque(said: Said) -> bool:
    """Whether ``qstat --version`` is that of TORQUE, and else that of PBS Professional.

    Raises:
        ValueError: it is neither's.
    """
    text = f"{said.out}\n{said.err}"
    if re.search(r"^\s*pbs_version\s*=", text, re.MULTILINE):
        return False
    if re.search(r"^\s*version:", text, re.MULTILINE | re.IGNORECASE):
        return True
    raise ValueError(
        f"'qstat --version' does not say whose it is, but {said.words!r}; name it in the option "
        "dialect, 'pbspro' or 'torque'"
    )


def seen(said: Said) -> list[Seen]:
    """The jobs that ``qstat -f`` shows; of those that it does not know it complains.

    Raises:
        NoAnswer: it complains of something else.
        ValueError: it says nothing of any job.
    """
    complaints = [line for line in said.err.splitlines() if line.strip()]
    others = [line for line in complaints if not _NOT_THERE.search(line)]
    if has_no_history(said) or (said.code and (others or not complaints)):
        raise NoAnswer(f"qstat: {said.words}")
    jobs = _objects(said.out, "Job Id")
    if not jobs and not complaints and said.out.strip() != NONE:
        raise ValueError(f"{said.words!r}")
    return [_seen(job_id, found) for job_id, found in jobs]


def _seen(job_id: str, found: Mapping[str, str]) -> Seen:
    letter = found.get("job_state", "")
    code: int | None = None
    if letter in _ENDS:
        state, code, reason = _end(letter, found)
    elif letter:
        state, reason = _STATES.get(letter, (JobState.UNKNOWN, f"in a state {letter!r}"))
    else:
        raise ValueError(f"the job {job_id} without its state")
    comment = found.get("comment", "").strip()
    if state is JobState.RUNNING and "exec_host" in found:
        reason += f" on {found['exec_host']}"
    elif comment:
        reason += f": {comment}"
    if state is JobState.QUEUED:
        reason += "".join(f" ({hint})" for part, hint in _HINTS if part in comment)
        if letter == "H" and "u" in found.get("Hold_Types", ""):
            reason += f" ('qrls {job_id}' lets it go)"
    return Seen(
        id=job_id,
        state=state,
        reason=reason,
        code=code,
        user=found.get("Job_Owner", "").partition("@")[0],
        name=found.get("Job_Name", ""),
        path=_variable("PBS_O_WORKDIR", found.get("Variable_List", "")),
    )


def _end(letter: str, found: Mapping[str, str]) -> tuple[JobState, int | None, str]:
    """How a job ended: its state, its exit code, and that in words."""
    text = found.get("Exit_status", found.get("exit_status", ""))
    status = int(text) if re.fullmatch(r"-?\d+", text.strip()) else None
    code, words = _status(letter, status)
    if found.get("substate") == _TERMINATED or (status is None and letter == "C"):
        return JobState.CANCELLED, code, f"deleted, {words}"
    if _is_over_time(letter, status, found):
        return JobState.EXPIRED, code, f"over its walltime, {words}"
    return (JobState.FAILED if status != 0 else JobState.DONE), code, f"ended, {words}"


def _status(letter: str, status: int | None) -> tuple[int | None, str]:
    if status is None:
        return None, "without having run"
    if status < 0:
        meant = (_TORQUE if letter == "C" else _PBSPRO).get(status)
        return None, f"exit status {status}" + (f": {meant}" if meant else "")
    if status > _SIGNALS:
        return _SIGNALS - status, f"by signal {status - _SIGNALS}"
    return status, f"exit code {status}"


def _is_over_time(letter: str, status: int | None, found: Mapping[str, str]) -> bool:
    if status == (-11 if letter == "C" else -29):
        return True
    if "exceeded resource walltime" in found.get("comment", ""):
        return True
    # Releases that do not say so end it with a signal, no sooner than its time is over.
    try:
        used = seconds_of(found["resources_used.walltime"])
        return status is not None and status > _SIGNALS and used >= _asked(found)
    except (KeyError, ValueError):
        return False


def _asked(found: Mapping[str, str]) -> float:
    return seconds_of(found["Resource_List.walltime"])


def killed(text: str) -> tuple[JobState, str]:
    """How a job has ended that ran, and did not come to its last deed, by what PBS says of it."""
    found = re.search(r"^=>> PBS: (job killed: (.*))$", text, re.MULTILINE)
    if found is None:
        return JobState.FAILED, "PBS has it no more, and it was ended before it could say how"
    over = found[2].startswith("walltime")
    return JobState.EXPIRED if over else JobState.FAILED, f"PBS: {found[1]}"


def _variable(name: str, listed: str) -> str:
    """A variable in a list of them, where a comma in a value has a backslash before it."""
    value = re.search(rf"(?:^|,){name}=((?:\\.|[^,\\])*)", listed)
    return re.sub(r"\\(.)", r"\1", value[1]) if value else ""


# ---------------------------------------------------------------------------- the server, its parts


def server(out: str) -> tuple[str, Mapping[str, str]]:
    """The name of the server in ``qstat -Bf``, and its attributes.

    Raises:
        ValueError: there is none.
    """
    found = _objects(out, "Server")
    if not found:
        raise ValueError(f"'qstat -Bf' shows no server, but {out.strip()[:200]!r}")
    return found[0]


def queues(out: str) -> list[Queue]:
    """The queues of ``qstat -Qf``."""
    return [
        Queue(
            name=name,
            enabled=found.get("enabled", "") == "True",
            started=found.get("started", "") == "True",
            limit=found.get("resources_max.walltime", ""),
        )
        for name, found in _objects(out, "Queue")
    ]


def nodes(out: str) -> list[Node]:
    """The nodes of ``pbsnodes -a``: a name, and its attributes behind five blanks."""
    found: list[tuple[str, dict[str, str]]] = []
    for line in out.splitlines():
        if line and not line[0].isspace():
            found.append((line.strip(), {}))
        elif found and " = " in line:
            name, _, value = line.strip().partition(" = ")
            found[-1][1].setdefault(name, value)
    return [_node(name, given) for name, given in found]


def _node(name: str, found: Mapping[str, str]) -> Node:
    cores = found.get("resources_available.ncpus", found.get("np", ""))
    # TORQUE tells in its status what the node itself says.
    reported = re.search(r"(?:^|,)physmem=(\w+)", found.get("status", ""))
    memory = found.get("resources_available.mem", reported[1] if reported else "")
    states: Sequence[str] = found.get("state", "").split(",")
    return Node(
        name=name,
        up=not {"down", "offline", "state-unknown", "Stale"} & {one.strip() for one in states},
        cores=int(cores) if cores.isdigit() else None,
        memory=_size(memory),
    )


def _size(text: str) -> int | None:
    """A size as PBS writes it, such as ``527672488kb``, in bytes."""
    found = re.fullmatch(r"(\d+)([kmgtp]?)b", text)
    return int(found[1]) << (10 * " kmgtp".index(found[2] or " ")) if found else None
