"""What stands in the place of the interchange, and of the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq

from weft.calls.packing import Packer
from weft_htex import messages
from weft_htex.keys import make_pair, private_folder, write_block
from weft_htex.orders import ORDERS, Orders

BOUND = 60.0


class Interchange:
    """A fake: one socket, turned by hand, that a real manager talks to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.public, secret = make_pair()
        self.socket.curve_server = True
        self.socket.curve_secretkey = secret.encode()
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"tcp://127.0.0.1:{port}"
        self.packer = Packer()
        self.heard: list[messages.Control] = []
        self.results: dict[int, messages.ResultRow] = {}
        self.ends: dict[int, list[Any]] = {}
        self.peer = b""
        self.whole = messages.Whole()
        self.manager: subprocess.Popen[bytes] | None = None
        self.auto_beat = True
        self.minor = messages.VERSION[1]

    def start(
        self,
        *,
        addresses: Sequence[str] = (),
        program: Sequence[str] = ("-m", "weft_htex.manager"),
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a manager."""
        folder = private_folder(self.folder / "managers")
        keys = folder / "b-1.keys"
        write_block(keys, block="b-1", server=self.public, addresses=[*addresses, self.address])
        given: dict[str, Any] = {
            "label": "htex",
            "keys": str(keys),
            "folder": str(folder),
            "path": [],
            "packages": [],
            "heartbeat": 0.5,
            "lost_after": 5.0,
            "max_message": 1 << 30,
            "walltime": 0.0,
            "workers": 1,
            "cores_per_worker": 1.0,
            "memory_per_worker": None,
            "accelerators": None,
            "accelerators_per_worker": 1.0,
            "accelerator_variables": [],
            "cpu_affinity": "none",
            "isolation": "clean",
            "tasks_per_worker": None,
            "environment": {},
            "start_timeout": 30.0,
            "prefetch": 0.05,
            "output_kept": 10_000_000,
        }
        orders = folder / "b-1.json"
        Orders(**{**given, **options}).write(orders)
        self.manager = subprocess.Popen(
            [sys.executable, *program],
            env={**os.environ, ORDERS: str(orders)},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        return self.manager

    def say(self, said: messages.Control) -> None:
        self.send(messages.control_out(said))

    def send(self, parts: Sequence[Any]) -> None:
        for one in messages.messages_out(parts):
            self.socket.send_multipart([self.peer, *one])

    def hear(self, happened: Callable[[], Any], bound: float = BOUND) -> None:
        """Take what comes until something has happened."""
        until = time.monotonic() + bound
        while not happened():
            assert self.socket.poll(max(0, int((until - time.monotonic()) * 1000))), self.heard[-5:]
            self.peer, *parts = self.socket.recv_multipart()
            whole = self.whole.take(parts)
            if whole is not None:
                self.take(whole)

    def take(self, parts: Sequence[Any]) -> None:
        kind = messages.kind_of(parts)
        if kind == messages.RESULTS:
            for row in messages.rows_in(parts):
                assert isinstance(row, messages.ResultRow)
                assert row.id not in self.results, "said twice"
                self.results[row.id] = row
            return
        said = messages.control_in(parts, self.minor)
        self.heard.append(said)
        if isinstance(said, messages.Ends):
            self.ends.update({end[0]: end for end in said.ends})
        elif isinstance(said, messages.Beat) and self.auto_beat:
            self.say(messages.Beat())

    def said(self, kind: type[messages.Control]) -> list[Any]:
        return [one for one in self.heard if isinstance(one, kind)]

    def welcome(self, **options: Any) -> messages.Register:
        """Wait for the registration, and answer it."""
        self.hear(lambda: self.said(messages.Register))
        self.say(
            messages.Welcome(
                version=options.get("version", messages.VERSION),
                manager=options.get("name", "m-1"),
                beat=options.get("beat", 0.5),
                lost=options.get("lost", 5.0),
            )
        )
        registered: messages.Register = self.said(messages.Register)[-1]
        return registered

    def row(
        self, number: int, function: Callable[..., Any], *args: Any, **options: Any
    ) -> tuple[tuple[bytes, Sequence[Any]], dict[bytes, bytes]]:
        """A task's row, and the definitions that it needs."""
        call = self.packer.pack(function, args, {}, "it")
        needed = {one.digest: one.blob for one in (call.function, *call.needs) if one is not None}
        attempt = options.pop("attempt", 1)
        buffers = [one.raw() for one in call.buffers]
        row = messages.task_bytes(
            number, attempt, call.head, digests=list(needed), app=b"it", buffers=buffers, **options
        )
        return row, needed

    def deal(self, number: int, function: Callable[..., Any], *args: Any, **options: Any) -> None:
        """Send one task with all that it needs."""
        row, needed = self.row(number, function, *args, **options)
        self.send(messages.definitions_out(needed))
        self.send(messages.rows_out(messages.TASKS, [row]))

    def close(self) -> None:
        manager = self.manager
        if manager is not None:
            if manager.poll() is None:
                manager.kill()
            manager.wait(BOUND)
            assert manager.stderr is not None
            manager.stderr.close()
        self.socket.close(0)
        self.context.term()


@pytest.fixture
def interchange(tmp_path: Path) -> Iterator[Interchange]:
    """A fake interchange, and the manager that it starts."""
    made = Interchange(tmp_path)
    yield made
    made.close()
