"""What runs at a worker: files are there before the function, and away after it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from weft.calls.packing import Packer
from weft.data.errand import (
    Done,
    Errand,
    Facts,
    Fetch,
    Limits,
    Look,
    Make,
    Maker,
    Plan,
    Send,
    close_stagers,
    facts_of,
)
from weft.errors import StagingError
from weft.interfaces.stager import Place, Spot, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft.values.settings import StagerSettings, setting

QUICK = Limits(tries=3, pause=0.0)


@attrs.frozen(kw_only=True)
class Far(StagerSettings):
    """Files of a folder, as if it were far away."""

    plugin: ClassVar[str] = "far"
    folder: str = setting(help="The folder.")
    refuses: int = setting(0, help="How many moves break.")
    final: bool = setting(False, help="Whether they cannot be made again.")
    rest: float = setting(0.0, help="How long it asks to be left alone for, in seconds.")
    mark: str = setting("", help="What it says of all files.")
    starts: bool = setting(True, help="Whether it starts.")


class FarStager(Stager):
    """As its settings say."""

    made: ClassVar[list[FarStager]] = []

    def __init__(self, settings: Far) -> None:
        self.settings, self.moves, self.closed = settings, 0, 0
        self.made.append(self)

    def start(self, context: StagerContext) -> None:
        self.context = context
        if not self.settings.starts:
            raise RuntimeError("no token")

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        raise AssertionError("plans are made at the client")

    def move(self, transfer: Transfer) -> None:
        self.moves += 1
        self.context.progress(transfer, 0)
        if self.moves <= self.settings.refuses:
            raise StagingError(
                transfer.file.url,
                transfer.way,
                "It broke.",
                again=not self.settings.final,
                retry_after=self.settings.rest,
            )
        there = Path(self.settings.folder, transfer.file.netloc)
        here = transfer.placed.as_path()
        source, target = (there, here) if transfer.way is Way.IN else (here, there)
        target.write_bytes(source.read_bytes())

    def validator(self, file: File) -> str | None:
        return self.settings.mark or None

    def close(self) -> None:
        self.closed += 1


def build(settings: Far) -> FarStager:
    return FarStager(settings)


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    FarStager.made.clear()
    yield
    close_stagers()


@pytest.fixture
def far(tmp_path: Path) -> Path:
    folder = tmp_path / "far"
    folder.mkdir()
    (folder / "one").write_bytes(b"one")
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


def maker(far: Path, cache: Path | None = None, **more: Any) -> Maker:
    settings = Far(folder=str(far), **more)
    kept = str(cache) if cache is not None else ""
    return Maker(f"{__name__}:build", pickle.dumps(settings), "weft-far", kept, 10**6)


def transfer(way: Way, name: str, path: Path) -> Transfer:
    file = File(f"far://{name}")
    place = Place(executor="x", folder=path.parent, shared=False, spot=Spot.SITE, site="S")
    return Transfer(way=way, file=file, placed=file.placed(path), place=place)


def plan(site: Path, *steps: Fetch | Look | Make, limits: Limits = QUICK) -> Plan:
    return Plan(
        (str(site),),
        [step for step in steps if not isinstance(step, Make)],
        [step for step in steps if isinstance(step, Make)],
        limits,
    )


def copy(source: str, target: str) -> str:
    Path(target).write_bytes(Path(source).read_bytes().upper())
    return "value"


def nothing() -> None:
    """Makes nothing."""


def test_a_stager_at_a_worker_knows_the_run(far: Path, site: Path) -> None:
    for run in ("run-1", "run-2", "run-1"):
        known = maker(far)
        made = Maker(known.factory, known.settings, known.package, run_id=run)
        step = Fetch(transfer(Way.IN, "one", site / "one"), made)
        Errand(nothing)(plan(site, step))
    assert [one.context.run_id for one in FarStager.made] == ["run-1", "run-2"]


def test_files_are_brought_and_taken_around_the_function(far: Path, site: Path) -> None:
    here, made = site / "in" / "one", site / "out" / "two"
    steps = (
        Fetch(transfer(Way.IN, "one", here), maker(far)),
        Make("far://two", str(made), send=Send(transfer(Way.OUT, "two", made), maker(far))),
    )

    done = Errand(copy)(plan(site, *steps), str(here), str(made))

    assert isinstance(done, Done)
    assert done.value == "value"
    assert [one.size for one in done.facts] == [3]
    assert (far / "two").read_bytes() == b"ONE"
    (stager,) = FarStager.made  # one for the process
    assert stager.moves == 2
    close_stagers()
    close_stagers()
    assert stager.closed == 1


def test_what_is_kept_at_the_site_is_seen_whole_under_its_name(far: Path, site: Path) -> None:
    made, final = site / "out" / "x", site / "kept" / "a" / "b"
    (facts,) = Errand(copy)(
        plan(site, Make("site://S/kept/a/b", str(made), str(final))), str(far / "one"), str(made)
    ).facts
    assert final.read_bytes() == b"ONE"
    assert not made.exists()
    assert facts_of(str(final)).size == facts.size == 3


def test_what_only_passes_by_leaves_nothing(far: Path, site: Path) -> None:
    made = site / "out" / "x"
    send = Send(transfer(Way.OUT, "two", made), maker(far))
    Errand(copy)(
        plan(site, Make("far://two", str(made), send=send, passes=True)),
        str(far / "one"),
        str(made),
    )
    assert (far / "two").exists()
    assert not made.exists()


def test_what_a_former_try_left_is_not_taken_for_its_own(site: Path) -> None:
    made = site / "out" / "x"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"half")
    with pytest.raises(StagingError, match="did not make"):
        Errand(nothing)(plan(site, Make("far://x", str(made))))


def test_a_folder_is_an_output_too(site: Path) -> None:
    made, final = site / "out" / "x", site / "kept"
    final.mkdir(parents=True)
    (final / "old").touch()

    def fill() -> None:
        made.mkdir()
        (made / "new").touch()

    Errand(fill)(plan(site, Make("site://S/kept", str(made), str(final))))
    assert [one.name for one in final.iterdir()] == ["new"]


def test_what_leads_out_is_not_taken(tmp_path: Path, site: Path) -> None:
    made = site / "out" / "x"
    secret = tmp_path / "secret"
    secret.touch()
    with pytest.raises(StagingError, match="outside of"):
        Errand(lambda: made.symlink_to(secret))(plan(site, Make("far://x", str(made))))

    (site / "door").symlink_to(tmp_path)
    with pytest.raises(StagingError, match="outside of"):
        Errand(made.touch)(plan(site, Make("site://S/door/x", str(made), str(site / "door" / "x"))))
    assert not (tmp_path / "x").exists()


def test_the_functions_own_error_is_the_tasks(site: Path) -> None:
    def fails() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        Errand(fails)(plan(site, Make("far://x", str(site / "out" / "x"))))


@pytest.mark.parametrize(("refuses", "moves"), [(0, 1), (2, 3)])
def test_a_transfer_that_broke_is_made_again(
    refuses: int, moves: int, far: Path, site: Path
) -> None:
    here = site / "one"
    step = Fetch(transfer(Way.IN, "one", here), maker(far, refuses=refuses))
    Errand(nothing)(plan(site, step))
    assert here.read_bytes() == b"one"
    assert FarStager.made[0].moves == moves


def test_the_other_side_is_left_alone_for_as_long_as_it_asks(
    far: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr("time.sleep", rests.append)
    step = Fetch(transfer(Way.IN, "one", site / "one"), maker(far, refuses=2, rest=123.5))
    Errand(nothing)(plan(site, step))
    assert rests.count(123.5) == 2


@pytest.mark.parametrize(("final", "moves"), [(False, 3), (True, 1)])
def test_one_that_goes_on_breaking_fails_the_task_with_its_reason(
    final: bool, moves: int, far: Path, site: Path
) -> None:
    ran = []
    step = Fetch(transfer(Way.IN, "one", site / "one"), maker(far, refuses=99, final=final))
    with pytest.raises(StagingError, match=f"On {os.uname().nodename}: It broke") as caught:
        Errand(lambda: ran.append(1))(plan(site, step))
    assert FarStager.made[0].moves == moves
    assert ("tried 3 times" in str(caught.value)) is not final
    assert caught.value.url == "far://one"
    assert ran == []


def test_a_transfer_has_an_end(far: Path, site: Path) -> None:
    step = Fetch(transfer(Way.IN, "one", site / "one"), maker(far))
    with pytest.raises(StagingError, match="longer than it may"):
        Errand(nothing)(plan(site, step, limits=Limits(2, 0.0, timeout=-1.0)))
    assert FarStager.made[0].moves == 2


def test_a_package_that_is_missing_is_named_with_the_machine(site: Path) -> None:
    lost = Maker("weft_never:build", b"", "weft-never")
    step = Fetch(transfer(Way.IN, "one", site / "one"), lost)
    with pytest.raises(StagingError, match="'weft-never', which moves 'far' files") as caught:
        Errand(nothing)(plan(site, step))
    assert os.uname().nodename in str(caught.value)
    assert "Install weft-never" in str(caught.value)


def test_a_stager_that_does_not_start_is_told_and_made_anew_the_next_time(
    far: Path, site: Path
) -> None:
    step = Fetch(transfer(Way.IN, "one", site / "one"), maker(far, starts=False))
    for _ in range(2):
        with pytest.raises(StagingError, match=r"'weft-far' did not start on .*: no token"):
            Errand(nothing)(plan(site, step))
    assert len(FarStager.made) == 2


def test_what_was_brought_is_looked_for(site: Path) -> None:
    site.mkdir()
    there = site / "there"
    with pytest.raises(StagingError, match="is not there: No such file"):
        Errand(nothing)(plan(site, Look("file:///x", str(there))))
    there.write_bytes(b"four")
    facts = facts_of(str(there))
    Errand(nothing)(plan(site, Look("file:///x", str(there), facts)))
    changed = Facts(facts.size + 1, facts.changed)
    with pytest.raises(StagingError, match="it has 4 bytes, and had 5"):
        Errand(nothing)(plan(site, Look("file:///x", str(there), changed)))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, site: Path) -> None:
    site.write_text("no folder")
    with pytest.raises(StagingError, match="Not a directory"):
        Errand(nothing)(plan(site, Make("far://x", str(site / "out" / "x"))))


def test_what_is_still_the_same_is_fetched_once(far: Path, site: Path, tmp_path: Path) -> None:
    for number in range(3):
        step = Fetch(
            transfer(Way.IN, "one", site / f"{number}" / "one"),
            maker(far, tmp_path / "c", mark="v"),
        )
        Errand(nothing)(plan(site, step))
        assert (site / f"{number}" / "one").read_bytes() == b"one"
    assert FarStager.made[0].moves == 1

    (far / "one").write_bytes(b"other")
    step = Fetch(transfer(Way.IN, "one", site / "new"), maker(far, tmp_path / "c", mark="w"))
    Errand(nothing)(plan(site, step))
    assert (site / "new").read_bytes() == b"other"


def test_one_that_goes_through_the_cache_has_an_end_too(
    far: Path, site: Path, tmp_path: Path
) -> None:
    step = Fetch(transfer(Way.IN, "one", site / "one"), maker(far, tmp_path / "c", mark="v"))
    with pytest.raises(StagingError, match="longer than it may"):
        Errand(nothing)(plan(site, step, limits=Limits(2, 0.0, timeout=-1.0)))
    assert not (site / "one").exists()


def test_a_cache_that_cannot_be_had_is_said_and_done_without(
    far: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c").write_text("no folder")
    step = Fetch(transfer(Way.IN, "one", site / "one"), maker(far, tmp_path / "c", mark="v"))
    Errand(nothing)(plan(site, step))
    assert (site / "one").read_bytes() == b"one"
    assert "no files are kept in" in capsys.readouterr().err


def test_it_travels_once_with_the_function_it_has() -> None:
    packer = Packer()
    one = Errand(copy)
    first = packer.pack(one, (1,), {})
    second = packer.pack(one, (2,), {})
    assert first.function is not None
    assert first.function is second.function


def test_a_plan_can_be_sent(far: Path, site: Path) -> None:
    here, made = site / "in", site / "out"
    steps = (
        Fetch(transfer(Way.IN, "one", here), maker(far)),
        Look("file:///x", "/x", Facts(1, 2)),
        Make("far://two", str(made), send=Send(transfer(Way.OUT, "two", made), maker(far))),
    )
    packed = pickle.dumps(plan(site, *steps))
    assert len(packed) < 3000
    opened: Plan = pickle.loads(packed)
    assert opened.folders == (str(site),)
    assert isinstance(opened.bring[0], Fetch)
    assert opened.bring[0].transfer == steps[0].transfer


def test_stagers_get_a_folder_and_are_heard(
    far: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Errand(nothing)(plan(site, Fetch(transfer(Way.IN, "one", site / "one"), maker(far))))
    context = FarStager.made[0].context
    folder = context.folder
    assert folder.is_dir()
    context.notice("warning", "look at this")
    assert "weft-far: warning: look at this" in capsys.readouterr().err
    close_stagers()
    assert not folder.exists()
