"""A call that carries too much is told of, once per app, with the argument that makes it large."""

from pathlib import Path
from typing import Any

import pytest

import weft
from weft.calls import Budget, Packer, shared

BIG = 200_000


def align(reads: Any, genome: Any = None, **options: Any) -> int:
    return 0


class Table:
    def __init__(self, rows: Any) -> None:
        self.rows, self.name = rows, "a table"


class Told(list[tuple[str, str]]):
    def __call__(self, level: str, text: str) -> None:
        self.append((level, text))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((1, b"x" * BIG), {}, "args[1] (in the parameter 'genome')"),
        ((["a", "y" * BIG],), {}, "args[0][1] (in the parameter 'reads')"),
        (({"k": Table(bytearray(BIG))},), {}, "args[0]['k'].rows (in the parameter 'reads')"),
        ((1,), {"index": [list(range(BIG))]}, "kwargs['index'][0]"),
        (([str(n) * 1000 for n in range(200)],), {}, "args[0] (in the"),
    ],
)
@pytest.mark.parametrize("chunks", [False, True])
def test_the_largest_part_is_named(
    args: Any, kwargs: Any, named: str, chunks: bool, told: Told
) -> None:
    packer = Packer(chunks=chunks, budget=Budget(100_000, told))
    for _ in range(3):
        packer.pack(align, args, kwargs, "align")

    ((level, text),) = told
    assert level == "warning"
    assert named in text
    assert "A call of 'align' carries 0." in text
    for way in ("weft.shared(...)", "weft.File", "proxystore", "argument_budget"):
        assert way in text


def test_of_what_is_small_enough_or_shared_nothing_is_told(told: Told) -> None:
    packer = Packer(budget=Budget(BIG + 1000, told))
    packer.pack(align, (b"x" * BIG,), {}, "align")
    packer.pack(align, (shared(b"y" * 10 * BIG),), {}, "align")
    assert told == []


def test_each_app_is_told_of_once(told: Told) -> None:
    numpy = pytest.importorskip("numpy")
    packer = Packer(budget=Budget(100_000, told))
    for app in ("one", "two", "one", "two"):
        packer.pack(align, (numpy.zeros(BIG),), {}, app)
    assert [text.split("'")[1] for _, text in told] == ["one", "two"]
    assert "1.6 MB of it in args[0]" in told[0][1]


@pytest.mark.parametrize("serializer", ["", "cloudpickle", "pickle"])
def test_an_executor_tells_its_user(tmp_path: Path, capsys: Any, serializer: str) -> None:
    chosen = {"serializer": weft.serializer(serializer)} if serializer else {}
    executor = weft.executor("processes", max_workers=1, argument_budget=100_000, **chosen)
    with weft.load(weft.Config(executors=[executor], run_dir=tmp_path)):
        app = weft.python_app(len)
        assert [app(b"x" * BIG).result(60) for _ in range(2)] == [BIG] * 2
    assert capsys.readouterr().err.count("carries 0.2 MB to a worker") == 1

    executor = weft.executor("processes", max_workers=1, argument_budget=None, **chosen)
    with weft.load(weft.Config(executors=[executor], run_dir=tmp_path)):
        assert weft.python_app(len)(b"x" * BIG).result(60) == BIG
    assert "carries" not in capsys.readouterr().err
