"""Many small files from a web server."""

from __future__ import annotations

from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.web import ARIA, AT_ONCE, CURL, WEFT, bring, served

_BYTES = 10_000


def measure(contestant: str, size: int) -> Sample:
    with served([_BYTES] * size) as (urls, ca):
        sample = bring(contestant, urls, ca)
    return {
        "cpu": 1e6 * sample["cpu"] / size,
        "wall": 1e6 * sample["wall"] / size,
        "rate": size / sample["wall"],
    }


CASE = Case(
    name="web_small",
    title="Many small files from a web server",
    about=(
        f"So many files of {_BYTES // 1000} kB, by TLS from nginx on this machine to a disk, "
        f"{AT_ONCE} at once, over connections that are kept open. The processor time is that of "
        "the client; per file."
    ),
    contestants=(WEFT, CURL, ARIA),
    sizes=(2_000,),
    quick=(200,),
    columns=(
        Column("cpu", "CPU µs/file"),
        Column("wall", "wall µs/file"),
        Column("rate", "files/s", 0),
    ),
    measure=measure,
    bars=(
        Bar(
            "CPU per file of the stager over aria2c's, 2,000 files",
            lambda of: of.ratio((WEFT, 2_000, "cpu"), (ARIA, 2_000, "cpu")),
            must=2,
            goal=1,
            low=True,
        ),
    ),
)
