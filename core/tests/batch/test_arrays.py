"""Several jobs by one submission: each has its own folder, script, variables and end."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from weft.batch.arrays import _stem
from weft.batch.dialect import Seen
from weft.errors import SubmitLater, WeftError
from weft.values.jobs import Job, JobState

if TYPE_CHECKING:
    from core.tests.batch.conftest import MakeArrays, MakeJob, Yard


def test_jobs_are_handed_over_by_one_line_and_told_apart(
    yard: Yard, make_arrays: MakeArrays, job: MakeJob
) -> None:
    provider = make_arrays()
    jobs = [job(f"exit {n}", environment={"TOKEN": f"hush-{n}"}, nodes=2) for n in range(4)]
    assert provider.submit_all(jobs) == ["7.yard", "8.yard", "9.yard", "10.yard"]
    assert yard.calls("bsubmit") == [f"-N weft -t 4 {jobs[0].folder}/array"]
    yard.queue(*(yard.row("running", f"{n}.yard") for n in (7, 8, 9)))
    found = provider.status(["7.yard", "8.yard", "9.yard", "10.yard"])
    assert [one.state.value for one in found.values()] == ["running"] * 3 + ["unknown"]
    assert [one.stdout for one in found.values()] == [one.folder / "job.out" for one in jobs]
    provider.close()
    assert yard.calls("bcancel") == ["7.yard 8.yard 9.yard", "10.yard"]


def test_each_number_runs_its_own_job(yard: Yard, make_arrays: MakeArrays, job: MakeJob) -> None:
    provider = make_arrays()
    jobs = [job(f"echo {n} $SAID; exit {n}", environment={"SAID": f"<{n}>"}) for n in range(3)]
    provider.submit_all(jobs)
    for number, one in enumerate(jobs):
        done = subprocess.run(
            ["/bin/sh", jobs[0].folder / "array" / "job.sh"],
            env={**os.environ, "YARD_INDEX": str(number)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.stdout, done.returncode) == (f"{number} <{number}>\n", number)
        assert (one.folder / "job.code").read_text() == f"{number}\n"
    found = provider.status(["7.yard", "8.yard", "9.yard"])
    assert [one.exit_code for one in found.values()] == [0, 1, 2]


def test_nothing_of_it_can_be_read_by_others(
    yard: Yard, make_arrays: MakeArrays, job: MakeJob
) -> None:
    jobs = [job(environment={"TOKEN": "hush-hush"}) for _ in range(2)]
    make_arrays().submit_all(jobs)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for one in jobs
        for path in one.folder.iterdir()
    }
    assert modes == {
        "array": 0o700,
        "job.sh": 0o700,
        "job.env": 0o600,
        "job.out": 0o600,
        "job.err": 0o600,
    }
    assert "hush" not in "".join(yard.calls("bsubmit"))


def test_more_than_an_array_has_and_jobs_that_differ_are_several(
    yard: Yard, make_arrays: MakeArrays, job: MakeJob
) -> None:
    provider = make_arrays()
    many = [job() for _ in range(12)]
    assert len(provider.submit_all(many)) == 12
    other = Job(name="other", command="true", folder=job().folder)
    provider.submit_all([job(nodes=2), job(nodes=3), other])
    asked = [call.split()[:4] for call in yard.calls("bsubmit")]
    assert [words[3] for words in asked] == ["10", "2", "1", "1", "1"]
    assert asked[-1][1] == "other"


def test_one_that_cannot_be_written_keeps_none_of_the_others_back(
    yard: Yard, make_arrays: MakeArrays, job: MakeJob
) -> None:
    jobs = [job(), job("echo \0"), job()]
    found = make_arrays().submit_all(jobs)
    assert (found[0], found[2]) == ("7.yard", "8.yard")
    assert isinstance(found[1], WeftError)
    assert "NUL" in found[1].why
    assert (jobs[0].folder / "array" / "1").resolve() == jobs[2].folder


def test_what_is_too_much_at_once_is_taken_as_far_as_it_goes(
    yard: Yard, make_arrays: MakeArrays, job: MakeJob
) -> None:
    yard.limit(3)
    found = make_arrays().submit_all([job() for _ in range(8)])
    assert len([one for one in found if isinstance(one, str)]) == 8
    asked = [call.split()[3] for call in yard.calls("bsubmit")]
    assert asked == ["8", "4", "2", "2", "2", "2"]


def test_what_is_too_much_one_by_one_comes_later(
    yard: Yard, make_arrays: MakeArrays, job: MakeJob
) -> None:
    yard.limit(0)
    found = make_arrays().submit_all([job() for _ in range(8)])
    assert {type(one) for one in found} == {SubmitLater}
    assert [call.split()[3] for call in yard.calls("bsubmit")] == ["8", "4", "2", "1"]


def test_what_is_refused_is_refused_for_all_and_asked_for_twice(
    yard: Yard, make_arrays: MakeArrays, job: MakeJob
) -> None:
    yard.say("bsubmit", err="bsubmit: no such queue", code=1)
    found = make_arrays(queue="fast").submit_all([job() for _ in range(5)])
    assert {type(one) for one in found} == {WeftError}
    assert "no such queue" in str(found[4])
    assert [call.split()[3] for call in yard.calls("bsubmit")] == ["5", "1"]


@pytest.mark.parametrize("how", ["killed", "lost", "garbage"])
def test_an_array_of_which_a_submission_did_not_tell_is_cancelled_before_the_next(
    yard: Yard, make_arrays: MakeArrays, job: MakeJob, how: str
) -> None:
    provider = make_arrays()
    match how:
        case "killed":
            yard.say("bsubmit", code="KILL")
        case "lost":
            yard.say("bsubmit", err="bsubmit: connection lost", code=1)
        case "garbage":
            yard.say("bsubmit", "Welcome!")
    jobs = [job() for _ in range(3)]
    found = provider.submit_all(jobs)
    assert all(isinstance(one, WeftError) for one in found)
    assert len(yard.calls("bsubmit")) == 1, "nothing more before it is known"
    script = str(jobs[0].folder / "array" / "job.sh")
    yard.queue(
        yard.row("queued", "8.yard", name="weft", in_array=True, path=script),
        yard.row("queued", "9.yard", name="weft", in_array=True, path=script),
        yard.row("queued", "5.yard", name="weft", in_array=True, path="/another/array/job.sh"),
    )
    yard.say("bsubmit", "20.yard")
    assert provider.submit_all([job(), job()]) == ["20.yard", "21.yard"]
    assert yard.calls("bcancel") == ["8.yard 9.yard"]


def test_where_a_site_has_no_arrays_each_is_handed_over_alone(
    yard: Yard, make_arrays: MakeArrays, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = make_arrays()
    monkeypatch.setattr(type(provider._arrays), "most", 1)
    found = provider.submit_all([job(), job("echo \0"), job()])
    assert isinstance(found[1], WeftError)
    assert [call.split()[:2] for call in yard.calls("bsubmit")] == [
        ["-N", "weft-1"],
        ["-N", "weft-3"],
    ]
    yard.say("bsubmit", "Welcome!")
    found = provider.submit_all([job(), job()])
    assert [type(one) for one in found] == [WeftError, SubmitLater]


def test_after_close_nothing_is_taken(make_arrays: MakeArrays, job: MakeJob) -> None:
    provider = make_arrays()
    provider.close()
    with pytest.raises(WeftError, match="has been closed"):
        provider.submit_all([job(), job()])


def test_a_part_of_an_array_is_listed_by_what_its_name_begins_with() -> None:
    seen = Seen(id="7", state=JobState.QUEUED, name="weft-htex", in_array=True)
    assert seen.has_name("weft-htex-12")
    assert not seen.has_name("weft-other-1")
    assert not attrs.evolve(seen, in_array=False).has_name("weft-htex-12")
    assert attrs.evolve(seen, name="").has_name("whatever")


@pytest.mark.parametrize(
    ("names", "stem"),
    [
        (("weft-htex-1", "weft-htex-2"), "weft-htex"),
        (("weft-htex-1", "weft-htex-10"), "weft-htex"),
        (("weft-htex2-9", "weft-htex2-10"), "weft-htex2"),
        (("weft-htex-1",), "weft-htex-1"),
        (("one", "two"), ""),
    ],
)
def test_an_array_has_the_name_that_its_jobs_share(names: tuple[str, ...], stem: str) -> None:
    assert _stem([Job(name=one, command="", folder=Path("/x")) for one in names]) == stem
