"""Reading event logs: whole, while they are written, and those of other versions."""

import base64
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from weft.errors import EventLogError
from weft.eventlog.columns import Symbol
from weft.eventlog.format import chunks_of, header_line
from weft.eventlog.reader import EventLogReader, OtherEvent, read_events
from weft.eventlog.writer import NAME, EventLogWriter
from weft.values.blocks import BlockState
from weft.values.events import (
    BEGUN,
    DONE,
    SHORT_FORMS,
    BlockChanged,
    Notice,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
)
from weft.values.message import as_mapping, message
from weft.values.states import TaskState

_OLD = (
    "cV%XDAZ2!CZge1QZ)YGeE-)Z7H83|fH#TA*dm?3aWo~qHB03-<F)lJ9EFdCxWoC3DIv^r2E-@}JA}k;xa&>MZIv^"
    "rxWFmbE_jg4x000002?78BUvLtKyN(uA2><{90{{d70RjO60RjO63II}dZc}t&a&%>63jhHC000C4bZKp60{{R30"
    "002+KL!ADb#7m2WD5cS003!Z1^{MnY-D9}3kCoH0A_D&WMy&(0B~||XL4a}3kd)K0CQt<X>fEdaCr;>cV%XDUv_1"
    "3b7^mG3j+WE05C2w1ORAnb94&<0001J1ORn&WpWDv0001W0|0PoWC#ZU00000000I6aCvlSZ*B_)0000pE-^7KHw"
    "OS?Z*6U1Ze$J!0ssI2000003IqlT4*&oFaCvlSZ*FsAa%pgME^v7R0AqJ#3jqKC051&yRAF;#Q*~l(X>@dDWCQ>N"
    "000040CZ_>WdZ;I0000006+i$000002tWV;000005I_I`000006hHz1X=DTd0RjU90AX-&3j+WE0AX-&1psbkWn^"
    ";>1ONa40t5g82>?`Kb8Ag+c4cG-00aO400aPZX>DZ!000000006&00000000U=00000000p{00000000$00sv`b1"
    "ONd70|NkIaBvF)0001CaBu|xb97;JWe^DfRAF;#Q*>c;WdQ&H015~Q00000000080001NVRdd}Xk}yw000000000"
    "02LNGobY*RDbO-?e00000000O8Wq4&{b#!lX3kLuI0CZ?_WnpA<1^{GbbYW?13jhEB0QYxAF#!Mo0IUH30BP%acr"
    "2XzlLY_(00IC6000000SN$9VRLIuZ+2y53IGHE000C4bZKp60ssI20000SKmY&$0000WKmY&$0000YKmY&$0000a"
    "Kmq`1WCQ>K0s{j8VQ_E@0{{R3VQ_E-0CRL<bY&0;090XfYg2S#bY%hn000UE1O^HK003lfZe?a+X>4U=1ONa40S5"
    "qKbaZ8HaC8U(00000000080A+Y(V|8?Iati<e000I6WMy<=X>1Gv0000A1ON^W00011VQh6}MRIa)aylSxZv+4U0"
    "09L6aBN{?WeWuW003}oVPj<l0Agilb#4Lx0000000=+;0000001!X`0000002Dv~0000002n|A0CQzyZ*F9B0ssI"
    "20002sKL7v#0002sKL7v#0002sKL7v#0002cKL`L)b#6s&WMyOq0096100aPZX>DZ#00000001UH1^{w(ZeM9+3j"
    "zQD0BK|d0Az1&We5WR00000000I6W?^Y;Wn>5e00000000090ApcpV`Xe?Wn>5d000000000B0Bmn_bYEq5Wo~qH"
    "2mk;80000000"
)
"""A log as it was written with version 1.2 of the events, when there were no short forms."""


def same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether events are of equal classes with equal fields, in one order."""
    shown = [[(type(event), as_mapping(event)) for event in events] for events in (one, other)]
    return shown[0] == shown[1]


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


def test_short_forms_come_back_as_the_events_that_they_stand_for(tmp_path: Path) -> None:
    told: list[Any] = [
        (BEGUN, 2.0, 0, "app", "threads"),
        (BEGUN, 2.5, 1, "other", "htex"),
        TaskSubmitted(3.0, 2, "app", (0, 1)),
        (DONE, 4.0, 1, "other", 1, "node", 2.75, 1.25),
        (TaskMoved, 5.0, 0, "app", TaskState.FAILED, 1, "", "bad"),
        (DONE, 6.0, 2, "app", 2, "", 0.0, None),
    ]
    log = writer(tmp_path)
    log.write(told)
    for one in told:  # where a chunk has one table, there is another way through the reader
        log.write([one])
    log.close()

    meant = [
        TaskSubmitted(2.0, 0, "app", ()),
        TaskMoved(2.0, 0, "app", TaskState.LAUNCHED, 1, "threads"),
        TaskSubmitted(2.5, 1, "other", ()),
        TaskMoved(2.5, 1, "other", TaskState.LAUNCHED, 1, "htex"),
        TaskSubmitted(3.0, 2, "app", (0, 1)),
        TaskMoved(4.0, 1, "other", TaskState.DONE, 1, "", "", "node", 2.75, 1.25),
        TaskMoved(5.0, 0, "app", TaskState.FAILED, 1, "", "bad"),
        TaskMoved(6.0, 2, "app", TaskState.DONE, 2),
    ]
    assert same(list(read_events(tmp_path)), [*meant, *meant])


def test_a_short_form_that_lacks_a_value_is_passed_on_as_it_is(tmp_path: Path) -> None:
    kind = message(type("TaskDone", (), {"__annotations__": {"time": float, "id": int}}))
    log = writer(tmp_path)
    log.write([kind(1.5, 3)])
    log.close()
    assert list(read_events(tmp_path)) == [OtherEvent(1.5, DONE, {"time": 1.5, "id": 3})]


def test_a_byte_that_flips_in_short_forms_costs_their_chunk_alone(tmp_path: Path) -> None:
    chunks: list[bytes] = []
    for number in range(5):
        begun = [(BEGUN, float(number), 9 * number + one, "app", "threads") for one in range(9)]
        done = [(DONE, number + 0.5, *row[2:4], 1, "here", 0.5, 0.25) for row in begun]
        chunks += chunks_of([*begun, *done], number)
    whole, random = header_line({}) + b"".join(chunks), Random(5)
    for _ in range(40):
        hit = random.randrange(5)
        at = len(header_line({})) + sum(map(len, chunks[:hit])) + random.randrange(len(chunks[hit]))
        broken = bytearray(whole)
        broken[at] ^= 1 << random.randrange(8)
        (tmp_path / NAME).write_bytes(broken)
        left = [event for event in read_events(tmp_path) if isinstance(event, TaskSubmitted)]
        assert [event.id for event in left] == [n for n in range(45) if n // 9 != hit]


def test_a_log_from_before_there_were_short_forms_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(base64.b85decode(_OLD))
    with EventLogReader(tmp_path) as reader:
        assert reader.header is not None
        assert reader.header.about["events"] == "1.2"
        events = list(reader.new(final=True))
        assert (reader.missing, reader.skipped) == (0, 0)

    assert not any(name.encode() in base64.b85decode(_OLD) for name in SHORT_FORMS)
    meant: list[Any] = [
        RunStarted(
            *(1.0, "id", "folder", "script.py", "0.1", "h", "u", 7, "3.11.7"),
            ("python", "script.py"),
            "/",
        )
    ]
    for number in range(4):
        needs = (0, 2) if number == 3 else ()
        meant.append(TaskSubmitted(2.0 + number, number, "app", needs))
        meant.append(TaskMoved(2.25 + number, number, "app", TaskState.LAUNCHED, 1, "threads"))
    for number in range(3):
        ran = ("place", 3.0 + number, 0.5)
        meant.append(TaskMoved(7.0 + number, number, "app", TaskState.DONE, 1, "", "", *ran))
    why = ("", "ValueError: no", "place", 6.0, 0.25)
    meant += [TaskMoved(10.0, 3, "app", TaskState.FAILED, 1, *why), RunEnded(11.0, "id", 3, 1, 0)]
    assert same(events, meant)


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
