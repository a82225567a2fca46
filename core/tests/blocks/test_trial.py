"""One tiny job: each step is told, trouble is named, and nothing is left behind."""

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from weft import __version__
from weft.blocks.trial import Place, Trial, judged, places, probe_command
from weft.builtin.launchers import SimpleLauncher, SingleNodeLauncher
from weft.builtin.local_provider import LocalProvider
from weft.builtin.settings import Local, Simple, SingleNode
from weft.errors import SubmitLater, WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Paced, Provider, Telling
from weft.testing import FakeContext
from weft.values.jobs import Job, JobId, JobState, JobStatus
from weft.values.problem import Finding, Severity

HERE = Place(host="here", python=platform.python_version(), weft=__version__, cores=2)


class Scripted(Provider, Paced, Telling):
    """Says of its job what it was told to say, one thing after another, the last for ever."""

    interval, patience = 0.01, 1.0

    def __init__(self, *says: JobStatus, ends: bool = True) -> None:
        self.says = list(says)
        self.ends = ends
        self.refusals: list[WeftError] = []
        self.done: list[str] = []
        self.at_close: Exception | None = None

    def watch(self, changed: Callable[[], None]) -> None:
        self.changed = changed

    def start(self, context: Context) -> None:
        self.done.append("start")

    def submit(self, job: Job) -> JobId:
        if self.refusals:
            raise self.refusals.pop(0)
        self.done.append("submit")
        return "7"

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        if "cancel" in self.done and self.ends:
            return dict.fromkeys(ids, JobStatus(state=JobState.CANCELLED))
        self.changed()
        says = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        return dict.fromkeys(ids, says)

    def cancel(self, ids: Sequence[JobId]) -> None:
        self.done.append("cancel")

    def close(self) -> None:
        self.done.append("close")
        if self.at_close is not None:
            raise self.at_close


class Clock:
    """Goes on by a second with each look at it."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def trial(provider: Provider, tmp_path: Path, **more: Any) -> Trial:
    more = {"launcher": SimpleLauncher(Simple()), **more}
    return Trial(provider=provider, context=FakeContext(tmp_path), folder=tmp_path, **more)


def text(findings: Sequence[Finding]) -> str:
    return "\n".join(f"{one.what} {one.why} {one.remedy}".strip() for one in findings)


def status(state: JobState, **more: Any) -> JobStatus:
    return JobStatus(state=state, **more)


# ------------------------------------------------------------------------- a job of this machine


def test_a_job_of_this_machine_is_told_step_by_step(tmp_path: Path) -> None:
    made = trial(LocalProvider(Local()), tmp_path)

    told = list(made.steps())

    assert made.well, text(told)
    assert [one.severity for one in told] == [None] * len(told)
    assert told[1].what.startswith("Submitted as job local-1")
    assert platform.node() in told[-1].what
    assert platform.python_version() in told[-1].what
    assert f"weft {__version__}" in told[-1].what


def test_a_python_that_is_not_on_the_nodes_is_named(tmp_path: Path) -> None:
    command = probe_command("/no/such/python")
    made = trial(LocalProvider(Local()), tmp_path, command=command)

    told = list(made.steps())

    assert not made.well
    assert "exit code 127" in told[-1].what
    assert "/no/such/python" in told[-1].why
    assert "the executor's option python" in told[-1].remedy


def test_what_runs_before_it_is_run(tmp_path: Path) -> None:
    command = probe_command(sys.executable, init="echo loaded; exit 3")
    made = trial(LocalProvider(Local()), tmp_path, command=command)

    told = list(made.steps())

    assert "exit code 3" in told[-1].what
    assert "loaded" in told[-1].why


def test_a_launcher_that_cannot_is_quoted(tmp_path: Path) -> None:
    provider = Scripted(status(JobState.QUEUED))
    launcher = SingleNodeLauncher(SingleNode())
    made = trial(provider, tmp_path, nodes=2, launcher=launcher)

    told = list(made.steps())

    assert not made.well
    assert told[-1].severity is Severity.ERROR
    assert "node" in told[-1].what
    assert provider.done == ["start", "close"]


# ------------------------------------------------------------------------- what goes wrong


def test_a_job_that_waits_shows_why_and_is_cancelled_in_the_end(tmp_path: Path) -> None:
    waits = status(JobState.QUEUED, reason="PartitionDown")
    provider = Scripted(status(JobState.QUEUED, reason="Priority"), waits)
    made = trial(provider, tmp_path, timeout=60.0, clock=Clock())

    told = list(made.steps())

    assert not made.well
    assert "it is queued (Priority)" in text(told)
    assert "The scheduler says: PartitionDown." in text(told)
    assert "--timeout" in text(told)
    assert told[-1].what == "Job 7 is cancelled."
    assert provider.done == ["start", "submit", "cancel", "close"]


def test_a_job_that_does_not_go_away_is_named(tmp_path: Path) -> None:
    provider = Scripted(status(JobState.RUNNING, reason="hangs"), ends=False)
    made = trial(provider, tmp_path, timeout=20.0, clock=Clock())

    told = list(made.steps())

    assert told[-1].what == "Job 7 was cancelled, and is running still."
    assert provider.done[-1] == "close"


def test_a_refusal_has_the_words_of_the_scheduler(tmp_path: Path) -> None:
    provider = Scripted(status(JobState.QUEUED))
    provider.refusals = [WeftError("No.", why="sbatch says: invalid account.", todo="Name yours.")]
    made = trial(provider, tmp_path)

    told = list(made.steps())

    assert told[-1] == Finding(
        what="No.",
        severity=Severity.ERROR,
        why="sbatch says: invalid account.",
        remedy="Name yours.",
    )
    assert not made.well
    assert provider.done == ["start", "close"]


def test_what_is_not_taken_now_is_handed_over_again(tmp_path: Path) -> None:
    provider = Scripted(status(JobState.QUEUED), status(JobState.FAILED, exit_code=9))
    provider.refusals = [SubmitLater("the controller is busy")]

    told = list(trial(provider, tmp_path).steps())

    assert "the controller is busy" in text(told)
    assert "Submitted as job 7" in text(told)
    assert "failed, exit code 9" in text(told)


def test_a_scheduler_that_never_takes_it_ends_the_trial(tmp_path: Path) -> None:
    provider = Scripted(status(JobState.QUEUED))
    provider.refusals = [SubmitLater("too many jobs") for _ in range(50)]
    made = trial(provider, tmp_path, timeout=8.0, clock=Clock())

    told = list(made.steps())

    assert not made.well
    assert "too many jobs" in told[-1].why
    assert provider.done == ["start", "close"]


def test_an_end_that_leaves_something_is_no_success(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text(f"weft-probe {_said(HERE)}\n")
    provider = Scripted(status(JobState.DONE, exit_code=0, stdout=out))
    provider.at_close = RuntimeError("scancel: timed out")
    made = trial(provider, tmp_path)

    told = list(made.steps())

    assert not made.well
    assert told[-1].why == "scancel: timed out"


def test_whoever_stops_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    provider = Scripted(status(JobState.RUNNING))
    made = trial(provider, tmp_path)
    steps = made.steps()
    while "Submitted" not in next(steps).what:
        pass

    steps.close()

    assert provider.done[-1] == "close"
    assert not made.well


# --------------------------------------------------------------------------------- where it has run


def _said(place: Place) -> str:
    import json

    return json.dumps(attrs.asdict(place))


def test_places_are_found_among_what_else_a_job_writes() -> None:
    output = "\n".join(
        [
            "Lmod: loading",
            f"node1: weft-probe {_said(HERE)}",
            "weft-probe {broken",
            "weft-probe [1]",
            f"weft-probe {_said(attrs.evolve(HERE, host='there'))}",
        ]
    )

    assert [place.host for place in places(output)] == ["here", "there"]


def test_all_is_well_where_all_is_the_same() -> None:
    told = list(judged([HERE, attrs.evolve(HERE, host="there")], 2))

    assert [one.severity for one in told] == [None, None]


@pytest.mark.parametrize(
    ("seen", "nodes", "severity", "words"),
    [
        ([HERE], 2, Severity.ERROR, "ran on 1 of 2 nodes"),
        ([attrs.evolve(HERE, python="3.6.8")], 1, Severity.ERROR, "Nodes have Python 3.6.8"),
        ([attrs.evolve(HERE, weft="")], 1, Severity.ERROR, "no weft for that Python on here"),
        ([attrs.evolve(HERE, weft="0.0.1")], 1, Severity.WARNING, "Nodes have weft 0.0.1"),
    ],
)
def test_what_is_wrong_with_nodes_is_said(
    seen: list[Place], nodes: int, severity: Severity, words: str
) -> None:
    wrong = [one for one in judged(seen, nodes) if one.severity is not None]

    assert [one.severity for one in wrong] == [severity]
    assert words in wrong[0].what
    assert wrong[0].remedy
