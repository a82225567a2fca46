"""What the composed texts do when a shell runs them, through stand-ins for the programs."""

from __future__ import annotations

import shlex
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from weft.interfaces.launcher import Launcher
from weft_launchers.launchers import AprunLauncher, FluxLauncher, IbrunLauncher, JsrunLauncher
from weft_launchers.mpi import MpiLauncher
from weft_launchers.parallel import GnuParallelLauncher, armoured
from weft_launchers.settings import Aprun, Flux, GnuParallel, Ibrun, Jsrun, Mpiexec, Mpirun

MADE: dict[str, Callable[..., Launcher]] = {
    "aprun": lambda **options: AprunLauncher(Aprun(**options)),
    "flux": lambda **options: FluxLauncher(Flux(**options)),
    "gnu-parallel": lambda **options: GnuParallelLauncher(GnuParallel(**options)),
    "ibrun": lambda **options: IbrunLauncher(Ibrun(**options)),
    "jsrun": lambda **options: JsrunLauncher(Jsrun(**options)),
    "mpiexec": lambda **options: MpiLauncher(Mpiexec(**options)),
    "mpirun": lambda **options: MpiLauncher(Mpirun(**options)),
}

# Every text that can be an argument of a program.
words = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    min_size=1,
    max_size=4,
)
quick = given_settings(
    max_examples=8,
    deadline=None,
    # The folders and variables that a test has are the same for each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
each = pytest.mark.parametrize("name", sorted(MADE))
shells = pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])


def run(text: str, shell: str = "/bin/sh") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([shell, "-c", text], capture_output=True, check=False, timeout=60)


@each
@shells
@quick
@given(arguments=words)
def test_quoting_survives(name: str, shell: str, arguments: list[str]) -> None:
    printed = "".join(f"<{word}>" for word in arguments).encode()
    text = MADE[name]().compose(f"printf '<%s>' {shlex.join(arguments)}", nodes=1)
    ran = run(text, shell)
    assert (ran.returncode, ran.stdout) == (0, printed), ran.stderr


@each
@pytest.mark.parametrize(
    "command",
    [
        ":",
        "-x() { :; }; echo a",
        "cat <<END\na 'b' \"c\" {} {#} {= 1 =}\nEND",
        "echo a # and a comment",
        "false || echo '%d%s\\101' | tr a b",
        "echo a &\nwait",
        "echo --version",
    ],
)
def test_any_shell_text_is_a_command(name: str, command: str) -> None:
    alone = run(command)
    ran = run(MADE[name]().compose(command, nodes=1))
    assert (ran.returncode, ran.stdout) == (alone.returncode, alone.stdout), ran.stderr


@each
@pytest.mark.parametrize(("nodes", "per_node", "ranks"), [(1, 1, 1), (3, 2, 1), (2, 1, 2)])
def test_the_copies_are_on_their_machines(name: str, nodes: int, per_node: int, ranks: int) -> None:
    launcher = MADE[name](ranks_per_node=ranks)
    ran = run(launcher.compose('echo "$STANDIN_NODE"', nodes=nodes, per_node=per_node))
    assert ran.returncode == 0, ran.stderr
    assert Counter(ran.stdout.decode().split()) == {
        f"node{number}": per_node * ranks for number in range(1, nodes + 1)
    }


@each
def test_one_copy_that_fails_fails_the_whole_and_the_rest_is_waited_for(
    name: str, tmp_path: Path
) -> None:
    first = shlex.quote(str(tmp_path / "first"))
    command = f"if mkdir {first} 2>/dev/null; then exit 7; fi; echo done"
    ran = run(MADE[name]().compose(command, nodes=2, per_node=2))
    assert ran.returncode != 0
    assert ran.stdout == b"done\n" * 3


@each
def test_what_stands_around_the_text_goes_on(name: str) -> None:
    text = MADE[name]().compose("exit 3", nodes=1)
    ran = run(f"{text}\necho code $? ${{weft_command-unset}}")
    assert ran.stdout == b"code 3 unset\n"


@each
def test_extra_words_and_another_program_are_used(name: str, tmp_path: Path) -> None:
    program = tmp_path / "my starter"
    program.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo HYDRA; exit; fi\nprintf "<%s>" "$@"\n'
    )
    program.chmod(0o755)
    launcher = MADE[name](program=str(program), overrides="--extra 'two words' \"$EXTRA\"")
    text = launcher.compose("true", nodes=1)
    ran = run(f"EXTRA='and  more'\n{text}")
    assert ran.returncode == 0, ran.stderr
    assert b"<--extra><two words><and  more>" in ran.stdout


@each
def test_debug_writes_what_is_started_without_the_command(name: str) -> None:
    ran = run(MADE[name](debug=True).compose("echo secret", nodes=2))
    assert ran.returncode == 0, ran.stderr
    assert b"weft: " in ran.stderr
    assert b"secret" not in ran.stderr
    assert run(MADE[name]().compose("echo quiet", nodes=2)).stderr == b""


@each
@pytest.mark.parametrize(
    ("command", "nodes", "per_node", "said"),
    [
        ("", 1, 1, "no command"),
        ("  \n", 1, 1, "no command"),
        ("a\0b", 1, 1, "NUL"),
        ("x" * 120_001, 1, 1, "put it into a script"),
        ("true", 0, 1, "at least 1"),
        ("true", 1, 0, "at least 1"),
    ],
)
def test_what_cannot_be_started_is_refused(
    name: str, command: str, nodes: int, per_node: int, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        MADE[name]().compose(command, nodes=nodes, per_node=per_node)


# ------------------------------------------------------------------------------- the options


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("aprun", {}, "aprun -n 6 -N 2 -cc none /bin/sh"),
        ("aprun", {"cpu_bind": "depth", "overrides": "-d 8"}, "-n 6 -N 2 -cc depth -d 8 /bin/sh"),
        ("aprun", {"cpu_bind": None}, "aprun -n 6 -N 2 /bin/sh"),
        ("flux", {}, "run --nodes=3 --tasks-per-node=2 --exclusive -o cpu-affinity=off /bin/sh"),
        ("flux", {"exclusive": False, "cpu_bind": None}, "--tasks-per-node=2 /bin/sh"),
        ("ibrun", {"offset": 4}, "env IBRUN_TASKS_PER_NODE=2 ibrun -n 6 -o 4 /bin/sh"),
        ("jsrun", {}, "jsrun -n 3 -r 1 -a 2 -c ALL_CPUS -g ALL_GPUS -b none /bin/sh"),
        ("jsrun", {"cpus": "42", "gpus": "0", "cpu_bind": "rs"}, "-c 42 -g 0 -b rs /bin/sh"),
        (
            "mpiexec",
            {"implementation": "mpich", "cpu_bind": "core", "node_file": "$PBS_NODEFILE"},
            'mpiexec -n 6 -ppn 2 -bind-to core -f "$PBS_NODEFILE" /bin/sh',
        ),
        (
            "mpirun",
            {"implementation": "openmpi", "allow_run_as_root": True, "oversubscribe": True},
            "mpirun -n 6 --map-by ppr:2:node:OVERSUBSCRIBE --bind-to none --allow-run-as-root ",
        ),
        (
            "mpiexec",
            {"implementation": "pals", "node_file": "a `b` $(c)"},
            'mpiexec -n 6 --ppn 2 --cpu-bind none --hostfile "a \\`b\\` \\$(c)" /bin/sh',
        ),
    ],
)
def test_options_become_words_of_the_program(name: str, options: dict[str, Any], said: str) -> None:
    assert said in MADE[name](**options).compose("true", nodes=3, per_node=2)


@pytest.mark.parametrize(
    ("kind", "sign"),
    [("mpich", "'-ppn'"), ("intel", "'-ppn'"), ("openmpi", "'ppr:1:"), ("openmpi5", "'ppr:1:")],
)
@pytest.mark.parametrize("name", ["mpiexec", "mpirun"])
def test_the_program_is_asked_which_mpi_it_is(
    name: str, kind: str, sign: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STANDIN_MPI", kind)
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "log"))
    ran = run(MADE[name]().compose("true", nodes=2))
    assert ran.returncode == 0, ran.stderr
    assert sign in (tmp_path / "log").read_text()


def test_an_unknown_mpi_ends_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_MPI", "other")
    ran = run(MADE["mpiexec"]().compose("echo started", nodes=2))
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"implementation='mpich'" in ran.stderr
    assert ran.stderr.endswith(b"mpiexec 1.0\n")


def test_a_program_that_is_not_there_ends_with_what_to_do() -> None:
    ran = run(MADE["mpiexec"](program="no-such-program").compose("echo started", nodes=2))
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"not found" in ran.stderr


def test_what_only_open_mpi_can_do_is_not_forgotten_by_another() -> None:
    ran = run(MADE["mpiexec"](oversubscribe=True).compose("echo started", nodes=2))
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"oversubscribe is an option of Open MPI alone" in ran.stderr


@pytest.mark.parametrize("name", ["gnu-parallel", "mpiexec"])
def test_variables_of_weft_and_those_named_reach_the_other_machines(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_MPI", "openmpi")
    for variable, value in (("WEFT_A", "one  one\nWEFT_X=2"), ("MINE", "it's"), ("OTHER", "no")):
        monkeypatch.setenv(variable, value)
    launcher = MADE[name](environment=["MINE", "ABSENT"])
    ran = run(launcher.compose('echo "$WEFT_A/$MINE/${OTHER-unset}/${ABSENT-unset}"', nodes=2))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == b"one  one\nWEFT_X=2/it's/unset/unset\n" * 2


# ------------------------------------------------------------------------------ GNU parallel


@quick
@given(command=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_armour_has_nothing_in_it_that_a_shell_or_parallel_would_touch(command: str) -> None:
    text = armoured(command)
    outside = text.removeprefix('/bin/sh -c \'eval "$(printf %b "').removesuffix('")"\'')
    assert not set(outside) & set("'\"`$!%{}*?[]~#&|;<>()\n\t")


def parallel_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    log = tmp_path / "log"
    monkeypatch.setenv("STANDIN_LOG", str(log))
    return log


@pytest.mark.parametrize(
    ("variable", "content"),
    [
        ("PBS_NODEFILE", "n1\nn1\nn2\n\nn2\n"),
        ("COBALT_NODEFILE", "n1\nn2\n"),
        ("LSB_DJOB_HOSTFILE", "n1\nn1\nn2\n"),
        ("PE_HOSTFILE", "n1 2 all.q@n1 UNDEFINED\nn2 2 all.q@n2 UNDEFINED\n"),
    ],
)
def test_the_scheduler_names_the_machines(
    variable: str, content: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PBS_NODEFILE")
    (tmp_path / "names").write_text(content)
    monkeypatch.setenv(variable, str(tmp_path / "names"))
    log = parallel_log(monkeypatch, tmp_path)
    ran = run(MADE["gnu-parallel"]().compose("true", nodes=2))
    assert ran.returncode == 0, ran.stderr
    assert "'n1,n2'" in log.read_text()


def test_slurm_names_the_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PBS_NODEFILE")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[1-2]")
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames n[1-2]" ] && printf "n1\\nn2\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    log = parallel_log(monkeypatch, tmp_path)
    ran = run(MADE["gnu-parallel"]().compose("true", nodes=2))
    assert ran.returncode == 0, ran.stderr
    assert "'n1,n2'" in log.read_text()


def test_a_file_of_ones_own_names_the_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "my names").write_text("a\nb\nc\n")
    monkeypatch.setenv("MY_FOLDER", str(tmp_path))
    log = parallel_log(monkeypatch, tmp_path)
    launcher = MADE["gnu-parallel"](node_file="$MY_FOLDER/my names")
    assert run(launcher.compose("true", nodes=2)).returncode == 0
    assert "'a,b'" in log.read_text()


def test_one_machine_that_nobody_names_is_this_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PBS_NODEFILE")
    log = parallel_log(monkeypatch, tmp_path)
    assert run(MADE["gnu-parallel"]().compose("true", nodes=1)).returncode == 0
    assert "'--sshlogin', ':'" in log.read_text()


@pytest.mark.parametrize("named", ["", "n1\nn1\n"])
def test_too_few_machines_end_with_what_to_do(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PBS_NODEFILE")
    if named:
        (tmp_path / "names").write_text(named)
        monkeypatch.setenv("PBS_NODEFILE", str(tmp_path / "names"))
    ran = run(MADE["gnu-parallel"]().compose("echo started", nodes=2))
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"2 machines are wanted, and" in ran.stderr


@pytest.mark.parametrize(
    ("command", "fits"),
    [("x" * 44_900, True), ("'" * 8_900, True), ("x" * 45_001, False), ("'" * 9_001, False)],
)
def test_a_command_that_would_not_pass_through_ssh_is_refused(command: str, fits: bool) -> None:
    launcher = MADE["gnu-parallel"]()
    if fits:
        assert launcher.compose(command, nodes=1)
    else:
        with pytest.raises(ValueError, match="pass through ssh"):
            launcher.compose(command, nodes=1)
