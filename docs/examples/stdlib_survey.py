"""A survey of the sources of Python's standard library, thousands of files, in parallel.

    weft run docs/examples/stdlib_survey.py
    weft run --executor processes docs/examples/stdlib_survey.py --limit 20
    python docs/examples/stdlib_survey.py --root path/to/other/sources

Every module is parsed and measured, every import resolved, every file checksummed and compressed.
What comes of it is ``report.json``, ``report.html`` and a few lines here. A survey that was stopped
goes on where it was with ``weft run --resume``.

                                       ┌─ measure ─┐
    list_sources ──▶ survey (join) ────┼─ measure ─┼──▶ merge ──▶ … ──▶ merge ──▶ link ──┐
         │                             └─ survey … ┘                                     │
         └──▶ write_listing ──▶ checksums (bash) ──▶ find_duplicates ────────────────────┼─▶ report
                     └────────▶ compress (bash) ───▶ size_of ────────────────────────────┘

What is computed stands in ``survey_tools.py``, how the page looks in ``survey_page.py``; this file
says what depends on what.
"""

import argparse
import json
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import survey_page
import survey_tools as tools
from survey_tools import Links, Report, Source, Tally

import weft
from weft import AppFuture, DataFuture, File, bash_app, join_app, python_app

# ------------------------------------------------------------------------------------ what is known


@python_app
def list_packages(root: str) -> list[str]:
    """The packages below a folder."""
    return tools.package_names(Path(root))


@python_app
def list_sources(root: str, package: str, limit: int | None) -> list[Source]:
    """The files of a package, with their checksums, so that a changed file is measured anew."""
    return tools.sources_of(Path(root), package, limit)


@python_app(cache=True, version=tools.VERSION)
def measure(sources: list[Source], package: str) -> Tally:
    """Parse and measure some modules. This is where the time goes, so results are kept."""
    return tools.measure(sources, package)


@python_app
def merge(*tallies: Tally) -> Tally:
    """What several tallies know, as one."""
    return tools.merge(*tallies)


@join_app
def survey(sources: list[Source], package: str, depth: int = 1) -> AppFuture[Tally]:
    """Measure a package at once if it is small; otherwise in parts, each a survey of its own."""
    if not tools.is_too_much(sources):
        return measure(sources, package)
    parts = tools.split(sources, depth)
    return merge_as_tree([survey(part, package, depth + 1) for part in parts])


def merge_as_tree(tallies: Sequence[AppFuture[Tally]], width: int = 4) -> AppFuture[Tally]:
    """Merge a few at a time, as they come, rather than all of them at the end."""
    while len(tallies) > 1:
        tallies = [merge(*tallies[i : i + width]) for i in range(0, len(tallies), width)]
    return tallies[0]


@python_app
def link(tally: Tally) -> Links:
    """Who imports whom."""
    return tools.link(tally)


# ----------------------------------------------------------------------------------- what are files


@python_app
def write_listing(sources: list[Source], outputs: Sequence[File] = ()) -> None:
    """Write the paths of a package's files, for the commands below."""
    outputs[0].as_path().write_bytes(tools.listing(sources))


@bash_app
def checksums(inputs: Sequence[File] = (), outputs: Sequence[File] = ()) -> str:
    """The SHA-256 of every file that is listed."""
    return tools.checksum_command(inputs[0].filepath, outputs[0].filepath)


@bash_app
def compress(inputs: Sequence[File] = (), outputs: Sequence[File] = ()) -> str:
    """All files that are listed, as one compressed file."""
    return tools.compress_command(inputs[0].filepath, outputs[0].filepath)


@python_app
def size_of(packed: File) -> tuple[int, int]:
    """The size of a compressed file, before and after."""
    return tools.compressed_size(packed.as_path())


@python_app
def find_duplicates(root: str, inputs: Sequence[File] = ()) -> list[list[str]]:
    """Files that have the same contents."""
    return tools.duplicates([file.as_path() for file in inputs], Path(root))


@python_app
def make_report(  # noqa: PLR0917 - each is a result of its own, and futures go by position
    root: str,
    tally: Tally,
    links: Links,
    sizes: dict[str, tuple[int, int]],
    same: list[list[str]],
    outputs: Sequence[File] = (),
) -> Report:
    """Put together all that is known, and write it as JSON and as a page."""
    found = tools.report(Path(root), tally, links, sizes, same)
    outputs[0].as_path().write_text(json.dumps(found, indent=1), encoding="utf-8")
    outputs[1].as_path().write_text(survey_page.page(found), encoding="utf-8")
    return found


# ------------------------------------------------------------------------------------- all together


def survey_all(root: Path, out: Path, limit: int | None) -> AppFuture[Report]:
    """Start everything. Nothing here waits but for the list of packages."""
    tallies: list[AppFuture[Tally]] = []
    sums: list[DataFuture] = []
    sizes: dict[str, AppFuture[tuple[int, int]]] = {}
    for package in list_packages(str(root)).result():
        sources = list_sources(str(root), package, limit)
        tallies.append(survey(sources, package))
        place = out / "parts" / package.strip("()").replace(" ", "-")
        listed = write_listing(sources, outputs=[File(f"{place}.list")]).outputs
        sums += checksums(inputs=listed, outputs=[File(f"{place}.sha256")]).outputs
        packed = compress(inputs=listed, outputs=[File(f"{place}.gz")]).outputs[0]
        sizes[package] = size_of(packed)
    tally = merge_as_tree(tallies)
    return make_report(
        str(root),
        tally,
        link(tally),
        sizes=sizes,
        same=find_duplicates(str(root), inputs=sums),
        outputs=[File(out / "report.json"), File(out / "report.html")],
    )


def main() -> None:
    """Survey what the command line asks for."""
    options = parse_options()
    (options.out / "parts").mkdir(parents=True, exist_ok=True)
    with weft.load():
        report = survey_all(options.root, options.out, options.limit)
        print(tools.summary(report.result()))
        for file in report.outputs:
            print(f"  {file.result().filepath}")


def parse_options() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(sysconfig.get_path("stdlib")),
        help="the folder whose packages are surveyed; the standard library when left out",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("survey"),
        help="the folder for the report (default: %(default)s)",
    )
    parser.add_argument(
        "--limit", type=int, help="survey only so many modules of each package, for a quick look"
    )
    options = parser.parse_args()
    options.root, options.out = options.root.resolve(), options.out.resolve()
    if not options.root.is_dir():
        parser.error(f"{options.root} is not a folder")
    return options


if __name__ == "__main__":
    main()
