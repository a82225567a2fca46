"""Claims of keys, private folders and the files of blocks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import zmq

from weft_htex.keys import NotPrivate, make_pair, private_folder, read_block, resolved, write_block


def write(path: Path) -> str:
    return write_block(path, block="b-1", server="s" * 40, addresses=["tcp://h:1", "tcp://i:1"])


def test_a_block_finds_in_its_file_what_it_needs(tmp_path: Path) -> None:
    public = write(tmp_path / "keys")
    keys = read_block(tmp_path / "keys")

    assert (keys.block, keys.public, keys.server) == ("b-1", public, "s" * 40)
    assert keys.addresses == ("tcp://h:1", "tcp://i:1")
    assert zmq.curve_public(keys.secret.encode()).decode() == public


def test_every_block_has_a_pair_of_its_own(tmp_path: Path) -> None:
    assert write(tmp_path / "one") != write(tmp_path / "two")


def test_the_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write(tmp_path / "keys")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600


def test_no_file_is_written_over_nor_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            write(tmp_path / name)

    assert (tmp_path / "there").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_others_can_read_or_a_link_is_not_used(tmp_path: Path) -> None:
    write(tmp_path / "keys")
    (tmp_path / "link").symlink_to(tmp_path / "keys")
    with pytest.raises(NotPrivate, match="link"):
        read_block(tmp_path / "link")
    (tmp_path / "keys").chmod(0o640)
    with pytest.raises(NotPrivate, match="0640"):
        read_block(tmp_path / "keys")
    with pytest.raises(NotPrivate, match="plain"):
        read_block(tmp_path)


def test_what_is_no_file_of_a_block_is_said_without_showing_it(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    for text in ("", "{}", "[]", '{"secret": "hush"}', '{"block":1,"public":"","secret":"hush"}'):
        file.write_text(text)
        file.chmod(0o600)
        with pytest.raises(ValueError, match="not the file of a block") as caught:
            read_block(file)
        assert "hush" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_keys_do_not_show_themselves(tmp_path: Path) -> None:
    write(tmp_path / "keys")
    keys = read_block(tmp_path / "keys")

    assert keys.secret not in repr(keys)
    assert keys.secret not in str(keys)


def test_pairs_are_z85() -> None:
    public, secret = make_pair()

    assert (len(public), len(secret)) == (40, 40)


def test_a_folder_is_made_private_and_found_again(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "a" / "b")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert private_folder(folder) == folder


def test_a_folder_open_to_others_or_a_link_or_a_file_is_not_used(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "folder")
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(NotPrivate):
            private_folder(tmp_path / name)
    folder.chmod(0o750)
    with pytest.raises(NotPrivate, match="chmod"):
        private_folder(folder)


def test_a_folder_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = private_folder(tmp_path / "folder")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(NotPrivate, match="belongs"):
        private_folder(folder)


def test_addresses_that_a_variable_says_are_those_of_the_node(tmp_path: Path) -> None:
    write_block(tmp_path / "keys", block="b", server="", addresses=["$WAY", "tcp://a:1"])
    keys = read_block(tmp_path / "keys")
    assert resolved(keys, {"WAY": "ipc:///tmp/s"}).addresses == ("ipc:///tmp/s", "tcp://a:1")
    with pytest.raises(ValueError, match=r"\$WAY"):
        resolved(keys, {})
