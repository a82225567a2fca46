"""Tasks that need more than a desk gives: never too much at once, and none waits for ever."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.values.task import Resources
from weft.workers.dealing import Dealer, Desk, Entry
from weft.workers.packing import divided


def node(desks: int, **options: Any) -> Dealer:
    """A dealer for a node of one core for each desk."""
    accelerators = options.pop("accelerators", ())
    dealer = Dealer(slots=divided(desks, desks, None, accelerators), **options)
    for slot in dealer.slots:
        sit_down(dealer, slot.index)
    return dealer


def sit_down(dealer: Dealer, index: int) -> Desk:
    desk = Desk(index, dealer.slot(index))
    dealer.desks.append(desk)
    return desk


def big(name: str, cores: float, priority: int = 0) -> Entry:
    return Entry(name, name, priority, needs=Resources(cores=cores))


def add(dealer: Dealer, *entries: Entry) -> None:
    for entry in entries:
        dealer.add(entry)


def deal(dealer: Dealer, now: float = 0.0) -> list[Any]:
    """The names of what is dealt now, as the crew asks: again and again, until nothing is."""
    names = []
    while dealt := dealer.deal(now):
        names += [entry.job for _, hand in dealt for entry in hand]
    return names


def end(dealer: Dealer, entry: Entry, now: float = 0.0) -> None:
    assert entry.desk is not None
    dealer.ended(entry.desk, entry.number, 1.0, now)


def numbers(count: int, priority: int = 0) -> list[Entry]:
    return [Entry(number, "small", priority) for number in range(count)]


def test_a_big_task_has_its_slots_for_itself() -> None:
    dealer = node(4)
    two, small = big("two", 2), numbers(4)
    add(dealer, two, *small)
    assert deal(dealer) == ["two", 0, 1]
    end(dealer, two)
    assert deal(dealer) == [2, 3]


def test_what_any_desk_gives_is_not_big() -> None:
    dealer = node(2, accelerators=("a", "b"))
    assert dealer.any_gives(Resources(cores=1, accelerators=1))
    assert not dealer.any_gives(Resources(cores=1.5))
    assert dealer.possible(Resources(cores=2, accelerators=2))
    assert not dealer.possible(Resources(cores=3))


def test_smaller_ones_pass_a_big_one_for_a_while_and_then_wait_for_it() -> None:
    dealer = node(2, passing=1.0)
    first, second, *rest = numbers(6)
    add(dealer, first)
    deal(dealer)
    whole = big("whole", 2)
    add(dealer, whole, second, *rest)
    assert deal(dealer, 0.0) == [1]
    end(dealer, second, 0.5)
    assert deal(dealer, 0.5) == [2]
    end(dealer, rest[0], 1.5)
    assert deal(dealer, 1.5) == []
    end(dealer, first, 2.0)
    assert deal(dealer, 2.0) == ["whole"]
    end(dealer, whole, 3.0)
    assert deal(dealer, 3.0) == [3, 4]


def test_higher_priorities_still_pass_a_big_one_that_others_wait_for() -> None:
    dealer = node(2, passing=0.0)
    running, same, urgent = numbers(3)
    urgent.priority = -1
    add(dealer, running)
    deal(dealer)
    add(dealer, big("whole", 2), same)
    assert deal(dealer, 1.0) == []
    add(dealer, urgent)
    assert deal(dealer, 1.0) == [2]


def test_a_big_one_comes_up_in_its_turn() -> None:
    dealer = node(2)
    add(dealer, *numbers(2), big("whole", 2))
    assert deal(dealer) == [0, 1]


def test_a_smaller_big_one_passes_a_bigger_one() -> None:
    dealer = node(3)
    small = Entry("one", "small")
    add(dealer, small)
    deal(dealer)
    add(dealer, big("three", 3), big("two", 2))
    assert deal(dealer) == ["two"]
    end(dealer, small)
    assert deal(dealer) == []


def test_many_cancelled_big_ones_hold_up_nobody() -> None:
    dealer = node(2)
    small = Entry("small", "small")
    add(dealer, small)
    deal(dealer)
    many = [big(f"whole-{n}", 2) for n in range(100)]
    add(dealer, *many)
    assert deal(dealer) == []
    for entry in many[:99]:
        assert dealer.cancel(entry)
    end(dealer, small)
    assert deal(dealer) == ["whole-99"]
    assert dealer.waiting == 0


def test_a_slot_that_was_lent_stays_lent_when_its_worker_is_replaced() -> None:
    dealer = node(2)
    whole = big("whole", 2)
    add(dealer, whole, *numbers(1))
    assert deal(dealer) == ["whole"]
    idle = next(desk for desk in dealer.desks if not desk.held)
    dealer.remove(idle, 0)
    sit_down(dealer, idle.slot.index)
    assert deal(dealer) == []
    end(dealer, whole)
    assert deal(dealer) == [0]


def test_where_slots_are_pinned_a_worker_is_born_for_all_of_them() -> None:
    dealer = node(2, accelerators=("a", "b"), pinned=True)
    both = Entry("both", "app", needs=Resources(accelerators=2))
    again = Entry("again", "app", needs=Resources(accelerators=2))
    add(dealer, both, again, *numbers(1))
    assert deal(dealer) == []
    [old] = dealer.retired()
    assert not old.open
    dealer.remove(old, 0)
    assert dealer.slot(old.slot.index).accelerators == ("a", "b")
    reborn = sit_down(dealer, old.slot.index)
    assert deal(dealer) == ["both"]
    end(dealer, both)
    # The next one wants the same, so the worker stays.
    assert deal(dealer) == ["again"]
    assert not dealer.retired()
    end(dealer, again)
    assert deal(dealer) == [0]  # on the slot whose worker stood idle
    assert dealer.retired() == [reborn]
    dealer.remove(reborn, 0)
    assert dealer.slot(reborn.slot.index).accelerators == ("a",)


def test_a_big_one_that_is_cancelled_while_its_worker_is_born_frees_its_slots() -> None:
    dealer = node(2, accelerators=("a", "b"), pinned=True)
    both = Entry("both", "app", needs=Resources(accelerators=2))
    add(dealer, both)
    assert deal(dealer) == []
    [old] = dealer.retired()
    dealer.remove(old, 0)
    assert dealer.cancel(both)
    assert deal(dealer) == []
    assert dealer.slot(old.slot.index).accelerators == ("a",)
    sit_down(dealer, old.slot.index)
    add(dealer, *numbers(2))
    assert deal(dealer) == [0, 1]


def test_what_waits_is_dropped_with_its_slots() -> None:
    dealer = node(2, accelerators=("a", "b"), pinned=True)
    both = Entry("both", "app", needs=Resources(accelerators=2))
    add(dealer, both, *numbers(2))
    deal(dealer)
    assert both in dealer.clear()
    assert dealer.waiting == 0
    add(dealer, *numbers(1))
    dealer.retired()
    assert deal(dealer) == [0]


@pytest.mark.parametrize("pinned", [False, True])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), desks=st.integers(1, 5))
def test_nothing_is_given_twice_and_everything_ends(seed: int, desks: int, pinned: bool) -> None:
    chance = random.Random(seed)
    accelerators = tuple("abcde"[: chance.randint(0, desks)])
    dealer = node(desks, accelerators=accelerators, pinned=pinned)
    entries = [_any_entry(chance, number, desks, len(accelerators)) for number in range(50)]
    play = _Play(dealer, chance, list(entries))
    for _ in range(5000):
        play.add_some()
        play.deal_all()
        play.replace_workers()
        _nothing_twice(dealer, play.running)
        play.something_happens()
        if len(play.ended) == len(entries):
            break
    assert play.ended == set(entries)
    assert dealer.waiting == 0


class _Play:
    """What crew and workers do, by chance."""

    def __init__(self, dealer: Dealer, chance: random.Random, entries: list[Entry]) -> None:
        self.dealer, self.chance, self.entries = dealer, chance, entries
        self.rest = list(entries)
        self.running: list[Entry] = []
        self.ended: set[Entry] = set()
        self.now = 0.0

    def add_some(self) -> None:
        self.now += self.chance.random() * 0.3
        for _ in range(min(self.chance.randint(0, 4), len(self.rest))):
            self.dealer.add(self.rest.pop(0))

    def deal_all(self) -> None:
        while dealt := self.dealer.deal(self.now):
            self.running += [entry for _, hand in dealt for entry in hand]

    def replace_workers(self) -> None:
        """As the crew does with those that retired, and with those that come too late."""
        dealer = self.dealer
        for desk in dealer.retired():
            if desk in dealer.desks and not desk.held:
                dealer.remove(desk, 0)
        for index in {slot.index for slot in dealer.slots} - {d.slot.index for d in dealer.desks}:
            if self.chance.random() < 0.5:
                sit_down(dealer, index)
        for desk in list(dealer.desks):
            if desk.slot is not dealer.slot(desk.slot.index) and not desk.held:
                dealer.remove(desk, 0)

    def something_happens(self) -> None:
        what = self.chance.random()
        if self.running and what < 0.6:
            entry = self.running.pop(self.chance.randrange(len(self.running)))
            end(self.dealer, entry, self.now)
            self.ended.add(entry)
        elif self.running and what < 0.7:
            self.a_worker_dies()
        elif what < 0.72:
            entry = self.chance.choice(self.entries)
            known = entry not in self.rest and entry not in self.ended
            if known and self.dealer.cancel(entry):
                self.ended.add(entry)

    def a_worker_dies(self) -> None:
        desk = self.chance.choice(self.running).desk
        assert desk is not None
        victim, others = self.dealer.remove(desk, next(iter(desk.held)))
        assert victim is not None
        self.ended.add(victim)
        self.running = [entry for entry in self.running if entry.desk is not None]
        self.dealer.put_back(others)


def _any_entry(chance: random.Random, number: int, desks: int, accelerators: int) -> Entry:
    needs = None
    if chance.random() < 0.4:
        needs = Resources(
            cores=chance.randint(1, desks), accelerators=chance.randint(0, accelerators)
        )
    return Entry(number, chance.choice("ab"), chance.choice([0, 0, 1]), needs=needs)


def _nothing_twice(dealer: Dealer, running: list[Entry]) -> None:
    """What runs at this moment, the first of each desk, fits the node together."""
    at_work = [desk for desk in dealer.desks if desk.held]
    first = [next(iter(desk.held.values())) for desk in at_work]
    cores = sum(max(_cores(entry), 1) for entry in first)
    assert cores <= len(dealer.slots)
    names = [name for desk in at_work for name in _used(desk)]
    assert len(names) == len(set(names))
    for desk in at_work:
        for entry in desk.held.values():
            if entry.needs is not None and dealer.pinned:
                assert len(desk.slot.accelerators) >= (entry.needs.accelerators or 0)
            if entry.needs is not None:
                assert len(desk.held) == 1
    assert {id(entry) for desk in at_work for entry in desk.held.values()} == {
        id(entry) for entry in running
    }


def _cores(entry: Entry) -> float:
    return entry.needs.cores or 1 if entry.needs is not None else 1


def _used(desk: Desk) -> Iterator[str]:
    yield from desk.slot.accelerators


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), desks=st.integers(2, 6))
def test_a_big_one_is_not_passed_for_ever(seed: int, desks: int) -> None:
    chance = random.Random(seed)
    dealer = node(desks, passing=1.0)
    whole = big("whole", desks)
    running: list[tuple[float, Entry]] = []
    number = 0
    for step in range(1000):  # there is always more to do than desks can
        now = step * 0.1
        while dealer.waiting < 3 * desks:
            dealer.add(Entry(number, "small"))
            number += 1
        if step == 10:
            dealer.add(whole)
        while dealt := dealer.deal(now):
            for _, hand in dealt:
                running += [(now + chance.random() * 2, entry) for entry in hand]
        if whole.desk is not None:
            # Its turn came behind what waited before it; then a second, then the longest task.
            return
        for until, entry in list(running):
            if until <= now:
                running.remove((until, entry))
                end(dealer, entry, now)
    raise AssertionError("it was passed for ever")
