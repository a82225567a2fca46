"""What the interchange costs for each task, by the number of managers.

    python benchmarks/interchange.py [tasks] [managers ...]

The interchange is a process of its own, with encryption; client and managers are played by this
one. Shown are processor microseconds of the interchange's process for each task, its threads for
input and output among them, and how many tasks passed through it in a second of the clock.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import zmq

from weft_htex import messages
from weft_htex.keys import make_pair
from weft_htex.orders import Parameters
from weft_htex.stream import Stream, pair

BATCH = 256


def spent(pid: int) -> float:
    """Processor seconds of a process so far."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9


def begun(given: Parameters) -> tuple[subprocess.Popen[bytes], Stream]:
    """An interchange, and the way to it."""
    ours, theirs = pair()
    command = [sys.executable, "-m", "weft_htex.interchange"]
    with theirs:
        process = subprocess.Popen(command, stdin=theirs.fileno())
    client = Stream(ours)
    client.send([given.to_json().encode()])
    return process, client


def run(managers: int, tasks: int) -> tuple[float, float]:
    """Processor microseconds for each task, and tasks in a second."""
    context: zmq.Context[Any] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 20_000)
    with tempfile.TemporaryDirectory() as folder:
        given = Parameters(folder=f"{folder}/i", local=True, weft="1.0")
        process, client = begun(given)
        poller = zmq.Poller()
        poller.register(client.fd, zmq.POLLIN)
        poller.poll()
        hello: Any = messages.control_in(client.receive() or ())
        public, secret = make_pair()
        client.say(messages.Admit(block="b", key=public))
        registration = messages.control_out(
            messages.Register(
                version=messages.VERSION, python=sys.version.split()[0], weft="1.0", packages={},
                block="b", host="h", pid=1, workers=4, cores=4, memory=1 << 30, accelerators=0,
                ends=0,
            )
        )  # fmt: skip
        sockets = []
        for _ in range(managers):
            one = context.socket(zmq.DEALER)
            one.set(zmq.CURVE_SERVERKEY, hello.key.encode())
            one.set(zmq.CURVE_PUBLICKEY, public.encode())
            one.set(zmq.CURVE_SECRETKEY, secret.encode())
            one.connect(hello.addresses[0])
            one.send_multipart(registration)
            sockets.append(one)
        for one in sockets:
            one.recv_multipart()
            poller.register(one, zmq.POLLIN)
        manner: dict[str, Any] = {"digests": [b"f" * 16], "app": b"app"}
        client.send(messages.definitions_out({b"f" * 16: b"blob"}))
        # The first ones teach how long they take.
        speeds = []
        for first, count in ((0, 8 * managers), (8 * managers, tasks)):
            before, started = spent(process.pid), time.perf_counter()
            for start in range(first, first + count, BATCH):
                client.send(
                    messages.rows_out(
                        messages.TASKS,
                        [
                            messages.task_bytes(number, 1, b"arguments" * 5, **manner)
                            for number in range(start, min(first + count, start + BATCH))
                        ],
                    )
                )
            done = 0
            while done < count:
                events = zmq.POLLIN | (zmq.POLLOUT if client.blocked else 0)
                poller.register(client.fd, events)
                for one, _ in poller.poll():
                    if one == client.fd:
                        client.flush()
                        while (came := client.receive()) is not None:
                            if came[0][:1] == messages.RESULTS:
                                done += sum(1 for _ in messages.rows_in(came))
                        continue
                    parts = one.recv_multipart()
                    if parts[0][:1] == messages.TASKS:
                        rows = [
                            messages.result_bytes(row[0], 1, 0, b"result", seconds=0.001)
                            for row in messages.task_rows(parts)
                        ]
                        one.send_multipart(messages.rows_out(messages.RESULTS, rows))
            wall = time.perf_counter() - started
            speeds.append(((spent(process.pid) - before) / count * 1e6, count / wall))
        client.close()
        process.wait()
        context.destroy(0)
    return speeds[-1]


def main() -> None:
    """Print the table."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    sizes = [int(one) for one in sys.argv[2:]] or [1, 16, 200]
    print(f"{tasks} tasks; best of 3, taking turns")
    print(f"{'managers':>10}{'µs CPU/task':>14}{'tasks/s':>12}")
    best: dict[int, tuple[float, float]] = {}
    for _ in range(3):
        for size in sizes:
            cpu, speed = run(size, tasks)
            was = best.get(size, (cpu, speed))
            best[size] = (min(cpu, was[0]), max(speed, was[1]))
    for size in sizes:
        print(f"{size:>10}{best[size][0]:>14.2f}{best[size][1]:>12.0f}")


if __name__ == "__main__":
    main()
