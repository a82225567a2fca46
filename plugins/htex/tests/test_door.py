"""Claims of the door by which managers of this machine come in."""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from weft_htex import door as door_module
from weft_htex.door import DOOR, Door, is_door, knocked
from weft_htex.keys import private_folder

BOUND = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return private_folder(tmp_path / "folder")


@pytest.fixture
def door(folder: Path) -> Iterator[Door]:
    made = Door(folder)
    yield made
    made.close()


def opened(door: Door) -> list[socket.socket]:
    waits = select.poll()
    waits.register(door.fd, select.POLLIN)
    assert waits.poll(BOUND * 1000)
    return list(door.opened())


def test_who_knocks_can_be_talked_to(door: Door) -> None:
    end = knocked(door.address)
    assert end is not None
    (other,) = opened(door)

    end.sendall(b"hello")
    assert other.recv(10) == b"hello"
    end.close()
    other.close()


def test_nobody_else_reaches_the_socket(door: Door, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_ISSOCK((folder / DOOR).stat().st_mode)


def test_a_process_of_another_user_is_not_let_in(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = knocked(door.address)
    assert end is not None
    monkeypatch.setattr(door_module, "_user_of", lambda _: os.getuid() + 1)

    assert opened(door) == []
    assert end.recv(10) == b""
    end.close()


def test_a_manager_does_not_come_in_to_another_user(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "_user_of", lambda _: os.getuid() + 1)

    assert knocked(door.address) is None


def test_behind_a_door_that_was_left_behind_is_nobody(door: Door, folder: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), door.fd)  # as after kill -9

    assert (folder / DOOR).exists()
    assert knocked(door.address) is None
    assert knocked(f"unix:{folder}/no-such-door") is None


def test_a_door_that_was_left_behind_is_replaced(folder: Path) -> None:
    first = Door(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), first.fd)

    second = Door(folder)
    end = knocked(second.address)

    assert end is not None
    end.close()
    second.close()
    first.close()


def test_a_closed_door_is_gone(folder: Path) -> None:
    Door(folder).close()

    assert not (folder / DOOR).exists()


def test_a_folder_with_a_long_name_has_a_door_too(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / ("x" * 120))
    door = Door(folder)
    end = knocked(door.address)

    assert end is not None
    end.close()
    door.close()
    assert not (folder / DOOR).exists()


def test_addresses_of_doors_are_told_from_others() -> None:
    assert is_door("unix:/run/x")
    assert not is_door("tcp://127.0.0.1:1")
