"""What a plugin says of itself before any of its heavy code runs."""

import enum
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

__all__ = ["Component", "Kind", "Level", "Requires", "State", "Support", "normalized"]


class Kind(enum.StrEnum):
    """What a component can be."""

    EXECUTOR = "executor"
    PROVIDER = "provider"
    LAUNCHER = "launcher"
    STAGER = "stager"
    SERIALIZER = "serializer"
    MONITOR = "monitor"
    COMMAND = "command"

    @property
    def has_interface(self) -> bool:
        """Whether the kind has an interface with a version; a command of ``weft`` has none."""
        return self is not Kind.COMMAND


class Support(enum.StrEnum):
    """Whether a component can do a thing. "Cannot" is not "not yet"."""

    FULL = "full"
    PARTIAL = "partial"
    NOT_IMPLEMENTED = "not-implemented"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


class Level(enum.StrEnum):
    """How far evidence has taken a component. The order is that of trust."""

    UNRATED = "unrated"
    EXPERIMENTAL = "experimental"
    TESTED = "tested"
    SUPPORTED = "supported"
    PROVEN = "proven"

    @property
    def rank(self) -> int:
        """Position in the order of trust, from 0."""
        return _LEVELS.index(self)


_LEVELS: Final = tuple(Level)


class State(enum.StrEnum):
    """What its owners decided about a component; independent of its level."""

    ACTIVE = "active"
    FROZEN = "frozen"
    DEPRECATED = "deprecated"
    REMOVED = "removed"


# Not plain `tuple`: type checkers would ask for an Iterable of its unsolved type variable.
def _texts(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(values)


@attrs.frozen(kw_only=True)
class Requires:
    """What must be there before a component can start; ``weft doctor`` looks for it.

    Attributes:
        commands: programs that must be on the PATH.
        modules: Python modules that must be importable.
        platforms: values of ``sys.platform`` it works on; empty for all.
        hint: what to do when something is missing.
    """

    commands: Sequence[str] = attrs.field(factory=tuple, converter=_texts)
    modules: Sequence[str] = attrs.field(factory=tuple, converter=_texts)
    platforms: Sequence[str] = attrs.field(factory=tuple, converter=_texts)
    hint: str = ""


def normalized(name: str) -> str:
    """The form in which names are compared: lower case, ``_`` as ``-``."""
    return name.strip().lower().replace("_", "-")


def _all_normalized(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(normalized(name) for name in names)


@attrs.frozen(kw_only=True)
class Component:
    """A plugin's declaration: all that must be known to list it, to check it and to load it.

    It stands in a module that imports only ``weft.values``, and is what an entry point of the group
    ``weft.components`` leads to.

    Attributes:
        kind, name: equal to the entry point's name ``kind.name``.
        interface: the version of the interface of that kind it was built for, as ``"1.0"``.
        settings: ``"module:Class"`` of its attrs settings class; a light module. Commands alone
            have none.
        factory: ``"module:callable"``, imported only when the component is opened; gets the
            settings object and returns the component. For a command, the command itself
            (``weft.interfaces.command``).
        summary: one sentence for lists.
        aliases: other names.
        capabilities: what it can do, by names that its kind's interface documents.
        requires: what must be installed besides the package.
        checks: ``"module:callable"``, imported by ``weft doctor`` alone: gets the settings object
            and a folder that it may use and that is removed afterwards, next to where run folders
            are, and gives a :class:`~weft.values.problem.Finding` for each thing it looked at.
        pairs_with: names of other kinds it can be composed with, by kind; ``("*",)`` for any.
        schemes: for stagers, the URL schemes it moves.
        docs: a URL or a path within the documentation.
        since: the version of its distribution that first had it.
        deprecated: why not to use it any more, and what instead; empty while it is in use.
    """

    kind: Kind = attrs.field(converter=Kind)
    name: str = attrs.field(
        converter=normalized, validator=attrs.validators.matches_re(r"[a-z0-9]+(-[a-z0-9]+)*")
    )
    interface: str = attrs.field(default="1.0", validator=attrs.validators.matches_re(r"\d+\.\d+"))
    settings: str = attrs.field(default="", validator=attrs.validators.matches_re(r"([\w.]+:\w+)?"))
    factory: str = attrs.field(validator=attrs.validators.matches_re(r"[\w.]+:\w+"))
    summary: str = attrs.field(validator=attrs.validators.min_len(1))
    aliases: Sequence[str] = attrs.field(factory=tuple, converter=_all_normalized)
    capabilities: Mapping[str, Support] = attrs.field(factory=dict)
    requires: Requires = attrs.field(factory=Requires)
    checks: str = attrs.field(default="", validator=attrs.validators.matches_re(r"([\w.]+:\w+)?"))
    pairs_with: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    schemes: Sequence[str] = attrs.field(factory=tuple, converter=_texts)
    docs: str = ""
    since: str = "0.1"
    deprecated: str = ""

    def __attrs_post_init__(self) -> None:
        if self.kind.has_interface and not self.settings:
            raise ValueError(f"{self.key} must name its settings class")

    @property
    def key(self) -> str:
        """``kind.name``, as in the entry point and in ``maturity.toml``."""
        return f"{self.kind}.{self.name}"
