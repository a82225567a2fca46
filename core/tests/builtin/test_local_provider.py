"""Jobs on this machine, and what is left of them: nothing."""

import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.builtin import local_provider
from weft.builtin.local_provider import LocalProvider, build
from weft.builtin.settings import Local
from weft.errors import WeftError
from weft.testing import FakeContext
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and adopted orphans")


def until(true: Callable[[], Any], patience: float = 60.0) -> None:
    """Wait for something outside of this process, which can only be looked at again and again."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.003)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def open_now() -> set[str]:
    return {path.name for path in Path("/dev/fd").iterdir()}


class Jobs:
    """A provider and a folder for each job."""

    def __init__(self, folder: Path, grace: float = 5.0) -> None:
        self.folder, self.count = folder, 0
        self.provider: LocalProvider = build(Local(grace=grace))
        self.provider.start(FakeContext(folder))

    def submit(self, command: str, **more: Any) -> JobId:
        self.count += 1
        place = self.folder / f"job {self.count}"
        place.mkdir(mode=0o700)
        return self.provider.submit(Job(name="test", command=command, folder=place, **more))

    def status(self, job: JobId) -> JobStatus:
        return self.provider.status([job])[job]

    def ended(self, job: JobId) -> JobStatus:
        until(lambda: self.status(job).state in JOB_ENDED)
        return self.status(job)

    def run(self, command: str, **more: Any) -> tuple[JobStatus, str]:
        status = self.ended(self.submit(command, **more))
        assert status.stdout is not None
        return status, status.stdout.read_text()

    def pids(self, job: JobId, count: int) -> list[int]:
        """Process ids that a job prints, one on each line."""
        path = self.status(job).stdout
        assert path is not None
        until(lambda: path.read_text().count("\n") >= count)
        return [int(line) for line in path.read_text().split()]


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    before = open_now()
    made = Jobs(tmp_path, grace=0.2)
    yield made
    made.provider.close()
    assert open_now() <= before, "every pipe is closed"


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Jobs]:
    """As jobs, for those that are to end by themselves when they are asked."""
    made = Jobs(tmp_path, grace=60.0)
    yield made
    made.provider.close()


def test_a_job_ends_with_the_exit_code_of_its_command(jobs: Jobs) -> None:
    for code, state in ((0, JobState.DONE), (3, JobState.FAILED), (255, JobState.FAILED)):
        status, _ = jobs.run(f"exit {code}")
        assert (status.state, status.exit_code) == (state, code)
        assert status.reason == f"ended with exit code {code}"


def test_a_job_that_a_signal_ended_says_which(jobs: Jobs) -> None:
    status, _ = jobs.run("kill -SEGV $$")
    assert (status.state, status.exit_code) == (JobState.FAILED, -signal.SIGSEGV)
    assert status.reason == "ended by SIGSEGV"


def test_output_and_script_lie_in_the_jobs_folder_for_its_owner_alone(jobs: Jobs) -> None:
    status, out = jobs.run("echo to out; echo to err >&2")
    assert status.stderr is not None
    assert (out, status.stderr.read_text()) == ("to out\n", "to err\n")
    folder = status.stderr.parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"job.sh": 0o700, "job.out": 0o600, "job.err": 0o600}


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
        min_size=1,
        max_size=3,
    )
)
def test_spaces_quotes_newlines_and_unicode_reach_the_job(words: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="weft 'ü' ") as folder:
        jobs = Jobs(Path(folder))
        status = jobs.ended(jobs.submit(f"printf '<%s>' {shlex.join(words)}"))
        assert status.stdout is not None
        assert status.stdout.read_bytes() == "".join(f"<{word}>" for word in words).encode()
        jobs.provider.close()


def test_the_environment_of_a_job_is_ours_with_its_own_added(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_TEST_OURS", "a")
    monkeypatch.setenv("WEFT_TEST_BOTH", "b")
    _, out = jobs.run(
        'printf "%s" "$WEFT_TEST_OURS|$WEFT_TEST_BOTH|$WEFT_TEST_OWN"',
        environment={"WEFT_TEST_BOTH": "B", "WEFT_TEST_OWN": "x 'y'\nz"},
    )
    assert out == "a|B|x 'y'\nz"


def test_a_job_reads_nothing_and_inherits_no_descriptor(jobs: Jobs) -> None:
    _, out = jobs.run("cat; for f in 3 4 5 6 7 8; do [ -e /dev/fd/$f ] && echo $f; done; echo end")
    assert out == "end\n"


def test_a_running_job_is_running_and_a_strange_one_unknown(jobs: Jobs) -> None:
    job = jobs.submit("sleep 600")
    assert jobs.status(job).state is JobState.RUNNING
    assert jobs.status("local-99").state is JobState.UNKNOWN
    assert jobs.provider.status([]) == {}


def test_a_cancelled_job_is_asked_first(patient: Jobs) -> None:
    jobs = patient
    job = jobs.submit("trap 'echo asked; exit 4' TERM; echo $$; while :; do sleep 0.02; done")
    jobs.pids(job, 1)
    jobs.provider.cancel([job])
    jobs.provider.cancel([job, "local-99"])

    status = jobs.ended(job)
    assert (status.state, status.exit_code) == (JobState.CANCELLED, 4)
    assert status.stdout is not None
    assert status.stdout.read_text().endswith("asked\n")


def test_a_job_that_does_not_listen_is_killed_after_the_grace(jobs: Jobs) -> None:
    job = jobs.submit("trap '' TERM; echo $$; while :; do sleep 0.02; done")
    (pid,) = jobs.pids(job, 1)
    begun = time.monotonic()
    jobs.provider.cancel([job])
    status = jobs.ended(job)

    assert time.monotonic() - begun >= 0.2
    assert (status.state, status.exit_code) == (JobState.CANCELLED, -9)
    assert not lives(pid)


def test_a_job_that_ended_before_it_was_cancelled_keeps_its_end(jobs: Jobs) -> None:
    job = jobs.submit("exit 3")
    guard = jobs.provider._jobs[job].guard
    guard.wait(60)
    jobs.provider.cancel([job])
    status = jobs.status(job)
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)


ESCAPES = (
    "sleep 600 & echo $!; "
    "(trap '' TERM; sleep 600) & echo $!; "
    "setsid sh -c 'echo $$; exec sleep 600' & "
    'setsid sh -c \'setsid sh -c "trap \\"\\" TERM HUP; echo \\$\\$; exec sleep 600" &\' & '
)


@linux
@pytest.mark.parametrize("ending", ["by itself", "cancel", "close"])
def test_children_of_children_are_gone_too(jobs: Jobs, ending: str) -> None:
    last = "read x < $PIPE" if ending == "by itself" else "sleep 600"
    pipe = jobs.folder / "pipe"
    os.mkfifo(pipe)
    job = jobs.submit(ESCAPES + last, environment={"PIPE": str(pipe)})
    pids = jobs.pids(job, 4)
    assert all(map(lives, pids))

    if ending == "by itself":
        pipe.write_text("go\n")
    elif ending == "cancel":
        jobs.provider.cancel([job])
    else:
        jobs.provider.close()
    status = jobs.ended(job)

    assert not [pid for pid in pids if lives(pid)], "nothing is left once a job is said to be ended"
    assert status.state is (JobState.DONE if ending == "by itself" else JobState.CANCELLED)


@linux
def test_nothing_is_left_when_the_client_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "client.py"
    script.write_text(
        "import os, signal, sys, tempfile\n"
        "from pathlib import Path\n"
        "from weft.builtin.local_provider import build\n"
        "from weft.builtin.settings import Local\n"
        "from weft.values.jobs import Job\n"
        "provider = build(Local(grace=0.2))\n"
        "for n in range(2):\n"
        f"    folder = Path({str(tmp_path)!r}, str(n)); folder.mkdir()\n"
        f"    provider.submit(Job(name='j', folder=folder, command={ESCAPES!r} 'sleep 600'))\n"
        "print([r.guard.pid for r in provider._jobs.values()], flush=True)\n"
        # A process that was forked holds the ends of the pipes too, and lives on.
        "if os.fork() == 0:\n"
        "    print(os.getpid(), flush=True)\n"
        "signal.pause()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    client = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment)
    assert client.stdout is not None
    guards = eval(client.stdout.readline())
    forked = int(client.stdout.readline())
    outs = [tmp_path / str(n) / "job.out" for n in range(2)]
    until(lambda: all(out.read_text().count("\n") >= 4 for out in outs))
    pids = [int(word) for out in outs for word in out.read_text().split()] + guards

    client.kill()
    client.wait()
    client.stdout.close()

    until(lambda: not [pid for pid in pids if lives(pid)])
    os.kill(forked, signal.SIGKILL)


@linux
def test_a_job_whose_guard_is_killed_fails_and_dies_with_it(jobs: Jobs) -> None:
    job = jobs.submit("echo $$; exec sleep 600")
    (pid,) = jobs.pids(job, 1)
    jobs.provider._jobs[job].guard.kill()

    status = jobs.ended(job)
    assert status.state is JobState.FAILED
    assert "guard" in status.reason
    until(lambda: not lives(pid))


@linux
def test_close_is_bounded_even_if_a_guard_does_not_answer(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft.builtin.local_provider._SLACK", 0.3)
    job = jobs.submit("echo $$; exec sleep 600")
    (pid,) = jobs.pids(job, 1)
    jobs.provider._jobs[job].guard.send_signal(signal.SIGSTOP)

    jobs.provider.close()

    assert jobs.status(job).state is JobState.CANCELLED
    until(lambda: not lives(pid))


def test_close_ends_everything_and_may_be_called_twice(jobs: Jobs) -> None:
    running = [jobs.submit("sleep 600") for _ in range(3)]
    jobs.provider.close()
    jobs.provider.close()
    assert {jobs.status(job).state for job in running} == {JobState.CANCELLED}
    with pytest.raises(WeftError, match="could not be started") as raised:
        jobs.submit("true")
    assert "closed" in raised.value.why


def test_a_job_of_several_machines_is_refused(jobs: Jobs) -> None:
    with pytest.raises(WeftError) as raised:
        jobs.submit("true", nodes=2)
    assert "2 machines" in raised.value.why


def test_a_folder_is_for_one_job(jobs: Jobs) -> None:
    job = Job(name="a", command="true", folder=jobs.folder)
    jobs.provider.submit(job)
    with pytest.raises(WeftError) as raised:
        jobs.provider.submit(job)
    assert "File exists" in raised.value.why


def test_a_folder_that_is_not_there_is_named(jobs: Jobs) -> None:
    with pytest.raises(WeftError) as raised:
        jobs.provider.submit(Job(name="a", command="true", folder=jobs.folder / "nowhere"))
    assert "nowhere" in raised.value.why


@pytest.mark.parametrize(
    "more", [{"command": "a\0b"}, {"command": "true", "environment": {"A": "a\0b"}}]
)
def test_what_no_shell_can_be_given_is_refused(jobs: Jobs, more: dict[str, Any]) -> None:
    with pytest.raises(WeftError, match="could not be started"):
        jobs.submit(**more)


def test_a_look_does_not_wait_for_a_job(jobs: Jobs) -> None:
    job = jobs.submit("sleep 600")
    for _ in range(200):
        assert jobs.status(job).state not in JOB_ENDED


def test_a_guard_loads_next_to_nothing() -> None:
    """It comes before every job, and is a whole interpreter."""
    program = "import sys; sys.path.append(sys.argv[1]); import local_guard; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, Path(local_provider.__file__).parent],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    loaded = set(done.stdout.split())

    assert "local_guard" in loaded
    assert loaded & {"contextlib", "enum", "functools", "re", "signal", "site", "typing"} == set()
    assert len(loaded) <= 40, sorted(loaded)
