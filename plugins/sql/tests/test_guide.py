"""Every question of the guide is one that the database understands."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from weft.testing import FakeContext
from weft.values.events import Event, RunEnded, TaskMoved, TaskSubmitted
from weft.values.states import TaskState
from weft_sql.monitor import SqlMonitor
from weft_sql.settings import Sql
from weft_testkit.monitor import all_events

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "monitoring-sql.md"


def questions() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two runs: one of every event there is, and one in which two tasks fail for a third."""
    folder = tmp_path_factory.mktemp("runs") / "0001" / "monitor-0-sql"
    folder.mkdir(parents=True)
    failed = TaskState.FAILED
    stories: tuple[list[Event], ...] = (
        all_events(),
        [
            *(TaskSubmitted(1.0, task, "sum", tuple(range(task))) for task in range(3)),
            TaskMoved(2.0, 0, "sum", TaskState.LAUNCHED, 1, "cpu"),
            TaskMoved(3.0, 0, "sum", failed, 1, "", "ValueError: x"),
            *(TaskMoved(4.0, task, "sum", failed, 0, "", "input failed") for task in (1, 2)),
            RunEnded(5.0, "id", 0, 3, 0),
        ],
    )
    for events in stories:
        monitor = SqlMonitor(Sql())
        monitor.start(FakeContext(folder))
        monitor.handle(events)
        monitor.close()
    return folder.parent.parent / "weft.db"


def answer(database: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(question).fetchall()


@pytest.mark.parametrize("number", range(len(questions())))
def test_the_database_understands_each_question(database: Path, number: int) -> None:
    answer(database, questions()[number])


def test_answers_are_those_of_the_runs(database: Path) -> None:
    asked = {text.split("\n")[0]: text for text in questions()}
    assert len(asked) == len(questions()) >= 8

    def ask(begin: str) -> list[tuple[object, ...]]:
        return answer(database, next(text for line, text in asked.items() if begin in line))

    assert ask("SELECT run, name, started")[0][5:8] == (0, 3, 0)
    assert ask("WITH RECURSIVE") == [(2, 0, 2)]
    assert [row[-1] for row in ask("SELECT t.task, t.app")] == ["ValueError: x"]
    assert [row[:2] for row in ask("SELECT app, count(*)")] == [("sum", 1)]
