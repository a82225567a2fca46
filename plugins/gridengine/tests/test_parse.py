"""What the commands print becomes values.

What lies in ``recorded`` is what Son of Grid Engine 8.1.9 printed; names of hosts, folders and the
user are others.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.batch.commands import Said
from weft.values.jobs import JOB_ENDED, JobState
from weft_gridengine import parse


def recorded(name: str) -> str:
    return (Path(__file__).parent / "recorded" / name).read_text("utf-8")


def said(err: str = "", code: int = 1, out: str = "") -> Said:
    return Said(name="q", code=code, out=out, err=err)


# -------------------------------------------------------------------------------------------- qstat


def test_qstat_lists_jobs() -> None:
    found = {one.id: one for one in parse.listed(recorded("qstat.xml"))}
    assert {number: (one.state, one.reason) for number, one in found.items()} == {
        "95": (JobState.RUNNING, "r in all.q@node1"),
        "96": (JobState.RUNNING, "dr in all.q@node1: it is being deleted"),
        "102": (
            JobState.RUNNING,
            "s in all.q@node1: it is suspended; 'qmod -usj' lets it go on",
        ),
        "100": (JobState.QUEUED, "qw"),
        "97": (JobState.QUEUED, "qw"),
        "99": (JobState.FAILED, "Eqw"),
        "101": (JobState.QUEUED, "qw"),
        "98": (JobState.QUEUED, "hqw: it is held back; 'qrls' lets it go"),
    }
    assert [one.id for one in found.values() if one.stuck] == ["99"]
    assert {one.user for one in found.values()} == {"user"}
    assert found["95"].name == "weft-htex-5"


def test_the_detailed_form_has_the_path_of_the_script() -> None:
    (found,) = parse.listed(recorded("qstat-name.xml"))
    assert (found.id, found.name, found.user) == ("97", "weft-htex-7", "user")
    assert found.path == "/home/user/run/job.sge"
    assert found.state is JobState.QUEUED


@pytest.mark.parametrize("name", ["qstat-unknown.xml", "qstat-empty.xml"])
def test_none_is_none(name: str) -> None:
    assert parse.listed(recorded(name)) == []


@pytest.mark.parametrize(
    "out", ["", "error: no XML\n", "<html>503</html>", "<job_info><queue_info>"]
)
def test_what_is_no_list_of_jobs_is_not_taken_for_an_empty_one(out: str) -> None:
    with pytest.raises(ValueError, match="qstat printed"):
        parse.listed(out)


def test_a_name_that_no_xml_can_hold_keeps_nothing_back() -> None:
    out = recorded("qstat.xml").replace("weft-htex-5", "bell\x07")
    assert "bell?" in {one.name for one in parse.listed(out)}


def test_why_jobs_wait_is_in_the_words_of_the_scheduler() -> None:
    assert {one.id: one.reason for one in parse.explained(recorded("qstat-j.xml"))} == {
        "97": 'queue instance "closed.q@node1" dropped because it is disabled',
        "98": "Job is in hold state",
        "99": ("can't chdir to /home/user/gone: No such file or directory; Job is in error state"),
        "100": 'cannot run in PE "mpi" because it only offers 9 slots',
        "101": '(-l h_rt=356400) cannot run in queue "short.q" because of cluster queue',
    }
    assert parse.explained(recorded("qstat-unknown.xml")) == []


def test_of_very_many_reasons_some_are_told() -> None:
    one = "<element><MES_message>{}</MES_message></element>"
    out = (
        "<detailed_job_info><djob_info><element><JB_job_number>7</JB_job_number></element>"
        "</djob_info><messages><element><SME_global_message_list>"
        + "".join(one.format(f"queue instance {n} dropped") for n in range(9))
        + "</SME_global_message_list></element></messages></detailed_job_info>"
    )
    (found,) = parse.explained(out)
    assert found.reason.endswith("queue instance 3 dropped; and 5 reasons more")


@pytest.mark.parametrize(
    ("letters", "state"),
    [
        ("qw", JobState.QUEUED),
        ("hqw", JobState.QUEUED),
        ("hRwq", JobState.QUEUED),
        ("Rq", JobState.QUEUED),
        ("dqw", JobState.QUEUED),
        ("t", JobState.RUNNING),
        ("r", JobState.RUNNING),
        ("Rr", JobState.RUNNING),
        ("dr", JobState.RUNNING),
        ("dt", JobState.RUNNING),
        ("s", JobState.RUNNING),
        ("S", JobState.RUNNING),
        ("T", JobState.RUNNING),
        ("N", JobState.RUNNING),
        ("Eqw", JobState.FAILED),
        ("Ehqw", JobState.FAILED),
        ("dEqw", JobState.FAILED),
        ("z", JobState.UNKNOWN),
        ("", JobState.UNKNOWN),
    ],
)
def test_letters_of_a_state_are_one_of_ours(letters: str, state: JobState) -> None:
    assert parse.state_of(letters) is state


# -------------------------------------------------------------------------------------------- qacct


def account(name: str, walltime: float | None = None) -> tuple[JobState, int | None, str] | None:
    found = parse.accounted(recorded(f"qacct-{name}.txt"))
    end = parse.account(found[-1], walltime)
    return None if end is None else (end.state, end.code, end.reason)


def test_accounts_tell_how_jobs_ended() -> None:
    assert account("done") == (JobState.DONE, 0, "exit status 0")
    assert account("bad") == (JobState.FAILED, 3, "exit status 3")
    assert account("deleted") == (
        JobState.FAILED,
        -9,
        "failed 100 : assumedly after job; exit status 137",
    )
    late = "failed 37 : qmaster enforced h_rt, h_cpu, or h_vmem limit; exit status 137"
    assert account("late", 2.0) == (JobState.EXPIRED, -9, f"its time was over; {late}")
    assert account("late", 7200.0) == (JobState.FAILED, -9, late), "it was another limit"
    assert account("late") == (JobState.FAILED, -9, late)


def test_a_restart_is_no_end() -> None:
    found = parse.accounted(recorded("qacct-again.txt"))
    assert [(one.id, one.failed, one.exit_status) for one in found] == [("94", 25, 99)] * 3
    assert account("again") is None


def test_one_that_is_not_there_has_no_account() -> None:
    assert parse.accounted(recorded("qacct-unknown.txt")) == []


def test_who_deleted_a_job_is_told_where_it_is_known() -> None:
    # Univa and Altair have a line for it.
    text = recorded("qacct-deleted.txt")
    (found,) = parse.accounted(text + "deleted_by   other@node1\n")
    end = parse.account(found, None)
    assert end is not None
    assert end.state is JobState.CANCELLED
    assert end.reason.startswith("deleted by other@node1; failed 100")
    (found,) = parse.accounted(text + "deleted_by   NONE\n")
    assert found.by == ""


def test_a_killed_shell_is_not_told_apart_from_one_that_says_137() -> None:
    text = recorded("qacct-bad.txt").replace("exit_status  3 ", "exit_status  137 ")
    (found,) = parse.accounted(text)
    end = parse.account(found, None)
    assert end is not None
    assert (end.state, end.code) == (JobState.FAILED, 137)


@settings(deadline=None)
@given(st.text())
def test_no_text_is_taken_for_an_end_that_is_none(text: str) -> None:
    assert parse.accounted(text) == []
    if parse.state_of(text) in JOB_ENDED:
        assert "E" in text
    assert parse.refusal(said(text)).said.strip()


# ------------------------------------------------------------------------------------ qsub and qdel


@pytest.mark.parametrize(
    ("out", "job"), [("14\n", "14"), ("Welcome to the cluster!\n14\n", "14"), ("14\n\n", "14")]
)
def test_the_id_is_found_in_what_qsub_prints(out: str, job: str) -> None:
    assert parse.submitted(out) == job


@pytest.mark.parametrize("out", ["", "Your job has been submitted\n", "14 jobs\n"])
def test_no_id_is_made_up(out: str) -> None:
    with pytest.raises(ValueError, match="no job id"):
        parse.submitted(out)


def test_what_may_pass_is_asked_again() -> None:
    down = (
        "error: commlib error: got select error (Connection refused)\nUnable to run job: unable to "
        'send message to qmaster using port 6444 on host "node1": got send error\nExiting.\n'
    )
    found = parse.refusal(said(down))
    assert found.later
    assert found.said.startswith("commlib error: got select error (Connection refused) unable")
    assert parse.is_passing(said(down))
    full = (
        "Unable to run job: job rejected: only 1 jobs are allowed per user (current job count: 1)\n"
        "Exiting.\n"
    )
    assert parse.refusal(said(full, code=25)).later
    assert parse.refusal(said("something else", code=25)).later


def test_what_may_have_been_heard_is_doubtful() -> None:
    text = (
        "error: failed receiving gdi request response for mid=1 (got syncron message receive "
        "timeout error).\n"
    )
    found = parse.refusal(said(text))
    assert found.doubtful
    assert not found.later


@pytest.mark.parametrize(
    ("words", "about"),
    [
        ('Job was rejected because job requests unknown queue "nosuch"', "queue"),
        ('job rejected: the requested project "nosuch" does not exist', "project"),
        (
            'job rejected: the requested parallel environment "nosuch" does not exist',
            "parallel_environment",
        ),
        ('unknown resource "nosuch"', "resources"),
        ('attribute "h_vmem" is not a memory value', "resources"),
        ('attribute "h_rt" is not a time value', "walltime"),
        ("error: no suitable queues", ""),
        ('denied: host "node9" is not a submit host', ""),
        ('denied: "1abc" is not a valid object name (cannot start with a digit)', ""),
        ("something that nobody has seen", ""),
    ],
)
def test_what_is_refused_has_words_and_a_remedy(words: str, about: str) -> None:
    found = parse.refusal(said(f"Unable to run job: {words}\nExiting.\n"))
    assert not found.later
    assert not found.doubtful
    assert found.about == about
    assert found.todo
    assert words.removeprefix("error: ") == found.said
    assert not parse.is_passing(said(words))


def test_an_option_that_qsub_does_not_know_is_one_of_ours() -> None:
    found = parse.refusal(said('qsub: invalid option argument "-flying"\n', code=2))
    assert (found.said, found.about) == ('invalid option argument "-flying"', "scheduler_options")


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ('denied: job "999" does not exist\n', True),
        ('user has deleted job 5\ndenied: job "6" does not exist\n', True),
        ("user has registered the job 29 for deletion\njob 30 is already in deletion\n", True),
        ('denied: job "6" does not exist\nother - you do not have the rights\n', False),
        ("error: unable to send message to qmaster\n", False),
        ("", False),
    ],
)
def test_jobs_that_are_not_there_need_no_deletion(text: str, gone: bool) -> None:
    assert parse.gone(said(out=text)) is gone


# ----------------------------------------------------------------------------------- qconf, qselect


def test_queues_are_read_with_their_limits() -> None:
    short, closed = parse.attributes(recorded("qconf-sq.txt"))
    assert (short["qname"], short["pe_list"]) == ("short.q", "smp mpi")
    assert parse.limit_of(short["h_rt"]) == "00:05:00"
    assert parse.limit_of(closed["h_rt"]) == ""
    (environment,) = parse.attributes(recorded("qconf-sp.txt"))
    assert environment["allocation_rule"] == "$round_robin"
    (long,) = parse.attributes("qname a.q\nh_rt 1:0:0,[@a=2:0:0], \\\n     [b=3:0:0]\n")
    assert parse.limit_of(long["h_rt"]) == "3:0:0"


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("24:00:00,[@long=72:00:00]", "72:00:00"),
        ("24:00:00,[@long=72:00:00],[node1=INFINITY]", ""),
        ("INFINITY,[node1=1:0:0]", ""),
        ("3600", "3600"),
        ("", ""),
    ],
)
def test_the_limit_is_the_most_that_any_host_gives(value: str, limit: str) -> None:
    assert parse.limit_of(value) == limit


def test_names_are_listed() -> None:
    assert parse.names("all.q\nshort.q\n") == ["all.q", "short.q"]
    assert parse.queues_of("all.q@node1\nall.q@node2\nshort.q@node1\n") == ["all.q", "short.q"]


def test_resources_are_those_that_jobs_may_ask_for() -> None:
    found = parse.resource_names(recorded("qconf-sc.txt"))
    assert {"h_rt", "h_vmem", "mem_free", "mf", "exclusive", "excl"} <= found
    assert not {"load_avg", "tmpdir", "starts", "#name"} & found
    assert parse.exclusive_resource(recorded("qconf-sc.txt")) == "exclusive"
    without = recorded("qconf-sc.txt").replace(" EXCL ", " == ")
    assert parse.exclusive_resource(without) == ""
