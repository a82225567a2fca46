"""The survey of ``stdlib_survey.py`` on two sites that share no file system.

    python docs/examples/two_sites_survey.py --limit 20
    python docs/examples/two_sites_survey.py --scratch /tmp/two-sites

The sources are on the machine of the script. Each package is packed there into one file, which
weft brings to where it is needed: to WEST, where its modules are measured, and to EAST, where they
are checksummed and compressed. What EAST makes stays there, but for what WEST asks for. The report
is the one that ``stdlib_survey.py`` writes.

    here                     WEST                        EAST
    pack ──── file ────▶ measure ─┐
      └────── file ──────────────────────────────▶ checksums ──▶ find_duplicates ─┐
                           size_of ◀── file ────── compress                       │
    make_report ◀── values ─┴─────┴───────────────────────────────────────────────┘

Both sites are this machine here, each with a folder of its own; on real clusters the two executors
have a provider, and a Site whose folder is one of theirs.
"""

import argparse
import hashlib
import json
import sysconfig
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import survey_page
import survey_tools as tools
from survey_tools import Links, Report, Tally

import weft
from weft import AppFuture, Config, DataFuture, File, Site, bash_app, python_app
from weft.values.settings import ExecutorSettings

HERE, WEST, EAST = ["here"], ["west"], ["east"]


def config(scratch: Path) -> Config:
    """Two clusters, which see nothing of one another, and the machine of the script."""

    def cluster(label: str) -> ExecutorSettings:
        site = Site(name=label.upper(), folder=scratch / label)
        return weft.executor("htex", label=label, workers_per_node=1, site=site)

    return Config(
        executors=[weft.executor("threads", label="here"), cluster("west"), cluster("east")]
    )


# --------------------------------------------------------------------------------------------- here


@python_app(executors=HERE)
def pack(root: str, package: str, limit: int | None, outputs: Sequence[File] = ()) -> None:
    """Put the sources of a package into one file."""
    with tarfile.open(outputs[0], "w") as archive:
        for source in tools.sources_of(Path(root), package, limit):
            archive.add(source.path, str(Path(source.path).relative_to(root)))


@python_app(executors=HERE)
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


# --------------------------------------------------------------------------------------------- WEST


@python_app(executors=WEST)
def measure(packed: File, package: str) -> Tally:
    """Parse and measure the modules of a package."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
        return tools.measure(tools.sources_of(Path(folder), package), package)


@python_app(executors=WEST)
def merge(*tallies: Tally) -> Tally:
    """What several tallies know, as one."""
    return tools.merge(*tallies)


@python_app(executors=WEST)
def link(tally: Tally) -> Links:
    """Who imports whom."""
    return tools.link(tally)


@python_app(executors=WEST)
def size_of(packed: File) -> tuple[int, int]:
    """The size of a compressed file, before and after."""
    return tools.compressed_size(packed.as_path())


# --------------------------------------------------------------------------------------------- EAST


@python_app(executors=EAST)
def checksums(root: str, packed: File, outputs: Sequence[File] = ()) -> None:
    """The SHA-256 of every module of a package."""
    with tarfile.open(packed) as archive, outputs[0].as_path().open("w") as sums:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            digest = hashlib.sha256(content.read()).hexdigest()
            sums.write(f"{digest}  {root}/{member.name}\n")


@bash_app(executors=EAST)
def compress(packed: File, outputs: Sequence[File] = ()) -> str:
    """All modules of a package, as one compressed file."""
    return f"tar -xOf {packed.filepath!r} | gzip -6 -n > {outputs[0].filepath!r}"


@python_app(executors=EAST)
def find_duplicates(root: str, inputs: Sequence[File] = ()) -> list[list[str]]:
    """Files that have the same contents."""
    return tools.duplicates([file.as_path() for file in inputs], Path(root))


# ------------------------------------------------------------------------------------- all together


def survey_all(root: Path, out: Path, limit: int | None) -> AppFuture[Report]:
    """Start everything. Which file goes where follows from who asks for it."""
    tallies: list[AppFuture[Tally]] = []
    sums: list[DataFuture] = []
    sizes: dict[str, AppFuture[tuple[int, int]]] = {}
    for package in tools.package_names(root):
        name = package.strip("()").replace(" ", "-")
        packed = pack(str(root), package, limit, outputs=[File(out / f"{name}.tar")]).outputs[0]
        tallies.append(measure(packed, package))
        stays = File(f"site://EAST/survey/{name}.sha256")
        sums += checksums(str(root), packed, outputs=[stays]).outputs
        small = compress(packed, outputs=[File(f"site://EAST/survey/{name}.gz")]).outputs[0]
        sizes[package] = size_of(small)
    tally = merge(*tallies)
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
    options.out.mkdir(parents=True, exist_ok=True)
    with weft.load(config(options.scratch)) as session:
        report = survey_all(options.root, options.out, options.limit)
        print(tools.summary(report.result()))
        for file in report.outputs:
            print(f"  {file.result().filepath}")
        print(f"  {sum(session.status().apps['weft.carry'].values())} tasks carried files")


def parse_options() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--root", type=Path, default=Path(sysconfig.get_path("stdlib")), help="what is surveyed"
    )
    parser.add_argument("--out", type=Path, default=Path("survey"), help="the folder of the report")
    parser.add_argument(
        "--scratch", type=Path, default=Path("sites"), help="where the folders of the two sites are"
    )
    parser.add_argument("--limit", type=int, help="survey only so many modules of each package")
    options = parser.parse_args()
    for name in ("root", "out", "scratch"):
        setattr(options, name, getattr(options, name).resolve())
    return options


if __name__ == "__main__":
    main()
