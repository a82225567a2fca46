"""A session that keeps the files that its stagers bring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft import python_app
from weft.builtin.settings import Threads
from weft.configuration.config import Backoff, Config
from weft.errors import SettingsError, StagingError
from weft.eventlog.runs import events_of_run
from weft.session import Session
from weft.values.events import FileMoved
from weft.values.files import File

if TYPE_CHECKING:
    from core.tests.conftest import Site

PATIENCE = 60.0

STAGER = """
from pathlib import Path
from weft.interfaces.stager import Stager, Transfer

class Far(Stager):
    def start(self, context):
        self.context = context
    def plan(self, way, file, place):
        placed = file.placed(Path(place.folder) / file.filename)
        return Transfer(way=way, file=file, placed=placed, place=place)
    def move(self, transfer):
        from the_far_side import far
        far.move(self, transfer)
    def validator(self, file):
        from the_far_side import far
        return far.marks.get(file.filename)
    def close(self):
        from the_far_side import far
        far.closed += 1

def build(settings):
    return Far()
"""


class FarSide:
    """What serves files, and counts."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {"a": "1", "b": "1"}
        self.moved: list[str] = []
        self.closed = 0
        self.steps: Any = lambda stager, transfer: None

    def move(self, stager: Any, transfer: Any) -> None:
        self.moved.append(f"{transfer.way} {transfer.file.filename}")
        self.steps(stager, transfer)
        if transfer.way == "in":
            path = transfer.placed.as_path()
            assert path.parent == transfer.place.folder
            mark = self.marks.get(transfer.file.filename)
            path.write_text(f"{transfer.file.filename} {mark}")


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> FarSide:
    side = FarSide()
    module = type(sys)("the_far_side")
    module.far = side  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "the_far_side", module)
    return side


@pytest.fixture
def open_session(site: Site, tmp_path: Path, far: FarSide) -> Any:
    def opened(abilities: tuple[str, ...] = ("in", "out", "validator"), **options: Any) -> Session:
        site.plugin(
            "weft-far",
            "stager",
            "far",
            schemes=("far",),
            factory=STAGER,
            capabilities=dict.fromkeys(abilities, "full"),
        )
        options.setdefault("cache_dir", tmp_path / "cache")
        config = Config(
            executors=[Threads(max_threads=1)],
            run_dir=tmp_path / "runs",
            transfer_backoff=Backoff(first=0.0),
            **options,
        )
        return Session(config, registry=site.registry(builtin=True))

    return opened


@python_app
def text_of(file: File) -> str:
    return Path(file).read_text()


@python_app
def write(outputs: list[File]) -> None:
    Path(outputs[0]).write_text("made")


def text(session: Session, url: str) -> str:
    found: str = text_of.options(session=session)(File(url)).result(PATIENCE)
    return found


def test_a_later_run_does_not_bring_the_same_file(
    open_session: Any, far: FarSide, tmp_path: Path
) -> None:
    for _ in range(2):
        with open_session() as session:
            assert text(session, "far://h/a") == "a 1"
    assert far.moved == ["in a"]
    assert far.closed == 2
    runs = sorted((tmp_path / "runs").iterdir())
    sizes = [[one.size for one in events_of_run(run) if type(one) is FileMoved] for run in runs]
    assert sizes == [[len("a 1")], [0]], "what is kept is not moved again"


def test_a_file_that_changed_is_brought_again(open_session: Any, far: FarSide) -> None:
    with open_session() as session:
        assert text(session, "far://h/a") == "a 1"
    far.marks["a"] = "2"
    with open_session() as session:
        assert text(session, "far://h/a") == "a 2"
    assert far.moved == ["in a", "in a"]


@pytest.mark.parametrize(
    ("abilities", "options"),
    [
        (("in", "out", "validator"), {"cache": False}),
        (("in", "out"), {}),
        (("in", "out", "validator", "third-party"), {}),
    ],
)
def test_what_is_not_to_be_kept_is_not(
    open_session: Any, far: FarSide, tmp_path: Path, abilities: Any, options: Any
) -> None:
    for _ in range(2):
        with open_session(abilities, **options) as session:
            assert text(session, "far://h/a") == "a 1"
    assert far.moved == ["in a", "in a"]
    assert not (tmp_path / "cache").exists()


def test_what_has_no_validator_is_brought_each_time(open_session: Any, far: FarSide) -> None:
    del far.marks["a"]
    for _ in range(2):
        with open_session() as session:
            assert text(session, "far://h/a") == "a None"
    assert far.moved == ["in a", "in a"]


def test_outputs_are_sent_as_ever(open_session: Any, far: FarSide) -> None:
    with open_session() as session:
        write.options(session=session)(outputs=[File("far://h/b")]).result(PATIENCE)
    assert far.moved == ["out b"]


def test_a_transfer_that_failed_is_tried_again(open_session: Any, far: FarSide) -> None:
    def fails_once(stager: Any, transfer: Any) -> None:
        if len(far.moved) == 1:
            raise StagingError(transfer.file.url, transfer.way, "broken", again=True)

    far.steps = fails_once
    with open_session() as session:
        assert text(session, "far://h/a") == "a 1"
    assert far.moved == ["in a", "in a"]


def test_progress_is_that_of_the_transfer_which_was_asked_for(
    open_session: Any, far: FarSide
) -> None:
    seen = []

    def tells(stager: Any, transfer: Any) -> None:
        stager.context.progress(transfer, 1, 2)
        seen.append(stager.context.stands_for[id(transfer)].file)

    far.steps = tells
    with open_session() as session:
        assert text(session, "far://h/a") == "a 1"
    assert seen == [File("far://h/a")]


def test_a_cache_that_cannot_be_used_is_said_and_done_without(
    open_session: Any, far: FarSide, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with open_session(cache_dir=tmp_path / "file" / "cache") as session:
        assert text(session, "far://h/a") == "a 1"
        assert text(session, "far://h/b") == "b 1"
    log = (session.run_folder / "weft.log").read_text()
    assert log.count("No files are kept") == 1
    assert far.moved == ["in a", "in b"]


@pytest.mark.parametrize("size", [0, -1])
def test_a_cache_of_no_size_is_refused(size: int) -> None:
    with pytest.raises(SettingsError, match="cache_size"):
        Config(cache_size=size)
