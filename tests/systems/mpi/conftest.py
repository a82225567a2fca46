"""Real MPICH, Open MPI, GNU parallel and OpenSSH; skipped where there is none, failed in CI.

Two machines, ``node1`` and ``node2``, are this one, reached through an sshd of the tests that
listens on loopback alone, with keys made for it. Nobody's own ``~/.ssh`` is read or written.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from tests.systems.needs import free_port, needed, needed_modules

BOUND = 60.0
"""Seconds that anything here may take, on a machine with other things to do."""


@attrs.frozen(kw_only=True)
class Mpi:
    """An implementation of MPI, and the environment in which its programs come first."""

    name: str
    environment: Mapping[str, str]


@attrs.frozen(kw_only=True)
class Machines:
    """Machines that ssh reaches: a file with their names, and the command."""

    names: Path
    ssh: str


@pytest.fixture(scope="session", params=["mpich", "openmpi"])
def mpi(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mpi:
    """Each of the two, as Debian installs them side by side."""
    name = str(request.param)
    needed(f"mpiexec.{name}", f"mpirun.{name}")
    folder = tmp_path_factory.mktemp(name)
    for program in ("mpiexec", "mpirun"):
        # Not a link: MPICH looks for its proxy next to the path it was called by.
        wrapper = folder / program
        real = shutil.which(f"{program}.{name}") or ""
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(real)} "$@"\n')
        wrapper.chmod(0o755)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("OMPI_")},
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        # Control connections stay on loopback.
        "HYDRA_IFACE": "lo",
        "OMPI_MCA_oob_tcp_if_include": "lo",
        "OMPI_MCA_btl_tcp_if_include": "lo",
    }
    return Mpi(name=name, environment=environment)


# What a task of several ranks is asked for: whether its MPI has all of them, and where they are.
_RANK = """
import os, signal, socket, sys, time
from mpi4py import MPI
from weft_mpi import check_size

world = MPI.COMM_WORLD
check_size(world)
total = world.allreduce(world.rank)
if len(sys.argv) > 1:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(sys.argv[1], "a") as pids:
        pids.write(f"{os.getpid()}\\n")
    time.sleep(600)
os.write(1, f"rank {world.rank} of {world.size} on {socket.gethostname()}: {total}\\n".encode())
"""


@attrs.frozen(kw_only=True)
class Program:
    """A program with mpi4py, and the variables with which it finds an MPI library."""

    path: Path
    variables: Mapping[str, str]


_made: dict[str, Program] = {}


def program_for(factory: pytest.TempPathFactory, name: str) -> Program:
    """The program for one implementation, with the library that Debian has of it."""
    if name in _made:
        return _made[name]
    needed_modules("mpi4py")
    folder = factory.mktemp(f"program-{name}")
    path = folder / "rank.py"
    path.write_text(_RANK)
    variables = {"MPI4PY_MPIABI": name}
    if name == "mpich":
        # mpi4py looks for the name that MPICH itself gives to its library; Debian gives another.
        found = sorted(Path("/usr/lib").glob("*/libmpich.so.12"))
        if found:
            (folder / "libmpi.so.12").symlink_to(found[0])
            variables["LD_LIBRARY_PATH"] = str(folder)
    else:
        variables["OMPI_ALLOW_RUN_AS_ROOT"] = variables["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
        # And not by an interface that another test has just made, and takes away in the middle.
        variables["OMPI_MCA_btl_tcp_if_include"] = variables["OMPI_MCA_oob_tcp_if_include"] = "lo"
    _made[name] = Program(path=path, variables=variables)
    return _made[name]


@pytest.fixture(scope="session")
def program(mpi: Mpi, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The program for the implementation that is tested."""
    return program_for(tmp_path_factory, mpi.name)


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two machines with an OpenSSH server."""
    needed("sshd", "ssh", "ssh-keygen")
    if os.getuid() == 0:
        # The folder that separates its privileges; the package leaves it to the init system.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder = tmp_path_factory.mktemp("sshd")
    folder.chmod(0o700)
    port, user = free_port(), getpass.getuser()
    for key in ("host", "user"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(made, check=True, timeout=BOUND)
    public = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"machines {public[0]} {public[1]}\n")
    (folder / "server").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/user.pub\nAllowUsers {user}\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin prohibit-password\n"
        # The folder is usually below a temporary one that all can write.
        "StrictModes no\nMaxStartups 100\n"
    )
    (folder / "client").write_text(
        f"Host node1 node2\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n"
        f"  HostKeyAlias machines\n  UserKnownHostsFile {folder}/known\n"
        f"  GlobalKnownHostsFile /dev/null\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n"
        # One attempt a second until the server is there.
        "  IdentityAgent none\n  BatchMode yes\n  ConnectionAttempts 30\n"
    )
    (folder / "names").write_text("node1\nnode2\n")
    ssh = f"ssh -F {folder}/client"
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "sshd"
    log = folder / "log"
    server = subprocess.Popen([sshd, "-D", "-f", str(folder / "server"), "-E", str(log)])
    try:
        asked = subprocess.run(
            [*shlex.split(ssh), "node1", "true"],
            check=False, timeout=BOUND, capture_output=True, text=True,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr + log.read_text()
        yield Machines(names=folder / "names", ssh=ssh)
    finally:
        server.terminate()
        server.wait(BOUND)
