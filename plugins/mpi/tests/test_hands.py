"""Tasks wait for nodes before a crew gets them, and are told of as by a crew."""

from __future__ import annotations

import os
import selectors
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from weft.calls.call import Call
from weft.calls.packing import Packer
from weft.calls.running import value_of
from weft.values.task import Resources
from weft.workers.crew import CrewSettings, End, Fate, Job, Ran, Said, Used
from weft_mpi.errors import NoFolder
from weft_mpi.hands import NodeHands

BOUND = 60.0


def nodes_of(ticket: str, go: str = "") -> list[str]:
    """What a worker finds of the nodes of its task; it waits for leave to end."""
    found = Path(os.environ["WEFT_MPI_FOLDER"], f"{ticket}.hosts").read_text().split()
    if go:
        Path(f"{go}-{ticket}").touch()
    until = time.monotonic() + BOUND
    while go and not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.02)
    return found


class Task(Job):
    """A task as a manager has it."""

    __slots__ = ("attempt", "go", "packer")

    def __init__(self, number: int, nodes: int, go: str = "") -> None:
        super().__init__(number, "app", needs=Resources(accelerators=nodes))
        self.attempt, self.go, self.packer = 1, go, Packer()

    def call(self) -> Call:
        return self.packer.pack(nodes_of, (f"{self.job}-1", self.go), {})


class Owner:
    """A manager: its loop, and what it is told."""

    def __init__(self, folder: Path, nodes: Sequence[str]) -> None:
        self.results: dict[int, Any] = {}
        self.ends: dict[int, End] = {}
        self.returned: list[int] = []
        self.said: list[tuple[int, str]] = []
        self.selector = selectors.DefaultSelector()
        settings = CrewSettings(folder=folder, max_workers=2, accelerators=tuple(nodes))
        self.hands = NodeHands(settings, self.selector, self, nodes, lambda _text: None)
        self.hands.start()

    def until(self, happened: Callable[[], object]) -> None:
        bound = time.monotonic() + BOUND
        while not happened():
            assert time.monotonic() < bound, (self.results, self.ends, self.returned)
            wait = self.hands.until_next()
            for key, mask in self.selector.select(0.5 if wait is None else min(wait, 0.5)):
                self.hands.handle(key, mask)
            self.hands.tick(time.monotonic())

    def crew_told(self, said: Sequence[Said], used: Sequence[Used]) -> None:
        self.said += [(job.id, row[3]) for job, row in said]

    def crew_results(self, results: Sequence[Ran]) -> None:
        self.results |= {ran[0].id: value_of(ran[2], ran[3]) for ran in results}

    def crew_ends(self, ends: Sequence[End]) -> None:
        self.ends |= {end.job.id: end for end in ends}

    def crew_returns(self, jobs: Sequence[Job]) -> None:
        self.returned += [job.id for job in jobs]

    def crew_failed(self, reason: str) -> None:
        raise AssertionError(reason)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    made = Owner(tmp_path, ["a", "b"])
    yield made
    made.hands.end()
    made.selector.close()


def test_who_finds_no_nodes_waits_for_them(owner: Owner, tmp_path: Path) -> None:
    go = tmp_path / "go"
    owner.hands.add([Task(1, 2, str(go)), Task(2, 1)])
    owner.until(lambda: owner.hands.status().running)
    assert owner.hands.status().waiting == 1
    go.touch()
    owner.until(lambda: len(owner.results) == 2)
    assert owner.results == {1: ["a", "b"], 2: ["a"]}


def test_who_waits_can_be_cancelled_and_holds_nobody_up(owner: Owner, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first, big, small = Task(1, 1, str(go)), Task(2, 2), Task(3, 1)
    owner.hands.add([first, big, small])
    owner.until(lambda: owner.hands.status().running)
    assert not owner.results
    owner.hands.cancel([big])
    owner.until(lambda: 3 in owner.results)
    assert owner.ends[2].fate is Fate.CANCELLED
    assert big.over
    owner.hands.cancel([first])
    owner.until(lambda: 1 in owner.ends)
    assert owner.ends[1].fate is Fate.CANCELLED


def test_more_nodes_than_there_are_is_an_end(owner: Owner) -> None:
    owner.hands.add([Task(1, 3)])
    owner.until(lambda: owner.ends)
    assert owner.ends[1].fate is Fate.IMPOSSIBLE
    assert "asks for 3 nodes, and its block has 2" in owner.ends[1].loss


def test_closing_gives_back_what_waits_and_finishes_what_runs(owner: Owner, tmp_path: Path) -> None:
    go = tmp_path / "go"
    owner.hands.add([Task(1, 2, str(go)), Task(2, 1)])
    owner.until(Path(f"{go}-1-1").exists)
    owner.hands.close(BOUND)
    owner.hands.add([Task(3, 1)])
    go.touch()
    owner.until(lambda: owner.hands.closed)
    assert owner.results == {1: ["a", "b"]}
    assert owner.returned == [2, 3]


def test_nodes_are_not_free_as_long_as_somebody_holds_them(owner: Owner, tmp_path: Path) -> None:
    go = tmp_path / "go"
    owner.hands.add([Task(1, 2, str(go)), Task(2, 2)])
    owner.until(lambda: owner.hands.status().running)
    held = os.open(owner.hands._folder / "1-1.hold", os.O_WRONLY | os.O_NONBLOCK)
    go.touch()
    owner.until(lambda: 1 in owner.results)
    assert owner.hands.status().waiting == 1
    os.close(held)
    owner.until(lambda: 2 in owner.results)


def test_nothing_is_left_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    owner = Owner(tmp_path, ["a"])
    owner.hands.add([Task(1, 1)])
    owner.until(lambda: owner.results)
    assert list(tmp_path.glob("weft-mpi-*"))
    owner.hands.end()
    owner.hands.end()
    owner.selector.close()
    assert not list(tmp_path.glob("weft-mpi-*"))


def test_no_folder_for_temporary_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(NoFolder, match="No such file or directory"):
        Owner(tmp_path, ["a"])
