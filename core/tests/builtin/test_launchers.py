"""What the composed text does when a shell runs it."""

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.builtin.launchers import build_simple, build_single_node, build_wrapped, copies
from weft.builtin.settings import Simple, SingleNode, Wrapped
from weft.interfaces.launcher import Launcher

# Every text that can be an argument of a program.
words = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    min_size=1,
    max_size=4,
)
quick = settings(max_examples=40, deadline=None)

SIMPLE = build_simple(Simple())
SINGLE = build_single_node(SingleNode())
WRAPPED = build_wrapped(Wrapped(prepend="env A='x y'"))


def sh(text: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["/bin/sh", "-c", text], capture_output=True, check=False, timeout=30)


def printing(arguments: list[str]) -> str:
    return f"printf '<%s>' {shlex.join(arguments)}"


def printed(arguments: list[str]) -> bytes:
    return "".join(f"<{word}>" for word in arguments).encode()


@quick
@given(words)
def test_quoting_survives_each_launcher(arguments: list[str]) -> None:
    for launcher in (SIMPLE, SINGLE, WRAPPED):
        ran = sh(launcher.compose(printing(arguments), nodes=1))
        assert (ran.returncode, ran.stdout) == (0, printed(arguments))


@quick
@given(words, st.integers(2, 4))
def test_every_copy_gets_the_same_command(arguments: list[str], count: int) -> None:
    for launcher in (SINGLE, WRAPPED):
        ran = sh(launcher.compose(printing(arguments), nodes=1, per_node=count))
        assert ran.returncode == 0
        assert len(ran.stdout) == count * len(printed(arguments))
        if count * len(printed(arguments)) < 4096 and "\n" not in "".join(arguments):
            assert ran.stdout == printed(arguments) * count


@quick
@given(words)
def test_texts_compose_within_one_another(arguments: list[str]) -> None:
    inner = SINGLE.compose(printing(arguments), nodes=1, per_node=2)
    ran = sh(WRAPPED.compose(f"{inner} && echo after", nodes=1))
    assert ran.stdout == printed(arguments) * 2 + b"after\n"


@pytest.mark.parametrize("launcher", [SIMPLE, SINGLE, WRAPPED])
@pytest.mark.parametrize("code", [0, 1, 3, 127])
def test_the_exit_code_is_that_of_the_command(launcher: Launcher, code: int) -> None:
    assert sh(launcher.compose(f"exit {code}", nodes=1)).returncode == code


@pytest.mark.parametrize("launcher", [SINGLE, WRAPPED])
def test_one_failed_copy_fails_the_whole_and_all_are_waited_for(
    launcher: Launcher, tmp_path: Path
) -> None:
    command = (
        f"cd {shlex.quote(str(tmp_path))}; "
        # The first to make the folder fails at once; the others end later, and well.
        "if mkdir first 2>/dev/null; then exit 7; fi; "
        "while ! [ -d first ]; do :; done; echo done"
    )
    ran = sh(launcher.compose(command, nodes=1, per_node=4))
    assert ran.returncode == 7
    assert ran.stdout == b"done\n" * 3


def test_copies_run_side_by_side(tmp_path: Path) -> None:
    # Each of the two waits for the other at a pipe: one after the other would wait for ever.
    pipe = shlex.quote(str(tmp_path / "pipe"))
    command = f"if mkdir {pipe}.d 2>/dev/null; then cat {pipe}; else echo met > {pipe}; fi"
    ran = sh(f"mkfifo {pipe}; {SINGLE.compose(command, nodes=1, per_node=2)}")
    assert (ran.returncode, ran.stdout) == (0, b"met\n")


@pytest.mark.parametrize(
    "command",
    [
        "cat <<END\na 'b' \"c\"\nEND",
        "echo a # and a comment",
        "-x() { :; }; echo a",
        "echo a &\nwait",
        "f() { echo a; }; f",
        "IFS=:; x=a:b; echo $x",
        "weft_code=9; weft_copies=none; echo a",
    ],
)
def test_any_shell_text_is_a_command(command: str) -> None:
    alone = sh(command)
    ran = sh(SINGLE.compose(command, nodes=1, per_node=2))
    assert ran.stdout == alone.stdout * 2
    assert (ran.returncode == 0) == (alone.returncode == 0)


def test_a_command_that_is_no_shell_text_fails_and_nothing_else_runs() -> None:
    ran = sh(SINGLE.compose("echo 'unfinished", nodes=1, per_node=2) + "\necho code $?")
    assert ran.stdout.strip().startswith(b"code ")
    assert ran.stdout.strip() != b"code 0"


def test_the_wrapper_gets_the_whole_command() -> None:
    ran = sh(WRAPPED.compose('echo "$A"; echo "$A"', nodes=1))
    assert ran.stdout == b"x y\nx y\n"


def test_many_copies_do_not_make_a_long_text() -> None:
    command = "true " + "x" * 50_000
    assert len(copies(command, 1000)) < 51_000
    assert sh(copies("echo", 100)).stdout == b"\n" * 100


def test_simple_runs_the_command_as_it_is() -> None:
    assert SIMPLE.compose("a 'b c'", nodes=1) == "a 'b c'"
    spanning = build_simple(Simple(spans_nodes=True))
    assert spanning.compose("mpiexec a", nodes=4) == "mpiexec a"


@pytest.mark.parametrize(
    ("launcher", "nodes", "per_node", "said"),
    [
        (SIMPLE, 2, 1, "1 of 2 machines unused"),
        (SIMPLE, 1, 2, "single-node"),
        (SINGLE, 2, 1, "on one machine, not on 2"),
        (WRAPPED, 3, 1, "on one machine, not on 3"),
        (SINGLE, 0, 1, "at least 1"),
        (SINGLE, 1, 0, "at least 1"),
    ],
)
def test_what_a_launcher_cannot_do_it_refuses(
    launcher: Launcher, nodes: int, per_node: int, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        launcher.compose("true", nodes=nodes, per_node=per_node)


@pytest.mark.parametrize("command", ["", "  \n", "a\0b"])
def test_what_is_no_command_is_refused(command: str) -> None:
    for launcher in (SIMPLE, SINGLE, WRAPPED):
        with pytest.raises(ValueError, match="command"):
            launcher.compose(command, nodes=1)


@pytest.mark.parametrize("prepend", ["", "  ", "a\0b"])
def test_an_empty_wrapper_is_refused_when_it_is_configured(prepend: str) -> None:
    with pytest.raises(ValueError, match="prepend"):
        Wrapped(prepend=prepend)
