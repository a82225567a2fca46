"""Finds what installed packages offer, without running a line of theirs.

A package offers parts by lines in the file ``entry_points.txt`` of its metadata folder. Those
folders lie side by side in the folders of ``sys.path``, so reading them is one directory listing
and a few small files:

    sys.path ──folders──▶ *.dist-info/entry_points.txt ──lines──▶ Offer(kind, name, target, …)
             ──zips, custom finders──▶ importlib.metadata (imported only then)

``WEFT_DEBUG_DISCOVERY=1`` compares the result with that of ``importlib.metadata`` and warns where
they differ.
"""

import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from weft.errors import WeftWarning
from weft.values.plugin import Kind, normalized

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["COMPONENTS", "HOOKS", "Found", "Offer", "canonical", "scan"]

COMPONENTS: Final = "weft.components"
"""The entry-point group of components; names are ``kind.name``, values lead to a ``Component``."""

HOOKS: Final = "weft.hooks"
"""The entry-point group of packages that observe or decide; values lead to their hooks."""

_DASHES = re.compile(r"[-_.]+")
_NUMBERS = re.compile(r"\d+")
_EXTRAS = re.compile(r"\s*\[.*\]$")
_ENTRY = re.compile(r"[a-z]+\.[a-z0-9_-]+", re.IGNORECASE)


@attrs.frozen
class Offer:
    """One line of a package's entry points: this package offers this part.

    Attributes:
        kind: what it is offered as, such as ``executor``; ``hooks`` for the group ``weft.hooks``.
        name: its name, normalized.
        target: where it is, as ``module:object``.
        dist, version: the distribution that offers it.
        folder: the folder of ``sys.path`` where the distribution's metadata was found.
    """

    kind: str
    name: str
    target: str
    dist: str
    version: str
    folder: str

    @property
    def key(self) -> str:
        """``kind.name``."""
        return f"{self.kind}.{self.name}"

    @property
    def qualified(self) -> str:
        """``dist:name``, which means this offer whatever others there are."""
        return f"{self.dist}:{self.name}"

    @property
    def package(self) -> str:
        """The top-level package that the target lies in."""
        return self.target.partition(":")[0].partition(".")[0]


@attrs.frozen
class Found:
    """What one scan found.

    Attributes:
        components: offers of the group ``weft.components``, sorted by kind, name and distribution.
        hooks: offers of the group ``weft.hooks``.
        oddities: sentences on what looked wrong, for ``weft doctor``.
    """

    components: tuple[Offer, ...]
    hooks: tuple[Offer, ...]
    oddities: tuple[str, ...] = ()


def canonical(dist: str) -> str:
    """The form in which distributions are compared: lower case, runs of ``-_.`` as one ``-``."""
    return _DASHES.sub("-", dist.strip()).lower()


def scan(path: Sequence[str] | None = None) -> Found:
    """What the packages on ``path`` offer; on ``sys.path`` and by custom finders when left out.

    A distribution that is there twice counts once: the first on the path wins, as it does for
        imports.
    """
    folders = list(sys.path if path is None else path)
    seen: dict[str, str] = {}
    offers: list[Offer] = []
    oddities: list[str] = []
    for folder in dict.fromkeys(folders):
        for name, version, entries in _metadata_in(folder or os.curdir, oddities):
            key = canonical(name)
            if key in seen:
                if _mentions_weft(entries):
                    oddities.append(
                        f"{name} {version} in {folder} is hidden by the {name} in {seen[key]}, "
                        "which comes first on sys.path."
                    )
                continue
            seen[key] = folder
            offers += _offers(entries, name, version, folder, oddities)
    if path is None:
        for dist in _from_custom_finders(folders):
            if canonical(dist.name) not in seen:
                seen[canonical(dist.name)] = "a custom finder"
                text = dist.read_text("entry_points.txt") or ""
                offers += _offers(text, dist.name, dist.version, "", oddities)
    found = Found(
        tuple(sorted((o for o in offers if o.kind != "hooks"), key=_order)),
        tuple(sorted((o for o in offers if o.kind == "hooks"), key=_order)),
        tuple(oddities),
    )
    if os.environ.get("WEFT_DEBUG_DISCOVERY", "0") not in {"", "0"}:
        _compare(found, folders, with_finders=path is None)
    return found


def _order(offer: Offer) -> tuple[str, str, str]:
    return (offer.kind, offer.name, canonical(offer.dist))


# --------------------------------------------------------------------------------- metadata folders


def _metadata_in(folder: str, oddities: list[str]) -> Iterator[tuple[str, str, str]]:
    """Name, version and entry points of each distribution whose metadata lies in a folder."""
    try:
        entries = os.listdir(folder)  # noqa: PTH208 - pathlib costs more than the whole scan
    except FileNotFoundError:
        return
    except NotADirectoryError:
        for dist in _from_importlib([folder]):
            yield dist.name, dist.version, dist.read_text("entry_points.txt") or ""
        return
    except OSError as trouble:
        oddities.append(f"{folder} is on sys.path but cannot be read: {trouble.strerror}.")
        return
    if folder.rstrip(os.sep).endswith(".egg") and "EGG-INFO" in entries:
        yield _described(f"{folder}/EGG-INFO", folder.rstrip(os.sep).rpartition(os.sep)[2][:-4])
    newest: dict[str, str] = {}
    for entry in entries:
        if entry.endswith((".dist-info", ".egg-info")):
            key = canonical(entry[: entry.rindex(".")].partition("-")[0])
            other = newest.get(key)
            if other is not None:
                oddities.append(
                    f"{folder} holds both {min(entry, other)} and {max(entry, other)}: "
                    "the leftover of an interrupted installation; reinstall that package."
                )
            if other is None or _version_key(entry) > _version_key(other):
                newest[key] = entry
    for entry in newest.values():
        yield _described(f"{folder}/{entry}", entry[: entry.rindex(".")])


def _version_key(entry: str) -> tuple[int, ...]:
    return tuple(int(n) for n in _NUMBERS.findall(entry.partition("-")[2]))


def _described(folder: str, stem: str) -> tuple[str, str, str]:
    name, _, version = stem.partition("-")
    entries = _text(f"{folder}/entry_points.txt")
    if _mentions_weft(entries):
        # The folder's name is escaped and, for an egg, without version: the metadata has both as
        # they are meant.
        headers = _text(f"{folder}/METADATA") or _text(f"{folder}/PKG-INFO")
        name = _header(headers, "Name") or name
        version = _header(headers, "Version") or version
    return name, version or "(no version)", entries


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - see above
            return stream.read()
    except OSError:
        return ""


def _header(text: str, name: str) -> str:
    for line in text.splitlines():
        if not line:
            break
        if line[: len(name) + 1].lower() == f"{name.lower()}:":
            return line[len(name) + 1 :].strip()
    return ""


def _mentions_weft(entries: str) -> bool:
    return "[weft." in entries or "weft.components" in entries or "weft.hooks" in entries


# ------------------------------------------------------------------------------------- entry points


def _offers(
    entries: str, dist: str, version: str, folder: str, oddities: list[str]
) -> Iterator[Offer]:
    if not _mentions_weft(entries):
        return
    for group, name, target in _lines(entries):
        if group == HOOKS:
            yield Offer("hooks", normalized(name), target, dist, version, folder)
        elif group == COMPONENTS:
            if not _ENTRY.fullmatch(name) or ":" not in target:
                oddities.append(
                    f"{dist} {version} has the entry point '{name} = {target}', which is not of "
                    "the form "
                    "'kind.name = module:object', so it is ignored."
                )
                continue
            kind, _, rest = name.lower().partition(".")
            if kind not in set(Kind):
                oddities.append(
                    f"{dist} {version} has the entry point '{name} = {target}', and this weft "
                    f"knows no kind {kind!r}, so it is ignored. Kinds are {', '.join(Kind)}."
                )
                continue
            yield Offer(kind, normalized(rest), target, dist, version, folder)


def _lines(entries: str) -> Iterator[tuple[str, str, str]]:
    group = ""
    for raw in entries.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            group = line[1:-1].strip()
        elif group in {COMPONENTS, HOOKS}:
            name, found, target = line.partition("=")
            if found:
                yield group, name.strip(), _EXTRAS.sub("", target.strip()).replace(" ", "")


# ------------------------------------------------------------------------ what only importlib finds


def _from_importlib(path: list[str]) -> "Iterable[Distribution]":
    from importlib.metadata import distributions

    return (dist for dist in distributions(path=path) if dist.metadata["Name"])


def _from_custom_finders(path: list[str]) -> "Iterator[Distribution]":
    """What finders other than Python's own know; a usual process has none."""
    own = {"PathFinder", "BuiltinImporter", "FrozenImporter"}
    finders: list[Any] = [
        finder
        for finder in sys.meta_path
        if getattr(finder, "__name__", "") not in own and hasattr(finder, "find_distributions")
    ]
    if not finders:
        return
    from importlib.metadata import DistributionFinder

    for finder in finders:
        try:
            known = list(finder.find_distributions(DistributionFinder.Context(path=path)))
        except Exception as trouble:  # noqa: BLE001 - a finder is anyone's code
            warnings.warn(
                f"The import finder {finder!r} cannot list its distributions ({trouble!r}); "
                "plugins that only it knows are not found.",
                WeftWarning,
                stacklevel=2,
            )
            continue
        yield from (dist for dist in known if dist.metadata["Name"])


def _compare(found: Found, path: list[str], *, with_finders: bool) -> None:
    from importlib.metadata import distributions

    ours = {(o.kind, o.name, o.target, canonical(o.dist)) for o in found.components + found.hooks}
    theirs: set[tuple[str, str, str, str]] = set()
    seen: set[str] = set()
    for dist in distributions() if with_finders else distributions(path=path):
        name = dist.metadata["Name"]
        if not name or canonical(name) in seen:
            continue
        seen.add(canonical(name))
        text = dist.read_text("entry_points.txt") or ""
        theirs |= {
            (o.kind, o.name, o.target, canonical(o.dist))
            for o in _offers(text, name, dist.version, "", [])
        }
    for what, extra in (("only weft's scan", ours - theirs), ("only importlib", theirs - ours)):
        for kind, name, target, dist_name in sorted(extra):
            warnings.warn(
                f"Discovery differs: {what} finds {kind}.{name} = {target} of {dist_name}.",
                WeftWarning,
                stacklevel=3,
            )
