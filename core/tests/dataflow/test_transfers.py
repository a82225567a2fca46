"""Whatever happens to transfers, each task is answered once, and nothing is left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.dataflow.transfers import Abandon, Answer, Begin, Follows, Rest, Tell, Transfers
from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.values.files import File

PLACE = Place(executor="cpu", folder=Path("/there"))
RETRIES = 2


def transfer(name: str, way: Way = Way.IN) -> Transfer:
    file = File(f"fake://host/{name}")
    return Transfer(way=way, file=file, placed=file.placed(f"/there/{name}"), place=PLACE)


def trouble(again: bool) -> StagingError:
    return StagingError("fake://host/a", "in", "No.", again=again)


class World:
    """Does what follows, and keeps count."""

    def __init__(self) -> None:
        self.machine = Transfers(RETRIES, float)
        self.moving: list[tuple[Any, int, Transfer]] = []
        self.resting: list[tuple[Any, int]] = []
        self.answers: dict[int, list[BaseException | None]] = {}
        self.waiting: set[int] = set()
        self.dropped: set[int] = set()
        self.tries: dict[int, int] = {}

    def follow(self, follows: Sequence[Follows]) -> None:
        for one in follows:
            if isinstance(one, Begin):
                self.moving.append((one.ticket, one.ticket.attempt, one.ticket.transfer))
                self.tries[id(one.ticket)] = one.ticket.attempt
            elif isinstance(one, Rest):
                assert one.seconds == one.attempt
                self.resting.append((one.ticket, one.attempt))
            elif isinstance(one, Answer):
                self.answers.setdefault(one.task, []).append(one.error)
                assert one.task in self.waiting
                assert one.task not in self.dropped
                self.waiting.discard(one.task)
            elif isinstance(one, Abandon):
                assert any(one.transfer is other for _, _, other in self.moving)
            elif isinstance(one, Tell):
                assert (one.delay is None) == (
                    not getattr(one.error, "again", False) or one.attempt > RETRIES
                )


NAMES = st.lists(st.sampled_from("abcd"), max_size=4, unique=True)


@given(st.data())
def test_each_task_is_answered_once_whatever_happens(data: st.DataObject) -> None:
    world = World()
    machine = world.machine
    for step in range(data.draw(st.integers(1, 60))):
        kind = data.draw(
            st.sampled_from(("want", "end", "end", "fail", "late", "due", "drop", "old"))
        )
        if kind == "want":
            ways = data.draw(st.sampled_from(list(Way)))
            world.waiting.add(step)
            wanted = [transfer(name, ways) for name in data.draw(NAMES)]
            world.follow(machine.want(step, wanted))
        elif kind in {"end", "fail", "late"} and world.moving:
            at = data.draw(st.integers(0, len(world.moving) - 1))
            ticket, attempt, _ = world.moving[at]
            if kind == "late":
                world.follow(machine.late(ticket, attempt, 1.0))
                continue
            world.moving.pop(at)
            error = trouble(data.draw(st.booleans())) if kind == "fail" else None
            world.follow(machine.ended(ticket, attempt, error))
            assert machine.ended(ticket, attempt, error) == (), "what is over is over"
        elif kind == "due" and world.resting:
            world.follow(machine.due(*world.resting.pop(0)))
        elif kind == "drop" and world.waiting:
            task = data.draw(st.sampled_from(sorted(world.waiting)))
            world.waiting.discard(task)
            world.dropped.add(task)
            world.follow(machine.drop(task))
    for _ in range(200):
        if not world.moving and not world.resting:
            break
        while world.moving:
            ticket, attempt, _ = world.moving.pop()
            world.follow(machine.ended(ticket, attempt, None))
        while world.resting:
            world.follow(machine.due(*world.resting.pop()))

    assert not world.waiting
    assert all(len(told) == 1 for told in world.answers.values())
    assert not world.dropped & world.answers.keys()
    assert len(machine) == 0
    assert max(world.tries.values(), default=1) <= RETRIES + 1


def test_a_task_that_wants_nothing_is_answered_at_once() -> None:
    (answer,) = Transfers(0, float).want(1, [])
    assert isinstance(answer, Answer)
    assert answer.error is None


def test_what_goes_out_is_each_task_s_own() -> None:
    world = World()
    for task in (1, 2):
        world.waiting.add(task)
        world.follow(world.machine.want(task, [transfer("a", Way.OUT)]))
    assert len(world.moving) == 2


def test_the_first_failure_answers_and_gives_up_the_rest() -> None:
    world = World()
    world.waiting.add(1)
    world.follow(world.machine.want(1, [transfer("a"), transfer("b")]))
    ticket, attempt, _ = world.moving.pop(0)
    follows = world.machine.ended(ticket, attempt, trouble(again=False))
    assert [type(one) for one in follows] == [Tell, Abandon, Answer]
    assert len(world.machine) == 0


def test_what_is_still_wanted_by_another_goes_on() -> None:
    world = World()
    for task in (1, 2):
        world.waiting.add(task)
        world.follow(world.machine.want(task, [transfer("a")]))
    assert world.machine.drop(1) == []
    (ticket, attempt, _) = world.moving[0]
    world.waiting.discard(1)
    world.follow(world.machine.ended(ticket, attempt, None))
    assert world.answers == {2: [None]}


@pytest.mark.parametrize(("asked", "rests"), [(0.0, 5.0), (2.0, 5.0), (120.0, 120.0)])
def test_a_rest_is_as_long_as_the_other_side_asks_for(asked: float, rests: float) -> None:
    machine = Transfers(1, lambda number: 5.0 * number)
    (begin,) = machine.want(1, [transfer("a")])
    assert isinstance(begin, Begin)
    busy = StagingError("fake://host/a", "in", "Busy.", again=True, retry_after=asked)

    tell, rest = machine.ended(begin.ticket, 1, busy)

    assert isinstance(tell, Tell)
    assert isinstance(rest, Rest)
    assert tell.delay == rest.seconds == rests
