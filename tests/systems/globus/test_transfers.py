"""What becomes of files, with the real SDK; and what is asked of the service for it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.systems.globus.cloud import SECRET, SERVICE, Answer, Cloud, Lost, Task
from tests.systems.globus.conftest import ARCHIVE, BOUND, HOME, SITE
from tests.waiting import eventually
from weft.errors import StagingError
from weft.interfaces.stager import Place, Spot, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_globus.settings import Globus
from weft_globus.stager import GlobusStager, build

pytestmark = pytest.mark.usefixtures("logged_in")

ODD = "two  spaces % ünï #1?\n.txt"


class Bench:
    """A stager at work, and what is around it."""

    def __init__(self, cloud: Cloud, folders: dict[str, Path], settings: Globus, own: Path) -> None:
        self.cloud, self.folders, self.settings = cloud, folders, settings
        own.mkdir(parents=True, exist_ok=True)
        self.context = FakeContext(own)
        self.tasks = folders[HOME] / "tasks"
        self.tasks.mkdir(exist_ok=True)
        self.stager: GlobusStager = build(settings)
        self.stager.start(self.context)

    @property
    def home(self) -> Place:
        """A folder of this machine."""
        return Place(executor="here", folder=self.tasks, shared=False, spot=Spot.CLIENT)

    @property
    def site(self) -> Place:
        """A folder that this machine does not see; Globus does."""
        return Place(
            executor="there",
            folder=Path("/scratch/weft"),
            shared=False,
            site="cluster",
            urls={"globus": f"globus://{SITE}/weft"},
        )

    def published(self, name: str, content: bytes = b"content") -> File:
        path = self.folders[ARCHIVE] / name
        path.write_bytes(content)
        # A file of which nobody knows how long it has been there is no longer taken for new.
        os.utime(path, (1_600_000_000, 1_600_000_000))
        return archived(name)

    def into(self, file: File, place: Place | None = None) -> Transfer:
        return self.stager.plan(Way.IN, file, place or self.home)

    def made(self, name: str, content: bytes = b"result") -> Transfer:
        transfer = self.stager.plan(Way.OUT, archived(name), self.home)
        transfer.placed.as_path().write_bytes(content)
        return transfer

    def refused(self, transfer: Transfer) -> StagingError:
        with pytest.raises(StagingError) as caught:
            self.stager.move(transfer)
        return caught.value

    def moving(self, transfer: Transfer) -> Moving:
        return Moving(self.stager, transfer)

    def task(self) -> Task:
        """The only one that moves files, once it is there."""
        eventually(self.cloud.transfers, "no task came")
        (task,) = self.cloud.transfers()
        return task


class Moving(threading.Thread):
    """A move that goes on meanwhile."""

    def __init__(self, stager: GlobusStager, transfer: Transfer) -> None:
        super().__init__(name="moving", daemon=True)
        self._stager, self._transfer = stager, transfer
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._stager.move(self._transfer)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def ended(self) -> Exception | None:
        self.join(BOUND)
        assert not self.is_alive(), "it still waits"
        return self.error


def archived(name: str) -> File:
    from urllib.parse import quote

    return File(f"globus://{ARCHIVE}/{quote(name)}")


Make = Callable[..., Bench]


@pytest.fixture
def make(
    cloud: Cloud, folders: dict[str, Path], settings: Globus, tmp_path: Path
) -> Iterator[Make]:
    """Makes stagers; each is one run."""
    made: list[Bench] = []

    def one(**options: Any) -> Bench:
        own = tmp_path / "runs" / f"{len(made):04d}" / "stager-globus"
        made.append(Bench(cloud, folders, attrs.evolve(settings, **options), own))
        return made[-1]

    yield one
    cloud.gate.set()
    cloud.flow.set()
    for bench in made:
        bench.stager.close()


@pytest.fixture
def bench(make: Make) -> Bench:
    return make()


# ------------------------------------------------------------------------------------ the two sides


def test_a_file_goes_from_collection_to_collection_and_no_byte_comes_by(
    bench: Bench, folders: dict[str, Path], cloud: Cloud
) -> None:
    transfer = bench.into(bench.published(ODD, b"far"), bench.site)

    bench.stager.move(transfer)

    (arrived,) = (folders[SITE] / "weft").iterdir()
    assert arrived.read_bytes() == b"far"
    assert transfer.placed.filepath == f"/scratch/weft/{arrived.name}"
    (task,) = cloud.transfers()
    assert (task.body["source_endpoint"], task.body["destination_endpoint"]) == (ARCHIVE, SITE)
    assert not list(bench.tasks.iterdir())


def test_what_a_task_made_at_a_site_goes_to_the_collection_of_its_url(
    bench: Bench, folders: dict[str, Path]
) -> None:
    transfer = bench.stager.plan(Way.OUT, archived(ODD), bench.site)
    made = folders[SITE] / "weft" / Path(transfer.placed.filepath).name
    made.parent.mkdir()
    made.write_bytes(b"result")

    bench.stager.move(transfer)

    assert (folders[ARCHIVE] / ODD).read_bytes() == b"result"
    assert {one.name for one in folders[ARCHIVE].iterdir()} == {ODD}


def test_what_a_task_did_not_make_at_a_site_is_said(bench: Bench) -> None:
    error = bench.refused(bench.stager.plan(Way.OUT, archived("x"), bench.site))

    assert "The task did not make it." in error.reason
    assert not error.again


def test_a_link_that_a_task_left_at_a_site_is_not_followed(
    bench: Bench, folders: dict[str, Path], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    transfer = bench.stager.plan(Way.OUT, archived("x"), bench.site)
    made = folders[SITE] / "weft" / Path(transfer.placed.filepath).name
    made.parent.mkdir()
    made.symlink_to(secret)

    error = bench.refused(transfer)

    assert "is a link" in error.reason
    assert not list(folders[ARCHIVE].iterdir())


def test_without_a_collection_for_the_place_it_is_said_what_to_name(make: Make) -> None:
    bench = make(local_collection="")

    error = bench.refused(bench.into(bench.published("x")))

    assert "No collection of Globus is known" in error.reason
    assert "urls={'globus':" in str(error)
    assert "local_collection=" in str(error)


def test_a_run_folder_outside_of_the_local_collection_is_said(make: Make, tmp_path: Path) -> None:
    bench = make()
    place = Place(executor="here", folder=tmp_path / "elsewhere", shared=False)

    error = bench.refused(bench.into(bench.published("x"), place))

    assert "is not in" in error.reason
    assert "run_dir" in str(error)


def test_a_collection_that_has_another_folder_than_was_said_is_noticed(
    bench: Bench, cloud: Cloud, tmp_path: Path
) -> None:
    cloud.collections[HOME].folder = tmp_path

    coming = bench.refused(bench.into(bench.published("x")))
    going = bench.refused(bench.made("y"))

    assert "Globus says that it is there, but" in coming.reason
    assert "is there, but" in going.reason
    assert "local_path and collection_path" in str(coming)
    assert "local_path and collection_path" in str(going)


def test_what_this_machine_sees_of_an_output_is_looked_at_before_globus_is_asked(
    bench: Bench, cloud: Cloud
) -> None:
    error = bench.refused(bench.stager.plan(Way.OUT, archived("x"), bench.home))

    assert "The task did not make" in error.reason
    assert not cloud.count("GET /v0.10") + cloud.count("POST /v0.10")


# ---------------------------------------------------------------------------------- many, and waits


def test_files_that_are_asked_for_at_the_same_time_are_one_transfer(make: Make) -> None:
    # The window is long enough for any machine; that all are there is what closes it.
    bench = make(join_window=60, join_files=5)
    transfers = [bench.into(bench.published(f"{n}")) for n in range(5)]

    moves = [bench.moving(one) for one in transfers]

    assert [one.ended() for one in moves] == [None] * 5
    assert len(bench.task().body["DATA"]) == 5
    assert all(one.placed.as_path().read_bytes() == b"content" for one in transfers)


def test_no_transfer_has_more_files_than_it_may(make: Make, cloud: Cloud) -> None:
    bench = make(join_files=3)
    transfers = [bench.into(bench.published(f"{n}")) for n in range(7)]
    transfers.insert(4, bench.into(archived("not there")))

    outcomes = bench.stager.move_all(transfers)

    assert [type(one) for one in outcomes] == [type(None)] * 4 + [StagingError] + [type(None)] * 3
    assert "not there" in str(outcomes[4])
    assert sorted(len(one.body["DATA"]) for one in cloud.transfers()) == [1, 3, 3]
    # Many files of one folder are looked at by one request.
    assert cloud.count("GET /v0.10/operation/endpoint") == 2


def test_how_far_a_file_is_is_told_meanwhile(bench: Bench, cloud: Cloud) -> None:
    cloud.flow.clear()
    file = bench.published("large", bytes(300_000))
    move = bench.moving(bench.into(file))

    bench.context.wait_until(lambda: any(done for _, done, _ in bench.context.went))
    first = next(one for one in bench.context.went if one[1])
    assert first == (file.url, 65_536, 300_000)
    cloud.flow.set()

    assert move.ended() is None
    assert bench.context.went[-1] == (file.url, 300_000, 300_000)


def test_what_nobody_waits_for_any_more_is_cancelled(
    bench: Bench, cloud: Cloud, folders: dict[str, Path]
) -> None:
    cloud.flow.clear()
    transfer = bench.into(bench.published("large", bytes(300_000)))
    move = bench.moving(transfer)
    bench.context.wait_until(lambda: any(done for _, done, _ in bench.context.went))

    bench.context.unwanted.add(transfer.file.url)

    assert isinstance(move.ended(), StagingError)
    task = bench.task()
    eventually(lambda: task.document["nice_status"] == "CANCELED", "it goes on")
    eventually(lambda: not list(bench.tasks.iterdir()), "something is left")


def test_another_file_of_the_same_transfer_goes_on(make: Make, cloud: Cloud) -> None:
    bench = make(join_window=60, join_files=2)
    cloud.gate.clear()
    wanted, unwanted = (bench.into(bench.published(one)) for one in ("a", "b"))
    moves = [bench.moving(wanted), bench.moving(unwanted)]
    task = bench.task()

    bench.context.unwanted.add(unwanted.file.url)
    assert isinstance(moves[1].ended(), StagingError)
    cloud.gate.set()

    assert moves[0].ended() is None
    assert task.document["status"] == "SUCCEEDED"
    assert [one.name for one in bench.tasks.iterdir()] == [wanted.placed.as_path().name]


def test_a_run_that_closes_cancels_its_transfers(bench: Bench, cloud: Cloud) -> None:
    cloud.gate.clear()
    move = bench.moving(bench.into(bench.published("x")))
    task = bench.task()

    bench.stager.close()

    error = move.ended()
    assert isinstance(error, StagingError)
    assert "closing" in error.reason
    assert task.document["nice_status"] == "CANCELED"
    assert not list(bench.context.folder.glob("*.transfer"))
    assert "closing" in bench.refused(bench.into(bench.published("x"))).reason


# ------------------------------------------------------------------------------------- what remains

KILLED = """
import os, sys
from pathlib import Path
from weft.interfaces.stager import Place, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_globus.settings import Globus
from weft_globus.stager import build

url, own, folder, collection, root = sys.argv[1:]
stager = build(Globus(local_collection=collection, local_path=root, collection_path="/",
                      join_window=0, poll_interval=0.05))
stager.start(FakeContext(Path(own)))
place = Place(executor="x", folder=Path(folder), shared=False)
stager.move_all([stager.plan(Way.IN, File(one), place) for one in url.split()])
"""


def killed_run(bench: Bench, *files: File) -> Task:
    """A run that waits for files when it is killed."""
    own = bench.context.folder.parent.parent / "killed" / "stager-globus"
    own.mkdir(parents=True)
    words = [" ".join(one.url for one in files), own, bench.tasks, HOME, bench.folders[HOME]]
    with subprocess.Popen([sys.executable, "-c", KILLED, *map(str, words)]) as run:
        try:
            task = bench.task()
            eventually(
                lambda: task.id in "".join(one.read_text() for one in own.glob("*.transfer")),
                "it is not on record",
            )
        finally:
            run.kill()
    return task


def test_a_run_goes_on_with_the_transfer_of_a_killed_one(bench: Bench, cloud: Cloud) -> None:
    cloud.gate.clear()
    file = bench.published("x")
    task = killed_run(bench, file)
    place = Place(executor="other", folder=bench.tasks / "another", shared=False)
    place.folder.mkdir()

    move = bench.moving(bench.into(file, place))
    eventually(lambda: cloud.count(f"GET /v0.10/task/{task.id}") > 1, "nobody asks for it")
    cloud.gate.set()

    assert move.ended() is None
    assert bench.task() is task
    assert bench.into(file, place).placed.as_path().read_bytes() == b"content"
    records = bench.context.folder.parent.parent
    assert not list(records.glob("*/stager-globus/*.transfer"))


def test_what_a_killed_run_has_brought_is_there_for_who_asks_later(
    bench: Bench, cloud: Cloud
) -> None:
    files = [bench.published(one) for one in ("a", "b", "c")]
    cloud.gate.clear()
    task = killed_run(bench, *files)
    cloud.gate.set()

    for file in files:
        transfer = bench.into(file)
        bench.stager.move(transfer)
        assert transfer.placed.as_path().read_bytes() == b"content"

    assert bench.task() is task
    assert len(list(bench.tasks.iterdir())) == 3
    records = bench.context.folder.parent.parent
    assert not list(records.glob("*/stager-globus/*.transfer"))


def test_a_transfer_of_a_killed_run_is_not_used_once_its_file_has_changed(
    bench: Bench, cloud: Cloud, folders: dict[str, Path]
) -> None:
    file = bench.published("x")
    cloud.gate.clear()
    killed_run(bench, file)
    cloud.gate.set()
    (folders[ARCHIVE] / "x").write_bytes(b"another")
    future = 4_000_000_000
    os.utime(folders[ARCHIVE] / "x", (future, future))

    transfer = bench.into(file)
    bench.stager.move(transfer)

    assert transfer.placed.as_path().read_bytes() == b"another"
    assert len(cloud.transfers()) == 2
    bench.stager.close()
    assert list(bench.tasks.iterdir()) == [transfer.placed.as_path()]
    assert not list(bench.context.folder.glob("*.transfer"))


def test_a_run_that_lives_keeps_its_transfers(make: Make, cloud: Cloud) -> None:
    first, second = make(), make()
    cloud.gate.clear()
    file = first.published("x")
    move = first.moving(first.into(file))
    first.task()

    other = second.moving(second.into(file))
    eventually(lambda: len(cloud.transfers()) == 2, "the second run took over the first one's")
    cloud.gate.set()

    assert move.ended() is other.ended() is None


def test_an_answer_that_is_lost_makes_no_second_transfer(bench: Bench, cloud: Cloud) -> None:
    # The SDK asks once more by itself, and the second time it is the caller's turn.
    cloud.answers += [("POST /v0.10/transfer", Lost()), ("POST /v0.10/transfer", Lost())]
    transfer = bench.into(bench.published("x"))

    error = bench.refused(transfer)
    assert error.again
    assert "could not be reached" in error.reason
    bench.stager.move(transfer)

    assert cloud.count("POST /v0.10/transfer") == 3
    assert len(cloud.transfers()) == 1


def test_a_network_that_is_gone_for_a_while_costs_nothing(make: Make, cloud: Cloud) -> None:
    bench = make(outage=0)
    cloud.gate.clear()
    transfer = bench.into(bench.published("x"))
    move = bench.moving(transfer)
    task = bench.task()

    cloud.cut()
    error = move.ended()
    assert isinstance(error, StagingError)
    assert error.again
    cloud.resume()
    cloud.gate.set()
    bench.stager.move(transfer)

    assert bench.task() is task
    assert transfer.placed.as_path().read_bytes() == b"content"


# ------------------------------------------------------------------------------ what Globus says


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_service_that_is_in_trouble_may_be_asked_again(
    bench: Bench, cloud: Cloud, status: int
) -> None:
    refusal = ("POST /v0.10/transfer", Answer(status, "ServiceUnavailable", "try later"))
    cloud.answers += [refusal] * 3
    transfer = bench.into(bench.published("x"))

    first = bench.refused(transfer)
    bench.stager.move(transfer)

    assert first.again
    assert "ServiceUnavailable: try later" in first.reason
    assert "status.globus.org" in str(first)
    assert len(cloud.transfers()) == 1


def test_an_answer_in_trouble_while_a_transfer_goes_on_is_waited_out(
    bench: Bench, cloud: Cloud
) -> None:
    refusal = ("GET /v0.10/task", Answer(500, "InternalError", "no"))
    cloud.answers += [refusal] * 4

    bench.stager.move(bench.into(bench.published("x")))

    assert not cloud.answers
    assert len(cloud.transfers()) == 1


def test_a_collection_that_does_not_exist_is_said(bench: Bench) -> None:
    unknown = "dddddddd-4444-4444-8444-dddddddddddd"

    error = bench.refused(bench.into(File(f"globus://{unknown}/x")))

    assert "EndpointNotFound" in error.reason
    assert "Mend the id of the collection" in str(error)
    assert not error.again


def test_a_path_that_does_not_exist_is_said_at_once(bench: Bench, cloud: Cloud) -> None:
    error = bench.refused(bench.into(archived("not there")))

    assert "NotFound" in error.reason
    assert "Mend the path" in str(error)
    assert not error.again
    assert not cloud.transfers()


def test_a_path_that_may_not_be_read_is_said_at_once(bench: Bench, cloud: Cloud) -> None:
    file = bench.published("x")
    cloud.collections[ARCHIVE].forbidden.add("/x")

    error = bench.refused(bench.into(file))

    assert "EndpointPermissionDenied" in error.reason
    assert not error.again


def test_a_folder_is_refused(bench: Bench, folders: dict[str, Path]) -> None:
    (folders[ARCHIVE] / "folder").mkdir()

    error = bench.refused(bench.into(archived("folder")))

    assert "is no file, but 'dir'" in error.reason


def test_a_collection_that_is_paused_is_said(bench: Bench, cloud: Cloud) -> None:
    file = bench.published("x")
    cloud.collections[ARCHIVE].paused = "disks are exchanged until Monday"

    error = bench.refused(bench.into(file))

    assert "disks are exchanged until Monday" in error.reason
    assert error.again


def test_a_transfer_that_is_paused_is_waited_for_and_told_of(bench: Bench, cloud: Cloud) -> None:
    cloud.gate.clear()
    move = bench.moving(bench.into(bench.published("x")))
    bench.task()
    cloud.collections[ARCHIVE].paused = "disks are exchanged"
    cloud.gate.set()

    bench.context.wait_until(lambda: bench.context.notices)
    (level, text), *_ = bench.context.notices
    assert level == "warning"
    assert "disks are exchanged" in text
    cloud.collections[ARCHIVE].paused = ""

    assert move.ended() is None


def test_a_transfer_that_stays_paused_is_ended(make: Make, cloud: Cloud) -> None:
    bench = make(outage=0)
    cloud.gate.clear()
    move = bench.moving(bench.into(bench.published("x")))
    task = bench.task()
    cloud.collections[ARCHIVE].paused = "disks are exchanged"
    cloud.gate.set()

    error = move.ended()

    assert isinstance(error, StagingError)
    assert "PAUSED_BY_ADMIN" in error.reason
    assert error.again
    assert f"https://app.globus.org/activity/{task.id}" in str(error)
    assert task.document["nice_status"] == "CANCELED"


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "FILE_NOT_FOUND"])
def test_what_stays_so_ends_a_transfer_with_the_words_of_the_service(
    bench: Bench, cloud: Cloud, code: str
) -> None:
    file = bench.published("x")
    cloud.faults["/x"] = code

    error = bench.refused(bench.into(file))

    assert f"Globus says {code}: Command failed: RETR /x 500 no." in error.reason
    assert "had stood still for 0.2 s" in error.reason
    assert not error.again
    assert bench.task().document["status"] == "FAILED"
    assert not list(bench.tasks.iterdir())


def test_a_quota_ends_a_transfer(bench: Bench, cloud: Cloud) -> None:
    file = bench.published("x")
    cloud.faults["*.part"] = "QUOTA_EXCEEDED"

    error = bench.refused(bench.into(file))

    assert "QUOTA_EXCEEDED" in error.reason
    assert "Make room" in str(error)


def test_of_files_that_fail_together_each_is_told_what_became_of_it(
    bench: Bench, cloud: Cloud
) -> None:
    transfers = [bench.into(bench.published(one)) for one in ("a", "b", "c", "d", "e")]
    cloud.faults["/d"] = "PERMISSION_DENIED"

    first, second, third, guilty, innocent = bench.stager.move_all(transfers)

    # More than the service tells on one page.
    assert first is second is third is None
    assert all(one.placed.as_path().read_bytes() == b"content" for one in transfers[:3])
    assert isinstance(guilty, StagingError)
    assert not guilty.again
    assert "PERMISSION_DENIED" in guilty.reason
    assert isinstance(innocent, StagingError)
    assert innocent.again
    assert "in one transfer with a file that failed" in innocent.reason
    assert len(list(bench.tasks.iterdir())) == 3
    bench.stager.move(transfers[4])


def test_a_file_that_arrived_is_there_whatever_became_of_its_transfer(
    bench: Bench, cloud: Cloud, folders: dict[str, Path]
) -> None:
    cloud.ending = "ENDPOINT_ERROR"
    transfer = bench.into(bench.published("x"), bench.site)

    bench.stager.move(transfer)

    names = [one.name for one in (folders[SITE] / "weft").iterdir()]
    assert names == [Path(transfer.placed.filepath).name]


def test_nothing_is_left_at_a_site_of_what_nobody_waits_for(
    bench: Bench, cloud: Cloud, folders: dict[str, Path]
) -> None:
    cloud.flow.clear()
    transfer = bench.into(bench.published("large", bytes(300_000)), bench.site)
    move = bench.moving(transfer)
    bench.context.wait_until(lambda: any(done for _, done, _ in bench.context.went))
    assert len(list((folders[SITE] / "weft").iterdir())) == 1

    bench.context.unwanted.add(transfer.file.url)

    assert isinstance(move.ended(), StagingError)
    eventually(lambda: not list((folders[SITE] / "weft").iterdir()), "something is left")


def test_a_transfer_that_somebody_cancels_is_not_begun_again(bench: Bench, cloud: Cloud) -> None:
    cloud.gate.clear()
    move = bench.moving(bench.into(bench.published("x")))

    bench.task().cancelled.set()

    error = move.ended()
    assert isinstance(error, StagingError)
    assert "Somebody has cancelled the transfer" in error.reason
    assert not error.again


def test_a_collection_that_cannot_rename_over_a_file_is_said(
    bench: Bench, cloud: Cloud, folders: dict[str, Path]
) -> None:
    (folders[ARCHIVE] / "x").write_bytes(b"of an earlier run")
    cloud.collections[ARCHIVE].replaces = False

    error = bench.refused(bench.made("x"))

    assert "could not be renamed" in error.reason
    assert "rename=False" in str(error)
    assert [one.name for one in folders[ARCHIVE].iterdir()] == ["x"]
    assert (folders[ARCHIVE] / "x").read_bytes() == b"of an earlier run"


def test_without_renaming_a_file_is_written_where_it_is_to_be(
    make: Make, cloud: Cloud, folders: dict[str, Path]
) -> None:
    bench = make(rename=False)
    (folders[ARCHIVE] / "x").write_bytes(b"of an earlier run")
    cloud.collections[ARCHIVE].replaces = False

    bench.stager.move(bench.made("x"))

    assert (folders[ARCHIVE] / "x").read_bytes() == b"result"
    body = bench.task().body
    assert body["sync_level"] == 3
    assert body["verify_checksum"] is True
    assert body["skip_source_errors"] is False
    assert not any(body[f"notify_on_{one}"] for one in ("succeeded", "failed", "inactive"))
    assert body["label"].startswith("weft ")
    assert body["deadline"]


def test_a_file_is_known_again_by_its_time_and_size(bench: Bench, folders: dict[str, Path]) -> None:
    file = bench.published("x")
    path = folders[ARCHIVE] / "x"

    before, again = bench.stager.validator(file), bench.stager.validator(file)
    path.write_bytes(b"another")
    fresh = bench.stager.validator(file)
    os.utime(path, (1_600_000_000, 1_600_000_001))
    after = bench.stager.validator(file)

    assert before == again == "2020-09-13 12:26:40+00:00-7"
    assert fresh is None, "it may change once more within the second"
    assert after not in {None, before}
    with pytest.raises(StagingError, match="NotFound"):
        bench.stager.validator(archived("not there"))


# --------------------------------------------------------------------------------------- who may


def test_a_token_that_has_expired_is_renewed(bench: Bench, cloud: Cloud) -> None:
    cloud.access.clear()
    before = cloud.count("POST /v2/oauth2/token")

    bench.stager.move(bench.into(bench.published("x")))

    assert cloud.count("POST /v2/oauth2/token") == before + 1


def test_tokens_that_were_revoked_are_said_with_the_command(bench: Bench, cloud: Cloud) -> None:
    cloud.revoke_all()

    error = bench.refused(bench.into(bench.published("x")))

    assert "revoked" in error.reason
    assert "Run 'weft globus login'." in str(error)
    assert not error.again


def test_tokens_that_are_revoked_in_the_middle_lose_no_transfer(
    make: Make, cloud: Cloud, login: Callable[[], None]
) -> None:
    bench = make()
    cloud.gate.clear()
    transfer = bench.into(bench.published("x"))
    move = bench.moving(transfer)
    task = bench.task()
    cloud.revoke_all()
    error = move.ended()
    assert isinstance(error, StagingError)
    assert "weft globus login" in str(error)
    bench.stager.close()
    assert "could not be cancelled" in bench.context.notices[-1][1]

    login()
    cloud.gate.set()
    again = make()
    again.stager.move(again.into(transfer.file))

    assert again.task() is task


def test_who_is_not_logged_in_is_told_the_command(make: Make, tmp_path: Path, cloud: Cloud) -> None:
    mine = make(tokens=str(tmp_path / "none.db"))
    named = make(tokens=str(tmp_path / "none.db"), client_id="1234abcd-1111-4111-8111-111111111111")

    for bench, command in (
        (mine, "weft globus login'"),
        (named, "weft globus login --client-id 1234abcd-1111-4111-8111-111111111111'"),
    ):
        error = bench.refused(bench.into(bench.published("x")))
        assert "Nobody is logged in to Globus." in error.reason
        assert command in str(error)
    assert not cloud.count("GET /v2/oauth2/authorize") - 1  # that of the fixture


def test_without_an_app_it_is_said_where_to_register_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEFT_GLOBUS_CLIENT_ID")

    error = bench.refused(bench.into(bench.published("x")))

    assert "No app is known" in error.reason
    assert "app.globus.org/settings/developers" in str(error)


def test_tokens_that_others_may_read_are_not_used(bench: Bench, tmp_path: Path) -> None:
    (tokens,) = (tmp_path / "person").rglob("tokens.db")
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    assert stat.S_IMODE(tokens.parent.stat().st_mode) == 0o700
    tokens.chmod(0o644)

    error = bench.refused(bench.into(bench.published("x")))

    assert "Others may read" in error.reason
    assert f"chmod 600 {tokens}" in str(error)


def test_a_consent_that_is_missing_is_said_with_the_command(bench: Bench, cloud: Cloud) -> None:
    cloud.collections[ARCHIVE].consent = True

    error = bench.refused(bench.into(bench.published("x")))

    assert "ConsentRequired" in error.reason
    assert f"Run 'weft globus login --collection {ARCHIVE}'." in str(error)
    assert not error.again


def test_a_login_that_a_collection_wants_anew_is_said_with_the_command(
    bench: Bench, cloud: Cloud
) -> None:
    wanted = {
        "session_message": "Log in with your account of the institute",
        "session_required_single_domain": ["institute.example.org"],
    }
    refusal = Answer(403, "AuthorizationRequired", "no", authorization_parameters=wanted)
    cloud.answers.append(("GET /v0.10/operation", refusal))

    error = bench.refused(bench.into(bench.published("x")))

    assert "Log in with your account of the institute" in error.reason
    assert f"Run 'weft globus login --collection {ARCHIVE}'." in str(error)
    assert not error.again


def test_a_service_logs_in_by_itself_and_agrees_to_what_is_asked(
    make: Make, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_GLOBUS_CLIENT_ID", SERVICE)
    monkeypatch.setenv("WEFT_GLOBUS_CLIENT_SECRET", SECRET)
    cloud.collections[ARCHIVE].consent = True
    bench = make()

    bench.stager.move(bench.into(bench.published("x")))

    assert (SERVICE, ARCHIVE) in cloud.consents


def test_a_secret_that_is_wrong_is_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_GLOBUS_CLIENT_ID", SERVICE)
    monkeypatch.setenv("WEFT_GLOBUS_CLIENT_SECRET", "another")
    bench = make()

    error = bench.refused(bench.into(bench.published("x")))

    assert "WEFT_GLOBUS_CLIENT_SECRET" in str(error)
    assert "another" not in str(error)
    assert not error.again
