"""The provider over stand-ins that say what Grid Engine's own commands said, and what they do not.

The real ones are in tests/systems/gridengine; what is silent, forgetful or wrong in the same way
for every scheduler is in the tests of ``weft.batch``.
"""

from __future__ import annotations

import getpass
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import Job, JobState, JobStatus
from weft.values.problem import Severity
from weft_gridengine.checks import checks
from weft_gridengine.dialect import GridEngineDialect
from weft_gridengine.provider import GridEngineProvider
from weft_gridengine.settings import GridEngine

RECORDED = Path(__file__).parent / "recorded"
_QUEUES = (RECORDED / "qconf-sq.txt").read_text("utf-8")
SHORT = _QUEUES.partition("qname                 closed.q")[0]
DOWN = (
    "error: commlib error: got select error (Connection refused)\n"
    'error: unable to send message to qmaster using port 6444 on host "node1": got send error\n'
)
# Says what lies in the file that is called as the command and the option that counts, if any.
STANDIN = """#!/bin/sh
name=$(basename "$0")
cd '{folder}' || exit 99
echo "$name $*" >> calls
for word in "$@"; do
    case "$name $word" in
    "qconf -s"*|"qstat -"[sj]|"qacct -j"|"qsub -sync"|"qsub -w") name=$name$word ;;
    esac
done
[ -e "$name.hang" ] && exec sleep 600
cat "$name.out" 2>/dev/null
cat "$name.err" >&2 2>/dev/null
exit "$(cat "$name.code" 2>/dev/null || echo 0)"
"""


@attrs.frozen
class Engine:
    """A folder of stand-ins, each of which says what it was told to say."""

    folder: Path
    programs: Path

    def say(self, name: str, out: str = "", err: str = "", code: int = 0) -> None:
        for end, text in (("out", out), ("err", err), ("code", str(code))):
            (self.folder / f"{name}.{end}").write_text(text)
        (self.folder / f"{name}.hang").unlink(missing_ok=True)

    def replay(self, name: str, file: str) -> None:
        user = getpass.getuser()
        text = (RECORDED / file).read_text("utf-8")
        self.say(name, text.replace(">user<", f">{user}<"))

    def calls(self, name: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{name} ")]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(tmp_path / "says", tmp_path / "bin")
    made.folder.mkdir()
    made.programs.mkdir()
    for name in GridEngineDialect.needed:
        (made.programs / name).write_text(STANDIN.format(folder=made.folder))
        (made.programs / name).chmod(0o700)
    made.say("qconf-sss", "node1\n")
    made.say("qconf-sql", "all.q\nshort.q\n")
    made.say("qconf-spl", "mpi\nsmp\n")
    made.say("qconf-sprjl", err="no project list defined\n", code=1)
    made.say("qconf-sq", SHORT)
    made.replay("qconf-sp", "qconf-sp.txt")
    made.replay("qconf-sc", "qconf-sc.txt")
    made.say("qselect", "short.q@node1\n")
    made.say("qsub-sync", "7\n")
    made.say("qsub-w", err="verification: found suitable queue(s)\n")
    made.replay("qstat-s", "qstat-empty.xml")
    made.replay("qstat-j", "qstat-unknown.xml")
    made.say("qacct-j", err="error: job id 7 not found\n", code=1)
    monkeypatch.setenv("PATH", f"{made.programs}:/usr/bin:/bin")
    monkeypatch.setenv("SGE_CLUSTER_NAME", "p6444")
    return made


@pytest.fixture
def make(engine: Engine, tmp_path: Path) -> Callable[..., GridEngineProvider]:
    def making(**options: Any) -> GridEngineProvider:
        made = GridEngineProvider(GridEngine(**{"walltime": "00:05:00", **options}))
        made.start(FakeContext(tmp_path))
        return made

    return making


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    def making(number: int = 7, **more: Any) -> Job:
        folder = tmp_path / f"job-{number}"
        folder.mkdir()
        return Job(name=f"weft-htex-{number}", command="true", folder=folder, **more)

    return making


Make = Callable[..., GridEngineProvider]
MakeJob = Callable[..., Job]


def look(provider: GridEngineProvider, job: str = "7") -> JobStatus:
    return provider.status([job])[job]


def row(job: str, letters: str) -> str:
    """A job as qstat-empty.xml would have it."""
    return (
        "<?xml version='1.0'?><job_info><queue_info><job_list>"
        f"<JB_job_number>{job}</JB_job_number><state>{letters}</state><queue_name/>"
        "</job_list></queue_info><job_info/></job_info>"
    )


def test_a_start_asks_and_submits_nothing(engine: Engine, make: Make) -> None:
    provider = make(queue="short.q", walltime="00:05:00", parallel_environment="mpi")
    assert provider.site == "gridengine:p6444@node1"
    (asked,) = engine.calls("qsub")
    assert asked.endswith("-b y -w v true")
    assert "-q short.q -pe mpi 1" in asked


def test_jobs_are_asked_for_by_whose_they_are_and_not_by_what_variables_say(
    engine: Engine, make: Make, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    provider = make()
    provider.submit(job())
    look(provider)
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert engine.calls("qstat") == [f"-xml -u {user} -s a"]


def test_the_name_of_the_cluster_is_in_a_file_of_its_cell(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SGE_CLUSTER_NAME")
    monkeypatch.setenv("SGE_ROOT", str(tmp_path))
    monkeypatch.setenv("SGE_CELL", "here")
    assert make().site == "gridengine:here@node1"
    (tmp_path / "here" / "common").mkdir(parents=True)
    (tmp_path / "here" / "common" / "cluster_name").write_text("survey\n")
    assert make().site == "gridengine:survey@node1"


@pytest.mark.parametrize("name", GridEngineDialect.needed)
def test_a_missing_command_is_named(
    engine: Engine, make: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (engine.programs / name).unlink()
    monkeypatch.setenv("PATH", str(engine.programs))
    with pytest.raises(WeftError, match=f"no command {name} on PATH") as caught:
        make()
    assert "settings.sh" in caught.value.todo


def test_a_qmaster_that_is_away_or_hangs_is_told(
    engine: Engine, make: Make, tmp_path: Path
) -> None:
    engine.say("qconf-sss", err=DOWN, code=1)
    with pytest.raises(WeftError, match="Grid Engine does not answer") as caught:
        make(command_timeout=5.0)
    assert "unable to send message to qmaster" in caught.value.why
    (engine.folder / "qconf-sss.hang").touch()
    with pytest.raises(WeftError, match="qconf has not come back within 1 s"):
        make(command_timeout=1.0)
    (found,) = checks(GridEngine(command_timeout=1.0), tmp_path)
    assert found.severity is Severity.ERROR


@pytest.mark.parametrize(
    ("options", "what", "why"),
    [
        ({"walltime": "00:10:00"}, "'00:10:00' is more than any of its queues gives", "00:05:00"),
        ({"parallel_environment": "mpj"}, "no parallel environment 'mpj'", "mpi, smp"),
        ({"project": "research"}, "no project 'research'", "none"),
        ({"resources": {"gpu": 1}}, "no resource 'gpu'", "option resources"),
        (
            {"memory_per_slot": 1, "memory_resource": "ram"},
            "no resource 'ram'",
            "option memory_resource",
        ),
    ],
)
def test_what_the_site_does_not_have_ends_the_start(
    engine: Engine, make: Make, options: dict[str, Any], what: str, why: str
) -> None:
    with pytest.raises(WeftError) as caught:
        make(**options)
    assert what in caught.value.what
    assert why in caught.value.why
    assert not (engine.folder / "calls").read_text().count("qsub")


def test_a_queue_that_is_not_there_is_told_with_those_that_are(engine: Engine, make: Make) -> None:
    engine.say("qselect", err="no queues\n", code=1)
    with pytest.raises(WeftError, match=r"no queue 'all\.p'") as caught:
        make(queue="all.p")
    assert "all.q, short.q" in caught.value.why


def test_an_environment_that_no_queue_has_is_told(engine: Engine, make: Make) -> None:
    engine.say("qconf-sq", SHORT.replace("smp mpi", "smp,[node1=make]"))
    with pytest.raises(WeftError, match="None of these queues has the parallel environment 'mpi'"):
        make(parallel_environment="mpi")


def test_slots_on_each_host_are_those_of_the_environment(engine: Engine, make: Make) -> None:
    text = (RECORDED / "qconf-sp.txt").read_text().replace("$round_robin", "16")
    engine.say("qconf-sp", text)
    with pytest.raises(WeftError, match="grants 16 slots on each host, and slots_per_node is 1"):
        make(parallel_environment="mpi")
    make(parallel_environment="mpi", slots_per_node=16)


def test_a_site_without_exclusive_nodes_says_so(engine: Engine, make: Make) -> None:
    make(exclusive=True)
    assert "exclusive=true" in engine.calls("qsub")[-1]
    engine.say("qconf-sc", (RECORDED / "qconf-sc.txt").read_text().replace(" EXCL ", "  ==  "))
    with pytest.raises(WeftError, match="no resource for having a node alone"):
        make(exclusive=True)


def test_that_no_queue_fits_is_a_warning_and_a_refusal_an_error(
    engine: Engine, make: Make, tmp_path: Path
) -> None:
    engine.say(
        "qsub-w",
        err="Unable to run job: Job 9 cannot run in PE\nverification: no suitable queues\nExiting.",
        code=1,
    )
    context = FakeContext(tmp_path)
    GridEngineProvider(GridEngine(walltime="300")).start(context)
    assert any("No queue could run" in text for _, text in context.notices)
    engine.say("qsub-w", err='qsub: invalid option argument "-flying"\n', code=2)
    with pytest.raises(WeftError, match="would not take a job") as caught:
        make(scheduler_options=("-flying",))
    assert "scheduler_options" in caught.value.todo
    engine.say("qsub-w", err="only 1 jobs are allowed per user\n", code=25)
    make()


def test_a_job_that_waits_says_why_and_one_that_is_stuck_goes(
    engine: Engine, make: Make, job: MakeJob
) -> None:
    engine.say("qsub-sync", "97\n")
    provider = make()
    provider.submit(job())
    engine.replay("qstat-s", "qstat.xml")
    engine.replay("qstat-j", "qstat-j.xml")
    status = look(provider, "97")
    assert status.state is JobState.QUEUED
    assert status.reason == 'qw: queue instance "closed.q@node1" dropped because it is disabled'
    engine.say("qstat-s", row("97", "Eqw"))
    text = (RECORDED / "qstat-j.xml").read_text()  # with the number of one for the other
    for one, other in ((">99<", ">x<"), (">97<", ">99<"), (">x<", ">97<")):
        text = text.replace(one, other)
    engine.say("qstat-j", text)
    engine.say("qdel", "user has deleted job 97\n")
    status = look(provider, "97")
    assert status.state is JobState.FAILED
    assert status.reason.startswith("Eqw: can't chdir to")
    assert engine.calls("qdel") == ["97"]


def test_an_answer_that_is_none_is_no_end(engine: Engine, make: Make, job: MakeJob) -> None:
    provider = make()
    provider.submit(job())
    engine.say("qstat-s", row("7", "r"))
    assert look(provider).state is JobState.RUNNING
    for out in ("", "<html>503 Service Unavailable</html>", "<job_info>"):
        engine.say("qstat-s", out)
        for _ in range(4):
            assert look(provider).state is JobState.UNKNOWN
    engine.say("qstat-s", err=DOWN, code=1)
    assert "unable to send message to qmaster" in look(provider).reason


def test_a_submission_that_was_not_heard_comes_later(
    engine: Engine, make: Make, job: MakeJob
) -> None:
    provider = make()
    engine.say("qsub-sync", err=f"{DOWN}Exiting.\n", code=1)
    with pytest.raises(SubmitLater, match="unable to send message to qmaster"):
        provider.submit(job(1))
    engine.say("qsub-sync", "8\n")
    assert provider.submit(job(2)) == "8"
    assert not engine.calls("qstat"), "it was not heard, so it is not looked for"


def test_one_that_may_have_been_heard_is_deleted_before_the_next(
    engine: Engine, make: Make, job: MakeJob
) -> None:
    provider = make()
    asked = job(7)
    engine.say("qsub-sync", err="error: failed receiving gdi request response for mid=1\n", code=1)
    with pytest.raises(SubmitLater, match="looked for before the next one"):
        provider.submit(asked)
    engine.replay("qstat-j", "qstat-name.xml")
    shown = engine.folder / "qstat-j.out"
    shown.write_text(shown.read_text().replace("/home/user/run/job.sge", f"{asked.folder}/job.sge"))
    engine.say("qsub-sync", "98\n")
    assert provider.submit(job(8)) == "98"
    (looked,) = engine.calls("qstat")
    assert looked.endswith("-j weft-htex-7")
    assert engine.calls("qdel") == ["97"]
