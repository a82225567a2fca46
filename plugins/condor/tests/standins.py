"""Stand-ins for the commands of HTCondor: they read and print what HTCondor's do, and run jobs.

What HTCondor's own library judges is judged by it, from the bindings of Python: the description is
parsed by ``htcondor2.Submit``, and expressions are evaluated by ``classad2``, those for the end of
a job, for machines, and for questions. So nothing is taken that HTCondor would not understand.

Where the rest is from:

- condor_submit -terse: ``12.0 - 12.0``; its errors: the sources of condor_submit and of the
  library (``ERROR: Executable file x does not exist``, ``ERROR: Parse error in expression:``,
  ``ERROR: Failed to commit job submission into the queue.`` with the reason of the pool's rule).
- condor_q, condor_history, condor_status -json: a list of ClassAds, and nothing at all for none;
  ``-- Schedd: name : <address> @ time`` at the head of what is for people.
- condor_rm: ``Job 12.0 marked for removal``, ``Job 12.0 not found``, ``Job 12.0 already marked for
  removal``: the sources of the library.
- RemoveReason, HoldReason and their codes: the manual, "Job ClassAd Attributes".

A job runs in a folder of its own, to which its files are carried, with the few variables that
HTCondor gives it.
"""

import fnmatch
import getpass
import importlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from weft_testkit.standin import Cell, Entry

_IDLE, _RUNNING, _REMOVED, _COMPLETED, _HELD = range(1, 6)
_FOREVER = 10**9
_KNOWN = {
    *("executable", "output", "error", "batch_name", "notification", "should_transfer_files"),
    *("when_to_transfer_output", "transfer_input_files", "transfer_output_files", "hold"),
    *("periodic_remove", "request_cpus", "request_memory", "request_disk", "request_gpus"),
    *(
        "initialdir",
        "requirements",
        "accounting_group",
        "accounting_group_user",
        "getenv",
        "universe",
    ),
}


class _RefusedError(Exception):
    """What condor_submit says when it does not take a job."""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _refuse(words: str) -> NoReturn:
    raise _RefusedError(words)


def _bindings(cell: Cell) -> tuple[Any, Any]:
    """HTCondor's own library, without any configuration of a pool."""
    os.environ["CONDOR_CONFIG"] = os.devnull
    sys.path.insert(0, cell.options["bindings"])
    return importlib.import_module("htcondor2"), importlib.import_module("classad2")


def _there(words: list[str]) -> list[str]:
    """The words behind those that say where; the stand-in is the queue of every name but one."""
    rest = list(words)
    while rest[:1] in (["-pool"], ["-name"]):
        option, name = rest.pop(0), rest.pop(0)
        if name == "elsewhere":
            sys.stderr.write(f"\nERROR: Can't find address of schedd {name}\n")
            sys.exit(1)
        assert option in {"-pool", "-name"}
    return rest


# --------------------------------------------------------------------------------- condor_submit


def condor_submit(cell: Cell, words: list[str]) -> int:
    rest = _there(words)
    if rest[:1] != ["-terse"] or len(rest) != 2:
        sys.stderr.write(f"\nERROR: unknown option {rest[:1]}\n")
        return 1
    try:
        entries = _entries(cell, Path(rest[1]))
    except _RefusedError as trouble:
        sys.stderr.write(f"\nERROR: {trouble}\n")
        return 1
    numbers: list[int] = []
    for entry in entries:
        entry.options["Cluster"] = str(numbers[0]) if numbers else ""
        numbers.append(cell.submit(entry))
    _say(f"{numbers[0]}.0 - {numbers[0]}.{len(numbers) - 1}")
    return 0


def _identity(entry: Entry) -> tuple[int, int]:
    """Cluster and process; a cluster has the number of its first job."""
    return int(entry.options["Cluster"] or entry.number), int(entry.options["Process"])


def _id(entry: Entry) -> str:
    return "{}.{}".format(*_identity(entry))


def _entries(cell: Cell, file: Path) -> list[Entry]:
    htcondor, classad = _bindings(cell)
    try:
        description = htcondor.Submit(file.read_text())
        count = description.getQArgs()
    except ValueError:
        _refuse(f"Failed to parse command file ({file}).")
    if not re.fullmatch(r"\d*", count):
        _refuse(f"this stand-in queues jobs by their number, not {count!r}")
    given = [
        {name: value.replace("$(Process)", str(process)) for name, value in description.items()}
        for process in range(int(count or 1))
    ]
    return [_entry(cell, classad, process, one) for process, one in enumerate(given)]


def _entry(cell: Cell, classad: Any, process: int, given: dict[str, str]) -> Entry:
    own = {name[3:]: value for name, value in given.items() if name.startswith("MY.")}
    strange = [name for name in given if name.lower() not in _KNOWN and not name.startswith("MY.")]
    if strange:  # HTCondor only warns of it, but it would be a slip of the provider
        _refuse(f"the line '{strange[0]} = {given[strange[0]]}' is unused. Is it a typo?")
    ad = {name: _evaluated(classad, name, value) for name, value in own.items()}
    ad |= {
        "RequestCpus": int(given.get("request_cpus", 1)),
        "RequestMemory": _megabytes(given.get("request_memory", "128M")),
        "AcctGroup": given.get("accounting_group", ""),
    }
    groups = cell.options.get("groups")
    if groups and ad["AcctGroup"] not in groups:
        said = f"accounting_group {ad['AcctGroup']!r} is not one of this pool's"
        _refuse(f"Failed to commit job submission into the queue.\nERROR: {said}")
    script = Path.cwd() / given["executable"]
    here = Path.cwd() / given.get("initialdir", "")
    if not script.exists():
        _refuse(f"Executable file {script} does not exist")
    there = Path(tempfile.mkdtemp(prefix="dir_", dir=cell.folder))
    for name in filter(None, re.split(r"\s*,\s*", given.get("transfer_input_files", ""))):
        source = here / name
        if not os.access(source, os.R_OK):
            _refuse(f"Can't open {str(source)!r} with flags 00 (No such file or directory)")
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, there / source.name)
    (there / ".machine.ad").write_text(f'Machine = "node1"\nCpus = {ad["RequestCpus"]}\n')
    requirements = _expression(classad, "Requirements", given.get("requirements", "true"))
    remove = given.get("periodic_remove", "false")
    held = "" if _fits(cell, classad, requirements, ad) else "no match found"
    if given.get("hold", "").lower() == "true":
        held = "submitted on hold at user's request"
    options = {
        "WeftFolder": str(ad.get("WeftFolder", "")),
        "JobBatchName": given.get("batch_name", ""),
        "WeftArray": "yes" if ad.get("WeftArray") is True else "",
        "PeriodicRemove": remove,
        "Process": str(process),
    }
    return Entry(
        script=str(script),
        name=given.get("batch_name", ""),
        folder=str(there),
        out=str(here / given["output"]),
        err=str(here / given["error"]),
        environment=_environment(given.get("getenv", ""), there),
        walltime=_walltime(classad, remove),
        held=held,
        options=options,
    )


def _expression(classad: Any, name: str, text: str) -> Any:
    try:
        return classad.ExprTree(text)
    except classad.ClassAdException:
        _refuse(f"Parse error in expression: \n\t{name} = {text}\n\t")


def _evaluated(classad: Any, name: str, text: str) -> Any:
    return _expression(classad, name, text).eval(classad.ClassAd({}))


def _megabytes(text: str) -> float:
    found = re.fullmatch(r"(\d+)([KMGT]?)B?", text.upper())
    if found is None:
        _refuse(f"request_memory = {text} is invalid, must eval to a non-negative integer.")
    return int(found[1]) * {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1 << 20}[found[2]]


def _fits(cell: Cell, classad: Any, requirements: Any, ad: dict[str, Any]) -> bool:
    """Whether some machine has what is asked for; names without a prefix are the job's first."""
    for machine in cell.options["pool"]:
        both = classad.ClassAd({**machine, **ad})
        if (
            requirements.eval(both, classad.ClassAd(machine)) is True
            and machine["TotalSlotCpus"] >= ad["RequestCpus"]
            and machine["TotalSlotMemory"] >= ad["RequestMemory"]
        ):
            return True
    return False


def _walltime(classad: Any, remove: str) -> float | None:
    """The seconds after which the expression takes a running job away; by asking it."""
    expression = _expression(classad, "PeriodicRemove", remove)

    def over(seconds: int) -> bool:
        began = int(time.time()) - seconds
        ad = classad.ClassAd({"JobStatus": 2, "NumJobStarts": 1, "EnteredCurrentStatus": began})
        return expression.eval(ad) is True

    if not over(_FOREVER):
        return None
    low, high = 0, _FOREVER
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if over(middle) else (middle, high)
    return float(high)


def _environment(getenv: str, there: Path) -> dict[str, str]:
    patterns = [one for one in re.split(r"\s*,\s*", getenv) if one]
    taken = {
        name: value
        for name, value in os.environ.items()
        if any(fnmatch.fnmatchcase(name, one) for one in patterns)
    }
    scratch = {"_CONDOR_SCRATCH_DIR": str(there), "_CONDOR_SLOT": "slot1_1"}
    return {**taken, **scratch, "_CONDOR_MACHINE_AD": str(there / ".machine.ad")}


# ---------------------------------------------------------------------- condor_q, condor_history


def condor_q(cell: Cell, words: list[str]) -> int:
    rest = _there(words)
    if rest == ["-totals"]:
        now = time.strftime("%m/%d/%y %H:%M:%S")
        _say(f"\n\n-- Schedd: standin : <127.0.0.1:9618?... @ {now}")
        counts = "0 completed, 0 removed, 0 idle, 0 running, 0 held, 0 suspended"
        _say(f"Total for query: 0 jobs; {counts}")
        return 0
    ids, options = _split(rest)
    entries = [one for one in cell.jobs() if one.state != "ended"]
    if ids:
        entries = [one for one in entries if _id(one) in ids]
    ads = [_ad(cell, one) for one in entries]
    if "-constraint" in options:
        _, classad = _bindings(cell)
        wanted = classad.ExprTree(options["-constraint"])
        ads = [ad for ad in ads if wanted.eval(classad.ClassAd(ad)) is True]
    _print(ads, options)
    return 0


def condor_history(cell: Cell, words: list[str]) -> int:
    ids, options = _split(_there(words))
    ended = [one for one in cell.jobs() if one.state == "ended" and _id(one) in ids]
    if cell.options.get("lags"):
        ended = []
    _print([_ad(cell, one) for one in ended][: int(options["-limit"])], options)
    return 0


def _split(words: list[str]) -> tuple[list[str], dict[str, str]]:
    ids, options = [], {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if re.fullmatch(r"\d+\.\d+", word):
            ids.append(word)
        elif word == "-json":
            options[word] = ""
        elif word in {"-attributes", "-constraint", "-limit"}:
            options[word] = rest.pop(0)
        else:
            sys.stderr.write(f"Error: unrecognized argument {word}\n")
            sys.exit(1)
    return ids, options


def _print(ads: list[dict[str, Any]], options: dict[str, str]) -> None:
    assert "-json" in options
    names = options["-attributes"].split(",")
    shown = [{name: ad[name] for name in names if name in ad} for ad in ads]
    if shown:
        _say(json.dumps(shown, indent=2))


def _ad(cell: Cell, entry: Entry) -> dict[str, Any]:
    ad: dict[str, Any] = {
        "ClusterId": _identity(entry)[0],
        "ProcId": _identity(entry)[1],
        "Owner": entry.user,
        "NumJobStarts": 1 if entry.begun else 0,
        "JobBatchName": entry.options["JobBatchName"],
        "WeftFolder": entry.options["WeftFolder"],
        # An expression is shown as one.
        "PeriodicRemove": f"/Expr({entry.options['PeriodicRemove']})/",
    }
    if entry.options["WeftArray"]:
        ad["WeftArray"] = True
    before = _RUNNING if entry.begun else _IDLE
    status = before
    if entry.held.startswith("submitted"):
        hold = {"HoldReason": entry.held, "HoldReasonCode": 15, "HoldReasonSubCode": 0}
        ad, status = ad | hold, _HELD
    elif entry.held:
        ad["LastRejMatchReason"] = f"{entry.held} "
    if entry.begun:
        ad["RemoteHost"] = f"slot1_1@{entry.machines[0]}"
    number = str(entry.number)
    if number in cell.options.get("on_hold", {}):
        code, sub, reason = cell.options["on_hold"][number]
        hold = {"HoldReason": reason, "HoldReasonCode": code, "HoldReasonSubCode": sub}
        ad, status = ad | hold, _HELD
    if number in cell.options.get("evicted", []):
        status = _IDLE
        ad["LastRemoteHost"] = ad.pop("RemoteHost", "")
    if entry.how:
        ad["LastJobStatus"], status = status, _REMOVED
        ad["RemoveReason"] = f"via condor_rm (by user {getpass.getuser()})"
        if entry.how == "expired":
            said = f'PeriodicRemove expression "{entry.options["PeriodicRemove"]}"'
            ad["RemoveReason"] = f"The job attribute {said} evaluated to TRUE"
    elif entry.state == "ended":
        assert entry.code is not None
        status = _COMPLETED
        ad["ExitBySignal"] = entry.code < 0
        ad["ExitSignal" if entry.code < 0 else "ExitCode"] = abs(entry.code)
    return ad | {"JobStatus": status}


# ----------------------------------------------------------------------- condor_rm, condor_status


def condor_rm(cell: Cell, words: list[str]) -> int:
    code = 0
    for word in _there(words):
        entry = next((one for one in cell.jobs() if _id(one) == word), None)
        if entry is None or entry.state == "ended":
            sys.stderr.write(f"Job {word} not found\n")
            code = 1
        elif entry.how:
            sys.stderr.write(f"Job {word} already marked for removal\n")
            code = 1
        else:
            cell.cancel(entry.number)
            _say(f"Job {word} marked for removal")
    return code


def condor_status(cell: Cell, words: list[str]) -> int:
    _, options = _split(_there(words))
    machines = cell.options["pool"]
    if "-constraint" in options:
        _, classad = _bindings(cell)
        wanted = classad.ExprTree(options["-constraint"])
        machines = [one for one in machines if wanted.eval(classad.ClassAd(one)) is True]
    _print(machines[: int(options["-limit"])], options)
    return 0


PROGRAMS = {
    "condor_submit": condor_submit,
    "condor_q": condor_q,
    "condor_history": condor_history,
    "condor_rm": condor_rm,
    "condor_status": condor_status,
}
