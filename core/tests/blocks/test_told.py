"""What becomes of a block reaches the log and the hooks of a run."""

from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

import weft
from weft.configuration.registry import Registry
from weft.interfaces.executor import ExecutorContext
from weft.interfaces.hookspecs import hookimpl
from weft.testing import FakeExecutor
from weft.values.blocks import BlockState
from weft.values.events import BlockChanged
from weft.values.plugin import Component, Kind
from weft.values.settings import ExecutorSettings


@attrs.frozen(kw_only=True)
class Settings(ExecutorSettings):
    """An executor with one block."""

    plugin: ClassVar[str] = "one-block"


class OneBlock(FakeExecutor):
    def start(self, context: ExecutorContext) -> None:
        super().start(context)
        context.tell(BlockChanged(1.0, context.label, "cpu-1", "4711", BlockState.READY))


def build(_: Settings) -> OneBlock:
    return OneBlock()


class Watcher:
    def __init__(self) -> None:
        self.seen: list[BlockChanged] = []

    @hookimpl
    def weft_block_changed(self, event: BlockChanged) -> None:
        self.seen.append(event)


def test_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    registry, watcher = Registry(), Watcher()
    facts: dict[str, Any] = {"kind": Kind.EXECUTOR, "name": "one-block", "summary": "One block."}
    facts |= {"settings": f"{__name__}:Settings", "factory": f"{__name__}:build"}
    registry.register(Component(**facts))
    registry.register_hooks(watcher, "watcher")

    config = weft.Config(executors=[Settings()])
    with weft.Session(config, registry=registry) as session:
        folder = session.run_folder

    assert [event.block for event in watcher.seen] == ["cpu-1"]
    assert "block cpu-1 (job 4711) is ready" in (folder / "weft.log").read_text()
