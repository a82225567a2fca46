"""Stand-ins for a batch scheduler that a machine does not have: false commands, real jobs.

A stand-in is a module with a function for each command, which reads the words of the command line
and prints what the real command prints. All else is here: a folder keeps the state, each job is a
process that really runs, several commands at a time do not disturb one another, and a test has
commands hang, fail, print rubbish, or do their work without telling.

    # standins.py, beside the tests of a provider
    from weft_testkit.standin import Cell, Entry

    def submit(cell: Cell, words: list[str]) -> int:
        number = cell.submit(Entry(script=words[0]))
        print(f"Submitted job {number}")
        return 0

    PROGRAMS = {"submit": submit}

    # the tests
    cell = Cell(tmp_path / "cell")
    cell.install(Path(__file__).with_name("standins.py"))
    monkeypatch.setenv("PATH", f"{cell.programs}:/usr/bin:/bin")
    yield cell
    cell.end()

A stand-in says nothing of the real scheduler beyond what its author knew: each line of a format
should name where it is from, and the evidence of a provider should say that it rests on one.

Only the standard library is imported, as commands are started often and have to start quickly.
"""

import contextlib
import dataclasses
import fcntl
import getpass
import importlib.util
import json
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    import subprocess

__all__ = ["Cell", "Entry", "Program", "run"]

_BOUND: Final = 60.0
"""Seconds that jobs may take to end at the end of a test."""
_GRACE: Final = 1.0
"""Seconds between the request to end and the end."""
_LIFE: Final = 1800.0
"""Seconds after which a job is ended whatever it is, as a test that was killed ends none."""
_RUBBISH: Final = b"<html>\xff\xfe 503 Service Unavailable\x07\n|||=:\n"
_POKE: Final = signal.SIGUSR1


@dataclasses.dataclass(kw_only=True)
class Entry:
    """A job.

    Attributes:
        script: the file that is run; it is copied, as schedulers do.
        arguments: those of the script.
        shell: what runs the script; empty for what its first line says.
        name: for people.
        nodes: machines that it wants for itself.
        per_node: lines that the file of machines has for each.
        folder: where it starts.
        out, err: where its output goes, which may be one file; empty for nowhere.
        environment: its variables. In their values, and in names of files, ``@machines@`` becomes
            the names of its machines, ``@file@`` the file that lists them, ``@number@`` its number.
        walltime: seconds after which it is ended; ``None`` for never.
        last_words: what is written behind a file when it has ended, as the file and the text, by
            ``how`` it did; ``@code@`` in the text becomes its exit code.
        held: why it does not start; empty for that it may.
        options: whatever the stand-in wants to remember of it.
        number, user, submitted, begun, ended: given by the cell; times in seconds since the epoch.
        state: ``queued``, ``running``, ``ending`` or ``ended``.
        machines: those that it was given.
        code: how it ended; negative for a signal, ``None`` while it has not or never began.
        how: ``cancelled`` or ``expired`` where it did not end by itself.
        keeper, pid: the process that watches it, and its own.
    """

    script: str
    arguments: list[str] = dataclasses.field(default_factory=list)
    shell: str = ""
    name: str = ""
    nodes: int = 1
    per_node: int = 1
    folder: str = "/"
    out: str = ""
    err: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    walltime: float | None = None
    last_words: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    held: str = ""
    options: dict[str, str] = dataclasses.field(default_factory=dict)

    number: int = 0
    user: str = ""
    submitted: float = 0.0
    begun: float = 0.0
    ended: float = 0.0
    state: str = "queued"
    machines: list[str] = dataclasses.field(default_factory=list)
    code: int | None = None
    how: str = ""
    keeper: int = 0
    pid: int = 0


Program = Callable[["Cell", list[str]], int]
"""A command: it is given the cell and its words, prints, and returns its exit code."""


class Cell:
    """A cluster in a folder, as its commands and its tests see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self._jobs = folder / "jobs"

    # ------------------------------------------------------------------------------- for the test

    def install(self, module: Path, **options: Any) -> None:
        """Put the commands of a module into ``programs``: those in its ``PROGRAMS``.

        Args:
            module: the file of the stand-in.
            options: what ``options`` gives; ``machines`` is how many there are, ``life`` the
                seconds after which a job is ended whatever it is.
        """
        self.programs.mkdir(parents=True)
        self._jobs.mkdir()
        self.configure(**options)
        source = str(Path(__file__).resolve().parents[1])
        for name in _programs(module):
            begin = (
                f"import sys; sys.path.insert(0, {source!r}); from weft_testkit.standin import run;"
                f" run({str(module)!r}, {str(self.folder)!r}, {name!r}, sys.argv[1:])"
            )
            words = shlex.join([sys.executable, "-I", "-S", "-c", begin])
            file = self.programs / name
            file.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            file.chmod(0o755)

    def configure(self, **options: Any) -> None:
        """Change options."""
        with self.locked():
            self._write("options", {**self._read("options"), **options})

    def fault(self, program: str, kind: str, words: str = "", code: int = 1) -> None:
        """Have a command go wrong from now on.

        Args:
            program: the command.
            kind: ``fail`` with the words and the exit code, ``every-second`` for every second call
                only, ``hang`` without doing anything, ``late`` after it was done, ``garbage`` in
                the place of what it would print, or empty for that all is well again.
            words: what it prints to its error output.
            code: its exit code.
        """
        with self.locked():
            made = {"kind": kind, "words": words, "code": code, "calls": 0}
            self._write("faults", {**self._read("faults"), program: made})

    def calls(self, program: str) -> list[list[str]]:
        """The words with which a command was called."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [words for name, words in map(json.loads, lines) if name == program]

    def hanging(self) -> list[int]:
        """The processes of commands that hang, and of what they have started."""
        file = self.folder / "hanging"
        return [int(pid) for pid in file.read_text().split()] if file.exists() else []

    def left(self) -> list[int]:
        """The numbers of the jobs that wait or run."""
        return [entry.number for entry in self.jobs() if entry.state != "ended"]

    def end(self) -> None:
        """End all jobs, and wait for that.

        Raises:
            TimeoutError: it took too long.
        """
        until = time.monotonic() + _BOUND
        for number in self.left():
            self.cancel(number)
        keepers = [entry.keeper for entry in self.jobs()]
        while self.left() or any(map(_lives, keepers)):
            if time.monotonic() > until:
                raise TimeoutError(f"jobs of the stand-in in {self.folder} do not end")
            time.sleep(0.02)

    # --------------------------------------------------------------------------- for the commands

    @property
    def options(self) -> Mapping[str, Any]:
        """What the test has configured."""
        return self._read("options")

    def submit(self, entry: Entry) -> int:
        """Take a job. Returns its number.

        The job's keeper is a fork of this process, which must have no threads: that of a command.

        Raises:
            OSError: it could not be taken; the file ``keepers`` in the folder says why.
        """
        ours, theirs = os.pipe()
        # What is waiting to be written would be written by both.
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fork() == 0:
            os.close(ours)
            self._keep(entry, theirs)
        os.close(theirs)
        with os.fdopen(ours) as file:
            said = file.read()
        if not said:
            raise OSError(f"the job could not be taken: {self.folder / 'keepers'} says why")
        return int(said)

    def _keep(self, entry: Entry, told: int) -> NoReturn:
        """Be the keeper of a job from its first moment on; its number goes into a descriptor."""
        try:
            os.setsid()  # it does not end with the command, whatever ends that
            signal.pthread_sigmask(signal.SIG_BLOCK, {_POKE, signal.SIGCHLD})
            log = os.open(self.folder / "keepers", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            for source, place in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
                os.dup2(source, place)
            self._take(entry)
            os.write(told, str(entry.number).encode())
            os.close(told)
            _keep(self, entry.number)
        except BaseException:  # noqa: BLE001 - nobody is there to catch it
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(0)

    def _take(self, entry: Entry) -> None:
        """Give a job its number, and write it down."""
        with self.locked():
            known = [int(file.stem) for file in self._jobs.glob("*.json")]
            entry.number = max(known, default=int(self.options.get("first", 1)) - 1) + 1
            entry.user = entry.user or getpass.getuser()
            entry.submitted = time.time()
            entry.keeper = os.getpid()
            copy = self._jobs / f"{entry.number}.script"
            copy.write_bytes(Path(entry.script).read_bytes())
            copy.chmod(0o700)
            entry.script = str(copy)
            self.save(entry)

    def jobs(self) -> list[Entry]:
        """All jobs that there ever were, by number."""
        numbers = sorted(int(file.stem) for file in self._jobs.glob("*.json"))
        return [self.job(number) for number in numbers]

    def job(self, number: int) -> Entry:
        """A job.

        Raises:
            KeyError: there never was one of that number.
        """
        try:
            return Entry(**json.loads((self._jobs / f"{number}.json").read_text()))
        except FileNotFoundError:
            raise KeyError(number) from None

    def cancel(self, number: int) -> None:
        """Have a job ended, wherever it is."""
        self.change(number, how="cancelled")

    def release(self, number: int) -> None:
        """Let a held job start."""
        self.change(number, held="")

    def change(self, number: int, **values: Any) -> None:
        """Change a job that has not ended, and tell its keeper."""
        with self.locked():
            entry = self.job(number)
            if entry.state != "ended":
                self.save(dataclasses.replace(entry, **values))
                _poke(entry.keeper)

    # ------------------------------------------------------------------------------- for all here

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the state."""
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def save(self, entry: Entry) -> None:
        """Write a job down, within ``locked``."""
        self._write(f"jobs/{entry.number}", dataclasses.asdict(entry))

    def free(self, nodes: int) -> list[str]:
        """As many machines that no job has; empty if there are not as many."""
        taken = {
            name
            for entry in self.jobs()
            if entry.state in {"running", "ending"}
            for name in entry.machines
        }
        names = [f"node{n}" for n in range(1, int(self.options.get("machines", 4)) + 1)]
        left = [name for name in names if name not in taken]
        return left[:nodes] if len(left) >= nodes else []

    def call(self, name: str, program: Program, words: list[str]) -> int:
        """One call of a command, with the fault that it has now. Returns the exit code."""
        with self.locked():
            with (self.folder / "calls").open("a") as file:
                file.write(json.dumps([name, words]) + "\n")
            faults = self._read("faults")
            fault = faults.get(name, {"kind": ""})
            if fault["kind"]:
                fault["calls"] += 1
                self._write("faults", faults)
        kind = fault["kind"]
        if kind == "fail" or (kind == "every-second" and fault["calls"] % 2 == 0):
            sys.stderr.write(fault["words"] + "\n")
            return int(fault["code"])
        if kind == "hang":
            self._hang()
        if kind not in {"late", "garbage"}:
            return program(self, words)
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            program(self, words)
        if kind == "late":
            self._hang()
        sys.stdout.buffer.write(_RUBBISH)
        return 0

    def _hang(self) -> None:
        import subprocess

        # With a child, as scripts have that sites put in the place of commands.
        child = subprocess.Popen(["sleep", "600"])
        with (self.folder / "hanging").open("a") as file:
            file.write(f"{os.getpid()} {child.pid}\n")
        child.wait()

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        part = self.folder / f"{name}.part"
        part.write_text(json.dumps(value))
        part.rename(self.folder / f"{name}.json")


def run(module: str, folder: str, name: str, words: list[str]) -> None:
    """Be a command; the end of this process."""
    program = _programs(Path(module))[name]
    sys.exit(Cell(Path(folder)).call(name, program, words))


def _keep(cell: Cell, number: int) -> None:
    """Start a job when it may, watch it, and write down how it ended."""
    signals = {_POKE, signal.SIGCHLD}  # which are blocked
    last = time.time() + float(cell.options.get("life", _LIFE))
    while (process := _started(cell, number)) is None:
        with cell.locked():
            if cell.job(number).state == "ended":
                return
        if signal.sigtimedwait({_POKE}, max(0.0, last - time.time())) is None:
            cell.cancel(number)
    entry = cell.job(number)
    ends = min(last, entry.begun + (_LIFE if entry.walltime is None else entry.walltime))
    kills = last + _GRACE
    while process.poll() is None:
        signal.sigtimedwait(signals, max(0.0, min(ends, kills) - time.time()))
        entry = cell.job(number)
        if time.time() >= kills:
            _signal(process.pid, signal.SIGKILL)
            kills += _LIFE
        elif entry.how == "" and time.time() >= ends:
            cell.change(number, how="expired")
        elif entry.how and entry.state == "running":
            ends, kills = last + _LIFE, time.time() + _GRACE
            cell.change(number, state="ending")
            _signal(process.pid, signal.SIGTERM)
    _signal(process.pid, signal.SIGKILL)  # what it has left behind
    with cell.locked():
        entry = cell.job(number)
        entry.code = process.returncode
        _end(cell, entry)
        for other in cell.jobs():
            if other.state == "queued":
                _poke(other.keeper)


def _started(cell: Cell, number: int) -> "subprocess.Popen[bytes] | None":
    """Start a job if it may; one that was cancelled before has ended."""
    with cell.locked():
        entry = cell.job(number)
        if entry.how:
            _end(cell, entry)
            return None
        machines = [] if entry.held else cell.free(entry.nodes)
        if not machines:
            return None
        file = cell.folder / "jobs" / f"{number}.machines"
        file.write_text("".join(f"{name}\n" * entry.per_node for name in machines))
        known = {"@machines@": ",".join(machines), "@file@": str(file), "@number@": str(number)}
        entry.out, entry.err = _filled(entry.out, known), _filled(entry.err, known)
        environment = {name: _filled(value, known) for name, value in entry.environment.items()}
        try:
            process = _process(entry, environment)
        except OSError as trouble:
            sys.stderr.write(f"job {number}: {trouble}\n")
            entry.code = 127
            _end(cell, entry)
            return None
        entry.state, entry.machines = "running", machines
        entry.pid, entry.begun = process.pid, time.time()
        cell.save(entry)
        return process


def _end(cell: Cell, entry: Entry) -> None:
    """Write down that a job has ended; what it says last comes before that is known."""
    if entry.how in entry.last_words:
        file, text = entry.last_words[entry.how]
        with _output(_filled(file, {"@number@": str(entry.number)})) as opened:
            opened.write(_filled(text, {"@code@": str(entry.code)}).encode())
    entry.state, entry.ended = "ended", time.time()
    cell.save(entry)


def _filled(value: str, known: Mapping[str, str]) -> str:
    for word, meant in known.items():
        value = value.replace(word, meant)
    return value


def _process(entry: Entry, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    import subprocess  # most commands start nothing

    shell = [entry.shell] if entry.shell else []
    with _output(entry.out) as out, _output(entry.err) as err:
        return subprocess.Popen(
            [*shell, entry.script, *entry.arguments],
            env=dict(environment),
            cwd=entry.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            # A keeper has one thread.
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, set()),  # noqa: PLW1509
        )


def _output(name: str) -> Any:
    return Path(name or os.devnull).open("ab")  # both may be one file


def _programs(module: Path) -> dict[str, Program]:
    spec = importlib.util.spec_from_file_location(f"weft_standin_{module.stem}", module)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    found: dict[str, Program] = made.PROGRAMS
    return found


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _poke(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, _POKE)


def _lives(pid: int) -> bool:
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return said.rpartition(")")[2].split()[0] not in "ZX"
