"""The provider over a scheduler that is silent, forgetful, wrong or gone: nothing is made up."""

from __future__ import annotations

import getpass
import json
import stat
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import attrs
import pytest

from weft.batch.provider import BatchProvider
from weft.errors import SubmitLater, WeftError
from weft.values.jobs import Job, JobState, JobStatus

if TYPE_CHECKING:
    from core.tests.batch.conftest import Make, MakeJob, Yard

DOWN = "bqueue: no daemon"


def look(provider: BatchProvider, job: str = "7.yard") -> JobStatus:
    return provider.status([job])[job]


def limit(provider: BatchProvider, timeout: float) -> None:
    """Give commands so long from now on: little to one that hangs, much to all others."""
    provider._commands = attrs.evolve(provider._commands, timeout=timeout)


def left(job: Job, code: int) -> None:
    (job.folder / "job.code").write_text(f"{code}\n")


# ---------------------------------------------------------------------------------------- the start


@pytest.mark.parametrize("name", ["bhello", "bsubmit", "bqueue", "bcancel"])
def test_a_missing_command_is_named_at_the_start(yard: Yard, make: Make, name: str) -> None:
    (yard.programs / name).unlink()
    with pytest.raises(WeftError, match="Yard cannot be reached") as caught:
        make()
    assert f"no command {name} on PATH" in caught.value.why
    assert caught.value.todo


@pytest.mark.parametrize("mood", ["hang", "refuse"])
def test_a_scheduler_that_does_not_answer_is_told_at_the_start(
    yard: Yard, make: Make, mood: str
) -> None:
    if mood == "hang":
        yard.mood("bhello", "hang")
    else:
        yard.say("bhello", err="bhello: no daemon", code=2)
    with pytest.raises(WeftError, match="Yard does not answer") as caught:
        make(command_timeout=2.0)
    assert "bhello" in caught.value.why


def test_a_scheduler_that_is_busy_at_the_start_is_asked_again(yard: Yard, make: Make) -> None:
    yard.mood("bhello", "half")
    provider = make()
    assert provider.site == "yard:yard-1"
    assert (provider.interval, provider.patience) == (60.0, 100.0)


# -------------------------------------------------------------------------------------- submissions


def test_what_is_secret_is_in_no_script_and_others_read_nothing(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    asked = job(environment={"TOKEN": "hush-hush"}, nodes=3)
    assert make().submit(asked) == "7.yard"
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in asked.folder.iterdir()}
    assert modes == {"job.sh": 0o700, "job.env": 0o600, "job.out": 0o600, "job.err": 0o600}
    assert "hush-hush" in (asked.folder / "job.env").read_text()
    assert "hush-hush" not in yard.heard("bsubmit") + "".join(yard.calls("bsubmit"))
    assert yard.heard("bsubmit") == (asked.folder / "job.sh").read_text()
    assert "#YARD -n 3\n" in yard.heard("bsubmit")


def test_a_refusal_names_the_option_and_what_there_is(yard: Yard, make: Make, job: MakeJob) -> None:
    yard.say("bsubmit", err="bsubmit: no such queue", code=1)
    with pytest.raises(WeftError, match="Yard was not given the job") as caught:
        make(queue="fast").submit(job())
    assert "bsubmit says: bsubmit: no such queue" in caught.value.why
    assert "The option queue is 'fast'." in caught.value.why
    assert "short, long" in caught.value.why
    assert caught.value.todo == "Name another queue."


def test_what_makes_sense_later_is_no_refusal(yard: Yard, make: Make, job: MakeJob) -> None:
    yard.say("bsubmit", err="bsubmit: come later", code=1)
    provider = make()
    with pytest.raises(SubmitLater, match="come later"):
        provider.submit(job())
    yard.say("bsubmit", "8.yard")
    assert provider.submit(job()) == "8.yard"
    assert not yard.calls("bqueue"), "it was not taken, so there is nothing to look for"


def test_a_job_without_a_folder_or_a_command_is_refused(
    yard: Yard, make: Make, job: MakeJob, tmp_path: Path
) -> None:
    provider = make()
    absent = Job(name="weft-x", command="true", folder=tmp_path / "absent")
    for asked in (absent, job(environment={"a b": "c"}), job("echo \0")):
        with pytest.raises(WeftError, match="could not be written"):
            provider.submit(asked)
    used = job()
    provider.submit(used)
    with pytest.raises(WeftError, match="File exists"):
        provider.submit(used)
    assert len(yard.calls("bsubmit")) == 1


@pytest.mark.parametrize("how", ["hang", "killed", "lost", "garbage"])
def test_a_job_of_which_a_submission_did_not_tell_is_cancelled_before_the_next(
    yard: Yard, make: Make, job: MakeJob, how: str
) -> None:
    provider = make()
    match how:
        case "hang":
            yard.mood("bsubmit", "hang")
            limit(provider, 1.0)
        case "killed":
            yard.say("bsubmit", code="KILL")
        case "lost":
            yard.say("bsubmit", err="bsubmit: connection lost", code=1)
        case "garbage":
            yard.say("bsubmit", "Welcome!\n")
    asked = job()
    with pytest.raises(WeftError) as caught:
        provider.submit(asked)
    assert isinstance(caught.value, SubmitLater) == (how != "garbage")
    assert "bsubmit" in caught.value.why
    yard.say("bsubmit", "9.yard\n")
    yard.queue(
        yard.row("queued", "8.yard", name=asked.name, path=str(asked.folder / "job.sh")),
        yard.row("queued", "5.yard", name=asked.name, path="/another/job.sh"),
        yard.row("queued", "4.yard", name=asked.name),
        yard.row("queued", "3.yard", name="other", path=str(asked.folder)),
        yard.row("done", "2.yard", name=asked.name, path=str(asked.folder)),
    )
    limit(provider, 60.0)
    assert provider.submit(job()) == "9.yard"
    assert yard.calls("bqueue") == [f"-N {asked.name}"]
    assert yard.calls("bcancel") == ["8.yard"]
    provider.submit(job())
    assert len(yard.calls("bqueue")) == 1, "it is looked for once"


def test_while_it_cannot_be_looked_for_nothing_more_is_submitted(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make()
    yard.say("bsubmit", "Welcome!\n")
    with pytest.raises(WeftError, match="was not given"):
        provider.submit(job())
    for said in ({"err": DOWN, "code": 1}, {"out": "garbage"}):
        yard.say("bqueue", **said)
        with pytest.raises(SubmitLater, match="did not tell"):
            provider.submit(job())
    assert len(yard.calls("bsubmit")) == 1


# ------------------------------------------------------------------------------------- how they are


def test_what_the_queue_has_forgotten_the_history_knows(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make()
    provider.submit(job())
    assert look(provider).state is JobState.UNKNOWN, "both lag"
    yard.past(yard.row("running"))
    assert look(provider).state is JobState.UNKNOWN, "it was never told of the end"
    yard.say("bpast", err="bpast: no database", code=1)
    status = look(provider)
    assert status.state is JobState.UNKNOWN
    assert "no database" in status.reason
    assert status.stdout is not None
    yard.past(yard.row("expired"))
    assert look(provider).state is JobState.EXPIRED
    yard.past(yard.row("done"))
    assert look(provider).state is JobState.EXPIRED, "an end is an end"


@pytest.mark.parametrize("mood", ["down", "garbage", "hang"])
def test_while_the_queue_is_silent_nothing_has_ended(
    yard: Yard, make: Make, job: MakeJob, mood: str
) -> None:
    provider = make()
    asked = job()
    provider.submit(asked)
    left(asked, 0)
    yard.past(yard.row("done"))
    match mood:
        case "down":
            yard.say("bqueue", err=DOWN, code=1)
        case "garbage":
            yard.say("bqueue", "<html>")
        case "hang":
            yard.mood("bqueue", "hang")
            limit(provider, 1.0)
    status = look(provider)
    assert status.state is JobState.UNKNOWN
    assert "bqueue" in status.reason
    limit(provider, 60.0)
    yard.queue(yard.row("running"))
    assert look(provider).state is JobState.RUNNING


def test_a_queue_that_fails_half_of_the_time_is_heard_all_the_same(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make()
    provider.submit(job())
    yard.queue(yard.row("running"))
    yard.mood("bqueue", "half")
    for _ in range(3):
        assert look(provider).state is JobState.RUNNING


def test_a_word_that_is_not_understood_is_no_end(yard: Yard, make: Make, job: MakeJob) -> None:
    provider = make()
    provider.submit(job())
    yard.queue(yard.row("unknown", reason="TELEPORTED"))
    status = look(provider)
    assert (status.state, status.reason) == (JobState.UNKNOWN, "TELEPORTED")


@pytest.mark.parametrize(("code", "state"), [(0, JobState.DONE), (3, JobState.FAILED)])
def test_a_job_that_all_have_forgotten_is_believed_what_it_wrote(
    yard: Yard, make: Make, job: MakeJob, code: int, state: JobState
) -> None:
    provider = make()
    asked = job()
    provider.submit(asked)
    left(asked, code)
    status = look(provider)
    assert (status.state, status.exit_code) == (state, code)
    assert "forgotten" in status.reason


def test_one_that_left_no_word_has_not_ended(yard: Yard, make: Make, job: MakeJob) -> None:
    provider = make()
    provider.submit(job())
    yard.queue(yard.row("running"))
    look(provider)
    yard.queue()
    for _ in range(10):
        status = look(provider)
        assert status.state is JobState.UNKNOWN
        assert status.reason == "the job is not known to bqueue or bpast"


def test_where_the_scheduler_forgets_one_that_it_has_shown_and_shows_no_more_has_ended(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make(dialect="forgetful")
    provider.submit(job())
    for _ in range(10):
        assert look(provider).state is JobState.UNKNOWN, "it may not have come into the queue yet"
    yard.queue(yard.row("running"))
    look(provider)
    yard.queue()
    looks = [look(provider).state for _ in range(2)]
    yard.queue(yard.row("running"))
    looks.append(look(provider).state)
    yard.queue()
    looks += [look(provider).state for _ in range(3)]
    unknown = JobState.UNKNOWN
    assert looks == [unknown, unknown, JobState.RUNNING, unknown, unknown, JobState.FAILED]
    assert "does not say how it ended" in look(provider).reason


def test_a_history_that_lags_is_waited_for(
    yard: Yard, make: Make, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = make(dialect="forgetful")
    monkeypatch.setattr(provider._dialect, "lag", 1e6, raising=False)
    provider.submit(job())
    yard.queue(yard.row("running"))
    look(provider)
    yard.queue()
    assert {look(provider).state for _ in range(5)} == {JobState.UNKNOWN}
    monkeypatch.setattr(provider._dialect, "lag", 0.0, raising=False)
    assert look(provider).state is JobState.FAILED


def test_a_history_that_is_long_to_read_is_not_asked_about_what_is_known(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make(dialect="keeping")
    jobs = [job() for _ in range(3)]
    ids = [f"{number}.yard" for number in range(3)]
    for job_id, one in zip(ids, jobs, strict=True):
        yard.say("bsubmit", f"{job_id}\n")
        provider.submit(one)
    left(jobs[0], 3)
    provider.cancel([ids[1]])
    found = provider.status(ids)
    assert (found[ids[0]].state, found[ids[0]].exit_code) == (JobState.FAILED, 3)
    assert found[ids[1]].state is JobState.CANCELLED
    assert found[ids[2]].state is JobState.UNKNOWN
    assert yard.calls("bpast") == [ids[2]]


def test_why_a_job_waits_may_be_told_elsewhere(yard: Yard, make: Make, job: MakeJob) -> None:
    provider = make(dialect="keeping")
    provider.submit(job())
    yard.queue(yard.row("queued", reason="qw"))
    assert look(provider).reason == "qw", "nothing more is told"
    yard.say("bwhy", json.dumps([yard.row("unknown", reason="no node is free")]))
    assert look(provider).reason == "qw: no node is free"
    yard.say("bwhy", err=DOWN, code=1)
    assert look(provider).reason == "qw"
    yard.queue(yard.row("running", reason="r"))
    look(provider)
    assert len(yard.calls("bwhy")) == 3, "one that runs is not asked about"


def test_what_has_failed_and_would_stay_is_cancelled(yard: Yard, make: Make, job: MakeJob) -> None:
    provider = make(dialect="keeping")
    provider.submit(job())
    yard.queue(yard.row("failed", reason="Eqw", stuck=True))
    yard.say("bwhy", json.dumps([yard.row("unknown", reason="no such folder")]))
    yard.say("bcancel", err=DOWN, code=1)
    assert look(provider).state is JobState.UNKNOWN, "it might be set free, and run"
    yard.say("bcancel")
    status = look(provider)
    assert (status.state, status.reason) == (JobState.FAILED, "Eqw: no such folder")
    assert yard.calls("bcancel") == ["7.yard", "7.yard"]
    provider.close()
    assert len(yard.calls("bcancel")) == 2


def test_a_stuck_job_of_another_is_left_alone(yard: Yard, make: Make) -> None:
    yard.queue(yard.row("failed", stuck=True))
    look(make(dialect="keeping"))
    assert not yard.calls("bcancel")


@pytest.mark.parametrize(
    ("cancelled", "state"), [(False, JobState.FAILED), (True, JobState.CANCELLED)]
)
def test_what_lies_in_its_folder_says_how_a_job_ended_that_nobody_knows_any_more(
    yard: Yard,
    make: Make,
    job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    *,
    cancelled: bool,
    state: JobState,
) -> None:
    provider = make()
    provider.submit(job())
    monkeypatch.setattr(
        provider._dialect, "left", lambda job, job_id: (JobState.FAILED, f"{job_id} was ended")
    )
    yard.queue(yard.row("running"))
    assert look(provider).state is JobState.RUNNING
    if cancelled:
        provider.cancel(["7.yard"])
    yard.queue()
    status = look(provider)
    assert status.state is state
    assert status.reason.startswith("7.yard was ended")


def test_a_job_that_goes_back_into_the_queue_does_not_go_back(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make()
    provider.submit(job())
    yard.queue(yard.row("running"))
    look(provider)
    yard.queue(yard.row("queued", reason="HELD"))
    status = look(provider)
    assert (status.state, status.reason) == (JobState.RUNNING, "HELD, after it had run")


def test_an_exit_code_comes_from_whoever_knows_it(yard: Yard, make: Make, job: MakeJob) -> None:
    provider = make()
    jobs = [job() for _ in range(4)]
    for number, asked in enumerate(jobs):
        yard.say("bsubmit", f"{number}.yard")
        provider.submit(asked)
    left(jobs[0], 0)
    left(jobs[1], 0)  # and a node was lost after that
    yard.queue(
        yard.row("done", "0.yard"),
        yard.row("failed", "1.yard"),
        yard.row("failed", "2.yard", code=-9),
        yard.row("cancelled", "3.yard"),
    )
    yard.say("bcode", '[{"id": "1.yard", "state": "unknown", "code": 4}]')
    ids = [f"{number}.yard" for number in range(4)]
    found = provider.status(ids)
    assert [found[one].exit_code for one in ids] == [0, 4, -9, None]
    assert yard.calls("bcode") == ["1.yard"], "nobody else had to be asked"


def test_an_exit_code_that_cannot_be_had_keeps_no_end_back(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make()
    provider.submit(job())
    yard.queue(yard.row("failed"))
    yard.say("bcode", "garbage")
    status = look(provider)
    assert (status.state, status.exit_code) == (JobState.FAILED, None)


def test_few_commands_ask_about_all_jobs_and_none_about_those_that_ended(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make()
    ids: Sequence[str] = [f"{number}.yard" for number in range(4)]
    for one in ids:
        yard.say("bsubmit", one)
        provider.submit(job())
    yard.queue(*(yard.row("running", one) for one in ids[1:]), yard.row("cancelled", ids[0]))
    for _ in range(2):
        provider.status([*ids, *ids])
    asked = [call.split() for call in yard.calls("bqueue")]
    assert asked == [["0.yard", "1.yard", "2.yard"], ["3.yard"], ["1.yard", "2.yard", "3.yard"]]


def test_a_call_has_an_end_however_many_questions_there_are(
    yard: Yard, make: Make, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there was no time for is asked next time, and has not ended until then."""
    provider = make()
    ids = [f"{number}.yard" for number in range(7)]
    for one in ids:
        yard.say("bsubmit", one)
        provider.submit(job())
    clock = SimpleNamespace(monotonic=lambda: 25.0 * len(yard.calls("bqueue")))
    monkeypatch.setattr("weft.batch.provider.time", clock)
    yard.queue(*(yard.row("running", one) for one in ids[:2]))

    states = [one.state.value for one in provider.status(ids).values()]

    assert [call.split()[0] for call in yard.calls("bqueue")] == ["0.yard", "3.yard", "6.yard"]
    assert states == ["running"] * 2 + ["unknown"] * 5
    assert not yard.calls("bpast")
    assert "there was no time left" in provider.status(ids)["6.yard"].reason
    with pytest.raises(RuntimeError, match="no time left"):
        provider.listed(dict.fromkeys([f"{number}.yard" for number in range(12)], "weft-1"))


def test_ids_of_others_are_answered_too(yard: Yard, make: Make) -> None:
    provider = make()
    yard.queue(yard.row("running", "1.yard"))
    yard.past(yard.row("failed", "2.yard", code=3))
    found = provider.status(["1.yard", "2.yard", "3.yard", "no id; rm -rf"])
    assert [one.state.value for one in found.values()] == [
        "running",
        "failed",
        "unknown",
        "unknown",
    ]
    assert found["2.yard"].exit_code == 3
    assert "no id of a job of Yard" in found["no id; rm -rf"].reason
    assert "rm -rf" not in "".join(yard.calls("bqueue"))


# ------------------------------------------------------------------------------------------ the end


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (("cancelled", None), JobState.CANCELLED),
        (("failed", None), JobState.CANCELLED),  # by the signal that it was sent
        (("failed", 143), JobState.CANCELLED),
        (("failed", 3), JobState.FAILED),  # by itself, before it was heard
        (("done", 0), JobState.DONE),
        (("expired", None), JobState.EXPIRED),
        ((None, None), JobState.CANCELLED),
        ((None, 3), JobState.FAILED),
    ],
)
def test_how_a_job_ends_that_was_cancelled(
    yard: Yard, make: Make, job: MakeJob, words: tuple[str | None, int | None], state: JobState
) -> None:
    seen, code = words
    provider = make()
    asked = job()
    provider.submit(asked)
    provider.cancel(["7.yard"])
    if code is not None:
        left(asked, code)
    if seen is not None:
        yard.queue(yard.row(seen))
    assert look(provider).state is state


def test_what_cannot_be_cancelled_is_told_with_the_line_to_try(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make()
    provider.submit(job())
    yard.say("bcancel", err="bcancel: no such job", code=1)
    provider.cancel(["7.yard", "no-id"])
    assert yard.calls("bcancel") == ["7.yard"]
    yard.say("bcancel", err="bcancel: no daemon", code=1)
    with pytest.raises(WeftError, match=r"could not be cancelled: 7\.yard") as caught:
        provider.cancel(["7.yard"])
    assert "no daemon" in caught.value.why
    assert "'bcancel 7.yard'" in caught.value.todo


def test_one_that_was_not_heard_to_be_cancelled_may_still_end_otherwise(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make()
    provider.submit(job())
    yard.say("bcancel", err="bcancel: no daemon", code=1)
    with pytest.raises(WeftError):
        provider.cancel(["7.yard"])
    assert look(provider).state is JobState.UNKNOWN


def test_close_cancels_what_is_left_and_what_is_doubtful(
    yard: Yard, make: Make, job: MakeJob
) -> None:
    provider = make()
    provider.submit(job())
    yard.say("bsubmit", "Welcome!\n")
    lost = job()
    with pytest.raises(WeftError):
        provider.submit(lost)
    yard.queue(
        yard.row("running", "8.yard", name=lost.name, path=str(lost.folder)),
        yard.row("failed", "9.yard", name=lost.name, path=str(lost.folder), stuck=True),
        yard.row("failed", "10.yard", name=lost.name, path=str(lost.folder)),
    )
    provider.close()
    assert yard.calls("bcancel") == ["8.yard 9.yard", "7.yard"]
    with pytest.raises(WeftError, match="has been closed"):
        provider.submit(job())


def test_only_what_is_ours_is_listed(yard: Yard, make: Make) -> None:
    provider = make()
    me = getpass.getuser()
    yard.queue(
        yard.row("running", "1.yard", user=me, name="weft-1"),
        yard.row("running", "2.yard", user=f"not-{me}", name="weft-1"),
        yard.row("running", "3.yard", user=me, name="other"),
        yard.row("done", "4.yard", user=me, name="weft-1"),
        yard.row("queued", "5.yard", name="weft-1"),
        yard.row("failed", "6.yard", name="weft-1", stuck=True),
        yard.row("queued", "9.yard", user=me, name="weft-1"),
    )
    jobs = {f"{number}.yard": "weft-1" for number in range(1, 7)}
    assert set(provider.listed({**jobs, "no-id": "weft-1"})) == {"1.yard", "5.yard", "6.yard"}
    assert not any("no-id" in call for call in yard.calls("bqueue"))
    yard.say("bqueue", err=DOWN, code=1)
    with pytest.raises(RuntimeError, match="no daemon"):
        provider.listed(jobs)
