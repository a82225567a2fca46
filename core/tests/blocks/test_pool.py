"""Blocks on threads of their own: on this machine, and with a provider that hangs."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from weft.blocks.keeper import BlockCommand
from weft.blocks.pool import BlockPool
from weft.blocks.scaling import BlockLimits, Load
from weft.builtin.launchers import SimpleLauncher, SingleNodeLauncher
from weft.builtin.local_provider import LocalProvider
from weft.builtin.settings import Local, Simple, SingleNode
from weft.errors import BlockFailed, ExecutorFailed, SettingsError, WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Paced
from weft.testing import FakeContext, FakeProvider
from weft.values.blocks import Block, BlockId, BlockState
from weft.values.jobs import Job, JobId, JobStatus

PATIENCE = 40.0
"""Seconds that anything may take here that takes a moment."""


class Owner:
    """An executor that waits for what its pool tells it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.blocks: dict[BlockId, Block] = {}
        self.draining: list[BlockId] = []
        self.errors: list[WeftError] = []
        self.then: Callable[[], object] = lambda: None

    def blocks_changed(self, blocks: Sequence[Block]) -> None:
        with self.changed:
            self.blocks |= {block.id: block for block in blocks}
            self.changed.notify_all()

    def drain(self, block_id: BlockId) -> None:
        with self.changed:
            self.draining.append(block_id)
            self.changed.notify_all()

    def failed(self, error: WeftError) -> None:
        self.then()
        with self.changed:
            self.errors.append(error)
            self.changed.notify_all()

    def wait(self, happened: Callable[[], Any]) -> None:
        with self.changed:
            assert self.changed.wait_for(happened, PATIENCE), self.blocks

    def wait_for(self, number: int, *states: BlockState) -> None:
        name = f"cpu-{number}"
        self.wait(lambda: name in self.blocks and self.blocks[name].state in states)


class Pools:
    """Makes pools, and closes them."""

    def __init__(self, folder: Path) -> None:
        self.owner, self.context = Owner(), FakeContext(folder)
        self.made: list[BlockPool] = []

    def __call__(self, provider: Any = None, text: str = "sleep 100", **more: Any) -> BlockPool:
        limits = {name: more.pop(name) for name in list(more) if name in {"init", "min", "max"}}
        limits |= {"max_idle": more.pop("max_idle", 120.0)}
        pool = BlockPool(
            "cpu",
            provider or LocalProvider(Local(grace=1.0)),
            more.pop("launcher", SimpleLauncher(Simple())),
            BlockLimits(**limits, nodes=more.pop("nodes", 1)),
            lambda _: BlockCommand(text=text),
            self.owner,
            self.context,
            **more,
        )
        self.made.append(pool)
        return pool


@pytest.fixture
def pools(tmp_path: Path) -> Iterator[Pools]:
    made = Pools(tmp_path)
    yield made
    for pool in made.made:
        pool.close(60)
    assert threads() == []


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("weft-blocks-cpu")]


# ---------------------------------------------------------------------------------- on this machine


def test_a_block_comes_up_works_and_goes(pools: Pools) -> None:
    pool = pools(init=1, max=1, max_idle=0.2)
    pool.start()
    pools.owner.wait_for(1, BlockState.STARTING)

    pool.registered("cpu-1", "m")
    pool.load(Load(running=1, busy={"cpu-1": 1}))
    pools.owner.wait_for(1, BlockState.READY)
    pool.load(Load())
    pools.owner.wait(lambda: pools.owner.draining)
    pool.drained("cpu-1")
    pools.owner.wait_for(1, BlockState.ENDED)

    assert [block.state for block in pool.blocks()] == [BlockState.ENDED]


def test_blocks_that_die_at_once_come_to_an_error(pools: Pools) -> None:
    pool = pools(text="echo starting; echo no such thing >&2; exit 3")
    pool.start()
    pools.owner.wait(lambda: pools.owner.errors)

    (error,) = pools.owner.errors
    assert isinstance(error, BlockFailed)
    assert error.facts["exit code"] == "3"
    assert "starting" in error.facts["stdout"]
    assert "no such thing" in error.facts["stderr"]
    assert "exit 3" in error.facts["command"]
    assert [block.state for block in pool.blocks()] == [BlockState.FAILED] * 3


def test_a_block_that_vanishes_is_replaced(pools: Pools) -> None:
    pool = pools(init=1, max=1, text='echo $$ > "$(dirname "$0")/pid"; sleep 100')
    pool.start()
    pools.owner.wait_for(1, BlockState.STARTING)
    pool.load(Load(waiting=1))
    pool.registered("cpu-1", "m")
    pools.owner.wait_for(1, BlockState.READY)

    provider: Any = pool._provider
    provider._jobs["local-1"].guard.kill()
    pool.left("cpu-1", "m")

    pools.owner.wait_for(1, BlockState.LOST)
    pools.owner.wait_for(2, BlockState.STARTING)


def test_closing_ends_all_jobs_and_threads(pools: Pools) -> None:
    pool = pools(init=3, max=3)
    pool.start()
    pools.owner.wait(lambda: len(pools.owner.blocks) == 3)

    pool.close(60)
    pool.close(60)

    assert threads() == []
    assert {block.state for block in pool.blocks()} == {BlockState.ENDED}
    provider: Any = pool._provider
    assert all(job.ended for job in provider._jobs.values())


def test_a_folder_with_spaces_works(tmp_path: Path) -> None:
    folder = tmp_path / "a folder; with $(spaces)"
    folder.mkdir()
    pools = Pools(folder)
    pool = pools()
    pool.start()
    pools.owner.wait_for(1, BlockState.STARTING)
    pool.close(60)
    assert pools.owner.errors == []


def test_the_pool_may_be_closed_from_within_what_it_tells(pools: Pools) -> None:
    pool = pools(text="exit 1")
    pools.owner.then = lambda: pool.close(60)
    pool.start()

    pools.owner.wait(lambda: pools.owner.errors)
    pool.close(60)
    assert threads() == []


def test_a_thousand_loads_cost_little(pools: Pools) -> None:
    provider = FakeProvider()
    pool = pools(provider, init=0, max=2)
    pool.start()
    for number in range(10_000):
        pool.load(Load(waiting=number % 7))
    pool.load(Load(waiting=2))

    provider.wait(2)
    assert pool._inbox.qsize() < 100


# ---------------------------------------------------------------------------------------- the start


def test_a_provider_that_cannot_start_says_why(pools: Pools) -> None:
    class Broken(FakeProvider):
        def start(self, context: Context) -> None:
            raise WeftError("There is no scheduler here.")

    provider = Broken()
    pool = pools(provider)
    with pytest.raises(WeftError, match="no scheduler"):
        pool.start()

    assert threads() == []
    assert provider.closed == 1


def test_a_provider_that_breaks_at_its_start_is_named(pools: Pools) -> None:
    class Broken(FakeProvider):
        def start(self, context: Context) -> None:
            raise KeyError("x")

    with pytest.raises(ExecutorFailed, match="provider did not start: KeyError"):
        pools(Broken()).start()


class Hanging(FakeProvider, Paced):
    """Hangs in some calls until the test lets them go, for longer than anybody waits here."""

    interval = 0.2
    patience = 0.3

    def __init__(self, *where: str) -> None:
        super().__init__()
        self.where, self.door = set(where), threading.Event()

    def _pass(self, what: str) -> None:
        if what in self.where:
            self.door.wait(2 * PATIENCE)

    def start(self, context: Context) -> None:
        self._pass("start")

    def submit(self, job: Job) -> JobId:
        self._pass("submit")
        return super().submit(job)

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        self._pass("status")
        return super().status(ids)

    def cancel(self, ids: Sequence[JobId]) -> None:
        self._pass("cancel")
        super().cancel(ids)

    def close(self) -> None:
        self._pass("close")
        super().close()


def left_behind() -> Callable[[], bool]:
    return lambda: not threads()


def until(true: Callable[[], Any]) -> None:
    """Wait for threads that nobody waits for."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, threads()
        threading.Event().wait(0.003)


def test_a_provider_that_hangs_at_its_start_is_an_error(pools: Pools) -> None:
    provider = Hanging("start")
    with pytest.raises(ExecutorFailed, match="has not come back"):
        pools(provider).start()

    provider.door.set()
    until(left_behind())


def test_a_submission_that_hangs_is_an_error_in_bounded_time(pools: Pools) -> None:
    provider = Hanging("submit")
    pool = pools(provider)
    pool.start()
    pools.owner.wait(lambda: pools.owner.errors)
    assert "Hanging.submit of block cpu-1 has not answered" in str(pools.owner.errors[0])

    provider.door.set()
    provider.wait(1)
    until(lambda: provider.cancelled == ["job-1"])


@pytest.mark.parametrize("where", ["submit", "status", "cancel", "close"])
def test_closing_is_done_in_time_whatever_hangs(pools: Pools, where: str) -> None:
    provider = Hanging(where)
    pool = pools(provider)
    pool.start()
    if where != "submit":
        provider.wait(1)

    began = time.monotonic()
    pool.close(1.0)

    assert time.monotonic() - began < PATIENCE, "it waited for the call that hangs"
    assert all(block.ended for block in pool.blocks())
    provider.door.set()
    until(left_behind())
    assert provider._ended("job-1") if provider.jobs else where == "submit"


def test_a_launcher_that_cannot_do_it_is_an_error_at_the_start(pools: Pools) -> None:
    with pytest.raises(ExecutorFailed, match="cannot start blocks of 2 nodes"):
        pools(nodes=2, launcher=SingleNodeLauncher(SingleNode())).start()


def test_a_strategy_that_is_not_known_is_named(pools: Pools) -> None:
    with pytest.raises(SettingsError, match="'simple' or 'none'"):
        pools(strategy="best")


def test_a_pool_is_started_once(pools: Pools) -> None:
    pool = pools(FakeProvider())
    pool.start()

    with pytest.raises(ExecutorFailed, match="started before"):
        pool.start()


def test_a_pool_that_was_not_started_can_be_closed(pools: Pools) -> None:
    pool = pools(FakeProvider())
    pool.close()
    pool.load(Load(waiting=1))
    pool.registered("cpu-1", "m")

    assert pool.blocks() == ()


def test_a_pool_that_breaks_does_not_do_so_in_silence(pools: Pools) -> None:
    provider = FakeProvider()
    pool = pools(provider)

    def bad(load: Load) -> None:
        raise RuntimeError("a mistake of ours")

    pool._keeper.load = bad  # type: ignore[method-assign]
    pool.start()
    pool.load(Load(waiting=1))
    pools.owner.wait(lambda: pools.owner.errors)

    assert "a mistake of ours" in str(pools.owner.errors[0])
    until(lambda: provider.closed)
