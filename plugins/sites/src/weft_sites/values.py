"""Pure: the text of a site file becomes a value, or the list of all that is wrong with it.

A site file is TOML:

    [site]                      # what it is about; title, source and date must be given
    title = "Example, University of Somewhere"
    source = "https://example.org/docs/batch"
    date = 2026-01-31           # when that was read
    base = "slurm"              # another site file, whose values hold where this one is silent
    packages = ["weft-slurm", "weft-htex"]
    notes = "Queues open at eight."

    [detect]                    # how to know that one is there; all that is named must hold
    hosts = ["login*.example.org"]
    environment = { SITE = "example" }
    commands = ["sbatch"]

    [fill.account]              # what a user has to say, or may
    help = "The project that pays."
    pattern = "[a-z][0-9]+"
    example = "m1234"
    [fill.nodes]
    help = "Nodes in a block."
    type = "int"
    default = 1

    [config]                    # options of weft.Config
    retries = 1

    [executors.htex]            # options of one executor, by its label
    plugin = "htex"
    nodes_per_block = "{nodes}"
    [executors.htex.provider]   # a table with a plugin is a component in a component
    plugin = "slurm"
    account = "{account}"

``{name}`` in text stands for what the user says; ``{{`` and ``}}`` are braces.
"""

import datetime as dt
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

import attrs

__all__ = ["NAME", "Answer", "BadSite", "Detection", "Fill", "Site", "parsed"]

NAME: Final = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
"""What sites and repositories may be called."""

Answer = str | int | bool
"""What a user says of one thing to fill in."""

_TYPES: Final[Mapping[str, type]] = {"text": str, "int": int, "bool": bool}
_TABLES: Final[Mapping[str, frozenset[str]]] = {
    "site": frozenset({"title", "source", "date", "base", "packages", "notes"}),
    "detect": frozenset({"hosts", "environment", "commands", "lacks"}),
    "fill": frozenset(),
    "config": frozenset(),
    "executors": frozenset(),
}
_FILL: Final = frozenset({"help", "type", "pattern", "example", "default"})
_VARIABLE: Final = re.compile(r"[a-z][a-z0-9_]*")
_LABEL: Final = re.compile(r"[A-Za-z0-9_.-]+")


class BadSite(ValueError):
    """A text is no site file. Each argument is a sentence about one thing that is wrong."""


@attrs.frozen(kw_only=True)
class Fill:
    """Something that a user fills in.

    Attributes:
        help: what it is, in a sentence.
        type: ``text``, ``int`` or ``bool``.
        pattern: a regular expression that a text has to match as a whole; empty for any text.
        example: what it may look like.
        default: what holds when the user says nothing; ``None`` if the user has to say it.
    """

    help: str
    type: str = "text"
    pattern: str = ""
    example: str = ""
    default: Answer | None = None

    def answer(self, text: str) -> Answer:
        """What a word on a command line means.

        Raises:
            ValueError: it is not allowed; the message says what is.
        """
        said: Answer = text
        if self.type == "int":
            if not re.fullmatch(r"-?\d{1,18}", text):
                raise ValueError(f"a number is wanted, not {text!r}")
            said = int(text)
        elif self.type == "bool":
            if text.lower() not in {"true", "false"}:
                raise ValueError(f"true or false is wanted, not {text!r}")
            said = text.lower() == "true"
        elif self.pattern and not re.fullmatch(self.pattern, text):
            like = f", such as {self.example!r}" if self.example else ""
            raise ValueError(f"{text!r} does not match {self.pattern}{like}")
        elif not text or not text.isprintable():
            raise ValueError(f"one line of text is wanted, not {text!r}")
        return said


@attrs.frozen(kw_only=True)
class Detection:
    """What tells that one is at a site; all of it has to hold, and nothing holds by itself.

    Attributes:
        hosts: patterns as a shell has them, one of which the name of the machine matches.
        environment: variables with their values, which may be patterns too.
        commands: programs that are on ``PATH``.
        lacks: programs that are not.
    """

    hosts: Sequence[str] = ()
    environment: Mapping[str, str] = attrs.field(factory=dict)
    commands: Sequence[str] = ()
    lacks: Sequence[str] = ()

    @property
    def names_one(self) -> bool:
        """Whether it tells one site, and not only a kind of scheduler."""
        return bool(self.hosts or self.environment)


@attrs.frozen(kw_only=True)
class Site:
    """A site file.

    Attributes:
        name: what it is called, by its file.
        title: what it is.
        source: where its values are from.
        date: when that was looked at.
        base: the site whose values hold where this one is silent; empty for none.
        packages: distributions that its configuration needs.
        notes: what else is to be known.
        detect: what tells that one is there.
        fill: what a user fills in, by name.
        config: options of ``weft.Config``.
        executors: options of each executor by its label; ``plugin`` names the executor.
    """

    name: str
    title: str
    source: str
    date: dt.date
    base: str = ""
    packages: Sequence[str] = ()
    notes: str = ""
    detect: Detection = Detection()
    fill: Mapping[str, Fill] = attrs.field(factory=dict)
    config: Mapping[str, Any] = attrs.field(factory=dict)
    executors: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)


def parsed(name: str, text: str) -> Site:
    """The site that a text describes.

    Args:
        name: what it is called.
        text: TOML, as this module says.

    Raises:
        BadSite: with a sentence for each thing that is wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as trouble:
        raise BadSite(f"It is no TOML: {trouble}.") from None
    wrong = [*_structure(data)]
    if not wrong:
        wrong += [*_about(data.get("site", {})), *_detection(data.get("detect", {}))]
        wrong += [*_fills(data.get("fill", {})), *_executors(data.get("executors", {}))]
        wrong += [*_plain("config", data.get("config", {}))]
    if wrong:
        raise BadSite(*wrong)
    about, found = data["site"], data.get("detect", {})
    return Site(
        name=name,
        **{**about, "packages": tuple(about.get("packages", ()))},
        detect=Detection(
            hosts=tuple(found.get("hosts", ())),
            environment=found.get("environment", {}),
            commands=tuple(found.get("commands", ())),
            lacks=tuple(found.get("lacks", ())),
        ),
        fill={key: Fill(**one) for key, one in data.get("fill", {}).items()},
        config=MappingProxyType(data.get("config", {})),
        executors=MappingProxyType(data.get("executors", {})),
    )


def _structure(data: Mapping[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        if key not in _TABLES:
            yield f"[{key}] means nothing.{_near(key, _TABLES)}"
        elif not isinstance(value, dict):
            yield f"{key} is a table, written [{key}]."
        elif _TABLES[key]:
            for word in value.keys() - _TABLES[key]:
                yield f"{key}.{word} means nothing.{_near(word, _TABLES[key])}"
    if "site" not in data:
        yield "It has no table [site], which says what it is about."


def _about(about: Mapping[str, Any]) -> Iterator[str]:
    for key in ("title", "source"):
        if not isinstance(about.get(key), str) or not about[key].strip():
            yield f"site.{key} must be given, as text."
    if type(about.get("date")) is not dt.date:
        yield "site.date must be given, as a date without quotes, such as 2026-01-31."
    for key in ("base", "notes"):
        if not isinstance(about.get(key, ""), str):
            yield f"site.{key} is text."
    if isinstance(about.get("base"), str) and about["base"] and not NAME.fullmatch(about["base"]):
        yield f"site.base is the name of a site, not {about['base']!r}."
    yield from _texts("site.packages", about.get("packages", []))


def _detection(found: Mapping[str, Any]) -> Iterator[str]:
    for key in ("hosts", "commands", "lacks"):
        yield from _texts(f"detect.{key}", found.get(key, []))
    environment = found.get("environment", {})
    if not isinstance(environment, dict) or not all(
        isinstance(v, str) for v in environment.values()
    ):
        yield "detect.environment is a table of texts."


def _texts(place: str, given: object) -> Iterator[str]:
    if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
        yield f"{place} is a list of texts."


def _fills(fills: Mapping[str, Any]) -> Iterator[str]:
    for name, one in fills.items():
        place = f"fill.{name}"
        if not _VARIABLE.fullmatch(name):
            yield f"{place}: names are small letters, digits and underscores."
        elif not isinstance(one, dict):
            yield f"{place} is a table, written [{place}]."
        elif unknown := sorted(one.keys() - _FILL):
            yield f"{place}.{unknown[0]} means nothing.{_near(unknown[0], _FILL)}"
        else:
            yield from _fill(place, one)


def _fill(place: str, one: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(one.get("help"), str) or not one["help"].strip():
        yield f"{place}.help must be given: a sentence for whoever fills it in."
    for key in ("type", "pattern", "example"):
        if not isinstance(one.get(key, ""), str):
            yield f"{place}.{key} is text."
            return
    if one.get("type", "text") not in _TYPES:
        yield f"{place}.type is one of {', '.join(_TYPES)}, not {one['type']!r}."
        return
    try:
        re.compile(one.get("pattern", ""))
    except re.error as trouble:
        yield f"{place}.pattern is no regular expression: {trouble}."
        return
    if "default" in one and type(one["default"]) is not _TYPES[one.get("type", "text")]:
        yield f"{place}.default is not of the type {one.get('type', 'text')}."


def _executors(executors: Mapping[str, Any]) -> Iterator[str]:
    for label, one in executors.items():
        place = f"executors.{label}"
        if not _LABEL.fullmatch(label):
            yield f"{place}: labels are letters, digits, '_', '.' and '-'."
        elif not isinstance(one, dict):
            yield f"{place} is a table, written [{place}]."
        else:
            yield from _plain(place, one)


def _plain(place: str, given: object) -> Iterator[str]:
    """What is in the values that could not be written as Python."""
    if isinstance(given, dict):
        for key, value in given.items():
            if not key.isidentifier() and place.count(".") < 2 and "environment" not in place:
                yield f"{place}.{key}: options are named by letters, digits and underscores."
            yield from _plain(f"{place}.{key}", value)
    elif isinstance(given, list):
        for value in given:
            yield from _plain(place, value)
    elif not isinstance(given, (str, int, float, bool)):
        yield f"{place} is text, a number, true or false, not a date or a time."


def _near(word: str, known: Sequence[str] | frozenset[str] | Mapping[str, object]) -> str:
    close = get_close_matches(word, sorted(known), n=1)
    return f" Did you mean {close[0]}?" if close else f" There are {', '.join(sorted(known))}."
