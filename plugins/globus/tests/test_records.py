"""What is on disk of submissions, and whose it is."""

import stat
from pathlib import Path

import pytest

from weft_globus.records import Item, Record, Records

ITEMS = (
    Item("/a b\n", "/there/é", "/there/.1.part", "now-1"),
    Item("/c", "/there/c", "/there/c", "now-2"),
)


def record(name: str = "one") -> Record:
    return Record(submission_id=name, source="s", target="t", items=ITEMS, requested=12.5)


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name / "stager-globus" for name in ("0000", "0001")]
    for one in made:
        one.mkdir(parents=True)
    return made


def test_a_submission_is_read_as_it_was_written(runs: list[Path]) -> None:
    first = Records(runs[0])
    first.write(record())

    assert first.left() == [record()]
    assert stat.S_IMODE((runs[0] / "one.transfer").stat().st_mode) == 0o600
    first.remove(record())
    assert first.left() == []
    first.close()
    first.close()


def test_what_a_run_that_ended_has_left_is_taken_over_once(runs: list[Path]) -> None:
    first = Records(runs[0])
    first.write(record())
    second = Records(runs[1])

    assert second.left() == [], "its run lives"
    first.close()
    assert second.left() == [record()]
    assert not list(runs[0].glob("*.transfer"))
    assert (runs[1] / "one.transfer").exists()
    second.close()


def test_what_is_no_record_is_left_alone(runs: list[Path]) -> None:
    (runs[0] / "lock").touch()
    for name, text in (("bad", "{"), ("other", '{"items": [[1, 2, 3]], "unknown": 1}')):
        (runs[0] / f"{name}.transfer").write_text(text)
    records = Records(runs[1])

    assert records.left() == []
    assert len(list(runs[0].glob("*.transfer"))) == 2
    records.close()
