"""What the commands of PBS print, text by text; where each is from, standins.py says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.batch.commands import NoAnswer, Said
from weft.batch.dialect import Seen
from weft.values.jobs import JobState
from weft_pbs import parse

_AT = Path(__file__).with_name("standins.py")
_spec = importlib.util.spec_from_file_location("weft_pbs_standins", _AT)
assert _spec is not None
assert _spec.loader is not None
standins = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = standins
_spec.loader.exec_module(standins)

# OpenPBS, with -x; the wrapping is that of qstat.
FINISHED = """\
Job Id: 2.server
    Job_Name = weft-htex-1
    Job_Owner = me@login.example
    resources_used.cput = 00:00:00
    resources_used.walltime = 00:00:07
    job_state = F
    queue = workq
    exec_host = node1/0*4+node2/0*4
    Hold_Types = n
    Resource_List.walltime = 00:10:00
    substate = 93
    Variable_List = PBS_O_HOME=/home/me,PBS_O_LANG=en_US.UTF-8,
\tPBS_O_PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/opt/pb
\ts/bin,PBS_O_WORKDIR=/home/me/runs/000/blocks/htex-1,PBS_O_SYSTEM=Linux,
\tPBS_O_QUEUE=workq,PBS_O_HOST=login.example
    comment = Job run at Sun Dec 29 at 20:13 on (node1:ncpus=4)+(node2:ncpus=4)
\t and failed
    Exit_status = 3
    Submit_arguments = job.pbs

"""
# TORQUE, as a terminal shows it: blanks in the place of tabs.
COMPLETED = """\
Job Id: 48.head.example
    Job_Name = weft-htex-1
    Job_Owner = me@head.example
    resources_used.walltime = 00:10:02
    job_state = C
    queue = batch
    exec_host = n001/0-7
    Resource_List.nodes = 1:ppn=8
    Resource_List.walltime = 00:10:00
    Variable_List = PBS_O_QUEUE=batch,PBS_O_HOME=/home/me,
        PBS_O_WORKDIR=/home/me/a\\,b,PBS_O_HOST=head.example,
        PBS_O_SERVER=head.example
    exit_status = 271
    submit_args = job.pbs
"""


def job(letter: str, **more: str) -> str:
    lines = {"Job_Name": "weft-1", "job_state": letter, **more}
    return "Job Id: 7.server\n" + "".join(f"    {k} = {v}\n" for k, v in lines.items())


def seen(out: str, err: str = "", code: int = 0) -> Seen:
    (one,) = parse.seen(Said(name="qstat", out=out, err=err, code=code))
    return one


# -------------------------------------------------------------------------------------------- jobs


def test_a_finished_job_of_openpbs() -> None:
    one = seen(FINISHED)
    assert (one.id, one.state, one.code) == ("2.server", JobState.FAILED, 3)
    assert (one.user, one.name) == ("me", "weft-htex-1")
    assert one.path == "/home/me/runs/000/blocks/htex-1"
    assert one.reason == (
        "ended, exit code 3: Job run at Sun Dec 29 at 20:13 on "
        "(node1:ncpus=4)+(node2:ncpus=4) and failed"
    )


def test_a_completed_job_of_torque_that_was_over_its_walltime() -> None:
    one = seen(COMPLETED)
    assert (one.id, one.state, one.code) == ("48.head.example", JobState.EXPIRED, -15)
    assert one.path == "/home/me/a,b"
    assert one.reason == "over its walltime, by signal 15"


@pytest.mark.parametrize(
    ("letter", "state", "words"),
    [
        ("B", JobState.RUNNING, "begun"),
        ("E", JobState.RUNNING, "exiting"),
        ("H", JobState.QUEUED, "held"),
        ("M", JobState.UNKNOWN, "moved to another server"),
        ("Q", JobState.QUEUED, "queued"),
        ("R", JobState.RUNNING, "running"),
        ("S", JobState.RUNNING, "suspended"),
        ("T", JobState.QUEUED, "on its way to another queue"),
        ("U", JobState.RUNNING, "suspended while its node is used"),
        ("W", JobState.QUEUED, "waiting for its time"),
        ("N", JobState.UNKNOWN, "in a state 'N'"),
    ],
)
def test_a_letter_comes_to_a_state(letter: str, state: JobState, words: str) -> None:
    one = seen(job(letter))
    assert (one.state, one.reason, one.code) == (state, words, None)


@pytest.mark.parametrize(
    ("letter", "more", "state", "code", "words"),
    [
        ("F", {"Exit_status": "0"}, JobState.DONE, 0, "ended, exit code 0"),
        ("X", {"Exit_status": "0"}, JobState.DONE, 0, "ended, exit code 0"),
        ("C", {"exit_status": "0"}, JobState.DONE, 0, "ended, exit code 0"),
        ("C", {"exit_status": "1"}, JobState.FAILED, 1, "ended, exit code 1"),
        ("F", {"Exit_status": "137"}, JobState.FAILED, 137, "ended, exit code 137"),
        ("F", {"Exit_status": "256"}, JobState.FAILED, 256, "ended, exit code 256"),
        ("F", {"Exit_status": "265"}, JobState.FAILED, -9, "ended, by signal 9"),
        ("F", {"Exit_status": "271", "substate": "93"}, JobState.FAILED, -15, "by signal 15"),
        ("F", {"Exit_status": "271", "substate": "91"}, JobState.CANCELLED, -15, "deleted"),
        ("F", {"substate": "91"}, JobState.CANCELLED, None, "deleted, without having run"),
        ("F", {"substate": "93"}, JobState.FAILED, None, "ended, without having run"),
        ("C", {}, JobState.CANCELLED, None, "deleted, without having run"),
        ("F", {"Exit_status": "-29"}, JobState.EXPIRED, None, "it was over its walltime"),
        ("C", {"exit_status": "-11"}, JobState.EXPIRED, None, "it was over its walltime"),
        ("F", {"Exit_status": "-11"}, JobState.FAILED, None, "it was to run again"),
        ("C", {"exit_status": "-10"}, JobState.FAILED, None, "more memory"),
        ("F", {"Exit_status": "-27"}, JobState.FAILED, None, "more memory"),
        ("F", {"Exit_status": "-99"}, JobState.FAILED, None, "exit status -99"),
        (
            "F",
            {"Exit_status": "271", "comment": "Job run at now and exceeded resource walltime"},
            JobState.EXPIRED,
            -15,
            "over its walltime",
        ),
    ],
)
def test_an_end_has_its_state_and_its_code(
    letter: str, more: dict[str, str], state: JobState, code: int | None, words: str
) -> None:
    one = seen(job(letter, **more))
    assert (one.state, one.code) == (state, code)
    assert words in one.reason


@pytest.mark.parametrize(
    ("used", "state"), [("00:09:58", JobState.FAILED), ("00:10:00", JobState.EXPIRED)]
)
def test_a_job_that_a_signal_ended_at_the_end_of_its_time_has_expired(
    used: str, state: JobState
) -> None:
    times = {"resources_used.walltime": used, "Resource_List.walltime": "00:10:00"}
    assert seen(job("F", Exit_status="265", **times)).state is state
    assert seen(job("F", Exit_status="0", **times)).state is JobState.DONE


@settings(deadline=None)
@given(st.sampled_from("FXC"), st.integers(-40, 320))
def test_every_exit_status_has_an_end(letter: str, status: int) -> None:
    one = seen(job(letter, Exit_status=str(status)))
    assert (one.state is JobState.DONE) == (status == 0)
    if status < 0:
        assert one.code is None
    else:
        assert one.code == (status if status <= 256 else 256 - status)


@pytest.mark.parametrize(
    ("letter", "comment", "hint"),
    [
        ("Q", "Not Running: Insufficient amount of resource: ncpus", ""),
        ("Q", "Can Never Run: Insufficient amount of resource: ncpus", "as much as it asks for"),
        ("H", "job held, too many failed attempts to run", "tried many times"),
        ("Q", "Not Running: Queue not started.", "starts no jobs"),
    ],
)
def test_what_keeps_a_job_waiting_is_said_and_what_it_means(
    letter: str, comment: str, hint: str
) -> None:
    reason = seen(job(letter, comment=comment)).reason
    assert comment in reason
    assert hint in reason


def test_a_job_that_its_user_holds_says_how_it_is_let_go() -> None:
    assert "'qrls 7.server'" in seen(job("H", Hold_Types="u")).reason
    assert "qrls" not in seen(job("H", Hold_Types="s")).reason


def test_a_running_job_says_where() -> None:
    one = seen(job("R", exec_host="node1/0*4+node2/0*4", comment="Job run at noon"))
    assert one.reason == "running on node1/0*4+node2/0*4"


# A comma that follows another is lost by qstat, as are those at the ends.
_VALUES = st.lists(
    st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters=","), min_size=1),
    min_size=1,
).map(",".join)


@settings(deadline=None)
@given(st.from_regex(r"[A-Za-z_]{1,20}", fullmatch=True), _VALUES)
def test_a_value_that_qstat_has_wrapped_is_whole_again(name: str, value: str) -> None:
    text = f"Job Id: 7.server\n{standins._wrapped(name, value)}\n    queue = workq\n"
    ((_, found),) = parse._objects(text, "Job Id")
    assert found[name] == value
    assert "queue" in found


def test_the_first_of_two_attributes_counts() -> None:
    forged = job("R") + "    Variable_List = A=1\n    job_state = F\n    Exit_status = 0\n"
    assert seen(forged).state is JobState.RUNNING


# ------------------------------------------------------------------------------------ no answers


@pytest.mark.parametrize(
    "complaint",
    [
        "qstat: Unknown Job Id 9.server",
        "qstat: Unknown Job Id Error 9.server",
        "qstat: 9.server Job has finished, use -x or -H to obtain historical job information",
    ],
)
def test_jobs_that_are_not_there_are_left_out(complaint: str) -> None:
    both = Said(name="qstat", out=FINISHED, err=f"{complaint}\n", code=153)
    assert [one.id for one in parse.seen(both)] == ["2.server"]
    assert parse.seen(Said(name="qstat", err=f"{complaint}\n", code=153)) == []


@pytest.mark.parametrize(
    ("out", "err", "code"),
    [
        ("", "qstat: cannot connect to server server (errno=15010)", 255),
        (FINISHED, "qstat: cannot connect to server server (errno=15010)", 255),
        ("", "qstat: Unknown Job Id 9.server\nqstat: Unauthorized Request", 153),
        ("", "qstat: PBS is not configured to maintain job history", 0),
        ("", "", 1),
    ],
)
def test_a_refusal_to_answer_is_no_answer(out: str, err: str, code: int) -> None:
    with pytest.raises(NoAnswer, match=r"^qstat: "):
        parse.seen(Said(name="qstat", out=out, err=err, code=code))


@pytest.mark.parametrize("out", ["", "<html>503</html>", "Job Id: 7.server\n    queue = workq\n"])
def test_rubbish_and_silence_are_no_answers(out: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse.seen(Said(name="qstat", out=out))


def test_none_is_an_answer_where_it_is_said() -> None:
    assert parse.seen(Said(name="sh", out=f"{parse.NONE}\n")) == []


# -------------------------------------------------------------------------------------------- qsub


@pytest.mark.parametrize(
    ("out", "job_id"),
    [
        ("2.server\n", "2.server"),
        ("1871052.naqf-main04\n", "1871052.naqf-main04"),
        ("42\n", "42"),
        ("\nINFO: project charged\n7609762.imgt1.example.org\n", "7609762.imgt1.example.org"),
    ],
)
def test_an_id_is_found_in_what_qsub_prints(out: str, job_id: str) -> None:
    assert parse.submitted(out) == job_id


@pytest.mark.parametrize("out", ["", "Submitted, trust me\n", "3[].server\n"])
def test_what_is_no_id_is_none(out: str) -> None:
    with pytest.raises(ValueError, match="no id of a job"):
        parse.submitted(out)


@pytest.mark.parametrize(
    ("err", "about", "todo"),
    [
        ("qsub: Unknown queue", "queue", "qstat -Q"),
        ("qsub: submit error (Unknown queue MSG=requested queue not found)", "queue", "qstat -Q"),
        ("qsub: No default queue specified", "", "qstat -Q"),
        ("qsub: Queue is not enabled", "queue", "another queue"),
        (
            "qsub: submit error (Unauthorized Request  MSG=group ACL is not satisfied: user me)",
            "queue",
            "may use",
        ),
        ("qsub: Invalid Account", "account", "account"),
        ("qsub: Request rejected.  Reason: Project xyz has expired", "project", "project"),
        ("qsub: Job violates queue and/or server resource limits", "", "less time"),
        (
            (
                "qsub: submit error (Job exceeds queue resource limits MSG=cannot satisfy queue "
                "max walltime requirement)"
            ),
            "walltime",
            "walltime",
        ),
        ("qsub: illegal -N value", "", "label"),
        ("qsub: Unknown resource Resource_List.foo", "select_options", "scheduler_options"),
        ("qsub: invalid option -- 'y'\nusage: qsub ...", "scheduler_options", "does not know"),
        ("qsub: Invalid credential", "", "does not believe"),
        (
            "qsub: submit error (Bad UID for job execution MSG=ruserok failed validating me)",
            "",
            "from this machine",
        ),
        ("qsub: something else", "", "kept in the folder"),
    ],
)
def test_a_refusal_says_what_to_do(err: str, about: str, todo: str) -> None:
    found = parse.refusal(Said(name="qsub", err=f"{err}\n", code=1))
    assert not found.later
    assert not found.doubtful
    assert found.about == about
    assert todo in found.todo
    assert found.said == " ".join(err.replace("qsub: ", "").split("\n"))


@pytest.mark.parametrize(
    "err",
    [
        "Connection refused\nqsub: cannot connect to server server (errno=15010)",
        "qsub: cannot connect to server (null) (errno=15137) could not connect to trqauthd",
        "qsub: Request not allowed: Server shutting down",
        "qsub: Maximum number of jobs for user me already in queue short",
        "qsub: would exceed queue short's per-user limit of jobs in 'Q' state",
        "qsub: submit error (Maximum number of jobs already in queue MSG=total number of jobs)",
        "qsub: Resource temporarily unavailable",
    ],
)
def test_what_passes_is_tried_later(err: str) -> None:
    assert parse.refusal(Said(name="qsub", err=err, code=1)).later


@pytest.mark.parametrize(
    "err", ["qsub: Batch protocol error", "qsub: submit error (Premature End of File)"]
)
def test_a_submission_that_was_cut_off_may_have_been_heard(err: str) -> None:
    assert parse.refusal(Said(name="qsub", err=err, code=1)).doubtful


def test_a_qsub_that_says_nothing_is_told_so() -> None:
    assert "exit code 7" in parse.refusal(Said(name="qsub", code=7)).said


# -------------------------------------------------------------------------------------- all others


@pytest.mark.parametrize(
    ("err", "spent"),
    [
        ("qdel: Unknown Job Id 7.server\n", True),
        ("qdel: Job has finished 7.server\n", True),
        ("qdel: Request invalid for state of job 7.server\n", True),
        (
            (
                "qdel: Request invalid for state of job MSG=invalid state for job - COMPLETE 7.s\n"
                "qdel: nonexistent job id: 8\n"
            ),
            True,
        ),
        ("qdel: Unknown Job Id 7.server\nqdel: Server could not connect to MOM 8.server\n", False),
        ("qdel: Unauthorized Request  7.server\n", False),
        ("", False),
    ],
)
def test_a_job_that_has_ended_cannot_be_deleted_and_need_not(err: str, spent: bool) -> None:
    assert parse.is_spent(Said(name="qdel", err=err, code=1)) is spent


@pytest.mark.parametrize(
    ("said", "torque"),
    [
        (Said(name="qstat", out="pbs_version = 23.06.06\n"), False),
        (Said(name="qstat", out="pbs_version = PBSPro_13.0.2.153173\n"), False),
        (Said(name="qstat", err="Version: 6.1.3\nCommit: 0123\n"), True),
        (Said(name="qstat", err="version: 2.4.16\n"), True),
    ],
)
def test_the_version_says_whose_it_is(said: Said, torque: bool) -> None:
    assert parse.is_torque(said) is torque


def test_where_it_does_not_the_option_is_named() -> None:
    with pytest.raises(ValueError, match="option dialect"):
        parse.is_torque(Said(name="qstat", err="qstat: illegal option", code=2))


def test_the_words_for_a_job_that_was_ended_count() -> None:
    text = "some output\n=>> PBS: job killed: walltime 62 exceeded limit 60\n"
    state, reason = parse.killed(text)
    assert (state, reason) == (
        JobState.EXPIRED,
        "PBS: job killed: walltime 62 exceeded limit 60",
    )
    assert parse.killed("=>> PBS: job killed: mem 2kb exceeded limit 1kb")[0] is JobState.FAILED
    assert parse.killed("")[0] is JobState.FAILED


def test_a_server_and_its_queues() -> None:
    name, found = parse.server(
        "Server: pbs01\n    server_state = Active\n    default_queue = workq\n"
        "    job_history_enable = True\n    pbs_version = 23.06.06\n"
    )
    assert (name, found["default_queue"], found["job_history_enable"]) == ("pbs01", "workq", "True")
    with pytest.raises(ValueError, match="no server"):
        parse.server("Not found")
    queues = parse.queues(
        "Queue: workq\n    queue_type = Execution\n    enabled = True\n    started = False\n\n"
        "Queue: short\n    resources_max.walltime = 01:00:00\n    enabled = False\n"
        "    started = True\n"
    )
    assert [(one.name, one.enabled, one.started, one.limit) for one in queues] == [
        ("workq", True, False, ""),
        ("short", False, True, "01:00:00"),
    ]


def test_the_nodes_of_both() -> None:
    found = parse.nodes(
        "node1\n     Mom = node1.example\n     state = job-busy\n"
        "     resources_available.mem = 2gb\n     resources_available.ncpus = 8\n\n"
        "node2\n     state = state-unknown,down\n\n"
        "n3\n     state = free\n     np = 16\n"
        "     status = opsys=linux,ncpus=16,physmem=1024kb,state=free\n"
    )
    assert [(one.name, one.up, one.cores, one.memory) for one in found] == [
        ("node1", True, 8, 2 << 30),
        ("node2", False, None, None),
        ("n3", True, 16, 1 << 20),
    ]
