"""Pure: what the commands of LSF print becomes values.

States: bjobs(1), "Output", STAT. Reasons of an end: bhist(1) and bacct(1), "Termination reasons
displayed by". Refusals: the messages of lsbatch(3), which bsub ends with "Job not submitted.".
``bjobs -o … -json`` is there since LSF 10.1; every value in it is text, and empty where LSF has
nothing to say.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from weft.batch.commands import Said
from weft.batch.dialect import Refusal, Seen
from weft.batch.files import folder_of
from weft.values.jobs import JobId, JobState

__all__ = [
    "FIELDS",
    "Queue",
    "cluster",
    "ended",
    "passing",
    "queue_limit",
    "queues",
    "refusal",
    "seen",
    "spent",
    "state_of",
    "submitted",
]

FIELDS: Final = (
    "jobid stat user job_name job_description exec_host exit_code exit_reason pend_reason"
)
"""What ``bjobs -o`` is asked for."""

_SUBMITTED: Final = re.compile(r"^Job <(\d+)> is submitted to ", re.MULTILINE)
_NONE: Final = re.compile(
    r"(?:Job <\d+> is not found|No matching job found|No (?:unfinished )?job found)"
)

_STATES: Final[Mapping[str, JobState]] = {
    "PEND": JobState.QUEUED,
    # Held back, by its owner or by an administrator.
    "PSUSP": JobState.QUEUED,
    # Its machines are being switched on; nothing of it runs yet.
    "PROV": JobState.QUEUED,
    "WAIT": JobState.QUEUED,
    "FWD_PEND": JobState.QUEUED,
    "RUN": JobState.RUNNING,
    # These hold their machines, and may go on.
    "SSUSP": JobState.RUNNING,
    "USUSP": JobState.RUNNING,
    "DONE": JobState.DONE,
    # What the site runs after a job is no matter of the job.
    "POST_DONE": JobState.DONE,
    "POST_ERR": JobState.DONE,
    "EXIT": JobState.FAILED,
    # It was killed while its machine could not be reached, and LSF waits no more for the machine.
    "ZOMBI": JobState.CANCELLED,
    # UNKWN is left out: its machine cannot be reached, which is no end.
}

# EXIT says only that it did not end well; the reason says more.
_REASONS: Final[Mapping[str, JobState]] = {
    "TERM_OWNER": JobState.CANCELLED,
    "TERM_ADMIN": JobState.CANCELLED,
    "TERM_FORCE_OWNER": JobState.CANCELLED,
    "TERM_FORCE_ADMIN": JobState.CANCELLED,
    "TERM_RUNLIMIT": JobState.EXPIRED,
    "TERM_DEADLINE": JobState.EXPIRED,
    "TERM_WINDOW": JobState.EXPIRED,
}

# What keeps a job waiting, and does not pass by itself.
_HINTS: Final[tuple[tuple[str, str], ...]] = (
    ("suspended by (?:the user|its owner)", "'bresume' lets it go"),
    ("resource requirements? not satisfied", "no machine has what is asked for, now or ever"),
    ("host is not used by the queue|does not use any", "the queue has no such machines"),
    ("queue.* (?:has been )?(?:closed|inactivated)", "the queue starts no jobs"),
)


@attrs.frozen(kw_only=True)
class Queue:
    """A queue as ``bqueues -w`` shows it.

    Attributes:
        name: its name.
        status: such as ``Open:Active``: whether it takes jobs, and whether it starts them.
    """

    name: str
    status: str

    @property
    def takes(self) -> bool:
        """Whether it takes jobs."""
        return self.status.startswith("Open")

    @property
    def starts(self) -> bool:
        """Whether it starts those that it has."""
        return self.status.endswith(":Active")


# ----------------------------------------------------------------------------------------- bsub


def submitted(said: Said) -> JobId:
    """The id in ``Job <7> is submitted to default queue <normal>.``; sites print more beside it.

    Raises:
        ValueError: there is none.
    """
    found = _SUBMITTED.search(said.out)
    if found is None:
        raise ValueError(f"bsub printed no job id, but {said.words!r}")
    return found[1]


_LATER: Final = re.compile(
    r"LSF is down|daemon .*not responding|still trying|LIM is down|not ready yet"
    r"|Communication timeout|Timeout on connect|Connection refused by server"
    r"|Server is not connected|Unable to contact|Operation is in progress"
    r"|Failed in an? LSF library call|Batch protocol error|daemon cannot fork"
    r"|has reached its job limit|Pending job threshold reached|does not have enough .*job slots"
    r"|No job Id can be used now|try (?:again )?later",
    re.IGNORECASE,
)
# Such a submission may have been heard, though the answer was lost.
_DOUBTFUL: Final = re.compile(
    r"Communication timeout|Batch protocol error|Server is not connected", re.IGNORECASE
)
_LIST: Final = "'bqueues -l' shows what each queue takes."
_REFUSALS: Final[tuple[tuple[str, str, str], ...]] = (
    # What bsub says, the option that it is about, what to do.
    (
        "RUNLIMIT|Bad time specification",
        "walltime",
        f"Ask for less in the option walltime; {_LIST}",
    ),
    (
        "MEMLIMIT|memory",
        "memory_per_node",
        f"Ask for less in the option memory_per_node; {_LIST}",
    ),
    (
        "No such queue|Queue name must be|cannot use the queue|Queue has been closed|Queue only",
        "queue",
        "Name one of the queues that 'bqueues -u $USER' lists in the option queue.",
    ),
    (
        "EXCLUSIVE",
        "exclusive",
        f"Leave out the option exclusive, or name a queue that takes such jobs; {_LIST}",
    ),
    (
        "project",
        "project",
        "Name a project of yours in the option project.",
    ),
    (
        "user group|user/host group",
        "user_group",
        "Name a group of yours in the option user_group; 'bugroup' lists them.",
    ),
    (
        "application profile|No such application",
        "application",
        "Name one of the profiles that 'bapp' lists in the option application.",
    ),
    (
        "reservation",
        "reservation",
        "Name one that is yours in the option reservation; 'brsvs' lists them.",
    ),
    (
        r"\bgpu",
        "gpus_per_node",
        "Ask for what machines have in gpus_per_node; 'lshosts -gpu' shows it.",
    ),
    (
        "processors requested|enough host|Bad number of nodes|slots",
        "",
        f"Ask for other nodes_per_block or cores_per_node, or name another queue; {_LIST}",
    ),
    (
        r"resource|section|Error (?:near|in|with) ",
        "resources",
        "Write the option resources as 'bsub -R' takes it; 'lsinfo' lists the names.",
    ),
    (
        "esub",
        "",
        "Do what the site's own check of jobs (esub) asks for, as its words have it.",
    ),
    (
        "Bad argument|Illegal option|unknown option|usage",
        "scheduler_options",
        "Look at scheduler_options: this release of LSF does not know one of them.",
    ),
    (
        "permission denied|Root job submission|Unknown user",
        "",
        "Ask the site whether your account may submit jobs from this machine.",
    ),
)


def refusal(said: Said) -> Refusal:
    """What bsub's words mean when it did not take a job, and what to do."""
    words = said.words
    if _LATER.search(words):
        return Refusal(said=words, later=True, doubtful=_DOUBTFUL.search(words) is not None)
    for pattern, about, todo in _REFUSALS:
        if re.search(pattern, words, re.IGNORECASE):
            return Refusal(said=words, todo=todo, about=about)
    return Refusal(
        said=words,
        todo="Look at what bsub says; 'bsub < job.lsf' in the folder of the block says the same.",
    )


# ----------------------------------------------------------------------------------------- bjobs


def seen(said: Said) -> list[Seen]:
    """The jobs of ``bjobs -o FIELDS -json``; those that it does not find are left out.

    Raises:
        NoAnswer: LSF does not answer.
        ValueError: it is no answer of bjobs.
    """
    begin = said.out.find("{")
    if begin < 0:
        # Without any job, LSF says so and ends with an error.
        if _NONE.search(said.err or said.out):
            return []
        said.good()
        raise ValueError(f"bjobs printed no JSON, but {said.words!r}")
    # Control characters that users put into names are printed as they are.
    records = _records(json.loads(said.out[begin:], strict=False))
    return [_job(record) for record in records if "ERROR" not in record]


def _records(answer: Any) -> list[dict[str, Any]]:
    records = answer.get("RECORDS") if isinstance(answer, dict) else None
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise ValueError("bjobs printed no RECORDS")
    return records


def _job(record: Mapping[str, Any]) -> Seen:
    def field(name: str) -> str:
        value = str(record.get(name, "")).strip()
        return "" if value == "-" else value

    if not field("JOBID") or not field("STAT"):
        raise ValueError("bjobs printed a record without JOBID or STAT")
    stat, reason = field("STAT"), field("EXIT_REASON")
    state = state_of(stat, reason)
    code = field("EXIT_CODE")
    return Seen(
        id=field("JOBID"),
        state=state,
        reason=_words(stat, state, reason or field("PEND_REASON"), field("EXEC_HOST"), code),
        code=0 if state is JobState.DONE else int(code) if code.isdigit() else None,
        user=field("USER"),
        name=field("JOB_NAME"),
        path=folder_of(field("JOB_DESCRIPTION")),
    )


def state_of(stat: str, reason: str = "") -> JobState:
    """What a state of LSF comes to; ``UNKNOWN`` for UNKWN, and for a word that is none.

    Args:
        stat: the word in the column STAT.
        reason: of a job that has ended, the termination reason, such as
            ``TERM_RUNLIMIT: job killed after reaching LSF run time limit``.
    """
    state = _STATES.get(stat, JobState.UNKNOWN)
    if state is JobState.FAILED:
        return _REASONS.get(reason.partition(":")[0].strip(), state)
    return state


def _words(stat: str, state: JobState, reason: str, hosts: str, code: str) -> str:
    reason = " ".join(reason.split()).rstrip(";")
    if state is JobState.QUEUED:
        hint = next(
            (text for pattern, text in _HINTS if re.search(pattern, reason, re.IGNORECASE)), ""
        )
        return stat + (f" ({reason})" if reason else "") + (f": {hint}" if hint else "")
    words = stat + (f", exit code {code}" if code and code != "0" else "")
    if stat == "ZOMBI":
        reason = reason or "killed while its machine could not be reached"
    return words + (f" ({reason})" if reason else "") + (f" on {hosts}" if hosts else "")


def passing(said: Said) -> bool:
    """Whether a question failed for a reason that may be over in a second."""
    return _LATER.search(said.err or said.out) is not None


# ----------------------------------------------------------------------------------------- bhist

_WHEN: Final = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?: \d{4})?: ")
_INDENT: Final = " " * 21
_AGAIN: Final = re.compile(r"Requeued|Submitted from|Dispatched|Starting \(|Job has been requeued")
_OVER: Final = re.compile(
    r"(?P<done>Done successfully)"
    r"|Exited with exit code (?P<code>\d+)"
    r"|Exited by signal (?P<signal>\d+)"
    r"|(?P<exit>Exited[.;]|Completed <exit>)"
)
_TERM: Final = re.compile(r"TERM_[A-Z_]+:[^;.]*")


def ended(said: Said) -> list[Seen]:
    """The jobs that have ended by ``bhist -l``, with how.

    It prints the history of each job below ``Job <7>, …``, an event to a line, and goes on in the
    next line, indented by 21 blanks, where a line would be longer than 80 characters.

    Raises:
        NoAnswer: LSF does not answer.
    """
    if "Job <" not in said.out:
        if not _NONE.search(said.err or said.out):
            said.good()
        return []
    found = []
    for block in re.split(r"^(?=Job <\d+>,)", said.out, flags=re.MULTILINE):
        if head := re.match(r"Job <(\d+)>,", block):
            end = _end(block)
            if end is not None:
                found.append(attrs.evolve(end, id=head[1]))
    return found


def _end(block: str) -> Seen | None:
    end: Seen | None = None
    for event in _events(block):
        if _AGAIN.match(event):
            end = None
        elif over := _OVER.match(event):
            told = _TERM.search(event)
            reason = told[0].strip() if told else ""
            state = JobState.DONE if over["done"] else state_of("EXIT", reason)
            code = 0 if over["done"] else None
            if over["code"]:
                code = int(over["code"])
            elif over["signal"]:
                code = -int(over["signal"])
            if end is not None:  # "Completed <exit>; TERM_OWNER: …" says more of the same end
                state = end.state if state is JobState.FAILED else state
                code = end.code if code is None else code
                reason = reason or end.reason.removeprefix("EXIT (").removesuffix(")")
            words = ("DONE" if state is JobState.DONE else "EXIT") + (
                f" ({reason})" if reason else ""
            )
            end = Seen(id="", state=state, reason=words, code=code)
    return end


def _events(block: str) -> Iterator[str]:
    """What happened to a job, one after another, without the times."""
    whole: list[str] = []
    for line in block.splitlines():
        if line.startswith(_INDENT) and whole:
            whole[-1] += line[len(_INDENT) :]
        else:
            whole.append(line)
    for line in whole:
        if when := _WHEN.match(line):
            yield line[when.end() :]


# ----------------------------------------------------------------------------- bkill, bqueues, lsid


def spent(said: Said) -> bool:
    """Whether all that bkill complains of is that jobs have ended, or are not known any more."""
    complaints = [line for line in said.err.splitlines() if line.strip()]
    over = re.compile(r"already finished|No matching job found|is not found|not found")
    return bool(complaints) and all(
        over.search(line) or "is being terminated" in line for line in complaints
    )


def queues(out: str) -> list[Queue]:
    """The queues of ``bqueues -w``."""
    lines = out.splitlines()
    head = next((n for n, line in enumerate(lines) if line.startswith("QUEUE_NAME")), None)
    if head is None:
        raise ValueError(f"bqueues printed no table, but {out.strip()!r}")
    rows = [line.split() for line in lines[head + 1 :]]
    return [Queue(name=row[0], status=row[2]) for row in rows if len(row) > 2]


def queue_limit(out: str) -> float | None:
    """The longest time of a job in minutes by ``bqueues -l QUEUE``; ``None`` for none.

    A queue may have a time that jobs get, and one that is the most: the second stands last.
    """
    found = re.findall(r"^\s*RUNLIMIT\b[^\n]*\n\s*([\d.]+) min", out, re.MULTILINE)
    return float(found[-1]) if found else None


def cluster(out: str) -> tuple[str, str]:
    """The name of the cluster, and of the product, by ``lsid``.

    Raises:
        ValueError: it tells no name.
    """
    name = re.search(r"^\s*My cluster name is (\S+)", out, re.MULTILINE)
    if name is None:
        raise ValueError(f"lsid named no cluster, but printed {out.strip()[:200]!r}")
    return name[1], out.strip().splitlines()[0].strip()
