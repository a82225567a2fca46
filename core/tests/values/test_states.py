"""The tables of states say one thing."""

from weft.values.states import FINAL, MOVES, TaskState


def test_every_state_is_in_the_table_and_final_ones_lead_nowhere() -> None:
    assert set(MOVES) == set(TaskState)
    assert {state for state in TaskState if not MOVES[state]} == FINAL


def test_from_every_other_state_a_task_can_end_in_every_way() -> None:
    for state in set(TaskState) - FINAL:
        assert MOVES[state] >= FINAL


def test_no_state_moves_to_itself_and_only_retries_go_back() -> None:
    back = {(a, b) for a in TaskState for b in MOVES[a] if b <= a}

    assert back == {
        (TaskState.STAGING_IN, TaskState.PENDING),
        (TaskState.LAUNCHED, TaskState.PENDING),
    }


def test_numbers_count_from_zero_since_they_index_counters() -> None:
    assert [int(state) for state in TaskState] == list(range(len(TaskState)))
    assert all(state < TaskState.DONE for state in set(TaskState) - FINAL)


def test_labels_are_for_people() -> None:
    assert TaskState.STAGING_IN.label == "staging_in"
