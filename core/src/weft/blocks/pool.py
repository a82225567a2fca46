"""Keeps the right number of blocks alive, for the executor that owns the pool.

One thread, ``weft-blocks-<label>``, owns every block record and decides; another makes every call
to the provider (``calls.py``), so that a provider that hangs holds up nothing else. Others ask by
posting to the inbox; nothing here takes a lock. Nothing is polled but the provider, and that only
while a block is neither up nor gone.

    executor ──load, registered, left, drained──▶ [inbox] ──▶ weft-blocks-<label> ──▶ executor
                                                     ▲               │
                                                  answers          calls
                                                     │               ▼
                                                weft-blocks-<label>-calls ──▶ provider
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from weft.blocks.calls import Answer, Call, Caller
from weft.blocks.keeper import BlockCommand, BlockOwner, Keeper, paces
from weft.blocks.leases import Lease, jobs_folder
from weft.blocks.lifecycle import Patience
from weft.blocks.scaling import STRATEGIES, BlockLimits, Load, Strategy
from weft.errors import ExecutorFailed, SettingsError, WeftError
from weft.interfaces.context import Context
from weft.interfaces.launcher import Launcher
from weft.interfaces.provider import Lasting, Provider, Telling
from weft.values.blocks import Block, BlockId

__all__ = ["BlockCommand", "BlockOwner", "BlockPool"]

_LOAD_EVERY: Final = 0.05
_LONGEST_WAIT: Final = 3600.0
_LEAST_CLOSE: Final = 0.5


class BlockPool:
    """The blocks of one executor.

    *Life.* ``start`` once, then any number of the other calls, each from any thread, then
    ``close``, which may be called twice. A pool of which ``start`` raised is closed.

    Args:
        label: the executor's; made of ``[A-Za-z0-9_.-]``.
        provider: gets machines. The pool starts it, makes every call to it, and closes it.
        launcher: makes the command start on all machines of a block.
        limits: how many blocks there may be.
        command: gives what a block is to run, by its id; called in the thread of the pool.
        owner: the executor.
        context: the executor's; each block has a folder in ``blocks`` of its folder.
        strategy: decides how many blocks there should be; one of ``STRATEGIES`` by its name, or
            anything that can do that.
        patience: how long blocks may take for what.
        clock: the time, in seconds from any start.
        leases: where jobs are on record that would outlive this process; a folder of the user's
            (:func:`weft.blocks.leases.jobs_folder`) when left out.
    """

    def __init__(  # noqa: PLR0917 - what it is made of comes first, how it behaves after it
        self,
        label: str,
        provider: Provider,
        launcher: Launcher,
        limits: BlockLimits,
        command: Callable[[BlockId], BlockCommand],
        owner: BlockOwner,
        context: Context,
        *,
        strategy: Strategy | str = "simple",
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        leases: Path | None = None,
    ) -> None:
        self._label, self._provider, self._launcher = label, provider, launcher
        self._limits, self._owner, self._context, self._clock = limits, owner, context, clock
        self._leases, self._site = leases, ""
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._caller = Caller(label, self._answered)
        self._first: SimpleQueue[Answer] | None = None
        self._keeper = Keeper(
            label,
            provider=provider,
            launcher=launcher,
            limits=limits,
            command=command,
            owner=owner,
            context=context,
            calls=self._caller,
            strategy=_strategy(strategy, label),
            patience=patience or Patience(),
            clock=clock,
            wake=self.look,
        )
        self._load = Load()
        self._load_posted = False
        self._load_at: float | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self) -> None:
        """Start the provider, and ask for the first blocks. Blocks until the provider has started.

        Raises:
            WeftError: the provider cannot work here, or the launcher cannot do what is asked of it;
                the message says why. Then nothing is left running.
        """
        if self._thread is not None or self._closed:
            raise ExecutorFailed(self._label, "Its pool of blocks was started before.")
        try:
            self._launcher.compose("true", nodes=self._limits.nodes)
        except ValueError as error:
            self._closed = True
            raise ExecutorFailed(
                self._label,
                f"Its launcher cannot start blocks of {self._limits.nodes} nodes: {error}.",
                "Choose another launcher, or another number of nodes in a block.",
            ) from error
        if isinstance(self._provider, Telling):
            self._provider.watch(self.look)
        self._start_provider()
        if self._was_closed():  # meanwhile, by another thread
            self._first = SimpleQueue()
            self._called("close", self._provider.close)
            self._caller.close(_LEAST_CLOSE)
            raise ExecutorFailed(self._label, "It was closed while it started.")
        self._thread = threading.Thread(
            target=self._run, name=f"weft-blocks-{self._label}", daemon=True
        )
        self._thread.start()

    # --------------------------------------------------------------------- what the executor says

    def load(self, load: Load) -> None:
        """Say what there is to do now. Cheap: it is looked at twenty times a second at most."""
        self._load = load
        # The flag is cleared before the load is read, so a load is never left unread.
        if not self._load_posted and not self._closed:
            self._load_posted = True
            self._inbox.put(self._load_soon)

    def registered(self, block_id: BlockId, manager: str) -> None:
        """Say that a manager of a block has registered."""
        self._post(partial(self._keeper.registered, block_id, manager))

    def left(self, block_id: BlockId, manager: str) -> None:
        """Say that a manager of a block is gone, in peace or not."""
        self._post(partial(self._keeper.left, block_id, manager))

    def drained(self, block_id: BlockId) -> None:
        """Say that a block that was to drain has no task left."""
        self._post(partial(self._keeper.drained, block_id))

    def doubted(self, block_id: BlockId, doubted: bool = True) -> None:
        """Say that a manager of a block cannot be reached just now, or that all can be again.

        It may have died with its block, which the provider knows and is asked; or the network is
        troubled, and the block goes on.
        """
        self._post(partial(self._keeper.doubted, block_id, doubted))

    def look(self) -> None:
        """Ask the provider now how its jobs are, and see what time it is."""
        self._post(self._keeper.look)

    def blocks(self) -> tuple[Block, ...]:
        """The blocks as they are, and the last ones that ended, the oldest first."""
        return tuple(sorted(self._keeper.view, key=_number))

    def wind_down(self) -> None:
        """Ask for no more blocks. Does not wait, and ends none that may work.

        For an executor that closes and lets tasks end first: a block that ends from now on is not
        replaced, and one that has not come up has not failed. ``close`` is still to be called.
        """
        self._post(self._keeper.wind_down)

    def close(self, timeout: float = 15.0) -> None:
        """End all blocks, and leave nothing behind. Blocks until that is done, or the time is over.

        A provider that hangs is left to itself when the time is over, with a notice that names it.
        A second call with a shorter time counts for both. From within a call of the owner's, it
        does not wait.
        """
        self._closed = True
        thread = self._thread
        if thread is None:
            return
        timeout = max(timeout, _LEAST_CLOSE)
        self._inbox.put(partial(self._keeper.close, self._clock() + timeout))
        if thread is threading.current_thread():
            return
        thread.join(timeout)
        if thread.is_alive():
            # The clock may be one that does not go on by itself.
            self._inbox.put(partial(self._keeper.close, float("-inf")))
            thread.join(_LEAST_CLOSE + 1.0)

    # -------------------------------------------------------------------------------- in its thread

    def _run(self) -> None:
        try:
            self._keeper.open()
            while not self._keeper.closed:
                self._next()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end in silence
            self._broken(error)
        finally:
            self._closed = True
            if not self._caller.close(_LEAST_CLOSE):
                self._context.notice(
                    "warning",
                    f"{type(self._provider).__name__} of {self._label} hangs in a call, which is "
                    "left to itself; it cannot keep the program from ending.",
                )

    def _next(self) -> None:
        """Wait for what happens next, or for when something is due."""
        dues = [time for time in (self._keeper.due(), self._load_at) if time is not None]
        wait = min(max(0.0, min(dues) - self._clock()), _LONGEST_WAIT) if dues else None
        try:
            happened = self._inbox.get(timeout=wait)
        except Empty:
            if self._load_at is not None and self._clock() >= self._load_at:
                self._load_now()
            self._keeper.tick()
        else:
            happened()
            due = self._keeper.due()
            if due is not None and due <= self._clock():
                self._keeper.tick()

    def _load_soon(self) -> None:
        if self._load_at is None:
            self._load_now()
        # Until then more may come, and is looked at all at once.
        self._load_at = self._clock() + _LOAD_EVERY

    def _load_now(self) -> None:
        self._load_at, self._load_posted = None, False
        self._keeper.load(self._load)

    def _broken(self, error: Exception) -> None:
        told = ExecutorFailed(
            self._label, f"Its pool of blocks broke: {type(error).__name__}: {error}"
        )
        told.__cause__ = error
        try:
            self._owner.failed(told)
        finally:
            call = Call("close", self._provider.close)
            self._caller.post(call)

    # ---------------------------------------------------------------------------------------- parts

    def _was_closed(self) -> bool:
        return self._closed

    def _post(self, happened: Callable[[], None]) -> None:
        if not self._closed:
            self._inbox.put(happened)

    def _answered(self, answer: Answer) -> None:
        first = self._first
        if first is not None:
            first.put(answer)
        else:
            self._inbox.put(partial(self._keeper.answered, answer))

    def _start_provider(self) -> None:
        self._first = SimpleQueue()
        error = self._called("start", self._begin)
        if error is not None:
            self._closed = True
            self._called("close", self._provider.close)
            self._caller.close(_LEAST_CLOSE)
            if isinstance(error, WeftError) or not isinstance(error, Exception):
                raise error
            raise ExecutorFailed(
                self._label, f"Its provider did not start: {type(error).__name__}: {error}"
            ) from error
        self._first = None
        if self._site:
            self._hold(self._site)

    def _begin(self) -> None:
        """Start the provider. In the thread of the calls."""
        provider = self._provider
        provider.start(self._context)
        self._site = provider.site if isinstance(provider, Lasting) else ""

    def _hold(self, site: str) -> None:
        """Keep on record what would outlive this process."""
        context = self._context
        try:
            folder = self._leases or jobs_folder()
        except OSError as trouble:
            self._context.notice(
                "warning",
                f"Jobs of {self._label} are not put on record: {trouble}. Should this process be "
                "killed, look yourself for jobs that are left. WEFT_STATE can name a folder.",
            )
            return
        self._keeper.hold(
            Lease(
                folder,
                site=site,
                label=self._label,
                run_id=context.run_id,
                run_folder=str(context.folder.parent),
                program=context.program,
            )
        )

    def _called(self, what: str, run: Callable[[], None]) -> BaseException | None:
        """Make a call and wait for it. Returns what it raised."""
        _, timeout = paces(self._provider)
        call = Call(what, run, lambda _: self._provider.close())
        self._caller.post(call)
        assert self._first is not None
        while True:
            try:
                answer = self._first.get(timeout=timeout)
            except Empty:
                if self._caller.give_up(call):
                    name = type(self._provider).__name__
                    return TimeoutError(f"{name}.{what} has not come back within {timeout:g} s")
                continue
            if answer.call is call:
                return answer.error


def _strategy(strategy: Strategy | str, label: str) -> Strategy:
    if not isinstance(strategy, str):
        return strategy
    try:
        return STRATEGIES[strategy]
    except KeyError:
        raise SettingsError(
            f"executor {label}",
            "strategy",
            f"{strategy!r} is unknown",
            allowed=" or ".join(repr(name) for name in STRATEGIES),
        ) from None


def _number(block: Block) -> int:
    return int(block.id.rpartition("-")[2])
