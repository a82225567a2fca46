"""The folders of runs at a site go when they are of no use, and nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from weft.data import leavings
from weft.data.leavings import AGE, RUNS, swept, tidy, used

MINE, OTHERS = "0123456789abcdef", "fedcba9876543210"
WEEKS, LATELY = "00000000000000aa", "00000000000000bb"

OLD = time.time() - AGE - 3600


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "weft-cache").mkdir(parents=True)
    (folder / "results").mkdir()
    return folder


def run_folder(site: Path, name: str, used_at: float | None = None) -> Path:
    folder = site / RUNS / name
    (folder / "in" / "0").mkdir(parents=True)
    (folder / "in" / "0" / "file").write_text(name)
    (folder / "in" / "0").chmod(0o500)
    if used_at is not None:
        for path in (folder / "in", folder):
            os.utime(path, (used_at, used_at))
    return folder


def names(site: Path) -> list[str]:
    base = site / RUNS
    return sorted(one.name for one in base.iterdir()) if base.exists() else []


def test_the_folder_of_a_run_goes_with_those_that_are_old(site: Path) -> None:
    for name, at in ((MINE, None), (WEEKS, OLD), (OTHERS, None), (LATELY, time.time())):
        run_folder(site, name, at)

    assert tidy([str(site)], MINE) == 2

    assert names(site) == [LATELY, OTHERS]
    assert sorted(one.name for one in site.iterdir()) == ["results", "weft-cache", RUNS]


def test_the_last_one_takes_the_folder_of_all_with_it(site: Path) -> None:
    run_folder(site, MINE)
    assert tidy([str(site), str(site / "missing")], MINE) == 1
    assert not (site / RUNS).exists()


def test_a_run_that_is_used_is_not_old(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leavings, "_said", {})
    folder = run_folder(site, WEEKS, OLD)
    used([str(site)], WEEKS)
    assert swept(str(site)) == 0
    os.utime(folder, (OLD, OLD))
    used([str(site)], WEEKS)  # it was said already, and is not said with each task
    assert swept(str(site)) == 1


def test_what_was_put_in_lately_keeps_it(site: Path) -> None:
    folder = run_folder(site, WEEKS, OLD)
    (folder / "in" / "1").mkdir()
    os.utime(folder, (OLD, OLD))
    assert swept(str(site)) == 0


def test_to_use_what_is_not_there_is_no_error(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leavings, "_said", {})
    used([str(site)], OTHERS)
    assert not (site / RUNS).exists()


@pytest.mark.parametrize("linked", ["runs", "run"])
def test_no_link_is_followed(site: Path, tmp_path: Path, linked: str) -> None:
    precious = tmp_path / "precious"
    (precious / MINE).mkdir(parents=True)
    os.utime(precious / MINE, (OLD, OLD))
    os.utime(precious, (OLD, OLD))
    if linked == "runs":
        (site / RUNS).symlink_to(precious)
    else:
        (site / RUNS).mkdir()
        (site / RUNS / MINE).symlink_to(precious)

    assert tidy([str(site)], MINE) == 0
    assert (precious / MINE).is_dir()


def test_what_is_no_folder_stays(site: Path) -> None:
    (site / RUNS).mkdir()
    (site / RUNS / WEEKS).write_text("a file")
    os.utime(site / RUNS / WEEKS, (OLD, OLD))
    assert tidy([str(site)], MINE) == 0
    assert names(site) == [WEEKS]


def test_what_has_no_name_of_a_run_stays(site: Path) -> None:
    run_folder(site, "0007", OLD)  # of a script that was started in the folder of the site
    assert tidy([str(site)], MINE) == 0
    assert names(site) == ["0007"]


def test_the_disk_of_a_machine_is_swept_by_whoever_comes(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leavings, "_said", {})
    node = site / "node"
    run_folder(site, WEEKS, OLD)
    run_folder(node, WEEKS, OLD)
    used([str(site), str(node)], MINE)
    assert names(node) == []
    assert names(site) == [WEEKS]  # which is the business of runs that end


def test_times_that_lie_ahead_are_no_age(site: Path) -> None:
    run_folder(site, WEEKS, time.time() + 10 * AGE)
    assert swept(str(site)) == 0
