"""What is said of a block that did not come up, and what is not."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.blocks.diagnosis import Evidence, failure, gathered, hidden, secrets_of, tail
from weft.blocks.lifecycle import BlockRecord
from weft.errors import BlockFailed, WeftError


def record(**more: object) -> BlockRecord:
    made = BlockRecord(id="cpu-3", asked=0.0, since=0.0)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_the_last_lines_are_read_however_long_the_file(tmp_path: Path) -> None:
    file = tmp_path / "job.err"
    file.write_text("".join(f"line {n}\n" for n in range(100_000)))

    assert tail(file, lines=2) == "line 99998\nline 99999"
    assert len(tail(file, lines=10_000)) <= 8192


def test_one_endless_line_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "job.err"
    file.write_text("x" * 1_000_000)

    assert tail(file) == "x" * 8192


def test_what_is_no_text_is_shown_as_text(tmp_path: Path) -> None:
    file = tmp_path / "job.err"
    file.write_bytes(b"\x1b[31mred\x00\xff\n")

    assert tail(file) == "?[31mred?\N{REPLACEMENT CHARACTER}"


def test_a_file_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert tail(None) == ""
    assert tail(tmp_path / "missing") == ""
    assert tail(tmp_path) == ""


def test_a_pipe_with_nobody_at_the_other_end_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "job.err")

    assert tail(tmp_path / "job.err") == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("export API_TOKEN=abc123; run", "export API_TOKEN=***; run"),
        ('PASSWORD="two words" run', "PASSWORD=*** run"),
        ("run --password hunter2 --jobs 3", "run --password *** --jobs 3"),
        ("run --api-key=hunter2", "run --api-key=***"),
        ('{"secret": "abc"}', '{"secret": ***}'),
        ("https://me:pw@host/x", "https://me:***@host/x"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        ("author: Ada", "author: Ada"),
        ("Permission denied (publickey,password).", "Permission denied (publickey,password)."),
        ("sbatch --time 10 job.sh", "sbatch --time 10 job.sh"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(text: str, shown: str) -> None:
    assert hidden(text) == shown


def test_known_secrets_are_not_shown_wherever_they_are(tmp_path: Path) -> None:
    file = tmp_path / "job.out"
    file.write_text("hello correct-horse\n")
    known = secrets_of({"MY_SECRET": "correct-horse", "OTHER": "hello", "A_TOKEN": "x"})

    assert known == ("correct-horse",)
    assert gathered(record(stdout=file), known) == Evidence(stdout="hello ***")


@given(st.text(max_size=200))
def test_any_text_can_be_looked_through(text: str) -> None:
    assert isinstance(hidden(text), str)


@pytest.mark.parametrize(
    ("stderr", "code", "why"),
    [
        ("ModuleNotFoundError: No module named 'weft_htex'", 1, "does not have weft"),
        ("sh: 1: weft-manager: not found", 127, "is not there on its machines"),
        ("", 127, "was not found"),
        ("", 126, "cannot be run"),
        ("", 137, "was killed"),
        ("", -9, "was killed"),
        ("", 0, "ended without an error"),
        ("slurmstepd: error: Detected 1 oom_kill event", 1, "ran out of memory"),
        ("OSError: [Errno 28] No space left on device", 1, "no space left"),
        ("[Errno 111] Connection refused", 1, "could not connect"),
        ("who knows", 3, "it said so"),
    ],
)
def test_what_it_most_likely_is(stderr: str, code: int, why: str) -> None:
    error = failure(
        "cpu",
        3,
        record(exit_code=code, reason="it said so"),
        command="run",
        evidence=Evidence(stderr=stderr),
    )

    assert why in error.why
    assert error.todo


def test_a_manager_that_says_why_it_ends_is_believed() -> None:
    said = "The manager on n1 was refused.\nWhy: It is old.\nDo: Install a newer one.\n(W-HTX-001)"
    evidence = Evidence(stderr=f"Loading python/3.11\n{said}")

    error = failure("cpu", 3, record(exit_code=2), command="run", evidence=evidence)

    assert error.why == "The manager on n1 was refused. It is old."
    assert error.todo == "Install a newer one."


def test_words_that_a_manager_quotes_are_part_of_what_it_says() -> None:
    said = "No worker starts.\nWhy: It said:\n  oh\n    dear\nDo: Look.\n(W-HTX-006)"

    error = failure(
        "cpu", 3, record(exit_code=2), command="run", evidence=Evidence(stderr=f"a\n{said}")
    )

    assert error.why == "No worker starts. It said:\n  oh\n    dear"
    assert error.todo == "Look."


def test_all_that_is_known_is_in_the_error(tmp_path: Path) -> None:
    cause = WeftError("The queue is closed.", why="Maintenance.", todo="Wait until Monday.")
    error = failure(
        "cpu",
        3,
        record(job="4711", reason="sbatch:  error\nbad", exit_code=2, stdout=tmp_path, stderr=None),
        command="srun run",
        evidence=Evidence(),
        cause=cause,
    )

    assert isinstance(error, BlockFailed)
    assert error.facts == {
        "block": "cpu-3 (job 4711)",
        "scheduler": "sbatch: error bad",
        "command": "srun run",
        "exit code": "2",
        "stdout": f"in {tmp_path}, which is empty",
    }
    assert (error.why, error.todo) == ("The queue is closed. Maintenance.", "Wait until Monday.")
    assert error.__cause__ is cause
