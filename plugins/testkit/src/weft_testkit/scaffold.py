"""``weft plugin new``: a package of one's own, complete and working, with its kit.

What it writes are the files of ``templates/common`` and of the folder of the kind, in which a few
words between at signs are replaced. Every template is a file of a package that works as it is: it
installs, its kit is green, and it is used by its name. The author then changes one method.

    common/src/PACKAGE/py.typed.txt  ──▶  weft-mine/src/weft_mine/py.typed
"""

import argparse
import getpass
import keyword
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Final

import attrs

from weft.configuration.registry import CORE, default_registry, interface_version
from weft.errors import ConfigurationError
from weft.values.plugin import Kind, normalized

__all__ = ["Names", "main", "render"]

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_KINDS: Final = [kind.value for kind in Kind if kind.has_interface]
_PLACES: Final = {"gitignore": ".gitignore", "github": ".github"}
"""What is kept without its leading dot, so that nothing takes a template for the real thing."""


@attrs.frozen
class Names:
    """What a new package is called, in every form that its files need.

    Attributes:
        kind: the kind of its component.
        name: the component's name, as configurations will have it.
        dist: the distribution.
        owner: who answers for it.
    """

    kind: Kind
    name: str
    dist: str
    owner: str

    @property
    def package(self) -> str:
        """The import package."""
        return self.dist.replace("-", "_")

    @property
    def words(self) -> Mapping[str, str]:
        """What stands for what in the templates."""
        return {
            "@KIND@": self.kind.value,
            "@NAME@": self.name,
            "@DIST@": self.dist,
            "@PACKAGE@": self.package,
            "@CLASS@": "".join(part.capitalize() for part in self.name.split("-")),
            "@OWNER@": self.owner,
            "@LICENCE@": "Apache-2.0",
            "@INTERFACE@": interface_version(self.kind),
            "@WEFT@": ".".join(version("weft").split(".")[:2]),
        }


def render(names: Names) -> dict[PurePosixPath, str]:
    """The files of a new package: their paths within its folder, and their texts."""
    top = files("weft_testkit") / "templates"
    written: dict[PurePosixPath, str] = {}
    for folder in (top / "common", top / names.kind.value):
        for path, text in _texts(folder, PurePosixPath()):
            written[_placed(path, names)] = _filled(text, names)
    return written


def _texts(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _texts(entry, path / entry.name)
        elif entry.name.endswith(".txt"):
            yield path / entry.name.removesuffix(".txt"), entry.read_text(encoding="utf-8")


def _placed(path: PurePosixPath, names: Names) -> PurePosixPath:
    parts = [_PLACES.get(part, part) for part in path.parts]
    renamed = [part.replace("PACKAGE", names.package).replace("NAME", names.name) for part in parts]
    return PurePosixPath(*renamed)


def _filled(text: str, names: Names) -> str:
    for word, value in names.words.items():
        text = text.replace(word, value)
    return text


# ---------------------------------------------------------------------------------------- command


def main(words: Sequence[str]) -> int:
    """The command ``weft plugin new``. Returns its exit code.

    Raises:
        ConfigurationError: the package cannot be made as asked; nothing was written.
    """
    options = _parser().parse_args(words)
    name = normalized(options.name)
    names = Names(
        Kind(options.kind), name, options.package or f"weft-{name}", options.owner or _user()
    )
    _check(names)
    folder = (options.folder or Path()) / names.dist
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ConfigurationError(
            f"{folder} is there already, so nothing was written.",
            todo="Name another package with --package, or another folder with --folder.",
        )
    try:
        for path, text in render(names).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as trouble:
        raise ConfigurationError(
            f"{folder} cannot be made.",
            why=f"{trouble.filename}: {trouble.strerror}.",
            todo="Name a folder that you may write to with --folder.",
        ) from trouble
    _tell(names, folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="weft plugin new",
        description="Start a package of your own: a component that works, its kit, its pages.",
    )
    parser.add_argument("kind", choices=_KINDS, help="what it is to be")
    parser.add_argument("name", help="what configurations will call it, such as my-exec")
    parser.add_argument("--package", help="the name of the distribution; weft-NAME if left out")
    parser.add_argument("--folder", type=Path, help="where its folder is made; here if left out")
    parser.add_argument("--owner", help="who answers for it; the user's name if left out")
    return parser


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return "the author"


def _check(names: Names) -> None:
    if not _NAME.fullmatch(names.name):
        raise ConfigurationError(
            f"{names.name!r} cannot be the name of a component.",
            why="Names are words of lower-case letters and digits, joined by dashes, and begin "
            "with a letter.",
            todo="Take one such as 'my-exec'.",
        )
    if not _NAME.fullmatch(names.dist) or keyword.iskeyword(names.package):
        raise ConfigurationError(
            f"{names.dist!r} cannot be the name of a package here.",
            why="It names the import package too, and so is words of letters and digits.",
            todo="Take one such as 'weft-my-exec'.",
        )
    if names.package in sys.stdlib_module_names:
        raise ConfigurationError(
            f"A package {names.package!r} would hide a module of Python of that name.",
            todo="Name another one with --package.",
        )
    for offer in default_registry().offers(names.kind, names.name):
        whose = "weft itself" if offer.dist == CORE else f"the package {offer.dist}"
        raise ConfigurationError(
            f"The {names.kind} {names.name!r} is already offered by {whose}.",
            why="Two packages with one name are an error for whoever installs both.",
            todo="Take another name.",
        )
    installed = find_spec(names.package)
    if installed is not None and installed.origin is not None:  # not just a folder of that name
        raise ConfigurationError(
            f"A package {names.package!r} is installed already, and the new one would hide it.",
            todo="Name another one with --package.",
        )


def _tell(names: Names, folder: Path) -> None:
    python = Path(sys.executable).name
    sys.stdout.write(
        f"""{folder} holds the {names.kind} {names.name!r}, complete and working. Next:

  cd {folder}
  {python} -m pip install -e ".[test]"
  {python} -m pytest         # its conformance kit, green from the start
  weft plugin info {names.name}

Then make src/{names.package}/{names.kind}.py do what yours is for.
"""
    )
