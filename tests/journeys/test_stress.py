"""A hundred thousand tasks of random shape, whose every result is known beforehand.

A generator with a seed draws the graph: chains, fans in and out, parts of results, joins, failures
that a retry mends and failures that it does not, cancels. A second, plain walk over the same
drawing says what must come out of each task; then every future is compared.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path
from typing import Any

import attrs
import pytest

import weft
from weft import Config, join_app, python_app
from weft.builtin.settings import Threads
from weft.errors import DependencyError, JoinError
from weft.values.settings import ExecutorSettings
from weft.values.states import FINAL, TaskState

RETRIES = 2
MODULUS = 1_000_003

_PATIENCE = 300.0

pytestmark = pytest.mark.timeout(400)


class Flaw(Exception):
    """What tasks raise on purpose."""

    def __init__(self, node: int, attempt: int) -> None:
        super().__init__(node, attempt)
        self.node, self.attempt = node, attempt


def mixed(node: int, values: Any) -> int:
    """What a task computes of the results of its inputs."""
    total = node
    for value in values:
        total = (total * 31 + value) % MODULUS
    return total


class Counter:
    """Which try of a node this is, counted where the tasks run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tries: dict[int, int] = {}

    def next(self, node: int) -> int:
        with self.lock:
            self.tries[node] = self.tries.get(node, 0) + 1
            return self.tries[node]

    def __reduce__(self) -> Any:
        # Each process counts for itself.
        return Counter, ()


counter = Counter()


@python_app
def plain(node: int, values: list[int], fails: int) -> int:
    if fails and counter.next(node) <= fails:
        raise Flaw(node, counter.tries[node])
    return mixed(node, values)


@python_app
def boxed(node: int, values: list[int], fails: int) -> dict[str, list[int]]:
    if fails and counter.next(node) <= fails:
        raise Flaw(node, counter.tries[node])
    return {"v": [0, mixed(node, values)]}


@python_app
def deep(node: int, given: dict[str, Any], fails: int) -> int:
    """The inputs come nested."""
    if fails and counter.next(node) <= fails:
        raise Flaw(node, counter.tries[node])
    return mixed(node, [*given["first"], *[value for (value,) in given["rest"].values()]])


@join_app
def joined(node: int, values: list[int], fails: int) -> Any:
    """Two inner tasks, and a third that needs both; the third fails if the node is to fail."""
    half = len(values) // 2
    left, right = plain(-1, values[:half], 0), plain(-2, values[half:], 0)
    return {"k": [plain(node, [left, right], 10**9 if fails > RETRIES else 0)]}


@attrs.frozen
class Node:
    """One task of the drawing."""

    kind: str
    inputs: tuple[int, ...]
    fails: int
    cancel: bool


def drawn(size: int, seed: int, *, mendable: bool = True, joins: float = 0.03) -> list[Node]:
    """The drawing: each node has its inputs among the earlier ones."""
    chance = random.Random(seed)
    nodes: list[Node] = []
    for n in range(size):
        roll = chance.random()
        if roll < 0.25:
            inputs: tuple[int, ...] = ()
        elif roll < 0.60:  # a chain
            inputs = (max(0, n - chance.randint(1, 3)),) if n else ()
        elif roll < 0.98:  # a few, near by
            inputs = tuple(
                {max(0, n - chance.randint(1, 400)) for _ in range(chance.randint(1, 4))} - {n}
            )
        else:  # a fan-in
            inputs = tuple({max(0, n - chance.randint(1, 2000)) for _ in range(40)} - {n})
        flaw = chance.random()
        fails = RETRIES + 1 if flaw < 0.0005 else 0
        if mendable and 0.0005 <= flaw < 0.02:
            fails = chance.randint(1, RETRIES)
        roll = chance.random()
        kind = (
            "join"
            if roll < joins
            else "boxed"
            if roll < 0.08
            else "deep"
            if roll < 0.25
            else "plain"
        )
        nodes.append(Node(kind, inputs, fails, chance.random() < 0.0005))
    return nodes


def foreseen(nodes: list[Node]) -> list[int | str]:
    """What must come out of each node: a value, or how it ends."""
    out: list[int | str] = []
    for n, node in enumerate(nodes):
        if node.cancel:
            out.append("cancelled")
        elif any(isinstance(out[one], str) for one in node.inputs):
            out.append("dependency")
        elif node.fails > RETRIES:
            out.append("join" if node.kind == "join" else "flaw")
        else:
            values = [int(out[one]) for one in node.inputs]
            if node.kind == "join":
                half = len(values) // 2
                values = [mixed(-1, values[:half]), mixed(-2, values[half:])]
            out.append(mixed(n, values))
    return out


def submitted(nodes: list[Node]) -> list[Future[Any]]:
    """Every node as a task; those to be cancelled wait for a gate that never opens."""
    made: list[Future[Any]] = []
    gate: Future[int] = Future()
    for n, node in enumerate(nodes):
        inputs: list[Any] = [made[one] for one in node.inputs]
        if node.cancel:
            future: Any = plain(n, [*inputs, gate], 0)
            assert future.cancel()
            made.append(future)
            continue
        if node.kind == "join":
            future = joined(n, inputs, node.fails)["k"][0]
        elif node.kind == "boxed":
            future = boxed(n, inputs, node.fails)["v"][1]
        elif node.kind == "deep":
            split = len(inputs) // 2
            rest = {k: (one,) for k, one in enumerate(inputs[split:])}
            future = deep(n, {"first": tuple(inputs[:split]), "rest": rest}, node.fails)
        else:
            future = plain(n, inputs, node.fails)
        made.append(future)
    return made


def ended(future: Future[Any]) -> int | str:
    """How a future ended, in the words of :func:`foreseen`."""
    try:
        value = future.result(0)
    except CancelledError:
        return "cancelled"
    except Flaw:
        return "flaw"
    except JoinError as error:
        return "join" if isinstance(error.root, Flaw) else f"join of {error.root!r}"
    except DependencyError as error:
        roots = error.roots
        # A part of a result fails by way of the task that it is a part of.
        if error.task.endswith(")") and "]" in error.task and error.link.length <= 3:
            if isinstance(roots[0], Flaw):
                return "flaw"
            if isinstance(roots[0], JoinError):
                return "join"
        known = all(isinstance(root, (Flaw, JoinError, CancelledError)) for root in roots)
        return "dependency" if known else f"dependency on {roots!r}"
    assert isinstance(value, int)
    return value


def agrees(node: Node, found: int | str, expected: int | str) -> bool:
    """Whether a task ended as it must; a part may tell a failure of its own as that of an input."""
    if found == expected:
        return True
    parts = node.kind in ("join", "boxed")
    return parts and {found, expected} <= {"flaw", "join", "dependency"}


def shaken(nodes: list[Node], config: Config) -> float:
    """Run a drawing, compare everything; returns the seconds of processor time that it took."""
    expected = foreseen(nodes)
    counter.tries.clear()
    began = time.process_time()
    with weft.load(config) as run:
        futures = submitted(nodes)
        assert not wait(futures, _PATIENCE).not_done
        assert run.wait(_PATIENCE)
        took = time.process_time() - began
        status = run.status()
    wrong = [
        (n, nodes[n], found, expected[n])
        for n, found in enumerate(map(ended, futures))
        if not agrees(nodes[n], found, expected[n])
    ]
    assert wrong == []
    assert status.unfinished == 0
    assert sum(status.counts[state] for state in FINAL) == sum(status.counts.values())
    assert status.counts[TaskState.CANCELLED] == sum(node.cancel for node in nodes)
    # The drawing has something of everything, or it shows nothing.
    kinds = {one if isinstance(one, str) else "value" for one in expected}
    assert kinds >= {"value", "flaw", "dependency", "cancelled"}
    assert sum(not isinstance(one, str) for one in expected) > len(nodes) / 4
    return took


def settings_of(tmp_path: Path, executor: ExecutorSettings) -> Config:
    return Config(executors=[executor], retries=RETRIES, run_dir=tmp_path / "runs")


@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_tasks_of_random_shape_come_out_as_foreseen(tmp_path: Path, seed: int) -> None:
    shaken(drawn(10_000, seed), settings_of(tmp_path, Threads(max_threads=4)))


@pytest.mark.slow
def test_a_hundred_thousand_tasks_of_random_shape_come_out_as_foreseen(tmp_path: Path) -> None:
    took = shaken(drawn(100_000, 2026), settings_of(tmp_path, Threads(max_threads=4)))

    assert took < 60


def test_ten_thousand_tasks_on_processes_come_out_as_foreseen(tmp_path: Path) -> None:
    # A process counts its own tries alone, so here what fails once fails for good.
    config = settings_of(tmp_path, weft.executor("processes", max_workers=2))
    shaken(drawn(10_000, 11, mendable=False), config)


def test_a_limit_on_pending_tasks_changes_no_result(tmp_path: Path) -> None:
    config = attrs.evolve(settings_of(tmp_path, Threads(max_threads=2)), max_pending=100)
    # What is cancelled waits for a gate; with places taken by it the rest goes on all the same.
    shaken(drawn(5_000, 7), config)


def test_many_threads_that_call_wait_and_cancel_at_once_lose_nothing(tmp_path: Path) -> None:
    """Eight callers, each with a window of futures of its own that it waits for or cancels."""
    lost: list[Any] = []

    def call(seed: int) -> None:
        chance = random.Random(seed)
        window: deque[tuple[int, Any]] = deque()
        for n in range(1_000):
            window.append((n, plain(n, [f for _, f in list(window)[-2:]] if n % 3 else [], 0)))
            if len(window) > 20:
                _, future = window.popleft()
                if chance.random() < 0.1:
                    future.cancel()
                if not wait([future], _PATIENCE).done:
                    lost.append(future)
        if wait([future for _, future in window], _PATIENCE).not_done:
            lost.append(window)

    with weft.load(settings_of(tmp_path, Threads(max_threads=2))) as run:
        callers = [threading.Thread(target=call, args=(seed,)) for seed in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(_PATIENCE)
        assert run.wait(_PATIENCE)
        counts = run.status().counts

    assert lost == []
    assert sum(counts.values()) == sum(counts[state] for state in FINAL) == 8_000
