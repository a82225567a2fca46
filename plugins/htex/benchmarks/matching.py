"""What matching costs for each task, by the number of managers: ``python benchmarks/matching.py``.

Managers are simulated in this process, with four workers each. Two cases: every manager is busy
and tasks are dealt ahead in batches (``ahead``), and tasks of unknown length that take a worker
each, so that every one of them is dealt alone (``single``).
"""

from __future__ import annotations

import gc
import struct
import sys
import time
from collections import deque

from weft_htex.matching import Matching
from weft_htex.messages import manner_of

MANNER = struct.pack("<idBHH", 0, 0.0, 1, 3, 0) + b"f" * 16 + b"app"


def run(managers: int, tasks: int, seconds: float) -> float:
    """Processor microseconds for each task."""
    matching = Matching()
    for number in range(managers):
        matching.registered(f"m{number}", block=f"b{number % 64}", workers=4)
    lane = matching.lane(MANNER, manner_of)
    if seconds < 1:
        lane.pace.learn(seconds)
    gc.collect()
    started = time.process_time()
    for number in range(tasks):
        matching.arrived(lane, number, 1, b"row")
    at_work = deque(matching.deal(0.0))
    while at_work:
        deal = at_work.popleft()
        manager = deal.manager
        for task in deal.tasks:
            matching.finished(manager, task.id, 1, seconds)
        matching.changed(manager)
        at_work.extend(matching.deal(0.0))
    assert matching.waiting == matching.dealt == 0
    return (time.process_time() - started) / tasks * 1e6


def main() -> None:
    """Print the table."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    sizes = (1, 16, 1000, 10_000)
    print(f"{tasks} tasks; processor microseconds for each task; best of 5, taking turns")
    print(f"{'managers':>10}{'ahead':>10}{'single':>10}")
    best: dict[tuple[int, float], float] = {}
    for _ in range(5):
        for size in sizes:
            for seconds in (0.001, 60.0):
                spent = run(size, tasks, seconds)
                best[size, seconds] = min(spent, best.get((size, seconds), spent))
    for size in sizes:
        print(f"{size:>10}{best[size, 0.001]:>10.2f}{best[size, 60.0]:>10.2f}")


if __name__ == "__main__":
    main()
