"""A large file from a web server."""

from __future__ import annotations

from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.web import ARIA, CURL, WEFT, bring, served


def measure(contestant: str, size: int) -> Sample:
    with served([size * 1_000_000]) as (urls, ca):
        sample = bring(contestant, urls, ca)
    return {"cpu": sample["cpu"], "wall": sample["wall"], "rate": size / sample["wall"]}


CASE = Case(
    name="web_large",
    title="A large file from a web server",
    about=(
        "One file of so many megabytes, by TLS from nginx on this machine to a disk. The "
        "processor time is that of the client."
    ),
    contestants=(WEFT, CURL, ARIA),
    sizes=(1_000,),
    quick=(100,),
    columns=(
        Column("cpu", "CPU s", 2),
        Column("wall", "wall s", 2),
        Column("rate", "MB/s", 0),
    ),
    measure=measure,
    bars=(
        Bar(
            "CPU of the stager over curl's, 1 GB",
            lambda of: of.ratio((WEFT, 1_000, "cpu"), (CURL, 1_000, "cpu")),
            must=3,
            goal=1.5,
            low=True,
        ),
    ),
)
