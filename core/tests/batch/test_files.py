"""What is written for a job arrives as it is, for its owner alone."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.batch.files import CODE, environment_text, folder_of, own_code, word_of, written
from weft.batch.script import script
from weft.values.jobs import Job


@settings(deadline=None, max_examples=60)  # each starts a shell
@given(
    st.dictionaries(
        st.from_regex(r"W_[A-Za-z0-9_]{1,8}", fullmatch=True),
        st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])),
        min_size=1,
        max_size=4,
    )
)
def test_variables_arrive_as_they_are(variables: dict[str, str]) -> None:
    text = environment_text(variables) + "".join(f'printf "%s\\0" "${one}"\n' for one in variables)
    said = subprocess.run(["/bin/sh"], input=text.encode(), capture_output=True, check=True).stdout
    assert said.decode().split("\0")[:-1] == list(variables.values())


@pytest.mark.parametrize("name", ["", "1ST", "a-b", "a b", "a=b", "$(id)"])
def test_a_name_that_no_shell_has_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no shell"):
        environment_text({name: "x"})


def test_a_file_is_new_and_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = written(tmp_path, "one", "text\udc80")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"text\x80"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        written(tmp_path, "one", "another")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        written(tmp_path, "link", "text")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("text", "code"), [("0\n", 0), ("137\n", 137), ("", None), ("x\n", None), ("é", None)]
)
def test_the_code_that_a_job_left_is_a_number_or_nothing(
    tmp_path: Path, text: str, code: int | None
) -> None:
    assert own_code(tmp_path) is None
    (tmp_path / CODE).write_text(text, encoding="utf-8")
    assert own_code(tmp_path) == code


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (3, 3), (98, 98), (99, 1), (100, 1)])
def test_a_code_that_tells_the_scheduler_something_is_kept_from_it(
    tmp_path: Path, code: int, ends: int
) -> None:
    (tmp_path / "job.env").touch()
    job = Job(name="weft-1", command=f"exit {code}", folder=tmp_path)
    text = script(job, reserved=(99, 100))
    done = subprocess.run(["/bin/sh"], input=text.encode(), check=False)
    assert done.returncode == ends
    assert own_code(tmp_path) == code


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1))
def test_a_folder_of_any_name_is_one_word_and_comes_back(name: str) -> None:
    folder = Path("/runs") / name
    word = word_of(folder)
    assert not set(word) & set(" \"'\n\t\\$")
    assert folder_of(word) == str(folder)
    assert folder_of(f"of mine: {word}") == ""


def test_a_job_whose_files_are_carried_needs_no_folder(tmp_path: Path) -> None:
    home, there = tmp_path / "it's home", tmp_path / "there"
    for folder in (home, there):
        folder.mkdir()
    (there / "job.env").write_text("export MINE=7\n")
    text = script(Job(name="a", command='exit "$MINE"', folder=home), carried=True)

    def run() -> int:
        return subprocess.run(["/bin/sh", "-c", text], cwd=there, check=False).returncode

    assert run() == 7
    assert own_code(home) == 7
    (home / CODE).unlink()
    home.rmdir()
    assert run() == 7
    assert {file.name for file in there.iterdir()} == {"job.env"}
