"""The right number of blocks, whatever becomes of them and of their provider."""

import stat
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.blocks.keeper import BlockCommand
from weft.blocks.lifecycle import Patience
from weft.blocks.scaling import BlockLimits, BlockUse, Decision, Load
from weft.errors import BlockFailed, SubmitLater, WeftError
from weft.interfaces.provider import Lasting, Paced, Several, Telling
from weft.testing import FakeLauncher, FakeProvider
from weft.values.blocks import BlockState
from weft.values.events import BlockChanged
from weft.values.jobs import Job, JobId, JobState, JobStatus

Make = Callable[..., Any]

# ---------------------------------------------------------------------------------------- the start


def test_the_first_blocks_are_asked_for_at_once(bench: Make) -> None:
    one = bench(init=3, max=5)

    one.open()

    assert one.states() == ["queued"] * 3
    assert list(one.fake.jobs) == ["job-1", "job-2", "job-3"]


def test_a_block_is_a_job_with_a_folder_of_its_own(bench: Make) -> None:
    one = bench(nodes=2, command=BlockCommand(text="run", environment={"A": "1"}))

    one.open()

    job = one.fake.jobs["job-1"]
    assert job.name == "weft-cpu-1"
    assert job.command == "# 2 nodes, 1 on each\nrun"
    assert (job.nodes, job.environment) == (2, {"A": "1"})
    assert job.folder == one.context.folder / "blocks" / "cpu-1"
    assert stat.S_IMODE(job.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(job.folder.parent.stat().st_mode) == 0o700


def test_what_becomes_of_a_block_is_told(bench: Make) -> None:
    one = bench()
    one.open()
    one.up(1)

    one.fake.lose("job-1", "node down")
    one.left(1)
    one.go(1.0)

    assert [state for block, state in one.owner.moves if block == "cpu-1"] == [
        "requested",
        "queued",
        "ready",
        "ready",
        "lost",
    ]
    told = [event for event in one.context.told if isinstance(event, BlockChanged)]
    assert [(event.block, event.state) for event in told] == one.owner.moves
    lost = next(event for event in told if event.state is BlockState.LOST)
    assert (lost.executor, lost.job, lost.reason) == ("cpu", "job-1", "node down")
    assert lost.managers == 0
    assert lost.time > 1e9


def test_a_block_that_runs_is_starting_until_a_manager_registers(bench: Make) -> None:
    one = bench()
    one.open()

    one.fake.begin("job-1")
    one.go(1.0)
    assert one.states() == ["starting"]

    one.up(1)
    assert one.states() == ["ready"]
    assert one.block(1).managers == 1


def test_the_first_blocks_stay_until_one_has_come_up(bench: Make) -> None:
    one = bench(init=2, max=2, max_idle=10.0)
    one.open()

    one.go(86400.0)

    assert one.states() == ["queued", "queued"]


# ------------------------------------------------------------------------------------ with the load


def test_blocks_grow_with_the_load_up_to_max(bench: Make) -> None:
    one = bench(init=0, max=3, tasks_per_block=4)
    one.open()
    assert one.states() == []

    one.load(waiting=5)
    assert one.states() == ["queued"] * 2

    one.load(waiting=500)
    assert one.states() == ["queued"] * 3


def test_idle_blocks_are_drained_and_then_ended(bench: Make) -> None:
    one = bench(init=2, max=2, max_idle=100.0)
    one.open()
    one.up(1)
    one.up(2)
    one.load(running=1, busy={"cpu-2": 1})

    one.go(99.0)
    assert one.states() == ["ready", "ready"]
    one.go(2.0)
    assert one.states() == ["draining", "ready"]
    assert one.owner.draining == ["cpu-1"]
    assert one.fake.cancelled == []

    one.drained(1)
    one.go(1.0)
    assert one.fake.cancelled == ["job-1"]
    assert one.states() == ["ended", "ready"]


def test_a_block_that_was_busy_meanwhile_starts_its_idle_time_anew(bench: Make) -> None:
    one = bench(init=1, max=1, max_idle=100.0)
    one.open()
    one.up(1)
    one.go(90.0)
    one.load(running=1, busy={"cpu-1": 1})
    one.load()

    one.go(90.0)
    assert one.states() == ["ready"]
    one.go(11.0)
    assert one.states() == ["draining"]


def test_no_block_counts_as_idle_while_it_is_not_known_where_tasks_run(bench: Make) -> None:
    one = bench(init=2, max=2, max_idle=10.0)
    one.open()
    one.up(1)
    one.up(2)
    one.load(running=1)

    one.go(1000.0)

    assert one.states() == ["ready", "ready"]


def test_how_long_a_block_has_been_idle_is_for_its_executor_to_say(bench: Make) -> None:
    one = bench(init=2, max=2, max_idle=100.0)
    one.open()
    one.up(1)
    one.up(2)
    one.go(50.0)
    # Each time the executor looked it had no task; but it had one in between.
    one.load(waiting=1, idle={"cpu-1": 1.0, "cpu-2": 50.0})
    one.go(51.0)
    assert one.states() == ["ready", "draining"]

    one.load(idle={"cpu-1": 99.0})
    one.go(1.1)
    assert one.states() == ["draining", "draining"]


def test_a_block_that_was_used_just_now_is_not_idle_until_more_is_said_of_it(bench: Make) -> None:
    one = bench(init=1, max=1, max_idle=100.0)
    one.open()
    one.up(1)
    one.go(99.0)
    one.load(idle={"cpu-1": 0.0})
    one.go(1000.0)
    assert one.states() == ["ready"]

    one.load(idle={"cpu-1": 100.0})
    one.go(1.0)
    assert one.states() == ["draining"]


def test_the_tasks_of_a_block_that_drains_keep_no_other_for_themselves(bench: Make) -> None:
    one = bench(init=2, max=2, max_idle=10.0)
    one.open()
    one.up(1)
    one.up(2)
    one.load(waiting=1)
    one.go(11.0)
    assert one.states() == ["draining", "ready"]

    # While that was decided, the task was on its way to the one that drains.
    one.load(running=1, busy={"cpu-1": 1})
    one.go(1.0)
    assert one.states() == ["draining", "draining"]

    one.load(waiting=1, running=1, busy={"cpu-1": 1})
    assert one.states() == ["draining", "draining"], "there are as many as there may be"
    one.drained(2)
    one.go(1.0)
    assert one.states() == ["draining", "ended", "queued"]


def test_the_least_number_of_blocks_is_kept(bench: Make) -> None:
    one = bench(init=2, min=1, max=2, max_idle=10.0)
    one.open()
    one.up(1)
    one.up(2)

    one.go(1000.0)

    assert sorted(one.states()) == ["draining", "ready"]


def test_blocks_that_still_wait_for_machines_are_withdrawn_when_not_needed(bench: Make) -> None:
    one = bench(init=1, max=2, max_idle=10.0)
    one.open()
    one.up(1)
    one.load(waiting=2)
    assert one.states() == ["ready", "queued"]

    one.load(running=1, busy={"cpu-1": 1})
    one.go(12.0)

    assert one.states() == ["ready", "ended"]
    assert one.fake.cancelled == ["job-2"]


def test_a_block_that_drains_counts_for_max(bench: Make) -> None:
    one = bench(init=1, max=1, max_idle=10.0)
    one.open()
    one.up(1)
    one.go(11.0)
    one.load(waiting=1)
    assert one.states() == ["draining"]

    one.drained(1)
    one.go(1.0)

    assert one.states() == ["ended", "queued"]


def test_a_manager_that_registers_in_a_block_that_drains_is_drained_too(bench: Make) -> None:
    one = bench(init=1, max=1, max_idle=10.0)
    one.open()
    one.up(1)
    one.go(11.0)

    one.up(1, "m2")

    assert one.owner.draining == ["cpu-1", "cpu-1"]


def test_nothing_is_due_when_all_is_settled(bench: Make) -> None:
    one = bench(init=1, min=1, max=1, max_idle=10.0)
    one.open()
    one.up(1)
    one.go(20.0)
    asked = one.fake.asked

    assert one.keeper.due() is None
    one.go(86400.0)
    assert one.fake.asked == asked


class Outlasting(FakeProvider, Lasting):
    """Its jobs may outlive their client."""

    site = "here"

    def listed(self, jobs: Mapping[JobId, str]) -> Sequence[JobId]:
        return list(jobs)


def test_a_block_that_works_and_that_its_scheduler_has_given_up_is_given_up(bench: Make) -> None:
    one = bench(provider=Outlasting(), init=1, max=1)
    one.open()
    one.up(1)
    one.load(waiting=1)
    one.go(20.0)
    assert one.states() == ["ready"]

    one.fake.lose("job-1", "NODE_FAIL")
    one.go(31.0)

    assert one.states() == ["lost", "queued"]
    assert one.block(1).reason == "NODE_FAIL"


def test_a_scheduler_is_asked_about_blocks_that_work_as_seldom_as_it_likes(bench: Make) -> None:
    class Slow(Outlasting, Paced):
        interval = 60.0
        patience = 30.0

    one = bench(provider=Slow(), init=2, max=2)
    one.open()
    for number in (1, 2):
        one.up(number)
    one.load(waiting=2)
    one.go(120.0)
    asked = one.fake.asked
    one.go(600.0)
    assert one.fake.asked == asked + 10
    one.fake.silent = True
    one.go(600.0)
    assert one.states() == ["ready", "ready"], "what is not known is no end"


def test_the_strategy_none_neither_grows_nor_shrinks(bench: Make) -> None:
    one = bench(init=2, max=5, strategy="none", max_idle=1.0)
    one.open()
    one.up(1)
    one.up(2)
    one.load(waiting=1000)
    one.load()
    one.go(1000.0)
    assert one.states() == ["ready", "ready"]

    one.fake.lose("job-1")
    one.left(1)
    one.go(10.0)
    assert one.states() == ["lost", "ready", "queued"]


class Odd:
    """A strategy that decides what the test says."""

    def __init__(self, decision: Any) -> None:
        self.decision = decision

    def decide(self, load: Load, blocks: Sequence[BlockUse], limits: BlockLimits) -> Decision:
        if isinstance(self.decision, Exception):
            raise self.decision
        made: Decision = self.decision
        return made


def test_a_strategy_can_be_replaced_and_is_held_within_the_limits(bench: Make) -> None:
    one = bench(init=1, max=3, strategy=Odd(Decision(wanted=100)))
    one.open()

    assert len(one.alive()) == 3


@pytest.mark.parametrize("decision", [RuntimeError("no idea"), None, 7])
def test_a_strategy_that_breaks_is_told_of_once_and_replaced(bench: Make, decision: Any) -> None:
    one = bench(init=0, max=3, strategy=Odd(decision))
    one.open()
    one.load(waiting=2)
    one.load(waiting=3)

    assert len(one.alive()) == 3
    assert len(one.notices("strategy Odd")) == 1


# ----------------------------------------------------------------------------------------- walltime


def test_a_replacement_is_asked_for_before_the_last_block_ends(bench: Make) -> None:
    one = bench(init=1, max=2, walltime=1000.0, replace_ahead=100.0)
    one.open()
    one.up(1)
    one.load(waiting=1, running=0, busy={"cpu-1": 1})
    one.load(waiting=1, running=1, busy={"cpu-1": 1})
    one.fake.begin("job-1")
    before = len(one.alive())

    one.go(899.0)
    assert len(one.alive()) == before == 2


def test_a_replacement_comes_in_time_when_work_waits(bench: Make) -> None:
    one = bench(init=1, max=2, tasks_per_block=10, walltime=1000.0, replace_ahead=100.0)
    one.open()
    one.up(1)
    assert one.block(1).ends == pytest.approx(1e9 + 2000.0)
    one.load(waiting=1, running=9, busy={"cpu-1": 9})

    one.go(899.0)
    assert one.states() == ["ready"]
    one.go(2.0)
    assert one.states() == ["ready", "queued"]


def test_a_block_at_the_end_of_its_time_has_not_failed(bench: Make) -> None:
    one = bench(init=1, min=1, max=1, walltime=1000.0)
    one.open()
    one.up(1)

    one.fake.expire("job-1")
    one.left(1)
    one.go(1.0)

    assert one.states() == ["ended", "queued"]
    assert one.block(1).reason == "time limit"
    assert one.context.notices == []


# --------------------------------------------------------------------------------- blocks that fail


def dead(one: Any, number: int, code: int = 1) -> None:
    one.go(2.0)
    one.fake.finish(f"job-{number}", code)
    one.go(5.0)


def test_three_starts_in_a_row_that_fail_are_enough(bench: Make) -> None:
    one = bench(init=1, max=1)
    one.open()

    dead(one, 1)
    dead(one, 2)
    assert one.owner.errors == []
    dead(one, 3, 127)

    (error,) = one.owner.errors
    assert isinstance(error, BlockFailed)
    assert error.starts == 3
    assert error.facts["exit code"] == "127"
    assert error.facts["scheduler"] == "exit code 127"
    assert "run-manager" in error.facts["command"]
    assert "3 blocks in a row ended before a manager registered" in str(error)
    one.load(waiting=100)
    one.go(1000.0)
    assert len(one.fake.jobs) == 3


def test_it_takes_less_than_ten_seconds_where_blocks_die_at_once(bench: Make) -> None:
    class Dying(FakeProvider):
        def submit(self, job: Job) -> JobId:
            job_id = super().submit(job)
            self.finish(job_id, 1)
            return job_id

    one = bench(provider=Dying())
    one.open()
    began = one.clock()
    while not one.owner.errors:
        one.go(0.1)

    assert one.clock() - began < 4.0


def test_a_block_that_registers_makes_good_for_those_before_it(bench: Make) -> None:
    one = bench(init=1, max=1, min=1)
    one.open()
    for number in (1, 2):
        dead(one, number)
    one.up(3)
    one.fake.lose("job-3")
    one.left(3)
    one.go(1.0)
    for number in (4, 5):
        dead(one, number)

    assert one.owner.errors == []
    assert one.states()[-1] == "queued"


def test_blocks_that_work_are_not_ended_because_others_fail(bench: Make) -> None:
    one = bench(init=1, max=2)
    one.open()
    one.up(1)
    one.load(waiting=10)
    for number in range(2, 8):
        one.go(200.0)
        dead(one, number)

    assert one.owner.errors == []
    assert one.states()[0] == "ready"
    one.fake.lose("job-1")
    one.left(1)
    one.go(1.0)
    dead(one, 8)
    assert len(one.owner.errors) == 1


def test_a_block_that_vanishes_is_replaced_at_once_while_it_is_wanted(bench: Make) -> None:
    one = bench(init=1, max=1)
    one.open()
    one.up(1)
    one.load(running=1, busy={"cpu-1": 1})
    one.fake.lose("job-1", "NODE_FAIL")

    one.left(1)
    one.go(0.5)

    assert one.states() == ["lost", "queued"]
    assert one.block(1).reason == "NODE_FAIL"
    assert len(one.notices("is lost")) == 1
    assert one.owner.errors == []


def test_blocks_that_vanish_young_are_replaced_at_once_but_no_faster_than_a_scheduler_bears(
    bench: Make,
) -> None:
    one = bench(init=1, max=1)
    one.open()
    one.load(waiting=100)
    lives = []
    for number in range(1, 12):
        lives.append(one.clock())
        one.up(number)
        one.go(1.0)
        one.fake.lose(f"job-{number}", "NODE_FAIL")
        one.left(number)
        while f"job-{number + 1}" not in one.fake.jobs:
            one.go(0.5)
            assert one.clock() < lives[-1] + 20.0, "not replaced"
    gaps = [after - before for before, after in pairwise(lives)]

    assert max(gaps[:5]) <= 2.0
    assert min(gaps[5:]) >= 10.0
    assert max(gaps) <= 12.0
    assert one.owner.errors == []


def test_a_block_that_vanishes_is_not_replaced_when_there_is_nothing_to_do(bench: Make) -> None:
    one = bench(init=1, max=1)
    one.open()
    one.up(1)
    one.fake.lose("job-1")
    one.left(1)
    one.go(100.0)

    assert one.states() == ["lost"]


def test_a_block_whose_managers_are_gone_is_cancelled_and_replaced(bench: Make) -> None:
    one = bench(init=1, max=1)
    one.open()
    one.up(1)
    one.load(waiting=1)

    one.left(1)
    one.go(6.0)

    assert one.fake.cancelled == ["job-1"]
    assert one.states() == ["lost", "queued"]


def test_the_provider_is_asked_at_once_about_a_block_whose_manager_cannot_be_reached(
    bench: Make,
) -> None:
    one = bench(init=1, max=1)
    one.open()
    one.up(1)
    one.load(waiting=1)
    asked = one.calls.made.count("status")
    one.go(60.0)
    assert one.calls.made.count("status") == asked  # a manager says more than a provider

    one.doubted(1)
    assert one.calls.made.count("status") == asked + 1
    assert one.states() == ["ready"]
    one.fake.lose("job-1")
    one.go(0.5)

    assert one.states() == ["lost", "queued"]


def test_a_block_that_can_be_reached_again_goes_on(bench: Make) -> None:
    one = bench(init=1, max=1)
    one.open()
    one.up(1)
    one.load(waiting=1)

    one.doubted(1)
    one.go(3.0)
    one.doubted(1, False)
    one.go(1.0)
    asked = one.calls.made.count("status")
    one.go(100.0)

    assert one.states() == ["ready"]
    assert one.calls.made.count("status") == asked
    assert one.fake.cancelled == []


def test_a_block_that_does_not_register_is_told_of_with_its_addresses(bench: Make) -> None:
    log = Path("/logs/manager.log")
    command = BlockCommand(text="run", addresses=("tcp://a:1", "tcp://b:2"), log=log)
    one = bench(command=command)
    one.open()
    one.fake.begin("job-1")

    one.go(59.0)
    assert one.context.notices == []
    one.go(3.0)

    (notice,) = one.notices("no manager of it has registered")
    assert "cpu-1 (job job-1)" in notice
    assert "tcp://a:1, tcp://b:2" in notice
    assert "/logs/manager.log" in notice
    assert one.context.notices[0][0] == "warning"


def test_blocks_that_never_register_come_to_an_error(bench: Make) -> None:
    one = bench(patience=Patience(start=100.0))
    one.open()
    for number in (1, 2, 3):
        one.fake.begin(f"job-{number}")
        one.go(110.0)

    (error,) = one.owner.errors
    assert "no manager has registered" in str(error)
    assert one.fake.cancelled == ["job-1", "job-2", "job-3"]


def test_a_block_that_waits_for_machines_is_told_of_with_the_reason(bench: Make) -> None:
    class Down(FakeProvider):
        def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
            return dict.fromkeys(ids, JobStatus(state=JobState.QUEUED, reason="PartitionDown"))

    one = bench(provider=Down())
    one.open()
    one.go(70.0)

    assert one.notices("has waited for machines for 60 s. The scheduler says: PartitionDown")
    assert one.block(1).reason == "PartitionDown"


# ------------------------------------------------------------------------------ providers that fail


class Provider(FakeProvider):
    """Raises or gives what the test says, once for each thing in the list; then it works."""

    def __init__(self) -> None:
        super().__init__()
        self.instead: dict[str, list[Any]] = {"submit": [], "status": [], "cancel": [], "close": []}

    def _take(self, what: str, otherwise: Callable[[], Any]) -> Any:
        if not self.instead[what]:
            return otherwise()
        thing = self.instead[what].pop(0)
        if isinstance(thing, BaseException):
            raise thing
        return thing

    def submit(self, job: Job) -> JobId:
        made: JobId = self._take("submit", lambda: FakeProvider.submit(self, job))
        return made

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        made: Mapping[JobId, JobStatus] = self._take(
            "status", lambda: FakeProvider.status(self, ids)
        )
        return made

    def cancel(self, ids: Sequence[JobId]) -> None:
        self._take("cancel", lambda: FakeProvider.cancel(self, ids))

    def close(self) -> None:
        self._take("close", lambda: FakeProvider.close(self))


def test_a_submit_command_that_is_missing_comes_to_an_error_in_its_own_words(bench: Make) -> None:
    one = bench(provider=Provider())
    missing = WeftError("sbatch is not there.", why="No such file.", todo="Load the module slurm.")
    one.provider.instead["submit"] = [missing] * 3

    one.open()
    one.go(4.0)

    (error,) = one.owner.errors
    assert "Why: sbatch is not there. No such file." in str(error)
    assert "Do: Load the module slurm." in str(error)
    assert error.__cause__ is missing
    assert error.facts["block"] == "cpu-3 (no job)"
    assert one.states() == ["failed"] * 3


@pytest.mark.parametrize("junk", [None, 5, "", b"job", [], RuntimeError("bug"), KeyError("x")])
def test_junk_from_submit_is_a_failed_start(bench: Make, junk: Any) -> None:
    one = bench(provider=Provider())
    one.provider.instead["submit"] = [junk]

    one.open()
    assert one.states() == ["failed"]
    one.go(1.0)

    assert one.states() == ["failed", "queued"]
    assert one.notices("did not come up")


def test_a_provider_that_cannot_take_a_job_now_is_asked_again(bench: Make) -> None:
    one = bench(provider=Provider())
    later = SubmitLater("QOSMaxSubmitJobPerUserLimit")
    one.provider.instead["submit"] = [later] * 8

    one.open()
    assert one.states() == ["requested"]
    assert "QOSMaxSubmit" in one.block(1).reason
    one.go(2.0)
    assert len(one.provider.instead["submit"]) == 6
    one.go(300.0)

    assert one.states() == ["queued"]
    assert one.owner.errors == []
    assert len(one.notices("could not be handed over")) == 1


def test_a_provider_may_say_when_to_ask_again(bench: Make) -> None:
    one = bench(provider=Provider())
    one.provider.instead["submit"] = [SubmitLater("busy", after=30.0)]

    one.open()
    one.go(29.0)
    assert one.states() == ["requested"]
    one.go(2.0)
    assert one.states() == ["queued"]


def test_a_block_that_could_not_be_handed_over_is_withdrawn_when_not_needed(bench: Make) -> None:
    one = bench(provider=Provider(), init=0, max_idle=10.0)
    one.provider.instead["submit"] = [SubmitLater("busy", after=1000.0)]
    one.open()
    one.load(waiting=1)
    one.keeper._opened = True
    one.load()
    one.go(11.0)

    assert one.states() == ["ended"]
    assert one.fake.jobs == {}


def test_a_submission_that_hangs_is_named_given_up_and_undone_when_it_comes_back(
    bench: Make,
) -> None:
    one = bench()
    one.calls.hangs = {"submit"}
    one.open()

    one.go(11.0)
    assert one.notices("FakeProvider.submit of block cpu-1 has not answered for 10 s")
    one.go(30.0)

    (error,) = one.owner.errors
    assert "has not answered for 40 s" in str(error)
    one.calls.come_back()
    one.keeper.look()
    one.deliver()
    assert one.fake.cancelled == ["job-1"]


def test_a_manager_may_register_though_its_submission_hangs(bench: Make) -> None:
    one = bench()
    one.calls.hangs = {"submit"}
    one.open()
    one.keeper.registered("cpu-1", "m1")

    one.go(100.0)

    assert one.states() == ["ready"]
    assert one.owner.errors == []
    one.calls.come_back()
    one.keeper.look()
    one.deliver()
    assert one.block(1).job == "job-1"
    assert one.fake.cancelled == []


def test_a_submission_that_hangs_beside_blocks_that_are_there_is_one_failed_start(
    bench: Make,
) -> None:
    one = bench(init=1, max=2)
    one.open()
    one.calls.hangs = {"submit"}
    one.load(waiting=10)
    one.go(41.0)

    assert one.owner.errors == []
    assert one.states()[:2] == ["queued", "failed"]


def test_a_provider_that_says_nothing_for_a_while_ends_nothing(bench: Make) -> None:
    one = bench()
    one.open()
    one.fake.silent = True

    one.go(500.0)
    assert one.states() == ["queued"]
    assert len(one.notices("has said nothing of block")) == 1

    one.fake.silent = False
    one.go(1000.0)
    assert one.states() == ["queued"]


@pytest.mark.parametrize(
    "junk",
    [
        {},
        {"other": JobStatus(state=JobState.DONE)},
        {"job-1": None},
        {"job-1": "RUNNING"},
        None,
        [1],
        RuntimeError("squeue"),
        WeftError("slurmctld is down."),
    ],
)
def test_junk_from_status_is_no_news(bench: Make, junk: Any) -> None:
    one = bench(provider=Provider())
    one.open()
    one.provider.instead["status"] = [junk] * 3

    one.go(50.0)

    assert one.states() == ["queued"]
    assert one.provider.instead["status"] == []
    assert one.owner.errors == []
    assert len(one.context.notices) <= 1


def test_a_status_that_hangs_is_given_up_and_asked_for_again(bench: Make) -> None:
    one = bench()
    one.open()
    one.calls.hangs = {"status"}

    one.go(100.0)
    assert one.notices("FakeProvider.status has not answered for 10 s")
    assert one.notices("does not say how the blocks of cpu are")
    assert one.states() == ["queued"]

    one.calls.hangs = set()
    one.calls.come_back()
    one.fake.begin("job-1")
    one.go(100.0)
    assert one.states() == ["starting"]


def test_calls_that_hang_do_not_pile_up(bench: Make) -> None:
    one = bench(patience=Patience(silence=1e6))
    one.open()
    one.calls.hangs = {"status"}

    one.go(3600.0)

    assert len(one.calls.hung) == 3


def test_a_cancel_that_raises_is_tried_again(bench: Make) -> None:
    one = bench(provider=Provider(), max_idle=10.0)
    one.open()
    one.up(1)
    one.go(11.0)
    one.provider.instead["cancel"] = [RuntimeError("scancel"), RuntimeError("scancel")]
    one.drained(1)
    one.go(10.0)

    assert one.states() == ["ended"]
    assert one.fake.cancelled == ["job-1"]
    assert len(one.notices("could not be cancelled")) == 2


def test_a_job_whose_end_nobody_confirms_is_let_go(bench: Make) -> None:
    class Deaf(FakeProvider):
        def cancel(self, ids: Sequence[JobId]) -> None:
            self.cancelled += ids

    one = bench(provider=Deaf(), max_idle=10.0)
    one.open()
    one.up(1)
    one.go(11.0)
    one.drained(1)
    one.go(59.0)
    assert one.states() == ["draining"]
    one.go(2.0)
    assert one.states() == ["ended"]
    assert "not confirmed" in one.block(1).reason


def test_a_command_that_cannot_be_made_is_a_failed_start(bench: Make) -> None:
    one = bench()
    one.command = RuntimeError("no address")
    one.open()
    one.go(5.0)

    assert len(one.owner.errors) == 1
    assert "no address" in str(one.owner.errors[0])


def test_a_launcher_that_refuses_is_a_failed_start(bench: Make) -> None:
    class Refusing(FakeLauncher):
        def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
            raise ValueError("only one node")

    one = bench(launcher=Refusing())
    one.open()
    one.go(5.0)

    assert "only one node" in str(one.owner.errors[0])


def test_an_owner_that_raises_is_told_of(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench()

    def bad(*_: object) -> None:
        raise RuntimeError("owner")

    monkeypatch.setattr(one.owner, "blocks_changed", bad)
    one.open()
    one.up(1)

    assert one.states() == ["ready"]
    assert one.notices("blocks_changed of the executor cpu raised RuntimeError: owner")


def test_what_is_not_known_is_left_alone(bench: Make) -> None:
    one = bench()
    one.open()
    one.keeper.registered("other-9", "m")
    one.keeper.left("other-9", "m")
    one.keeper.drained("other-9")
    one.keeper.drained("cpu-1")
    one.left(1, "nobody")

    assert one.states() == ["queued"]


# ------------------------------------------------------------------------------------ what is asked


class Slow(FakeProvider, Paced):
    interval = 60.0
    patience = 5.0


def test_a_provider_says_how_often_and_how_long(bench: Make) -> None:
    one = bench(provider=Slow())
    one.open()
    one.go(3600.0)
    assert one.fake.asked < 75
    assert one.context.notices == [
        ("info", "Block cpu-1 (job job-1) has waited for machines for 60 s.")
    ]

    one.calls.hangs = {"status"}
    one.go(120.0)
    assert one.notices("has not answered for 5 s and was given up")


def test_new_jobs_are_asked_about_soon_and_old_ones_seldom(bench: Make) -> None:
    one = bench()
    one.open()
    one.go(1.0)
    assert 2 <= one.fake.asked <= 4
    before = one.fake.asked
    one.go(3600.0)
    assert one.fake.asked - before < 400


class Teller(FakeProvider, Telling):
    def watch(self, changed: Callable[[], None]) -> None:
        self.changed = changed


def test_a_provider_that_tells_is_seldom_asked(bench: Make) -> None:
    one = bench(provider=Teller())
    one.open()
    one.go(600.0)
    before = one.fake.asked
    one.go(600.0)
    assert one.fake.asked - before <= 31

    one.fake.begin("job-1")
    one.keeper.look()
    one.deliver()
    assert one.states() == ["starting"]


# -------------------------------------------------------------------------------------- the secrets


def test_secrets_are_shown_nowhere(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_PASSWORD", "open-sesame")

    class Loud(FakeProvider):
        def submit(self, job: Job) -> JobId:
            job_id = super().submit(job)
            (job.folder / "err").write_text("key is k-12345678\nopen-sesame\ntoken=abcd\n")
            return job_id

        def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
            return {
                one: JobStatus(
                    state=JobState.FAILED,
                    reason="https://me:pw@site refused",
                    stderr=self.jobs[one].folder / "err",
                )
                for one in ids
            }

    command = BlockCommand(
        text="export API_TOKEN=k-12345678; run --password hunter2",
        environment={"WEFT_KEY": "k-12345678", "PLAIN": "visible"},
    )
    one = bench(provider=Loud(), command=command)
    one.open()
    one.go(10.0)

    said = "\n".join([str(one.owner.errors[0]), *(text for _, text in one.context.notices)])
    said += "".join(block.reason for block in one.keeper.view) + repr(command)
    for secret in ("k-12345678", "hunter2", "open-sesame", "abcd", ":pw@"):
        assert secret not in said.replace(command.text, "")
    assert "key is ***" in said


def test_the_command_is_shown_as_its_owner_wants_it(bench: Make) -> None:
    one = bench(command=BlockCommand(text="source secrets.sh; run", shown="run"))
    one.provider.refuses = WeftError("no")
    one.open()
    one.go(5.0)

    assert one.owner.errors[0].facts["command"] == "# 1 nodes, 1 on each\nrun"


# ------------------------------------------------------------------------------------------ the end


def test_closing_cancels_all_jobs_and_closes_the_provider(bench: Make) -> None:
    one = bench(init=3, max=3)
    one.open()
    one.up(1)

    one.close()

    assert one.keeper.closed
    assert sorted(one.fake.cancelled) == ["job-1", "job-2", "job-3"]
    assert one.fake.closed == 1
    assert one.states() == ["ended"] * 3
    assert one.context.notices == []


def test_closing_twice_is_closing_once(bench: Make) -> None:
    one = bench()
    one.open()
    one.close()
    one.close()

    assert one.fake.closed == 1


def test_winding_down_ends_nothing_and_replaces_nothing(bench: Make) -> None:
    one = bench(init=3, max=5)
    one.open()
    one.up(1)
    one.up(2)
    one.load(waiting=10, running=2, busy={"cpu-1": 1, "cpu-2": 1})
    assert one.states() == ["ready", "ready", "queued", "queued", "queued"]

    one.keeper.wind_down()
    one.deliver()
    one.go(1.0)
    assert one.states() == ["ready", "ready", "draining", "draining", "draining"]
    assert one.fake.cancelled == []

    one.fake.finish("job-1", 0)
    one.left(1)
    one.fake.lose("job-2", "node down")
    one.left(2)
    one.fake.finish("job-3", 2)
    # This one had come up, and its executor not been told yet.
    one.up(4)
    assert one.owner.draining == ["cpu-4"]
    one.go(100.0)
    assert one.states() == ["ended", "lost", "ended", "draining", "draining"]
    assert len(one.fake.jobs) == 5
    assert one.fake.cancelled == []
    assert one.context.notices == []
    assert one.owner.errors == []


def test_winding_down_forgets_what_failed_before(bench: Make, tmp_path: Path) -> None:
    one = bench(init=2, max=2, block_failures=1)
    one.open()
    one.up(1)
    one.calls.hangs = {"output"}
    one.fake._move(
        "job-2", JobStatus(state=JobState.FAILED, exit_code=2, stderr=tmp_path / "job.err")
    )
    one.go(1.0)
    assert one.states() == ["ready", "failed"]
    assert one.calls.hung, "it is not being found out why"
    one.keeper.wind_down()
    one.calls.hangs = set()
    one.calls.come_back()
    one.deliver()
    one.left(1)
    one.go(100.0)

    assert one.context.notices == []
    assert one.owner.errors == []
    assert len(one.fake.jobs) == 2


def test_a_block_that_could_not_be_handed_over_yet_ends_with_the_winding_down(
    bench: Make,
) -> None:
    one = bench(init=1, max=1)
    one.fake.refuses = SubmitLater("the queue is full")
    one.open()
    one.keeper.wind_down()
    one.deliver()
    one.fake.refuses = None
    one.go(100.0)

    assert one.states() == ["ended"]
    assert not one.fake.jobs


def test_a_job_whose_submission_comes_back_in_the_winding_down_is_ended_by_the_close(
    bench: Make,
) -> None:
    one = bench(init=1, max=1)
    one.calls.hangs = {"submit"}
    one.open()
    one.keeper.wind_down()
    one.calls.hangs = set()
    one.calls.come_back()
    one.deliver()
    one.go(60.0)
    assert one.states() == ["draining"]
    one.close()

    assert one.fake.cancelled == ["job-1"]
    assert one.states() == ["ended"]


def test_nothing_is_asked_for_after_the_close(bench: Make) -> None:
    one = bench(max=5)
    one.open()
    one.close()
    one.load(waiting=100)
    one.go(100.0)

    assert len(one.fake.jobs) == 1


@pytest.mark.parametrize("what", ["submit", "status", "cancel", "close"])
def test_closing_ends_in_time_whatever_hangs(bench: Make, what: str) -> None:
    one = bench(init=2, max=2)
    if what == "submit":
        one.calls.hangs = {what}
    one.open()
    one.calls.hangs = {what}
    one.go(5.0)

    one.close(9.0)
    one.go(9.0)

    assert one.keeper.closed
    assert one.alive() == []
    if what != "close":
        assert one.fake.closed == 1
        one.calls.come_back()
        assert set(one.fake.jobs) <= set(one.fake.cancelled)


def test_a_provider_that_does_not_close_is_told_of_with_the_jobs_that_may_be_left(
    bench: Make,
) -> None:
    one = bench(provider=Provider())
    one.open()
    one.provider.instead["cancel"] = [RuntimeError("no")]
    one.provider.instead["close"] = [RuntimeError("no")]

    one.close()

    assert one.keeper.closed
    assert one.notices("did not close: RuntimeError: no. Look whether these jobs are still there")
    assert one.notices("job-1")


# ------------------------------------------------------------------------------ whatever may happen


STEPS = st.one_of(
    st.tuples(st.just("load"), st.integers(0, 40), st.integers(0, 4)),
    st.tuples(st.just("up"), st.integers(1, 8)),
    st.tuples(st.just("left"), st.integers(1, 8)),
    st.tuples(st.just("drained"), st.integers(1, 8)),
    st.tuples(st.just("begin"), st.integers(1, 8)),
    st.tuples(st.just("finish"), st.integers(1, 8), st.integers(0, 1)),
    st.tuples(st.just("silent"), st.booleans()),
    st.tuples(st.just("hang"), st.sets(st.sampled_from(["submit", "status", "cancel"]))),
    st.tuples(
        st.just("back"),
    ),
    st.tuples(st.just("refuse"), st.sampled_from(["", "no", "later"])),
    st.tuples(st.just("go"), st.floats(0.1, 200)),
    st.tuples(st.just("wind down")),
)


def do(one: Any, step: tuple[Any, ...]) -> None:
    what, *given_with = step
    number = given_with[0] if given_with else 0
    plain = {"back": one.calls.come_back, "wind down": one.keeper.wind_down}
    if what in plain:
        plain[what]()
    block, job = f"cpu-{number}", f"job-{number}"
    if what == "load":
        waiting, running = given_with
        busy = {f"cpu-{1 + n % 3}": 1 for n in range(running)}
        one.load(waiting=waiting, running=running, busy=busy)
    elif what == "up":
        one.keeper.registered(block, "m")
    elif what == "left":
        one.keeper.left(block, "m")
    elif what == "drained":
        one.keeper.drained(block)
    elif what == "begin" and job in one.fake.jobs:
        one.fake.begin(job)
    elif what == "finish" and job in one.fake.jobs:
        one.fake.finish(job, given_with[1])
    elif what == "silent":
        one.fake.silent = number
    elif what == "hang":
        one.calls.hangs = number
    elif what == "refuse":
        kinds = {"no": WeftError("no"), "later": SubmitLater("later")}
        one.fake.refuses = kinds.get(str(number))
    elif what == "go":
        one.go(number)
    one.deliver()


class Together(FakeProvider, Several):
    """Takes several at once, but for those at some places.

    Attributes:
        calls: how many jobs each call brought.
        instead: what is given or raised in place of ids, by place; at -1, in place of all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.instead: dict[int, Any] = {}

    def submit_all(self, jobs: Sequence[Job]) -> Sequence[JobId | WeftError]:
        self.calls.append(len(jobs))
        if -1 in self.instead:
            raise self.instead[-1]
        return [self.instead.get(place) or self._taken(job) for place, job in enumerate(jobs)]

    def _taken(self, job: Job) -> JobId | WeftError:
        try:
            return self.submit(job)
        except WeftError as error:
            return error


def test_blocks_are_handed_over_together_where_that_can_be(bench: Make) -> None:
    one = bench(provider=Together(), init=250, max=250)

    one.open()

    assert one.provider.calls == [200, 50]
    assert one.states() == ["queued"] * 250
    assert [job.name for job in one.fake.jobs.values()][:2] == ["weft-cpu-1", "weft-cpu-2"]
    one.go(60.0)
    assert one.provider.calls == [200, 50]


def test_a_single_block_is_handed_over_as_ever(bench: Make) -> None:
    one = bench(provider=Together())
    one.open()
    assert one.provider.calls == []
    assert one.states() == ["queued"]


def test_each_of_several_has_its_own_answer(bench: Make) -> None:
    one = bench(provider=Together(), init=4, max=4, block_failures=3)
    one.provider.instead = {1: SubmitLater("full"), 2: WeftError("No.", why="no"), 3: 7}

    one.open()

    assert [str(one.block(n).state) for n in (1, 2)] == ["queued", "requested"]
    assert "full" in one.block(2).reason
    assert len(one.notices("No. no")) == 1
    assert len(one.notices("7, which is no job id")) == 1
    assert one.owner.errors == []
    one.provider.instead = {}
    one.go(5.0)
    assert str(one.block(2).state) == "queued"


@pytest.mark.parametrize(
    "trouble", [WeftError("No.", why="no"), RuntimeError("broken"), SubmitLater("full")]
)
def test_what_is_wrong_with_all_is_wrong_with_each(bench: Make, trouble: Exception) -> None:
    one = bench(provider=Together(), init=3, max=3)
    one.provider.instead = {-1: trouble}

    one.open()

    if isinstance(trouble, SubmitLater):
        assert one.states() == ["requested"] * 3
        assert len(one.notices("could not be handed over")) == 1, "once, not for each"
        one.provider.instead = {}
        one.go(5.0)
        assert one.states() == ["queued"] * 3
    else:
        (error,) = one.owner.errors
        assert ("No. no" if isinstance(trouble, WeftError) else "broken") in str(error)


def test_too_few_answers_are_none(bench: Make) -> None:
    class Forgets(Together):
        def submit_all(self, jobs: Sequence[Job]) -> Sequence[JobId | WeftError]:
            return super().submit_all(jobs)[1:]

    one = bench(provider=Forgets(), init=3, max=3)
    one.open()
    (error,) = one.owner.errors
    assert "for 3 jobs" in str(error)


def test_several_that_come_back_late_are_all_undone(bench: Make) -> None:
    one = bench(provider=Together(), init=3, max=3)
    one.calls.hangs = {"submit"}
    one.open()
    one.go(11.0)
    assert one.notices("Together.submit of blocks cpu-1 to cpu-3 has not answered for 10 s")
    one.go(30.0)
    one.calls.hangs = set()
    one.calls.come_back()
    one.keeper.look()
    one.deliver()
    one.go(5.0)
    assert sorted(one.fake.cancelled) == ["job-1", "job-2", "job-3"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(STEPS, max_size=25),
    st.sampled_from([(0, 1, 3), (1, 1, 1), (1, 2, 4), (0, 0, 2)]),
    st.tuples(st.sampled_from([None, 500.0]), st.sampled_from([FakeProvider, Together])),
)
def test_whatever_happens_the_limits_hold_and_the_end_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    any_bench: Any,
    steps: list[tuple[Any, ...]],
    numbers: tuple[int, int, int],
    kind: tuple[float | None, type[FakeProvider]],
) -> None:
    least, first, most = numbers
    walltime, provider = kind
    folder = tmp_path_factory.mktemp("any")
    one = any_bench(
        folder,
        provider=provider(),
        min=least,
        init=first,
        max=most,
        max_idle=50.0,
        walltime=walltime,
    )
    one.open()
    asked = None
    for step in steps:
        do(one, step)
        assert len(one.alive()) <= most
        assert len(one.owner.errors) <= 1
        if step == ("wind down",) and asked is None:
            asked = len(one.keeper.view)
    assert asked in {None, len(one.keeper.view)}, "a block was asked for in the winding down"
    one.close(10.0)
    one.go(10.0)
    assert one.keeper.closed
    assert one.alive() == []
    one.calls.come_back()
    left = [job for job in one.fake.jobs if not one.fake._ended(job)]
    assert left == []
