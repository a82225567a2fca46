"""The monitor keeps the promises of its interface, with a real server of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.rows import tuple_row

from tests.systems.needs import free_port
from tests.waiting import BOUND, eventually
from weft.testing import FakeContext
from weft.values.events import TaskMoved, TaskSubmitted
from weft.values.settings import Settings
from weft.values.states import TaskState
from weft_sql.monitor import SqlMonitor
from weft_sql.settings import Sql
from weft_testkit import MonitorConformance
from weft_testkit.monitor import Recorded

if TYPE_CHECKING:
    from tests.systems.postgresql.conftest import Server

_RECORD = """
SELECT e.seq, e.data FROM event AS e WHERE e.run = %(run)s
UNION ALL SELECT s.seq, concat_ws(' ', s.detail, t.app) FROM state AS s
  JOIN task AS t ON t.run = s.run AND t.task = s.task AND s.attempt = 0 WHERE s.run = %(run)s
UNION ALL SELECT s.seq, s.detail FROM state AS s WHERE s.run = %(run)s AND s.attempt > 0
UNION ALL SELECT y.seq, y.error FROM try AS y WHERE y.run = %(run)s AND y.seq IS NOT NULL
UNION ALL SELECT b.seq, b.block FROM block_state AS b WHERE b.run = %(run)s
UNION ALL SELECT m.seq, m.manager FROM manager_state AS m WHERE m.run = %(run)s
UNION ALL SELECT f.seq, f.url FROM transfer AS f WHERE f.run = %(run)s
UNION ALL SELECT r.seq, r.executor FROM resource AS r WHERE r.run = %(run)s
UNION ALL SELECT d.seq, d.traceback FROM detail AS d WHERE d.run = %(run)s
UNION ALL SELECT l.seq, l.text FROM log AS l WHERE l.run = %(run)s
UNION ALL SELECT n.seq, n.text FROM notice AS n WHERE n.run = %(run)s
ORDER BY 1
"""


class TestServer(MonitorConformance):
    name = "sql"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self, server: Server) -> Settings:
        return self.registry().settings("monitor", "sql", database=server.url)

    @pytest.fixture
    def folder(self, scratch: Path) -> Path:
        folder = scratch / "runs" / "0001" / "monitor-0-sql"
        folder.mkdir(mode=0o700, parents=True)
        return folder

    @pytest.fixture
    def recorded(self, server: Server) -> Recorded | None:
        def read(folder: Path) -> Sequence[str]:
            with psycopg.connect(server.url, row_factory=tuple_row) as connection:
                found = connection.execute(
                    "SELECT run FROM run WHERE recorder = %s", [str(folder)]
                ).fetchone()
                assert found is not None
                rows = connection.execute(_RECORD, {"run": found[0]}).fetchall()
            return [str(text) for _, text in rows]

        return read

    @pytest.fixture
    def hindered(self, settings: Settings, scratch: Path) -> tuple[Settings, FakeContext] | None:
        nobody = f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
        away = self.registry().settings("monitor", "sql", database=nobody, timeout=5.0)
        return away, FakeContext(scratch / "runs" / "0001" / "monitor-0-sql")


def test_a_server_that_is_killed_gets_what_it_missed(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "0001" / "monitor-0-sql"
    folder.mkdir(parents=True)
    context = FakeContext(folder)
    monitor = SqlMonitor(Sql(database=server.url))

    def live(task: int) -> None:
        monitor.handle(
            [
                TaskSubmitted(1.0, task, "sum", (0, 1)),
                TaskMoved(2.0, task, "sum", TaskState.LAUNCHED, 1, "cpu"),
                TaskMoved(3.0, task, "sum", TaskState.DONE, 1),
            ]
        )

    def tasks() -> int:
        with psycopg.connect(server.url) as connection:
            found = connection.execute(
                "SELECT count(*) FROM task JOIN run USING (run) WHERE recorder = %s", [str(folder)]
            ).fetchone()
        assert found is not None
        return int(found[0])

    monitor.start(context)
    try:
        live(1)
        eventually(lambda: tasks() == 1)
        server.stop()
        live(2)
        context.wait_until(lambda: context.notices, BOUND)
        live(3)
        server.start()
        eventually(lambda: tasks() == 3)
    finally:
        monitor.close()
    assert len(context.notices) == 1
    assert "The run goes on" in context.notices[0][1]
