"""Pure: what the commands of Slurm print becomes values.

Text in a form that we ask for, not JSON: the decision "text that was asked for, not JSON" says why.
The fields named here have been the same since Slurm 17.

States and reasons: "JOB STATE CODES" and "JOB REASON CODES" of squeue(1).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from weft.batch.dialect import Refusal, Seen
from weft.values.jobs import JobId, JobState

__all__ = [
    "SACCT_FORMAT",
    "SINFO_FORMAT",
    "SQUEUE_FORMAT",
    "Partition",
    "accounted",
    "coded",
    "exit_code",
    "is_busy",
    "is_spent",
    "knows_none",
    "partitions",
    "queued",
    "refusal",
    "settings_of",
    "state_of",
    "submitted",
    "words",
]

SQUEUE_FORMAT: Final = "%i|%T|%u|%N|%r|%j|%o"
SACCT_FORMAT: Final = "JobID,State,ExitCode,NodeList"
SINFO_FORMAT: Final = "%R|%a|%l|%D|%c|%m"

_NO_MEMORY: Final = 125
"""Where a signal would stand: Slurm's own mark for a job that ran out of memory."""
_JOB: Final = re.compile(r"\d+(_\d+)?")
_MANY: Final = re.compile(r"(?P<job>\d+)_\[(?P<places>[\d,-]+)(%\d+)?\]")
_RANGE: Final = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
_ID: Final = re.compile(r"(?P<id>\d+)(;(?P<cluster>[\w.-]+))?")

_STATES: Final[Mapping[str, JobState]] = {
    "PENDING": JobState.QUEUED,
    "REQUEUED": JobState.QUEUED,
    "REQUEUE_FED": JobState.QUEUED,
    "REQUEUE_HOLD": JobState.QUEUED,
    "RESV_DEL_HOLD": JobState.QUEUED,
    "SPECIAL_EXIT": JobState.QUEUED,
    "POWER_UP_NODE": JobState.QUEUED,
    # Its nodes are being switched on; nothing of it runs yet.
    "CONFIGURING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    # These hold their nodes, and may go on.
    "STOPPED": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    # Its processes are being ended; how it ended is said afterwards.
    "COMPLETING": JobState.RUNNING,
    "COMPLETED": JobState.DONE,
    "CANCELLED": JobState.CANCELLED,
    "TIMEOUT": JobState.EXPIRED,
    "DEADLINE": JobState.EXPIRED,
    "BOOT_FAIL": JobState.FAILED,
    "FAILED": JobState.FAILED,
    "LAUNCH_FAILED": JobState.FAILED,
    "NODE_FAIL": JobState.FAILED,
    "OUT_OF_MEMORY": JobState.FAILED,
    "PREEMPTED": JobState.FAILED,
    "RECONFIG_FAIL": JobState.FAILED,
    # REVOKED is left out: another cluster of the federation has the job, which is no end.
}

# What keeps a job waiting, and does not pass by itself. The name alone is known to few.
_HINTS: Final[Mapping[str, str]] = {
    "AccountNotAllowed": "the partition does not take jobs of this account",
    "AssocGrpBillingMinutes": "the account has used up what it was granted",
    "AssocGrpCPUMinutesLimit": "the account has used up what it was granted",
    "AssocGrpGRESMinutes": "the account has used up what it was granted",
    "BadConstraints": "no node can have what is asked for",
    "DependencyNeverSatisfied": "it waits for a job that did not end as it was to",
    "InvalidAccount": "the account is not known",
    "InvalidQOS": "the quality of service is not known",
    "JobHeldAdmin": "an administrator holds it back",
    "JobHeldUser": "it is held back; 'scontrol release' lets it go",
    "PartitionConfig": "the partition has no nodes, or too few, of the kind that is asked for",
    "PartitionDown": "the partition starts no jobs",
    "PartitionInactive": "the partition starts no jobs",
    "PartitionNodeLimit": "it asks for more nodes, or fewer, than the partition gives to a job",
    "PartitionTimeLimit": "it asks for more time than the partition gives",
    "QOSNotAllowed": "the partition does not take jobs of this quality of service",
    "ReqNodeNotAvail": "nodes that it needs are down, drained or reserved",
    "ReservationDeleted": "its reservation is gone",
}


@attrs.frozen(kw_only=True)
class Partition:
    """A partition as ``sinfo`` shows it.

    Attributes:
        name: its name.
        up: whether it starts jobs.
        limit: the longest time for a job, in Slurm's form; empty for none.
        nodes: how many it has.
    """

    name: str
    up: bool
    limit: str
    nodes: int


# ------------------------------------------------------------------------------------------- sbatch


def submitted(out: str) -> JobId:
    """The id in what ``sbatch --parsable`` prints: ``id`` or ``id;cluster``.

    A site may have wrapped sbatch in a program that says more, so the last such line counts.

    Raises:
        ValueError: there is none.
    """
    for line in reversed(out.splitlines()):
        if found := _ID.fullmatch(line.strip()):
            return found["id"]
    raise ValueError(f"sbatch printed no job id, but {out.strip()!r}")


# Slurm's own texts, from slurm_strerror(3) of releases 20 to 25. The first that fits counts.
# The controller was reached, and how it went on is not known.
_DOUBTFUL: Final = re.compile(
    r"Socket timed out|Zero Bytes were transmitted|Connection (?:reset|timed out)"
    r"|Transport endpoint is not connected",
    re.IGNORECASE,
)
# It was not reached, or has said that it will do nothing now.
_BUSY: Final = re.compile(
    r"Unable to contact slurm controller|temporarily unable to accept job"
    r"|Resource temporarily unavailable|controller in standby|Connection refused"
    r"|Slurm backup controller|Too many requests|rate limit",
    re.IGNORECASE,
)
_FULL: Final = re.compile(
    r"(?:Assoc|QOS)(?:Grp|Max)SubmitJob\w*|Job limit exceeded|Too many jobs", re.IGNORECASE
)
_SPENT: Final = re.compile(r"Invalid job id|already completing or completed", re.IGNORECASE)
_SHOWN: Final = "; 'sinfo --format=\"%R %D %c %m %f %G\"' shows what partitions have."
_REFUSALS: Final[tuple[tuple[str, str, str], ...]] = (
    # What sbatch says, the option that it is about, what to do.
    (
        "invalid partition|Required partition not available|not permitted to use this part",
        "partition",
        "Name one of the partitions that 'sinfo' lists in the option partition.",
    ),
    (
        "account or account/partition|invalid account",
        "account",
        "Name an account of yours in the option account; 'sacctmgr show user $USER -s' lists them.",
    ),
    (
        "invalid qos|qos specification",
        "qos",
        "Name one that you may use in the option qos; 'sacctmgr show user $USER -s' lists them.",
    ),
    (
        "WallDuration|TimeLimit|time limit is invalid|invalid --time",
        "walltime",
        "Ask for less in the option walltime; 'sinfo' shows the limit of each partition.",
    ),
    (
        "memory (?:specification|required)|MemPerNode",
        "memory_per_node",
        f"Ask for less in the option memory_per_node{_SHOWN}",
    ),
    (
        "invalid feature|constraint",
        "constraint",
        f"Name features that nodes have in the option constraint{_SHOWN}",
    ),
    (
        "reservation",
        "reservation",
        "Name one that is yours in the option reservation; 'scontrol show reservation' lists them.",
    ),
    (
        r"generic resource|\bgres\b|gpu",
        "gres",
        f"Ask for what nodes have in gres or gpus_per_node{_SHOWN}",
    ),
    (
        r"violates accounting/QOS policy|(?:Assoc|QOS)\w+",
        "",
        "Ask for fewer nodes or less time, or name another account or qos: the limit is theirs.",
    ),
    (
        "node configuration is not available|More processors requested|node count|Requested nodes",
        "",
        f"Ask for fewer nodes_per_block or cores_per_node, or another partition{_SHOWN}",
    ),
    (
        "munge|authentication|credential",
        "",
        "Ask whoever runs this machine: munge, by which Slurm knows who asks, does not work.",
    ),
    (
        "unrecognized option|invalid option|unknown option|Invalid --",
        "scheduler_options",
        "Look at scheduler_options: this release of Slurm does not know one of them.",
    ),
    (
        "access/permission denied|not permitted",
        "",
        "Ask the site whether your account may submit jobs like this one.",
    ),
)


def refusal(said: str) -> Refusal:
    """What sbatch's words mean, and what to do."""
    said = " ".join(
        re.sub(r"^sbatch: (?:error: )?", "", line.strip()) for line in said.splitlines()
    ).strip()
    if _DOUBTFUL.search(said):
        return Refusal(said=said, later=True, doubtful=True)
    if _BUSY.search(said) or _FULL.search(said):
        return Refusal(said=said, later=True)
    for pattern, about, todo in _REFUSALS:
        if re.search(pattern, said, re.IGNORECASE):
            return Refusal(said=said, todo=todo, about=about)
    return Refusal(
        said=said or "sbatch said nothing.",
        todo="Look at what sbatch says; the script is kept in the folder of the block, and "
        "'sbatch --test-only' on it says the same.",
    )


# ------------------------------------------------------------------------------- squeue and sacct


def knows_none(said: str) -> bool:
    """Whether a command says that it knows none of the jobs that it was asked about."""
    return "Invalid job id specified" in said


def is_busy(said: str) -> bool:
    """Whether a command says that the controller has not answered, which may soon be over."""
    return bool(_BUSY.search(said) or _DOUBTFUL.search(said))


def is_spent(said: str) -> bool:
    """Whether scancel says only that jobs have ended, or are not known."""
    return bool(_SPENT.search(said))


def queued(out: str) -> list[Seen]:
    """The jobs of ``squeue --noheader --format=SQUEUE_FORMAT``.

    Raises:
        ValueError: it is something else.
    """
    found = []
    for line in out.splitlines():
        parts = line.split("|", 6)
        # Not the line that names a cluster.
        if len(parts) == 7 and _JOB.fullmatch(parts[0].strip()):
            number, state, user, nodes, reason, name, command = (part.strip() for part in parts)
            found.append(
                Seen(
                    id=number,
                    state=state_of(state),
                    reason=words(state, reason, nodes),
                    user=user,
                    name=name,
                    in_array="_" in number,
                    path=command,
                )
            )
    _check(out, found, "CLUSTER:")
    return found


def accounted(out: str) -> list[Seen]:
    """The jobs of ``sacct --noheader --parsable2 --allocations --format=SACCT_FORMAT``.

    Raises:
        ValueError: it is something else.
    """
    found = []
    for line in out.splitlines():
        parts = line.split("|")
        if len(parts) == 4:
            job, state, code, nodes = parts
            nodes = "" if nodes == "None assigned" else nodes
            found += [
                Seen(
                    id=number,
                    state=state_of(state),
                    reason=words(state, nodes=nodes),
                    code=exit_code(code),
                )
                for number in _numbers(job)
            ]
    _check(out, found)
    return found


def _numbers(said: str) -> list[JobId]:
    """The ids that stand in one: jobs of an array that never began share one, ``7_[1-3,5%2]``."""
    if _JOB.fullmatch(said):
        return [said]
    found = _MANY.fullmatch(said)
    if found is None:
        return []  # a step, or a part of a heterogeneous job
    ranges = filter(None, map(_RANGE.fullmatch, found["places"].split(",")))
    return [
        f"{found['job']}_{place}"
        for one in ranges
        for place in range(int(one[1]), int(one[2] or one[1]) + 1)
    ]


def _check(out: str, found: list[Seen], also: str = "|") -> None:
    """That no job was found is an answer; that something else was printed is none."""
    other = [line for line in out.splitlines() if line.strip() and also not in line]
    if other and not found:
        raise ValueError(f"{other[0][:200]!r}")


def exit_code(said: str) -> int | None:
    """An exit code as Slurm writes it, ``code:signal``; negative for a signal."""
    found = re.fullmatch(r"(\d+):(\d+)", said.strip())
    if found is None:
        return None
    code, signal = int(found[1]), int(found[2])
    if signal == _NO_MEMORY:
        return None
    # A signal that ended part of the job may stand beside the code with which the script ended.
    return code if code or not signal else -signal


def coded(out: str) -> list[Seen]:
    """The job, with its exit code, of ``scontrol --oneliner show job``."""
    number = re.match(r"JobId=(\d+)\s", out)
    place = re.search(r"\sArrayJobId=(\d+) ArrayTaskId=(\d+)\s", out)
    found = re.search(r"\sExitCode=(\d+:\d+)(?:\s|$)", out)
    if number is None or found is None:
        return []
    job_id = f"{place[1]}_{place[2]}" if place else number[1]
    return [Seen(id=job_id, state=JobState.UNKNOWN, code=exit_code(found[1]))]


def state_of(said: str) -> JobState:
    """What a state of Slurm comes to; ``UNKNOWN`` for a word that is none.

    ``CANCELLED by 0`` is how accounts have it, and ``CANCELLED+`` how narrow columns do.
    """
    first = said.split(maxsplit=1)[0].rstrip("+").upper() if said.split() else ""
    return _STATES.get(first, JobState.UNKNOWN)


def words(state: str, reason: str = "", nodes: str = "") -> str:
    """State and reason in Slurm's own words, with the meaning of those that do not pass."""
    reason = "" if reason in {"", "None"} else reason
    text = state + (f" ({reason})" if reason else "")
    if state_of(state) is JobState.QUEUED:
        # ReqNodeNotAvail is followed by a comma and the nodes.
        hint = _HINTS.get(reason.partition(",")[0].strip("()"))
        return f"{text}: {hint}" if hint else text
    return f"{text} on {nodes}" if nodes.strip() and nodes != "(null)" else text


# ------------------------------------------------------------------------------ sinfo and scontrol


def partitions(out: str) -> list[Partition]:
    """The partitions of ``sinfo --noheader --format=SINFO_FORMAT``, each once."""
    found: dict[str, Partition] = {}
    for line in out.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) < 4 or not parts[3].isdigit():
            continue
        name, available, limit, nodes = parts[:4]
        before = found.get(name)
        # A partition whose nodes differ has a line for each kind of them.
        found[name] = Partition(
            name=name,
            up=available == "up",
            limit="" if limit in {"infinite", "n/a"} else limit,
            nodes=int(nodes) + (before.nodes if before else 0),
        )
    return list(found.values())


def settings_of(out: str, names: Iterable[str]) -> dict[str, str]:
    """The named settings of ``scontrol show config``."""
    wanted = set(names)
    found = {}
    for line in out.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() in wanted:
            found[name.strip()] = value.strip()
    return found
