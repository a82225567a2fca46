"""Releases of packages that have one tree and a version, a changelog and tags each of their own.

    release.py list                     what changed since its tag, and what is ready
    release.py check                    what would keep a release from being made
    release.py prepare weft-htex 1.4.0  version, changelog, and for core the constraints
    release.py build                    what is ready, from what is committed, into dist/
    release.py tag [--write]            weft-htex/1.4.0, for what is ready
    release.py leg weft-htex oldest     the package's tests against a release of core
    release.py legs                     those of all packages, oldest and newest

Nothing is published from here and nothing leaves this machine: tags are pushed, and files uploaded,
by whoever makes the release. ``docs/contributing/releasing.md`` has the order of it.

What git has is believed: a package is what is committed, and a release of it is its tag
``<distribution>/<version>``.
"""

from __future__ import annotations

import argparse
import enum
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import attrs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

__all__ = ["Leg", "Package", "Refused", "State", "main"]

CORE: Final = "weft"
KIT: Final = "weft-testkit"
_SHELVES: Final = ("plugins", "contrib")
# Files beside a package's folder that go into what is built of it.
_BESIDE: Final[Mapping[str, tuple[str, ...]]] = {"core": ("maturity.toml",)}
_SHIPPED: Final = ("src/", "pyproject.toml", "hatch_build.py")
_START: Final = "<!-- the releases follow -->"
_FRAGMENT: Final = re.compile(r"[a-z0-9][a-z0-9-]*\.(?P<type>[a-z]+)\.md")
_TEST_TOOLS: Final = ("hypothesis", "psutil", "pytest", "pytest-randomly", "pytest-timeout")


class Refused(Exception):
    """What was asked for cannot be done; the text says why and what to do."""


# ------------------------------------------------------------------------------------ what git says


def git(root: Path, *words: str) -> str:
    """What a git command prints.

    Raises:
        Refused: it failed; the text is git's.
    """
    ran = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Refused(f"git {' '.join(words)}: {ran.stderr.strip()}")
    return ran.stdout


def releases(root: Path, dist: str, *, merged: bool = True) -> list[Version]:
    """The versions of a package that are tagged, the oldest first.

    Args:
        root: the repository.
        dist: the distribution.
        merged: only those that the commit at hand comes after.
    """
    found = []
    for tag in git(root, "tag", "--list", f"{dist}/*", *(["--merged"] if merged else [])).split():
        try:
            found.append(Version(tag.removeprefix(f"{dist}/")))
        except InvalidVersion:
            raise Refused(f"The tag {tag} names no version; remove it or mend it.") from None
    return sorted(found)


@attrs.frozen
class Package:
    """One distribution of the tree, as its pyproject.toml says.

    Attributes:
        folder: where it lies, from the root.
        dist: its name.
        version: the one it has, or is to have.
        requires: what it needs.
    """

    folder: str
    dist: str
    version: Version
    requires: tuple[Requirement, ...]

    @property
    def tag(self) -> str:
        """The tag of this version."""
        return f"{self.dist}/{self.version}"

    @property
    def paths(self) -> tuple[str, ...]:
        """All that goes into it."""
        return (self.folder, *_BESIDE.get(self.folder, ()))

    def needs(self, other: str) -> Requirement | None:
        """What it asks of another distribution, if anything."""
        return next((one for one in self.requires if canonicalize_name(one.name) == other), None)


def package_of(folder: str, text: str) -> Package:
    """The package that a pyproject.toml describes."""
    project = tomllib.loads(text)["project"]
    needs = tuple(Requirement(one) for one in project.get("dependencies", ()))
    return Package(folder, project["name"], Version(project["version"]), needs)


def packages(root: Path) -> list[Package]:
    """Every package of the tree, core first."""
    folders = [root / "core"]
    for shelf in _SHELVES:
        folders += sorted(path.parent for path in (root / shelf).glob("*/pyproject.toml"))
    return [
        package_of(folder.relative_to(root).as_posix(), (folder / "pyproject.toml").read_text())
        for folder in folders
    ]


def named(root: Path, dist: str) -> Package:
    """The package of that name."""
    there = packages(root)
    for one in there:
        if one.dist == canonicalize_name(dist):
            return one
    known = ", ".join(one.dist for one in there)
    raise Refused(f"There is no package {dist!r}; there are {known}.")


class State(enum.Enum):
    """How a package stands to its last release."""

    NEW = "never released"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    READY = "ready"
    BEHIND = "behind its own tag"

    @property
    def to_build(self) -> bool:
        """Whether its version has still to be released."""
        return self in {State.NEW, State.READY}


def state(root: Path, package: Package) -> State:
    """How a package stands to its last release: by its own version, and what changed of it since.

    What is not committed does not count; see :func:`dirt`.
    """
    before = releases(root, package.dist)
    if not before:
        return State.NEW
    if package.version != before[-1]:
        return State.READY if package.version > before[-1] else State.BEHIND
    return State.CHANGED if changes(root, package) else State.UNCHANGED


def changes(root: Path, package: Package) -> list[str]:
    """The files of a package that changed since its last release; all if there is none."""
    before = releases(root, package.dist)
    if not before:
        return git(root, "ls-files", "--", *package.paths).split("\n")[:-1]
    tag = f"{package.dist}/{before[-1]}"
    return git(root, "diff", "--name-only", tag, "HEAD", "--", *package.paths).split("\n")[:-1]


def dirt(root: Path) -> list[str]:
    """The files that are not as they were committed."""
    return git(root, "status", "--porcelain").split("\n")[:-1]


# ------------------------------------------------------------------------------------ what is amiss


def fragments(root: Path, package: Package) -> list[Path]:
    """What its next changelog will be made of."""
    folder = root / package.folder / "changelog.d"
    return sorted(one for one in folder.glob("*") if one.name != ".gitkeep")


def problems(root: Path) -> Iterator[str]:
    """All that would keep a release from being made, whenever that will be."""
    there = packages(root)
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["towncrier"]
    types = {one["directory"] for one in settings["type"]}
    for one in there:
        yield from _about_versions(root, one)
        yield from _about_fragments(root, one, types)
        yield from _about_siblings(one, {other.dist: other for other in there})


def _about_versions(root: Path, one: Package) -> Iterator[str]:
    if state(root, one) is State.BEHIND:
        last = releases(root, one.dist)[-1]
        yield f"{one.dist}: its version is {one.version}, and {last} is released already."


def _about_fragments(root: Path, one: Package, types: set[str]) -> Iterator[str]:
    listed = fragments(root, one)
    for path in listed:
        found = _FRAGMENT.fullmatch(path.name)
        if found is None or found["type"] not in types:
            kinds = "|".join(sorted(types))
            yield f"{one.dist}: {path.name} is no fragment; its name is <short-name>.<{kinds}>.md."
    if state(root, one) is State.CHANGED and not listed:
        shipped = [
            name
            for name in changes(root, one)
            if name.removeprefix(f"{one.folder}/").startswith(_SHIPPED)
        ]
        if shipped:
            yield (
                f"{one.dist}: {shipped[0]} and others changed since {one.tag}, and changelog.d "
                "says nothing of it."
            )


def _about_siblings(one: Package, there: Mapping[str, Package]) -> Iterator[str]:
    for need in one.requires:
        sibling = there.get(canonicalize_name(need.name))
        if sibling is None:
            continue
        for part in need.specifier:
            # A bound at a whole major says that the other side may break; more is a guess.
            major = part.operator == "<" and re.fullmatch(r"\d+", part.version)
            if part.operator != ">=" and not major:
                yield (
                    f"{one.dist}: {need} ties it to some releases of {sibling.dist}, so that not "
                    "both can be renewed; write a lower bound, and leave the rest to the version "
                    "of the interface."
                )
        if lower_bound(need) is None:
            yield f"{one.dist}: {need} has no lower bound, so nobody knows what it was tested with."
        if not need.specifier.contains(sibling.version, prereleases=True):
            yield f"{one.dist}: {need} shuts out {sibling.dist} {sibling.version} of this tree."


def lower_bound(need: Requirement) -> Version | None:
    """The oldest version that a requirement lets in, as it is written."""
    found = [Version(part.version) for part in need.specifier if part.operator == ">="]
    return max(found, default=None)


def unprepared(root: Path, package: Package) -> str:
    """Why a version cannot be released as it is; empty if it can."""
    if fragments(root, package):
        return "changelog.d still holds what belongs into its changelog"
    changelog = root / package.folder / "CHANGELOG.md"
    heads = re.findall(r"^## (\S+)", changelog.read_text(), flags=re.MULTILINE)
    if str(package.version) not in heads:
        return f"CHANGELOG.md has no section {package.version}"
    return ""


# ---------------------------------------------------------------------------------------- preparing


def prepare(root: Path, dist: str, version: str) -> list[Path]:
    """Give a package its next version, and make its changelog. Returns the files that changed.

    Raises:
        Refused: it has that version already, or a newer one; or there is nothing to tell of.
    """
    package, new = named(root, dist), Version(version)
    before = releases(root, package.dist, merged=False)
    if before and new <= before[-1]:
        raise Refused(f"{package.dist} {before[-1]} is released already; choose a later version.")
    if new < package.version:
        raise Refused(f"{package.dist} has the version {package.version}; choose a later one.")
    if not fragments(root, package):
        where = f"{package.folder}/changelog.d"
        raise Refused(f"{where} is empty: write a fragment that says why there is a release.")
    touched = _set_version(root / package.folder, package.version, new)
    command = ["towncrier", "build", "--yes", "--config", "pyproject.toml"]
    command += ["--dir", package.folder, "--name", package.dist, "--version", str(new)]
    _run([sys.executable, "-m", *command], root)
    touched.append(root / package.folder / "CHANGELOG.md")
    if package.dist == CORE:
        path = root / "constraints" / f"{CORE}-{new}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(constraints(root, new))
        touched.append(path)
    return touched


def _set_version(folder: Path, old: Version, new: Version) -> list[Path]:
    """Write the version wherever a package says it."""
    project = folder / "pyproject.toml"
    places = [(project, r'(?m)^version = "[^"]+"$', f'version = "{new}"')]
    places += [
        (init, r'(?m)^__version__ = "[^"]+"$', f'__version__ = "{new}"')
        for init in sorted(folder.glob("src/*/__init__.py"))
    ]
    touched = []
    for path, pattern, text in places:
        before = path.read_text()
        after, count = re.subn(pattern, text, before)
        if path == project and count != 1:
            raise Refused(f"{project} says its version {count} times, not once.")
        if after != before:
            path.write_text(after)
            touched.append(path)
    if old != new and package_of("", project.read_text()).version != new:
        raise Refused(f"{project} keeps its version in another table than [project].")
    return touched


def constraints(root: Path, core: Version) -> str:
    """One set of versions that were tested together, for a release of core.

    Packages of the tree at the version that is, or is about to be, released, as far as there is
    one; and what all of them were tested with.
    """
    lines = [f"# What {CORE} {core} was tested with: pip install -c this-file {CORE} …"]
    for one in packages(root):
        versions = releases(root, one.dist)
        if one.dist == CORE:
            versions = [core]
        elif state(root, one).to_build and not unprepared(root, one):
            versions = [one.version]
        lines += [f"{one.dist}=={version}" for version in versions[-1:]]
    pins = (root / "constraints.txt").read_text().splitlines()
    lines += [line for line in pins if line and not line.startswith("#")]
    return "\n".join(lines) + "\n"


# ----------------------------------------------------------------------------- building and tagging


@contextmanager
def exported(root: Path, ref: str) -> Iterator[Path]:
    """The tree as it was committed, in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="weft-release-") as folder:
        packed = subprocess.run(
            ["git", "archive", "--format=tar", ref], cwd=root, capture_output=True, check=False
        )
        if packed.returncode != 0:
            raise Refused(f"git archive {ref}: {packed.stderr.decode(errors='replace').strip()}")
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as tar:
            # It is git's own, and some interpreters that are supported have no filter.
            safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(folder, **safely)
        yield Path(folder)


def build(root: Path, ref: str, dist: str, out: Path, *, wheel_only: bool = False) -> list[Path]:
    """Build a package from what is committed. Returns the files.

    Times within them are that of the commit, so that the same commit gives the same files.

    Raises:
        Refused: it cannot be built, or what came out is another version.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.iterdir())
    when = git(root, "log", "-1", "--format=%ct", ref).strip()
    with exported(root, ref) as tree:
        package = named(tree, dist)
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
        command += ["-t", "wheel"] if wheel_only else []
        _run(command, tree / package.folder, {"SOURCE_DATE_EPOCH": when})
    made = sorted(set(out.iterdir()) - before)
    wheels = [path for path in made if path.suffix == ".whl"]
    for wheel in wheels:
        name, version, *_ = parse_wheel_filename(wheel.name)
        if (name, version) != (canonicalize_name(dist), package.version):
            raise Refused(f"{wheel.name} is not {dist} {package.version}.")
    if len(wheels) != 1:
        raise Refused(f"{out} had a wheel of {dist} {package.version} already; empty it first.")
    return made


def to_release(root: Path) -> list[Package]:
    """The packages whose version is prepared and has no tag yet.

    One that never was released may wait for that as long as it likes.

    Raises:
        Refused: one has a new version, and is not prepared.
    """
    found = []
    for one in packages(root):
        if not (now := state(root, one)).to_build:
            continue
        why = unprepared(root, one)
        if why and now is State.READY:
            raise Refused(f"{one.dist} {one.version} is not prepared: {why}.")
        if not why:
            found.append(one)
    return found


def tag(root: Path, *, write: bool) -> list[str]:
    """The tags of what is ready; made at the commit at hand, where that is asked for.

    Raises:
        Refused: something is not committed, or not prepared.
    """
    ready = to_release(root)
    if write and dirt(root):
        raise Refused(f"Commit first: {', '.join(dirt(root)[:3])}.")
    for one in ready if write else ():
        git(root, "tag", "--annotate", one.tag, "--message", f"{one.dist} {one.version}")
    return [one.tag for one in ready]


# --------------------------------------------------------------------------------------------- legs


class Leg(enum.StrEnum):
    """Against which core a package is tested."""

    HEAD = "head"
    OLDEST = "oldest"
    NEWEST = "newest"


@attrs.frozen
class Plan:
    """Which core a leg takes.

    Attributes:
        ref: the commit or tag it is built from; empty if there is nothing to test against.
        told: why that one, as a sentence.
    """

    ref: str
    told: str


def plan(root: Path, package: Package, leg: Leg) -> Plan:
    """Which core a package is tested against.

    The oldest is the lower bound that the package declares, whatever else is released; where that
    very version never was, it is the first release after it.
    """
    need = package.needs(CORE)
    if need is None:
        return Plan("", f"{package.dist} needs no {CORE}.")
    if leg is Leg.HEAD:
        return Plan("HEAD", f"{CORE} of this tree.")
    bound = lower_bound(need)
    if bound is None:
        raise Refused(f"{package.dist}: {need} has no lower bound.")
    allowed = [
        one
        for one in releases(root, CORE, merged=False)
        if need.specifier.contains(one, prereleases=True)
    ]
    if not allowed:
        return Plan("", f"no release of {CORE} is tagged that {need} lets in: there is only head.")
    if leg is Leg.NEWEST:
        return Plan(f"{CORE}/{allowed[-1]}", f"{CORE} {allowed[-1]} is the newest release.")
    told = f"{CORE} {allowed[0]} is the lower bound of {need}."
    if allowed[0] != bound:
        told = f"{CORE} {bound} never was released; {allowed[0]} is the first that {need} lets in."
    return Plan(f"{CORE}/{allowed[0]}", told)


def kit_for(root: Path, core: Version) -> str:
    """The newest commit or tag of the test kit that lets in a version of core; empty if none."""
    there = {one.dist: one for one in packages(root)}
    if KIT not in there:
        return ""
    refs = ["HEAD", *(f"{KIT}/{one}" for one in reversed(releases(root, KIT, merged=False)))]
    for ref in refs:
        folder = there[KIT].folder
        kit = package_of(folder, git(root, "show", f"{ref}:{folder}/pyproject.toml"))
        need = kit.needs(CORE)
        if need is None or need.specifier.contains(core, prereleases=True):
            return ref
    return ""


def run_leg(
    root: Path,
    dist: str,
    leg: Leg,
    command: Sequence[str] = (),
    *,
    tools: Sequence[str] = _TEST_TOOLS,
    offline: bool = False,
) -> int | None:
    """Test a package, as it is committed, with wheels in an environment of their own.

    Args:
        root: the repository.
        dist: the package.
        leg: against which core.
        command: what to run there, in the tree that was exported; the package's tests when left
            out. A first word ``python`` is that of the environment.
        tools: what the tests need beside the package, at the versions of constraints.txt.
        offline: whether nothing is to be fetched.

    Returns:
        The exit code; ``None`` if there is nothing to test against.
    """
    package = named(root, dist)
    chosen = plan(root, package, leg)
    print(f"{dist}, {leg}: {chosen.told}", flush=True)
    if not chosen.ref:
        return None
    with exported(root, "HEAD") as tree, tempfile.TemporaryDirectory(prefix="weft-leg-") as place:
        wheels = Path(place) / "wheels"
        made = build(root, chosen.ref, CORE, wheels, wheel_only=True)
        core = parse_wheel_filename(made[0].name)[1]
        made += build(root, "HEAD", dist, wheels, wheel_only=True)
        for other in packages(root):
            # Of this tree, too: what it is built on may not have been released.
            if other.dist not in {CORE, KIT, dist} and package.needs(other.dist) is not None:
                made += build(root, "HEAD", other.dist, wheels, wheel_only=True)
        kit = kit_for(root, core) if dist != KIT else ""
        if kit:
            made += build(root, kit, KIT, wheels, wheel_only=True)
        python = _environment(Path(place) / "venv", made, tools, tree, offline=offline)
        words = list(command) or ["python", "-m", "pytest", "-q", f"{package.folder}/tests"]
        words[0] = str(python) if words[0] == "python" else words[0]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        env["PATH"] = f"{python.parent}{os.pathsep}{env.get('PATH', '')}"
        return subprocess.run(words, cwd=tree, env=env, check=False).returncode


def _environment(
    folder: Path, wheels: Sequence[Path], tools: Sequence[str], tree: Path, *, offline: bool
) -> Path:
    """An environment with these wheels. Returns its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-index"] if offline else []
    if (tree / "constraints.txt").exists():
        command += ["--constraint", str(tree / "constraints.txt")]
    _run([*command, *map(str, wheels), *tools], tree)
    return python


def _run(command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None) -> None:
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(more or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise Refused(f"{' '.join(command)} failed:\n{ran.stdout}{ran.stderr}".rstrip())


# ------------------------------------------------------------------------------------- command line


def _list(root: Path, _: Any) -> int:
    for one in packages(root):
        print(f"{one.dist:20} {one.version!s:12} {state(root, one).value}")
    return 0


def _check(root: Path, _: Any) -> int:
    found = list(problems(root))
    print("\n".join(found) or "Nothing keeps a release from being made.")
    return 1 if found else 0


def _prepare(root: Path, given: Any) -> int:
    for path in prepare(root, given.package, given.version):
        print(f"wrote {path.relative_to(root)}")
    print("Look at it, commit it, then build.")
    return 0


def _build(root: Path, given: Any) -> int:
    if dirt(root):
        print(f"Not committed, so not built: {', '.join(dirt(root)[:3])}", file=sys.stderr)
    wanted = to_release(root)
    for one in wanted:
        for path in build(root, "HEAD", one.dist, given.out):
            print(f"built {path.name}")
    if not wanted:
        print("Nothing is prepared for a release.")
    return 0


def _tag(root: Path, given: Any) -> int:
    tags = tag(root, write=given.write)
    verb = "made" if given.write else "would make"
    print("\n".join(f"{verb} {one}" for one in tags) or "Nothing is prepared for a release.")
    return 0


def _leg(root: Path, given: Any) -> int:
    return run_leg(root, given.package, Leg(given.leg), given.command) or 0


def _legs(root: Path, _: Any) -> int:
    failed = []
    for one in packages(root):
        if one.needs(CORE) is None:
            continue
        tested = {""}
        for leg in (Leg.OLDEST, Leg.NEWEST):
            ref = plan(root, one, leg).ref
            if ref in tested and ref:
                print(f"{one.dist}, {leg}: the same core, {ref}.", flush=True)
            elif run_leg(root, one.dist, leg):
                failed.append(f"{one.dist}, {leg}")
            tested.add(ref)
    if failed:
        print(f"Failed: {'; '.join(failed)}.")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="release", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    words = parser.add_subparsers(required=True)

    def word(name: str, run: Callable[[Path, Any], int], text: str) -> argparse.ArgumentParser:
        made = words.add_parser(name, help=text)
        made.set_defaults(run=run)
        return made

    word("list", _list, "how each package stands to its last release")
    word("check", _check, "what would keep a release from being made")
    one = word("prepare", _prepare, "give a package its next version and changelog")
    one.add_argument("package")
    one.add_argument("version")
    one = word("build", _build, "build what is ready, from what is committed")
    one.add_argument("--out", type=Path, default=Path("dist"))
    one = word("tag", _tag, "the tags of what is ready")
    one.add_argument("--write", action="store_true", help="make them")
    one = word("leg", _leg, "test a package against one release of core")
    one.add_argument("package")
    one.add_argument("leg", choices=list(Leg))
    one.add_argument("command", nargs="*", help="instead of its tests")
    word("legs", _legs, "test every package against the oldest and the newest release of core")
    return parser


def main(words: Iterable[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    given = _parser().parse_args(None if words is None else list(words))
    try:
        code: int = given.run(given.root.resolve(), given)
    except (Refused, InvalidVersion) as trouble:
        print(trouble, file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
