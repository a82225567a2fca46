"""Stand-ins for the commands of PBS Professional and of TORQUE: ``weft_testkit.standin`` runs them.

Where each thing is from. *Seen* is OpenPBS 23.06, observed while it ran; *OpenPBS* and *TORQUE* are
their public sources (openpbs/openpbs, adaptivecomputing/torque); *sites* are transcripts that sites
and tools have published.

=====================================  ============================================================
ids such as ``2.server``               seen
``qsub`` reads ``#PBS`` lines          qsub(1B): up to the first line that is no comment; what the
                                       command line says counts more
refusals, PBS                          OpenPBS, pbs_messages.c; "No default queue specified" seen
refusals, TORQUE                       TORQUE, pbs_error_db.h, as ``submit error (TEXT MSG=MORE)``:
                                       sites
exit codes 153, 35, 168, 170           OpenPBS: the error number's low byte; sites. Others are 1
                                       here, as nothing reads them
``qstat -f``, four blanks, wrapped     OpenPBS and TORQUE, ``prt_attr`` of qstat.c: at a comma
at 78, a tab                           where there is one
``Exit_status`` or ``exit_status``     seen; sites for TORQUE
ended jobs gone without history,       seen; OpenPBS, qstat.c, for the words
``-x``, state F
``-x`` without history: words, exit 0  OpenPBS, end of qstat.c
substate 91, 92, 93; status -29        OpenPBS, job.h
256 + signal                           Administrator's Guides of both
comments                               OpenPBS tests ("and exceeded resource walltime"); sites for
                                       "Not Running: …", "Can Never Run: …", "Job run at … on …",
                                       "… and terminated"
``qstat --version``                    OpenPBS prints "pbs_version = …"; TORQUE "Version: …" to its
                                       error output: qstat.c of each
``qstat -Bf``, ``-Qf``                 sites
``qdel`` of an ended job               sites: "Job has finished", "Request invalid for state of job"
state C for keep_completed seconds     TORQUE Administrator Guide
"=>> PBS: job killed: walltime …"      OpenPBS and TORQUE, the text that mom writes into the error
                                       output of a job over its time: sites
``PBS_NODEFILE``                       a line for each mpiprocs of a chunk, or for each ppn
``pbsnodes -a``                        sites
=====================================  ============================================================

What is not as in PBS: output is written where it goes at once instead of being copied there at the
end, and there is one scheduler, which starts whatever fits.
"""

# ruff: noqa: T201 - commands print

from __future__ import annotations

import contextlib
import getopt
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from weft_testkit.standin import Cell, Entry, Program

SERVER = "server"
_OPTIONS = "a:A:C:e:hj:k:l:m:M:N:o:p:P:q:r:S:u:v:VW:z"


def say_error(text: str, code: int = 1) -> int:
    sys.stderr.write(f"{text}\n")
    return code


# -------------------------------------------------------------------------------------------- qsub


def qsub(cell: Cell, words: list[str]) -> int:
    torque = bool(cell.options["torque"])
    try:
        given, rest = getopt.getopt(words, _OPTIONS)
        if len(rest) != 1:
            return say_error("usage: qsub [-a date_time] [-A account_string] ... [script]", 2)
        said = dict(_directives(Path(rest[0]).read_text()))
    except getopt.GetoptError as error:
        return say_error(f"qsub: invalid option -- '{error.opt}'\nusage: qsub ... [script]", 2)
    except OSError:
        return say_error(f"qsub: script file:: {os.strerror(2)}")
    resources = {
        name: value
        for key, line in said.items()
        if key.startswith("-l")
        for name, value in _resources(line)
    }
    options = {**{k: v for k, v in said.items() if not k.startswith("-l")}, **dict(given)}
    if trouble := _refused(cell, options, resources):
        text, code = trouble
        return say_error(f"qsub: submit error ({text})" if torque else f"qsub: {text}", code)
    nodes, per_node = _wanted(resources, torque=torque)
    name = options.get("-N", Path(rest[0]).name)
    folder = str(Path.cwd())
    limit = _seconds(resources["walltime"]) if "walltime" in resources else None
    entry = Entry(
        script=rest[0],
        shell=options.get("-S", "/bin/sh"),
        name=name,
        nodes=nodes,
        per_node=per_node,
        folder=os.environ.get("HOME", "/"),
        out=f"{folder}/{name}.o@number@",
        err=f"{folder}/{name}.o@number@",
        walltime=limit,
        last_words={
            "expired": [
                f"{folder}/{name}.o@number@",
                (
                    f"=>> PBS: job killed: walltime {int(limit or 0) + 1} exceeded limit "
                    f"{int(limit or 0)}\n"
                ),
            ]
        },
        held="u" if "-h" in options else "",
        options={
            "queue": options.get("-q", str(cell.options.get("default", ""))),
            "account": options.get("-A", ""),
            "folder": folder,
            **{f"Resource_List.{key}": value for key, value in resources.items()},
        },
        environment={
            **(dict(os.environ) if "-V" in options else {}),
            "HOME": os.environ.get("HOME", "/"),
            "PATH": os.environ["PATH"] if "-V" in options else "/usr/bin:/bin",
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_JOBID": f"@number@.{SERVER}",
            "PBS_JOBNAME": name,
            "PBS_NODEFILE": "@file@",
            "PBS_O_WORKDIR": folder,
        },
    )
    print(f"{cell.submit(entry)}.{SERVER}")
    return 0


def _directives(text: str) -> Iterator[tuple[str, str]]:
    """The options in the script: the first of each counts, but resources come together."""
    known: set[str] = set()
    for number, line in enumerate(text.splitlines()):
        if line.strip() and not line.startswith("#") and not line.startswith(":"):
            return
        if line.startswith("#PBS"):
            for name, value in getopt.getopt(shlex.split(line[4:]), _OPTIONS)[0]:
                key = f"-l{number}" if name == "-l" else name
                if key not in known:
                    known.add(key)
                    yield key, value


def _resources(line: str) -> Iterator[tuple[str, str]]:
    for part in line.split(","):
        name, _, value = part.partition("=")
        yield name.strip(), value.strip()


def _refused(
    cell: Cell, options: dict[str, str], resources: dict[str, str]
) -> tuple[str, int] | None:
    torque = cell.options["torque"]
    if not re.fullmatch(r"[A-Za-z][\w.+-]{0,229}", options.get("-N", "x")):
        return "illegal -N value", 2
    for name in resources:
        if name not in {"select", "place", "walltime", "nodes", "mem", "naccesspolicy", "software"}:
            return (
                (f"Unknown resource type  Resource_List.{name}", 1)
                if torque
                else (f"Unknown resource Resource_List.{name}", 1)
            )
    queue = options.get("-q", cell.options.get("default", ""))
    known = cell.options["queues"]
    if not queue:
        return "No default queue specified" + (" MSG=requested queue not found" * torque), 1
    if queue not in known:
        return "Unknown queue" + (" MSG=requested queue not found" * torque), 170
    if not known[queue].get("enabled", True):
        return "Queue is not enabled" + (" MSG=queue is disabled" * torque), 1
    accounts = cell.options.get("accounts")
    if accounts is not None and options.get("-A", "") not in accounts:
        return "Invalid Account" + (" MSG=invalid account" * torque), 1
    limit = known[queue].get("walltime")
    if limit and _seconds(resources.get("walltime", "0")) > _seconds(limit):
        if torque:
            return (
                "Job exceeds queue resource limits MSG=cannot satisfy queue max walltime "
                "requirement"
            ), 1
        return "Job violates queue and/or server resource limits", 188
    return None


def _wanted(resources: dict[str, str], *, torque: bool) -> tuple[int, int]:
    chunk = resources.get("nodes" if torque else "select", "1").split(":")
    given = dict(part.partition("=")[::2] for part in chunk[1:])
    return int(chunk[0]), int(given.get("ppn" if torque else "mpiprocs", "1"))


def _seconds(text: str) -> float:
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def _clock(seconds: float) -> str:
    left = int(seconds)
    return f"{left // 3600:02}:{left // 60 % 60:02}:{left % 60:02}"


# ------------------------------------------------------------------------------------------- qstat


def qstat(cell: Cell, words: list[str]) -> int:
    if words == ["--version"]:
        version = cell.options["version"]
        if cell.options["torque"]:
            sys.stderr.write(f"Version: {version}\nCommit: 0123456789abcdef\n")
        else:
            print(f"pbs_version = {version}")
        return 0
    given, rest = getopt.getopt(words, "xfQBw")
    flags = {name for name, _ in given}
    if "-B" in flags:
        return _server(cell)
    if "-Q" in flags:
        return _queues(cell)
    if "-x" in flags and cell.options["torque"]:
        print("<Data></Data>")
        return 0
    if "-x" in flags and not cell.options["history"]:
        return say_error("qstat: PBS is not configured to maintain job history", 0)
    failed = 0
    for name in rest:
        failed = _shown(cell, name, past="-x" in flags) or failed
    return failed


def _shown(cell: Cell, name: str, *, past: bool) -> int:
    torque, error = cell.options["torque"], " Error" if cell.options["torque"] else ""
    entry = _job(cell, name)
    if entry is None:
        return say_error(f"qstat: Unknown Job Id{error} {_full(name)}", 153)
    if entry.state == "ended":
        if torque and time.time() - entry.ended > float(cell.options["keep"]):
            return say_error(f"qstat: Unknown Job Id{error} {_full(name)}", 153)
        if not torque and not cell.options["history"]:
            return say_error(f"qstat: Unknown Job Id {_full(name)}", 153)
        if not torque and not past:
            text = "Job has finished, use -x or -H to obtain historical job information"
            return say_error(f"qstat: {_full(name)} {text}", 35)
    print(f"Job Id: {entry.number}.{SERVER}")
    for key, value in _attributes(cell, entry, torque=torque):
        print(_wrapped(key, value))
    print()
    return 0


def _full(name: str) -> str:
    return name if "." in name else f"{name}.{SERVER}"


def _job(cell: Cell, name: str) -> Entry | None:
    number, _, server = name.partition(".")
    if not number.isdigit() or server not in {"", SERVER}:
        return None
    with contextlib.suppress(KeyError):
        return cell.job(int(number))
    return None


def _attributes(cell: Cell, entry: Entry, *, torque: bool) -> Iterator[tuple[str, str]]:
    held = bool(entry.held) and entry.state == "queued"
    letter = {
        "queued": "H" if held else "Q",
        "running": "R",
        "ending": "E",
        "ended": "C" if torque else "F",
    }[entry.state]
    yield "Job_Name", entry.name
    yield "Job_Owner", f"{entry.user}@{SERVER}"
    if entry.begun:
        yield "resources_used.walltime", _clock((entry.ended or time.time()) - entry.begun)
    yield "job_state", letter
    yield "queue", entry.options["queue"]
    yield "server", SERVER
    if entry.options["account"]:
        yield "Account_Name", entry.options["account"]
    if entry.machines:
        yield "exec_host", "+".join(f"{name}/0" for name in entry.machines)
    yield "Hold_Types", "u" if held else "n"
    yield "Output_Path", f"{SERVER}:{entry.out}"
    for key, value in entry.options.items():
        if key.startswith("Resource_List."):
            yield key, value
    yield "substate", _substate(entry)
    folder = entry.options["folder"].replace("\\", "\\\\").replace(",", "\\,")
    yield "Variable_List", f"PBS_O_HOME=/home/{entry.user},PBS_O_WORKDIR={folder},PBS_O_QUEUE=x"
    if comment := _comment(cell, entry):
        yield "comment", comment
    if entry.state == "ended" and entry.code is not None:
        yield "exit_status" if torque else "Exit_status", _status(entry, torque=torque)


def _substate(entry: Entry) -> str:
    if entry.state != "ended":
        return {"queued": "10", "running": "42", "ending": "51"}[entry.state]
    return "91" if entry.how == "cancelled" else "93" if entry.code else "92"


def _status(entry: Entry, *, torque: bool) -> str:
    assert entry.code is not None
    if entry.how == "expired":
        return "271" if torque else "-29"
    return str(entry.code if entry.code >= 0 else 256 - entry.code)


def _comment(cell: Cell, entry: Entry) -> str:
    if entry.state == "queued":
        if entry.nodes > int(cell.options.get("machines", 4)):
            return "Can Never Run: Insufficient amount of resource: ncpus"
        return "" if entry.held else "Not Running: Insufficient amount of resource: ncpus "
    at = time.strftime("%a %b %d at %H:%M", time.localtime(entry.begun))
    ran = f"Job run at {at} on {'+'.join(f'({name}:ncpus=1)' for name in entry.machines)}"
    if entry.state != "ended" or cell.options["torque"]:
        return ran if entry.begun else ""
    end = {"cancelled": "and terminated", "expired": "and exceeded resource walltime"}
    return f"{ran} {end.get(entry.how, 'and failed' if entry.code else 'and finished')}"


def _wrapped(name: str, value: str) -> str:
    """An attribute as qstat prints it: broken behind a comma, or within what is too long."""
    text, column, first = f"    {name} = ", len(name) + 7, True
    parts = [part for part in value.split(",") if part]
    for place, part in enumerate(parts):
        if column + len(part) < 78:
            text, column = text + part, column + len(part)
        else:
            if not first:
                text, column = f"{text}\n\t", 9
            for letter in part:
                text, column = text + letter, column + 1
                if column > 78:
                    text, column = f"{text}\n\t", 8
        if place + 1 < len(parts):
            text, first = f"{text},", False
    return text


def _server(cell: Cell) -> int:
    print(f"Server: {SERVER}\n    server_state = Active\n    server_host = {SERVER}.example")
    if cell.options.get("default"):
        print(f"    default_queue = {cell.options['default']}")
    if cell.options["history"]:
        print("    job_history_enable = True\n    job_history_duration = 24:00:00")
    print(f"    pbs_version = {cell.options['version']}\n")
    return 0


def _queues(cell: Cell) -> int:
    for name, given in cell.options["queues"].items():
        print(f"Queue: {name}\n    queue_type = Execution\n    total_jobs = 0")
        print(
            "    state_count = Transit:0 Queued:0 Held:0 Waiting:0 Running:0 Exiting:0 Begun\n\t:0 "
        )
        if given.get("walltime"):
            print(f"    resources_max.walltime = {given['walltime']}")
        print(f"    enabled = {given.get('enabled', True)}")
        print(f"    started = {given.get('started', True)}\n")
    return 0


# -------------------------------------------------------------------------------------- all others


def qdel(cell: Cell, words: list[str]) -> int:
    torque = cell.options["torque"]
    failed = 0
    for name in words:
        entry = _job(cell, name)
        gone = entry is not None and entry.state == "ended" and not torque
        if entry is None or (gone and not cell.options["history"]):
            failed = say_error(f"qdel: Unknown Job Id {_full(name)}", 153)
        elif gone:
            failed = say_error(f"qdel: Job has finished {_full(name)}", 35)
        elif entry.state in {"ending", "ended"}:
            state = "EXITING" if entry.state == "ending" else "COMPLETE"
            more = f" MSG=invalid state for job - {state}" if torque else ""
            text = f"qdel: Request invalid for state of job{more} {_full(name)}"
            failed = say_error(text, 168)
        else:
            cell.cancel(entry.number)
    return failed


def qselect(cell: Cell, words: list[str]) -> int:
    given = dict(getopt.getopt(words, "u:N:")[0])
    for entry in cell.jobs():
        found = (entry.name, entry.user)
        wanted = (given.get("-N", entry.name), given.get("-u", entry.user))
        if entry.state != "ended" and found == wanted:
            print(f"{entry.number}.{SERVER}")
    return 0


def pbsnodes(cell: Cell, words: list[str]) -> int:
    for number in range(1, int(cell.options.get("machines", 4)) + 1):
        print(f"node{number}")
        if cell.options["torque"]:
            print(
                "     state = free\n     power_state = Running\n     np = 8\n     ntype = cluster"
            )
            print("     status = opsys=linux,ncpus=8,physmem=33554432kb,state=free")
        else:
            print(f"     Mom = node{number}.example\n     ntype = PBS\n     state = free")
            print("     resources_available.mem = 33554432kb\n     resources_available.ncpus = 8")
        print()
    return 0


def mpiexec(_cell: Cell, words: list[str]) -> int:
    """MPICH's, as far as launchers use it: it starts copies on the machines of PBS_NODEFILE."""
    if words == ["--version"]:
        print("HYDRA build details:\n    Version:  4.0.2")
        return 0
    import subprocess

    given: dict[str, str] = {}
    while words[0] in {"-n", "-ppn", "-bind-to"}:
        name, value, *words = words
        given[name] = value
    total, each = int(given["-n"]), int(given["-ppn"])
    names = Path(os.environ["PBS_NODEFILE"]).read_text().split()
    machines = list(dict.fromkeys(names))
    if total != each * len(machines):
        return say_error(f"mpiexec: {total} copies, {each} to a machine, on {machines}")
    copies = [
        subprocess.Popen(words, env={**os.environ, "STANDIN_NODE": machines[rank // each]})
        for rank in range(total)
    ]
    codes = [copy.wait() for copy in copies]
    return next((code for code in codes if code), 0)


PROGRAMS: dict[str, Program] = {
    "qsub": qsub,
    "qstat": qstat,
    "qdel": qdel,
    "qselect": qselect,
    "pbsnodes": pbsnodes,
    "mpiexec": mpiexec,
}
