"""Files are used where they are, or copied whole, and never outside of their folder."""

import errno
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.builtin.file_stager import FileStager, build
from weft.builtin.settings import Files
from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File


@pytest.fixture
def stager() -> FileStager:
    made = build(Files())
    made.start(FakeContext(Path("/")))
    return made


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(executor="e", folder=tmp_path / "tasks", shared=True)


@pytest.fixture
def away(tmp_path: Path) -> Place:
    folder = tmp_path / "far away"
    folder.mkdir()
    return Place(executor="e", folder=folder, shared=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data ü"
    folder.mkdir()
    return folder


def local(transfer: Transfer) -> Path:
    return transfer.placed.as_path()


# ------------------------------------------------------------------------------------------- shared


def test_in_a_shared_place_a_file_is_used_where_it_is(
    stager: FileStager, here: Place, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "a.txt").write_text("a")
    monkeypatch.chdir(data)
    for url in ("a.txt", "./x/../a.txt", str(data / "a.txt"), (data / "a.txt").as_uri()):
        plan = stager.plan(Way.IN, File(url), here)
        assert local(plan) == data / "a.txt"
        stager.move(plan)
    assert not here.folder.exists(), "nothing was copied"


def test_planning_touches_nothing(stager: FileStager, away: Place) -> None:
    stager.plan(Way.IN, File("/no/such/file"), away)
    stager.plan(Way.OUT, File("/no/such/file"), away)
    assert list(away.folder.iterdir()) == []


def test_a_missing_input_is_named_with_what_is_like_it(
    stager: FileStager, here: Place, data: Path
) -> None:
    for name in ("reads_1.fastq", "reads_2.fastq", "other"):
        (data / name).touch()
    with pytest.raises(StagingError) as raised:
        stager.move(stager.plan(Way.IN, File(str(data / "read_1.fastq")), here))
    said = str(raised.value)
    assert str(data / "read_1.fastq") in said
    assert "'reads_1.fastq', 'reads_2.fastq'" in said
    assert "other" not in said
    assert raised.value.direction == "in"


def test_a_missing_folder_is_named_instead_of_the_file(
    stager: FileStager, here: Place, data: Path
) -> None:
    with pytest.raises(StagingError, match="could not be staged") as raised:
        stager.move(stager.plan(Way.IN, File(str(data / "no" / "such" / "file")), here))
    assert f"The folder {str(data / 'no')!r} is not there either" in raised.value.reason


def test_a_link_to_nowhere_says_where_it_leads(stager: FileStager, here: Place, data: Path) -> None:
    (data / "link").symlink_to("gone.txt")
    with pytest.raises(StagingError, match=r"gone\.txt"):
        stager.move(stager.plan(Way.IN, File(str(data / "link")), here))


def test_an_output_that_was_not_made_is_named(stager: FileStager, here: Place, data: Path) -> None:
    plan = stager.plan(Way.OUT, File(str(data / "out.txt")), here)
    with pytest.raises(StagingError, match="did not make"):
        stager.move(plan)
    (data / "out.txt").touch()
    stager.move(plan)


def test_a_file_of_another_host_is_not_looked_for_here(
    stager: FileStager, here: Place, data: Path
) -> None:
    (data / "a").touch()
    with pytest.raises(StagingError, match=r"host 'elsewhere'"):
        stager.move(stager.plan(Way.IN, File(f"file://elsewhere{data}/a"), here))


# --------------------------------------------------------------------------------------- not shared


def test_an_input_is_copied_with_its_mode_and_time(
    stager: FileStager, away: Place, data: Path
) -> None:
    source = data / "run.sh"
    source.write_bytes(b"x" * 3_000_000)
    source.chmod(0o750)
    os.utime(source, (1_000_000, 1_000_000))
    plan = stager.plan(Way.IN, File(str(source)), away)
    stager.move(plan)

    copy = local(plan)
    assert copy.parent == away.folder
    assert copy.read_bytes() == source.read_bytes()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o750
    assert copy.stat().st_mtime == 1_000_000
    assert list(away.folder.iterdir()) == [copy]


def test_an_output_is_brought_back_and_its_folder_made(
    stager: FileStager, away: Place, data: Path
) -> None:
    wanted = data / "new" / "out.txt"
    plan = stager.plan(Way.OUT, File(str(wanted)), away)
    assert local(plan).parent == away.folder, "the task needs no folder that is not there"
    local(plan).write_text("made")
    stager.move(plan)
    assert wanted.read_text() == "made"


def test_an_output_goes_in_again_under_the_same_name(
    stager: FileStager, away: Place, data: Path
) -> None:
    file = File(str(data / "x"))
    assert stager.plan(Way.OUT, file, away).placed == stager.plan(Way.IN, file, away).placed


def test_moving_twice_gives_the_same_file(stager: FileStager, away: Place, data: Path) -> None:
    (data / "a").write_text("1")
    plan = stager.plan(Way.IN, File(str(data / "a")), away)
    stager.move(plan)
    (data / "a").write_text("2")
    stager.move(plan)
    assert local(plan).read_text() == "2"


def test_many_threads_may_move_the_same_file(stager: FileStager, away: Place, data: Path) -> None:
    (data / "a").write_bytes(b"x" * 500_000)
    plan = stager.plan(Way.IN, File(str(data / "a")), away)
    go = threading.Barrier(8)

    def move() -> None:
        go.wait(60)
        stager.move(plan)

    with ThreadPoolExecutor(8) as pool:
        for moved in [pool.submit(move) for _ in range(8)]:
            moved.result(60)
    assert local(plan).stat().st_size == 500_000
    assert len(list(away.folder.iterdir())) == 1


def test_two_files_of_one_name_do_not_clash(stager: FileStager, away: Place, data: Path) -> None:
    plans = []
    for name in ("p", "q"):
        (data / name).mkdir()
        (data / name / "a.txt").write_text(name)
        plans.append(stager.plan(Way.IN, File(str(data / name / "a.txt")), away))
        stager.move(plans[-1])
    assert [local(plan).read_text() for plan in plans] == ["p", "q"]


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300))
def test_no_name_leads_out_of_the_folder(url: str) -> None:
    place = Place(executor="e", folder=Path("/tasks/of e"), shared=False)
    placed = local(build(Files()).plan(Way.IN, File(f"/{url}"), place))
    assert placed.parent == place.folder
    assert ".." not in placed.parts
    assert len(os.fsencode(placed.name)) <= 255


def test_a_plan_that_leads_out_of_the_folder_is_refused(
    stager: FileStager, away: Place, data: Path
) -> None:
    (data / "a").touch()
    file = File(str(data / "a"))
    for path in (data / "b", away.folder / ".." / "b"):
        forged = Transfer(way=Way.IN, file=file, placed=file.placed(path), place=away)
        with pytest.raises(StagingError, match="outside"):
            stager.move(forged)
        assert not path.exists()


def test_a_link_planted_in_the_folder_is_replaced_and_not_followed(
    stager: FileStager, away: Place, data: Path
) -> None:
    (data / "a").write_text("new")
    victim = data / "victim"
    victim.write_text("old")
    plan = stager.plan(Way.IN, File(str(data / "a")), away)
    local(plan).symlink_to(victim)
    stager.move(plan)
    assert victim.read_text() == "old"
    assert local(plan).read_text() == "new"
    assert not local(plan).is_symlink()


def test_an_output_that_is_a_link_out_of_the_folder_is_refused(
    stager: FileStager, away: Place, data: Path
) -> None:
    (data / "secret").write_text("s")
    plan = stager.plan(Way.OUT, File(str(data / "out")), away)
    local(plan).symlink_to(data / "secret")
    with pytest.raises(StagingError, match="outside"):
        stager.move(plan)
    assert not (data / "out").exists()


# ------------------------------------------------------------------------------------------ folders


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else "/"
        for path in folder.rglob("*")
    }


def test_folders_are_copied_whole_and_replaced_whole(
    stager: FileStager, away: Place, data: Path
) -> None:
    source = data / "db"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "deep" / "er" / "f").write_text("1")
    plan = stager.plan(Way.IN, File(str(source)), away)
    stager.move(plan)
    assert tree(local(plan)) == tree(source)

    (source / "deep" / "er" / "f").unlink()
    (source / "g").write_text("2")
    stager.move(plan)
    assert tree(local(plan)) == tree(source)
    assert list(away.folder.iterdir()) == [local(plan)], "nothing half-done lies about"


def test_links_in_an_input_folder_are_followed(stager: FileStager, away: Place, data: Path) -> None:
    (data / "elsewhere").write_text("e")
    (data / "db").mkdir()
    (data / "db" / "link").symlink_to(data / "elsewhere")
    plan = stager.plan(Way.IN, File(str(data / "db")), away)
    stager.move(plan)
    assert (local(plan) / "link").read_text() == "e"
    assert not (local(plan) / "link").is_symlink()


@pytest.mark.parametrize(
    ("way", "target", "said"),
    [
        (Way.OUT, "../../secret", "leads out"),
        (Way.OUT, "/etc/hostname", "leads out"),
        (Way.IN, "../db", "holds it"),
    ],
)
def test_links_in_folders_that_cannot_be_copied_are_refused(
    away: Place, data: Path, way: Way, target: str, said: str
) -> None:
    stager = build(Files())
    plan = stager.plan(way, File(str(data / "db")), away)
    source = data / "db" if way is Way.IN else local(plan)
    source.mkdir()
    (source / "link").symlink_to(target)
    with pytest.raises(StagingError, match=said):
        stager.move(plan)
    made = local(plan) if way is Way.IN else data / "db"
    assert not made.exists()
    assert [path.name for path in (*data.iterdir(), *away.folder.iterdir())] == [source.name]


def test_links_within_an_output_folder_are_kept(
    stager: FileStager, away: Place, data: Path
) -> None:
    plan = stager.plan(Way.OUT, File(str(data / "db")), away)
    local(plan).mkdir()
    (local(plan) / "f").write_text("1")
    (local(plan) / "latest").symlink_to("f")
    stager.move(plan)
    assert (data / "db" / "latest").readlink() == Path("f")


@pytest.mark.parametrize("inside", [False, True])
def test_a_pipe_is_refused_at_once(
    stager: FileStager, away: Place, data: Path, inside: bool
) -> None:
    source = data / "x"
    if inside:
        source.mkdir()
    os.mkfifo(source / "p" if inside else source)
    with pytest.raises(StagingError, match="neither a file nor a folder"):
        stager.move(stager.plan(Way.IN, File(str(source)), away))
    assert list(away.folder.iterdir()) == []


# ------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("sync", [False, True])
def test_a_copy_that_fails_leaves_nothing_and_harms_nothing(
    away: Place, data: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    stager = build(Files(sync=sync))
    (data / "a").write_text("old")
    plan = stager.plan(Way.IN, File(str(data / "a")), away)
    stager.move(plan)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    (data / "a").write_text("new")
    with pytest.raises(StagingError, match="No space left on device"):
        stager.move(plan)
    assert local(plan).read_text() == "old"
    assert list(away.folder.iterdir()) == [local(plan)]


def test_errors_travel(stager: FileStager, here: Place) -> None:
    import pickle

    with pytest.raises(StagingError) as raised:
        stager.move(stager.plan(Way.IN, File("/no/such/file"), here))
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.url) == (str(raised.value), raised.value.url)


def test_closing_twice_is_no_error(stager: FileStager) -> None:
    stager.close()
    stager.close()
