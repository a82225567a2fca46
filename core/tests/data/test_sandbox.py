"""A working folder for one try of a task."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weft import bodies
from weft.data import sandbox as sandbox_module
from weft.data.sandbox import Sandbox, Sandboxed, SandboxPlan, sweep
from weft.errors import MissingOutputs, StagingError
from weft.values.files import File
from weft.values.message import changed


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def plan(base: Path) -> SandboxPlan:
    return SandboxPlan(str(base), "run-1-1")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that runs one task at a time; and whatever happens, back again."""
    monkeypatch.setattr(bodies, "_owns_process", True)
    monkeypatch.setattr(sandbox_module, "_swept", set())
    before = Path.cwd()
    yield
    os.chdir(before)


def run(plan: SandboxPlan, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return Sandboxed(function)(plan, *args, **kwargs)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_task_has_a_folder_of_its_own(plan: SandboxPlan, base: Path) -> None:
    def look() -> tuple[str, int, list[str]]:
        Path("scratch").write_text("x")
        return str(Path.cwd()), stat.S_IMODE(Path.cwd().stat().st_mode), names(Path.cwd())

    before = Path.cwd()
    assert run(plan, look) == (str(base / "run-1-1"), 0o700, ["scratch"])
    assert Path.cwd() == before
    assert list(base.iterdir()) == []


def test_inputs_are_there_by_their_names(plan: SandboxPlan, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "in.txt").write_text("one")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "in.txt").write_text("two")

    def read(first: File, *, rest: list[File]) -> tuple[str, str, str]:
        assert Path(first) == Path.cwd() / "in.txt"
        return Path("in.txt").read_text(), Path(rest[0]).read_text(), Path(rest[0]).name

    found = run(plan, read, File(tmp_path / "a/in.txt"), rest=[File(tmp_path / "b/in.txt")])
    assert found == ("one", "two", "in.txt")


def test_a_file_that_was_staged_has_the_name_of_its_url(plan: SandboxPlan, tmp_path: Path) -> None:
    (tmp_path / "0123-in.txt").write_text("one")
    file = File("https://h/in.txt").placed(tmp_path / "0123-in.txt")
    assert run(plan, lambda file: Path(file).name, file) == "in.txt"


@pytest.mark.parametrize("how", ["link", "copy"])
def test_an_input_is_a_link_or_a_copy(base: Path, tmp_path: Path, how: Any) -> None:
    (tmp_path / "in.txt").write_text("one")
    (tmp_path / "in.txt").chmod(0o400)

    def change(file: File) -> bool:
        linked = Path(file).is_symlink()
        if not linked:
            with Path(file).open("a") as opened:
                opened.write("more")
        return linked

    linked = run(SandboxPlan(str(base), "n", inputs=how), change, File(tmp_path / "in.txt"))
    assert linked is (how == "link")
    assert (tmp_path / "in.txt").read_text() == "one"


def test_a_folder_as_an_input_is_copied_whole(base: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a").write_text("one")
    plan = SandboxPlan(str(base), "n", inputs="copy")
    found = run(plan, lambda file: (Path(file) / "deep/a").read_text(), File(tmp_path / "in"))
    assert found == "one"


def test_outputs_are_put_where_they_were_asked_for(plan: SandboxPlan, tmp_path: Path) -> None:
    def make(outputs: list[File]) -> None:
        assert Path(outputs[0]) == Path.cwd() / "made.txt"
        Path("made.txt").write_text("made")
        assert not (tmp_path / "results").exists()

    run(plan, make, outputs=[File(tmp_path / "results/made.txt")])
    assert (tmp_path / "results" / "made.txt").read_text() == "made"
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["made.txt"]


def test_outputs_by_relative_paths_are_put_where_the_process_was(
    plan: SandboxPlan, tmp_path: Path
) -> None:
    os.chdir(tmp_path)
    run(plan, lambda outputs: Path(outputs[0]).write_text("x"), outputs=[File("results/made.txt")])
    assert (tmp_path / "results" / "made.txt").read_text() == "x"


def test_an_output_replaces_what_is_there(plan: SandboxPlan, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()

    def make(outputs: list[File]) -> None:
        Path(outputs[0]).write_text("new")
        Path(outputs[1]).mkdir()
        (Path(outputs[1]) / "new").touch()

    run(plan, make, outputs=[File(tmp_path / "old"), File(tmp_path / "folder")])
    assert (tmp_path / "old").read_text() == "new"
    assert names(tmp_path / "folder") == ["new"]
    assert names(tmp_path) == ["base", "folder", "old"]


def test_outputs_on_another_file_system_are_copied(
    plan: SandboxPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def far(self: Path, target: Any) -> Path:
        if self.parent != Path(target).parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", far)

    def make(outputs: list[File]) -> None:
        Path(outputs[0]).write_text("file")
        Path(outputs[1]).mkdir()
        (Path(outputs[1]) / "inner").write_text("inner")

    run(plan, make, outputs=[File(tmp_path / "file"), File(tmp_path / "folder")])
    assert (tmp_path / "file").read_text() == "file"
    assert (tmp_path / "folder" / "inner").read_text() == "inner"


def test_an_output_that_was_not_made_is_named_with_what_is_there(
    plan: SandboxPlan, base: Path, tmp_path: Path
) -> None:
    def make(outputs: list[File]) -> None:
        Path("mada.txt").touch()

    with pytest.raises(MissingOutputs, match=r"made\.txt(.|\n)*In it are(.|\n)*mada\.txt"):
        run(plan, make, outputs=[File(tmp_path / "made.txt")])
    assert names(base) == []


def test_a_body_that_misses_outputs_says_the_same(plan: SandboxPlan, tmp_path: Path) -> None:
    body = bodies.BashBody(lambda outputs: "touch mada.txt", "make")
    with pytest.raises(MissingOutputs, match=r"'make'(.|\n)*'made\.txt'(.|\n)*mada\.txt"):
        run(plan, body, outputs=[File(tmp_path / "made.txt")])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda out, other: out.symlink_to(other), "outside of its working folder"),
        (lambda out, other: out.symlink_to("."), "outside of its working folder"),
        (lambda out, other: out.symlink_to("/nowhere/at/all"), "outside of its working folder"),
        (lambda out, other: (out.mkdir(), (out / "l").symlink_to(other)), "'l': a link"),
        (lambda out, other: os.mkfifo(out), "neither a file nor a folder"),
    ],
    ids=["link", "folder-itself", "dangling", "inner-link", "pipe"],
)
def test_an_output_that_leads_out_is_refused(
    plan: SandboxPlan, tmp_path: Path, make: Any, said: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(StagingError, match=said):
        run(
            plan,
            lambda outputs: make(Path(outputs[0]), tmp_path / "secret"),
            outputs=[File(tmp_path / "out")],
        )
    assert not os.path.lexists(tmp_path / "out")
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_link_within_the_folder_stands_for_what_it_leads_to(
    plan: SandboxPlan, tmp_path: Path
) -> None:
    def make(outputs: list[File]) -> None:
        Path("real").write_text("real")
        Path(outputs[0]).symlink_to("real")

    run(plan, make, outputs=[File(tmp_path / "out")])
    assert (tmp_path / "out").read_text() == "real"
    assert not (tmp_path / "out").is_symlink()


def test_a_folder_is_taken_with_all_that_is_in_it(plan: SandboxPlan, tmp_path: Path) -> None:
    def make(outputs: list[File]) -> None:
        folder = Path(outputs[0])
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_text("deep")
        (folder / "link").symlink_to(folder / "deep" / "file")  # absolute: where it runs

    for _ in range(2):  # the second takes the place of the first
        run(plan, make, outputs=[File(f"{tmp_path}/out/")])
    assert (tmp_path / "out" / "deep" / "file").read_text() == "deep"
    assert (tmp_path / "out" / "link").read_text() == "deep"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_is_a_file_is_refused(plan: SandboxPlan, tmp_path: Path) -> None:
    with pytest.raises(StagingError, match="no folder, and its name ends with a slash"):
        run(plan, lambda outputs: Path(outputs[0]).touch(), outputs=[File(f"{tmp_path}/out/")])
    assert not (tmp_path / "out").exists()


def test_a_folder_comes_in_as_a_link_or_as_a_copy(plan: SandboxPlan, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "one").write_text("1")

    def spoil(folder: File) -> str:
        (folder.as_path() / "new").touch()
        return (folder.as_path() / "one").read_text()

    assert run(changed(plan, inputs="copy"), spoil, File(f"{given}/")) == "1"
    assert not (given / "new").exists()
    assert run(plan, os.listdir, File(f"{given}/")) == ["one"]


def test_an_output_that_cannot_be_put_there_is_an_error(plan: SandboxPlan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StagingError, match="could not be written"):
        run(
            plan,
            lambda outputs: Path(outputs[0]).touch(),
            outputs=[File(tmp_path / "file" / "out")],
        )


def test_streams_go_where_they_would_without_it(plan: SandboxPlan, tmp_path: Path) -> None:
    os.chdir(tmp_path)
    run(plan, bodies.BashBody(lambda: "echo said; pwd"), stdout="out.txt", stderr=("err.txt", "w"))
    assert (tmp_path / "out.txt").read_text() == f"said\n{plan.base}/{plan.name}\n"
    assert (tmp_path / "err.txt").exists()


def fail(*_: object) -> None:
    Path("left.txt").write_text("left")
    raise ValueError("no")


def test_the_folder_of_a_failure_is_removed(plan: SandboxPlan, base: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        run(plan, fail)
    assert names(base) == []


def test_the_folder_of_a_failure_is_kept_if_asked_for(base: Path) -> None:
    plan = SandboxPlan(str(base), "n", keep=True)
    with pytest.raises(ValueError, match="no") as caught:
        run(plan, fail)
    assert caught.value.__notes__ == [f"Its working folder is kept: {base / 'n'}"]
    assert (base / "n" / "left.txt").read_text() == "left"
    assert sweep(base) == 0
    run(plan, lambda: None)
    assert names(base) == ["n"]


def test_what_a_task_made_unremovable_is_removed(
    plan: SandboxPlan, base: Path, tmp_path: Path
) -> None:
    (tmp_path / "others").mkdir(mode=0o755)

    def lock() -> None:
        Path("shut/deep").mkdir(parents=True)
        Path("shut/deep/in").touch()
        Path("shut/out").symlink_to(tmp_path / "others")
        Path("shut/deep").chmod(0)
        Path("shut").chmod(0)
        Path.cwd().chmod(0o500)

    run(plan, lock)
    assert names(base) == []
    assert stat.S_IMODE((tmp_path / "others").stat().st_mode) == 0o755


def test_what_could_not_be_removed_goes_later(
    plan: SandboxPlan, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sandbox_module, "removed", lambda path: None)
        run(plan, lambda: None)
    assert names(base) == ["run-1-1", "run-1-1.lock"]
    assert sweep(base) == 1
    assert names(base) == []


def test_two_tries_of_one_name_are_apart(base: Path) -> None:
    with Sandbox(base, "n") as one, Sandbox(base, "n") as other:
        assert one.folder != other.folder
    assert names(base) == []


def test_where_tasks_share_a_process_there_is_none(
    plan: SandboxPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_owns_process", False)
    with pytest.raises(StagingError, match="runs several tasks"):
        run(plan, lambda: None)


def test_a_base_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StagingError, match="No working folder can be made"):
        run(SandboxPlan(str(tmp_path / "file" / "base"), "n"), lambda: None)


_KILLED = """
import os, sys
from pathlib import Path
from weft.data.sandbox import Sandbox
with Sandbox(sys.argv[1], "killed"):
    Path("half").write_text("half")
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_by_the_next(base: Path) -> None:
    words = [sys.executable, "-c", _KILLED, str(base)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert sweep(base) == 0
        assert (base / "killed" / "half").exists()
        process.kill()
        process.wait(60)
    assert (base / "killed" / "half").exists()
    with Sandbox(base, "next"):
        assert not (base / "killed").exists()
    assert names(base) == []
