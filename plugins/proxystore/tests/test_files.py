"""Files through a store: whole runs, what is left of them, and what goes wrong."""

from __future__ import annotations

import io
import runpy
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import weft
from weft import Config, File, Site, python_app
from weft.errors import ConfigurationError, StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft_proxystore.records import INLINE, Record, Unreadable, claim_name, piece_name, record_name
from weft_proxystore.settings import ProxyStoreFiles
from weft_proxystore.shelf import Changed, Shelf
from weft_proxystore.stager import ProxyStoreStager
from weft_proxystore.stores import RunStore

BOUND = 60.0
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "guide_proxystore_files.py"
PIECE = 2**20


@python_app
def make(text: str, times: int, outputs: Any) -> str:
    Path(outputs[0]).write_text(text * times)
    return str(outputs[0])


@python_app
def length(file: Any) -> tuple[int, str]:
    return len(Path(file).read_text()), str(file)


@python_app
def fail(outputs: Any) -> None:
    Path(outputs[0]).write_text("half")
    raise ValueError("on purpose")


def stager_of(folder: Path) -> Any:
    options = {"store_dir": str(folder / "store")}
    return weft.stager("proxystore", connector="file", options=options, piece_size=PIECE)


# ----------------------------------------------------------------------------------------- in runs


def test_two_sites_pass_a_file_on_and_nothing_is_left(tmp_path: Path) -> None:
    executors = [
        weft.executor(
            "processes", label=name, max_workers=1, site=Site(name=name, folder=tmp_path / name)
        )
        for name in ("west", "east")
    ]
    config = Config(executors=executors, stagers=[stager_of(tmp_path)], run_dir=tmp_path / "runs")
    with weft.load(config) as session:
        file = File("proxystore://reads/one.txt")
        made = make.options(executors=["west"])("reads\n", 500_000, outputs=[file])
        size, at_east = length.options(executors=["east"])(made.outputs[0]).result(BOUND)
        assert size == 3_000_000
        assert str(tmp_path / "west") in made.result(BOUND)
        assert str(tmp_path / "east") in at_east
        # It has not come by the script: what does is in this folder.
        assert not [one for one in (session.run_folder / "sites").rglob("*") if one.is_file()]
        assert list((tmp_path / "store").rglob("f-*")), "nothing went through the store"
    assert list((tmp_path / "store").iterdir()) == []


def test_tasks_of_this_machine_pass_files_on_too(tmp_path: Path) -> None:
    config = Config(
        executors=[weft.executor("threads", max_threads=2)],
        stagers=[stager_of(tmp_path)],
        run_dir=tmp_path / "runs",
        cache=False,
    )
    with weft.load(config):
        made = [make("x", n, outputs=[File(f"proxystore://many/{n}")]) for n in range(20)]
        found = [length(one.outputs[0]).result(BOUND)[0] for one in made]
        assert found == list(range(20))
        again = make("y", 7, outputs=[File("proxystore://many/3")])
        assert length(again.outputs[0]).result(BOUND)[0] == 7
        error = fail(outputs=[File("proxystore://never")]).exception(BOUND)
        assert isinstance(error, ValueError)
        missing = length(File("proxystore://never")).exception(BOUND)
        assert isinstance(missing, StagingError)
        assert "There is no such file in the store file" in str(missing)
        assert "among its outputs" in str(missing)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_run_that_only_asked_leaves_nothing_either(tmp_path: Path) -> None:
    config = Config(
        executors=[weft.executor("threads", max_threads=1)],
        stagers=[stager_of(tmp_path)],
        run_dir=tmp_path / "runs",
    )
    with weft.load(config):
        error = length(File("proxystore://never")).exception(BOUND)
        assert isinstance(error, StagingError)
    assert list((tmp_path / "store").iterdir()) == []


def test_the_example_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = EXAMPLE.read_text()
    for old, new in (
        ('connector="redis", options={"hostname": "head", "port": 6379}',
         f'connector="file", options={{"store_dir": "{tmp_path}/store"}}'),
        ("/scratch/me", f"{tmp_path}/west"),
        ("/project/p123", f"{tmp_path}/east"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    script = tmp_path / "guide_proxystore_files.py"
    script.write_text(text)
    monkeypatch.chdir(tmp_path)
    assert runpy.run_path(str(script))["count"]() == 400_000
    assert list((tmp_path / "store").iterdir()) == []


def test_which_store_is_asked_for_where_none_is_configured(tmp_path: Path) -> None:
    config = Config(executors=[weft.executor("threads", max_threads=1)], run_dir=tmp_path / "runs")
    with (
        weft.load(config),
        pytest.raises(ConfigurationError, match="connector"),
    ):
        length(File("proxystore://any")).result(BOUND)


# -------------------------------------------------------------------------------------- by itself


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[str], ProxyStoreStager]]:
    made: list[ProxyStoreStager] = []

    def start(run: str) -> ProxyStoreStager:
        settings = ProxyStoreFiles(
            connector="file", options={"store_dir": str(tmp_path / "store")}, piece_size=PIECE
        )
        one = ProxyStoreStager(settings)
        one.start(FakeContext(tmp_path, run_id=run))
        made.append(one)
        return one

    yield start
    for one in made:
        one.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    settings = ProxyStoreFiles(connector="file", options={"store_dir": str(tmp_path / "store")})
    store = RunStore(settings, "run-1-files", mine=True, kept=0)
    yield Shelf(store, PIECE)
    store.close()


def names(folder: Path) -> set[str]:
    """The objects in the store of the run."""
    found = {path.name for path in (folder / "store" / "run-1-files").iterdir()}
    return {one for one in found if one != "weft-run.json" and not one.endswith(".ready")}


def plan(stager: ProxyStoreStager, way: Way, folder: Path, name: str = "file") -> Transfer:
    folder.mkdir(exist_ok=True)
    place = Place(executor="x", folder=folder, shared=False)
    return stager.plan(way, File(f"proxystore://{name}"), place)


def send(stager: ProxyStoreStager, content: bytes, folder: Path, name: str = "file") -> None:
    transfer = plan(stager, Way.OUT, folder, name)
    transfer.placed.as_path().write_bytes(content)
    stager.move(transfer)


def test_runs_do_not_see_each_other(opened: Any, tmp_path: Path) -> None:
    first, second = opened("run-1"), opened("run-2")
    send(first, b"of the first", tmp_path / "tasks")
    with pytest.raises(StagingError, match="no such file"):
        second.move(plan(second, Way.IN, tmp_path / "in"))
    send(second, b"of the second", tmp_path / "tasks")
    second.close()
    transfer = plan(first, Way.IN, tmp_path / "in")
    first.move(transfer)
    assert transfer.placed.as_path().read_bytes() == b"of the first"


def test_a_large_file_takes_a_few_pieces_of_memory(opened: Any, tmp_path: Path) -> None:
    stager = opened("run-1")
    large = tmp_path / "large"
    with large.open("wb") as writing:
        for n in range(32):
            writing.write(bytes([n]) * PIECE)
    out = plan(stager, Way.OUT, tmp_path / "tasks")
    large.rename(out.placed.as_path())
    tracemalloc.start()
    try:
        stager.move(out)
        into = plan(stager, Way.IN, tmp_path / "in")
        stager.move(into)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert into.placed.as_path().stat().st_size == 32 * PIECE
    assert peak < 4 * PIECE, f"{peak / PIECE:.1f} pieces were held at once"


def test_nothing_moves_any_more_when_the_run_has_ended(opened: Any, tmp_path: Path) -> None:
    stager = opened("run-1")
    transfer = plan(stager, Way.OUT, tmp_path / "tasks")
    transfer.placed.as_path().write_bytes(b"late")
    stager.close()
    with pytest.raises(StagingError) as caught:
        stager.move(transfer)
    assert "The run has ended" in caught.value.reason
    assert list((tmp_path / "store").iterdir()) == []


def test_a_file_that_is_made_anew_while_it_is_brought_is_brought_again(
    opened: Any, tmp_path: Path
) -> None:
    stager = opened("run-1")
    send(stager, b"1" * 3 * PIECE, tmp_path / "tasks")
    into = plan(stager, Way.IN, tmp_path / "in")
    inner = stager._context

    class Meanwhile:
        done = False

        def progress(self, transfer: Transfer, done: int, total: int | None = None) -> None:
            inner.progress(transfer, done, total)
            if transfer.way is Way.IN and done == PIECE and not self.done:
                self.done = True
                send(stager, b"2" * 3 * PIECE, tmp_path / "tasks")

    stager._context = Meanwhile()
    with pytest.raises(StagingError) as caught:
        stager.move(into)
    assert caught.value.again
    assert "made anew" in caught.value.reason
    assert not list((tmp_path / "in").iterdir())
    stager.move(into)
    assert into.placed.as_path().read_bytes() == b"2" * 3 * PIECE


def test_what_a_sender_left_that_was_killed_goes_with_the_next(
    shelf: Shelf, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def killed(done: int) -> None:
        if done == 2 * PIECE:
            # As if nothing could be cleaned up any more.
            shelf._drop_pieces = lambda record: None  # type: ignore[method-assign]
            shelf._drop_claim = lambda record: None  # type: ignore[method-assign]
            raise Killed

    with pytest.raises(Killed):
        shelf.put("proxystore://a", io.BytesIO(b"1" * 4 * PIECE), 4 * PIECE, killed)
    left = names(tmp_path)
    assert claim_name("proxystore://a") in left
    assert len(left) == 3
    del shelf._drop_pieces, shelf._drop_claim
    shelf.put("proxystore://a", io.BytesIO(b"2" * 2 * PIECE), 2 * PIECE, lambda done: None)
    record = shelf.record("proxystore://a")
    assert record is not None
    expected = {piece_name(record.id, 0), piece_name(record.id, 1), record_name("proxystore://a")}
    assert names(tmp_path) == expected
    shelf.remove("proxystore://a")
    assert names(tmp_path) == set()


def test_of_two_that_send_one_file_the_later_has_it(shelf: Shelf) -> None:
    def later(done: int) -> None:
        if done == PIECE:
            other = io.BytesIO(b"2" * 2 * PIECE)
            shelf.put("proxystore://a", other, 2 * PIECE, lambda done: None)

    with pytest.raises(Changed, match="another try"):
        shelf.put("proxystore://a", io.BytesIO(b"1" * 2 * PIECE), 2 * PIECE, later)
    record = shelf.record("proxystore://a")
    assert record is not None
    parts: list[bytes] = []
    shelf.get(record, parts.append)
    assert b"".join(parts) == b"2" * 2 * PIECE


def test_a_file_that_gets_shorter_while_it_is_sent_is_not_sent(
    shelf: Shelf, tmp_path: Path
) -> None:
    with pytest.raises(Changed, match="1000 bytes less"):
        shelf.put("a", io.BytesIO(b"1" * (2 * PIECE - 1000)), 2 * PIECE, lambda done: None)
    assert names(tmp_path) == set()


# ------------------------------------------------------------------------------------------- pure


def test_a_record_comes_back() -> None:
    small = Record(url="proxystore://naïve\n", id="a", size=3, content=b"\n\0{")
    large = Record(url="proxystore://x", id="b", size=INLINE + 1, piece=INLINE, at="there")
    assert Record.unpacked(small.packed()) == small
    assert Record.unpacked(large.packed()) == large
    assert (small.pieces, large.pieces) == (0, 2)
    assert [large.length(0), large.length(1)] == [INLINE, 1]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "JSON"),
        (b"[]\n", "TypeError|AttributeError"),
        (b'{"weft": 2}\n', "another version"),
        (b'{"weft": 1, "url": "x"}\n', "TypeError"),
        (attrs.evolve(Record(url="x", id="b", size=9), content=b"short").packed(), "holds 5 bytes"),
    ],
)
def test_what_is_no_record_is_not_taken_for_one(data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        Record.unpacked(data)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"connector": "local"}, "connector"),
        ({"connector": "file", "piece_size": 10}, "piece_size"),
        ({"connector": "file", "options": "no"}, "options"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises((ValueError, TypeError), match=why):
        ProxyStoreFiles(**options)
