"""Reading event logs: whole, while they are written, and those of other versions."""

from pathlib import Path
from typing import Any

import pytest

from weft.errors import EventLogError
from weft.eventlog.columns import Symbol
from weft.eventlog.format import chunks_of, header_line
from weft.eventlog.reader import EventLogReader, OtherEvent, read_events
from weft.eventlog.writer import NAME, EventLogWriter
from weft.values.blocks import BlockState
from weft.values.events import BlockChanged, Notice, RunStarted, TaskMoved, TaskSubmitted
from weft.values.message import as_mapping, message
from weft.values.states import TaskState


def notice(number: int) -> Notice:
    return Notice(float(number), "info", "test", f"notice {number}")


def writer(folder: Path) -> EventLogWriter:
    return EventLogWriter(folder / NAME, {}, pytest.fail)


def numbers(events: Any) -> list[int]:
    return [int(event.time) for event in events]


def test_events_come_back_as_objects_of_their_classes(tmp_path: Path) -> None:
    events = [
        RunStarted(1.0, "id", "folder", "script.py", "0.1"),
        TaskSubmitted(2.0, 0, "app", ()),
        TaskMoved(3.0, 0, "app", TaskState.LAUNCHED, 1, "threads"),
        BlockChanged(4.0, "htex", "b-1", "77", BlockState.READY, "", 1, None),
        BlockChanged(4.5, "htex", "b-2", "78", BlockState.ENDED, "done", 0, 0),
        TaskSubmitted(5.0, 1, "app", (0,)),
    ]
    log = writer(tmp_path)
    log.write(events)
    log.close()
    back = list(read_events(tmp_path / NAME))
    assert [type(one) for one in back] == [type(one) for one in events]
    assert [as_mapping(one) for one in back] == [as_mapping(one) for one in events]
    assert type(back[2].state) is TaskState
    assert type(back[3].state) is BlockState


def test_a_log_is_followed_without_a_gap_and_without_anything_twice(tmp_path: Path) -> None:
    whole = header_line({}) + b"".join(
        chunk for number in range(30) for chunk in chunks_of([notice(number)], number)
    )
    for step in (1, 7, 33, 1000):
        path = tmp_path / f"{step}.weft"
        with path.open("wb", buffering=0) as file:
            file.write(whole[:5])
            seen = []
            with EventLogReader(path) as reader:
                for at in range(5, len(whole), step):
                    file.write(whole[at : at + step])
                    seen += numbers(reader.new())
                    assert seen == list(range(len(seen)))
                assert seen == list(range(30))
                assert numbers(reader.new(final=True)) == []
                assert (reader.missing, reader.skipped) == (0, 0)


def test_a_run_that_writes_as_fast_as_it_is_read_holds_no_reader_up(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.write([notice(0)])
    with EventLogReader(tmp_path) as reader:
        seen = []
        for event in reader.new():
            seen.append(event)
            assert len(seen) < 10
            log.write([notice(len(seen))])
        assert numbers(seen) == [0]
        assert numbers(reader.new()) == [1]
    log.close()


def test_several_logs_are_read_one_after_the_other(tmp_path: Path) -> None:
    for name, first in (("0000", 1), ("0001", 3)):
        (tmp_path / name).mkdir()
        log = writer(tmp_path / name)
        log.write([notice(first), notice(first + 1)])
        log.close()
    assert numbers(read_events(tmp_path / "0000", tmp_path / "0001" / NAME)) == [1, 2, 3, 4]


def test_a_file_that_was_written_in_two_goes_is_one_log(tmp_path: Path) -> None:
    for number in (1, 2):
        log = writer(tmp_path)
        log.write([notice(number)])
        log.close()
    with EventLogReader(tmp_path) as reader:
        assert numbers(reader.new(final=True)) == [1, 2]
        assert (reader.missing, reader.skipped) == (0, 0)


def newer(name: str, **fields: Any) -> Any:
    """An event as another version of weft may have it."""
    space = {"__annotations__": dict.fromkeys(fields, "Any"), "__module__": __name__}
    return message(type(name, (), space))(**fields)


def test_a_log_of_a_newer_weft_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.write(
        [
            newer("Notice", time=1.0, mood="good", level="info", source="x", text="y"),
            newer("ManagerDreamt", time=2.0, of=("sheep",)),
            newer("Timeless", of=3),
            newer("TaskMoved", time=4.0, id=7, app="f", state=Symbol("TaskState", "asleep")),
        ]
    )
    log.close()
    first, second, third, fourth = read_events(tmp_path)
    assert as_mapping(first) == {"time": 1.0, "level": "info", "source": "x", "text": "y"}
    assert second == OtherEvent(2.0, "ManagerDreamt", {"time": 2.0, "of": ("sheep",)})
    assert third == OtherEvent(0.0, "Timeless", {"of": 3})
    assert (type(fourth), str(fourth.state)) == (TaskMoved, "asleep")


def test_a_log_of_an_older_weft_has_defaults_for_what_it_lacks(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.write(
        [
            newer("TaskMoved", time=1.0, id=7, app="f", state=TaskState.LAUNCHED),
            newer("TaskMoved", time=1.0, id=7),
        ]
    )
    log.close()
    first, second = read_events(tmp_path)
    assert as_mapping(first) == as_mapping(TaskMoved(1.0, 7, "f", TaskState.LAUNCHED))
    assert isinstance(second, OtherEvent)


def test_a_log_of_another_major_is_refused(tmp_path: Path) -> None:
    line = header_line({"weft": "9.1"})
    import zlib

    said = line[line.index(b"{") : -1]
    line = b"weft event log 2.0 %08x %s\n" % (zlib.crc32(said + b"2.0"), said)
    (tmp_path / NAME).write_bytes(line)
    with pytest.raises(EventLogError, match=r"format 2\.0") as caught:
        EventLogReader(tmp_path)
    assert "9.1" in caught.value.todo


def test_a_damaged_first_line_costs_nothing_else(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.write([notice(1)])
    log.close()
    data = bytearray((tmp_path / NAME).read_bytes())
    for at in range(data.index(b"\n") + 1):
        broken = data.copy()
        broken[at] ^= 0x10
        (tmp_path / NAME).write_bytes(broken)
        with EventLogReader(tmp_path) as reader:
            assert numbers(reader.new(final=True)) == [1]
            assert reader.header is None


@pytest.mark.parametrize("content", [b"hello\n", b"\x00" * 9000, b"[monitor]\nx = 1\n"])
def test_what_is_no_log_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(EventLogError, match="no event log"):
        list(read_events(tmp_path))


def test_a_log_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match="no such file"):
        EventLogReader(tmp_path)


def test_an_empty_log_has_no_events_yet(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    with EventLogReader(tmp_path) as reader:
        assert list(reader.new()) == []
        log = writer(tmp_path)
        log.write([notice(1)])
        log.close()
        assert numbers(reader.new()) == [1]


def test_chunks_that_make_no_sense_are_counted(tmp_path: Path) -> None:
    from weft.eventlog import format as form

    log = writer(tmp_path)
    log.write([notice(1)])
    log.close()
    with (tmp_path / NAME).open("ab") as file:
        file.write(form._chunk(b"no body", 1))
        file.write(b"".join(chunks_of([notice(2)], 2)))
    with EventLogReader(tmp_path) as reader:
        assert numbers(reader.new(final=True)) == [1, 2]
        assert reader.missing == 1
