"""Words that choose failed tasks of a run come to what finds them in another, or say why not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.errors import CannotRetry
from weft.eventlog.chosen import chosen, in_words
from weft.eventlog.story import RunStory
from weft.values.choice import choice_of
from weft.values.events import CallFailed, TaskMoved, TaskSubmitted
from weft.values.states import TaskState as S
from weft.values.task import TaskId

FUNCTION = "0123456789abcdef" * 4
APPS = ("measure", "after", "plain", "good", "slow")
NAMES = {number: f"{number:032x}" for number in range(20)}


def task(number: int, app: str, end: S, *needs: int, named: bool = True) -> list[Any]:
    here = TaskId(number)
    error = "ValueError: no" if end is S.FAILED and not needs else "DependencyError: no"
    tried = 0 if needs else 1
    events: list[Any] = [TaskSubmitted(1.0, here, app, tuple(map(TaskId, needs)))]
    if end is S.LAUNCHED:
        return [*events, TaskMoved(2.0, here, app, end, 1, "threads")]
    events.append(TaskMoved(2.0, here, app, end, tried, "", error if end is S.FAILED else ""))
    if end is S.FAILED and named and not needs:
        events.append(CallFailed(3.0, here, app, NAMES[number], FUNCTION))
    return events


def a_run() -> RunStory:
    tasks = [
        task(0, "measure", S.DONE),
        task(1, "measure", S.FAILED),
        task(2, "measure", S.FAILED),
        task(3, "after", S.FAILED, 1),
        task(4, "plain", S.FAILED, named=False),
        task(5, "good", S.DONE),
        task(6, "slow", S.LAUNCHED),
        task(7, "slow", S.CANCELLED),
    ]
    return RunStory().fold(event for one in tasks for event in one)


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["measure"], ["measure"]),
        (["1"], [f"call:{NAMES[1]}"]),
        (["2,1", "1", "plain , slow"], ["plain", "slow", f"call:{NAMES[2]}", f"call:{NAMES[1]}"]),
        (["after,measure"], ["after", "measure"]),
        (["after", "1"], ["after", f"call:{NAMES[1]}"]),
        ([], []),
    ],
)
def test_apps_keep_their_names_and_tasks_get_those_of_their_calls(
    words: list[str], made: list[str]
) -> None:
    former = [f"was:{FUNCTION}:measure"] if words else []
    assert chosen(a_run(), words) == made + former
    assert choice_of(made + former).formerly("measure") == [bytes.fromhex(FUNCTION)][: len(words)]


@pytest.mark.parametrize(
    ("words", "what", "why", "todo"),
    [
        (["nosuch"], "'nosuch'", "no app of this name: it has measure", "Name one of these"),
        (["mesure"], "'mesure'", "no app of this name", "Did you mean 'measure'?"),
        ([""], "''", "no app of this name", "Name one of these"),
        (["good"], "'good'", "All its tasks ended well", "Leave it away"),
        (["after"], "'after'", "because of others, such as measure (task 1)", "--only measure"),
        (["99"], "Task 99", "none of this number", "weft runs show"),
        (["1,0"], "Task 0, of measure,", "It ended well", "failed by themselves: 1, 2, 4."),
        (["3"], "Task 3", "because of measure (task 1)", "--only 1"),
        (["4"], "Task 4", "no cache=True", "--only plain"),
        (["6"], "Task 6", "did not come to its end", "--only slow"),
        (["7"], "Task 7", "was cancelled", "--only slow"),
    ],
)
def test_what_cannot_be_chosen_says_why_and_what_to_do(
    words: list[str], what: str, why: str, todo: str
) -> None:
    with pytest.raises(CannotRetry) as caught:
        chosen(a_run(), words)
    error = caught.value
    assert what in error.what
    assert "cannot be chosen" in error.what
    assert why in error.why
    assert todo in error.todo


def test_a_log_of_an_older_weft_knows_apps_and_no_calls() -> None:
    story = RunStory().fold(task(1, "measure", S.FAILED, named=False))
    assert chosen(story, ["measure"]) == ["measure"]
    with pytest.raises(CannotRetry, match="older version of weft"):
        chosen(story, ["1"])


@given(st.lists(st.text(max_size=12), max_size=3))
def test_whatever_is_written_makes_a_choice_or_is_refused(words: list[str]) -> None:
    parts = {part.strip() for word in words for part in word.split(",")}
    if parts <= {*APPS, *map(str, NAMES)}:
        return
    with pytest.raises(CannotRetry, match="cannot be chosen"):
        chosen(a_run(), words)


def test_a_choice_in_words() -> None:
    assert in_words(["fit", f"was:{FUNCTION}:fit"]) == "the app fit"
    assert in_words(["fit", "a", "call:1"]) == "the apps fit, a and 1 task by number"
    assert in_words(["call:1", "call:2"]) == "2 tasks by number"
