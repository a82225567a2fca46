"""Jobs on record: who is alive is left alone, who is gone is cleared up after, once."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from weft.blocks.leases import LAPSE, TOUCH, Client, Lease, found, jobs_folder, reclaim
from weft.testing import FakeContext, FakeProvider

if TYPE_CHECKING:
    from core.tests.blocks.scheduler import FileScheduler


HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def scheduler() -> Any:
    """The module beside this one, which is also a script."""
    spec = spec_from_file_location("weft_test_scheduler", HERE / "scheduler.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def leases(tmp_path: Path) -> Path:
    return tmp_path / "leases"


@pytest.fixture
def files(scheduler: Any, tmp_path: Path) -> "FileScheduler":
    made: FileScheduler = scheduler.FileScheduler(tmp_path / "jobs")
    made.start(FakeContext())
    return made


def lease(folder: Path, run: str = "r1", site: str = "files:here") -> Lease:
    return Lease(
        folder, site=site, label="cpu", run_id=run, run_folder="/runs/001", program="script.py"
    )


def held(folder: Path, files: Any, run: str = "r1", **changes: Any) -> Lease:
    """The lease of a client, who is this process but for the changes, with a job of its own."""
    made = lease(folder, run)
    made.client = attrs.evolve(made.client, **changes)
    made._head["client"] = attrs.asdict(made.client)
    job = str(len(list(files.jobs.iterdir())) + 1)
    (files.jobs / job).write_text("weft-cpu-1")
    made.note(job, "weft-cpu-1")
    return made


def listed(files: Any) -> list[str]:
    return sorted(path.name for path in files.jobs.iterdir())


# -------------------------------------------------------------------------------------- the record


def test_a_lease_says_which_jobs_are_left(leases: Path) -> None:
    mine = lease(leases)
    for job in ("11", "12", "13"):
        mine.note(job, f"weft-cpu-{job}")
    mine.over(["12"])

    (seen,) = found(leases)

    assert seen.jobs == {"11": "weft-cpu-11", "13": "weft-cpu-13"}
    assert (seen.site, seen.label, seen.program) == ("files:here", "cpu", "script.py")
    assert not seen.gone
    mine.end()
    assert found(leases) == []


def test_only_its_owner_can_read_it(leases: Path) -> None:
    mine = lease(leases)
    mine.note("1", "n")

    assert mine.path.stat().st_mode & 0o777 == 0o600
    assert leases.stat().st_mode & 0o777 == 0o700


def test_without_jobs_nothing_is_written(leases: Path) -> None:
    mine = lease(leases)
    mine.over(["1"])
    mine.touch()
    mine.end()

    assert not leases.exists()


def test_a_folder_that_others_may_write_is_not_used(leases: Path) -> None:
    leases.mkdir()
    leases.chmod(0o777)

    with pytest.raises(PermissionError, match="others may write"):
        lease(leases).note("1", "n")
    with pytest.raises(PermissionError, match="others may write"):
        found(leases)


def test_a_link_in_its_place_is_not_followed(leases: Path, tmp_path: Path) -> None:
    leases.mkdir(mode=0o700)
    mine = lease(leases)
    mine.path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic link"):
        mine.note("1", "n")
    assert found(leases) == []
    assert not (tmp_path / "elsewhere").exists()


def test_a_torn_line_costs_that_line_alone(leases: Path) -> None:
    mine = lease(leases)
    mine.note("1", "a")
    mine.note("2", "b")
    with mine.path.open("ab") as file:
        file.write(b'{"job": "3", "na')

    (seen,) = found(leases)

    assert set(seen.jobs) == {"1", "2"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[]\n",
        b'{"weft": 99}\n',
        b'{"weft": 1, "site": "x"}\n',
        b'{"weft": 1, "site": "s", "label": "l", "run_folder": "", "program": "", "client": 7}\n',
        (
            b'{"weft": 1, "site": "s", "label": "l", "run_folder": "", "program": "", '
            b'"client": {"host": "h", "boot": "b", "space": "s", "pid": "x", "started": "1"}}\n'
        ),
    ],
)
def test_what_is_no_lease_is_left_alone(leases: Path, files: Any, text: bytes) -> None:
    leases.mkdir(mode=0o700)
    (leases / "x-cpu.lease").write_bytes(text)

    assert found(leases) == []
    assert reclaim(leases, files) == []
    assert (leases / "x-cpu.lease").read_bytes() == text


def test_the_folder_is_the_users_own(tmp_path: Path) -> None:
    assert jobs_folder({"WEFT_STATE": "/s"}) == Path("/s/jobs")
    assert jobs_folder({"XDG_STATE_HOME": "/x"}) == Path("/x/weft/jobs")
    relative = jobs_folder({"XDG_STATE_HOME": "not/absolute"})
    assert relative == Path.home() / ".local/state/weft/jobs"


# ------------------------------------------------------------------------------------- who is gone


def test_a_client_that_runs_is_never_gone(leases: Path, files: Any) -> None:
    mine = held(leases, files)
    os.utime(mine.path, (0, 0))

    (seen,) = found(leases)

    assert seen.silent > LAPSE
    assert not seen.gone
    assert reclaim(leases, files) == []
    assert listed(files) == ["1"]


def test_a_client_whose_number_belongs_to_another_process_now_is_gone(
    leases: Path, files: Any
) -> None:
    held(leases, files, started="1")

    (seen,) = found(leases)

    assert seen.gone


def test_a_client_that_nobody_has_waited_for_yet_is_gone(leases: Path, files: Any) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        stat = Path(f"/proc/{child.pid}/stat")
        started = stat.read_bytes().rpartition(b")")[2].split()[19].decode()
        held(leases, files, pid=child.pid, started=started)
        assert not found(leases)[0].gone

        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert found(leases)[0].gone
    finally:
        child.kill()
        with child:
            pass


@pytest.mark.parametrize("change", [{"boot": "another"}, {"space": "pid:[1]"}, {"started": ""}])
def test_a_client_that_cannot_be_seen_is_gone_once_its_lease_has_lapsed(
    leases: Path, files: Any, change: dict[str, str]
) -> None:
    mine = held(leases, files, **change)
    assert not found(leases)[0].gone
    now = mine.path.stat().st_mtime

    os.utime(mine.path, (now - LAPSE + 60, now - LAPSE + 60))
    assert not found(leases)[0].gone
    os.utime(mine.path, (now - LAPSE - 60, now - LAPSE - 60))
    assert found(leases)[0].gone

    mine.touch()
    assert not found(leases)[0].gone


# ---------------------------------------------------------------------------------------- clear up


def test_what_a_client_that_is_gone_left_is_cancelled_once(leases: Path, files: Any) -> None:
    held(leases, files, "r1", started="1")
    held(leases, files, "r2")

    (done,) = reclaim(leases, files)

    assert done.cancelled == ["1"]
    assert listed(files) == ["2"]
    assert [one.gone for one in found(leases)] == [False]
    assert reclaim(leases, files) == []


def test_a_job_that_a_living_client_has_is_spared_whoever_else_had_its_number(
    leases: Path, files: Any
) -> None:
    gone = held(leases, files, "r1", started="1")
    lease(leases, "r2").note("1", "weft-cpu-1")

    (done,) = reclaim(leases, files)

    assert done.cancelled == []
    assert listed(files) == ["1"]
    assert not gone.path.exists()


def test_another_scheduler_is_not_asked(leases: Path, files: Any) -> None:
    gone = held(leases, files, started="1")
    files._site = "files:there"

    assert reclaim(leases, files) == []
    assert gone.path.exists()
    assert files.asked == []


def test_a_job_by_another_name_is_somebody_elses(leases: Path, files: Any) -> None:
    held(leases, files, started="1")
    (files.jobs / "1").write_text("not-weft")

    (done,) = reclaim(leases, files)

    assert done.cancelled == []
    assert listed(files) == ["1"]


def test_a_scheduler_that_does_not_say_is_asked_again_the_next_time(
    leases: Path, files: Any
) -> None:
    held(leases, files, started="1")
    files.refuses = RuntimeError("slurmctld is down")

    (done,) = reclaim(leases, files)

    assert "slurmctld is down" in done.trouble
    assert listed(files) == ["1"]
    files.refuses = None
    assert [one.cancelled for one in reclaim(leases, files)] == [["1"]]


def test_two_that_start_at_once_do_not_both_clear_up(leases: Path, files: Any) -> None:
    gone = held(leases, files, started="1")
    with gone.path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert reclaim(leases, files) == []
    assert listed(files) == ["1"]
    assert len(reclaim(leases, files)) == 1


def test_where_nothing_can_be_locked_it_is_cleared_up_all_the_same(
    leases: Path, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(leases, files, started="1")

    def refuse(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)

    assert [one.cancelled for one in reclaim(leases, files)] == [["1"]]


def test_a_provider_whose_jobs_end_with_it_has_nothing_on_record(
    leases: Path, scheduler: Any, tmp_path: Path
) -> None:
    context = FakeContext(tmp_path / "run")
    context.folder.mkdir()
    pool = scheduler.pool_of(FakeProvider(), leases, context, 1, scheduler.Owner(1))
    pool.start()
    pool.close()

    assert not leases.exists()


# ------------------------------------------------------------------------------- the whole, by hand


def test_the_record_follows_the_blocks(
    bench: Any, scheduler: Any, leases: Path, tmp_path: Path
) -> None:
    files = scheduler.FileScheduler(tmp_path / "jobs")
    files.start(FakeContext())
    one = bench(provider=files, init=2, max=2)
    mine = lease(leases)
    one.keeper.hold(mine)
    one.open()
    assert found(leases)[0].jobs == {"1": "weft-cpu-1", "2": "weft-cpu-2"}

    files.cancel(["1"])
    one.go(1.0)
    assert "1" not in found(leases)[0].jobs

    os.utime(mine.path, (0, 0))
    one.go(TOUCH + 1)
    assert found(leases)[0].silent < LAPSE

    one.close()
    assert found(leases) == []


def test_a_record_that_cannot_be_kept_harms_no_block(
    bench: Any, scheduler: Any, leases: Path, tmp_path: Path
) -> None:
    leases.mkdir()
    leases.chmod(0o777)
    files = scheduler.FileScheduler(tmp_path / "jobs")
    files.start(FakeContext())
    one = bench(provider=files, init=2, max=2)
    one.keeper.hold(lease(leases))
    one.open()

    assert listed(files) == ["1", "2"]
    assert len(one.notices("cannot be put on record")) == 1


# --------------------------------------------------------------------------------------- kill -9


class Clients:
    """Clients in processes of their own."""

    def __init__(self, folder: Path, leases: Path) -> None:
        self._folder, self._leases = folder, leases
        self.made: list[subprocess.Popen[str]] = []

    def __call__(self, run: str, blocks: int) -> "subprocess.Popen[str]":
        words = [str(self._folder / "jobs"), str(self._leases), run, str(blocks)]
        one = subprocess.Popen(
            [sys.executable, str(HERE / "scheduler.py"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.made.append(one)
        assert one.stdout is not None
        assert one.stdout.readline() == "up\n"
        return one


@pytest.fixture
def clients(tmp_path: Path, leases: Path) -> Iterator[Clients]:
    made = Clients(tmp_path, leases)
    yield made
    for one in made.made:
        one.kill()
        with one:
            pass


def test_jobs_of_a_client_that_was_killed_are_cancelled_by_the_next_one(
    clients: Clients, scheduler: Any, leases: Path, tmp_path: Path
) -> None:
    killed, living = clients("killed", 3), clients("living", 2)
    jobs = tmp_path / "jobs"
    assert len(list(jobs.iterdir())) == 5
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    assert len(list(jobs.iterdir())) == 5, "this scheduler ends nothing by itself"

    context = FakeContext(tmp_path / "next", run_id="next")
    context.folder.mkdir()
    owner = scheduler.Owner(1)
    pool = scheduler.pool_of(scheduler.FileScheduler(jobs), leases, context, 1, owner)
    pool.start()
    context.wait_until(lambda: any("left jobs behind" in text for _, text in context.notices))

    of_living = next(one for one in found(leases) if one.client.pid == living.pid)
    left = {path.name for path in jobs.iterdir()}
    assert set(of_living.jobs) <= left
    assert len(of_living.jobs) == 2
    pool.close()
    assert {path.name for path in jobs.iterdir()} == set(of_living.jobs)
    assert [one.client.pid for one in found(leases)] == [living.pid]

    assert living.stdin is not None
    living.stdin.close()
    living.wait(60)
    assert list(jobs.iterdir()) == []
    assert found(leases) == []


def test_a_record_begins_with_its_client(leases: Path) -> None:
    mine = lease(leases)
    mine.note("1", "n")

    head, *rows = [json.loads(line) for line in mine.path.read_text().splitlines()]

    assert head["client"] == attrs.asdict(Client.here())
    assert [row["job"] for row in rows] == ["1"]
