"""The kit for stagers: files arrive whole, under their name alone, or not at all and with an error.

the other side                      the kit                       the place of the tasks
publish ──────────────▶ plan(IN), move ──────────────────────────▶ read, compare
fetch, compare ◀─────── plan(OUT), move ◀───────────────────────── write
"""

import contextlib
import functools
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import pytest

from weft.errors import StagingError, WeftError
from weft.interfaces.stager import Place, Stager, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft.values.plugin import Kind, Level, Support
from weft.values.settings import Settings
from weft_testkit.base import Conformance
from weft_testkit.bounded import Caller, all_at_once, settled
from weft_testkit.elsewhere import run_elsewhere
from weft_testkit.leftovers import Look
from weft_testkit.limits import die_beyond, no_file_beyond
from weft_testkit.remote import LocalRemote, Remote
from weft_testkit.rules import rule
from weft_testkit.watching import Watch, half_seen

__all__ = ["StagerConformance"]

_NAMES: Final = (
    "two  spaces.txt",
    "100%.csv",
    "%2e%2e%2fx",
    "naïve — 数据.bin",
    "line one\nline two",
    "-n",
    "#hash?query=1&x;y",
    'it\'s "$HOME" `id`',
    "back\\slash",
    "[1]{2}*~!",
    ".hidden",
    "http:",
    "e\u0301 is not \u00e9",
    "l" * 251 + ".txt",
)
"""Names that a file system takes, and that come to harm where URLs and paths are mixed up."""

_LEADING_OUT: Final = (
    "..",
    ".",
    "../../escaped",
    "/../../escaped",
    "a/../../../escaped",
    "%2e%2e/%2e%2e/escaped",
    "..%2f..%2fescaped",
    "%2fescaped",
    "//escaped",
    "..\\..\\escaped",
    "",
)
"""What a URL may end with that is no name of a file, or leads somewhere else."""

_CONTENTS: Final = (
    b"",
    b"\0",
    bytes(range(256)),
    b"one\r\ntwo\nthree\r",
    b"\xff\xfe no text \x80",
    b"x" * 65536,
    bytes(n * 7 % 251 for n in range(300_001)),
)


@attrs.frozen
class Bench:
    """A stager at work: the other side, the place of the tasks, and the caller of it all."""

    stager: Stager
    remote: Remote
    caller: Caller
    folder: Path
    context: FakeContext
    patience: float

    def place(self, *, shared: bool = False) -> Place:
        return Place(executor="kit", folder=self.folder, shared=shared)

    def plan(self, way: Way, file: File, *, shared: bool = False) -> Transfer:
        return self.caller.well(self.stager.plan, way, file, self.place(shared=shared))

    def move(self, transfer: Transfer) -> None:
        self.caller.well(self.stager.move, transfer)

    def bring(self, file: File, *, shared: bool = False) -> Path:
        """Have a file brought. Returns where it is."""
        transfer = self.plan(Way.IN, file, shared=shared)
        self.move(transfer)
        path = transfer.placed.as_path()
        assert path.exists(), f"{str(path)!r} is not there"
        return path

    def made(self, content: bytes, name: str, *, shared: bool = False) -> Transfer:
        """Make what is to be taken, as a task does."""
        transfer = self.plan(Way.OUT, self.remote.address(name), shared=shared)
        path = transfer.placed.as_path()
        assert path.parent.is_dir(), (
            f"a task is to write {str(path)!r}, and that folder is not there"
        )
        path.write_bytes(content)
        return transfer

    def take(self, content: bytes, name: str, *, shared: bool = False) -> File:
        """Make a file as a task does, and have it taken."""
        transfer = self.made(content, name, shared=shared)
        self.move(transfer)
        return transfer.file

    def refused(self, transfer: Transfer) -> StagingError:
        """Have something moved that cannot be, look at the error, and return it."""
        try:
            self.caller.call(self.stager.move, transfer)
        except Exception as raised:  # noqa: BLE001 - a component may raise anything
            error = raised
        else:
            pytest.fail(f"move of {transfer.file.url!r} came back as if all were well")
        return _right(error, transfer)

    def went(self, file: File) -> list[tuple[int, int | None]]:
        """What was said so far of how far that file is: bytes done, and those in all."""
        return [(done, total) for url, done, total in self.context.went if url == file.url]

    def found(self) -> set[str]:
        """All that is in the place of the tasks."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}

    def everything(self) -> tuple[set[str], set[str]]:
        """All that is on both sides."""
        return self.found(), set(self.remote.names())

    def comes_back_to(self, before: tuple[set[str], set[str]]) -> bool:
        """Whether all is as it was, once a server has noticed that it is alone."""
        return settled(lambda: self.everything() == before, self.patience)


Work = Callable[[], contextlib.AbstractContextManager[Bench]]
"""Makes a stager, has it at work, and closes it."""


class StagerConformance(Conformance):
    """Proves that a stager keeps the promises of ``weft.interfaces.stager``.

    Override ``remote`` for any scheme but ``file``: something that puts files behind its URLs and
    looks at them, without the stager.
    """

    kind: ClassVar[Kind] = Kind.STAGER

    @pytest.fixture
    def remote(self, scratch: Path) -> Remote:
        """The other side."""
        if "file" not in self.component().schemes:
            pytest.fail(
                "The kit cannot know what holds the files of these schemes. Override the fixture "
                "'remote' with a weft_testkit.remote.Remote."
            )
        return LocalRemote(scratch / "there")

    @pytest.fixture
    def large(self) -> int:
        """Bytes of a file that takes more than one step to move."""
        return 8 * 1024 * 1024

    @pytest.fixture
    def tasks(self, scratch: Path) -> Path:
        """The folder of the tasks."""
        folder = scratch / "tasks"
        folder.mkdir(mode=0o700)
        return folder

    @pytest.fixture
    def work(
        self, settings: Settings, remote: Remote, caller: Caller, tasks: Path, patience: float
    ) -> Work:
        """Makes a stager when it is called, has it at work, and closes it."""
        own = tasks.parent / "own"
        own.mkdir(mode=0o700)

        @contextlib.contextmanager
        def at_work() -> Iterator[Bench]:
            stager: Stager = caller.call(self.open, settings)
            context = FakeContext(own)
            try:
                caller.well(stager.start, context)
                yield Bench(stager, remote, caller, tasks, context, patience)
            finally:
                caller.well(stager.close)

        return at_work

    @pytest.fixture
    def killed_halfway(
        self, settings: Settings, scratch: Path, large: int, patience: float
    ) -> Callable[[Transfer], None]:
        """Moves a file in another process, which is killed when half of it is written."""
        own = scratch / "own of another"
        own.mkdir(mode=0o700)

        def kill(plan: Transfer) -> None:
            ended = run_elsewhere(
                self, move_and_die, settings, plan, own, large // 2, seconds=patience + 10
            )
            if ended.exit_code == 0:
                pytest.skip("nothing cut it short: it writes no file here as it moves one")

        return kill

    @pytest.fixture
    def moved_elsewhere(
        self, settings: Settings, scratch: Path, patience: float
    ) -> Callable[[Transfer], None]:
        """Moves a file in another process, by a stager that is made anew from the settings."""
        own = scratch / "own of elsewhere"
        own.mkdir(mode=0o700)

        def move(plan: Transfer) -> None:
            ended = run_elsewhere(self, move_there, settings, plan, own, seconds=patience + 20)
            assert ended.exit_code == 0, f"in another process it failed:\n{ended.said}"
            assert ended.value == "", f"in another process it raised {ended.value}"

        return move

    @pytest.fixture
    def interrupted(
        self, remote: Remote, large: int, killed_halfway: Callable[[Transfer], None]
    ) -> Callable[[Bench, Transfer], None]:
        """Begins to bring a file, and has that end halfway: the connection, or the process."""

        def interrupt(bench: Bench, plan: Transfer) -> None:
            cut = remote.cutting(large // 2)
            if cut is None:
                killed_halfway(plan)
                return
            with cut:
                bench.refused(plan)

        return interrupt

    def _ways(self) -> list[Way]:
        declared = self.component().capabilities
        return [way for way in Way if declared.get(way) in {Support.FULL, Support.PARTIAL}]

    def _round(self, bench: Bench, name: str, content: bytes) -> None:
        """Move one file whichever way it can, and see that it arrived."""
        if Way.IN in self._ways():
            assert bench.bring(bench.remote.publish(content, name)).read_bytes() == content
        else:
            assert bench.remote.fetch(bench.take(content, name)) == content

    # -------------------------------------------------------------------------------- life and plan

    @rule("S001", "It starts, and is closed twice.")
    def test_life(self, work: Work, caller: Caller) -> None:
        with work() as bench:
            caller.well(bench.stager.close)

    @rule("S002", "A plan is made from the name alone: it opens, makes and asks for nothing.")
    def test_planning_touches_nothing(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            for way in self._ways():
                bench.plan(way, remote.address("warm"))  # what it imports, it imports now
                before = bench.everything()
                with _touched() as touched:
                    for n in range(100):
                        bench.plan(way, remote.address(f"not there {n}"))
                assert not touched, f"planning had to do with {touched[0]}"
                assert bench.everything() == before, "planning made something"

    @rule("S003", "A plan says what was asked, and where: an absolute path, within the folder.")
    def test_plan_answers(self, work: Work, remote: Remote, tasks: Path) -> None:
        file = remote.address("some file")
        with work() as bench:
            for way in self._ways():
                for shared in (False, True):
                    plan = bench.plan(way, file, shared=shared)
                    assert isinstance(plan, Transfer)
                    assert (plan.way, plan.file) == (way, file), f"it plans {plan}"
                    assert plan.place == bench.place(shared=shared), f"it plans {plan.place}"
                    assert plan.placed.url == file.url, f"it places {plan.placed.url!r}"
                    path = plan.placed.as_path()
                    assert path.is_absolute(), f"{str(path)!r} is not absolute"
                    assert shared or _within(path, tasks), f"{str(path)!r} is outside"

    @rule("S004", "A file always has the same place, and no two files have one.")
    def test_places(self, work: Work, remote: Remote) -> None:
        base = _base(remote)
        files = [File(base + end) for end in ("a/x.txt", "b/x.txt", "x.txt", "X.txt", "a-x.txt")]
        with work() as bench:
            for way in self._ways():
                first, second = ([bench.plan(way, one).placed for one in files] for _ in range(2))
                assert first == second, "asked twice, it says two things"
                shared = [
                    (one.url, other.url)
                    for n, one in enumerate(first)
                    for other in first[:n]
                    if one.local_path == other.local_path
                ]
                assert not shared, f"{shared[0][0]!r} and {shared[0][1]!r} have the same place"

    @rule("S005", "No URL leads out of the folder of the tasks.")
    def test_stays_inside(self, work: Work, caller: Caller, remote: Remote, tasks: Path) -> None:
        base = _base(remote)
        with work() as bench:
            for way in self._ways():
                for end in _LEADING_OUT:
                    try:
                        plan = caller.call(bench.stager.plan, way, File(base + end), bench.place())
                    except (WeftError, ValueError):
                        continue  # refused, which is as good
                    path = plan.placed.as_path()
                    assert _within(path, tasks), f"{base + end!r} is placed at {str(path)!r}"

    # ------------------------------------------------------------------------------------- bring in

    @rule("S101", "Every byte of a file arrives, and no other.", needs=("in",))
    def test_brings_every_byte(self, work: Work, remote: Remote, large: int) -> None:
        with work() as bench:
            for n, content in enumerate((*_CONTENTS, _many(large))):
                arrived = bench.bring(remote.publish(content, f"content {n}")).read_bytes()
                _same(arrived, content)

    @rule("S102", "A file may have any name, encoded as a URL wants it.", needs=("in",))
    def test_names_in(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            places = {}
            for name in _NAMES:
                places[name] = bench.bring(remote.publish(name.encode(), name))
            for name, path in places.items():
                assert path.read_bytes() == name.encode(), f"{name!r} has another's content"

    @rule("S103", "A task finds the file in a shared place, too.", needs=("in",))
    def test_brings_to_shared(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            file = remote.publish(b"content", "file")
            assert bench.bring(file, shared=True).read_bytes() == b"content"

    @rule("S104", "What is brought is still where it came from.", needs=("in",))
    def test_leaves_the_source(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            file = remote.publish(b"content", "file")
            before = set(remote.names())
            bench.bring(file)
            assert remote.fetch(file) == b"content", "the source is not what it was"
            assert set(remote.names()) == before, "something else came to be there"

    @rule("S105", "Brought twice, it is the same file, and there is one of it.", needs=("in",))
    def test_brings_twice(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            file = remote.publish(b"content", "file")
            path, once = bench.bring(file), bench.found()
            assert bench.bring(file) == path
            assert path.read_bytes() == b"content"
            assert bench.found() == once, "the second time it left something more"

    @rule("S106", "A file that changed is brought as it is now.", needs=("in",))
    def test_brings_what_is_there(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            for content in (b"content", b"another", b"short", b""):
                arrived = bench.bring(remote.publish(content, "file")).read_bytes()
                assert arrived == content, f"{arrived!r} arrived instead of {content!r}"

    @rule("S107", "A file that is not there is a StagingError that names it.", needs=("in",))
    def test_missing_source(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            before = bench.everything()
            for shared in (False, True):
                plan = bench.plan(Way.IN, remote.address("not there"), shared=shared)
                bench.refused(plan)
                assert not plan.placed.as_path().exists(), "there is something all the same"
            assert bench.everything() == before, "it left something"

    @rule("S108", "A file that may not be read is a StagingError that names it.", needs=("in",))
    def test_forbidden_source(self, work: Work, remote: Remote) -> None:
        file = remote.publish(b"content", "file")
        if not remote.forbid(file):
            pytest.skip("the other side of this kit cannot refuse a file")
        with work() as bench:
            before = bench.everything()
            bench.refused(bench.plan(Way.IN, file))
            assert bench.everything() == before, "it left something"

    @rule("S109", "Under its name a file is seen whole, or not at all.", needs=("in",))
    def test_never_half_brought(self, work: Work, remote: Remote, large: int) -> None:
        with work() as bench:
            for size in (large, large // 2):  # what is there already is replaced as a whole, too
                plan = bench.plan(Way.IN, remote.publish(_many(size), "file"))
                path = plan.placed.as_path()
                path.parent.mkdir(parents=True, exist_ok=True)
                with _watched(path.parent) as watch:
                    bench.move(plan)
                    assert not half_seen(watch.happened(), path.name), "it was seen half-written"

    @rule("S110", "Without space it is a StagingError, and nothing is left.", needs=("in",))
    def test_no_space_to_bring(self, work: Work, remote: Remote, tasks: Path, large: int) -> None:
        with work() as bench:
            plan = bench.plan(Way.IN, remote.publish(_many(large), "file"))
            before = bench.everything()
            with no_file_beyond(large // 2):
                bench.refused(plan)
            left = bench.found() - before[0]
            assert not any((tasks / one).is_file() for one in left), f"it left {sorted(left)}"
            assert set(remote.names()) == before[1], "it left something on the other side"
            bench.move(plan)
            _same(plan.placed.as_path().read_bytes(), _many(large))

    @rule("S111", "What is brought is not opened to others.", level=Level.SUPPORTED, needs=("in",))
    def test_keeps_to_itself(self, work: Work, remote: Remote) -> None:
        with work() as bench, _umask(0o077):
            path = bench.bring(remote.publish(b"content", "file"))
            mode = stat.S_IMODE(path.stat().st_mode)
            assert not mode & 0o077, f"its mode is {mode:o}"

    # ------------------------------------------------------------------------------------- take out

    @rule("S201", "Every byte of what a task made arrives, and no other.", needs=("out",))
    def test_takes_every_byte(self, work: Work, remote: Remote, large: int) -> None:
        with work() as bench:
            for n, content in enumerate((*_CONTENTS, _many(large))):
                _same(remote.fetch(bench.take(content, f"content {n}")), content)

    @rule("S202", "What a task made may have any name that a file can have.", needs=("out",))
    def test_names_out(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            files = {name: bench.take(name.encode(), name) for name in _NAMES}
            for name, file in files.items():
                assert remote.fetch(file) == name.encode(), f"{name!r} has another's content"
            assert set(remote.names()) >= set(_NAMES), "some have other names"

    @rule("S203", "What a task made in a shared place arrives, too.", needs=("out",))
    def test_takes_from_shared(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            assert remote.fetch(bench.take(b"content", "file", shared=True)) == b"content"

    @rule("S204", "Taken twice, it is the same file, and there is one of it.", needs=("out",))
    def test_takes_twice(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            plan = bench.made(b"content", "file")
            bench.move(plan)
            once = bench.everything()
            bench.move(plan)
            assert remote.fetch(plan.file) == b"content"
            assert bench.everything() == once, "the second time it left something more"

    @rule("S205", "What a later task made takes the place of what was there.", needs=("out",))
    def test_takes_what_is_new(self, work: Work, remote: Remote) -> None:
        remote.publish(b"of an earlier run", "file")
        with work() as bench:
            for content in (b"content", b"another", b"short", b""):
                arrived = remote.fetch(bench.take(content, "file"))
                assert arrived == content, f"{arrived!r} is there instead of {content!r}"

    @rule("S206", "What a task did not make is a StagingError that names it.", needs=("out",))
    def test_not_made(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            before = bench.everything()
            for shared in (False, True):
                bench.refused(bench.plan(Way.OUT, remote.address("not made"), shared=shared))
            assert bench.everything() == before, "it left something"

    @rule("S207", "There, too, a file is seen whole, or not at all.", needs=("out",))
    def test_never_half_taken(self, work: Work, remote: Remote, large: int) -> None:
        if remote.folder is None:
            pytest.skip("the other side of this kit is no folder that could be watched")
        with work() as bench:
            for size in (large, large // 2):
                plan = bench.made(_many(size), "file")
                with _watched(remote.folder) as watch:
                    bench.move(plan)
                    assert not half_seen(watch.happened(), "file"), "it was seen half-written"

    @rule("S208", "Without space there, it is a StagingError, and nothing is left.", needs=("out",))
    def test_no_space_to_take(self, work: Work, remote: Remote, large: int) -> None:
        breaking = remote.breaking(large // 2)
        if breaking is None:
            pytest.skip("the other side of this kit cannot break halfway")
        with work() as bench:
            plan = bench.made(_many(large), "file")
            before = bench.everything()
            with breaking:
                bench.refused(plan)
            assert bench.everything() == before, "it left something, or took something away"
            bench.move(plan)
            _same(remote.fetch(plan.file), _many(large))

    @rule(
        "S209",
        "A link that a task left is not followed out of its folder.",
        level=Level.SUPPORTED,
        needs=("out",),
    )
    def test_follows_no_link_out(self, work: Work, remote: Remote, tasks: Path) -> None:
        secret = tasks.parent / "secret"
        secret.write_bytes(b"of somebody else")
        with work() as bench:
            plan = bench.plan(Way.OUT, remote.address("file"))
            plan.placed.as_path().symlink_to(secret)
            before = bench.everything()
            bench.refused(plan)
            assert bench.everything() == before, "it left something"

    @rule(
        "S210",
        "What is no file is refused, and not waited for.",
        level=Level.SUPPORTED,
        needs=("out",),
    )
    def test_waits_for_no_pipe(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            plan = bench.plan(Way.OUT, remote.address("file"))
            os.mkfifo(plan.placed.as_path())
            before = bench.everything()
            bench.refused(plan)
            assert bench.everything() == before, "it left something"

    @rule("S211", "A folder is taken whole, or is refused and leaves nothing.", needs=("out",))
    def test_takes_folders_or_not(self, work: Work, caller: Caller, remote: Remote) -> None:
        with work() as bench:
            plan = bench.plan(Way.OUT, remote.address("folder"))
            folder = plan.placed.as_path()
            (folder / "inner").mkdir(parents=True)
            for name in ("a", "inner/b"):
                (folder / name).write_bytes(name.encode())
            before = bench.everything()
            try:
                caller.call(bench.stager.move, plan)
            except StagingError:
                assert bench.everything() == before, "it left something"
                return
            base = _base(remote)
            for name in ("a", "inner/b"):
                arrived = remote.fetch(File(f"{base}folder/{name}"))
                assert arrived == name.encode(), f"of {name!r} there is {arrived!r}"

    # ------------------------------------------------------------------------------ several at once

    @rule("S301", "Files are moved from other threads than the one that started it.")
    def test_other_threads(self, work: Work, caller: Caller, patience: float) -> None:
        with work() as bench:
            other = attrs.evolve(bench, caller=Caller(patience))
            try:
                self._round(other, "file", b"content")
            finally:
                other.caller.close()

    @rule("S302", "Several files are moved at once, each as it is.")
    def test_several_at_once(self, work: Work, remote: Remote, patience: float) -> None:
        contents = {f"file {n}": bytes([n]) * (100_000 + n) for n in range(8)}
        with work() as bench:
            if Way.IN in self._ways():
                files = {name: remote.publish(content, name) for name, content in contents.items()}
                plans = {name: bench.plan(Way.IN, file) for name, file in files.items()}
            else:
                plans = {name: bench.made(content, name) for name, content in contents.items()}
            _all_at_once(bench.stager, list(plans.values()), patience)
            for name, content in contents.items():
                _same(self._arrived(bench, plans[name]), content)

    @rule("S303", "The same file is moved by several at once, and is whole at all times.")
    def test_same_at_once(self, work: Work, remote: Remote, patience: float) -> None:
        content = _many(1_000_000)
        with work() as bench:
            if Way.IN in self._ways():
                plan = bench.plan(Way.IN, remote.publish(content, "file"))
            else:
                plan = bench.made(content, "file")
            bench.move(plan)
            before = bench.everything()
            _all_at_once(bench.stager, [plan] * 8, patience)
            _same(self._arrived(bench, plan), content)
            assert bench.everything() == before, "they left something more"

    @rule("S304", "One that failed does not keep others from being moved.")
    def test_goes_on(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            way = self._ways()[0]
            for n in range(5):
                bench.refused(bench.plan(way, remote.address(f"not there {n}")))
                self._round(bench, f"file {n}", b"content")

    @rule("S305", "Closed, it leaves no thread, no process and no open file.")
    def test_leaves_nothing(
        self, work: Work, remote: Remote, caller: Caller, patience: float
    ) -> None:
        with work() as bench:  # what it loads, it loads now
            self._round(bench, "warm", b"content")
        before = Look.now(caller.threads)
        with work() as bench:
            self._round(bench, "file", b"content")
            bench.refused(bench.plan(self._ways()[0], remote.address("not there")))
        left = before.left(caller.threads, patience)
        assert not left, f"it left {', '.join(left)}"

    # ------------------------------------------------------------------------ killed while it works

    @rule(
        "S401",
        "Killed halfway, it leaves nothing under the file's name, and the next one succeeds.",
        level=Level.SUPPORTED,
        needs=("in",),
    )
    def test_killed_while_bringing(
        self, work: Work, remote: Remote, large: int, killed_halfway: Callable[[Transfer], None]
    ) -> None:
        with work() as bench:
            plan = bench.plan(Way.IN, remote.publish(_many(large), "file"))
            killed_halfway(plan)
            path = plan.placed.as_path()
            assert not path.exists() or path.read_bytes() == _many(large), "a half file is there"
            bench.move(plan)
            _same(path.read_bytes(), _many(large))

    @rule(
        "S402",
        "Killed halfway, it leaves nothing there under the file's name, and the next one succeeds.",
        level=Level.SUPPORTED,
        needs=("out",),
    )
    def test_killed_while_taking(
        self, work: Work, remote: Remote, large: int, killed_halfway: Callable[[Transfer], None]
    ) -> None:
        with work() as bench:
            plan = bench.made(_many(large), "file")
            killed_halfway(plan)
            assert remote.fetch(plan.file) in {None, _many(large)}, "a half file is there"
            bench.move(plan)
            _same(remote.fetch(plan.file), _many(large))

    # ------------------------------------------------------------------------- whether to try again

    @rule("S501", "Where a file is not there or is refused, it says that trying again is no use.")
    def test_again_is_no_use(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            for way in self._ways():
                error = bench.refused(bench.plan(way, remote.address("not there")))
                assert error.again is False, f"{way}: it would look again for what is not there"
            if Way.IN not in self._ways():
                return
            file = remote.publish(b"content", "file")
            if remote.forbid(file):
                error = bench.refused(bench.plan(Way.IN, file))
                assert error.again is False, "it would ask again for what is refused"

    @rule(
        "S502",
        "While the other side is gone it says that trying again may help, and then it does.",
        level=Level.SUPPORTED,
    )
    def test_again_may_help(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            plans = []
            if Way.IN in self._ways():
                plans.append(bench.plan(Way.IN, remote.publish(b"content", "brought")))
            if Way.OUT in self._ways():
                plans.append(bench.made(b"content", "taken"))
            before = bench.everything()
            gone = remote.gone()
            if gone is None:
                pytest.skip("the other side of this kit cannot go away")
            with gone:
                for plan in plans:
                    error = bench.refused(plan)
                    assert error.again is True, f"{plan.way}: it gives up for good: {error}"
            assert bench.comes_back_to(before), "it left something"
            for plan in plans:
                bench.move(plan)
                assert self._arrived(bench, plan) == b"content"

    @rule(
        "S503",
        "A file of which only a part comes is a StagingError, and trying again may help.",
        level=Level.SUPPORTED,
        needs=("in",),
    )
    def test_a_part_is_not_the_whole(self, work: Work, remote: Remote, large: int) -> None:
        cut = remote.cutting(large // 2)
        if cut is None:
            pytest.skip("the other side of this kit cannot break off")
        with work() as bench:
            plan = bench.plan(Way.IN, remote.publish(_many(large), "file"))
            with cut:
                error = bench.refused(plan)
            assert error.again is True, f"it gives up for good: {error}"
            assert not plan.placed.as_path().exists(), "a part of it is there under its name"
            bench.move(plan)
            _same(plan.placed.as_path().read_bytes(), _many(large))

    # ------------------------------------------------------------------------------- many in a call

    @rule("S511", "Of many in one call, each is moved or has its error, in the order of the call.")
    def test_moves_many(self, work: Work, remote: Remote) -> None:
        contents = {f"file {n}": bytes([n]) * (10_000 + n) for n in range(12)}
        with work() as bench:
            assert list(bench.caller.well(bench.stager.move_all, [])) == []
            if Way.IN in self._ways():
                files = {name: remote.publish(content, name) for name, content in contents.items()}
                plans = [bench.plan(Way.IN, file) for file in files.values()]
            else:
                plans = [bench.made(content, name) for name, content in contents.items()]
            wrong = {
                n: bench.plan(self._ways()[0], remote.address(f"not there {n}")) for n in (0, 5, 13)
            }
            for n, plan in wrong.items():
                plans.insert(n, plan)
            outcomes = list(bench.caller.well(bench.stager.move_all, plans))
            assert len(outcomes) == len(plans), f"{len(outcomes)} outcomes of {len(plans)}"
            for n, (plan, outcome) in enumerate(zip(plans, outcomes, strict=True)):
                if n in wrong:
                    assert outcome is not None, f"{plan.file.url!r} is said to be moved"
                    _right(outcome, plan)
                else:
                    assert outcome is None, f"a bad one among them harmed another: {outcome}"
            good = [plan for n, plan in enumerate(plans) if n not in wrong]
            for plan, content in zip(good, contents.values(), strict=True):
                _same(self._arrived(bench, plan), content)

    # ---------------------------------------------------------------------------------- validators

    @rule("S521", "A file that stays as it is keeps its validator.", needs=("validator",))
    def test_validator_stays(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            file = remote.publish(b"content", "file")
            first = bench.caller.well(bench.stager.validator, file)
            assert isinstance(first, str), f"its validator is {first!r}"
            assert first, "its validator is empty"
            if Way.IN in self._ways():
                bench.bring(file)
            second = bench.caller.well(bench.stager.validator, file)
            assert second == first, f"of the same file it says {first!r}, then {second!r}"

    @rule(
        "S522",
        "When the content of a file changes, its validator does, were it of the same length.",
        needs=("validator",),
    )
    def test_validator_changes(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            said: dict[str | None, bytes] = {}
            for n, content in enumerate((b"content", b"another", b"longer than the others", b"")):
                file = remote.publish(content, "file")
                remote.later(file, 2.0 * n)
                now = bench.caller.well(bench.stager.validator, file)
                assert now is not None, "it has no validator"
                assert now not in said, f"{now!r} is said of {said[now]!r} and of {content!r}"
                said[now] = content

    @rule(
        "S523",
        "Asked for the validator of a file that is not there, it raises a StagingError.",
        needs=("validator",),
    )
    def test_validator_of_nothing(self, work: Work, remote: Remote) -> None:
        with work() as bench:
            file = remote.address("not there")
            try:
                said = bench.caller.call(bench.stager.validator, file)
            except Exception as raised:  # noqa: BLE001 - a component may raise anything
                error = raised
            else:
                pytest.fail(f"the validator of a file that is not there is {said!r}")
            assert isinstance(error, StagingError), f"it raised {error!r} and no StagingError"
            assert error.url == file.url, f"the error speaks of {error.url!r}"

    # ------------------------------------------------------------------------------------- progress

    @rule(
        "S531",
        "It says how far it is, never goes back, and ends at the size.",
        needs=("progress",),
    )
    def test_tells_progress(self, work: Work, remote: Remote, large: int) -> None:
        with work() as bench:
            for way in self._ways():
                if way is Way.IN:
                    plan = bench.plan(way, remote.publish(_many(large), "brought"))
                else:
                    plan = bench.made(_many(large), "taken")
                bench.move(plan)
                went = bench.went(plan.file)
                assert went, f"{way}: it said nothing"
                steps = [done for done, _ in went]
                assert steps == sorted(steps), f"{way}: it went back: {steps}"
                assert steps[-1] == large, f"{way}: of {large} bytes it ended at {steps[-1]}"
                totals = {total for _, total in went} - {None}
                assert totals <= {large}, f"{way}: of {large} bytes it says {totals}"

    @rule(
        "S532",
        "What nobody waits for any more ends, and leaves nothing.",
        needs=("progress",),
    )
    def test_gives_up_what_nobody_wants(self, work: Work, remote: Remote, large: int) -> None:
        with work() as bench:
            for way in self._ways():
                if way is Way.IN:
                    plan = bench.plan(way, remote.publish(_many(large), "brought"))
                else:
                    plan = bench.made(_many(large), "taken")
                before = bench.everything()
                bench.context.unwanted.add(plan.file.url)
                bench.refused(plan)
                assert bench.comes_back_to(before), f"{way}: it left something"
                bench.context.unwanted.clear()
                bench.move(plan)
                _same(self._arrived(bench, plan), _many(large))

    # ------------------------------------------------------------------------------------ elsewhere

    @rule(
        "S541",
        "Made anew from its settings in another process, it moves what was planned here.",
        needs=("anywhere",),
        may_hold=True,
    )
    def test_moves_elsewhere(
        self, work: Work, remote: Remote, moved_elsewhere: Callable[[Transfer], None]
    ) -> None:
        with work() as bench:
            if Way.IN in self._ways():
                plans = [bench.plan(Way.IN, remote.publish(_many(100_000), "brought"))]
            else:
                plans = []
            if Way.OUT in self._ways():
                plans.append(bench.made(_many(100_000), "taken"))
        for plan in plans:  # when the one that planned is closed
            moved_elsewhere(plan)
            _same(self._arrived(bench, plan), _many(100_000))

    # --------------------------------------------------------------------------------------- resume

    @rule(
        "S551",
        "After an interruption it goes on where it was, and the file is whole.",
        level=Level.SUPPORTED,
        needs=("in", "resume"),
    )
    def test_resumes(
        self,
        work: Work,
        remote: Remote,
        large: int,
        interrupted: Callable[[Bench, Transfer], None],
    ) -> None:
        with work() as bench:
            plan = bench.plan(Way.IN, remote.publish(_many(large), "file"))
            before = bench.found()
            interrupted(bench, plan)
            given, told = remote.given(plan.file), len(bench.went(plan.file))
            bench.move(plan)
            _same(plan.placed.as_path().read_bytes(), _many(large))
            _is_alone(bench, before)
            again = remote.given(plan.file)
            if given is not None and again is not None:
                assert again - given < large, f"it had {again - given} of {large} bytes sent again"
                return
            steps = [done for done, _ in bench.went(plan.file)[told:]]
            if not steps:
                pytest.skip("the other side does not count what it gives, and nothing was told")
            assert steps[0] > large // 4, f"it went on at {steps[0]} of {large} bytes"

    @rule(
        "S552",
        "What changed since an interruption is brought anew, and not joined to the old part.",
        level=Level.SUPPORTED,
        needs=("in", "resume"),
    )
    def test_resumes_no_other_file(
        self,
        work: Work,
        remote: Remote,
        large: int,
        interrupted: Callable[[Bench, Transfer], None],
    ) -> None:
        changed = _many(large).translate(bytes(range(255, -1, -1)))
        with work() as bench:
            plan = bench.plan(Way.IN, remote.publish(_many(large), "file"))
            before = bench.found()
            interrupted(bench, plan)
            remote.later(remote.publish(changed, "file"), 2.0)
            bench.move(plan)
            _same(plan.placed.as_path().read_bytes(), changed)
            _is_alone(bench, before)

    # ---------------------------------------------------------------------------------------- tools

    def _arrived(self, bench: Bench, plan: Transfer) -> bytes | None:
        if plan.way is Way.IN:
            path = plan.placed.as_path()
            return path.read_bytes() if path.exists() else None
        return bench.remote.fetch(plan.file)


def _is_alone(bench: Bench, before: set[str]) -> None:
    """See that one file has come into the folder, and nothing beside it."""
    left = {name for name in bench.found() - before if (bench.folder / name).is_file()}
    assert len(left) == 1, f"beside the file it left something: {sorted(left)}"


def move_and_die(
    kit: StagerConformance, settings: Settings, plan: Transfer, own: Path, beyond: int
) -> None:
    """Move a file in a process that is killed when half of it is written."""
    stager: Stager = kit.open(settings)
    stager.start(FakeContext(own))
    die_beyond(beyond)
    stager.move(plan)


def move_there(kit: StagerConformance, settings: Settings, plan: Transfer, own: Path) -> str:
    """Move a file by a stager of this process. Returns what it raised, in words, if it did."""
    stager: Stager = kit.open(settings)
    try:
        stager.start(FakeContext(own))
        stager.move(plan)
    except Exception as raised:  # noqa: BLE001 - a component may raise anything; it is handed on
        return repr(raised)
    finally:
        stager.close()
    return ""


def _right(error: Exception, transfer: Transfer) -> StagingError:
    """See that an error is a StagingError of that transfer."""
    assert isinstance(error, StagingError), f"it raised {error!r} and no StagingError"
    assert error.url == transfer.file.url, f"the error speaks of {error.url!r}"
    assert error.direction == transfer.way, f"the error speaks of {error.direction!r}"
    assert error.reason.strip(), "the error does not say why"
    return error


def _base(remote: Remote) -> str:
    """What stands in a URL before the name."""
    url = remote.address("name").url
    assert url.endswith("name"), f"the name does not stand at the end of {url!r}"
    return url.removesuffix("name")


@functools.cache
def _block() -> bytes:
    return bytes(n * n % 253 for n in range(65_521))


def _many(size: int) -> bytes:
    """Bytes of which no two parts are alike for as long as it matters."""
    block = _block()
    return (block * (size // len(block) + 1))[:size]


def _same(arrived: bytes | None, content: bytes) -> None:
    """Compare without a page of differences."""
    assert arrived is not None, "nothing arrived"
    assert len(arrived) == len(content), f"{len(arrived)} bytes of {len(content)} arrived"
    if arrived != content:
        at = next(n for n, (a, b) in enumerate(zip(arrived, content, strict=True)) if a != b)
        pytest.fail(f"byte {at} of {len(content)} is another")


def _within(path: Path, folder: Path) -> bool:
    return folder in Path(os.path.normpath(path)).parents


@contextlib.contextmanager
def _watched(folder: Path) -> Iterator[Watch]:
    watch = Watch.over(folder)
    if watch is None:
        pytest.skip("this system does not tell what happens in a folder")
    try:
        yield watch
    finally:
        watch.close()


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _all_at_once(stager: Stager, plans: Sequence[Transfer], patience: float) -> None:
    """Move from as many threads as there are plans."""
    moves = [functools.partial(stager.move, plan) for plan in plans]
    all_at_once("weft-testkit-mover", moves, patience)


# An audit hook cannot be taken away again, so there is one, which mostly does nothing.
_WATCHED: Final = frozenset(
    {"open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.truncate"}
    | {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.posix_spawn", "os.symlink"}
)
_listeners: list[list[str]] = []


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _listeners and event in _WATCHED:
        _listeners[-1].append(f"{event} {args[:1]!r}")


_hear_once: list[Callable[[], None]] = [lambda: sys.addaudithook(_hear)]


@contextlib.contextmanager
def _touched() -> Iterator[list[str]]:
    """What is opened, made or asked for by this process meanwhile."""
    while _hear_once:
        _hear_once.pop()()
    touched: list[str] = []
    _listeners.append(touched)
    try:
        yield touched
    finally:
        _listeners.remove(touched)
