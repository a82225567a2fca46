"""Memory decides who runs and who waits."""

import pathlib
from typing import Any

import pytest

from weft.dataflow.checkpoint import Output, Recalled
from weft.dataflow.memo import Follow, Hit, Lead, Memo, Stored


def fresh(*args: Any, **options: Any) -> Any:
    """A memory; its answers are looked at without asking first which they are, hence ``Any``."""
    return Memo(*args, **options)


K, L = b"k" * 32, b"l" * 32


class Shelf:
    """A store by hand."""

    def __init__(self, **held: Any) -> None:
        self.held = {name.encode() * 32: value for name, value in held.items()}

    def __contains__(self, key: Any) -> Any:
        return key in self.held

    def read(self, key: Any) -> Any:
        return self.held.get(key)


def test_the_first_of_identical_calls_leads_and_the_others_follow_it() -> None:
    memo = fresh()

    assert isinstance(memo.claim(K, 1), Lead)
    assert memo.claim(K, 2).leader == 1
    assert memo.claim(K, 3).leader == 1
    assert isinstance(memo.claim(L, 4), Lead)
    assert memo.under_way == 2


def test_when_the_leader_finishes_its_followers_get_the_value_in_the_order_of_their_calls() -> None:
    memo = fresh()
    for task in (1, 2, 3):
        memo.claim(K, task)

    assert memo.finished(K, 1, "value") == (2, 3)
    assert memo.claim(K, 4).value == "value"
    assert memo.under_way == 0


@pytest.mark.parametrize("value", [None, False, 0, []])
def test_a_value_that_looks_like_nothing_is_a_value(value: Any) -> None:
    memo = fresh()
    memo.claim(K, 1)
    memo.finished(K, 1, value)

    hit = memo.claim(K, 2)

    assert isinstance(hit, Hit)
    assert hit.value is value


def test_when_the_leader_fails_its_followers_fail_and_the_next_call_runs() -> None:
    memo = fresh()
    memo.claim(K, 1)
    memo.claim(K, 2)

    assert memo.failed(K, 1) == (2,)
    assert isinstance(memo.claim(K, 3), Lead)


def test_when_the_leader_is_cancelled_the_first_follower_leads_the_rest() -> None:
    memo = fresh()
    for task in (1, 2, 3):
        memo.claim(K, task)

    promotion = memo.cancelled(K, 1)

    assert promotion.task == 2
    assert isinstance(promotion.claim, Lead)
    assert memo.claim(K, 4).leader == 2
    assert memo.finished(K, 2, "value") == (3, 4)


def test_when_a_leader_without_followers_is_cancelled_nobody_leads() -> None:
    memo = fresh()
    memo.claim(K, 1)

    assert memo.cancelled(K, 1) is None
    assert memo.under_way == 0
    assert isinstance(memo.claim(K, 2), Lead)


def test_a_follower_that_is_cancelled_gets_nothing_and_disturbs_nobody() -> None:
    memo = fresh()
    for task in (1, 2, 3):
        memo.claim(K, task)

    assert memo.cancelled(K, 2) is None
    assert memo.finished(K, 1, "value") == (3,)


def test_reports_of_tasks_that_do_not_lead_are_ignored() -> None:
    memo = fresh()
    memo.claim(K, 1)
    memo.claim(K, 2)

    assert memo.finished(K, 2, "wrong") == ()
    assert memo.failed(K, 2) == ()
    assert memo.cancelled(L, 1) is None
    assert memo.finished(K, 1, "right") == (2,)
    assert memo.finished(K, 1, "again") == ()
    assert memo.claim(K, 3).value == "right"


def test_a_value_of_an_earlier_run_is_read_by_whoever_the_reader_is_given_to() -> None:
    memo = fresh(Shelf(k=Recalled("old")))

    stored = memo.claim(K, 1)

    assert isinstance(stored, Stored)
    assert isinstance(memo.claim(K, 2), Follow)
    found = stored.reader()
    assert found is not None
    assert found.value == "old"
    assert memo.finished(K, 1, found.value, found.outputs) == (2,)
    assert memo.claim(K, 3).value == "old"


def test_a_stored_value_that_cannot_be_read_leaves_its_task_leading() -> None:
    shelf = Shelf(k=None)
    memo = fresh(shelf)
    stored = memo.claim(K, 1)
    memo.claim(K, 2)

    assert stored.reader() is None
    assert memo.finished(K, 1, "computed") == (2,)


def test_a_follower_promoted_while_the_value_was_being_read_reads_it_too() -> None:
    memo = fresh(Shelf(k=Recalled("old")))
    memo.claim(K, 1)
    memo.claim(K, 2)

    promotion = memo.cancelled(K, 1)

    assert promotion.claim.reader().value == "old"


def test_a_value_counts_only_while_its_output_files_are_there(tmp_path: pathlib.Path) -> None:
    made = tmp_path / "made"
    made.write_text("four")
    memo = fresh()
    memo.claim(K, 1)
    memo.finished(K, 1, "value", (Output(str(made), 4),))

    assert memo.claim(K, 2).reader().value == "value"
    memo.finished(K, 2, "value", (Output(str(made), 4),))
    made.write_text("no longer four")
    assert memo.claim(K, 3).reader() is None
    memo.failed(K, 3)
    made.unlink()
    assert memo.claim(K, 4).reader() is None


def test_beyond_its_limit_memory_forgets_what_was_used_longest_ago() -> None:
    memo = fresh(max_entries=2)
    for task, key in enumerate((b"a", b"b")):
        memo.claim(key, task)
        memo.finished(key, task, key)
    memo.claim(b"a", 2)

    memo.claim(b"c", 3)
    memo.finished(b"c", 3, b"c")

    assert len(memo) == 2
    assert isinstance(memo.claim(b"a", 4), Hit)
    assert isinstance(memo.claim(b"b", 5), Lead)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        fresh(max_entries=0)


def test_a_hundred_thousand_followers_that_are_cancelled_one_by_one_cost_no_quadratic_time() -> (
    None
):
    memo = fresh()
    many = 100_000
    for task in range(many):
        memo.claim(K, task)

    for task in range(many - 1):
        assert memo.cancelled(K, task).task == task + 1

    assert memo.cancelled(K, many - 1) is None
