"""Stand-ins for the commands of LSF: they read and print what LSF's own do, and run jobs for real.

Where the formats are from:

- bsub: options and ``#BSUB`` lines by bsub(1) of release 10.1; ``Job <7> is submitted to …`` and
  the words of refusals as the library of LSF's open descendants has them (``lsb_errmsg``), and as
  users have recorded them: ``RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.``
- bjobs: ``-o … -json`` as recorded at sites with release 10.1: ``COMMAND``, ``JOBS``, ``RECORDS``,
  all values text; a job that is not known has ``JOBID`` and ``ERROR``.
- bhist -l: recorded with release 10.1; lines of 79 characters, continued behind 21 blanks.
- bkill: ``Job <7> is being terminated``, ``Job <7>: Job has already finished`` and
  ``Job <7>: No matching job found``, exit code 255 with either of the last two.
- bqueues -w, bqueues -l, lsid: the manuals, and outputs that sites publish.

A job that is killed has the exit code 130, one that has reached its limit 140 (by SIGUSR2), and one
that a signal has ended 128 and its number.
"""

import json
import os
import re
import shlex
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, NoReturn

from weft_testkit.standin import Cell, Entry

_VALUED = {
    *("-J", "-Jd", "-o", "-oo", "-e", "-eo", "-n", "-nnodes", "-W", "-q", "-P", "-G", "-app"),
    *("-U", "-M", "-R", "-gpu", "-sla", "-m", "-w", "-u", "-env", "-L", "-E", "-Ep", "-cwd"),
}
_FLAGS = {"-x", "-rn", "-r", "-H", "-N", "-B"}
_FIELDS = {
    *("jobid", "stat", "user", "job_name", "job_description", "exec_host", "exit_code"),
    *("exit_reason", "pend_reason", "queue"),
}
_OWNER = "TERM_OWNER: job killed by owner"
_RUNLIMIT = "TERM_RUNLIMIT: job killed after reaching LSF run time limit"
_SLOTS = 8
"""Of each machine."""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


class _RefusedError(Exception):
    """What bsub says when it does not take a job."""


def _refuse(words: str) -> NoReturn:
    raise _RefusedError(words)


# ------------------------------------------------------------------------------------------ bsub


def bsub(cell: Cell, words: list[str]) -> int:
    text = sys.stdin.read()
    try:
        options = _options(text, words)
        entry, where = _entry(cell, text, options)
    except _RefusedError as trouble:
        sys.stderr.write(f"{trouble}. Job not submitted.\n")
        return 255
    number = cell.submit(entry)
    if "BSUB_QUIET" not in os.environ:
        _say(f"Job <{number}> is submitted to {where}.")
    return 0


def _options(text: str, words: list[str]) -> list[tuple[str, str]]:
    """The options of the script, then those of the command line, which win."""
    given = []
    for line in text.splitlines():
        if line.startswith("#BSUB "):
            given += shlex.split(line[6:])
    given += words
    found = []
    while given:
        name = given.pop(0)
        if name in _FLAGS:
            found.append((name, ""))
        elif name in _VALUED and given:
            found.append((name, given.pop(0)))
        else:
            _refuse(f"{name}: Illegal option")
    return found


def _entry(cell: Cell, text: str, given: list[tuple[str, str]]) -> tuple[Entry, str]:
    options = dict(given)
    if not text.strip():
        _refuse("Empty job")
    queues: dict[str, Any] = cell.options["queues"]
    name = options.get("-q", cell.options["queue"])
    if name not in queues:
        _refuse(f"{name}: No such queue")
    queue = queues[name]
    if not queue.get("status", "Open:Active").startswith("Open"):
        _refuse(f"{name}: Queue has been closed")
    if "-x" in options and not queue.get("exclusive", True):
        _refuse("Queue does not accept EXCLUSIVE jobs")
    if options.get("-P", "default") not in cell.options.get("projects", ["default"]):
        _refuse(f"Project <{options['-P']}> does not exist or is not configured")
    if "-G" in options and options["-G"] not in cell.options.get("groups", []):
        _refuse(f"{options['-G']}: User not in the specified user group")
    time_ = re.fullmatch(r"(?:(\d+):)?(\d+)", options.get("-W", "10"))
    if time_ is None:
        _refuse(f"{options['-W']}: Bad time specification")
    minutes = 60 * int(time_[1] or 0) + int(time_[2])
    if minutes > queue.get("limit", minutes):
        _refuse("RUNLIMIT: Cannot exceed queue's hard limit(s)")
    nodes = _nodes(cell, options, [value for option, value in given if option == "-R"])
    if "-M" in options and not re.fullmatch(r"\d+(KB|MB|GB|TB)?", options["-M"]):
        _refuse(f"{options['-M']}: Bad argument")
    script = cell.folder / f"spool-{os.getpid()}"
    script.write_text(text)
    here = str(Path.cwd())
    environment = {
        **os.environ,
        "LSB_JOBID": "@number@",
        "LSB_JOBNAME": options.get("-J", ""),
        "LSB_QUEUE": name,
        "LSB_HOSTS": "@machines@",
        "LSB_DJOB_HOSTFILE": "@file@",
        "LS_SUBCWD": here,
    }
    seconds = cell.options.get("minute", 60.0) * minutes
    entry = Entry(
        script=str(script),
        name=options.get("-J", text.splitlines()[0]),
        nodes=nodes,
        folder=here,
        out=_file(here, options, "-o"),
        err=_file(here, options, "-e"),
        environment=environment,
        walltime=seconds,
        held="user" if "-H" in options else cell.options.get("pending", ""),
        options={"queue": name, "description": options.get("-Jd", "")},
    )
    return entry, f"queue <{name}>" if "-q" in options else f"default queue <{name}>"


def _nodes(cell: Cell, options: dict[str, str], requirements: list[str]) -> int:
    """The machines of a job; for LSF they follow from its slots, and how these are spread."""
    for one in requirements:
        if not re.fullmatch(r"\s*((select|span|rusage|order|same|cu)\[[^][]+\]\s*)+", one):
            _refuse(f'Error near "{one.split("[")[0]}" : syntax error')
        if len(re.findall(r"\bspan\[", one)) > 1:
            _refuse('Error near "span" : duplicate section')
    if "-nnodes" in options:
        nodes = int(options["-nnodes"])
    else:
        slots = int(options.get("-n", "1"))
        each = re.search(r"span\[ptile=(\d+)\]", " ".join(requirements))
        per_node = int(each[1]) if each else _SLOTS
        if per_node > _SLOTS:
            _refuse("Too many processors requested")
        nodes = -(-slots // per_node)
    if nodes > int(cell.options["machines"]):
        _refuse("Too many processors requested")
    return nodes


def _file(here: str, options: dict[str, str], name: str) -> str:
    given = options.get(f"{name}o") or options.get(name, "")
    return str(Path(here) / given) if given else ""


# ------------------------------------------------------------------------------- bjobs and bhist


def bjobs(cell: Cell, words: list[str]) -> int:
    fields: list[str] = []
    numbers: list[str] = []
    while words:
        word = words.pop(0)
        if word == "-o":
            fields = words.pop(0).split()
        elif word.isdigit():
            numbers.append(word)
        elif word not in {"-json", "-a"}:
            sys.stderr.write(f"bjobs: illegal option {word}\n")
            return 255
    if not set(fields) <= _FIELDS:
        sys.stderr.write("bjobs: Invalid output field name\n")
        return 255
    records, missing = [], False
    for number in numbers or [str(entry.number) for entry in cell.jobs()]:
        entry = _known(cell, number)
        if entry is not None and (numbers or entry.state != "ended"):
            values = _values(entry)
            records.append({field.upper(): values[field] for field in fields})
        elif entry is None and numbers:
            missing = True
            records.append({"JOBID": number, "ERROR": f"Job <{number}> is not found"})
    _say(json.dumps({"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": records}, indent=2))
    return 255 if missing else 0


def _known(cell: Cell, number: str) -> Entry | None:
    """A job, unless it has ended and been cleaned away (``CLEAN_PERIOD`` in lsb.params)."""
    try:
        entry = cell.job(int(number))
    except KeyError:
        return None
    return None if entry.state == "ended" and cell.options.get("cleaned") else entry


def _values(entry: Entry) -> dict[str, str]:
    ended = entry.state == "ended"
    stat, code, reason = "RUN", "", ""
    if entry.state == "queued":
        stat = "PSUSP" if entry.held == "user" else "PEND"
    elif ended:
        stat, code, reason = _end(entry)
    pending = {
        "": "New job is waiting for scheduling;",
        "user": "The job was suspended by the user while pending;",
    }.get(entry.held, entry.held)
    return {
        "jobid": str(entry.number),
        "stat": stat,
        "user": entry.user,
        "queue": entry.options["queue"],
        "job_name": entry.name,
        "job_description": entry.options["description"],
        "exec_host": ":".join(entry.machines),
        "exit_code": code,
        "exit_reason": reason,
        "pend_reason": pending if entry.state == "queued" else "",
    }


def _end(entry: Entry) -> tuple[str, str, str]:
    if entry.how == "cancelled":
        return "EXIT", "130" if entry.begun else "", _OWNER
    if entry.how == "expired":
        return "EXIT", "140", _RUNLIMIT
    assert entry.code is not None
    if entry.code == 0:
        return "DONE", "", ""
    return "EXIT", str(128 - entry.code if entry.code < 0 else entry.code), ""


def bhist(cell: Cell, words: list[str]) -> int:
    if words[:1] != ["-l"] or len(words) < 2:
        sys.stderr.write("bhist: illegal option\n")
        return 255
    code = 0
    for number in words[1:]:
        try:
            entry = cell.job(int(number))
        except KeyError:
            sys.stderr.write("No matching job found\n")
            code = 255
            continue
        _say("\n".join(_history(entry)))
        _say("-" * 78)
    return code


def _history(entry: Entry) -> list[str]:
    def event(when: float, text: str) -> str:
        return f"{time.strftime('%a %b %e %H:%M:%S', time.localtime(when))}: {text}"

    script = ";".join(Path(entry.script).read_text().splitlines())
    found = [
        f"Job <{entry.number}>, Job Name <{entry.name}>, User <{entry.user}>, Command <{script}>",
        event(
            entry.submitted, f"Submitted from host <login>, to Queue <{entry.options['queue']}>;"
        ),
    ]
    if entry.begun:
        found.append(event(entry.begun, f"Dispatched to <{entry.machines[0]}>;"))
        found.append(event(entry.begun, f"Starting (Pid {entry.pid});"))
    if entry.state == "ended":
        stat, code, reason = _end(entry)
        used = "The CPU time used is 0.0 seconds;"
        if stat == "DONE":
            found.append(event(entry.ended, f"Done successfully. {used}"))
        else:
            said = f"Exited with exit code {code}. {used}" if code else "Exited; job killed;"
            if entry.how == "cancelled":
                kill = f"Signal <KILL> requested by user or administrator <{entry.user}>;"
                found.append(event(entry.ended, kill))
            found.append(event(entry.ended, said))
            found.append(event(entry.ended, f"Completed <exit>{f'; {reason}' if reason else ''};"))
    wrapped = []
    for line in found:
        head, rest = line[:79], line[79:]
        wrapped += [head, *(" " * 21 + part for part in _pieces(rest, 58))]
    return ["", *wrapped, "", "Summary of time in seconds spent in various states"]


def _pieces(text: str, size: int) -> list[str]:
    return [text[begin : begin + size] for begin in range(0, len(text), size)]


# --------------------------------------------------------------------------- bkill, bqueues, lsid


def bkill(cell: Cell, words: list[str]) -> int:
    code = 0
    for number in words:
        entry = None
        if number.isdigit():
            entry = _known(cell, number)
        if entry is None:
            sys.stderr.write(f"Job <{number}>: No matching job found\n")
            code = 255
        elif entry.state == "ended":
            sys.stderr.write(f"Job <{number}>: Job has already finished\n")
            code = 255
        else:
            cell.cancel(entry.number)
            _say(f"Job <{number}> is being terminated")
    return code


def bqueues(cell: Cell, words: list[str]) -> int:
    queues: dict[str, Any] = cell.options["queues"]
    if words[:1] == ["-l"]:
        for name in words[1:]:
            limit = queues[name].get("limit")
            _say(f"QUEUE: {name}\n  -- A queue of the stand-in.\n")
            if limit:
                _say(
                    "DEFAULT LIMITS:\n RUNLIMIT\n 1.0 min\n\n"
                    f"MAXIMUM LIMITS:\n RUNLIMIT\n {limit:.1f} min\n"
                )
            _say("SCHEDULING PARAMETERS\n\nUSERS: all\nHOSTS:  all")
        return 0
    _say("QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP")
    for name, queue in queues.items():
        status = queue.get("status", "Open:Active")
        _say(f"{name:<15} 30  {status:<15} -    -    -    -      0     0     0     0")
    return 0


def lsid(cell: Cell, words: list[str]) -> int:
    _say(
        textwrap.dedent(
            """\
            IBM Spectrum LSF Standard 10.1.0.13, Apr 15 2022
            Copyright International Business Machines Corp. 1992, 2016.
            US Government Users Restricted Rights.

            My cluster name is standin
            My master name is login"""
        )
    )
    return 0


PROGRAMS = {
    "bsub": bsub,
    "bjobs": bjobs,
    "bhist": bhist,
    "bkill": bkill,
    "bqueues": bqueues,
    "lsid": lsid,
}
