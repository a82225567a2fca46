"""What the composed texts do with real MPICH, Open MPI and GNU parallel over OpenSSH."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.systems.mpi.conftest import BOUND, Machines, Mpi
from tests.systems.needs import needed
from weft.interfaces.launcher import Launcher
from weft_launchers.mpi import MpiLauncher
from weft_launchers.parallel import GnuParallelLauncher
from weft_launchers.settings import GnuParallel, Mpiexec, Mpirun

RANK = "${PMI_RANK-$OMPI_COMM_WORLD_RANK}"
ROOT = os.getuid() == 0

few = settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
words = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    min_size=1,
    max_size=4,
)


def run(text: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/bin/sh", "-c", text],
        capture_output=True,
        check=False,
        timeout=BOUND,
        env=environment,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(params=[Mpiexec, Mpirun])
def made(request: pytest.FixtureRequest, mpi: Mpi) -> Callable[..., Launcher]:
    """Makes a launcher that may do what these tests need of Open MPI."""

    def make(**options: Any) -> Launcher:
        if mpi.name == "openmpi":
            options = {"allow_run_as_root": ROOT, "oversubscribe": True, **options}
        return MpiLauncher(request.param(**options))

    return make


def test_each_copy_is_a_rank_and_its_output_arrives(
    made: Callable[..., Launcher], mpi: Mpi
) -> None:
    ran = run(made().compose(f'echo "rank {RANK}"', nodes=1, per_node=3), mpi.environment)
    assert ran.returncode == 0, ran.stderr
    assert Counter(ran.stdout.decode().splitlines()) == {"rank 0": 1, "rank 1": 1, "rank 2": 1}


def test_debug_marks_lines_by_rank(made: Callable[..., Launcher], mpi: Mpi) -> None:
    ran = run(made(debug=True).compose("echo here", nodes=1, per_node=2), mpi.environment)
    assert ran.returncode == 0, ran.stderr
    assert len({line for line in ran.stdout.splitlines() if b"here" in line}) == 2
    assert ran.stderr.startswith(b"weft: mpi")


@few
@given(arguments=words)
def test_quoting_survives(made: Callable[..., Launcher], mpi: Mpi, arguments: list[str]) -> None:
    printed = "".join(f"<{word}>" for word in arguments).encode()
    text = made().compose(f"printf '<%s>' {shlex.join(arguments)}", nodes=1)
    ran = run(text, mpi.environment)
    assert (ran.returncode, ran.stdout) == (0, printed), ran.stderr


@pytest.mark.parametrize("command", [":", "echo a # comment", "-x() { echo a; }; -x", "echo a;:"])
def test_awkward_commands_run(made: Callable[..., Launcher], mpi: Mpi, command: str) -> None:
    alone = run(command, mpi.environment)
    ran = run(made().compose(command, nodes=1, per_node=2), mpi.environment)
    assert (ran.returncode == 0) == (alone.returncode == 0), ran.stderr
    assert ran.stdout == alone.stdout * 2


def test_one_rank_that_fails_fails_the_whole(made: Callable[..., Launcher], mpi: Mpi) -> None:
    command = f'if [ "{RANK}" = 1 ]; then exit 7; fi'
    ran = run(made().compose(command, nodes=1, per_node=3), mpi.environment)
    assert ran.returncode == 7


def test_sigterm_ends_all_ranks_and_what_they_started(
    made: Callable[..., Launcher], mpi: Mpi, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = f"sleep 600 & echo $$ $! > {shlex.quote(str(pipe))}; wait"
    _end(made().compose(command, nodes=1, per_node=2), mpi.environment, pipe)


def test_machines_named_in_a_file_get_their_copies(
    made: Callable[..., Launcher], mpi: Mpi, machines: Machines, tmp_path: Path
) -> None:
    # What each implementation starts on another machine comes through this program.
    agent = tmp_path / "agent"
    log = tmp_path / "log"
    agent.write_text(
        f'#!/bin/sh\nprintf \'%s\\n\' "$*" >> {shlex.quote(str(log))}\nexec {machines.ssh} "$@"\n'
    )
    agent.chmod(0o755)
    environment = {
        **mpi.environment,
        "HYDRA_LAUNCHER": "ssh",
        "HYDRA_LAUNCHER_EXEC": str(agent),
        "OMPI_MCA_plm_rsh_agent": str(agent),
        "NAMES": str(machines.names),
        "WEFT_GIVEN": "it's  given",
    }
    launcher = made(node_file="$NAMES")
    command = f'echo "{RANK} $WEFT_GIVEN"'
    ran = run(launcher.compose(command, nodes=2, per_node=2), environment)
    assert ran.returncode == 0, ran.stderr
    assert sorted(ran.stdout.decode().splitlines()) == [f"{n} it's  given" for n in range(4)]
    assert "node1" in log.read_text()
    assert "node2" in log.read_text()


@pytest.mark.skipif(not ROOT, reason="only root is refused")
def test_open_mpi_refuses_root_unless_it_is_allowed(
    made: Callable[..., Launcher], mpi: Mpi
) -> None:
    text = made(**({"allow_run_as_root": False} if mpi.name == "openmpi" else {})).compose(
        "echo started", nodes=1
    )
    ran = run(text, mpi.environment)
    if mpi.name == "mpich":
        assert (ran.returncode, ran.stdout) == (0, b"started\n")
    else:
        assert (ran.returncode, ran.stdout) == (1, b"")
        assert b"--allow-run-as-root" in ran.stderr


def test_open_mpi_refuses_more_copies_than_slots_unless_it_is_allowed(
    made: Callable[..., Launcher], mpi: Mpi, tmp_path: Path
) -> None:
    names = tmp_path / "names"
    names.write_text("localhost slots=1\n" if mpi.name == "openmpi" else "localhost:1\n")
    options: dict[str, Any] = {"node_file": str(names)}
    if mpi.name == "openmpi":
        options["oversubscribe"] = False
    ran = run(made(**options).compose("echo a", nodes=1, per_node=2), mpi.environment)
    if mpi.name == "mpich":
        assert ran.stdout == b"a\na\n"
    else:
        assert ran.returncode != 0
        assert b"slots" in ran.stderr


# ------------------------------------------------------------------------------ GNU parallel


@pytest.fixture
def parallel(machines: Machines) -> Callable[..., Launcher]:
    """Makes a launcher for the two machines."""
    needed("parallel", "perl")

    def make(**options: Any) -> Launcher:
        return GnuParallelLauncher(
            GnuParallel(ssh=machines.ssh, node_file=str(machines.names), **options)
        )

    return make


def test_parallel_starts_copies_on_each_machine_with_folder_and_variables(
    parallel: Callable[..., Launcher], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "it's a  folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    environment = {**os.environ, "WEFT_GIVEN": "two  words\n'and' {}", "MINE": "$x", "OTHER": "o"}
    shown = '"$PARALLEL_SSHHOST" "$PWD" "$WEFT_GIVEN" "$MINE" "${OTHER-}"'
    launcher = parallel(environment=["MINE"])
    # One write each, so that what one copy says stays together.
    command = f'printf "%s|%s|%s|%s|%s|end\\n" {shown}'
    ran = run(launcher.compose(command, nodes=2, per_node=2), environment)
    assert ran.returncode == 0, ran.stderr
    given = f"{folder}|{environment['WEFT_GIVEN']}|$x|"
    assert Counter(ran.stdout.decode().split("|end\n")) == {
        f"node1|{given}": 2,
        f"node2|{given}": 2,
        "": 1,
    }


@few
@given(arguments=words)
def test_quoting_survives_parallel_and_ssh(
    parallel: Callable[..., Launcher], arguments: list[str]
) -> None:
    printed = "".join(f"<{word}>" for word in arguments).encode()
    text = parallel().compose(f"printf '<%s>' {shlex.join(arguments)}", nodes=1)
    ran = run(text, os.environ)
    assert (ran.returncode, ran.stdout) == (0, printed), ran.stderr


@pytest.mark.parametrize("filling", ["x", "'"])
def test_the_longest_command_passes_through_ssh(
    parallel: Callable[..., Launcher], filling: str
) -> None:
    launcher = parallel()

    def text(length: int) -> str:
        return launcher.compose(f"echo end #{filling * length}", nodes=2)

    with pytest.raises(ValueError, match="pass through ssh") as refused:
        text(100_000)
    longest = int(str(refused.value).split("about ")[1].split()[0])
    ran = run(text(longest - 100), os.environ)
    assert (ran.returncode, ran.stdout) == (0, b"end\nend\n"), ran.stderr


def test_a_copy_that_fails_on_one_machine_fails_the_whole(
    parallel: Callable[..., Launcher],
) -> None:
    command = 'if [ "$PARALLEL_SSHHOST" = node2 ]; then exit 7; fi; echo done'
    ran = run(parallel().compose(command, nodes=2), os.environ)
    assert ran.returncode != 0
    assert ran.stdout == b"done\n"


def test_sigterm_ends_what_runs_behind_ssh(
    parallel: Callable[..., Launcher], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = f"sleep 600 & echo $$ $! > {shlex.quote(str(pipe))}; wait"
    _end(parallel().compose(command, nodes=2), os.environ, pipe)


def _end(text: str, environment: Mapping[str, str], pipe: Path) -> None:
    """Run a text until two copies have said who they are; SIGTERM has to end all of them."""
    with subprocess.Popen(
        ["/bin/sh", "-c", text],
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as started:
        said: list[str] = []
        try:
            while len(said) < 4:
                # Opening waits for the next copy; the test's own limit of time bounds it.
                said += pipe.read_text().split()
            copies = [psutil.Process(int(pid)) for pid in said]
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            code = started.wait(BOUND)
    _, alive = psutil.wait_procs(copies, timeout=BOUND)
    for one in alive:
        one.kill()
    assert not alive
    assert code != 0
