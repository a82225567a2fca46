"""Whole runs of the executor on this machine, with a launcher that starts ranks here."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest

import weft
from weft import Config, bash_app, python_app
from weft.errors import TaskTimeout, UnsupportedRequest, WeftError
from weft.interfaces.provider import Provider
from weft.testing import FakeExecutorContext, make_task
from weft.values.events import BlockChanged
from weft.values.jobs import Job, JobId
from weft.values.plugin import Kind
from weft.values.settings import Settings
from weft.values.task import Ended, Needs
from weft_mpi import MPI, Allotment, check_size, here, on_nodes, on_ranks
from weft_mpi.errors import BadShape, NoLauncher, NotOnMPI, WrongRanks
from weft_mpi.executor import build
from weft_testkit.bent import BentProvider

BOUND = 60.0
HOSTS = ("alpha", "beta", "gamma")

Load = Callable[..., weft.Session]


@pytest.fixture
def load(tmp_path: Path, launcher: str) -> Iterator[Load]:
    """Opens a session with this executor."""
    opened: list[weft.Session] = []

    def loading(**options: Any) -> weft.Session:
        given = {"hosts": HOSTS, "launcher_program": launcher, **options}
        config = Config(
            run_dir=tmp_path / "runs",
            executors=[weft.executor("mpi", **given)],
            close_timeout=0.5,
        )
        opened.append(weft.load(config))
        return opened[-1]

    yield loading
    for one in opened:
        one.close(cancel=True)


def eventually(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.02)


@python_app
def allotment(resources: Any = None) -> tuple[Allotment, dict[str, str], list[str]]:
    """What a task is given, in each of its forms."""
    found = {name: value for name, value in os.environ.items() if name.startswith("WEFT_MPI_")}
    return here(), found, Path(found["WEFT_MPI_HOSTFILE"]).read_text().split()


@python_app
def meet(folder: str, name: str, others: int, resources: Any = None) -> tuple[str, ...]:
    """Waits until as many are here as are expected."""
    place = Path(folder)
    (place / name).touch()
    eventually(lambda: len(list(place.iterdir())) >= others, "the others did not come")
    return here().hosts


@python_app
def note(log: str, name: str, go: str = "", resources: Any = None, priority: Any = None) -> None:
    """Writes that it began, and waits for leave to end."""
    with Path(log).open("a") as file:
        file.write(f"{name}\n")
    if go:
        eventually(Path(go).exists, "nobody let it go")


@bash_app
def each_rank(stdout: str, resources: Any = None) -> str:
    """Each rank says who it is."""
    return "$WEFT_MPI_PREFIX sh -c 'echo rank $PMI_RANK of $PMI_SIZE on $NODES'"


@bash_app
def sleepers(pids: str, resources: Any = None, walltime: Any = None) -> str:
    """Ranks that do not end by themselves."""
    return f"$WEFT_MPI_PREFIX sh -c 'echo $$ >> {pids}; exec sleep 600'"


@python_app
def starts(pids: str, then: str, resources: Any = None) -> str:
    """Starts ranks, and comes to an end of another kind while they run."""
    words = [*here().words, "sh", "-c", f"echo $$ >> {pids}; exec sleep 600"]
    of_former_tries = len(_pids(pids))
    subprocess.Popen(words)
    there = of_former_tries + here().ranks
    eventually(lambda: len(_pids(pids)) >= there, "the ranks did not start")
    if then == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return then


@python_app
def again_and_again(count: int) -> tuple[list[int], int]:
    """Starts one launcher after another; their codes, and what the manager holds open then."""
    codes = [subprocess.run([*here().words, "true"], check=False).returncode for _ in range(count)]
    return codes, len(list(Path(f"/proc/{os.getppid()}/fd").iterdir()))


def _pids(path: str) -> list[int]:
    return [int(word) for word in Path(path).read_text().split()] if Path(path).exists() else []


def all_gone(path: str) -> bool:
    return not any(map(_lives, _pids(path)))


def _lives(pid: int) -> bool:
    """Whether a process is more than an entry that nobody has looked at yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_task_finds_its_nodes_in_each_form(load: Load) -> None:
    load()
    given, variables, in_file = allotment(resources={"nodes": 2, "num_ranks": 6}).result(BOUND)
    assert (given.hosts, given.nodes, given.ranks) == (("alpha", "beta"), 2, 6)
    assert given.words[-6:] == ("-n", "6", "-ppn", "3", "-hosts", "alpha,beta")
    assert in_file == ["alpha", "beta"]
    expected = {
        "WEFT_MPI_PREFIX": given.prefix,
        "WEFT_MPI_HOSTS": "alpha,beta",
        "WEFT_MPI_NODES": "2",
        "WEFT_MPI_RANKS": "6",
        "WEFT_MPI_RANKS_PER_NODE": "3",
    }
    assert variables.items() >= expected.items()


def test_who_asks_for_nothing_gets_one_node(load: Load) -> None:
    load(ranks_per_node=4, launcher_options=("-verbose",))
    given, _, _ = allotment().result(BOUND)
    assert (given.nodes, given.ranks, given.words[-1]) == (1, 4, "-verbose")


def test_the_prefix_starts_the_ranks_of_a_command(load: Load, tmp_path: Path) -> None:
    load()
    out = tmp_path / "out"
    asked = each_rank(stdout=str(out), resources={"nodes": 3, "ranks_per_node": 2})
    assert asked.result(BOUND) == 0
    on = ",".join(HOSTS)
    assert sorted(out.read_text().splitlines()) == [f"rank {n} of 6 on {on}" for n in range(6)]


def test_tasks_at_the_same_time_have_nodes_of_their_own(load: Load, tmp_path: Path) -> None:
    load()
    (tmp_path / "here").mkdir()
    sizes = {"a": 1, "b": 2}
    asked = [
        meet(str(tmp_path / "here"), name, len(sizes), resources={"nodes": count})
        for name, count in sizes.items()
    ]
    found = [host for one in asked for host in one.result(BOUND)]
    assert sorted(found) == sorted(HOSTS)


def test_small_tasks_do_not_starve_a_big_one(load: Load, tmp_path: Path) -> None:
    load(hosts=("alpha", "beta"))
    log, go = tmp_path / "log", tmp_path / "go"
    first = [note(str(log), "first", str(go)) for _ in range(2)]
    eventually(lambda: log.exists() and len(log.read_text().split()) == 2, "they did not begin")
    big = note(str(log), "big", resources={"nodes": 2})
    later = [note(str(log), "later") for _ in range(10)]
    go.touch()
    for one in (*first, big, *later):
        one.result(BOUND)
    assert log.read_text().split() == ["first", "first", "big", *["later"] * 10]


def test_a_lower_number_goes_first(load: Load, tmp_path: Path) -> None:
    session = load(hosts=("alpha",))
    log, go = tmp_path / "log", tmp_path / "go"
    first = note(str(log), "first", str(go))
    eventually(log.exists, "it did not begin")
    others = [note(str(log), "late", priority=1), note(str(log), "soon", priority=0)]

    def waiting() -> object:
        return session.status().executors["mpi"].details["waiting at the interchange"]

    eventually(lambda: waiting() == 2, "they do not wait where one of them is chosen")
    go.touch()
    for one in (first, *others):
        one.result(BOUND)
    assert log.read_text().split() == ["first", "soon", "late"]


def test_what_cannot_be_is_an_error_at_once(load: Load) -> None:
    load(init_blocks=0)  # there is no block that could be asked
    error = allotment(resources={"nodes": 4}).exception(BOUND)
    assert isinstance(error, BadShape)
    assert "asks for 4 nodes, and a block of this executor has 3" in str(error)
    error = allotment(resources={"nodes": 3, "num_ranks": 7}).exception(BOUND)
    assert isinstance(error, BadShape)
    assert "7 ranks cannot be spread evenly over 3 nodes" in str(error)


def test_a_name_that_it_does_not_know_is_told(load: Load) -> None:
    load(init_blocks=0)
    with pytest.raises(UnsupportedRequest, match=r"resources\.num_nodes"):
        allotment(resources={"num_nodes": 2}).result(BOUND)


def test_cancelling_a_task_ends_its_ranks_and_frees_its_nodes(load: Load, tmp_path: Path) -> None:
    load()
    pids = str(tmp_path / "pids")
    asked = sleepers(pids, resources={"nodes": 3})
    eventually(lambda: len(_pids(pids)) == 3, "the ranks did not start")
    assert asked.cancel()
    assert allotment(resources={"nodes": 3}).result(BOUND)[0].hosts == HOSTS
    # The nodes are given to the next one when the ranks have ended, and no sooner.
    assert all_gone(pids)


def test_a_walltime_ends_the_ranks(load: Load, tmp_path: Path) -> None:
    load()
    for walltime in (1.5, 6.0, 24.0):  # of which the launcher may need some for the ranks to begin
        pids = str(tmp_path / f"pids-{walltime}")
        error = sleepers(pids, walltime=walltime, resources={"nodes": 3}).exception(BOUND)
        assert isinstance(error, TaskTimeout)
        assert allotment(resources={"nodes": 3}).result(BOUND)[0].hosts == HOSTS
        assert all_gone(pids)
        if len(_pids(pids)) == 3:
            return
    pytest.fail("not all ranks have begun")


@pytest.mark.parametrize("then", ["returns", "dies"])
def test_ranks_end_with_their_task(load: Load, tmp_path: Path, then: str) -> None:
    load()
    pids = str(tmp_path / "pids")
    asked = starts(pids, then, resources={"nodes": 3})
    if then == "returns":
        assert asked.result(BOUND) == then
    else:
        assert "SIGKILL" in str(asked.exception(BOUND))
    assert allotment(resources={"nodes": 3}).result(BOUND)[0].hosts == HOSTS
    assert len(_pids(pids)) >= 3
    assert all_gone(pids)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no such folder here")
def test_a_task_may_start_many_launchers_one_after_another(load: Load) -> None:
    load(hosts=("alpha",))
    few, many = (again_and_again(count).result(BOUND) for count in (3, 30))
    assert few[0] + many[0] == [0] * 33
    assert many[1] - few[1] < 10


def test_closing_ends_ranks(load: Load, tmp_path: Path) -> None:
    session = load()
    pids = str(tmp_path / "pids")
    asked = sleepers(pids, resources={"nodes": 2})
    eventually(lambda: len(_pids(pids)) == 2, "the ranks did not start")
    session.close(cancel=True)
    eventually(lambda: all_gone(pids), "ranks are left")
    assert asked.done()


def test_a_block_that_cannot_read_its_nodes_says_so(load: Load) -> None:
    init = "export PBS_NODEFILE=/no/such/file"
    load(hosts=(), worker_init=init, block_failures=1)
    error = allotment().exception(BOUND)
    assert isinstance(error, WeftError)
    assert "PBS_NODEFILE=/no/such/file: the file cannot be read" in str(error)


def test_a_block_takes_the_nodes_that_its_scheduler_names(load: Load) -> None:
    load(hosts=(), worker_init="export SLURM_JOB_NODELIST=n[07-08]")
    assert allotment().result(BOUND)[0].hosts == ("n07",)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("/bin/echo", "does not say whose options it takes"),
        ("/no/such/mpiexec", "cannot be run on the block's first node"),
    ],
)
def test_a_launcher_that_cannot_be_used_is_told(load: Load, program: str, why: str) -> None:
    load(launcher_program=program)
    error = allotment().exception(BOUND)
    assert isinstance(error, NoLauncher)
    assert why in str(error)


def test_outside_of_a_task_there_are_no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEFT_MPI_PREFIX", raising=False)
    with pytest.raises(NotOnMPI):
        here()
    with pytest.raises(NotOnMPI):
        on_ranks(print)


class World:
    """A communicator of one rank."""

    def Get_size(self) -> int:  # noqa: N802 - as mpi4py calls it
        return 1


def test_another_number_of_ranks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_MPI_RANKS", "1")
    assert check_size(World()) == 1
    monkeypatch.setenv("WEFT_MPI_RANKS", "4")
    with pytest.raises(WrongRanks, match="every rank is rank 0 of 1") as raised:
        check_size(World())
    assert (raised.value.expected, raised.value.found) == (4, 1)
    monkeypatch.delenv("WEFT_MPI_RANKS")
    with pytest.raises(NotOnMPI):
        check_size(World())


# ------------------------------------------------------------------------------------------ blocks


class Generous(BentProvider):
    """Gives this machine for as many as are asked for."""

    def submit(self, job: Job) -> JobId:
        return super().submit(attrs.evolve(job, nodes=1))


class OnGenerous(FakeExecutorContext):
    """The context of an executor whose provider it is."""

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        part = super().part(kind, settings, default)
        return Generous(part) if isinstance(part, Provider) else part


def meet_others(folder: str, name: str, others: int) -> tuple[str, ...]:
    (Path(folder) / name).touch()
    eventually(lambda: len(list(Path(folder).iterdir())) >= others, "the others did not come")
    return here().hosts


def test_blocks_are_asked_for_by_the_nodes_of_tasks(tmp_path: Path) -> None:
    place, nodes = tmp_path / "place", tmp_path / "nodes"
    place.mkdir()
    nodes.write_text("".join(f"{host}\n" for host in HOSTS[:2]))
    as_of_pbs = f"export PBS_JOBID=1 PBS_NODEFILE='{nodes}'"
    executor = build(MPI(nodes_per_block=2, init_blocks=0, max_blocks=3, worker_init=as_of_pbs))
    context = OnGenerous(tmp_path, label="mpi")
    executor.start(context)
    try:
        # Each has all the nodes of a block, and waits for the others. A block has two workers.
        needs = Needs(resources=on_nodes(2))
        executor.submit(
            [make_task(meet_others, str(place), f"{n}", 3, id=n, needs=needs) for n in range(3)]
        )
        outcomes = context.wait(3, BOUND)
    finally:
        executor.close(0)

    assert [one.value for one in outcomes] == [HOSTS[:2]] * 3
    assert context.notices == []


def hold(begun: str, go: str) -> None:
    Path(begun).touch()
    eventually(Path(go).exists, "nobody let it go")


def test_no_block_is_asked_for_while_it_closes(tmp_path: Path) -> None:
    executor = build(MPI(init_blocks=2, min_blocks=2, max_blocks=2))
    context = FakeExecutorContext(tmp_path, label="mpi")
    begun, go = ([tmp_path / f"{what}-{n}" for n in range(2)] for what in ("begun", "go"))
    closing = threading.Thread(target=executor.close, args=(BOUND,))
    executor.start(context)
    try:
        executor.submit([make_task(hold, str(begun[n]), str(go[n]), id=n) for n in range(2)])
        eventually(lambda: all(one.exists() for one in begun), "they did not begin")
        closing.start()
        said = tmp_path / "interchange-1" / "interchange.log"
        eventually(lambda: "told to close" in said.read_text(), "it does not close")
        # The first block ends, while a task of the second lets all wait.
        go[0].touch()
        eventually(lambda: any(one.ended for one in executor.status().blocks), "no block ended")
        go[1].touch()
        closing.join(BOUND)
        assert not closing.is_alive()
    finally:
        executor.close(0)

    assert [one.ended for one in context.wait(2, BOUND)] == [Ended.VALUE] * 2
    told = [event for event in context.told if isinstance(event, BlockChanged)]
    assert {event.block for event in told} == {"mpi-1", "mpi-2"}
    assert context.notices == []
