"""The text of a status: what a person needs is there, and nothing grows without bound."""

import time
from pathlib import Path
from typing import Any

from weft.interfaces.executor import AtWork, ExecutorStatus, ManagerStatus
from weft.status import Status
from weft.values.blocks import Block, BlockState
from weft.values.states import TaskState


def manager(name: str = "manager-1", block: str = "cpu-1", **more: Any) -> ManagerStatus:
    return ManagerStatus(name=name, block=block, host="node17", pid=311, workers=8, **more)


def block(number: int = 1, state: BlockState = BlockState.READY, **more: Any) -> Block:
    since = time.time() - 124.5
    return Block(id=f"cpu-{number}", state=state, since=since, job=f"{4710 + number}", **more)


def text(*executors: ExecutorStatus, **more: Any) -> list[str]:
    states = dict.fromkeys(TaskState, 0)
    fields: dict[str, Any] = {
        "counts": states,
        "apps": {},
        "from_memory": {},
        "executors": {f"cpu{number or ''}": one for number, one in enumerate(executors)},
        "failures": (),
        "elapsed": 83.0,
        "run_folder": Path("/runs/004"),
        "closed": False,
        "program": "survey.py",
    }
    return str(Status(**{**fields, **more})).splitlines()


def test_a_run_is_told_from_blocks_down_to_what_workers_run() -> None:
    at_work = [AtWork(worker="worker 3 (pid 388)", task=17, app="square")]
    status = ExecutorStatus(
        workers=8,
        running=1,
        waiting=2,
        blocks=[block()],
        managers=[manager(held=2, at_work=at_work, python="3.11.7")],
    )

    assert text(status)[2:] == [
        "executor cpu: 1 of 8 workers busy, 2 tasks wait",
        "  block cpu-1: ready for 2:04, job 4711",
        "    manager-1 on node17 (pid 311): 8 workers, 2 tasks, Python 3.11.7",
        "      worker 3 (pid 388): square (task 17)",
    ]


def test_what_differs_between_a_node_and_here_is_told() -> None:
    differs = {"numpy": ("1.26.4", "2.1.0"), "scipy": ("", "1.14.0")}
    lines = text(ExecutorStatus(workers=8, blocks=[block()], managers=[manager(differs=differs)]))

    assert "      differs: numpy 1.26.4, here 2.1.0" in lines
    assert "      differs: scipy not installed, here 1.14.0" in lines


def test_a_manager_that_is_silent_or_drains_is_told() -> None:
    status = ExecutorStatus(
        workers=8, blocks=[block()], managers=[manager(silent=21.0, state="draining")]
    )

    assert "    manager-1 on node17 (pid 311): 8 workers, draining, silent for 0:21" in text(status)


def test_a_manager_whose_block_is_not_known_is_shown_all_the_same() -> None:
    lines = text(ExecutorStatus(workers=8, managers=[manager()]))

    assert "  manager-1 on node17 (pid 311): 8 workers" in lines


def test_blocks_that_ended_say_how() -> None:
    gone = [
        block(number, BlockState.FAILED, exit_code=3, reason="node\nfailure")
        for number in range(1, 6)
    ]
    lines = text(ExecutorStatus(workers=0, blocks=gone))

    assert "  block cpu-5: failed 2:04 ago, job 4715, exit code 3, node failure" in lines
    assert "  and 2 blocks that ended before" in lines
    assert not any("cpu-1" in line for line in lines)


def test_tasks_are_counted_by_state_and_by_app() -> None:
    square = {TaskState.DONE: 3, TaskState.LAUNCHED: 1}
    cube = {TaskState.PENDING: 2}
    lines = text(
        counts=square | cube, apps={"square": square, "cube": cube}, from_memory={"square": 2}
    )

    assert lines[:5] == [
        "survey.py: 1:23, in /runs/004",
        "tasks: 3 done, 1 launched, 2 pending of 6",
        "  2 of them from memory",
        "  square  3 done, 1 launched",
        "  cube    2 pending",
    ]


def test_a_run_without_tasks_or_executors_has_a_text_too() -> None:
    assert text(closed=True, elapsed=90061.0) == [
        "survey.py: 1 d 1:01:01, closed, in /runs/004",
        "tasks: none",
    ]


def test_however_many_there_are_the_text_stays_short() -> None:
    busy = [AtWork(worker=f"worker {n} (pid {n})", task=n, app="a") for n in range(500)]
    many = ExecutorStatus(
        workers=10,
        blocks=[block(n) for n in range(1, 1001)],
        managers=[manager(f"m{n}", f"cpu-{n}", at_work=busy) for n in range(1, 1001)],
    )
    apps = {f"app{n}": {TaskState.DONE: 1} for n in range(300)}

    lines = text(many, apps=apps)

    assert len(lines) < 250
    assert any("more apps" in line for line in lines)
    assert any("more workers" in line for line in lines)
    assert max(map(len, lines)) < 150
