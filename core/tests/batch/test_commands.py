"""Commands come back in time or not at all, and are run again only where that is safe."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from weft.batch.commands import Commands, Line, NoAnswer, NotStarted, Said, Silent

if TYPE_CHECKING:
    from core.tests.batch.conftest import Yard


def commands(yard: Yard, timeout: float = 30.0) -> tuple[Commands, list[float]]:
    """The commands of the yard, and how long they have waited between two tries."""
    waited: list[float] = []
    path = f"{yard.programs}:/usr/bin:/bin"
    return Commands(environment={"PATH": path}, timeout=timeout, sleep=waited.append), waited


def busy(said: Said) -> bool:
    return "try again" in said.err


def test_what_a_command_says_is_told(yard: Yard, tmp_path: Path) -> None:
    run, _ = commands(yard)
    yard.say("bsubmit", "out\n", "err\n", 3)
    said = run.once(Line(("bsubmit", "a b"), stdin="é\udc80" * 100_000, folder=tmp_path))
    assert (said.name, said.code, said.out, said.err) == ("bsubmit", 3, "out\n", "err\n")
    assert yard.calls("bsubmit") == ["a b"]
    assert (yard.folder / "bsubmit.stdin").read_bytes() == b"\xc3\xa9\x80" * 100_000
    with pytest.raises(NoAnswer, match="bsubmit: err"):
        said.good()


def test_words_are_one_line_and_not_endless() -> None:
    assert Said(code=1, err=" two\n lines ").words == "two lines"
    assert Said(code=1, out="here").words == "here"
    assert Said(code=4).words == "exit code 4"
    assert Said(code=-9).words == "ended by signal 9"
    assert len(Said(err="x" * 100_000).words) < 500


def test_a_question_is_asked_again_while_its_trouble_may_pass(yard: Yard) -> None:
    run, waited = commands(yard)
    yard.say("bqueue", "[]")
    yard.mood("bqueue", "half")
    assert run.ask(Line(("bqueue",)), busy).good() == "[]"
    assert len(yard.calls("bqueue")) == 2
    assert len(waited) == 1
    yard.say("bqueue", err="busy, try again", code=1)
    assert run.ask(Line(("bqueue",)), busy).code == 1
    assert len(yard.calls("bqueue")) == 2 + 3
    yard.say("bqueue", err="no", code=1)
    assert run.ask(Line(("bqueue",)), busy).code == 1
    assert len(yard.calls("bqueue")) == 2 + 3 + 1


def test_a_submission_is_never_run_again(yard: Yard) -> None:
    run, waited = commands(yard)
    yard.mood("bsubmit", "half")
    assert run.once(Line(("bsubmit",))).code == 11
    assert (len(yard.calls("bsubmit")), waited) == (1, [])


def test_all_tries_have_one_time(yard: Yard) -> None:
    run, waited = commands(yard, timeout=0.05)
    yard.say("bqueue", err="busy, try again", code=1)
    try:
        said = run.ask(Line(("bqueue",)), busy)
    except Silent:  # the machine has much to do
        return
    assert said.code == 1
    assert (len(yard.calls("bqueue")), waited) == (1, [])


def test_a_command_that_hangs_is_ended_with_what_it_started(yard: Yard) -> None:
    run, _ = commands(yard, timeout=2.0)
    yard.mood("bqueue", "hang")
    with pytest.raises(Silent, match="bqueue has not come back within 2 s"):
        run.ask(Line(("bqueue",)), busy)
    assert len(yard.calls("bqueue")) == 1, "there was no time left to ask again"
    child = yard.folder / "bqueue.child"
    if not child.exists() or not child.read_text():  # it was ended before it had told of any
        return
    until = time.monotonic() + 60
    while _runs(int(child.read_text())):
        assert time.monotonic() < until, "what it had started lives on"
        time.sleep(0.05)


def test_a_command_that_prints_without_end_is_ended(yard: Yard) -> None:
    run, _ = commands(yard, timeout=100.0)
    yard.mood("bqueue", "endless")
    with pytest.raises(Silent, match="prints more than 64 MiB"):
        run.once(Line(("bqueue",)))


def test_what_cannot_be_started_says_why(yard: Yard, tmp_path: Path) -> None:
    run, _ = commands(yard)
    assert run.missing(["bqueue", "nosuch", "bnone"]) == ["nosuch", "bnone"]
    with pytest.raises(NotStarted, match="no command 'nosuch' on PATH"):
        run.once(Line(("nosuch",)))
    with pytest.raises(NotStarted, match=r"bqueue cannot be started: .*absent"):
        run.once(Line(("bqueue",), folder=tmp_path / "absent"))
    (yard.programs / "bqueue").write_bytes(b"\x7fELF no program")
    with pytest.raises(NotStarted, match="cannot be started"):
        run.once(Line(("bqueue",)))


def test_what_lies_in_the_current_folder_is_no_command(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(yard.programs)
    for path in ("", ".", "bin:", f"{yard.programs.name}:."):
        assert Commands(environment={"PATH": path}, timeout=1.0).find("bqueue") is None


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
