"""The provider over commands that go wrong: stand-ins that say what Slurm's own said."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import Job, JobState
from weft_slurm.provider import SlurmProvider
from weft_slurm.settings import Slurm

NONE = "slurm_load_jobs error: Invalid job id specified"
DOWN = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
CONFIG = (
    "ClusterName = here\nSlurmctldHost[0] = login\nSLURM_VERSION = 22.05.8\n"
    "AccountingStorageType = accounting_storage/slurmdbd\n"
)
STANDIN = """#!/bin/sh
name=$(basename "$0")
cd '{folder}' || exit 1
echo "$name $*" >> calls
[ -e "$name.hang" ] && {{ sleep 600 & echo $! > "$name.child"; wait; }}
cat "$name.out" 2>/dev/null
cat "$name.err" >&2 2>/dev/null
exit "$(cat "$name.code" 2>/dev/null || echo 0)"
"""


@attrs.frozen
class Slurmlike:
    """A folder of stand-ins, each of which says what it was told to say."""

    folder: Path

    def say(self, name: str, out: str = "", err: str = "", code: int = 0) -> None:
        for end, text in (("out", out), ("err", err), ("code", str(code))):
            (self.folder / f"{name}.{end}").write_text(text)
        (self.folder / f"{name}.hang").unlink(missing_ok=True)

    def hang(self, name: str) -> None:
        (self.folder / f"{name}.hang").touch()

    def calls(self, name: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{name} ")]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurmlike:
    programs = tmp_path / "bin"
    programs.mkdir()
    made = Slurmlike(tmp_path / "says")
    made.folder.mkdir()
    for name in ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct"):
        (programs / name).write_text(STANDIN.format(folder=made.folder))
        (programs / name).chmod(0o700)
    made.say("scontrol", CONFIG)
    made.say("sinfo", "normal|up|infinite|4|2|1\n")
    made.say("sbatch", "7\n")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return made


@pytest.fixture
def provider(slurm: Slurmlike, tmp_path: Path) -> SlurmProvider:
    made = SlurmProvider(Slurm(command_timeout=60.0))
    made.start(FakeContext(tmp_path))
    return made


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    def making(number: int = 1, **more: Any) -> Job:
        folder = tmp_path / f"job-{number}"
        folder.mkdir(exist_ok=True)
        return Job(name=f"weft-{number}", command="true", folder=folder, **more)

    return making


def row(state: str, job: str = "7", reason: str = "None", **more: str) -> str:
    name, command = more.get("name", "weft-1"), more.get("command", "/x")
    return f"{job}|{state}|me|node1|{reason}|{name}|{command}\n"


# -------------------------------------------------------------------------------------- submissions


def test_what_is_secret_is_in_no_script(
    slurm: Slurmlike, provider: SlurmProvider, job: Callable[..., Job]
) -> None:
    asked = job(environment={"TOKEN": "hush-hush"})
    provider.submit(asked)
    files = {file.name: file for file in asked.folder.iterdir()}
    assert set(files) == {"job.sbatch", "job.env", "job.out", "job.err"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files.values()} == {0o600}
    assert "hush-hush" in files["job.env"].read_text()
    assert "hush-hush" not in files["job.sbatch"].read_text() + "".join(slurm.calls("sbatch"))


def test_a_job_of_which_a_hanging_sbatch_did_not_tell_is_cancelled_before_the_next(
    slurm: Slurmlike, tmp_path: Path, job: Callable[..., Job]
) -> None:
    provider = SlurmProvider(Slurm(command_timeout=5.0))
    provider.start(FakeContext(tmp_path))
    slurm.hang("sbatch")
    asked = job()
    with pytest.raises(SubmitLater, match="has not come back within 5 s"):
        provider.submit(asked)
    child = int((slurm.folder / "sbatch.child").read_text())
    until = time.monotonic() + 60
    while _runs(child):
        assert time.monotonic() < until, "what sbatch had started lives on"
    slurm.say("sbatch", "9\n")
    slurm.say(
        "squeue",
        row("PENDING", "8", command=f"{asked.folder}/job.sbatch")
        + row("PENDING", "5", command="/another/job.sbatch"),
    )
    assert provider.submit(job(2)) == "9"
    assert slurm.calls("scancel") == ["8"]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_while_it_cannot_be_looked_for_nothing_more_is_submitted(
    slurm: Slurmlike, provider: SlurmProvider, job: Callable[..., Job]
) -> None:
    slurm.say("sbatch", "Submitted, trust me\n")
    with pytest.raises(WeftError, match="no job id"):
        provider.submit(job())
    slurm.say("squeue", err=DOWN, code=1)
    with pytest.raises(SubmitLater, match="did not tell"):
        provider.submit(job(2))
    assert len(slurm.calls("sbatch")) == 1


def test_a_refusal_names_the_option_and_what_there_is(
    slurm: Slurmlike, job: Callable[..., Job], tmp_path: Path
) -> None:
    provider = SlurmProvider(Slurm(partition="normal"))
    provider.start(FakeContext(tmp_path))
    slurm.say(
        "sbatch",
        err="sbatch: error: Batch job submission failed: Invalid partition name specified",
        code=1,
    )
    with pytest.raises(WeftError) as caught:
        provider.submit(job())
    assert "Invalid partition name specified" in caught.value.why
    assert "'normal'" in caught.value.why
    assert "sinfo" in caught.value.todo


def test_a_missing_command_is_named(
    slurm: Slurmlike, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(WeftError, match="no command sbatch on PATH"):
        SlurmProvider(Slurm()).start(FakeContext(tmp_path))


# ------------------------------------------------------------------------------------- how they are


def state(provider: SlurmProvider, job: str = "7") -> JobState:
    return provider.status([job])[job].state


def test_what_squeue_has_forgotten_accounts_know(
    slurm: Slurmlike, provider: SlurmProvider, job: Callable[..., Job]
) -> None:
    provider.submit(job())
    slurm.say("squeue", err=NONE, code=1)
    slurm.say("sacct", "")  # they lag
    assert state(provider) is JobState.UNKNOWN
    slurm.say("sacct", "7|RUNNING|0:0|node1\n")  # they were never told of its end
    assert state(provider) is JobState.UNKNOWN
    slurm.say("sacct", err="sacct: error: slurm_persist_conn_open: Connection refused", code=1)
    status = provider.status(["7"])["7"]
    assert status.state is JobState.UNKNOWN
    assert "Connection refused" in status.reason
    slurm.say("sacct", "7|TIMEOUT|0:0|node1\n")
    assert state(provider) is JobState.EXPIRED
    slurm.say("sacct", "7|COMPLETED|0:0|node1\n")
    assert state(provider) is JobState.EXPIRED, "an end is an end"


def test_while_the_controller_is_silent_nothing_has_ended(
    slurm: Slurmlike, provider: SlurmProvider, job: Callable[..., Job]
) -> None:
    asked = job()
    provider.submit(asked)
    slurm.say("squeue", err=DOWN, code=1)
    (asked.folder / "job.code").write_text("0\n")
    status = provider.status(["7"])["7"]
    assert status.state is JobState.UNKNOWN
    assert "Unable to contact" in status.reason
    slurm.say("squeue", row("RUNNING"))
    assert state(provider) is JobState.RUNNING


def test_a_job_that_slurm_puts_back_into_its_queue_does_not_go_back(
    slurm: Slurmlike, provider: SlurmProvider, job: Callable[..., Job]
) -> None:
    provider.submit(job())
    slurm.say("squeue", row("RUNNING"))
    assert state(provider) is JobState.RUNNING
    slurm.say("squeue", row("PENDING", reason="BeginTime"))
    status = provider.status(["7"])["7"]
    assert status.state is JobState.RUNNING
    assert status.reason == "PENDING (BeginTime), after it had run"


def test_an_exit_code_that_cannot_be_had_keeps_no_end_back(
    slurm: Slurmlike, provider: SlurmProvider, job: Callable[..., Job]
) -> None:
    provider.submit(job())
    slurm.say("squeue", row("FAILED", reason="NonZeroExitCode"))
    slurm.say("scontrol", err=NONE, code=1)
    status = provider.status(["7"])["7"]
    assert (status.state, status.exit_code) == (JobState.FAILED, None)


def test_one_command_asks_about_all_jobs_and_none_about_those_that_ended(
    slurm: Slurmlike, provider: SlurmProvider, job: Callable[..., Job]
) -> None:
    for number in (7, 8):
        slurm.say("sbatch", f"{number}\n")
        provider.submit(job(number))
    slurm.say("squeue", row("CANCELLED", "7") + row("PENDING", "8"))
    provider.status(["7", "8"])
    provider.status(["7", "8"])
    assert [call.rpartition("--jobs ")[2] for call in slurm.calls("squeue")] == ["7,8", "8"]


# ------------------------------------------------------------------------------------------- arrays


@pytest.fixture
def array(slurm: Slurmlike, tmp_path: Path, job: Callable[..., Job]) -> SlurmProvider:
    """A provider with an array of four, 7_0 to 7_3."""
    slurm.say("scontrol", f"{CONFIG}MaxArraySize = 1001\n")
    made = SlurmProvider(Slurm(command_timeout=30.0))
    made.start(FakeContext(tmp_path))
    assert made.submit_all([job(n) for n in range(1, 5)]) == ["7_0", "7_1", "7_2", "7_3"]
    return made


def test_several_blocks_are_one_sbatch_and_one_question(
    slurm: Slurmlike, array: SlurmProvider, tmp_path: Path
) -> None:
    assert slurm.calls("sbatch") == [f"--parsable {tmp_path}/job-1/array/job.sbatch"]
    slurm.say("squeue", row("RUNNING", "7_0") + row("PENDING", "7_1"))
    found = array.status(["7_0", "7_1", "7_2"])
    assert [one.state.value for one in found.values()] == ["running", "queued", "unknown"]
    (asked,) = slurm.calls("squeue")
    assert asked.endswith("--jobs 7")
    assert slurm.calls("sacct")[0].endswith("--jobs=7")


def test_what_is_said_of_an_array_is_said_of_all_that_have_no_line(
    slurm: Slurmlike, array: SlurmProvider
) -> None:
    """Jobs that were cancelled before they began have none."""
    slurm.say("squeue", row("CANCELLED", "7") + row("COMPLETED", "7_2"))
    ids = [f"7_{n}" for n in range(4)]
    states = [one.state.value for one in array.status(ids).values()]
    assert states == ["cancelled", "cancelled", "done", "cancelled"]


def test_part_of_an_array_is_cancelled_by_place_and_listed_by_the_name_of_all(
    slurm: Slurmlike, array: SlurmProvider
) -> None:
    array.cancel(["7_1", "7_3"])
    assert slurm.calls("scancel") == ["7_1 7_3"]
    me = array._user
    rows = [row("RUNNING", f"7_{n}", name="weft").replace("|me|", f"|{me}|") for n in range(3)]
    slurm.say("squeue", "".join(rows))
    assert set(array.listed({"7_0": "weft-1", "7_1": "other-2", "7_9": "weft-9"})) == {"7_0"}


def test_where_there_are_no_arrays_jobs_are_handed_over_one_by_one(
    slurm: Slurmlike, provider: SlurmProvider, job: Callable[..., Job]
) -> None:
    assert provider.submit_all([job(1), job(2)]) == ["7", "7"]
    assert [call.rpartition("/")[2] for call in slurm.calls("sbatch")] == ["job.sbatch"] * 2


# ------------------------------------------------------------------------------------------ the end


def test_what_cannot_be_cancelled_is_told(
    slurm: Slurmlike, provider: SlurmProvider, job: Callable[..., Job]
) -> None:
    provider.submit(job())
    slurm.say("scancel", err="scancel: error: Kill job error on job id 7: Invalid job id", code=1)
    provider.cancel(["7"])
    slurm.say("scancel", err=DOWN, code=1)
    with pytest.raises(WeftError, match="Unable to contact"):
        provider.cancel(["7"])
    slurm.say("scancel")
    provider.close()
    provider.close()
    assert slurm.calls("scancel")[-1] == "7"
    with pytest.raises(WeftError, match="has been closed"):
        provider.submit(job(2))


def test_only_what_is_ours_is_listed(slurm: Slurmlike, provider: SlurmProvider) -> None:
    me = provider._user
    rows = [
        row("RUNNING", "1").replace("|me|", f"|{me}|"),
        row("RUNNING", "2").replace("|me|", "|somebody|"),
        row("RUNNING", "3", name="other").replace("|me|", f"|{me}|"),
        row("COMPLETED", "4").replace("|me|", f"|{me}|"),
    ]
    slurm.say("squeue", "".join(rows))
    jobs = {str(number): "weft-1" for number in range(1, 5)}
    assert list(provider.listed(jobs)) == ["1"]
    assert provider.site == "slurm:here@login"
    slurm.say("squeue", err=DOWN, code=1)
    with pytest.raises(RuntimeError, match="Unable to contact"):
        provider.listed(jobs)


def test_no_variable_of_the_job_around_the_client_reaches_the_commands(
    slurm: Slurmlike, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SQUEUE_PARTITION", "debug")
    environment = SlurmProvider(Slurm())._commands.environment
    assert not {"SLURM_JOB_ID", "SQUEUE_PARTITION"} & set(environment)
    assert environment["PATH"] == os.environ["PATH"]
