"""The kit for providers: jobs that run, fail, are cancelled, and leave nothing.

The ids: P00 life, P01 what a job does, P02 what is said of it, P03 its end, P04 much at once and
what some providers do beside.
"""

import shlex
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, ParamSpec, TypeVar

import psutil
import pytest

from weft.errors import WeftError
from weft.interfaces.provider import Paced, Provider, Several, Telling
from weft.testing import FakeContext
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft.values.plugin import Kind, Level
from weft.values.settings import Settings
from weft_testkit.base import Conformance
from weft_testkit.bounded import Caller
from weft_testkit.leftovers import Look
from weft_testkit.rig import told, until
from weft_testkit.rules import rule

__all__ = ["ProviderConformance"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_RANK: Final = {JobState.QUEUED: 0, JobState.RUNNING: 1, **dict.fromkeys(JOB_ENDED, 2)}
_AWKWARD: Final = 'it\'s "two  words" $HOME `id` \\n *;&|<>#\nand — 数据'


class _Yard:
    """A provider as a rule holds it."""

    def __init__(self, provider: Provider, caller: Caller, patience: float, folder: Path) -> None:
        self.provider, self.caller, self.patience, self.folder = provider, caller, patience, folder
        self.context = FakeContext(folder / "provider")
        self.jobs = 0
        self.seen: dict[JobId, list[JobStatus]] = {}

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """One call; what it raises fails the rule."""
        try:
            return self.caller.call(function, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a component may raise anything
            name = getattr(function, "__name__", "a call")
            pytest.fail(f"{name} raised {told(error)}")

    def start(self) -> None:
        (self.folder / "provider").mkdir(mode=0o700)
        self.call(self.provider.start, self.context)

    def job(self, command: str, **options: Any) -> Job:
        self.jobs += 1
        folder: Path = options.pop("folder", self.folder / f"job-{self.jobs}")
        folder.mkdir(mode=0o700)
        return Job(name=f"job-{self.jobs}", command=command, folder=folder, **options)

    def submit(self, command: str, **options: Any) -> JobId:
        job_id = self.call(self.provider.submit, self.job(command, **options))
        assert isinstance(job_id, str), f"an id is text, not {job_id!r}"
        assert job_id, "the id is empty"
        return job_id

    def status(self, *ids: JobId) -> Mapping[JobId, JobStatus]:
        found = self.call(self.provider.status, list(ids))
        for job_id in ids:
            assert job_id in found, f"status has no entry for {job_id!r}"
            assert isinstance(found[job_id], JobStatus)
            self.seen.setdefault(job_id, []).append(found[job_id])
        return found

    def until(self, states: Collection[JobState], *ids: JobId) -> list[JobStatus]:
        """Ask until all are in one of these states."""

        def there() -> bool:
            found = self.status(*ids)
            return all(found[one].state in states for one in ids)

        wanted = " or ".join(sorted(states))
        until(there, self.patience, lambda: f"not {wanted}: {[self.seen[i][-1] for i in ids[:3]]}")
        return [self.seen[one][-1] for one in ids]

    def end(self, *ids: JobId) -> list[JobStatus]:
        return self.until(JOB_ENDED, *ids)

    def held(self, name: str, then: str = "exit 0", **options: Any) -> tuple[JobId, Path, Path]:
        """A job that waits for a file. Returns its id, the file, and the one it makes itself."""
        begun, go = self.folder / f"{name}.begun", self.folder / f"{name}.go"
        command = (
            f"echo $$ > {shlex.quote(str(begun))}; n=0\n"
            f"while [ ! -e {shlex.quote(str(go))} ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); "
            f"done\n{then}"
        )
        return self.submit(command, **options), go, begun

    def begun(self, file: Path) -> None:
        until(lambda: file.exists() and file.read_text().strip(), self.patience, "it did not begin")


class ProviderConformance(Conformance):
    """Proves that a provider keeps the promises of ``weft.interfaces.provider``.

    For a scheduler override ``patience``, the seconds that a job may take to begin and to end, and
    ``nodes``. Jobs share the folder ``scratch`` with the tests.
    """

    kind: ClassVar[Kind] = Kind.PROVIDER

    @pytest.fixture
    def nodes(self) -> int:
        """Machines that one job can be given, where it can be given more than one."""
        return 2

    @pytest.fixture
    def yard(self, scratch: Path, caller: Caller, patience: float) -> Iterator[Callable[..., Any]]:
        """Makes and starts what is tested, and ends it whatever comes."""
        made: list[_Yard] = []

        def making(settings: Settings, *, start: bool = True) -> _Yard:
            folder = scratch / f"yard-{len(made)}"
            folder.mkdir(mode=0o700)
            one = _Yard(self.open(settings), caller, patience, folder)
            made.append(one)
            if start:
                one.start()
            return one

        yield making
        for one in made:
            try:
                caller.call(one.provider.close)
            except (Exception, pytest.fail.Exception):  # noqa: BLE001, S112 - the rule has been judged
                continue

    # ---------------------------------------------------------------------------------------- life

    @rule("P001", "A job runs, and is DONE when it has ended with exit code 0.")
    def test_runs_a_job(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        job = one.submit(f"echo ran > {one.folder}/ran")
        (status,) = one.end(job)
        assert status.state is JobState.DONE, status
        assert _text(one.folder / "ran") == "ran\n"

    @rule("P002", "It may be closed before it was started, and more than once.")
    def test_close_twice(self, settings: Settings, yard: Any) -> None:
        one = yard(settings, start=False)
        one.call(one.provider.close)
        one = yard(settings)
        one.end(one.submit("true"))
        one.call(one.provider.close)
        one.call(one.provider.close)

    @rule("P003", "Nothing that it started is left after close: thread, process or descriptor.")
    def test_leaves_nothing(self, settings: Settings, yard: Any, caller: Caller) -> None:
        caller.call(int)
        before = Look.now()
        one = yard(settings)
        one.end(one.submit("true"), one.submit("exit 3"))
        _, _, begun = one.held("held")
        one.begun(begun)
        one.call(one.provider.close)
        left = before.left(caller.threads, one.patience)
        assert not left, f"left after close: {', '.join(left)}"

    # -------------------------------------------------------------------------- what a job does

    @rule("P010", "The command runs once, by a shell, with all its quotes and lines.")
    def test_command(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        command = f"if true\nthen printf '%s' {shlex.quote(_AWKWARD)} >> {one.folder}/said\nfi"
        one.end(one.submit(command))
        assert _text(one.folder / "said") == _AWKWARD

    @rule("P011", "Variables of the job's environment arrive as they are.")
    def test_environment(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        environment = {"KIT_PLAIN": "plain", "KIT_AWKWARD": _AWKWARD}
        command = f'printf "%s" "$KIT_PLAIN$KIT_AWKWARD" > {one.folder}/said'
        one.end(one.submit(command, environment=environment))
        assert _text(one.folder / "said") == f"plain{_AWKWARD}"

    @rule("P012", "The job's folder may have any name.")
    def test_folder(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        folder = one.folder / 'it\'s a "folder" — 数据; $HOME'
        (status,) = one.end(one.submit("echo said", folder=folder))
        assert status.state is JobState.DONE, status

    @rule("P013", "What the job prints is found where its status says.")
    def test_output(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        (status,) = one.end(one.submit("echo good; echo bad >&2"))
        for file, said in ((status.stdout, "good"), (status.stderr, "bad")):
            if file is not None:
                until(partial(_holds, file, said), one.patience, f"{said!r} is not in {file}")

    # ------------------------------------------------------------------------ what is said of it

    @rule("P020", "Status has an entry for every id; of unknown ones it says UNKNOWN.")
    def test_unknown(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        job, _, _ = one.held("held")
        assert not one.call(one.provider.status, [])
        found = one.status("no-such-job", job, "987654321")
        for strange in ("no-such-job", "987654321"):
            assert found[strange].state is JobState.UNKNOWN, found[strange]

    @rule("P021", "A job is known from the moment that submit returns, and no end is invented.")
    def test_known_at_once(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        job, go, begun = one.held("held")
        for _ in range(5):
            assert one.status(job)[job].state not in JOB_ENDED, one.seen[job][-1]
        one.begun(begun)
        one.until({JobState.RUNNING}, job)
        go.touch()
        one.end(job)

    @rule("P022", "States only move forward, and an end is an end.")
    def test_forward(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        good, go, begun = one.held("held")
        bad = one.submit("exit 1")
        one.begun(begun)
        one.status(good, bad)
        go.touch()
        one.end(good, bad)
        for _ in range(5):
            one.status(good, bad)
        for job, seen in one.seen.items():
            ranks = [_RANK[s.state] for s in seen if s.state is not JobState.UNKNOWN]
            assert ranks == sorted(ranks), f"{job} went back: {[s.state for s in seen]}"
            ends = {s.state for s in seen if s.state in JOB_ENDED}
            assert len(ends) == 1, f"{job} ended in several ways: {ends}"

    @rule("P023", "A job that ends with another exit code has FAILED, with words that say so.")
    def test_failed(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        (status,) = one.end(one.submit("exit 3"))
        assert status.state is JobState.FAILED, status
        assert status.reason.strip(), "it failed, and nothing is said of why"

    @rule("P024", "The exit code of an ended job is told.", needs=("exit-code",))
    def test_exit_code(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        found = one.end(one.submit("exit 0"), one.submit("exit 3"), one.submit("kill -9 $$"))
        codes = [status.exit_code for status in found]
        assert codes[:2] == [0, 3], codes
        assert codes[2] in {-9, 137}, codes

    @rule("P025", "A job that cannot be taken is refused with a WeftError that says why.")
    def test_refuses(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        (one.folder / "file").touch()
        job = Job(name="refused", command="true", folder=one.folder / "file" / "folder")
        refusal: WeftError | None = None
        try:
            one.caller.call(one.provider.submit, job)
        except WeftError as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 - a component may raise anything
            pytest.fail(f"submit raised {told(error)}, which is no WeftError")
        assert refusal is not None, "it took a job without a folder"
        assert refusal.why.strip(), "it was refused without a reason"

    # ----------------------------------------------------------------------------------- its end

    @rule("P030", "A job that is cancelled while it runs ends as CANCELLED.", needs=("cancel",))
    def test_cancel(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        job, _, begun = one.held("held")
        one.begun(begun)
        one.call(one.provider.cancel, [job])
        (status,) = one.end(job)
        assert status.state is JobState.CANCELLED, status

    @rule("P031", "So does one that is cancelled at once.", needs=("cancel",))
    def test_cancel_at_once(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        job, _, _ = one.held("held")
        one.call(one.provider.cancel, [job])
        (status,) = one.end(job)
        assert status.state is JobState.CANCELLED, status

    @rule("P032", "Cancelling again, or what has ended or is unknown, is no error and no change.")
    def test_cancel_again(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        done = one.submit("true")
        one.end(done)
        one.call(one.provider.cancel, [done, "no-such-job"])
        one.call(one.provider.cancel, [])
        assert one.status(done)[done].state is JobState.DONE, "a job that was done is so no more"
        job, _, _ = one.held("held")
        one.call(one.provider.cancel, [job])
        one.call(one.provider.cancel, [job])
        one.end(job)
        one.call(one.provider.cancel, [job])

    @rule("P033", "Others go on when one is cancelled.", needs=("cancel",))
    def test_cancel_one(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        job, _, _ = one.held("held")
        other, go, begun = one.held("other")
        one.begun(begun)
        one.call(one.provider.cancel, [job])
        one.end(job)
        go.touch()
        (status,) = one.end(other)
        assert status.state is JobState.DONE, status

    @rule("P034", "With a cancelled job ends all that it has started.", needs=("cancel",))
    def test_cancel_children(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        job, child = self._with_child(one)
        one.call(one.provider.cancel, [job])
        one.end(job)
        until(lambda: not _lives(child), one.patience, "what the job had started lives on")

    @rule("P035", "Close ends every job, and all that they have started.", needs=("cancel",))
    def test_close(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        _, child = self._with_child(one)
        one.held("held")
        one.call(one.provider.close)
        until(lambda: not _lives(child), one.patience, "what a job had started lives on")

    # ------------------------------------------------------------------------------- much at once

    @rule("P040", "Many jobs are kept apart.", level=Level.SUPPORTED)
    def test_many(self, settings: Settings, yard: Any) -> None:
        one = yard(settings)
        ids = [one.submit(f"echo {n} > {one.folder}/{n}; exit {n % 2}") for n in range(12)]
        assert len(set(ids)) == 12, "two jobs have the same id"
        for n, status in enumerate(one.end(*ids)):
            assert status.state is (JobState.FAILED if n % 2 else JobState.DONE), (n, status)
            assert _text(one.folder / str(n)) == f"{n}\n"

    @rule("P041", "A job gets as many machines as it asks for.", needs=("nodes",))
    def test_nodes(self, settings: Settings, yard: Any, nodes: int) -> None:
        one = yard(settings)
        (status,) = one.end(one.submit("true", nodes=nodes))
        assert status.state is JobState.DONE, status

    @rule("P042", "What it says of its pace are seconds.")
    def test_pace(self, settings: Settings, yard: Any) -> None:
        provider = yard(settings, start=False).provider
        if not isinstance(provider, Paced):
            pytest.skip("it does not say how often it may be asked")
        assert provider.interval > 0, f"interval is {provider.interval!r}"
        assert provider.patience > 0, f"patience is {provider.patience!r}"

    @rule("P043", "A provider that tells does so whenever a job has begun or ended.")
    def test_tells(self, settings: Settings, yard: Any) -> None:
        one = yard(settings, start=False)
        if not isinstance(one.provider, Telling):
            pytest.skip("it does not tell by itself")
        changed = threading.Event()
        one.call(one.provider.watch, changed.set)
        one.start()
        job, go, begun = one.held("held")
        one.begun(begun)
        one.until({JobState.RUNNING}, job)
        changed.clear()
        go.touch()
        assert changed.wait(one.patience), "a job ended, and nothing was told"
        one.end(job)

    @rule("P044", "Each of several that are taken at once is a job as any other.")
    def test_several(self, settings: Settings, yard: Any) -> None:
        one = yard(settings, start=False)
        takes = _several(one)
        one.start()
        jobs = [
            one.job(f'echo "$KIT" > {one.folder}/{n}; exit {n % 3}', environment={"KIT": f"<{n}>"})
            for n in range(6)
        ]
        ids = one.call(takes.submit_all, jobs)
        assert all(isinstance(job_id, str) and job_id for job_id in ids), ids
        assert len(set(ids)) == 6, f"two jobs have the same id: {ids}"
        for n, status in enumerate(one.end(*ids)):
            assert status.state is (JobState.FAILED if n % 3 else JobState.DONE), (n, status)
            assert status.exit_code in {None, n % 3}, (n, status)
            assert _text(one.folder / str(n)) == f"<{n}>\n"

    @rule("P045", "One of several that cannot be taken keeps none of the others back.")
    def test_several_but_one(self, settings: Settings, yard: Any) -> None:
        one = yard(settings, start=False)
        takes = _several(one)
        one.start()
        (one.folder / "file").touch()
        bad = Job(name="job-bad", command="true", folder=one.folder / "file" / "folder")
        first, refusal, last = one.call(takes.submit_all, [one.job("true"), bad, one.job("true")])
        assert isinstance(refusal, WeftError), f"{refusal!r} is no refusal"
        assert refusal.why.strip(), "it was refused without a reason"
        assert [status.state for status in one.end(first, last)] == [JobState.DONE] * 2

    @rule("P046", "The others of several go on when one is cancelled.", needs=("cancel",))
    def test_several_cancelled(self, settings: Settings, yard: Any) -> None:
        one = yard(settings, start=False)
        takes = _several(one)
        one.start()
        go = one.folder / "go"
        wait = f"while [ ! -e {shlex.quote(str(go))} ]; do sleep 0.1; done"
        # The other goes on for a while when it may end, so a cancel that comes late is noticed.
        ids = one.call(takes.submit_all, [one.job(wait), one.job(f"{wait}; sleep 1")])
        one.call(one.provider.cancel, [ids[0]])
        (status,) = one.end(ids[0])
        assert status.state is JobState.CANCELLED, status
        go.touch()
        (status,) = one.end(ids[1])
        assert status.state is JobState.DONE, status

    # ------------------------------------------------------------------------------------- tools

    def _with_child(self, one: _Yard) -> tuple[JobId, psutil.Process]:
        file = one.folder / "child"
        job = one.submit(f"sleep 600 & echo $! > {file}; wait")
        one.begun(file)
        return job, psutil.Process(int(file.read_text()))


def _several(one: _Yard) -> Several:
    if not isinstance(one.provider, Several):
        pytest.skip("it takes one job at a time")
    return one.provider


def _text(file: Path) -> str:
    assert file.exists(), f"the job has ended, and has not written {file.name!r}"
    return file.read_text()


def _holds(file: Path, said: str) -> bool:
    return file.exists() and said in file.read_text()


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
