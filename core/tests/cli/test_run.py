"""``weft run`` away from a terminal: what the script sees, what is said, and the exit code."""

import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from weft.cli.run import Wishes, compiled, configuration, executor_from, own_frames_hidden
from weft.errors import PluginNotFound, SettingsError

WEFT = [sys.executable, "-c", "from weft.cli import main; main()"]

APPS = """
import weft
@weft.python_app
def double(x):
    return 2 * x
@weft.python_app
def fail(x):
    raise ValueError(f"no good: {x}")
@weft.python_app(cache=True)
def remembered(x):
    return x + 1
"""

Run = subprocess.CompletedProcess[str]
Script = Callable[..., Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(body: str, name: str = "script.py", head: str = APPS) -> Path:
        file = tmp_path / name
        file.write_text(head + body)
        return file

    return write


@pytest.fixture
def weft_run(tmp_path: Path) -> Callable[..., Run]:
    def call(*words: str | Path, **environment: str) -> Run:
        return subprocess.run(
            [*WEFT, "run", *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call


Weft = Callable[..., Run]


# ----------------------------------------------------------------------- what the script sees


def test_the_script_is_main_with_its_own_arguments_and_folder(
    weft_run: Weft, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "neighbour.py").write_text("here = 'found'\n")
    file = script(
        "import os, sys, neighbour\n"
        "print(__name__, os.path.basename(__file__), sys.argv[1:], neighbour.here)\n"
        "print(sys.modules['__main__'].neighbour is neighbour, os.getcwd())\n",
        name="scripts/script.py",
        head="",
    )
    ended = weft_run(file.relative_to(tmp_path), "--config", "mine", "-x", "--", "last")
    assert ended.stdout.splitlines() == [
        "__main__ script.py ['--config', 'mine', '-x', '--', 'last'] found",
        f"True {tmp_path}",
    ]
    assert ended.returncode == 0


def test_load_without_a_configuration_finds_the_one_of_the_command_line(
    weft_run: Weft, script: Script
) -> None:
    file = script("with weft.load() as s:\n    print([e.called for e in s.config.executors])\n")
    ended = weft_run("--executor", "threads:label=mine,max_threads=1", file)
    assert ended.stdout == "['mine']\n"


def test_apps_called_without_load_run_and_are_waited_for(weft_run: Weft, script: Script) -> None:
    file = script("double(4)\nprint(double(double(5)).result())\n")
    ended = weft_run(file)
    assert ended.stdout == "20\n"
    assert "3 tasks" in ended.stderr
    assert "3 done" in ended.stderr
    assert ended.returncode == 0


def test_executors_of_the_command_line_take_the_place_of_the_scripts_own_and_that_is_said(
    weft_run: Weft, script: Script
) -> None:
    own = "weft.Config(executors=[weft.executor('threads', label='own')])"
    file = script(f"with weft.load({own}) as s:\n    print(s.config.executors[0].called)\n")
    ended = weft_run("--executor", "threads:label=given", file)
    assert ended.stdout == "given\n"
    assert ended.stderr.count("in place of the script's own") == 1


def test_the_scripts_own_configuration_stands_when_none_is_given(
    weft_run: Weft, script: Script
) -> None:
    own = "weft.Config(executors=[weft.executor('threads', label='own')])"
    file = script(f"with weft.load({own}) as s:\n    print(s.config.executors[0].called)\n")
    assert weft_run(file).stdout == "own\n"


def test_a_configuration_file_is_used_and_can_be_changed_in_part(
    weft_run: Weft, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "conf.py").write_text("import weft\nconfig = weft.Config(retries=1, name='n')\n")
    file = script(
        "with weft.load() as s:\n    print(s.config.name, s.config.retries, s.config.run_dir)\n"
    )
    ended = weft_run("--config", "conf.py", "--retries", "3", "--run-dir", "elsewhere", file)
    assert ended.stdout == "n 3.0 elsewhere\n"
    assert (tmp_path / "elsewhere" / "0000").is_dir()


def test_resume_answers_from_the_results_of_an_earlier_run(weft_run: Weft, script: Script) -> None:
    file = script("with weft.load():\n    print([remembered(n).result() for n in range(4)])\n")
    first, second = weft_run("--resume", file), weft_run("--resume", file)
    assert first.stdout == second.stdout == "[1, 2, 3, 4]\n"
    assert "answered from memory" not in first.stderr
    assert "answered from memory: 4" in second.stderr


# ------------------------------------------------------------------------------ how it ends


@pytest.mark.parametrize(
    ("last_line", "code"),
    [
        ("", 0),
        ("raise SystemExit", 0),
        ("raise SystemExit(7)", 7),
        ("raise SystemExit('told why')", 1),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", 130),
    ],
)
def test_the_exit_code_is_that_of_the_script(
    weft_run: Weft, script: Script, last_line: str, code: int
) -> None:
    ended = weft_run(script(f"{last_line}\n", head=""))
    assert ended.returncode == code
    assert ("told why" in ended.stderr) == ("told why" in last_line)


def test_a_failed_task_decides_the_exit_code_only_when_that_is_asked_for(
    weft_run: Weft, script: Script
) -> None:
    file = script("with weft.load():\n    fail(1)\n")
    assert weft_run(file).returncode == 0
    assert weft_run("--fail-on-task-failure", file).returncode == 1


def test_the_summary_tells_failures_by_cause_and_where_to_look(
    weft_run: Weft, script: Script, tmp_path: Path
) -> None:
    file = script(
        "with weft.load():\n    failed = [fail(n) for n in range(3)]\n"
        "    [double(one).exception() for one in failed]\n    double(1)\n"
    )
    said = weft_run(file).stderr
    assert re.search(r"weft: 7 tasks in [\d.]+ s: 1 done, 6 failed", said)
    cause = (
        "3 x fail: ValueError: no good: 0 (task 0 was the first; 3 tasks failed because of them)"
    )
    assert cause in " ".join(said.split())
    # A line of the terminal may end within the path.
    assert str(tmp_path / "weft-runs" / "0000") in "".join(said.split())


SUMMARY = "with weft.load(weft.Config(summary={summary})):\n    fail(1).exception()\n"


@pytest.mark.parametrize(
    ("flag", "summary", "told"),
    [
        ("--summary", False, True),
        ("--no-summary", True, False),
        ("", True, True),
        ("", False, False),
    ],
)
def test_where_the_time_went_is_said_once_to_those_who_want_it(
    weft_run: Weft, script: Script, flag: str, summary: bool, told: bool
) -> None:
    said = weft_run(*filter(None, [flag]), script(SUMMARY.format(summary=summary))).stderr
    assert said.count("weft: 1 task in") == told
    assert said.count("WHERE THE TIME OF THE TASKS WENT") == told


def test_a_script_that_calls_no_app_is_told_so(weft_run: Weft, script: Script) -> None:
    ended = weft_run(script("print('done')\n", head=""))
    assert ended.stdout == "done\n"
    assert "called no app" in ended.stderr
    assert ended.returncode == 0


def test_two_sessions_in_a_row_have_a_summary_each(weft_run: Weft, script: Script) -> None:
    file = script("for n in range(2):\n    with weft.load():\n        double(n)\n")
    said = weft_run(file).stderr
    assert said.count("weft: 1 task in") == 2
    whole = said.replace("\n", "")  # a long path may go on in the next line
    assert "0000" in whole
    assert "0001" in whole


def test_progress_none_says_nothing(weft_run: Weft, script: Script) -> None:
    ended = weft_run("--progress", "none", script("with weft.load():\n    fail(1)\n"))
    assert ended.stderr == ""


@pytest.mark.parametrize("progress", ["auto", "rich", "plain"])
def test_without_a_terminal_there_are_no_control_sequences(
    weft_run: Weft, script: Script, progress: str
) -> None:
    file = script("with weft.load():\n    print(double(1).result(), fail(2).exception())\n")
    ended = weft_run("--progress", progress, file, TERM="xterm-256color")
    assert "\x1b" not in ended.stdout + ended.stderr


# ------------------------------------------------------------------------------ tracebacks


def test_a_traceback_shows_the_users_lines_and_none_of_wefts(
    weft_run: Weft, script: Script
) -> None:
    file = script("def main():\n    with weft.load():\n        print(fail(3).result())\nmain()\n")
    said = weft_run(file).stderr
    frames = re.findall(r'File "([^"]+)"', said)
    assert set(frames) == {str(file)}
    assert "ValueError: no good: 3" in said
    assert "in fail" in said


def test_debug_shows_all_of_it(weft_run: Weft, script: Script) -> None:
    said = weft_run("--debug", script("double(1)\n1 / 0\n")).stderr
    assert f"weft{os.sep}cli{os.sep}run.py" in said


def test_the_scripts_own_way_of_showing_errors_is_kept(weft_run: Weft, script: Script) -> None:
    body = "import sys\nsys.excepthook = lambda *a: print('mine', a[0].__name__)\n1 / 0\n"
    ended = weft_run(script(body, head=""))
    assert ended.stdout == "mine ZeroDivisionError\n"
    assert ended.returncode == 1


def test_frames_are_hidden_in_every_error_of_a_chain() -> None:
    import weft.cli.run as own

    inside = compile("def step(call): call()", own.__file__, "exec")
    names: dict[str, Callable[[Callable[[], object]], None]] = {}
    exec(inside, names)

    def deep() -> None:
        try:
            names["step"](lambda: 1 / 0)
        except ZeroDivisionError as error:
            raise ValueError("worse") from error

    try:
        names["step"](deep)
    except ValueError as error:
        told = traceback.TracebackException.from_exception(error)
        own_frames_hidden(told, error)
    assert told.__cause__ is not None
    for shown in (told, told.__cause__):
        assert own.__file__ not in {frame.filename for frame in shown.stack}
        assert len(shown.stack) >= 2


def test_a_fault_of_wefts_own_keeps_its_frames() -> None:
    import weft.cli.run as own

    names: dict[str, Callable[[], None]] = {}
    exec(compile("def slip(): {}['nothing']", own.__file__, "exec"), names)
    try:
        names["slip"]()
    except KeyError as error:
        told = traceback.TracebackException.from_exception(error)
        own_frames_hidden(told, error)
    assert own.__file__ in {frame.filename for frame in told.stack}


# ------------------------------------------------------------------------------ bad input


def test_a_script_that_is_not_there_brings_the_nearest_name(weft_run: Weft, script: Script) -> None:
    script("", name="survey.py")
    ended = weft_run("surwey.py")
    assert ended.returncode == 2
    assert "There is no script 'surwey.py'. Did you mean 'survey.py'?" in ended.stderr


def test_a_folder_is_no_script(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="is a folder"):
        compiled(tmp_path)


def test_a_syntax_error_shows_file_and_line_and_nothing_of_weft(
    weft_run: Weft, script: Script
) -> None:
    file = script("ok = 1\nthis is no python\n", head="")
    ended = weft_run(file)
    assert ended.returncode == 1
    assert f'File "{file}", line 2' in ended.stderr
    assert "SyntaxError" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(file.parent.glob("weft-runs*"))


@pytest.mark.parametrize(
    "body", ["", "config = 3\n", "1 / 0\n", "import weft\nc = weft.Config()\n"]
)
def test_a_configuration_file_that_will_not_do_is_told_before_the_script_runs(
    weft_run: Weft, script: Script, tmp_path: Path, body: str
) -> None:
    (tmp_path / "conf.py").write_text(body)
    ended = weft_run("--config", "conf.py", script("print('ran')\n"))
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "conf.py" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unknown_executor_brings_the_nearest_name(weft_run: Weft, script: Script) -> None:
    ended = weft_run("--executor", "proceses", script("print('ran')\n"))
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "Did you mean 'processes'" in ended.stderr
    with pytest.raises(PluginNotFound):
        executor_from("proceses")


def test_a_wrong_option_of_an_executor_is_told() -> None:
    with pytest.raises(SettingsError, match="max_threads"):
        executor_from("threads:max_thread=2")
    with pytest.raises(click.BadParameter, match="OPTION=VALUE"):
        executor_from("threads:max_threads")


def test_options_of_an_executor_are_numbers_words_or_text() -> None:
    settings = executor_from("threads:max-threads=3,label=1st")
    assert (settings.called, getattr(settings, "max_threads", None)) == ("1st", 3)


def test_options_change_the_scripts_own_configuration(weft_run: Weft, script: Script) -> None:
    file = script(
        "with weft.load(weft.Config()) as session:\n"
        "    print(session.config.retries, session.config.checkpoint, session.config.run_dir)\n"
        "    double(1)\n"
    )
    said = weft_run("--resume", "--retries", "2", "--run-dir", "elsewhere", file).stdout
    assert said.strip() == "2.0 True elsewhere"


def test_what_cached_apps_return_is_kept_without_being_asked_for(
    weft_run: Weft, script: Script
) -> None:
    file = script("with weft.load() as session:\n    print(session.config.checkpoint)\n")
    assert weft_run(file).stdout.strip() == "write"


def test_a_double_dash_before_the_scripts_arguments_is_not_for_the_script(
    weft_run: Weft, script: Script
) -> None:
    file = script("import sys\nprint(sys.argv[1:])\n")
    assert weft_run(file, "--", "--name", "x").stdout.strip() == "['--name', 'x']"


def test_wishes_change_nothing_else() -> None:
    assert configuration(Wishes()) == configuration(Wishes(executors=()))
    changed = configuration(Wishes(retries=2, resume=True, run_dir=Path("here")))
    assert (changed.retries, changed.checkpoint, changed.run_dir) == (2, True, Path("here"))
