"""Blocks turned by hand: a clock that is moved, a provider that is cranked, calls made at once."""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from weft.blocks.calls import Answer, Call
from weft.blocks.keeper import BlockCommand, Keeper
from weft.blocks.lifecycle import Patience
from weft.blocks.scaling import STRATEGIES, BlockLimits, Load, Strategy
from weft.errors import WeftError
from weft.interfaces.launcher import Launcher
from weft.interfaces.provider import Provider
from weft.testing import FakeContext, FakeLauncher, FakeProvider, ManualClock
from weft.values.blocks import BLOCK_MOVES, Block, BlockId, BlockState


class Owner:
    """An executor that only takes note."""

    def __init__(self) -> None:
        self.moves: list[tuple[BlockId, BlockState]] = []
        self.last: dict[BlockId, Block] = {}
        self.draining: list[BlockId] = []
        self.errors: list[WeftError] = []

    def blocks_changed(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            before = self.last.get(block.id)
            if before is not None and before.state is not block.state:
                assert block.state in BLOCK_MOVES[before.state]
            self.moves.append((block.id, block.state))
            self.last[block.id] = block

    def drain(self, block_id: BlockId) -> None:
        self.draining.append(block_id)

    def failed(self, error: WeftError) -> None:
        self.errors.append(error)


class Calls:
    """Makes calls at once, in the thread of the test; those that hang come back when told to.

    Attributes:
        hangs: what is not answered, by the names of the calls.
        hung: the calls that were not answered.
    """

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.hangs: set[str] = set()
        self.hung: list[Call] = []
        self.made: list[str] = []

    def post(self, call: Call) -> None:
        self.made.append(call.what)
        if call.what in self.hangs:
            self.hung.append(call)
            return
        self.run(call)

    def run(self, call: Call) -> None:
        value, error = None, None
        try:
            value = call.run()
        except Exception as raised:  # noqa: BLE001 - as the real one
            error = raised
        if call.decide():
            self.answers.append(Answer(call, value, error))
        elif call.late is not None and error is None:
            call.late(value)

    def come_back(self) -> None:
        """Let the calls that hang come back."""
        hung, self.hung = self.hung, []
        for call in hung:
            self.run(call)

    def give_up(self, call: Call) -> bool:
        return call.decide()

    def stuck(self) -> int:
        return len(self.hung)


class Bench:
    """A keeper, and all it knows."""

    label = "cpu"

    def __init__(
        self,
        folder: Path,
        *,
        provider: Provider | None = None,
        launcher: Launcher | None = None,
        strategy: Strategy | str = "simple",
        patience: Patience | None = None,
        command: BlockCommand | None = None,
        **limits: Any,
    ) -> None:
        self.clock = ManualClock(1000.0)
        self.provider = provider or FakeProvider()
        self.owner, self.calls = Owner(), Calls()
        self.context = FakeContext(folder)
        self.limits = BlockLimits(**limits)
        self.commands: list[BlockId] = []
        self.command: Any = command or BlockCommand(text="run-manager")
        self.keeper = Keeper(
            self.label,
            provider=self.provider,
            launcher=launcher or FakeLauncher(),
            limits=self.limits,
            command=self._command,
            owner=self.owner,
            context=self.context,
            calls=self.calls,
            strategy=STRATEGIES[strategy] if isinstance(strategy, str) else strategy,
            patience=patience or Patience(),
            clock=self.clock,
            wall=lambda: self.clock() + 1e9,
        )

    def _command(self, block_id: BlockId) -> BlockCommand:
        self.commands.append(block_id)
        if isinstance(self.command, Exception):
            raise self.command
        made: BlockCommand = self.command
        return made

    @property
    def fake(self) -> FakeProvider:
        assert isinstance(self.provider, FakeProvider)
        return self.provider

    # ------------------------------------------------------------------------------------ the crank

    def open(self) -> None:
        self.keeper.open()
        self.deliver()

    def deliver(self) -> None:
        """Hand over the answers of the provider, and what they lead to."""
        while self.calls.answers:
            self.keeper.answered(self.calls.answers.popleft())

    def go(self, seconds: float) -> None:
        """Let time pass, and have done what becomes due."""
        until = self.clock() + seconds
        at_once = 0
        while (due := self.keeper.due()) is not None and due <= until and not self.keeper.closed:
            at_once = at_once + 1 if due <= self.clock() else 0
            assert at_once < 50, "something is due again and again, and nothing happens"
            self.clock.advance(max(0.0, due - self.clock()))
            self.keeper.tick()
            self.deliver()
        self.clock.advance(max(0.0, until - self.clock()))

    def load(self, waiting: int = 0, running: int = 0, **more: Any) -> None:
        self.keeper.load(Load(waiting=waiting, running=running, **more))
        self.deliver()

    def up(self, number: int, *managers: str) -> BlockId:
        """Let a block run and its managers register."""
        block_id = f"{self.label}-{number}"
        job = self.block(number).job
        if job is not None and isinstance(self.provider, FakeProvider):
            self.provider.begin(job)
        for manager in managers or ("m1",):
            self.keeper.registered(block_id, manager)
        self.deliver()
        return block_id

    def left(self, number: int, manager: str = "m1") -> None:
        self.keeper.left(f"{self.label}-{number}", manager)
        self.deliver()

    def doubted(self, number: int, doubted: bool = True) -> None:
        self.keeper.doubted(f"{self.label}-{number}", doubted)
        self.deliver()

    def drained(self, number: int) -> None:
        self.keeper.drained(f"{self.label}-{number}")
        self.deliver()

    def close(self, seconds: float = 15.0) -> None:
        self.keeper.close(self.clock() + seconds)
        self.deliver()

    # ------------------------------------------------------------------------------ what came of it

    def block(self, number: int) -> Block:
        return next(one for one in self.keeper.view if one.id == f"{self.label}-{number}")

    def states(self) -> list[str]:
        return [str(self.block(number + 1).state) for number in range(len(self.keeper.view))]

    def alive(self) -> list[Block]:
        return [one for one in self.keeper.view if not one.ended]

    def notices(self, part: str) -> list[str]:
        return [text for _, text in self.context.notices if part in text]


@pytest.fixture(scope="session")
def any_bench() -> Any:
    """The class of benches, for tests that make many."""
    return Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    """Makes benches; each must come to its end."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Bench(folder, **options))
        return made[-1]

    yield make
    for one in made:
        one.calls.hangs.clear()
        one.close()
        one.go(20.0)
        assert one.keeper.closed
        assert one.alive() == []
