"""``weft cache``: what is kept is shown, and what is not wanted is removed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.cli import main
from weft.data.cache import Cache
from weft.data.entries import key_of
from weft.data.layout import SANDBOXES
from weft.data.locks import locked

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "cache"


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["cache", *words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((out + err).split())

    return call


def keep(folder: Path, name: str, size: int, *, age: float = 0.0, linked: bool = False) -> None:
    target, url = folder.parent / name, f"https://host/{name}"
    Cache(folder).get(url, "1", target, lambda path: path.write_bytes(b"x" * size))
    if not linked:
        target.unlink()
    key, then = key_of(url, "1"), time.time() - age
    os.utime(folder / "v1" / "kept" / key[:2] / f"{key}.json", (then, then))


def test_where_nothing_is_kept_nothing_is_made(run: Run, folder: Path) -> None:
    for words in (["list"], ["prune"], ["prune", "--all"]):
        assert run(*words) == (0, f"No file is kept in {folder}.")
    assert run("list", "--json") == (0, "[]")
    assert not folder.exists()


def test_files_are_listed_those_used_last_first(run: Run, folder: Path) -> None:
    keep(folder, "old", 1_500_000, age=3 * 86_400)
    keep(folder, "new", 12, linked=True)
    code, text = run("list")
    assert code == 0
    assert text.index("https://host/new") < text.index("https://host/old")
    assert "1.5 MB 3 d ago" in text
    assert f"2 files of 1.5 MB in {folder}." in text


def test_files_are_listed_as_data(run: Run, folder: Path) -> None:
    keep(folder, "a", 12, linked=True)
    found = json.loads(run("list", "--json")[1])
    assert [(one["url"], one["size"], one["others"], one["good"]) for one in found] == [
        ("https://host/a", 12, 1, True)
    ]


def test_a_list_is_cut_where_it_is_long(run: Run, folder: Path) -> None:
    for number in range(52):
        keep(folder, f"f{number}", 1)
    assert "52 files of 52 B" in run("list")[1]
    assert "of which 50 are shown" in run("list")[1]
    assert "are shown" not in run("list", "--all")[1]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--older-than", "2d"], {"new"}),
        (["--older-than", "100h"], {"new", "old"}),
        (["--limit", "1k"], {"new"}),
        (["--limit", "1.5kB"], {"new", "old"}),
        (["--all"], set()),
        ([], {"new", "old"}),
    ],
)
def test_what_is_not_wanted_is_removed(
    run: Run, folder: Path, words: list[str], left: set[str]
) -> None:
    keep(folder, "old", 700, age=3 * 86_400)
    keep(folder, "new", 700)
    code, text = run("prune", *words)
    assert code == 0
    gone = 2 - len(left)
    assert f"Removed {gone} file" in text
    urls = {one.record.url for one in Cache(folder).entries()}
    assert urls == {f"https://host/{name}" for name in left}


def test_what_was_removed_is_told_as_data(run: Run, folder: Path) -> None:
    keep(folder, "a", 10)
    keep(folder, "b", 10, linked=True)
    assert json.loads(run("prune", "--all", "--json")[1]) == {
        "entries": 2,
        "freed": 10,
        "parts": 0,
        "left": 0,
        "sandboxes": 0,
    }


def test_working_folders_of_killed_tasks_are_removed(run: Run, tmp_path: Path) -> None:
    base = tmp_path / "runs" / SANDBOXES
    for name in ("killed", "runs-now", "was-kept"):
        (base / name).mkdir(parents=True)
        (base / name / "file").touch()
    (base / "killed.lock").touch()
    lock = locked(f"{base}/runs-now.lock")
    try:
        words = ("prune", "--run-dir", str(tmp_path / "runs"))
        assert "Removed 1 working folder of killed tasks" in run(*words)[1]
        assert sorted(one.name for one in base.iterdir()) == [
            "runs-now", "runs-now.lock", "was-kept"
        ]  # fmt: skip
        assert json.loads(run(*words, "--json")[1])["sandboxes"] == 0
    finally:
        os.close(lock)
    assert json.loads(run(*words, "--json")[1])["sandboxes"] == 1
    assert [one.name for one in base.iterdir()] == ["was-kept"]


def test_another_folder_can_be_named(run: Run, folder: Path, tmp_path: Path) -> None:
    keep(tmp_path / "site", "a", 10)
    assert "https://host/a" in run("list", "--folder", str(tmp_path / "site"))[1]
    assert "Removed 1 file" in run("prune", "--all", "--folder", str(tmp_path / "site"))[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--older-than", "soon"], "'soon' is no time"),
        (["--older-than", "3g"], "'3g' is no time"),
        (["--limit", "-1"], "'-1' is no size"),
        (["--limit", "3d"], "'3d' is no size"),
        (["--all", "--limit", "3"], "--all removes all"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, words: list[str], said: str) -> None:
    code, text = run("prune", *words)
    assert code == 2
    assert said in text
