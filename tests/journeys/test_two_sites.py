"""Two clusters that share nothing: files travel as the script asks.

Both are this machine, each with a folder of its own; no task is given a path outside of the folder
of its site.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import weft
from tests.waiting import BOUND
from weft import Config, File, Site, bash_app, python_app
from weft.configuration.registry import Registry
from weft.errors import InvalidConfig, MissingOutputs, OutputConflict, StagingError
from weft.interfaces.stager import CAPABILITIES
from weft.session import Session
from weft.values.plugin import Component, Kind, Support
from weft.values.states import TaskState

if TYPE_CHECKING:
    from weft.values.settings import StagerSettings

BIG = bytes(range(256)) * 4096 * 12 + b"and an end"


class Sites:
    """A session with the sites WEST and EAST.

    Attributes:
        session: it is open.
        home: a folder of the script.
        west, east: the folders of the sites.
    """

    def __init__(self, session: Session, home: Path, west: Path, east: Path) -> None:
        self.session, self.home, self.west, self.east = session, home, west, east

    def file(self, name: str, content: bytes) -> File:
        path = self.home / name
        path.write_bytes(content)
        return File(path)

    def carried(self) -> int:
        """How many tasks have moved files."""
        return sum(self.session.status().apps.get("weft.carry", {}).values())


def config(folder: Path, **more: Any) -> Config:
    def cluster(label: str) -> Any:
        return weft.executor(
            "htex",
            label=label,
            workers_per_node=1,
            site=Site(name=label.upper(), folder=folder / label / "weft"),
        )

    return Config(
        run_dir=folder / "runs", executors=[cluster("west"), cluster("east")],
        transfer_backoff=weft.Backoff(first=0.01), **more,
    )  # fmt: skip


def opened(folder: Path, registry: Registry | None = None) -> Sites:
    home = folder / "home"
    home.mkdir()
    session = Session(config(folder), registry=registry)
    return Sites(session, home, folder / "west" / "weft", folder / "east" / "weft")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    made = opened(tmp_path_factory.mktemp("two sites"))
    with made.session:
        yield made
    left = [one for place in (made.home, made.west, made.east) for one in place.rglob(".*.part")]
    assert left == []


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Sites]:
    made = opened(tmp_path)
    with made.session:
        yield made


@python_app
def shout(inputs: Sequence[File] = (), outputs: Sequence[File] = ()) -> list[str]:
    """Copies its first input in capitals; where its files were."""
    outputs[0].as_path().write_bytes(inputs[0].as_path().read_bytes().upper())
    return [str(inputs[0]), str(outputs[0])]


@bash_app
def join(inputs: Sequence[File] = (), outputs: Sequence[File] = ()) -> list[str]:
    command = 'out="$1"; shift; cat "$@" > "$out"'
    return ["sh", "-c", command, "sh", *map(str, (*outputs, *inputs))]


@python_app
def look(file: File) -> tuple[int, str]:
    return file.as_path().stat().st_size, str(file)


@python_app
def make(content: bytes, outputs: Sequence[File] = ()) -> str:
    for file in outputs:
        file.as_path().write_bytes(content)
    return str(outputs[0])


def at(app: Any, label: str, sites: Sites) -> Any:
    return app.options(executors=[label], session=sites.session)


def result(future: Any) -> Any:
    return future.result(timeout=BOUND)


def test_files_go_from_home_to_a_site_to_the_other_and_home_again(sites: Sites) -> None:
    text = sites.file("text", b"hello\n")
    first = at(shout, "west", sites)(inputs=[text], outputs=[File(sites.home / "loud")])
    last = at(join, "east", sites)(
        inputs=[first.outputs[0], text], outputs=[File(sites.home / "both")]
    )

    result(last)
    assert (sites.home / "both").read_bytes() == b"HELLO\nhello\n"
    assert (sites.home / "loud").read_bytes() == b"HELLO\n"
    for path in result(first):
        assert Path(path).is_relative_to(sites.west)
    assert last.outputs[0].result() == File(sites.home / "both")


def test_a_file_of_a_site_stays_there_and_is_used_in_place(sites: Sites) -> None:
    kept = File("site://WEST/kept/a b/made")
    made = at(make, "west", sites)(b"kept", outputs=[kept])
    result(made)
    before = sites.carried()

    size, path = result(at(look, "west", sites)(made.outputs[0]))

    assert (size, path) == (4, str(sites.west / "kept" / "a b" / "made"))
    assert sites.carried() == before
    assert list(sites.home.rglob("made")) == []

    size, path = result(at(look, "east", sites)(made.outputs[0]))
    assert size == 4
    assert Path(path).is_relative_to(sites.east)


def test_what_a_site_made_or_got_is_not_brought_there_again(sites: Sites) -> None:
    given = sites.file("given", b"given")
    first = at(shout, "west", sites)(inputs=[given], outputs=[File(sites.home / "of west")])
    result(first)
    before = sites.carried()

    assert result(at(look, "west", sites)(first.outputs[0])) == (5, result(first)[1])
    assert result(at(look, "west", sites)(given)) == (5, result(first)[0])

    assert sites.carried() == before


def test_an_output_goes_to_the_other_site_if_its_name_says_so(sites: Sites) -> None:
    made = at(make, "west", sites)(b"for east", outputs=[File("site://EAST/from west")])
    result(made)
    assert (sites.east / "from west").read_bytes() == b"for east"
    assert result(at(look, "east", sites)(made.outputs[0])) == (8, str(sites.east / "from west"))


def test_large_files_go_there_and_back_in_pieces(sites: Sites) -> None:
    big = sites.file("big", BIG)
    back = File(sites.home / "big again")
    result(at(join, "east", sites)(inputs=[big], outputs=[back]))
    assert back.as_path().read_bytes() == BIG


def test_a_hundred_small_files_are_not_a_hundred_tasks(sites: Sites) -> None:
    files = [sites.file(f"small {n}", b"%d\n" % n) for n in range(100)]
    before = sites.carried()
    result(at(join, "west", sites)(inputs=files, outputs=[File(sites.home / "all")]))
    assert (sites.home / "all").read_text().split() == [str(n) for n in range(100)]
    assert sites.carried() - before <= 3


def test_a_file_that_changed_is_brought_as_it_is_now(sites: Sites) -> None:
    changing = sites.file("changing", b"one")
    assert result(at(look, "west", sites)(changing))[0] == 3
    sites.file("changing", b"other")
    os.utime(changing, ns=(1, 1))
    assert result(at(look, "west", sites)(changing))[0] == 5


@pytest.mark.parametrize("name", ["a b", "a\nb", "ü€", "-rf", "'; touch x; '", "%2e%2e"])
def test_odd_names_are_names(name: str, sites: Sites) -> None:
    odd = sites.file(name, b"odd")
    done = at(shout, "east", sites)(inputs=[odd], outputs=[File(sites.home / f"{name}.out")])
    result(done)
    assert (sites.home / f"{name}.out").read_bytes() == b"ODD"


@pytest.mark.parametrize("rest", ["../out", "a/%2e%2e/%2e%2e/out", "/etc/x", ""])
def test_names_that_lead_out_of_a_site_are_refused_at_the_call(rest: str, sites: Sites) -> None:
    with pytest.raises(StagingError, match="no path below the folder"):
        at(make, "west", sites)(b"", outputs=[File(f"site://WEST/{rest}")])


def test_a_site_that_is_not_there_is_refused_at_the_call(sites: Sites) -> None:
    with pytest.raises(StagingError, match=r"no site named 'NORTH'; .*'EAST', 'WEST'"):
        at(look, "west", sites)(File("site://NORTH/x"))


def test_an_output_that_was_not_made_fails_the_task(sites: Sites) -> None:
    @python_app
    def idle(outputs: Sequence[File] = ()) -> None:
        """Makes nothing."""

    with pytest.raises(MissingOutputs):
        result(at(idle, "west", sites)(outputs=[File(sites.home / "never")]))
    assert not (sites.home / "never").exists()


def test_a_file_that_is_not_there_fails_the_task_with_what_is(sites: Sites) -> None:
    sites.file("present.txt", b"")
    with pytest.raises(StagingError, match=r"In that folder are: 'present.txt'"):
        result(at(look, "west", sites)(File(sites.home / "presnt.txt")))
    with pytest.raises(StagingError, match="'WEST'"):
        result(at(look, "east", sites)(File("site://WEST/never/made")))
    with pytest.raises(StagingError, match="is not there"):
        result(at(look, "west", sites)(File("site://WEST/never/made")))


def test_an_output_that_leads_out_of_the_site_is_not_taken(sites: Sites) -> None:
    secret = sites.home / "secret"
    secret.write_bytes(b"secret")

    @python_app
    def cheat(target: str, outputs: Sequence[File] = ()) -> None:
        outputs[0].as_path().symlink_to(target)

    with pytest.raises(StagingError, match="outside of"):
        result(at(cheat, "west", sites)(str(secret), outputs=[File(sites.home / "got")]))
    assert not (sites.home / "got").exists()


def test_two_tasks_that_write_one_file_of_a_site_are_refused(sites: Sites) -> None:
    both = File("site://WEST/both")
    gate = sites.home / "gate"
    os.mkfifo(gate)

    @python_app
    def slow(gate: str, outputs: Sequence[File] = ()) -> None:
        Path(gate).read_bytes()
        outputs[0].as_path().write_bytes(b"first")

    first = at(slow, "west", sites)(str(gate), outputs=[both])
    second = at(make, "east", sites)(b"second", outputs=[both])
    try:
        with pytest.raises(OutputConflict):
            result(second)
    finally:
        gate.write_bytes(b"")
    result(first)
    assert (sites.west / "both").read_bytes() == b"first"


# ------------------------------------------------------------------------------------------ the web


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A web server: its URL, its folder, and what it was asked for."""
    asked: list[str] = []

    class Told(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
            asked.append(args[0])

    folder = tmp_path / "www"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Told, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder, asked
    server.shutdown()
    server.server_close()
    thread.join(BOUND)
    assert not thread.is_alive()


def test_a_site_fetches_a_file_of_the_web_once(
    sites: Sites, web: tuple[str, Path, list[str]]
) -> None:
    url, folder, asked = web
    (folder / "a b.txt").write_bytes(b"from the web")
    # Of one that is a second old, nobody can say by its time whether it is still the same.
    os.utime(folder / "a b.txt", (1000, 1000))
    before = sites.carried()

    futures = [at(look, "west", sites)(File(f"{url}/a%20b.txt")) for _ in range(5)]

    assert {result(future)[0] for future in futures} == {12}
    assert Path(result(futures[0])[1]).is_relative_to(sites.west)
    assert sum(line.startswith("GET") for line in asked) == 1
    assert sites.carried() == before
    # It is looked for each time, and brought as it is now.
    (folder / "a b.txt").write_bytes(b"another one")
    os.utime(folder / "a b.txt", (2000, 2000))
    assert result(at(look, "west", sites)(File(f"{url}/a%20b.txt")))[0] == 11
    with pytest.raises(StagingError, match="404"):
        result(at(look, "west", sites)(File(f"{url}/missing")))


# ------------------------------------------------------------------------------------------- faults


def test_a_worker_that_is_killed_in_a_transfer_costs_one_piece(own: Sites) -> None:
    @python_app
    def sabotage(marker: str) -> None:
        from weft.data import carry

        honest = carry.write

        def deadly(folder: str, part: str, offset: int, data: bytes) -> None:
            if offset and not Path(marker).exists():
                Path(marker).touch()
                os.kill(os.getpid(), 9)
            honest(folder, part, offset, data)

        carry.write = deadly

    result(at(sabotage, "west", own)(str(own.home / "killed")))
    big = own.file("big", BIG)

    assert result(at(look, "west", own)(big))[0] == len(BIG)

    assert (own.home / "killed").exists()
    counts = own.session.status().apps["weft.carry"]
    assert counts[TaskState.DONE] == sum(counts.values())
    assert own.session.status().failures == []


def test_a_full_disk_at_the_site_fails_the_task_and_leaves_nothing_there(own: Sites) -> None:
    @python_app
    def fill() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    result(at(fill, "west", own)())

    with pytest.raises(StagingError, match="File too large") as caught:
        result(at(look, "west", own)(own.file("big", BIG)))
    assert "'WEST'" in str(caught.value)
    result(at(fill, "west", own)())  # for a worker may be another one after what went wrong
    with pytest.raises(StagingError, match="File too large"):
        result(at(look, "west", own)(own.file("middle", BIG[:200_000])))
    assert [one for one in own.west.rglob("*") if one.is_file()] == []
    # The other site is as well as before.
    assert result(at(look, "east", own)(own.file("big", BIG)))[0] == len(BIG)
    assert [group.app for group in own.session.status().failures] == ["look"]


def test_a_folder_that_cannot_be_made_is_told_with_its_site(tmp_path: Path) -> None:
    (tmp_path / "west").write_text("a file where a folder is to be")
    made = opened(tmp_path)
    with made.session:
        with pytest.raises(StagingError, match="Not a directory") as caught:
            result(at(look, "west", made)(made.file("x", b"x")))
        assert "'WEST'" in str(caught.value)
        with pytest.raises(StagingError, match="Not a directory"):
            result(at(make, "west", made)(b"", outputs=[File(made.home / "y")]))


def test_a_copy_that_somebody_spoiled_is_not_used(own: Sites) -> None:
    given = own.file("given", b"given")
    _, path = result(at(look, "west", own)(given))
    Path(path).chmod(0o600)
    Path(path).write_bytes(b"spoiled!")
    with pytest.raises(StagingError, match="was changed after it had been put there"):
        result(at(look, "west", own)(given))


def test_a_session_that_is_cancelled_ends_while_files_are_carried(tmp_path: Path) -> None:
    made = opened(tmp_path)
    futures = [at(look, "west", made)(made.file(f"big{n}", BIG)) for n in range(4)]
    made.session.close(cancel=True)
    assert all(future.done() for future in futures)


# ---------------------------------------------------------- stagers that need nothing of the client

STAGER = '''
    """Moves files of a folder, as if it were far away: test://x is FOLDER/x."""

    import os
    from pathlib import Path
    from typing import ClassVar

    import attrs

    from weft.errors import StagingError
    from weft.interfaces.stager import Stager, Transfer
    from weft.values.settings import StagerSettings, setting


    @attrs.frozen(kw_only=True)
    class Far(StagerSettings):
        """The folder."""

        plugin: ClassVar[str] = "far"
        folder: str = setting(help="The folder.")


    class FarStager(Stager):
        def __init__(self, settings):
            self._folder = Path(settings.folder)

        def start(self, context):
            self._context = context

        def plan(self, way, file, place):
            placed = file.placed(place.folder / f"far-{file.filename}")
            return Transfer(way=way, file=file, placed=placed, place=place)

        def move(self, transfer):
            there = self._folder / transfer.file.netloc
            here = transfer.placed.as_path()
            with (self._folder / "log").open("a") as log:
                log.write(f"{transfer.way} {there.name} {os.getpid()}\\\\n")
            if there.name == "deadly" and not (self._folder / "killed").exists():
                (self._folder / "killed").touch()
                os.kill(os.getpid(), 9)
            if there.name == "shaky" and (self._folder / "log").read_text().count("shaky") < 3:
                raise StagingError(transfer.file.url, transfer.way, "It broke.", again=True)
            source, target = (there, here) if transfer.way == "in" else (here, there)
            if not source.exists():
                raise StagingError(transfer.file.url, transfer.way, "It is not there: 404.")
            self._context.progress(transfer, 0)
            part = target.with_name(f".{os.urandom(8).hex()}.part")
            part.write_bytes(source.read_bytes())
            part.replace(target)

        def close(self):
            with (self._folder / "log").open("a") as log:
                log.write(f"closed by {os.getpid()}\\\\n")


    def build(settings):
        return FarStager(settings)
'''


class Far(Sites):
    """The same, with files that are far from all."""

    far: Path

    def log(self) -> list[list[str]]:
        return [line.split() for line in (self.far / "log").read_text().splitlines()]


def far_sites(folder: Path, monkeypatch: pytest.MonkeyPatch, where: Path) -> Far:
    where.mkdir()
    (where / "far_stager.py").write_text(dedent(STAGER).replace("\\\\n", "\\n"))
    monkeypatch.syspath_prepend(str(where))
    monkeypatch.delitem(sys.modules, "far_stager", raising=False)
    far = folder / "far"
    far.mkdir()
    full = ("in", "out", "anywhere")
    registry = Registry()
    registry.register(
        Component(
            kind=Kind.STAGER, name="far", interface="1.1",
            settings="far_stager:Far", factory="far_stager:build",
            summary="Moves files of a folder, as if it were far away.",
            capabilities={
                name: Support.FULL if name in full else Support.UNSUPPORTED
                for name in CAPABILITIES
            },
            schemes=("test",),
        )
    )  # fmt: skip
    import far_stager  # type: ignore[import-not-found]

    settings: StagerSettings = far_stager.Far(folder=str(far))
    home = folder / "home"
    home.mkdir()
    session = Session(config(folder, stagers=[settings]), registry=registry)
    made = Far(session, home, folder / "west" / "weft", folder / "east" / "weft")
    made.far = far
    return made


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    made = far_sites(tmp_path, monkeypatch, tmp_path / "packages")
    with made.session:
        yield made


def test_workers_fetch_and_send_for_themselves(far: Far) -> None:
    (far.far / "one").write_bytes(b"one")
    done = at(shout, "west", far)(inputs=[File("test://one")], outputs=[File("test://two")])
    result(done)

    assert (far.far / "two").read_bytes() == b"ONE"
    assert far.carried() == 0
    pids = {pid for _, _, pid in far.log()}
    assert len(pids) == 1
    assert str(os.getpid()) not in pids
    for path in result(done):
        assert Path(path).is_relative_to(far.west)
    # One that the site has made is not fetched again.
    assert result(at(look, "west", far)(done.outputs[0]))[0] == 3
    assert len(far.log()) == 2
    assert result(at(look, "east", far)(done.outputs[0]))[0] == 3
    assert len(far.log()) == 3
    far.session.close()
    assert f"closed by {pids.pop()}" in (far.far / "log").read_text()


def test_a_transfer_that_broke_is_tried_again_where_it_is(far: Far) -> None:
    (far.far / "shaky").write_bytes(b"shaky")
    assert result(at(look, "west", far)(File("test://shaky")))[0] == 5
    assert [line[:2] for line in far.log()] == [["in", "shaky"]] * 3
    assert len({pid for _, _, pid in far.log()}) == 1


def test_a_worker_that_is_killed_while_it_fetches_costs_a_try(far: Far) -> None:
    (far.far / "deadly").write_bytes(b"deadly")
    future = at(look, "west", far)(File("test://deadly"))
    assert result(future)[0] == 6
    assert len(future.tries) == 2
    assert list(far.west.rglob(".*.part")) == []


def test_what_the_other_side_said_is_the_tasks_error(far: Far) -> None:
    with pytest.raises(StagingError, match="It is not there: 404") as caught:
        result(at(look, "west", far)(File("test://missing")))
    assert caught.value.url == "test://missing"
    assert os.uname().nodename in str(caught.value)


def test_a_package_that_is_missing_at_the_worker_is_named(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    @python_app
    def lose() -> None:
        """From now on this worker cannot import it."""
        sys.modules["far_stager"] = None  # type: ignore[assignment]

    result(at(lose, "east", far)())
    with pytest.raises(StagingError, match="moves 'test' files, cannot be imported on") as caught:
        result(at(look, "east", far)(File("test://one")))
    assert sys.executable in str(caught.value)


# ----------------------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (Site(name="W", folder="scratch"), None, "'scratch' is not the absolute path of a folder"),
        (Site(name="W", folder="/a/../b"), None, "'/a/../b' is not the absolute path"),
        (Site(name="a/b", folder="/a"), None, "'a/b' is no name of a site"),
        (Site(name="W", folder="/a", node_folder="b"), None, "node_folder='b' is not the absolute"),
        (Site(name="W", folder="/a"), Site(name="W", folder="/b"), "a site named 'W' as well"),
        (Site(folder="/a", urls={"file": "/a"}), None, "another scheme"),
        (Site(folder="/a", urls={"file": "file://u:p@host/a"}), None, "holds a password"),
        (Site(folder="/a", urls={"no": "no://host/a"}), None, "No installed stager moves 'no'"),
        (Site(folder="/a", urls={"file": "file:///a?b"}), None, "something after its path"),
    ],
)  # fmt: skip
def test_sites_that_make_no_sense_are_refused(
    one: Site, other: Site | None, told: str, tmp_path: Path
) -> None:
    executors = [
        weft.executor("threads", label=f"t{number}", site=site)
        for number, site in enumerate([one, other])
        if site is not None
    ]
    with pytest.raises(InvalidConfig) as caught:
        Session(Config(executors=executors, run_dir=tmp_path))
    assert told in str(caught.value)


def test_two_executors_may_have_one_site(tmp_path: Path) -> None:
    both = Site(name="W", folder=tmp_path / "w")
    executors = [weft.executor("threads", label=label, site=both) for label in ("a", "b")]
    with Session(Config(executors=executors, run_dir=tmp_path / "runs")) as session:
        made = make.options(executors=["a"], session=session)(b"x", outputs=[File("site://W/made")])
        used = look.options(executors=["b"], session=session)(made.outputs[0])
        assert used.result(timeout=BOUND) == (1, str(tmp_path / "w" / "made"))
