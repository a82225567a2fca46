"""Tasks with working folders of their own, from the session to the worker and back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import weft
from weft import File, Site, bash_app, python_app
from weft.builtin.processes.settings import Processes
from weft.builtin.settings import Threads
from weft.configuration.config import Config
from weft.errors import InvalidConfig, MissingOutputs, StagingError

PATIENCE = 90.0


@python_app
def count(source: File, outputs: list[File]) -> str:
    Path("scratch").write_text("x")
    Path("counted.txt").write_text(str(len(Path("words.txt").read_text().split())))
    return str(Path.cwd())


@bash_app
def upper(source: File, outputs: list[File]) -> str:
    return f"tr a-z A-Z < {source.filename} > upper.txt; touch scratch"


@python_app
def die_once(marker: str) -> str:
    Path("half").write_text("half")
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return str(Path.cwd())


@bash_app
def fail() -> str:
    return "touch left.txt; exit 3"


@bash_app
def lead_out(target: str, outputs: list[File]) -> str:
    return f"ln -s {target} {outputs[0]}"


@bash_app
def miss(outputs: list[File]) -> str:
    return "touch other.txt"


@python_app
def folder(outputs: list[File]) -> None:
    Path(outputs[0]).mkdir()
    (Path(outputs[0]) / "inner").write_text("inner")


@pytest.mark.timeout(300)
def test_tasks_in_working_folders(tmp_path: Path) -> None:
    """One session for all: it is the workers that cost time."""
    (tmp_path / "words.txt").write_text("a b c")
    runs, results = tmp_path / "runs", tmp_path / "results"
    config = Config(executors=[Processes(max_workers=2, sandbox="keep")], run_dir=runs, losses=2)
    with weft.load(config) as session:
        source = File(tmp_path / "words.txt")
        counted = count(source, outputs=[File(results / "counted.txt")])
        uppered = upper(source, outputs=[File(results / "upper.txt")])
        made = folder(outputs=[File(results / "folder")])
        died = die_once(str(tmp_path / "died"))
        failed = fail()
        leads = lead_out(str(tmp_path / "words.txt"), outputs=[File(results / "leads")])
        missed = miss(outputs=[File(results / "missed.txt")])

        base = runs / ".sandboxes"
        assert Path(counted.result(PATIENCE)).parent == base
        assert (results / "counted.txt").read_text() == "3"
        assert uppered.result(PATIENCE) == 0
        assert (results / "upper.txt").read_text() == "A B C"
        made.result(PATIENCE)
        assert (results / "folder" / "inner").read_text() == "inner"

        second = Path(died.result(PATIENCE))
        assert second.parent == base

        error = failed.exception(PATIENCE)
        assert isinstance(error, weft.errors.BashExit)
        kept = [note for note in error.__notes__ if "is kept" in note]
        assert (Path(kept[0].rpartition(": ")[2]) / "left.txt").exists()

        assert isinstance(leads.exception(PATIENCE), StagingError)
        assert not os.path.lexists(results / "leads")
        missing = missed.exception(PATIENCE)
        assert isinstance(missing, MissingOutputs)
        assert "other.txt" in missing.there
    assert session.run_folder.parent == runs

    # What is left are the three of failures, and that of the task which was killed at first.
    assert not second.exists()
    folders = [path for path in base.iterdir() if path.is_dir()]
    assert len([path for path in folders if (path / "half").exists()]) <= 1
    assert len([path for path in folders if not (path / "half").exists()]) == 3

    # The next run removes what nobody kept, and nothing else.
    with weft.load(Config(executors=[Processes(max_workers=1, sandbox="on")], run_dir=runs)):
        count(source, outputs=[File(results / "again" / "counted.txt")]).result(PATIENCE)
    folders = [path for path in base.iterdir() if path.is_dir()]
    assert len(folders) == 3
    assert not [path for path in folders if (path / "half").exists()]


def test_on_threads_it_is_refused(tmp_path: Path) -> None:
    config = Config(executors=[Threads(sandbox="on")], run_dir=tmp_path)
    with pytest.raises(InvalidConfig, match="share a process") as caught:
        weft.load(config)
    assert "executors[0].sandbox" in str(caught.value)


@pytest.mark.timeout(200)
def test_at_a_site_of_its_own_they_are_there(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a b c")
    source, results, there = File(tmp_path / "words.txt"), tmp_path / "results", tmp_path / "site"
    executor = Processes(max_workers=1, sandbox="on", site=Site(name="W", folder=str(there)))
    with weft.load(Config(executors=[executor], run_dir=tmp_path / "runs")):
        counted = count(source, outputs=[File(results / "counted.txt")])
        uppered = upper(source, outputs=[File(results / "upper.txt")])
        assert Path(counted.result(PATIENCE)).parent == there / ".sandboxes"
        assert uppered.result(PATIENCE) == 0
    assert (results / "counted.txt").read_text() == "3"
    assert (results / "upper.txt").read_text() == "A B C"
    assert list((there / ".sandboxes").iterdir()) == []
