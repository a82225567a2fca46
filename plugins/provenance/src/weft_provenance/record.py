"""What the events of a run say of its provenance. Pure.

Times are those of the machine of the script, so that none contradicts another: a task begins when
its first try is launched, and ends when it comes into its final state.
"""

from collections.abc import Iterable
from typing import Any

import attrs

from weft.values.events import RunEnded, RunStarted, TaskMoved, TaskSubmitted, TryEnded
from weft.values.states import FINAL, TaskState

__all__ = ["Action", "Record", "clean", "recorded"]


@attrs.define
class Action:
    """A task.

    Attributes:
        task: its number.
        app: the name of its app.
        needs: the numbers of the tasks whose results it got.
        inputs: the files that its call names.
        outputs: the files that it was to make.
        state: where it is.
        begun: when its first try was launched; ``None`` if none was.
        ended: when it ended; ``None`` if that was not told.
        tries: how many there were.
        executor: where its last try ran: the executor's label.
        place: the same in the executor's words; may be empty.
        error: the first line of its error.
        lost: the errors of the tries before the last.
        from_memory: whether memory answered it.
    """

    task: int
    app: str
    needs: tuple[int, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    state: TaskState = TaskState.PENDING
    begun: float | None = None
    ended: float | None = None
    tries: int = 0
    executor: str = ""
    place: str = ""
    error: str = ""
    lost: list[str] = attrs.field(factory=list)
    from_memory: bool = False


@attrs.define
class Record:
    """A run.

    Attributes:
        started: what was told when it began; ``None`` if the log lacks that.
        ended: what was told when it ended; ``None`` if it did not, or the log lacks that.
        first: the time of the first event; 0.0 if there is none.
        last: the time of the latest one.
        actions: its tasks, by their numbers.
        apps: the names of its apps, in the order of their first calls.
        run_id: its id; empty where the log does not say it.
        going_on: whether it goes on.
        gaps: what the log lacks, for people; empty if nothing.
    """

    started: RunStarted | None = None
    ended: RunEnded | None = None
    first: float = 0.0
    last: float = 0.0
    actions: dict[int, Action] = attrs.field(factory=dict)
    apps: list[str] = attrs.field(factory=list)
    run_id: str = ""
    going_on: bool = False
    gaps: str = ""

    @property
    def failed(self) -> int:
        """How many tasks failed."""
        return sum(one.state is TaskState.FAILED for one in self.actions.values())


def recorded(events: Iterable[Any]) -> Record:
    """What events come to, in the order in which a run was told them."""
    record = Record()
    apps: dict[str, None] = {}
    for event in events:
        record.first = record.first or event.time
        record.last = max(record.last, event.time)
        kind = type(event)
        if kind is TaskMoved:
            _moved(_action(record, event, apps), event)
        elif kind is TaskSubmitted:
            action = _action(record, event, apps)
            action.needs = tuple(dict.fromkeys(event.needs))
            action.inputs, action.outputs = event.inputs, event.outputs
        elif kind is TryEnded:
            action = _action(record, event, apps)
            action.tries = max(action.tries, event.attempt)
            action.lost.append(event.error)
        elif kind is RunStarted:
            record.started, record.run_id = event, event.run_id
        elif kind is RunEnded:
            record.ended = event
    record.apps = list(apps)
    return record


def _action(record: Record, event: Any, apps: dict[str, None]) -> Action:
    action = record.actions.get(event.id)
    if action is None:
        action = record.actions[event.id] = Action(event.id, event.app)
        apps[event.app] = None
    return action


def _moved(action: Action, event: TaskMoved) -> None:
    state = event.state
    if type(state) is not TaskState:  # one that a newer weft has
        return
    action.state = state
    action.tries = max(action.tries, event.attempt)
    action.place = event.place or action.place
    if state is TaskState.LAUNCHED:
        action.executor = event.executor
        if action.begun is None:
            action.begun = event.time
    elif state in FINAL:
        # The clock of the machine may have been set back meanwhile.
        action.ended = max(event.time, action.begun or 0.0)
        action.from_memory = state is TaskState.DONE and event.detail == "memory"
        if state is not TaskState.DONE:
            action.error = event.detail or state.label


def clean(text: str) -> str:
    """The text as every format takes it: what is no character, or controls a terminal, is shown."""
    if text.isascii() and text.isprintable():
        return text
    whole = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        one if one.isprintable() or one in "\n\t" else f"\\x{ord(one):02x}" for one in whole
    )
