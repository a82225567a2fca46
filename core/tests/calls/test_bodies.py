"""What bodies do around a user's function, in this process and among its threads."""

import os
import pickle
import select
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from weft import bodies
from weft.bodies import AsyncBody, BashBody, PythonBody
from weft.calls import Packer
from weft.errors import BashExit, BashReturnType, MissingOutputs, TaskTimeout
from weft.values.files import File


def test_a_string_is_run_by_bash_and_a_list_without_a_shell(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert BashBody(lambda: "[[ a == a ]] && echo '$HOME'")(stdout=out) == 0
    assert BashBody(lambda: ["echo", "$HOME; true", out])(stdout=str(out)) == 0
    assert out.read_text() == f"$HOME\n$HOME; true {out}\n"


def test_a_failing_command_tells_code_command_paths_and_the_end_of_stderr(tmp_path: Path) -> None:
    err = tmp_path / "deep" / "er" / "err"
    body = BashBody(lambda: "seq 100000 >&2; echo last words >&2; exit 9", "count")
    with pytest.raises(BashExit) as caught:
        body(stderr=err)
    error = caught.value
    assert (error.app, error.exit_code, error.stderr, error.stdout) == ("count", 9, str(err), None)
    assert "seq 100000" in error.command
    assert error.tail.endswith("last words\n")
    assert len(error.tail) <= bodies.TAIL


def test_stderr_that_goes_nowhere_is_caught_to_its_tail_and_passed_on(capsys: Any) -> None:
    with pytest.raises(BashExit) as caught:
        BashBody(lambda: "seq 100000 >&2; echo last words >&2; exit 9")()
    assert caught.value.tail.endswith("last words\n")
    assert len(caught.value.tail) <= bodies.TAIL
    assert capsys.readouterr().err.startswith("1\n2\n")


def test_the_tail_is_of_this_run_alone(tmp_path: Path) -> None:
    err = tmp_path / "err"
    err.write_text("of an earlier run\n")
    with pytest.raises(BashExit) as caught:
        BashBody(lambda: "echo now >&2; exit 1")(stderr=err)
    assert caught.value.tail == "now\n"
    assert err.read_text() == "of an earlier run\nnow\n"


def test_a_mode_may_go_with_a_path(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old\n")
    BashBody(lambda: "echo new")(stdout=(out, "w"))
    assert out.read_text() == "new\n"
    with pytest.raises(ValueError, match="'r'"):
        BashBody(lambda: "echo new")(stdout=(out, "r"))


@pytest.mark.parametrize("wrong", [None, 3, "", "   ", [], ["echo", 3], {"a": 1}])
def test_what_is_no_command_is_refused(wrong: Any) -> None:
    with pytest.raises(BashReturnType):
        BashBody(lambda: wrong)()


def test_a_program_that_is_not_there_is_a_bash_exit() -> None:
    with pytest.raises(BashExit, match="No such file") as caught:
        BashBody(lambda: ["/no/such/program", "x"])()
    assert caught.value.exit_code == 127


def test_a_late_command_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    body = BashBody(lambda: f"sleep 300 & echo $! $$ > {pids}; echo so far >&2; wait")
    for walltime in (0.3, 3.0, 30.0):  # where a shell takes long to start, it has said nothing yet
        with pytest.raises(TaskTimeout) as late:
            body(walltime=walltime)
        if "so far" in str(late.value):
            break
    assert "so far" in str(late.value)
    for pid in pids.read_text().split():
        wait_until_gone(int(pid))


def wait_until_gone(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(handle) as process:
        ended, _, _ = select.select([process], [], [], 60)
    assert ended


def test_a_command_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "GRACE", 0.1)
    with pytest.raises(TaskTimeout):
        BashBody(lambda: "trap '' TERM; while true; do sleep 0.05; done")(walltime=0.1)


def test_a_running_command_is_stopped_by_the_number_of_its_task(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    caught: list[BaseException] = []

    def run() -> None:
        bodies.current.task = 77
        try:
            BashBody(lambda: f"echo here > {fifo}; sleep 300")()
        except BashExit as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert fifo.read_text() == "here\n"
    assert not bodies.stop(78)
    assert bodies.stop(77)
    thread.join(60)
    assert isinstance(caught[0], BashExit)
    assert caught[0].exit_code == -15
    assert not bodies.stop(77)


def test_special_keywords_reach_functions_that_ask_for_them() -> None:
    def plain(x: int) -> int:
        return x

    def asking(x: int, *, outputs: Any = (), walltime: Any = None) -> Any:
        return x, outputs, walltime

    def taking_all(**kwargs: Any) -> Any:
        return kwargs

    special: dict[str, Any] = {"inputs": [1], "walltime": 3, "priority": 1, "resources": None}
    assert PythonBody(plain)(1, **special) == 1
    assert PythonBody(asking)(1, **special) == (1, (), 3)
    assert PythonBody(taking_all)(**special) == special


def test_defaults_of_the_signature_count_for_every_call(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def speak(stdout: Any = out) -> str:
        return "echo said"

    BashBody(speak)()
    assert out.read_text() == "said\n"


def test_outputs_that_were_not_made_are_named(tmp_path: Path) -> None:
    made, missing = tmp_path / "made", tmp_path / "missing"
    body = BashBody(lambda: f"touch {made}", "maker")
    assert body(outputs=[File(made)]) == 0
    with pytest.raises(MissingOutputs) as caught:
        body(outputs=[made, File(missing), File("http://elsewhere/file")])
    assert caught.value.missing == (str(missing),)
    assert caught.value.folder == str(Path.cwd())


def test_threads_print_each_into_its_own_file(tmp_path: Path, capsys: Any) -> None:
    meet = threading.Barrier(3)

    def speak(word: str) -> None:
        meet.wait(60)
        print(word)  # noqa: T201 - to print is the point
        meet.wait(60)
        print(word, file=sys.stderr)  # noqa: T201 - as above
        meet.wait(60)

    def run(word: str, **where: Any) -> None:
        PythonBody(speak)(word, **where)

    usual = sys.stdout
    threads = [
        threading.Thread(target=run, args=("one",), kwargs={"stdout": tmp_path / "one"}),
        threading.Thread(
            target=run, args=("two",), kwargs={"stdout": tmp_path / "two", "stderr": tmp_path / "e"}
        ),
        threading.Thread(target=run, args=("three",)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (tmp_path / "one").read_text() == "one\n"
    assert (tmp_path / "two").read_text() == "two\n"
    assert (tmp_path / "e").read_text() == "two\n"
    heard = capsys.readouterr()
    assert heard.out == "three\n"
    assert sorted(heard.err.split()) == ["one", "three"]
    assert sys.stdout is usual


def test_coroutines_are_run_to_their_end() -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    assert AsyncBody(add)(1, 2, priority=3) == 3


def test_bodies_are_packed_once_for_all_calls() -> None:
    packer = Packer()
    body = BashBody(lambda x: f"echo {x}", "app")
    one, two = packer.pack(body, (1,), {}), packer.pack(body, (2,), {})
    assert one.function is two.function
    assert one.function is not None
    again = pickle.loads(one.function.blob)
    assert again("x", stdout="/dev/null") == 0
    assert again.app == "app"
