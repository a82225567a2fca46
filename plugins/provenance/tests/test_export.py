"""What is exported of a run: what its log says, in both formats, and nothing else."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from prov.model import (
    ProvActivity,
    ProvDocument,
    ProvEntity,
    ProvGeneration,
    ProvRecord,
    ProvUsage,
)

import weft
from weft.errors import WeftError
from weft.eventlog.writer import NAME, EventLogWriter
from weft.values.events import (
    Event,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import TaskState
from weft_provenance.addresses import address
from weft_provenance.cli import main

BOUND = 60.0
ODD = "naïve — 数据 <b> 'q' \" \\ \0 \x1b[2J \ud800 }{ %s"
LAUNCHED, DONE, FAILED = TaskState.LAUNCHED, TaskState.DONE, TaskState.FAILED


def written(folder: Path, events: list[Event], about: str = "the-run") -> Path:
    """A run folder with a log of these events."""
    folder.mkdir(parents=True)
    log = EventLogWriter(folder / NAME, {"run": about}, pytest.fail)
    for first in range(0, len(events), 500):
        log.write(events[first : first + 500])
    log.close()
    return folder


def began(cwd: str = "/data") -> RunStarted:
    command = ("python", "my script.py")
    return RunStarted(
        10.0, "the-run", "/runs/1", "my script.py", "0.1", "node1", "me", 7, "3.11.7", command, cwd
    )


def story(cwd: str = "/data") -> list[Event]:
    """Four tasks: one is well, one at its second try, one fails, and one for its sake."""
    return [
        began(cwd),
        TaskSubmitted(11.0, 0, "first", (), ("in put#1.txt", "s3://me:secret@bucket/a b"), ("o/",)),
        TaskMoved(12.0, 0, "first", LAUNCHED, 1, "cpu"),
        TaskMoved(13.0, 0, "first", DONE, 1, place="worker 1 on node7"),
        TaskSubmitted(14.0, 1, ODD, (0, 0)),
        TaskMoved(15.0, 1, ODD, LAUNCHED, 1, "cpu"),
        TryEnded(16.0, 1, ODD, 1, "cpu", "lost", f"lost {ODD}", 0.1),
        TaskMoved(17.0, 1, ODD, LAUNCHED, 2, "cpu"),
        TaskMoved(18.0, 1, ODD, DONE, 2),
        TaskSubmitted(18.0, 2, "fails", (1,), ("o/",), ("never.txt",)),
        TaskMoved(19.0, 2, "fails", LAUNCHED, 1, "cpu"),
        TaskMoved(20.0, 2, "fails", FAILED, 1, "", f"ValueError: {ODD}"),
        TaskSubmitted(18.0, 3, "first", (2,)),
        TaskMoved(20.0, 3, "first", FAILED, 0, "", "task 2 failed"),
        RunEnded(21.0, "the-run", 2, 2, 0),
    ]


def exported(folder: Path, target: Path, kind: str = "ro-crate", *more: str) -> Path:
    assert main([str(folder), str(target), f"--as={kind}", *more]) == 0
    return target


def graph_of(metadata: str | bytes) -> dict[str, dict[str, Any]]:
    """The entities by their names; each is there once, and each that is spoken of is there."""
    graph = json.loads(metadata)["@graph"]
    entities = {one["@id"]: one for one in graph}
    assert len(entities) == len(graph)
    spoken = {
        ref["@id"]
        for one in graph
        for value in one.values()
        for ref in (value if isinstance(value, list) else [value])
        if isinstance(ref, dict)
    }
    outside = {"https://w3id.org/ro/crate/1.1"}
    assert spoken - set(entities) == outside
    return entities


def crate_of(folder: Path) -> dict[str, dict[str, Any]]:
    return graph_of((folder / "ro-crate-metadata.json").read_bytes())


def ids(value: Any) -> set[str]:
    return {one["@id"] for one in (value if isinstance(value, list) else [value])}


# ---------------------------------------------------------------------------------------- crates


def test_a_crate_says_what_the_events_say(tmp_path: Path) -> None:
    cwd = tmp_path / "work"
    cwd.mkdir()
    (cwd / "my script.py").write_text("print('hello')")
    folder = written(tmp_path / "0001", story(str(cwd)))
    there = exported(folder, tmp_path / "crate")
    crate = crate_of(there)

    assert (there / "script" / "my script.py").read_text() == "print('hello')"
    assert (there / NAME).read_bytes() == (folder / NAME).read_bytes()
    script = crate["script/my%20script.py"]
    assert "ComputationalWorkflow" in script["@type"]
    assert ids(script["hasPart"]) == {"#app-0", "#app-1", "#app-2"}
    assert crate["https://www.python.org/"]["version"] == "3.11.7"
    assert crate["#weft"]["softwareVersion"] == "0.1"
    assert crate["#agent"]["name"] == "me"
    assert "2 of 4 tasks failed" in crate["#run"]["error"]
    assert crate["#run"]["startTime"] == "1970-01-01T00:00:10.000+00:00"
    assert crate["#run"]["endTime"] == "1970-01-01T00:00:21.000+00:00"

    source = f"file://{cwd}/in%20put%231.txt"
    first = crate["#task-0"]
    assert (first["startTime"], first["endTime"]) == (
        "1970-01-01T00:00:12.000+00:00",
        "1970-01-01T00:00:13.000+00:00",
    )
    assert first["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert ids(first["object"]) == {source, "s3://bucket/a%20b"}
    assert ids(first["result"]) == {f"file://{cwd}/o/", "#result-0"}
    assert crate[f"file://{cwd}/o/"]["@type"] == "Dataset"
    assert "worker 1 on node7" in first["description"]
    assert ids(crate["#task-1"]["object"]) == {"#result-0"}
    assert "Tries: 2" in crate["#task-1"]["description"]
    assert "Lost: lost naïve" in crate["#task-1"]["description"]

    failed = crate["#task-2"]
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert failed["error"].startswith("ValueError: naïve — 数据 <b>")
    assert "result" not in failed  # it was to make a file, and did not
    assert "never" not in json.dumps(crate)
    last = crate["#task-3"]
    assert "startTime" not in last
    assert last["description"] == "It was not launched."
    # A place of another's, and a way in, are not for everybody.
    assert "secret" not in json.dumps(crate)


def test_what_is_not_there_is_said_and_not_made_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "0001", story()[1:-1])
    there = exported(folder, tmp_path / "crate")
    crate = crate_of(there)
    assert "not to be found" in (there / "script" / "NOT-HERE.txt").read_text()
    assert "It is not here" in crate["script/NOT-HERE.txt"]["description"]
    assert "version" not in crate["https://www.python.org/"]
    assert crate["#agent"]["name"] == "not recorded"
    assert crate["./"]["identifier"] == "the-run"
    assert crate["./"]["license"].startswith("None was stated")
    assert "broken off" in crate["./"]["description"]
    assert "actionStatus" not in crate["#run"]
    assert "endTime" not in crate["#run"]
    assert "does not say that the run has ended" in capsys.readouterr().out


def test_a_damaged_log_gives_a_crate_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "0001"
    folder.mkdir()
    log = EventLogWriter(folder / NAME, {"run": "the-run"}, pytest.fail)
    for event in story():
        log.write([event])
    log.close()
    data = bytearray((folder / NAME).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / NAME).write_bytes(data)
    crate = crate_of(exported(folder, tmp_path / "crate"))
    assert "1 chunks are missing" in crate["./"]["description"]
    assert "1 chunks are missing" in capsys.readouterr().err
    made = ProvDocument.deserialize(exported(folder, tmp_path / "p.json", "prov"), format="json")
    assert "chunks are missing" in str(made.get_provn())


def test_an_archive_holds_the_same(tmp_path: Path) -> None:
    folder = written(tmp_path / "0001", story())
    target = exported(folder, tmp_path / "crate.zip", "ro-crate", "--license=https://l.org/by/4.0/")
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {
            "ro-crate-metadata.json", "script/NOT-HERE.txt", NAME,
        }  # fmt: skip
        crate = graph_of(archive.read("ro-crate-metadata.json"))
    assert crate["./"]["license"] == {"@id": "https://l.org/by/4.0/"}


def test_without_names_nobody_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "0001", story("/home/heloise/secret"))
    there = exported(folder, tmp_path / "crate", "ro-crate", "--anonymous")
    crate_of(there)
    assert sorted(one.name for one in there.iterdir()) == ["ro-crate-metadata.json", "script"]
    for target, kind in ((there / "ro-crate-metadata.json", ""), (tmp_path / "p.json", "prov")):
        if kind:
            exported(folder, target, kind, "--anonymous")
        text = target.read_text()
        for hidden in ("heloise", "node1", "node7", '"me"', "python my script"):
            assert hidden not in text


def test_nothing_is_overwritten_and_nothing_half_is_left(tmp_path: Path) -> None:
    folder = written(tmp_path / "0001", story())
    target = tmp_path / "there.zip"
    target.write_text("mine")
    with pytest.raises(WeftError, match="is there already"):
        main([str(folder), str(target), "--as=ro-crate"])
    assert target.read_text() == "mine"
    for kind, name in (("ro-crate", "a"), ("ro-crate", "a.zip"), ("prov", "a.json")):
        with pytest.raises(WeftError, match="cannot be written") as raised:
            main([str(folder), str(tmp_path / "no folder" / name), f"--as={kind}"])
        assert "No such file" in raised.value.why
    assert sorted(one.name for one in tmp_path.iterdir()) == ["0001", "there.zip"]


def test_a_run_of_ten_thousand_tasks(tmp_path: Path) -> None:
    events: list[Event] = [began()]
    for task in range(10_000):
        needs = (task - 1, task // 2) if task else ()
        events += [
            TaskSubmitted(11.0, task, f"app-{task % 7}", needs),
            TaskMoved(12.0, task, "", LAUNCHED, 1, "cpu"),
            TaskMoved(13.0, task, "", DONE, 1),
        ]
    folder = written(tmp_path / "0001", [*events, RunEnded(21.0, "the-run", 10_000, 0, 0)])
    crate = crate_of(exported(folder, tmp_path / "crate"))
    assert sum(name.startswith("#task-") for name in crate) == 10_000
    assert len(crate) < 20_000 + 50
    assert crate["#task-9999"]["object"] == [{"@id": "#result-9998"}, {"@id": "#result-4999"}]


# ------------------------------------------------------------------------------------------ PROV


def records(document: ProvDocument, kind: type[ProvRecord]) -> list[Any]:
    return list(document.get_records(kind))


def of(record: ProvRecord, number: int) -> str:
    """What a relation is about: its first or second end."""
    return str(record.formal_attributes[number][1])


@pytest.fixture
def document(tmp_path: Path) -> ProvDocument:
    folder = written(tmp_path / "0001", story())
    return ProvDocument.deserialize(exported(folder, tmp_path / "p.json", "prov"), format="json")


def test_prov_is_read_back_as_it_was_written(tmp_path: Path, document: ProvDocument) -> None:
    again = document.serialize(format="json")
    assert ProvDocument.deserialize(content=again, format="json") == document
    text = exported(tmp_path / "0001", tmp_path / "p.provn", "prov").read_text()
    assert text.startswith("document\n")
    assert text.rstrip().endswith("endDocument")
    assert len(text.splitlines()) == len(document.get_provn().splitlines())


def test_prov_keeps_the_constraints_of_prov(document: ProvDocument) -> None:
    activities = {str(one.identifier): one for one in records(document, ProvActivity)}
    assert set(activities) == {"run:run", *(f"run:task-{number}" for number in range(4))}
    for one in activities.values():
        begun, ended = one.get_startTime(), one.get_endTime()
        assert begun is None or ended is None or begun <= ended
    entities = {str(one.identifier) for one in records(document, ProvEntity)}
    makers = [(of(one, 0), of(one, 1)) for one in records(document, ProvGeneration)]
    assert len({entity for entity, _ in makers}) == len(makers)  # made once
    made_by = dict(makers)
    for one in records(document, ProvUsage):
        activity, entity = of(one, 0), of(one, 1)
        assert activity in activities
        assert entity in entities
        if entity in made_by:  # what is used was made before
            maker = activities[made_by[entity]]
            assert maker.get_endTime() <= activities[activity].get_startTime()
            assert int(made_by[entity].rpartition("-")[2]) < int(activity.rpartition("-")[2])
    assert made_by["run:result-0"] == "run:task-0"
    assert "run:result-2" not in entities  # it failed


# --------------------------------------------------------------------------------- all the way


def test_a_run_of_a_session_is_exported(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("in")

    @weft.python_app
    def copy(source: weft.File, outputs: tuple[weft.File, ...]) -> None:
        Path(outputs[0]).write_bytes(Path(source).read_bytes())

    run_dir = tmp_path / "runs"
    with weft.load(weft.Config(run_dir=run_dir)):
        first = copy(weft.File(tmp_path / "in.txt"), outputs=(weft.File(tmp_path / "a.txt"),))
        first.result(BOUND)
        copy(first.outputs[0], outputs=(weft.File(tmp_path / "b.txt"),)).result(BOUND)
    target = tmp_path / "crate"
    assert main(["latest", str(target), "--as=ro-crate", f"--run-dir={run_dir}"]) == 0
    crate = crate_of(target)
    # A path that is local is a URL of this machine, and one that tasks passed on is the same.
    a, b, source = (address(str(tmp_path / name), "") for name in ("a.txt", "b.txt", "in.txt"))
    assert a in ids(crate["#task-0"]["result"])
    assert ids(crate["#task-1"]["object"]) == {a, "#result-0"}
    assert ids(crate["#run"]["object"]) == {source}
    assert {a, b} <= ids(crate["#run"]["result"])
    assert crate["#run"]["actionStatus"] == "http://schema.org/CompletedActionStatus"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("a b.txt", "file:///data/a%20b.txt"),
        ("/x/../y#1", "file:///x/../y%231"),
        ("https://me:pw@host:81/a b?q=1#f", "https://host:81/a%20b?q=1"),
        ("s3://bucket/数据", "s3://bucket/%E6%95%B0%E6%8D%AE"),
        ("odd://host/%41", "odd://host/%41"),
    ],
)
def test_addresses(named: str, expected: str) -> None:
    assert address(named, "/data") == expected
