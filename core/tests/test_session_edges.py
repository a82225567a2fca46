"""What events tell of a call: the tasks it needs, whether they have ended, and its files."""

from pathlib import Path

import weft
from weft.eventlog.reader import read_events
from weft.values.events import TaskSubmitted

BOUND = 60.0


def test_a_call_tells_what_it_needs_and_its_files(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("in")
    (tmp_path / "more.txt").write_text("more")

    @weft.python_app
    def one() -> int:
        return 1

    @weft.python_app
    def write(_source: weft.File, outputs: tuple[weft.File, ...]) -> None:
        for file in outputs:
            Path(file).write_text("out")

    @weft.python_app
    def read(inputs: list[weft.File], *_others: object) -> int:
        return sum(len(Path(file).read_text()) for file in inputs)

    with weft.load(weft.Config(run_dir=tmp_path / "runs")) as session:
        ended = one()
        assert ended.result(BOUND) == 1
        source = weft.File(tmp_path / "in.txt")
        made = write(source, outputs=(weft.File(tmp_path / "out.txt"),))
        more = weft.File(tmp_path / "more.txt")
        assert read([made.outputs[0], more], ended, ended).result(BOUND) == 7
        folder = session.run_folder

    told = [event for event in read_events(folder) if isinstance(event, TaskSubmitted)]
    assert [(event.app, tuple(sorted(event.needs))) for event in told] == [
        ("one", ()),
        ("write", ()),
        ("read", (0, 1)),
    ]
    names = [
        ([Path(one).name for one in event.inputs], [Path(one).name for one in event.outputs])
        for event in told
    ]
    assert names[:2] == [([], []), (["in.txt"], ["out.txt"])]
    assert sorted(names[2][0]) == ["more.txt", "out.txt"]
