"""Kept copies of files."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from weft.data.cache import Cache, cache_folder
from weft.data.entries import key_of
from weft.errors import StagingError

URL = "https://host/a.txt"
BOUND = 60.0


@attrs.define
class Source:
    """Something to fetch from, which counts."""

    content: bytes = b"content"
    fetched: int = 0

    def __call__(self, path: Path) -> None:
        self.fetched += 1
        path.write_bytes(self.content)


def never(_: Path) -> None:
    raise AssertionError("fetched")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> Cache:
    return Cache(tmp_path / "cache", notice=lambda _, text: said.append(text))


@pytest.fixture
def source() -> Source:
    return Source()


def kept(cache: Cache, url: str = URL, validator: str = "1") -> Path:
    key = key_of(url, validator)
    return cache.folder / "v1" / "kept" / key[:2] / key


def record(cache: Cache) -> Path:
    return kept(cache).with_name(kept(cache).name + ".json")


def left_behind(cache: Cache) -> list[str]:
    return sorted(path.name for path in (cache.folder / "v1" / "fetching").iterdir())


# ----------------------------------------------------------------------------------- getting a file


def test_a_file_is_fetched_once(cache: Cache, source: Source, tmp_path: Path) -> None:
    assert not cache.get(URL, "1", tmp_path / "one", source)
    assert cache.get(URL, "1", tmp_path / "two", never)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == b"content"
    assert source.fetched == 1
    assert left_behind(cache) == []


def test_a_run_that_comes_later_finds_it(cache: Cache, source: Source, tmp_path: Path) -> None:
    cache.get(URL, "1", tmp_path / "one", source)
    assert Cache(cache.folder).get(URL, "1", tmp_path / "two", never)


def test_a_file_that_changed_is_fetched_anew(cache: Cache, tmp_path: Path) -> None:
    cache.get(URL, "1", tmp_path / "one", Source(b"old"))
    assert not cache.get(URL, "2", tmp_path / "two", Source(b"new"))
    assert cache.get(URL, "1", tmp_path / "three", never)
    assert [(tmp_path / name).read_text() for name in ("one", "two", "three")] == [
        "old",
        "new",
        "old",
    ]


def test_what_is_at_the_target_is_replaced(cache: Cache, source: Source, tmp_path: Path) -> None:
    target = tmp_path / "target"
    for mark in ("1", "1", "2"):
        if not target.is_symlink():
            target.unlink(missing_ok=True)
            target.write_text("mine")
        cache.get(URL, mark, target, source)
        assert target.read_bytes() == b"content"


def test_folders_of_targets_are_made(cache: Cache, source: Source, tmp_path: Path) -> None:
    cache.get(URL, "1", tmp_path / "a" / "b" / "one", source)
    assert cache.get(URL, "1", tmp_path / "c" / "d" / "two", never)
    assert (tmp_path / "c" / "d" / "two").read_bytes() == b"content"


def test_a_target_that_cannot_be_made_is_an_error(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    cache.get(URL, "1", tmp_path / "one", source)
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        cache.get(URL, "1", tmp_path / "file" / "two", source)


def test_inputs_are_not_writable_and_the_folder_is_private(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    cache.get(URL, "1", tmp_path / "one", source)
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) & 0o222 == 0
    assert stat.S_IMODE((cache.folder / "v1").stat().st_mode) == 0o700


def test_a_program_stays_one(cache: Cache, tmp_path: Path) -> None:
    def fetch(path: Path) -> None:
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)

    cache.get(URL, "1", tmp_path / "one", fetch)
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o555


def test_a_copy_is_made_where_links_are_not_possible(
    cache: Cache, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", no_link)
    assert not cache.get(URL, "1", tmp_path / "one", source)
    assert cache.get(URL, "1", tmp_path / "two", never)
    assert not (tmp_path / "two").samefile(kept(cache))
    assert (tmp_path / "two").read_bytes() == b"content"


# ---------------------------------------------------------------------------------------- checksums


def test_two_urls_of_one_checksum_are_one_content(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    checksum = "sha256:" + hashlib.sha256(source.content).hexdigest()
    cache.get("https://one/a", checksum, tmp_path / "one", source)
    assert cache.get("https://two/b", checksum, tmp_path / "two", never)


def test_what_has_another_checksum_is_not_kept(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    with pytest.raises(StagingError, match="Its checksum was to be sha256:abab") as caught:
        cache.get("ftp://me:secret@h/a", "sha256:" + "ab" * 32, tmp_path / "one", source)
    assert caught.value.again
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "one").exists()
    assert cache.entries() == []
    assert left_behind(cache) == []


# ------------------------------------------------------------------------------ what is not trusted


def spoil_cut(cache: Cache) -> None:
    record(cache).write_bytes(record(cache).read_bytes()[:-5])


def spoil_emptied(cache: Cache) -> None:
    record(cache).write_bytes(b"")


def spoil_foreign(cache: Cache) -> None:
    cache.get("a://other", "1", cache.folder.parent / "other", Source(b"other"))
    record(cache).write_bytes(
        kept(cache, "a://other").with_name(kept(cache, "a://other").name + ".json").read_bytes()
    )


def spoil_junk(cache: Cache) -> None:
    record(cache).write_bytes(os.urandom(70_000))


def spoil_link(cache: Cache) -> None:
    record(cache).rename(cache.folder.parent / "elsewhere")
    record(cache).symlink_to(cache.folder.parent / "elsewhere")


def spoil_no_record(cache: Cache) -> None:
    record(cache).unlink()


def spoil_no_content(cache: Cache) -> None:
    kept(cache).unlink()


def spoil_other_content(cache: Cache) -> None:
    facts = kept(cache).stat()
    other = cache.folder.parent / "forged"
    other.write_bytes(b"forgery")
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(kept(cache))


def spoil_linked_content(cache: Cache) -> None:
    other = cache.folder.parent / "forged"
    other.write_bytes(b"forgery")
    kept(cache).unlink()
    kept(cache).symlink_to(other)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_cut,
        spoil_emptied,
        spoil_foreign,
        spoil_junk,
        spoil_link,
        spoil_no_record,
        spoil_no_content,
        spoil_other_content,
        spoil_linked_content,
    ],
    ids=lambda spoil: spoil.__name__.removeprefix("spoil_"),
)
def test_what_is_damaged_is_fetched_anew(
    cache: Cache, source: Source, tmp_path: Path, spoil: Callable[[Cache], None]
) -> None:
    cache.get(URL, "1", tmp_path / "one", source)
    spoil(cache)
    assert not cache.get(URL, "1", tmp_path / "two", source)
    assert (tmp_path / "two").read_bytes() == b"content"
    assert cache.get(URL, "1", tmp_path / "three", never)
    assert left_behind(cache) == []


def test_a_task_that_writes_into_its_input_is_found_out(
    cache: Cache, source: Source, tmp_path: Path, said: list[str]
) -> None:
    cache.get(URL, "1", tmp_path / "one", source)
    (tmp_path / "one").chmod(0o600)
    with (tmp_path / "one").open("r+b") as file:
        file.write(b"CON")
    assert not cache.get(URL, "1", tmp_path / "two", source)
    assert (tmp_path / "two").read_bytes() == b"content"
    assert cache.get(URL, "1", tmp_path / "three", never)
    assert [text for text in said if "wrote into its input" in text and URL in text]


def test_parts_of_what_was_fetched_under_a_kill_are_not_used(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    def killed(path: Path) -> None:
        path.write_bytes(b"half")
        (path.parent / ".begun.part").write_bytes(b"con")
        raise RuntimeError("killed")

    def resumed(path: Path) -> None:
        assert not path.exists()
        assert (path.parent / ".begun.part").read_bytes() == b"con"
        (path.parent / ".begun.part").unlink()
        source(path)

    with pytest.raises(RuntimeError, match="killed"):
        cache.get(URL, "1", tmp_path / "one", killed)
    assert not (tmp_path / "one").exists()
    assert cache.entries() == []
    assert not cache.get(URL, "1", tmp_path / "one", resumed)
    assert left_behind(cache) == []


# -------------------------------------------------------------------------- what cannot be kept


def test_a_folder_is_handed_over_and_not_kept(
    cache: Cache, tmp_path: Path, said: list[str]
) -> None:
    def fetch(path: Path) -> None:
        path.mkdir()
        (path / "inner").touch()

    assert not cache.get(URL, "1", tmp_path / "one", fetch)
    assert (tmp_path / "one" / "inner").exists()
    assert "no regular file" in said[0]
    assert cache.entries() == []
    assert left_behind(cache) == []


def test_a_file_larger_than_the_limit_is_handed_over_and_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=5)
    source = Source(b"longer")
    for name in ("one", "two"):
        assert not cache.get(URL, "1", tmp_path / name, source)
        assert (tmp_path / name).read_bytes() == b"longer"
    assert cache.entries() == []
    assert left_behind(cache) == []


def test_a_full_disk_is_cleared_and_the_file_fetched_past_the_cache(
    cache: Cache, source: Source, tmp_path: Path, said: list[str]
) -> None:
    cache.get("a://old", "1", tmp_path / "old", Source(b"old"))
    (tmp_path / "old").unlink()

    def full(path: Path) -> None:
        if "cache" in path.parts:
            path.write_bytes(b"half")
            trouble = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise StagingError(URL, "in", "no space", again=True) from trouble
        source(path)

    assert not cache.get(URL, "1", tmp_path / "one", full)
    assert (tmp_path / "one").read_bytes() == b"content"
    assert cache.entries() == []
    assert "disk is full" in said[0]


def test_a_full_disk_with_nothing_to_clear_is_an_error(cache: Cache, tmp_path: Path) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="space"):
        cache.get(URL, "1", tmp_path / "one", full)


def test_a_record_that_cannot_be_written_costs_only_the_keeping(
    cache: Cache, source: Source, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Cache, "_keep", full)
    for name in ("one", "two"):
        assert not cache.get(URL, "1", tmp_path / name, source)
        assert (tmp_path / name).read_bytes() == b"content"
    assert said == [text for text in said if "cannot be kept: No space" in text]
    assert len(said) == 1
    assert left_behind(cache) == []


def test_a_cache_that_went_away_costs_only_the_keeping(
    cache: Cache, source: Source, tmp_path: Path, said: list[str]
) -> None:
    (cache.folder / "v1").rename(tmp_path / "away")
    assert not cache.get(URL, "1", tmp_path / "one", source)
    assert (tmp_path / "one").read_bytes() == b"content"
    assert "cannot be kept" in said[0]


def test_without_locks_files_are_kept_all_the_same(
    cache: Cache, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)

    def fetch(path: Path) -> None:
        if not source.fetched:
            source.fetched = 1
            # Another one at the same time.
            assert not cache.get(URL, "1", tmp_path / "other", fetch)
        path.write_bytes(b"content")

    assert not cache.get(URL, "1", tmp_path / "one", fetch)
    assert cache.get(URL, "1", tmp_path / "two", never)
    assert (tmp_path / "other").read_bytes() == b"content"
    assert [name for name in left_behind(cache) if not name.endswith(".lock")] == []


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    (tmp_path / "v1").mkdir()
    os.chown(tmp_path / "v1", 12345, 12345)
    with pytest.raises(PermissionError, match="one's own"):
        Cache(tmp_path)


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "v1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="one's own"):
        Cache(tmp_path)


def test_a_folder_that_others_may_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1").chmod(0o755)
    Cache(tmp_path)
    assert stat.S_IMODE((tmp_path / "v1").stat().st_mode) == 0o700


# ------------------------------------------------------------------------------------- many at once


def test_many_threads_have_a_file_fetched_once(cache: Cache, tmp_path: Path) -> None:
    begun = threading.Barrier(8)
    fetched: list[Path] = []

    def slow(path: Path) -> None:
        fetched.append(path)
        path.write_bytes(b"content")

    def ask(number: int) -> bool:
        begun.wait(BOUND)
        return cache.get(URL, "1", tmp_path / str(number), slow)

    with ThreadPoolExecutor(8) as pool:
        from_cache = list(pool.map(ask, range(8)))
    assert from_cache.count(False) == len(fetched) == 1
    assert {(tmp_path / str(number)).read_bytes() for number in range(8)} == {b"content"}


def test_the_next_one_fetches_if_the_first_fails(cache: Cache, tmp_path: Path) -> None:
    first_began, second_waits = threading.Event(), threading.Event()

    def fails(path: Path) -> None:
        first_began.set()
        assert second_waits.wait(BOUND)
        raise RuntimeError("no")

    def first() -> Any:
        with pytest.raises(RuntimeError, match="no"):
            cache.get(URL, "1", tmp_path / "one", fails)

    thread = threading.Thread(target=first)
    thread.start()
    assert first_began.wait(BOUND)
    source = Source()
    assert not cache.get(URL, "1", tmp_path / "two", source, waiting=second_waits.set)
    thread.join(BOUND)
    assert source.fetched == 1
    assert not (tmp_path / "one").exists()


def test_who_waits_may_give_up(cache: Cache, tmp_path: Path) -> None:
    class GaveUpError(Exception):
        pass

    def give_up() -> None:
        raise GaveUpError

    def slow(path: Path) -> None:
        with pytest.raises(GaveUpError):
            cache.get(URL, "1", tmp_path / "two", never, waiting=give_up)
        path.touch()

    cache.get(URL, "1", tmp_path / "one", slow)
    assert not (tmp_path / "two").exists()


def test_a_wait_is_bounded(tmp_path: Path) -> None:
    cache, source = Cache(tmp_path / "cache", patience=0.01), Source()

    def slow(path: Path) -> None:
        assert not cache.get(URL, "1", tmp_path / "two", source)
        path.touch()

    cache.get(URL, "1", tmp_path / "one", slow)
    assert (tmp_path / "two").read_bytes() == b"content"
    assert source.fetched == 1


# --------------------------------------------------------------------------------------------- room


def test_the_least_used_makes_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=100)
    for number in range(20):
        target = tmp_path / str(number)
        cache.get(f"a://{number}", "1", target, Source(b"x" * 10))
        target.unlink()
        os.utime(f"{kept(cache, f'a://{number}')}.json", (number, number))
        if number >= 4:
            # Number 4 is in use all the time.
            assert cache.get("a://4", "1", target, never)
            target.unlink()
        assert sum(one.record.look.size for one in cache.entries()) <= 110
    urls = {one.record.url for one in cache.entries()}
    assert "a://19" in urls
    assert "a://0" not in urls


def test_a_task_keeps_its_file_when_it_is_no_longer_kept(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    cache.get(URL, "1", tmp_path / "one", source)
    pruned = cache.prune(limit=0)
    assert (pruned.entries, pruned.freed, pruned.left) == (1, 0, 0)
    assert (tmp_path / "one").read_bytes() == b"content"
    assert not cache.get(URL, "1", tmp_path / "two", source)


def test_what_was_not_used_for_long_goes(cache: Cache, tmp_path: Path) -> None:
    for name in ("old", "new"):
        cache.get(f"a://{name}", "1", tmp_path / name, Source())
        (tmp_path / name).unlink()
    os.utime(f"{kept(cache, 'a://old')}.json", (1000, 1000))
    pruned = cache.prune(before=2000)
    assert (pruned.entries, pruned.freed, pruned.left) == (1, 7, 7)
    assert [one.record.url for one in cache.entries()] == ["a://new"]


def test_what_came_in_part_goes_unless_somebody_fetches_it(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    def fails(path: Path) -> None:
        (path.parent / ".x.part").write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.get(URL, "1", tmp_path / "one", fails)
    assert cache.prune().parts == 0
    assert len(left_behind(cache)) == 1

    def prunes(path: Path) -> None:
        assert cache.prune(limit=0).parts == 0
        assert (path.parent / ".x.part").exists()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.get(URL, "1", tmp_path / "one", prunes)
    pruned = cache.prune(limit=0)
    assert (pruned.parts, pruned.freed) == (1, 4)
    assert left_behind(cache) == []


def test_what_came_in_part_goes_after_a_day(cache: Cache, tmp_path: Path) -> None:
    old = cache.folder / "v1" / "fetching" / f"{'0' * 40}.host"
    old.mkdir()
    (old / ".x.part").write_bytes(b"half")
    yesterday = time.time() - 100_000
    os.utime(old, (yesterday, yesterday))
    assert cache.prune().parts == 1
    assert left_behind(cache) == []


def test_a_content_without_a_record_goes(cache: Cache, source: Source, tmp_path: Path) -> None:
    cache.get(URL, "1", tmp_path / "one", source)
    record(cache).unlink()
    assert cache.entries() == []
    cache.prune()
    assert kept(cache).exists()  # it may be coming in now
    cache.prune(limit=0)
    assert not kept(cache).exists()


def test_files_of_strangers_in_the_folder_do_no_harm(
    cache: Cache, source: Source, tmp_path: Path
) -> None:
    shard = cache.folder / "v1" / "kept" / "zz"
    shard.mkdir()
    (shard / "notes.txt").write_text("mine")
    (cache.folder / "v1" / "kept" / "file").touch()
    cache.get(URL, "1", tmp_path / "one", source)
    assert len(cache.entries()) == 1
    cache.prune(limit=0)
    assert cache.entries() == []


# ------------------------------------------------------------------------------------ where it is


def test_the_folder_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert cache_folder({}) == Path("/home/ada/.cache/weft/files")
    assert cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/weft/files")
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == Path("/home/ada/.cache/weft/files")
    assert cache_folder({"XDG_CACHE_HOME": "/c", "WEFT_CACHE": "/w"}) == Path("/w")
