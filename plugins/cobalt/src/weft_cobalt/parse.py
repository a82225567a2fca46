"""Pure: what the commands of Cobalt print, and write of a job, becomes values.

The formats are those of Cobalt's clients and of its queue manager in their public sources, as they
were in 2021.
"""

import configparser
import re
from collections.abc import Mapping
from typing import Final

import attrs

from weft.batch.commands import NoAnswer, Said
from weft.batch.dialect import Refusal, Seen
from weft.values.jobs import JobId, JobState

__all__ = [
    "HEADER",
    "Queue",
    "end",
    "is_busy",
    "location",
    "queues",
    "refusal",
    "seen",
    "submitted",
]

HEADER: Final = "JobID:JobName:User:State:Location:OutputPath"

_STATES: Final[Mapping[str, JobState]] = {
    "queued": JobState.QUEUED,
    "user_hold": JobState.QUEUED,
    "admin_hold": JobState.QUEUED,
    "dep_hold": JobState.QUEUED,
    "dep_fail": JobState.QUEUED,
    "maxrun_hold": JobState.QUEUED,
    "starting": JobState.RUNNING,
    "running": JobState.RUNNING,
    # It may go on.
    "preempting": JobState.RUNNING,
    "preempted": JobState.RUNNING,
    # Its processes are being ended; how it ended is in its log.
    "killing": JobState.RUNNING,
    "exiting": JobState.RUNNING,
    "done": JobState.RUNNING,
}

# What keeps a job waiting, and does not pass by itself.
_HINTS: Final[Mapping[str, str]] = {
    "user_hold": "it is held back; 'qrls' lets it go",
    "admin_hold": "an administrator holds it back",
    "dep_fail": "it waits for a job that did not end as it was to",
}


@attrs.frozen(kw_only=True)
class Queue:
    """A queue as ``qstat -Q`` shows it.

    Attributes:
        name: its name.
        state: ``running``, ``stopped``, ``draining`` or ``dead``.
        limit: the longest time for a job, as HH:MM:SS; empty for none.
    """

    name: str
    state: str
    limit: str


# -------------------------------------------------------------------------------------------- qsub


def submitted(out: str) -> JobId:
    """The id that qsub prints: a number, and perhaps a blank and more words.

    Raises:
        ValueError: there is none. A queue manager may say so and have qsub end well.
    """
    for line in reversed(out.splitlines()):
        if found := re.fullmatch(r"(\d+)(\s.*)?", line.strip()):
            return found[1]
    raise ValueError(f"qsub printed no id of a job, but {out.strip()!r}")


_BUSY: Final = re.compile(
    r"(?:failed to|can ?not|unable to) (?:connect|contact)|connection (?:refused|reset|timed out)|"
    r"ComponentLookupError|component lookup",
    re.IGNORECASE,
)
_FULL: Final = re.compile(r"limit of \d+ jobs|max(?:imum)? (?:number of )?queued", re.IGNORECASE)
_CUT_OFF: Final = re.compile(r"Error submitting job|Job submission failed", re.IGNORECASE)
_REFUSALS: Final[tuple[tuple[str, str, str], ...]] = (
    # What qsub says, the option that it is about, what to do.
    (
        "walltime|time specification",
        "walltime",
        "Ask for a time that the queue gives in the option walltime; 'qstat -Q' shows the limits.",
    ),
    (
        r"not allowed to submit|queue.*(?:exist|valid|unknown)|(?:no such|unknown|invalid) queue",
        "queue",
        "Name one of the queues that 'qstat -Q' lists, and that you may use, in the option queue.",
    ),
    (
        "project|account|allocation",
        "account",
        "Name a project of yours in the option account, or ask the site which ones you have.",
    ),
    (
        "node count|nodecount",
        "",
        "Ask for as many nodes_per_block as the machine has, or the queue gives.",
    ),
    (
        "attr",
        "attributes",
        "Look at the option attributes: the site takes only some names and values.",
    ),
    (
        "no such option|requires an argument|ambiguous option|usage:",
        "scheduler_options",
        "Look at scheduler_options: this qsub does not know one of them.",
    ),
    (
        "directory .* does not exist|not a directory|not found|not executable",
        "",
        (
            "The machine from which jobs are submitted has to see the run folder, and where the "
            "script is started: choose others, such as Config(run_dir=...)."
        ),
    ),
)


def refusal(said: Said) -> Refusal:
    """What qsub's words mean, and what to do."""
    words = " ".join((said.err.strip() or said.out).split())
    if _BUSY.search(words) or _FULL.search(words):
        return Refusal(said=words, later=True)
    for pattern, about, todo in _REFUSALS:
        if re.search(pattern, words, re.IGNORECASE):
            return Refusal(said=words, todo=todo, about=about)
    if _CUT_OFF.search(words):
        return Refusal(said=words, doubtful=True)
    return Refusal(
        said=words or f"nothing, and ends with exit code {said.code}.",
        todo="Look at what qsub says; the script is kept in the folder of the block, and 'qsub' "
        "on it says the same.",
    )


def is_busy(said: Said) -> bool:
    """Whether the queue manager was not there."""
    return _BUSY.search(said.err) is not None


# ------------------------------------------------------------------------------------------- qstat


def seen(said: Said) -> list[Seen]:
    """The jobs of ``qstat -l --header=HEADER``.

    Those that it does not know, it leaves out; if it knows none, it prints nothing, and ends with
    exit code 1.

    Raises:
        NoAnswer: it ended otherwise.
        ValueError: what it prints is no list of jobs.
    """
    if said.err.strip() or said.code not in {0, 1} or (said.code and said.out.strip()):
        raise NoAnswer(f"qstat: {said.words}")
    found: list[dict[str, str]] = []
    for line in said.out.splitlines():
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon:
            raise ValueError(f"{said.words!r}")
        if name == "JobID":
            found.append({})
        elif not found or not line.startswith("    "):
            raise ValueError(f"{said.words!r}")
        found[-1][name.strip()] = value.strip()
    return [_seen(one) for one in found]


def _seen(found: Mapping[str, str]) -> Seen:
    if not {"JobID", "State"} <= found.keys():
        raise ValueError(f"a job without its number or state: {dict(found)!r}")
    word = found["State"]
    reason = word + (f": {_HINTS[word]}" if word in _HINTS else "")
    place = found.get("Location", "-")
    if _STATES.get(word) is JobState.RUNNING and place not in {"-", "", "None"}:
        reason += f" on {place}"
    name, path = (_given(found.get(key, "")) for key in ("JobName", "OutputPath"))
    return Seen(
        id=found["JobID"],
        state=_STATES.get(word, JobState.UNKNOWN),
        reason=reason,
        user=_given(found.get("User", "")),
        name=name,
        path=path,
    )


def _given(value: str) -> str:
    """A cell, where a hyphen or None is nothing."""
    return "" if value in {"-", "None"} else value


def queues(out: str) -> list[Queue]:
    """The queues of ``qstat -Q``: a table, whose columns begin where their names do.

    Raises:
        ValueError: it is no such table.
    """
    lines = [line for line in out.splitlines() if line.strip()]
    if len(lines) < 2 or not re.fullmatch("=+", lines[1].strip()):
        raise ValueError(f"'qstat -Q' shows no queues, but {out.strip()[:200]!r}")
    columns = [(one[0], one.start()) for one in re.finditer(r"\S+", lines[0])]
    ends = [start for _, start in columns[1:]] + [None]
    found = []
    for line in lines[2:]:
        cells = {
            name: line[start:stop].strip()
            for (name, start), stop in zip(columns, ends, strict=True)
        }
        found.append(
            Queue(
                name=cells.get("Name", ""),
                state=cells.get("State", ""),
                limit=_given(cells.get("MaxTime", "")),
            )
        )
    return found


# ------------------------------------------------------------------------------- what lies in files


def end(log: str) -> tuple[JobState, str] | None:
    """How a job ended by what Cobalt has written of it; ``None`` while that does not tell."""
    if "maximum execution time exceeded" in log:
        return JobState.EXPIRED, "Cobalt: maximum execution time exceeded"
    if found := re.search(r"user delete requested[^\n]*", log):
        return JobState.CANCELLED, f"Cobalt: {found[0].strip()}"
    if found := re.search(r"task completed normally with an exit code of (\S+?);", log):
        state = JobState.DONE if found[1] == "0" else JobState.FAILED
        return state, f"Cobalt: task completed normally with an exit code of {found[1]}"
    return None


def location(text: str) -> str:
    """Where the configuration of Cobalt's clients has its components; empty where it does not say.

    Args:
        text: that of ``/etc/cobalt.conf``, or of what ``COBALT_CONFIG_FILES`` names.
    """
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error:
        return ""
    return parser.get("components", "service-location", fallback="").strip()
