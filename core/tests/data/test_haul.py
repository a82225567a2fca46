"""Sessions whose executors have sites: every way of a file is gone, by whoever can go it.

The sites are folders of this machine, and the executors threads: what travels is the same, and the
journeys go it with processes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

import weft
from weft import Config, File, Site, python_app
from weft.configuration.registry import Registry
from weft.data import carry
from weft.errors import ExecutorFailed, StagingError, UnknownScheme
from weft.interfaces.stager import CAPABILITIES, Place, Stager, StagerContext, Transfer, Way
from weft.session import Session
from weft.testing import FakeMonitor
from weft.values.events import FileMoved, FileMoving
from weft.values.plugin import Component, Kind, Support
from weft.values.settings import MonitorSettings, StagerSettings, setting

PATIENCE = 60.0


@attrs.frozen(kw_only=True)
class Both(StagerSettings):
    """Moves files of a folder."""

    plugin: ClassVar[str] = "both"
    folder: str = setting(help="The folder that all of its URLs are of.")


class BothStager(Stager):
    """``both://x/y`` is FOLDER/x/y; where a place has such a URL, that is where the file is put."""

    moved: ClassVar[list[tuple[str, str, str]]] = []

    def __init__(self, settings: Both) -> None:
        self._folder = Path(settings.folder)

    def start(self, context: StagerContext) -> None:
        self._context = context

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        placed = file.placed(place.folder / f"both-{file.filename}")
        return Transfer(way=way, file=file, placed=placed, place=place)

    def move(self, transfer: Transfer) -> None:
        self.moved.append((transfer.way.value, transfer.file.url, transfer.place.site))
        self._context.progress(transfer, 1, 2)
        there = self._at(transfer.file.url)
        here, base = transfer.placed.as_path(), transfer.place.urls.get("both")
        if base is not None:
            here = self._at(f"{base}/{here.relative_to(transfer.place.folder)}")
        source, target = (there, here) if transfer.way is Way.IN else (here, there)
        if not source.is_file():
            raise StagingError(transfer.file.url, transfer.way, "It is not there.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())

    def _at(self, url: str) -> Path:
        return self._folder / url.partition("://")[2]

    def validator(self, file: File) -> str | None:
        facts = self._at(file.url).stat()
        return f"{facts.st_mtime_ns} {facts.st_size}"

    def close(self) -> None:
        """Nothing."""


def build(settings: Both) -> BothStager:
    return BothStager(settings)


@attrs.frozen(kw_only=True)
class Listens(MonitorSettings):
    """Keeps every event."""

    plugin: ClassVar[str] = "ear"


class Ear(FakeMonitor):
    """Keeps every event."""

    made: ClassVar[list[Ear]] = []


def build_ear(settings: Listens) -> Ear:
    Ear.made.append(Ear())
    return Ear.made[-1]


class Bench:
    """Makes sessions, and looks into them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.far = folder, folder / "far"
        for name in ("home", "far"):
            (folder / name).mkdir()
        self.home = folder / "home"
        self.sessions: list[Session] = []

    def open(self, *can: str, west: Any = (), east: Any = (), here: bool = False) -> Session:
        """A session with the sites WEST and EAST, and a stager ``both`` that can do so much."""
        registry = Registry()
        registry.register(
            Component(
                kind=Kind.STAGER,
                name="both",
                interface="1.1",
                settings=f"{__name__}:Both",
                factory=f"{__name__}:build",
                summary="Moves files of a folder.",
                capabilities={
                    name: Support.FULL if name in can else Support.UNSUPPORTED
                    for name in CAPABILITIES
                },
                schemes=("both",),
            )
        )
        registry.register(
            Component(
                kind=Kind.MONITOR,
                name="ear",
                settings=f"{__name__}:Listens",
                factory=f"{__name__}:build_ear",
                summary="Keeps every event.",
            )
        )
        executors = [
            weft.executor(
                "threads",
                label=name,
                site=Site(name=name.upper(), folder=self.folder / name, **dict(more)),
            )
            for name, more in (("west", west), ("east", east))
        ]
        if here:
            executors.append(weft.executor("threads", label="here"))
        config = Config(
            run_dir=self.folder / "runs",
            executors=executors,
            stagers=[Both(folder=str(self.far))] if can else [],
            monitors=[Listens()],
            transfer_retries=0,
            cache_dir=self.folder / "cache",
        )
        session = Session(config, registry=registry)
        self.sessions.append(session)
        return session

    def file(self, name: str = "given", content: bytes = b"given") -> File:
        (self.home / name).write_bytes(content)
        return File(self.home / name)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    BothStager.moved.clear()
    Ear.made.clear()
    made = Bench(tmp_path)
    yield made
    for session in made.sessions:
        session.close(cancel=True)


@python_app
def look(file: File) -> tuple[bytes, str]:
    return file.as_path().read_bytes(), str(file)


@python_app
def make(content: bytes, outputs: Sequence[File] = ()) -> str:
    outputs[0].as_path().write_bytes(content)
    return str(outputs[0])


def at(app: Any, label: str, session: Session) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        future = app.options(executors=[label], session=session)(*args, **kwargs)
        return future.result(timeout=PATIENCE)

    return call


def moves(session: Session) -> dict[str, int]:
    """How often tasks have moved files, by their names."""
    apps = session.status().apps
    return {name: sum(apps[name].values()) for name in apps if name.startswith("weft.")}


def test_a_site_whose_folder_has_a_url_is_written_and_read_by_it(bench: Bench) -> None:
    session = bench.open(west={"urls": {"file": f"file://{bench.folder}/west"}})
    content, path = at(look, "west", session)(bench.file("a b"))
    assert content == b"given"
    assert Path(path).is_relative_to(bench.folder / "west")
    at(make, "west", session)(b"made", outputs=[File(bench.home / "made")])
    assert (bench.home / "made").read_bytes() == b"made"
    assert moves(session) == {}


def test_two_sides_move_a_file_between_themselves(bench: Bench) -> None:
    session = bench.open(
        "in", "out", "third-party",
        west={"urls": {"both": "both://W"}}, east={"urls": {"both": "both://E"}},
    )  # fmt: skip
    # The stager knows the folders of the sites by their URLs alone.
    for name, short in (("west", "W"), ("east", "E")):
        (bench.folder / name).mkdir()
        (bench.far / short).symlink_to(bench.folder / name)
    (bench.far / "x").write_bytes(b"far")

    assert at(look, "west", session)(File("both://x"))[0] == b"far"
    at(make, "west", session)(b"sent", outputs=[File("both://y")])
    assert (bench.far / "y").read_bytes() == b"sent"
    at(make, "west", session)(b"kept", outputs=[File("site://WEST/a/kept")])
    assert at(look, "east", session)(File("site://WEST/a/kept"))[0] == b"kept"

    assert moves(session) == {}
    assert BothStager.moved == [
        ("in", "both://x", "WEST"),
        ("out", "both://y", "WEST"),
        ("in", "both://W/a/kept", "EAST"),
    ]


def test_what_nobody_else_can_bring_goes_through_the_client(bench: Bench) -> None:
    session = bench.open("in", "out")
    (bench.far / "x").write_bytes(b"far")
    assert at(look, "west", session)(File("both://x"))[0] == b"far"
    at(make, "west", session)(b"sent", outputs=[File("both://y")])
    assert (bench.far / "y").read_bytes() == b"sent"
    assert BothStager.moved == [("in", "both://x", ""), ("out", "both://y", "")]
    assert set(moves(session)) == {"weft.carry"}
    # Nothing of it is left on the way.
    assert list((session.run_folder / "sites").iterdir()) == []


@pytest.mark.parametrize("tells", [True, False])
def test_a_url_goes_through_the_client_once_for_each_site(tells: bool, bench: Bench) -> None:
    session = bench.open("in", "out", *(["validator"] if tells else []))
    there = File("both://x")
    (bench.far / "x").write_bytes(b"far")
    for _ in range(3):
        assert at(look, "west", session)(there)[0] == b"far"
    assert moves(session)["weft.carry"] == (1 if tells else 3)
    assert at(look, "east", session)(there)[0] == b"far"
    assert moves(session)["weft.carry"] == (2 if tells else 4)

    (bench.far / "x").write_bytes(b"another")
    assert at(look, "west", session)(there)[0] == b"another"
    assert at(look, "east", session)(there)[0] == b"another"
    assert moves(session)["weft.carry"] == (4 if tells else 6)


def test_what_a_url_does_not_say_is_a_failed_transfer(bench: Bench) -> None:
    session = bench.open("in", "out", "validator")
    with pytest.raises(StagingError, match="No such file"):
        at(look, "west", session)(File("both://missing"))


def test_a_site_sends_to_another_and_fetches_from_it(bench: Bench) -> None:
    session = bench.open("in", "out", "anywhere", west={"urls": {"both": "both://W"}})
    (bench.folder / "west").mkdir()
    (bench.far / "W").symlink_to(bench.folder / "west")

    at(make, "east", session)(b"from east", outputs=[File("site://WEST/x")])
    assert (bench.folder / "west" / "x").read_bytes() == b"from east"
    assert moves(session) == {"weft.send": 1}
    at(make, "west", session)(b"from west", outputs=[File("site://EAST/y")])
    assert (bench.folder / "east" / "y").read_bytes() == b"from west"
    assert moves(session) == {"weft.send": 1, "weft.fetch": 1}
    # One that is wanted by a task is fetched by the task itself.
    assert at(look, "east", session)(File("site://WEST/x"))[0] == b"from east"
    assert moves(session) == {"weft.send": 1, "weft.fetch": 1}


def test_what_only_one_machine_needs_is_put_on_its_own_disk(bench: Bench) -> None:
    session = bench.open(
        "in", "out", "anywhere", west={"node_folder": bench.folder / "node"}
    )  # fmt: skip
    (bench.far / "x").write_bytes(b"far")
    content, path = at(look, "west", session)(File("both://x"))
    assert content == b"far"
    assert Path(path).is_relative_to(bench.folder / "node")
    made = at(make, "west", session)(b"made", outputs=[File("both://y")])
    assert Path(made).is_relative_to(bench.folder / "node")
    assert (bench.far / "y").read_bytes() == b"made"
    assert not Path(made).exists()
    # So it is not at the site for the next one.
    assert at(look, "west", session)(File("both://y"))[0] == b"made"
    # What is of use to others is where they see it.
    made = at(make, "west", session)(b"made", outputs=[File(bench.home / "z")])
    assert Path(made).is_relative_to(bench.folder / "west")


def test_tasks_at_the_machine_of_the_script_use_files_of_sites(bench: Bench) -> None:
    session = bench.open(here=True)
    at(make, "west", session)(b"made", outputs=[File("site://WEST/x")])
    content, path = at(look, "here", session)(File("site://WEST/x"))
    assert content == b"made"
    assert Path(path).is_relative_to(session.run_folder)
    at(make, "here", session)(b"mine", outputs=[File("site://EAST/y")])
    assert (bench.folder / "east" / "y").read_bytes() == b"mine"
    # Its own files are where they are.
    assert at(look, "here", session)(bench.file())[1] == str(bench.home / "given")


def test_what_comes_home_by_a_url_is_a_file_of_its_own(bench: Bench) -> None:
    session = bench.open("in", "validator", west={"urls": {"both": "both://W"}})
    (bench.folder / "west").mkdir()
    (bench.far / "W").symlink_to(bench.folder / "west")
    at(make, "west", session)(b"made", outputs=[File(bench.home / "made")])
    assert moves(session) == {}
    assert (bench.home / "made").stat().st_nlink == 1
    (bench.home / "made").write_bytes(b"edited")


def test_how_far_a_hop_is_is_told_of_the_file_that_a_task_waits_for(bench: Bench) -> None:
    session = bench.open("out")
    at(make, "west", session)(b"made", outputs=[File("both://x")])
    session.close()
    (ear,) = Ear.made
    told = [event for event in ear.events if isinstance(event, FileMoving)]
    # Carried to the client first, and sent by it then; both are of the one file and its executor.
    assert [(one.url, one.executor, one.done, one.total) for one in told] == [
        ("both://x", "west", 4, 4),
        ("both://x", "west", 1, 2),
    ]
    assert [one.size for one in ear.events if isinstance(one, FileMoved)] == [2]


def test_without_a_way_the_error_says_what_was_looked_at(bench: Bench) -> None:
    session = bench.open("in")
    with pytest.raises(StagingError, match="the stager of 'both' can: in") as caught:
        at(make, "west", session)(b"", outputs=[File("both://y")])
    assert "There is no way for it" in str(caught.value)


def test_sites_are_no_scheme_where_there_are_none(bench: Bench) -> None:
    with Session(Config(run_dir=bench.folder / "runs")) as session:
        called = look.options(session=session)
        with pytest.raises(UnknownScheme):
            _ = called(File("site://WEST/x"))


def test_an_executor_whose_site_has_no_name_has_one_of_its_own(bench: Bench) -> None:
    config = Config(
        run_dir=bench.folder / "runs",
        executors=[
            weft.executor("threads", label=name, site=Site(folder=bench.folder / name))
            for name in ("a", "b")
        ],
    )
    with Session(config) as session:
        at(make, "a", session)(b"x", outputs=[File(bench.home / "x")])
        content, path = at(look, "b", session)(File(bench.home / "x"))
    assert content == b"x"
    assert Path(path).is_relative_to(bench.folder / "b")


def test_a_file_that_a_task_makes_again_is_new_for_all(bench: Bench) -> None:
    session = bench.open()
    for content in (b"one", b"other"):
        at(make, "west", session)(content, outputs=[File("site://WEST/x")])
        assert at(look, "east", session)(File("site://WEST/x"))[0] == content
        at(make, "east", session)(content, outputs=[File(bench.home / "y")])
        assert at(look, "west", session)(File(bench.home / "y"))[0] == content


def test_a_file_of_a_site_that_others_change_is_used_as_it_is_now(bench: Bench) -> None:
    session = bench.open()
    (bench.folder / "west").mkdir()
    for content in (b"one", b"other"):
        (bench.folder / "west" / "x").write_bytes(content)
        assert at(look, "west", session)(File("site://WEST/x"))[0] == content
        assert at(look, "east", session)(File("site://WEST/x"))[0] == content


def test_an_executor_that_brings_back_something_else_fails_the_task_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = bench.open()
    with monkeypatch.context() as patched:
        patched.setattr("weft.data.errand.Errand.__call__", lambda *_: "something else")
        with pytest.raises(ExecutorFailed, match="returned 'something else'"):
            at(look, "west", session)(bench.file())
    assert at(look, "west", session)(bench.file())[0] == b"given"


def test_what_changes_just_after_it_was_carried_is_carried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = bench.open()
    given = bench.file("given", b"one")
    honest = carry.take_in

    def then_changed(folder: str, parcels: Sequence[carry.Parcel]) -> Any:
        try:
            return honest(folder, parcels)
        finally:
            bench.file("given", b"other")

    with monkeypatch.context() as patched:
        patched.setattr(carry, "take_in", then_changed)
        assert at(look, "west", session)(given)[0] == b"one"
    assert at(look, "west", session)(given)[0] == b"other"


@python_app
def tree(folder: File) -> dict[str, str]:
    """What is in a folder."""
    root = folder.as_path()
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_text() for path in files}


@python_app
def plant(content: str, outputs: Sequence[File] = ()) -> str:
    root = outputs[0].as_path()
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "file").write_text(content)
    (root / "link").symlink_to(root / "deep" / "file")
    return str(root)


@python_app
def plant_a_file(outputs: Sequence[File] = ()) -> None:
    outputs[0].as_path().write_text("")


@python_app
def plant_a_link(to: str, outputs: Sequence[File] = ()) -> None:
    outputs[0].as_path().mkdir()
    (outputs[0].as_path() / "link").symlink_to(to)


def planted(bench: Bench) -> File:
    (bench.home / "given" / "sub").mkdir(parents=True)
    (bench.home / "given" / "sub" / "one").write_text("1")
    return File(f"{bench.home}/given/")


def test_a_folder_is_carried_to_a_site_once(bench: Bench) -> None:
    session, folder = bench.open(), planted(bench)
    assert at(tree, "west", session)(folder) == {"sub/one": "1"}
    carried = moves(session)
    assert at(tree, "west", session)(folder) == {"sub/one": "1"}
    assert moves(session) == carried

    (bench.home / "given" / "sub" / "two").write_text("2")
    assert at(tree, "west", session)(folder) == {"sub/one": "1", "sub/two": "2"}
    assert at(tree, "east", session)(folder) == {"sub/one": "1", "sub/two": "2"}


def test_a_folder_that_a_site_made_comes_home_and_goes_on(bench: Bench) -> None:
    session, made = bench.open(), File(f"{bench.home}/made/")
    where = at(plant, "west", session)("a", outputs=[made])
    assert where.startswith(str(bench.folder / "west"))
    assert (bench.home / "made" / "deep" / "file").read_text() == "a"
    assert (bench.home / "made" / "link").readlink() == Path("deep/file")
    assert at(tree, "east", session)(made) == {"deep/file": "a", "link": "a"}

    at(plant, "west", session)("b", outputs=[made])
    assert at(tree, "west", session)(made) == {"deep/file": "b", "link": "b"}
    assert sorted(one.name for one in bench.home.iterdir()) == ["made"]


def test_a_folder_stays_at_a_site_by_its_name_there(bench: Bench) -> None:
    session, stays = bench.open(), File("site://WEST/kept/made/")
    at(plant, "west", session)("a", outputs=[stays])
    assert (bench.folder / "west" / "kept" / "made" / "link").read_text() == "a"
    assert at(tree, "west", session)(stays) == {"deep/file": "a", "link": "a"}
    assert at(tree, "east", session)(stays) == {"deep/file": "a", "link": "a"}
    at(plant, "west", session)("b", outputs=[stays])
    assert at(tree, "east", session)(stays) == {"deep/file": "b", "link": "b"}


def test_what_is_no_folder_is_said(bench: Bench) -> None:
    session = bench.open(here=True)
    bench.file("plain")
    named = File(f"{bench.home}/plain/")
    for label in ("west", "here"):
        with pytest.raises(StagingError, match="is no folder"):
            at(tree, label, session)(named)
        made = File(f"{bench.home}/{label}/")
        with pytest.raises(StagingError, match="no folder, and its name ends with a slash"):
            at(plant_a_file, label, session)(outputs=[made])
    bench.folder.joinpath("west", "kept").write_text("a file")
    with pytest.raises(StagingError, match="is no folder"):
        at(tree, "west", session)(File("site://WEST/kept/"))


@pytest.mark.parametrize("name", ["site://WEST/kept/made/", "home"])
def test_a_link_in_a_folder_that_leads_out_is_refused(name: str, bench: Bench) -> None:
    session = bench.open()
    made = File(f"{bench.home}/made/") if name == "home" else File(name)
    with pytest.raises(StagingError, match="leads out of it"):
        at(plant_a_link, "west", session)("/etc", outputs=[made])
    assert not (bench.home / "made").exists()
    assert not (bench.folder / "west" / "kept" / "made").exists()


def test_a_folder_whose_stager_moves_none_is_refused_at_the_call(bench: Bench) -> None:
    session = bench.open("in", "out", "anywhere", here=True)
    for label in ("west", "here"):
        for more in ({}, {"outputs": [File("both://far/made/")]}):
            with pytest.raises(StagingError, match="'both' moves files alone"):
                at(tree, label, session)(File("both://far/given/"), **more)
    assert BothStager.moved == []


def test_a_url_of_a_site_by_which_no_folder_can_go_is_left_out(bench: Bench) -> None:
    session = bench.open("in", "out", west={"urls": {"both": "both://far/west"}})
    assert at(tree, "west", session)(planted(bench)) == {"sub/one": "1"}
    assert BothStager.moved == []


def test_memory_looks_into_folders(bench: Bench) -> None:
    session, folder = bench.open(here=True), planted(bench)

    @python_app(cache=True)
    def when(folder: File) -> str:
        return f"{len(list(folder.as_path().rglob('*')))} {time.monotonic_ns()}"

    first = at(when, "here", session)(folder)
    assert at(when, "here", session)(folder) == first
    (bench.home / "given" / "sub" / "one").write_text("other")
    assert at(when, "here", session)(folder) not in {first, ""}


def runs_at(bench: Bench, site: str) -> list[Path]:
    return [path for path in (bench.folder / site).rglob("weft-runs/*") if path.is_dir()]


@python_app
def stumble(file: File) -> None:
    raise ValueError(file.filename)


def test_what_a_run_has_put_at_sites_goes_with_it(bench: Bench) -> None:
    old = bench.folder / "east" / "weft-runs" / "0123456789abcdef" / "in"
    old.mkdir(parents=True)
    for path in (old, old.parent):
        os.utime(path, (1, 1))
    session = bench.open()
    stays = File("site://WEST/kept.txt")
    at(make, "west", session)(b"kept", outputs=[stays])
    at(look, "east", session)(stays)
    at(tree, "west", session)(planted(bench))
    assert runs_at(bench, "west")
    session.close()
    assert runs_at(bench, "west") == runs_at(bench, "east") == []
    assert (bench.folder / "west" / "kept.txt").read_bytes() == b"kept"


def test_it_stays_on_request(bench: Bench) -> None:
    session = bench.open(west={"keep_runs": True})
    at(look, "west", session)(bench.file())
    at(look, "east", session)(bench.file())
    session.close()
    assert len(runs_at(bench, "west")) == 1
    assert runs_at(bench, "east") == []


def test_it_stays_where_a_task_failed_or_was_cancelled(bench: Bench) -> None:
    session = bench.open()
    with pytest.raises(ValueError, match="given"):
        at(stumble, "west", session)(bench.file())
    session.close()
    assert len(runs_at(bench, "west")) == 1


def test_a_session_that_is_cancelled_removes_nothing(bench: Bench) -> None:
    session = bench.open()
    at(look, "west", session)(bench.file())
    session.close(cancel=True)
    assert len(runs_at(bench, "west")) == 1


def test_what_cannot_be_removed_is_said_and_harms_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(folders: Sequence[str], run: str) -> int:
        raise OSError("the file system is away")

    monkeypatch.setattr("weft.data.haul.tidy", refuse)
    session = bench.open()
    at(look, "west", session)(bench.file())
    session.close()
    said = capfd.readouterr().err
    assert "the file system is away" in said
    assert "on the site 'WEST'" in said


def test_a_site_that_was_not_used_is_not_asked(bench: Bench) -> None:
    session = bench.open()
    at(look, "west", session)(bench.file())
    asked: list[str] = []

    def ready(label: str) -> bool:
        asked.append(label)
        return False

    assert session._haul is not None
    session._haul.tidy(ready, 1.0)
    assert asked == ["west"]
    assert moves(session).get("weft.tidy", 0) == 0  # and where nothing runs, nothing is begun
