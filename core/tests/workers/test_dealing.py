"""Who gets what: the policy by itself."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from weft.workers.dealing import BATCH, Dealer, Desk, Entry


def dealer_with(desks: int, **options: Any) -> Dealer:
    dealer = Dealer(**options)
    dealer.desks = [Desk(number) for number in range(desks)]
    return dealer


def add(dealer: Dealer, count: int, app: str = "app", **options: Any) -> list[Entry]:
    entries = [Entry(number, app, **options) for number in range(count)]
    for entry in entries:
        dealer.add(entry)
    return entries


def learn(dealer: Dealer, app: str, took: float) -> None:
    """Let one task of an app take so long."""
    add(dealer, 1, app)
    [(desk, [entry])] = dealer.deal(0)
    dealer.ended(desk, entry.number, took, 0)


def hands(dealt: list[tuple[Desk, list[Entry]]]) -> list[int]:
    return [len(hand) for _, hand in dealt]


def test_tasks_of_which_nothing_is_known_are_dealt_one_to_each_idle_desk() -> None:
    dealer = dealer_with(3)
    add(dealer, 10)
    assert hands(dealer.deal(0)) == [1, 1, 1]
    assert dealer.deal(0) == []
    assert dealer.waiting == 7


def test_short_tasks_are_dealt_many_at_once_and_evenly() -> None:
    dealer = dealer_with(2)
    learn(dealer, "app", 1e-5)
    add(dealer, 20)
    assert hands(dealer.deal(0)) == [10, 10]


def test_a_desk_gets_no_more_than_some_work_in_advance() -> None:
    dealer = dealer_with(1, ahead=0.05)
    learn(dealer, "app", 0.01)
    add(dealer, 100)
    assert hands(dealer.deal(0)) == [5]


def test_a_desk_holds_no_more_than_a_batch() -> None:
    dealer = dealer_with(1)
    learn(dealer, "app", 1e-7)
    add(dealer, 5 * BATCH)
    assert hands(dealer.deal(0)) == [BATCH]


def test_long_tasks_are_dealt_one_by_one() -> None:
    dealer = dealer_with(2)
    learn(dealer, "app", 10)
    add(dealer, 10)
    assert hands(dealer.deal(0)) == [1, 1]


def test_nothing_is_dealt_behind_a_task_that_must_be_alone() -> None:
    dealer = dealer_with(1)
    learn(dealer, "app", 1e-5)
    add(dealer, 1, alone=True)
    add(dealer, 10)
    assert hands(dealer.deal(0)) == [1]
    assert dealer.deal(0) == []


def test_a_task_that_must_be_alone_waits_for_an_idle_desk() -> None:
    dealer = dealer_with(1)
    learn(dealer, "app", 1e-5)
    add(dealer, 1)
    [(desk, [first])] = dealer.deal(0)
    add(dealer, 1, alone=True)
    assert dealer.deal(0) == []
    dealer.ended(desk, first.number, 1e-5, 0)
    assert hands(dealer.deal(0)) == [1]


def test_a_task_that_took_longer_than_expected_is_taken_for_long_from_then_on() -> None:
    dealer = dealer_with(1)
    learn(dealer, "app", 1e-5)
    learn(dealer, "app", 1.0)
    add(dealer, 10)
    assert hands(dealer.deal(0)) == [1]


def test_with_nothing_in_advance_each_desk_has_one() -> None:
    dealer = dealer_with(2, ahead=0)
    learn(dealer, "app", 1e-5)
    add(dealer, 10)
    assert hands(dealer.deal(0)) == [1, 1]


def test_lower_priorities_go_first_and_equal_ones_in_order() -> None:
    dealer = dealer_with(1)
    learn(dealer, "app", 1e-5)
    for number, priority in enumerate([5, 0, -1, 0, 5]):
        dealer.add(Entry(number, "app", priority))
    [(_, hand)] = dealer.deal(0)
    assert [entry.job for entry in hand] == [2, 1, 3, 0, 4]


def test_what_is_put_back_goes_first_in_its_order() -> None:
    dealer = dealer_with(1)
    learn(dealer, "app", 1e-5)
    add(dealer, 4)
    [(desk, hand)] = dealer.deal(0)
    add(dealer, 2, "app")
    dealer.put_back(dealer.unstarted(desk, hand[0].number))
    assert list(desk.held.values()) == [hand[0]]
    [(_, again)] = dealer.deal(0)
    assert again[:3] == hand[1:]


def test_what_is_cancelled_is_not_dealt() -> None:
    dealer = dealer_with(1)
    learn(dealer, "app", 1e-5)
    entries = add(dealer, 4)
    assert dealer.cancel(entries[1])
    assert not dealer.cancel(entries[1])
    [(_, hand)] = dealer.deal(0)
    assert [entry.job for entry in hand] == [0, 2, 3]
    assert not dealer.cancel(entries[0])
    assert dealer.waiting == 0


def test_a_desk_that_has_had_its_share_of_tasks_gets_no_more() -> None:
    dealer = dealer_with(1, most=3)
    learn(dealer, "app", 1e-5)
    add(dealer, 10)
    assert hands(dealer.deal(0)) == [2]
    assert not dealer.desks[0].open


def test_the_work_of_a_stuck_desk_is_taken_back_when_another_is_idle() -> None:
    dealer = dealer_with(2, ahead=0.05)
    learn(dealer, "app", 1e-5)
    add(dealer, 8)
    (one, _), (other, others) = dealer.deal(1.0)
    assert dealer.stuck(1.0) == ([], None)
    for entry in others:
        dealer.ended(other, entry.number, 1e-5, 1.01)
    late, again = dealer.stuck(1.02)
    assert late == []
    assert again is not None
    assert abs(again - 1.05) < 1e-9
    assert dealer.stuck(1.06)[0] == [one]


def test_a_dead_desk_gives_up_its_victim_and_the_others() -> None:
    dealer = dealer_with(2)
    learn(dealer, "app", 1e-5)
    add(dealer, 8)
    (one, hand), _ = dealer.deal(0)
    victim, others = dealer.remove(one, hand[1].number)
    assert victim is hand[1]
    assert others == [hand[0], *hand[2:]]
    assert one not in dealer.desks
    assert dealer.remove(Desk(), 0) == (None, [])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from([0.0, 0.01, 0.05]))
def test_whatever_happens_each_task_ends_once(seed: int, desks: int, ahead: float) -> None:
    chance = random.Random(seed)
    dealer = dealer_with(desks, ahead=ahead)
    entries = [
        Entry(n, chance.choice("abc"), chance.choice([0, 0, 1]), alone=chance.random() < 0.1)
        for n in range(60)
    ]
    ended: list[Any] = []
    for entry in entries[:30]:
        dealer.add(entry)
    rest = entries[30:]
    now = 0.0
    while len(ended) < len(entries):
        now += chance.random() * 0.02
        if rest and chance.random() < 0.3:
            dealer.add(rest.pop())
        for desk, hand in dealer.deal(now):
            assert hand
            assert len(desk.held) <= BATCH
            if any(entry.alone for entry in desk.held.values()):
                assert len(desk.held) == 1
        busy = [desk for desk in dealer.desks if desk.held]
        if not busy:
            assert not dealer.waiting or not dealer.desks
            if rest:
                dealer.add(rest.pop())
            continue
        desk = chance.choice(busy)
        first = next(iter(desk.held))
        what = chance.random()
        if what < 0.05:
            victim, others = dealer.remove(desk, first)
            assert victim is not None
            ended.append(victim.job)
            dealer.put_back(others)
            dealer.desks.append(Desk())
        elif what < 0.1:
            dealer.put_back(dealer.unstarted(desk, first))
        else:
            took = chance.choice([1e-5, 1e-3, 0.1])
            done = dealer.ended(desk, first, took, now)
            assert done is not None
            ended.append(done.job)
    assert sorted(ended) == list(range(60))
    assert all(abs(desk.load) < 1e-9 for desk in dealer.desks)
