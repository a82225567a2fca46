"""The blocks of an executor: what their managers are told, and how many there are to be.

weft-htex-<label>     load, registered, left, drained ──▶ BlockPool
weft-blocks-<label>   command, changed, drain, failed ──▶ the inbox of the other
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from weft.blocks.lifecycle import Patience
from weft.blocks.pool import BlockCommand, BlockPool
from weft.blocks.scaling import BlockLimits, Load
from weft.errors import WeftError
from weft.interfaces.executor import ExecutorContext
from weft.interfaces.launcher import Launcher
from weft.interfaces.provider import Forwarding, Provider
from weft.values.blocks import Block, BlockId
from weft_htex import messages
from weft_htex.keys import private_folder, write_block
from weft_htex.node import accelerator_names, looked_at, workers_of
from weft_htex.orders import KEYS, ORDERS, WATCH, Orders
from weft_htex.paths import own_path
from weft_htex.pilot import HTEX_PILOT, Pilot
from weft_htex.settings import HTEX

__all__ = ["Blocks", "command_of"]

_AHEAD: Final = 0.05


def command_of(settings: HTEX, pilot: Pilot = HTEX_PILOT) -> str:
    """Shell text that starts a manager on the node on which it is run."""
    python = shlex.quote(settings.python or sys.executable)
    # Not by -m, which loads half a dozen modules of its own to find one; and without a look for
    # garbage among what is imported, which finds none.
    start = f"exec {python} -c 'import gc; gc.disable(); from {pilot.module} import main; main()'"
    return f"{settings.worker_init}\n{start}" if settings.worker_init else start


def _addresses(hello: messages.Hello, provider: Provider) -> list[str]:
    """Where managers seek the interchange; a ``$`` stands before a variable that says it there."""
    if isinstance(provider, Forwarding):
        variable = provider.forward(int(hello.addresses[0].rpartition(":")[2]))
        if variable:
            return [f"${variable}"]
    return [*hello.doors, *hello.addresses]


def idle_blocks(news: messages.News, ago: float) -> dict[BlockId, float]:
    """For how many seconds each block has had no task: as long as each of its managers.

    Args:
        news: of the managers.
        ago: seconds since they came.

    Returns:
        The blocks of which no manager has a task; with 0, where one had some just before the news.
    """
    idle: dict[BlockId, float] = {}
    held = {str(one["block"]) for one in news.managers.values() if one["held"]}
    for one in news.managers.values():
        block, seconds = str(one["block"]), float(one["idle"])
        if block not in held:
            since = seconds + ago if seconds else 0.0
            idle[block] = min(idle.get(block, since), since)
    return idle


class Blocks:
    """The blocks of one executor. Belongs to its thread, but for what the pool calls.

    Args:
        settings: the executor's.
        context: the executor's.
        hello: what the interchange said of itself.
        parts: the provider and the launcher.
        post: puts something into the executor's inbox, from any thread.
        pilot: what is started on the nodes.
    """

    def __init__(
        self,
        settings: HTEX,
        context: ExecutorContext,
        hello: messages.Hello,
        parts: tuple[Provider, Launcher],
        post: Callable[[str, Any], None],
        *,
        pilot: Pilot = HTEX_PILOT,
    ) -> None:
        self._settings, self._context, self._hello, self._post = settings, context, hello, post
        self._pilot = pilot
        self._folder = context.folder / "managers"
        self._addresses = _addresses(hello, parts[0])
        self._managers: dict[str, str] = {}
        self._told = time.monotonic()
        self._away: set[str] = set()
        self._draining: set[BlockId] = set()
        self._capacity: int | None = None
        walltime = settings.block_walltime
        limits = BlockLimits(
            init=max(settings.init_blocks, settings.min_blocks),
            min=settings.min_blocks,
            max=settings.max_blocks,
            parallelism=settings.parallelism,
            tasks_per_block=self._guess() * (pilot.managers or settings.nodes_per_block),
            nodes=settings.nodes_per_block,
            max_idle=settings.max_idle,
            walltime=walltime,
            block_failures=settings.block_failures,
        )
        self._pool = BlockPool(
            settings.called,
            *parts,
            limits,
            self._command,
            self,
            context,
            strategy=settings.strategy,
            patience=Patience(remark=settings.register_warning, start=settings.register_timeout),
        )

    def _guess(self) -> int:
        """How many workers a node has, by what this one is; until a manager says it."""
        settings = self._settings
        if settings.workers_per_node is not None:
            return settings.workers_per_node
        each = settings.accelerators_per_worker
        return workers_of(
            looked_at(),
            workers=None,
            cores_per_worker=settings.cores_per_worker,
            memory_per_worker=settings.memory_per_worker,
            accelerators=len(accelerator_names(settings.accelerators, each)),
            accelerators_each=max(1, int(each)),
        )

    # ------------------------------------------------------------------------ the executor's thread

    def start(self) -> None:
        """Ask for the first blocks.

        Raises:
            WeftError: the provider or the launcher cannot do what is asked of it.
        """
        self._pool.start()

    def news(self, news: messages.News) -> None:
        """Take note of which managers there are now."""
        self._told = time.monotonic()
        managers = {name: str(one["block"]) for name, one in news.managers.items()}
        for name, block in managers.items():
            if name not in self._managers:
                self._pool.registered(block, name)
        for name, block in self._managers.items():
            if name not in managers:
                self._pool.left(block, name)
        self._managers = managers
        away = {managers[name] for name, one in news.managers.items() if one["state"] == "away"}
        # Whether it died with its block, the provider knows sooner than it would be given up here.
        for block in away ^ self._away:
            self._pool.doubted(block, block in away)
        self._away = away
        for block in [one for one in self._draining if one not in managers.values()]:
            self._draining.discard(block)
            self._pool.drained(block)
        if managers:
            workers: dict[str, int] = {}
            for one in news.managers.values():
                block = str(one["block"])
                workers[block] = workers.get(block, 0) + int(one["workers"])
            self._capacity = max(1, *workers.values())

    def load(
        self,
        tasks: int,
        news: messages.News,
        beyond: Collection[float] = (),
        asked: Mapping[int, int] | None = None,
    ) -> None:
        """Say how much there is to do.

        Args:
            tasks: that have not ended.
            news: the latest of the managers.
            beyond: for each task that may take longer than any manager lives on, how long.
            asked: how many tasks ask for how many accelerators, where blocks follow from that.
        """
        # Where there is nothing to do all are idle, whatever was last said of them.
        busy: dict[BlockId, int] = {}
        for one in news.managers.values() if tasks else ():
            if one["held"]:
                block = str(one["block"])
                busy[block] = busy.get(block, 0) + int(one["held"])
        running = min(tasks, sum(busy.values()))
        capacity: float | None = self._capacity
        if asked and self._pilot.capacity is not None:
            capacity = self._pilot.capacity(asked)
        self._pool.load(
            Load(
                waiting=tasks - running,
                running=running,
                busy=busy,
                idle=idle_blocks(news, time.monotonic() - self._told) if tasks else {},
                capacity=capacity,
                beyond=len(beyond),
                beyond_left=min(beyond, default=0.0),
            )
        )

    def drains(self, block: BlockId) -> None:
        """The block has been told to drain."""
        self._draining.add(block)
        if block not in self._managers.values():
            self._draining.discard(block)
            self._pool.drained(block)

    def shown(self) -> list[dict[str, Any]]:
        """The blocks, for people."""
        return [
            {"id": one.id, "job": one.job, "state": str(one.state), "reason": one.reason}
            for one in self._pool.blocks()
        ]

    def blocks(self) -> tuple[Block, ...]:
        """The blocks as they are, and the last ones that ended. From any thread."""
        return self._pool.blocks()

    def wind_down(self) -> None:
        """Ask for no more blocks."""
        self._pool.wind_down()

    def close(self, timeout: float) -> None:
        """End all blocks."""
        self._pool.close(timeout)

    # ---------------------------------------------------------------------------- the pool's thread

    def _command(self, block: BlockId) -> BlockCommand:
        settings, hello = self._settings, self._hello
        folder = private_folder(self._folder)
        keys = folder / f"{block}.keys"
        keys.unlink(missing_ok=True)
        public = write_block(
            keys,
            block=block,
            server=hello.key if settings.encrypted else "",
            addresses=self._addresses,
        )
        self._post("say", messages.Admit(block=block, key=public))
        orders = folder / f"{block}.json"
        orders.unlink(missing_ok=True)
        self._orders(keys).write(orders)
        return BlockCommand(
            text=command_of(settings, self._pilot),
            environment={ORDERS: str(orders), KEYS: str(keys)},
            files=(ORDERS, KEYS),
            addresses=self._addresses,
            log=folder,
        )

    def _orders(self, keys: Path) -> Orders:
        settings = self._settings
        accelerators: Any = settings.accelerators
        prefetch = settings.prefetch
        return Orders(
            label=settings.called,
            keys=str(keys),
            folder=str(self._folder),
            path=own_path(),
            packages=list(settings.packages),
            heartbeat=settings.heartbeat,
            lost_after=settings.lost_after,
            max_message=settings.max_message,
            walltime=settings.block_walltime or 0.0,
            workers=settings.workers_per_node,
            cores_per_worker=settings.cores_per_worker,
            memory_per_worker=settings.memory_per_worker,
            accelerators=list(accelerators) if isinstance(accelerators, tuple) else accelerators,
            accelerators_per_worker=settings.accelerators_per_worker,
            accelerator_variables=list(settings.accelerator_variables),
            cpu_affinity=settings.cpu_affinity,
            isolation=settings.isolation,
            tasks_per_worker=settings.tasks_per_worker,
            environment=dict(settings.environment),
            start_timeout=settings.start_timeout,
            output_kept=settings.output_kept,
            prefetch=_AHEAD if prefetch == "auto" or prefetch > 0 else 0.0,
            extra={**self._pilot.extra, WATCH: self._context.watch.word()},
        )

    def blocks_changed(self, blocks: Sequence[Block]) -> None:
        """Have the status renewed; blocks that have ended are let in no more."""
        self._post("blocks", None)
        for one in blocks:
            if one.ended:
                self._post("say", messages.Admit(block=one.id, key=""))
                for name in (f"{one.id}.keys", f"{one.id}.json"):
                    (self._folder / name).unlink(missing_ok=True)

    def drain(self, block_id: BlockId) -> None:
        """Have a block finish what runs, and go."""
        self._post("drain", block_id)

    def failed(self, error: WeftError) -> None:
        """Blocks do not come up."""
        self._post("failed", error)
