"""A stand-in for ``flux``: it reads and prints what Flux's own does, and runs jobs for real.

Where the formats are from:

- flux batch: options of flux-batch(1); lines ``#flux:`` by RFC 36, with the rules of flux-core's
  parser: the first such line says how all others begin, a line of another kind ends them, and one
  that comes later is an error. Refusals: the plugins of flux-core (``Invalid queue 'x' specified``,
  ``requested duration (1h) exceeds policy limit of 30m``, ``job submission is disabled: …``).
- flux jobs --json: recorded with flux-core 0.89; ``JobID 999999 unknown`` for what is not known.
- flux cancel: ``flux-cancel: ERROR: ƒ68GN: unknown job id``, recorded with flux-core 0.89.
- ids: RFC 19, decimal and F58; the pairs of both that the tests know are recorded, too.
- flux queue, flux getattr, flux version: flux-core's manuals and sources.

A batch job that a signal has ended has the return code 128 and its number, one that was cancelled
143, as recorded, and one at its limit 142 (by SIGALRM).
"""

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

from weft_testkit.standin import Cell, Entry

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUED = {
    *("--job-name", "--output", "--error", "--nodes", "--nslots", "--time-limit", "--queue"),
    *("--bank", "--cores-per-slot", "--gpus-per-slot", "--requires", "--urgency", "--setattr"),
    *("--dependency",),
}
_FLAGS = {"--exclusive", "--unbuffered"}
_CORES = 8
"""Of each machine."""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


class _RefusedError(Exception):
    """What flux batch says when it does not take a job, and its exit code."""


def _refuse(words: str, code: int = 1) -> NoReturn:
    raise _RefusedError(words, code)


def _identity(entry: Entry) -> int:
    """The id of a job: 40 bits of time, 14 of the generator, 10 of a sequence."""
    return (int(entry.submitted * 1000) % (1 << 38)) << 24 | entry.number


def _text(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return f"ƒ{digits}"


def _number(text: str) -> int:
    if text.isdigit():
        return int(text)
    if not re.fullmatch(f"[ƒf][{_ALPHABET}]+", text):
        sys.stderr.write(f"flux-jobs: error: argument JOBID: invalid JobID value: '{text}'\n")
        sys.exit(2)
    found = 0
    for digit in text[1:]:
        found = found * 58 + _ALPHABET.index(digit)
    return found


# ------------------------------------------------------------------------------------ flux batch


def batch(cell: Cell, words: list[str]) -> int:
    file = Path(words[0])
    try:
        if not file.exists():
            _refuse(f"[Errno 2] No such file or directory: '{file}'")
        entry = _entry(cell, file, _options(file))
    except _RefusedError as trouble:
        said, code = trouble.args
        sys.stderr.write(f"flux-batch: ERROR: {said}\n")
        return int(code)
    number = cell.submit(entry)
    _say(_text(_identity(cell.job(number))))
    return 0


def _options(file: Path) -> dict[str, str]:
    text = file.read_text()
    if not text.startswith("#!"):
        _refuse(f"{file.name} does not appear to start with '#!'")
    words: list[str] = []
    prefix = sentinel = ""
    over = 0
    for number, line in enumerate(text.splitlines(), start=1):
        found = re.match(r"^([^\w]*)((?:flux|FLUX):)(.*)$", line)
        if found is None:
            if sentinel and not over and line.strip() and not line.startswith(prefix.rstrip()):
                over = number - 1
            continue
        if over:
            said = f"line {number}: orphan '{found[2]}' detected: directives disabled after line"
            _refuse(f"{file.name}: {said} {over}")
        prefix, sentinel = found[1], sentinel or found[1] + found[2]
        if found[1] + found[2] != sentinel:
            _refuse(f"{file.name}: line {number}: sentinel changed from '{sentinel}'")
        words += shlex.split(found[3], comments=True)
    options: dict[str, str] = {}
    while words:
        name, equals, value = words.pop(0).partition("=")
        if name in _FLAGS and not equals:
            options[name] = ""
        elif name in _VALUED:
            options[name] = value if equals else words.pop(0)
        else:
            sys.stderr.write("usage: flux batch [OPTIONS...] COMMAND [ARGS...]\n")
            _refuse(f"unrecognized arguments: {name}", 2)
    return options


def _entry(cell: Cell, file: Path, options: dict[str, str]) -> Entry:
    queues: dict[str, Any] = cell.options["queues"]
    name = options.get("--queue", cell.options.get("queue", ""))
    if name not in queues:
        _refuse(f"[Errno 22] Invalid queue '{name}' specified" if name else "no queue specified")
    queue = queues[name]
    if queue.get("closed"):
        _refuse(f"[Errno 22] job submission is disabled: {queue['closed']}")
    if options.get("--bank", "default") not in cell.options.get("banks", ["default"]):
        _refuse(f"[Errno 22] cannot find user/bank entry for: {options['--bank']}")
    seconds = float(re.fullmatch(r"([\d.]+)s?", options.get("--time-limit", "0"))[1])  # type: ignore[index]
    limit = queue.get("limit")
    if limit and not 0 < seconds <= limit:
        asked = f"{seconds:g}s" if seconds else "unlimited"
        _refuse(f"[Errno 22] requested duration ({asked}) exceeds policy limit of {limit}s")
    nodes, slots = int(options.get("--nodes", 0)), int(options.get("--nslots", 0))
    if not nodes and not slots:
        _refuse("Number of slots to allocate must be specified")
    machines = int(cell.options["machines"])
    held = cell.options.get("pending", "")
    if nodes > machines or int(options.get("--cores-per-slot", 1)) > _CORES:
        held = "unsatisfiable"  # a job is taken first, and the scheduler looks at it afterwards
    if options.get("--urgency") in {"0", "hold"}:
        held = "urgency"
    here = str(Path.cwd())
    return Entry(
        script=str(file.absolute()),
        name=options.get("--job-name", file.name),
        nodes=min(nodes, machines),
        folder=here,
        out=str(Path(here) / options["--output"]),
        err=str(Path(here) / options["--error"]),
        environment={**os.environ, "FLUX_JOB_ID": "@number@", "STANDIN_NODES": "@machines@"},
        walltime=seconds or None,
        held=held,
        options={"queue": name},
    )


# ------------------------------------------------------------------------- flux jobs, flux cancel


def jobs(cell: Cell, words: list[str]) -> int:
    if words[:1] != ["--json"]:
        sys.stderr.write(f"flux-jobs: error: unrecognized arguments: {' '.join(words)}\n")
        return 2
    asked = [_number(word) for word in words[1:]]
    known = {_identity(entry): entry for entry in cell.jobs()}
    missing = [number for number in asked if number not in known]
    for word in [one for one in words[1:] if _number(one) in missing]:
        sys.stderr.write(f"JobID {word} unknown\n")
    if asked:
        shown = [_record(known[number]) for number in asked if number in known]
    else:
        shown = [_record(entry) for entry in known.values() if entry.state != "ended"]
    if len(asked) == 1:
        _say("".join(json.dumps(one) for one in shown))
    else:
        _say(json.dumps({"jobs": shown}))
    return 1 if missing else 0


def _record(entry: Entry) -> dict[str, Any]:
    number = _identity(entry)
    found: dict[str, Any] = {
        "t_submit": entry.submitted,
        "t_depend": entry.submitted,
        "duration": entry.walltime or 0.0,
        "name": entry.name,
        "cwd": entry.folder,
        "queue": entry.options["queue"],
        "ntasks": entry.nodes,
        "id": number,
        "jobid": _text(number),
        "username": entry.user,
        "urgency": 0 if entry.held == "urgency" else 16,
        "dependencies": [],
        "annotations": {},
        "exception": {"occurred": False},
        "state": "SCHED",
    }
    if entry.begun:
        found |= {"t_run": entry.begun, "nodelist": ",".join(entry.machines)}
        found["state"] = "CLEANUP" if entry.state == "ending" else "RUN"
    elif entry.held not in {"", "urgency", "unsatisfiable"}:
        found["annotations"] = {"sched": {"reason_pending": entry.held}}
    if entry.state == "ended" or (entry.state == "queued" and entry.held == "unsatisfiable"):
        found |= {"state": "INACTIVE", "t_inactive": entry.ended, **_end(entry)}
    return found | {"status": found.get("result", found["state"])}


def _end(entry: Entry) -> dict[str, Any]:
    if entry.held == "unsatisfiable":
        note = {"occurred": True, "severity": 0, "type": "alloc", "note": "unsatisfiable request"}
        return {"result": "FAILED", "success": False, "returncode": 1, "exception": note}
    if entry.how == "cancelled":
        note = {"occurred": True, "severity": 0, "type": "cancel", "note": ""}
        code = 143 if entry.begun else -128
        return {"result": "CANCELED", "success": False, "returncode": code, "exception": note}
    if entry.how == "expired":
        said = "resource allocation expired"
        note = {"occurred": True, "severity": 0, "type": "timeout", "note": said}
        return {"result": "TIMEOUT", "success": False, "returncode": 142, "exception": note}
    assert entry.code is not None
    code = 128 - entry.code if entry.code < 0 else entry.code
    result = "FAILED" if code else "COMPLETED"
    return {"result": result, "success": not code, "returncode": code, "waitstatus": code << 8}


def cancel(cell: Cell, words: list[str]) -> int:
    known = {_identity(entry): entry for entry in cell.jobs()}
    code = 0
    for word in words:
        entry = known.get(_number(word))
        if entry is None or entry.state == "ended":
            said = "unknown job id" if entry is None else "job is inactive"
            sys.stderr.write(f"flux-cancel: ERROR: {_text(_number(word))}: {said}\n")
            code = 1
        else:
            cell.cancel(entry.number)
    return code


# -------------------------------------------------------------------------------- of the instance


def getattr_(cell: Cell, words: list[str]) -> int:
    values = {"hostlist": "standin[1-4]", **cell.options.get("attributes", {})}
    if words[0] not in values:
        sys.stderr.write(f"flux-getattr: {words[0]}: No such file or directory\n")
        return 1
    _say(values[words[0]])
    return 0


def version(cell: Cell, words: list[str]) -> int:
    _say(
        "commands:\t\t0.88.0\nlibflux-core:\t\t0.88.0\nbroker:\t\t\t0.88.0\nFLUX_URI:\t\tlocal:///x"
    )
    return 0


def queue(cell: Cell, words: list[str]) -> int:
    if words[0] == "list" and cell.options.get("old"):
        sys.stderr.write("flux-queue: ERROR: Unknown format field: limits.timelimit\n")
        return 1
    for name, one in cell.options["queues"].items():
        if words == ["status"]:
            head = f"{name}: " if name else ""
            closed = one.get("closed")
            _say(f"{head}Job submission is {f'disabled: {closed}' if closed else 'enabled'}")
            _say(f"{head}Scheduling is {'stopped' if one.get('stopped') else 'started'}")
        else:
            assert words == ["list", "--no-header", "--format={queue}|{limits.timelimit!F}"], words
            _say(f"{name}|{one['limit'] / 60:g}m" if one.get("limit") else f"{name}|inf")
    return 0


_COMMANDS = {
    "batch": batch,
    "jobs": jobs,
    "cancel": cancel,
    "getattr": getattr_,
    "version": version,
    "queue": queue,
}


def flux(cell: Cell, words: list[str]) -> int:
    """One command with many below it; each of them can be made to go wrong on its own."""
    name = words[0] if words else ""
    if name not in _COMMANDS:
        sys.stderr.write(f"flux: `{name}' is not a flux command.  See 'flux --help'\n")
        return 1
    return cell.call(f"flux {name}", _COMMANDS[name], words[1:])


PROGRAMS = {"flux": flux}
