"""How much of tasks' arguments is out of the client's hands at once."""

from __future__ import annotations

from weft_htex.window import Window


def filled(window: Window, size: int, workers: int) -> int:
    """Send tasks of a size as long as there is room. Returns how many were sent."""
    sent = 0
    while window.has_room(workers) and sent < 10_000:
        window.sent(sent, size)
        sent += 1
    return sent


def test_bytes_bound_what_is_out() -> None:
    window = Window(100)

    assert filled(window, 30, workers=0) == 4
    assert window.bytes == 120


def test_what_ends_makes_room() -> None:
    window = Window(100)
    filled(window, 60, workers=0)

    window.ended(0)

    assert window.has_room(0)
    assert (window.bytes, len(window)) == (60, 1)


def test_no_worker_waits_for_room_however_large_tasks_are() -> None:
    window = Window(100)

    assert filled(window, 1000, workers=1) == 2
    window.clear()
    assert filled(window, 1000, workers=8) == 11


def test_one_is_sent_though_it_alone_is_too_large_and_nobody_is_there() -> None:
    assert filled(Window(100), 1000, workers=0) == 1


def test_small_ones_are_bounded_by_their_bytes_alone() -> None:
    assert filled(Window(1000), 1, workers=1) == 1000


def test_a_task_that_is_sent_again_counts_once() -> None:
    window = Window(100)
    window.sent(7, 60)
    window.sent(7, 80)

    assert (window.bytes, len(window)) == (80, 1)
    window.ended(7)
    assert window.bytes == 0


def test_the_end_of_what_was_never_sent_changes_nothing() -> None:
    window = Window(100)
    window.sent(1, 50)

    window.ended(2)
    window.ended(1)
    window.ended(1)

    assert (window.bytes, len(window)) == (0, 0)


def test_who_is_gone_has_nothing() -> None:
    window = Window(100)
    filled(window, 60, workers=0)

    window.clear()

    assert window.has_room(0)
    assert (window.bytes, len(window)) == (0, 0)
