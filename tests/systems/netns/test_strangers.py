"""A host of somebody else on the same network: nothing that it sends has any effect."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from weft_netns.apps import begin, host
from weft_netns.cluster import BOUND, Gate, eventually, managers

LOGIN = "10.77.0.1"
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


@pytest.fixture
def stranger(cluster: Any) -> Any:
    """A cluster, and a host that does not belong to it."""
    there = cluster(nodes=2)
    other = there.network.host("stranger")
    there.network.link(other, ["10.77.0.99/24"])
    return there, other


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection((LOGIN, port), BOUND) as made:
        yield made


def port_of(session: Any) -> int:
    addresses = session.status().executors["htex"].details["addresses"]
    return int(addresses[0].rpartition(":")[2])


def ignored(session: Any) -> int:
    return int(session.status().executors["htex"].details["messages ignored"])


def test_one_port_is_open_and_what_is_said_there_changes_nothing(stranger: Any, gate: Gate) -> None:
    there, other = stranger
    with there.session(nodes_per_block=2, workers_per_node=1) as session:
        eventually(lambda: len(managers(session)) == 2)
        before = managers(session)
        port = port_of(session)
        assert there.login.listening() == [port]
        running = [begin(str(gate.folder)) for _ in range(2)]
        eventually(lambda: len(gate.begun()) == 2)
        with other:
            for said in (b"", b"GET / HTTP/1.1\r\n\r\n", GREETING, os.urandom(1 << 16)):
                with connected(port) as made:
                    made.sendall(said)
            # One that says it is about to send eight gigabytes.
            with connected(port) as made:
                made.sendall(GREETING + b"\x06" + (8 << 30).to_bytes(8, "big"))
            knock(port)
        eventually(lambda: ignored(session))
        gate.open()
        assert sorted(one.result(BOUND) for one in running) == ["node1", "node2"]
        after = managers(session)
        assert {one.result(BOUND) for one in [host() for _ in range(50)]} <= {"node1", "node2"}

    assert set(after) == set(before)
    assert {len(one.tries) for one in running} == {1}


def knock(port: int) -> None:
    """Connect as a peer of the same library, without keys and with keys of one's own."""
    with zmq.Context() as context:
        for keys in (None, zmq.curve_keypair()):
            with context.socket(zmq.DEALER) as made:
                made.setsockopt(zmq.LINGER, 0)
                if keys is not None:
                    made.curve_publickey, made.curve_secretkey = keys
                    made.curve_serverkey = zmq.curve_keypair()[0]
                monitor = made.get_monitor_socket(
                    zmq.EVENT_DISCONNECTED
                    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
                    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
                    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
                    | zmq.EVENT_HANDSHAKE_SUCCEEDED
                )
                made.connect(f"tcp://{LOGIN}:{port}")
                with contextlib.suppress(zmq.Again):  # refused already: nobody is there to send to
                    made.send(b"let me in", zmq.DONTWAIT)
                assert monitor.poll(int(BOUND * 1000))
                event = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
                made.disable_monitor()
                monitor.close(0)
            assert event != zmq.EVENT_HANDSHAKE_SUCCEEDED


def test_connections_that_say_nothing_are_dropped(stranger: Any) -> None:
    there, other = stranger
    with there.session(nodes_per_block=2) as session, contextlib.ExitStack() as stack:
        eventually(lambda: len(managers(session)) == 2)
        port = port_of(session)
        with other:
            silent = [stack.enter_context(connected(port)) for _ in range(200)]
        assert host().result(BOUND) in {"node1", "node2"}
        for one in silent:
            one.settimeout(BOUND)
            with contextlib.suppress(ConnectionResetError):
                while one.recv(4096):
                    pass
        assert host().result(BOUND) in {"node1", "node2"}
