"""Stand-ins for the commands of Cobalt: ``weft_testkit.standin`` runs them.

Where each thing is from: *clients* are the public sources of Cobalt's clients (ido/cobalt, qsub.py,
qstat.py, qdel.py, client_utils.py as of 2021), *cqm* those of its queue manager (cqm.py), *sites*
transcripts that tools have published. They were read, not run.

=====================================  ============================================================
options of ``qsub``, ``#COBALT``       clients: lines directly behind a first line of ``#!``, put
                                       before the command line, which therefore wins
the bare number on stdout              clients
refusals of ``qsub`` itself            clients: "Not all required arguments provided …", "node count
                                       out of realistic range", "command … not found, or is not a
                                       file", "command … is not executable", "directory … does not
                                       exist"
refusals of a queue                    cqm: "Walltime greater than the '…' queue max walltime of …",
                                       "You are not allowed to submit to the '…' queue"
"Failed to connect to queue manager"   clients
a queue that is not there              clients: "failed to create teh job.  maybe a queue isn't
                                       there", on stdout, and exit code 0
``qstat -l --header``                  clients, ``print_vertical``: the first name, then the others
                                       behind four blanks, padded to the longest and one more
``qstat -Q``                           clients, ``print_tabular``: each column as wide as its widest
                                       cell and two blanks, a line of ``=`` below the names
ids that are not known                 clients: left out; none known, nothing and exit code 1
``-u``                                 clients
states                                 clients and cqm
``qdel``                               clients: a heading and a table; nothing for what is not there
the log: three lines, then the end     clients and cqm: "task completed normally with an exit code
                                       of N; initiating job cleanup and removal", "maximum execution
                                       time exceeded; initiating job termination", "user delete
                                       requested …"; sites for the date before it
``COBALT_*`` in the job                clients
=====================================  ============================================================

What is not as in Cobalt: qdel does not wait a second, and the exit code of a job that a signal
ended is not on record, and so is written as Python has it.
"""

# ruff: noqa: T201 - commands print

from __future__ import annotations

import getopt
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from weft_testkit.standin import Cell, Entry, Program

_SHORT = "n:t:A:q:o:e:O:i:hu:M:"
_LONG = [
    *("nodecount=", "time=", "project=", "queue=", "proccount=", "mode=", "env=", "cwd="),
    *("outputprefix=", "debuglog=", "attrs=", "dependencies=", "jobname=", "run_project"),
    *("output=", "error=", "inputfile="),
]
_NAMES = {
    "-n": "--nodecount",
    "-t": "--time",
    "-A": "--project",
    "-q": "--queue",
    "-o": "--output",
    "-e": "--error",
    "-O": "--outputprefix",
}


def say_error(text: str, code: int = 1) -> int:
    sys.stderr.write(f"{text}\n")
    return code


# -------------------------------------------------------------------------------------------- qsub


def qsub(cell: Cell, words: list[str]) -> int:
    try:
        _, rest = getopt.getopt(words, _SHORT, _LONG)
        script = Path(rest[0]) if rest else None
        mine = _directives(script.read_text()) if script and script.is_file() else []
        given, rest = getopt.getopt([*mine, *words], _SHORT, _LONG)
    except getopt.GetoptError as error:
        return say_error(f"Usage: qsub.py [options] <executable>\n\nqsub.py: error: {error}")
    options = {_NAMES.get(name, name): value for name, value in given}
    if script is None:
        return say_error("No executable specified")
    if trouble := _refused(cell, options, script):
        return say_error(trouble)
    queue = options.get("--queue", "default")
    if queue not in cell.options["queues"]:
        print("failed to create teh job.  maybe a queue isn't there")
        return 0
    minutes = _minutes(options["--time"])
    folder = options.get("--cwd", str(Path.cwd()))
    out, err, log = (
        options.get(name, f"{folder}/@number@.{end}").replace("$jobid", "@number@")
        for name, end in (("--output", "output"), ("--error", "error"), ("--debuglog", "cobaltlog"))
    )
    date = "Thu Nov 05 17:29:30 2020 +0000 (UTC) Info: "
    number = cell.submit(
        Entry(
            script=str(script),
            name=options.get("--jobname", ""),
            nodes=int(options["--nodecount"]),
            folder=folder,
            out=out,
            err=err,
            walltime=minutes * 60 * float(cell.options["minute"]) if minutes else None,
            held="user" if "-h" in options else "",
            last_words={
                "": [
                    log,
                    (
                        f"{date}task completed normally with an exit code of @code@; initiating "
                        "job cleanup and removal\n"
                    ),
                ],
                "expired": [
                    log,
                    (
                        f"{date}maximum execution time exceeded; initiating job "
                        f"termination\n{date}task terminated; initiating resource cleanup\n"
                    ),
                ],
                "cancelled": [log, f"{date}user delete requested with signal SIGTERM by user me\n"],
            },
            options={
                "queue": queue,
                "out": out,
                "project": options.get("--project", ""),
                "attrs": options.get("--attrs", ""),
            },
            environment={
                "HOME": os.environ.get("HOME", "/"),
                "PATH": os.environ["PATH"],
                **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
                "COBALT_JOBID": "@number@",
                "COBALT_NODEFILE": "@file@",
                "COBALT_PARTNAME": "@machines@",
                "COBALT_JOBSIZE": options["--nodecount"],
            },
        )
    )
    with Path(log.replace("@number@", str(number))).open("a") as file:
        file.write(f"Jobid: {number}\nqsub {shlex.join(words)}\n")
        file.write(f"Thu Nov 05 17:29:20 2020 submitted with cwd set to: {folder}\n\n")
    print(number)
    return 0


def _directives(text: str) -> list[str]:
    lines = text.splitlines()
    found: list[str] = []
    for line in lines[1:] if lines and lines[0].startswith("#!") else []:
        if not line.startswith("#COBALT"):
            break
        found += line.removeprefix("#COBALT").split()
    return [*found, "--mode=script"] if found else []


def _refused(cell: Cell, options: dict[str, str], script: Path) -> str:
    for name in ("--time", "--nodecount"):
        if name not in options:
            return f"Not all required arguments provided: {name[2:]} needed"
    if not 0 < int(options["--nodecount"]) <= int(cell.options["size"]):
        return "node count out of realistic range"
    if not script.is_file():
        return f"command {script} not found, or is not a file"
    if not os.access(script, os.X_OK):
        return f"command {script} is not executable"
    for name in ("--output", "--error", "--debuglog"):
        if name in options and not Path(options[name]).parent.is_dir():
            return f"directory {Path(options[name]).parent} does not exist"
    queue = options.get("--queue", "default")
    limit = cell.options["queues"].get(queue, {}).get("maxtime")
    if limit and _minutes(options["--time"]) > limit:
        most = f"{limit // 60:02}:{limit % 60:02}:00"
        return f"Walltime greater than the '{queue}' queue max walltime of {most}"
    if cell.options["queues"].get(queue, {}).get("users", "*") != "*":
        return f"You are not allowed to submit to the '{queue}' queue"
    return ""


def _minutes(text: str) -> float:
    parts = [int(part) for part in text.split(":")]
    units = {1: (1,), 2: (60, 1), 3: (60, 1, 1 / 60), 4: (1440, 60, 1, 1 / 60)}[len(parts)]
    return sum(part * unit for part, unit in zip(parts, units, strict=True))


# ------------------------------------------------------------------------------------------- qstat


def qstat(cell: Cell, words: list[str]) -> int:
    given, rest = getopt.getopt(words, "flQu:", ["header=", "sort=", "reverse", "user="])
    options = dict(given)
    if "-Q" in options:
        print_tabular([["Name", "Users", "Groups", "MinTime", "MaxTime", "State"], *_queues(cell)])
        return 0
    header = options.get("--header", "JobID:User:WallTime:Nodes:State:Location").split(":")
    strange = [name for name in rest if not name.isdigit()]
    if strange:
        return say_error(f"{strange[0]} is not a valid jobid or queue name")
    jobs = [
        entry
        for entry in cell.jobs()
        if entry.state != "ended"
        and (not rest or str(entry.number) in rest)
        and entry.user == options.get("-u", entry.user)
    ]
    if rest and not jobs:
        return 1
    rows = [[_cell(entry, name) for name in header] for entry in jobs]
    if "-l" in options:
        print_vertical(header, rows)
    else:
        print_tabular([header, *rows])
    return 0


def _queues(cell: Cell) -> Iterator[list[str]]:
    for name, given in cell.options["queues"].items():
        most = given.get("maxtime")
        limit = f"{most // 60:02}:{most % 60:02}:00" if most else "None"
        yield [name, given.get("users", "*"), "None", "None", limit, given.get("state", "running")]


def _cell(entry: Entry, name: str) -> str:
    state = {
        "queued": "user_hold" if entry.held else "queued",
        "running": "running",
        "ending": "killing",
    }[entry.state]
    return {
        "jobid": str(entry.number),
        "jobname": entry.name or "-",
        "user": entry.user,
        "nodes": str(entry.nodes),
        "state": state,
        "location": ",".join(entry.machines) or "None",
        "outputpath": entry.options["out"].replace("@number@", str(entry.number)),
    }.get(name.lower(), "-")


def print_vertical(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    width = max(map(len, header)) + 1
    for row in rows:
        print(f"{header[0]}: {row[0]}")
        for name, value in zip(header[1:], row[1:], strict=True):
            print(f"    {name:<{width}}: {value}")
        print()


def print_tabular(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    print("\n".join([lines[0], "=" * len(lines[0]), *lines[1:]]))


# -------------------------------------------------------------------------------------------- qdel


def qdel(cell: Cell, words: list[str]) -> int:
    if not words:
        return say_error("Usage: qdel.py [options] <jobid>\nNo Jobid(s) given")
    for word in words:
        if not word.isdigit():
            return say_error(f"jobid must be an integer: {word}")
    numbers = [int(word) for word in words if int(word) in cell.left()]
    users = [cell.job(number).user for number in numbers]
    for number in numbers:
        cell.cancel(number)
    if numbers:
        print("      Deleted Jobs")
        print_tabular(
            [["JobID", "User"], *([str(n), u] for n, u in zip(numbers, users, strict=True))]
        )
    return 0


PROGRAMS: dict[str, Program] = {"qsub": qsub, "qstat": qstat, "qdel": qdel}
