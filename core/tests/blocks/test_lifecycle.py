"""What a block may become, whatever happens and in whatever order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.blocks.lifecycle import (
    BlockRecord,
    Cancel,
    Changed,
    Drain,
    DrainAsked,
    Drained,
    Event,
    How,
    JobSeen,
    Joined,
    Left,
    Over,
    Patience,
    Refused,
    Remark,
    StopAsked,
    Submitted,
    Superfluous,
    TimePassed,
    advance,
    due,
)
from weft.values.blocks import BLOCK_ENDED, BLOCK_MOVES, BlockState
from weft.values.jobs import JobState, JobStatus

PATIENCE = Patience()


def made() -> BlockRecord:
    return BlockRecord(id="cpu-1", asked=0.0, since=0.0)


def seen(state: JobState, reason: str = "", **more: Any) -> JobSeen:
    return JobSeen(JobStatus(state=state, reason=reason, **more))


def after(*events: Event, record: BlockRecord | None = None, now: float = 1.0) -> BlockRecord:
    record = record or made()
    for event in events:
        advance(record, event, now, PATIENCE)
    return record


QUEUED = (Submitted("j"),)
STARTING = (*QUEUED, seen(JobState.RUNNING))
READY = (*STARTING, Joined("m"))


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((), BlockState.REQUESTED),
        (QUEUED, BlockState.QUEUED),
        (STARTING, BlockState.STARTING),
        (READY, BlockState.READY),
        ((Joined("m"),), BlockState.READY),
        ((*QUEUED, Joined("m")), BlockState.READY),
        ((*READY, DrainAsked("idle")), BlockState.DRAINING),
        ((*QUEUED, DrainAsked("idle")), BlockState.DRAINING),
        ((Refused("no"),), BlockState.FAILED),
        ((*QUEUED, seen(JobState.FAILED)), BlockState.FAILED),
        ((*STARTING, seen(JobState.DONE)), BlockState.FAILED),
        ((*STARTING, seen(JobState.CANCELLED)), BlockState.FAILED),
        ((*STARTING, seen(JobState.EXPIRED)), BlockState.FAILED),
        ((*READY, seen(JobState.FAILED)), BlockState.LOST),
        ((*READY, seen(JobState.CANCELLED)), BlockState.LOST),
        ((*READY, seen(JobState.EXPIRED)), BlockState.ENDED),
        ((*READY, seen(JobState.DONE)), BlockState.ENDED),
        ((*READY, StopAsked("close"), seen(JobState.CANCELLED)), BlockState.ENDED),
        ((*STARTING, StopAsked("close"), seen(JobState.FAILED)), BlockState.ENDED),
        ((*READY, DrainAsked("idle"), Drained(), seen(JobState.FAILED)), BlockState.ENDED),
        ((StopAsked("close"), Refused("no")), BlockState.ENDED),
        ((Superfluous("close"), Refused("no")), BlockState.ENDED),
        ((Superfluous("close"), Submitted("j")), BlockState.DRAINING),
        ((*STARTING, Superfluous("close"), seen(JobState.FAILED)), BlockState.ENDED),
        ((*READY, Superfluous("close")), BlockState.READY),
    ],
)
def test_the_state_after(events: tuple[Event, ...], state: BlockState) -> None:
    assert after(*events).state is state


@pytest.mark.parametrize("events", [QUEUED, STARTING, READY])
def test_a_provider_that_does_not_say_ends_nothing(events: tuple[Event, ...]) -> None:
    record = after(*events)

    assert advance(record, seen(JobState.UNKNOWN), 2.0, PATIENCE) == []
    assert record.state not in BLOCK_ENDED


def test_the_words_of_the_scheduler_are_kept_and_told() -> None:
    record = after(*QUEUED)

    assert advance(record, seen(JobState.QUEUED, "PartitionDown"), 2.0, PATIENCE) == [Changed()]
    assert record.reason == "PartitionDown"
    assert advance(record, seen(JobState.QUEUED, "PartitionDown"), 3.0, PATIENCE) == []


def test_how_it_ended_is_said_once() -> None:
    record = after(*READY)

    assert advance(record, seen(JobState.FAILED, "node down"), 2.0, PATIENCE) == [
        Changed(),
        Over(How.VANISHED),
    ]
    assert advance(record, seen(JobState.DONE), 3.0, PATIENCE) == []
    assert (record.reason, record.since) == ("node down", 2.0)


def test_only_a_block_with_managers_is_asked_to_drain() -> None:
    assert Drain() in advance(after(*READY), DrainAsked("idle"), 2.0, PATIENCE)
    assert advance(after(*QUEUED), DrainAsked("idle"), 2.0, PATIENCE) == [Cancel("j"), Changed()]


def test_a_manager_that_comes_while_its_block_drains_is_asked_to_drain() -> None:
    record = after(*QUEUED, DrainAsked("idle"))

    assert Drain() in advance(record, Joined("m"), 2.0, PATIENCE)
    assert record.state is BlockState.DRAINING


def test_a_block_that_is_superfluous_is_left_to_end_by_itself() -> None:
    """What is known here may be old: it may have come up, and run tasks."""
    record = after(*STARTING)

    assert advance(record, Superfluous("close"), 2.0, PATIENCE) == [Changed()]
    assert advance(record, Joined("m"), 2.0, PATIENCE) == [Changed(), Drain()]
    assert advance(record, Drained(), 3.0, PATIENCE) == [Cancel("j")]


def test_a_job_that_comes_after_its_block_was_stopped_is_cancelled() -> None:
    assert Cancel("j") in advance(after(StopAsked("close")), Submitted("j"), 2.0, PATIENCE)


def test_a_job_that_comes_after_its_block_ended_is_cancelled() -> None:
    record = after(Refused("it hung"))

    assert advance(record, Submitted("j"), 2.0, PATIENCE) == [Cancel("j")]
    assert advance(record, Submitted("j"), 2.0, PATIENCE) == []


def test_a_block_of_several_machines_stays_ready_while_one_manager_is_left() -> None:
    record = after(*READY, Joined("n"), Left("m"))

    assert due(record, PATIENCE) is None
    assert not record.unsettled


def test_a_block_without_managers_is_given_up_after_a_while() -> None:
    record = after(*READY, Left("m"))

    assert record.unsettled
    assert due(record, PATIENCE) == 1.0 + PATIENCE.alone
    assert advance(record, TimePassed(), 5.9, PATIENCE) == []
    assert advance(record, TimePassed(), 6.0, PATIENCE) == [
        Cancel("j"),
        Changed(),
        Over(How.VANISHED),
    ]


def test_a_manager_that_comes_back_in_time_saves_its_block() -> None:
    record = after(*READY, Left("m"), Joined("m"))

    assert due(record, PATIENCE) is None
    assert record.state is BlockState.READY


def test_a_block_that_runs_without_a_manager_is_told_of_and_later_given_up() -> None:
    record = after(*STARTING)

    record.heard = 61.0
    assert advance(record, TimePassed(), 61.0, PATIENCE) == [Remark()]
    assert advance(record, TimePassed(), 61.0, PATIENCE) == []
    record.heard = 301.0
    assert advance(record, TimePassed(), 301.0, PATIENCE) == [
        Cancel("j"),
        Changed(),
        Over(How.NEVER_REGISTERED),
    ]
    assert "no manager has registered" in record.reason


def test_a_block_that_waits_for_machines_is_never_given_up_for_that() -> None:
    record = after(*QUEUED)

    for day in range(1, 30):
        after(seen(JobState.QUEUED), TimePassed(), record=record, now=day * 86400.0)

    assert record.state is BlockState.QUEUED


def test_silence_is_told_of_and_ends_a_block_at_last() -> None:
    record = after(*QUEUED)

    assert advance(record, TimePassed(), 61.0, PATIENCE) == [Remark(silent=True)]
    assert due(record, PATIENCE) == 601.0
    assert Over(How.NEVER_REGISTERED) in advance(record, TimePassed(), 601.0, PATIENCE)


def test_word_from_the_provider_ends_the_silence() -> None:
    record = after(*QUEUED)
    advance(record, TimePassed(), 61.0, PATIENCE)

    advance(record, seen(JobState.QUEUED), 600.0, PATIENCE)

    assert advance(record, TimePassed(), 601.0, PATIENCE) == []


def test_an_end_that_nobody_confirms_is_believed_after_a_while() -> None:
    record = after(*READY, StopAsked("close"))

    assert due(record, PATIENCE) == 61.0
    assert advance(record, TimePassed(), 61.0, PATIENCE)[-1] == Over(How.AS_ASKED)
    assert "not confirmed" in record.reason


EVENTS = st.one_of(
    st.builds(Submitted, st.just("j")),
    st.builds(Refused, st.just("no")),
    st.builds(seen, st.sampled_from(JobState)),
    st.builds(Joined, st.sampled_from("mn")),
    st.builds(Left, st.sampled_from("mn")),
    st.just(DrainAsked("idle")),
    st.just(Superfluous("close")),
    st.just(Drained()),
    st.just(StopAsked("close")),
    st.just(TimePassed()),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 400)), max_size=25))
def test_states_only_move_forward_and_a_block_ends_once(
    steps: list[tuple[Event, float]],
) -> None:
    record, now, ends = made(), 0.0, 0
    for event, passed in steps:
        now += passed
        before = record.state
        effects = advance(record, event, now, PATIENCE)
        assert record.state is before or record.state in BLOCK_MOVES[before]
        assert record.state is before or Changed() in effects
        ends += sum(1 for effect in effects if isinstance(effect, Over))
        assert ends == (1 if record.ended else 0)
        assert not record.managers or not record.ended


@given(st.lists(st.tuples(EVENTS, st.floats(0, 400)), max_size=25))
def test_what_is_due_happens_and_is_then_not_due_again(
    steps: list[tuple[Event, float]],
) -> None:
    record, now = made(), 0.0
    for event, passed in steps:
        now += passed
        advance(record, event, now, PATIENCE)
    for _ in range(20):
        at = due(record, PATIENCE)
        if at is None:
            break
        now = max(now, at)
        assert advance(record, TimePassed(), now, PATIENCE) != []
    assert record.ended or due(record, PATIENCE) is None


@given(st.lists(EVENTS, max_size=12))
def test_the_same_twice_is_the_same_once(events: list[Event]) -> None:
    once, twice = made(), made()
    for event in events:
        advance(once, event, 1.0, PATIENCE)
        advance(twice, event, 1.0, PATIENCE)
        advance(twice, event, 1.0, PATIENCE)
    assert (once.state, once.reason, once.managers, once.job) == (
        twice.state,
        twice.reason,
        twice.managers,
        twice.job,
    )


@pytest.mark.parametrize("start", [0.0, -1.0])
def test_a_patience_without_time_is_refused(start: float) -> None:
    with pytest.raises(ValueError, match="start"):
        Patience(start=start)
