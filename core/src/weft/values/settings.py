"""Settings classes: the configuration of one component, as frozen data.

A plugin writes one attrs class that inherits the marker of its kind and gives each option a type, a
default and a help text:

    @attrs.frozen(kw_only=True)
    class Threads(ExecutorSettings):
        plugin: ClassVar[str] = "threads"
        max_threads: int = setting(2, help="Tasks run at once.", unit="threads", validator=ge(1))

From the class alone come ``weft plugin info``, the plugin page of the documentation, ``weft check``
and the error texts.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import attrs

from weft.values.files import Site
from weft.values.plugin import Kind

__all__ = [
    "ExecutorSettings",
    "LauncherSettings",
    "MonitorSettings",
    "Option",
    "ProviderSettings",
    "SerializerSettings",
    "Settings",
    "StagerSettings",
    "options_of",
    "setting",
]


def setting(
    default: Any = attrs.NOTHING,
    *,
    help: str,  # noqa: A002 - the field's standard word for it
    unit: str = "",
    env: str = "",
    secret: bool = False,
    validator: Any = None,
    converter: Callable[[Any], Any] | None = None,
    factory: Callable[[], Any] | None = None,
) -> Any:
    """One option of a settings class.

    Args:
        default: the value when it is left out; without one the option must be given.
        help: one sentence for the person who chooses a value.
        unit: of numbers, such as ``"seconds"``.
        env: an environment variable that a plugin reads as the default, for the documentation.
        secret: never shown or written.
        validator: an attrs validator, or a list of them.
        converter: applied before validation.
        factory: makes the default, instead of ``default``.
    """
    metadata = {"help": help, "unit": unit, "env": env, "secret": secret}
    more: dict[str, Any] = {
        "metadata": metadata,
        "validator": validator,
        "converter": converter,
        "repr": not secret,
    }
    if factory is not None:
        return attrs.field(factory=factory, **more)
    return attrs.field(default=default, **more)


@attrs.frozen(kw_only=True)
class Settings:
    """What every settings class is. Not used itself: a class inherits the marker of its kind.

    ``plugin`` is the name under which the component is declared.
    """

    kind: ClassVar[Kind]
    plugin: ClassVar[str]


@attrs.frozen(kw_only=True)
class ExecutorSettings(Settings):
    """Settings of an executor."""

    kind: ClassVar[Kind] = Kind.EXECUTOR
    label: str = setting(
        "",
        help="The name by which apps choose this executor; the plugin's name when left out.",
        validator=attrs.validators.matches_re(r"[A-Za-z0-9_.-]*"),
    )
    site: Site | None = setting(
        None,
        help="Where its machines keep files, if they do not see those of the script; when left "
        "out, a path means the same here and there.",
        validator=attrs.validators.optional(attrs.validators.instance_of(Site)),
    )
    sandbox: Literal["off", "on", "keep"] = setting(
        "off",
        help="Whether each task runs in a working folder of its own, with its inputs in it, from "
        "which its outputs are taken when it has ended well; 'keep' leaves the folder of a task "
        "that failed.",
        validator=attrs.validators.in_(("off", "on", "keep")),
    )
    sandbox_inputs: Literal["link", "copy"] = setting(
        "link",
        help="How inputs come into such a folder: a link leads to the input itself, a copy is the "
        "task's own to change.",
        validator=attrs.validators.in_(("link", "copy")),
    )
    serializer: "SerializerSettings | None" = setting(
        None,
        help="What packs the calls and results of its tasks, but for apps that name their own; the "
        "quickest way there is when left out.",
    )
    argument_budget: int | None = setting(
        10_000_000,
        help="What the arguments of one call may have before a warning names the largest, once per "
        "app; None warns of none.",
        unit="bytes",
        validator=attrs.validators.optional(attrs.validators.ge(0)),
    )

    @property
    def called(self) -> str:
        """The label, or the plugin's name where none was given."""
        return self.label or self.plugin


class ProviderSettings(Settings):
    """Settings of a provider."""

    __slots__ = ()

    kind: ClassVar[Kind] = Kind.PROVIDER


class LauncherSettings(Settings):
    """Settings of a launcher."""

    __slots__ = ()

    kind: ClassVar[Kind] = Kind.LAUNCHER


class StagerSettings(Settings):
    """Settings of a stager."""

    __slots__ = ()

    kind: ClassVar[Kind] = Kind.STAGER


class SerializerSettings(Settings):
    """Settings of a serializer."""

    __slots__ = ()

    kind: ClassVar[Kind] = Kind.SERIALIZER


class MonitorSettings(Settings):
    """Settings of a monitor."""

    __slots__ = ()

    kind: ClassVar[Kind] = Kind.MONITOR


@attrs.frozen(kw_only=True)
class Option:
    """One option of a settings class, as shown to people.

    Attributes:
        name: the keyword.
        type: its annotation, as text.
        default: its default as text; ``None`` if the option must be given.
        help, unit, env, secret: as given to :func:`setting`.
    """

    name: str
    type: str
    default: str | None
    help: str
    unit: str
    env: str
    secret: bool


def options_of(settings_class: type[Settings]) -> Iterator[Option]:
    """The options of a settings class, in the order in which they are written."""
    for field in attrs.fields(settings_class):
        meta: Mapping[str, Any] = field.metadata
        yield Option(
            name=field.alias or field.name,
            type=field.type
            if isinstance(field.type, str)
            else getattr(field.type, "__name__", str(field.type))
            if not hasattr(field.type, "__args__")
            else str(field.type).replace("typing.", ""),
            default=_shown(field.default),
            help=meta.get("help", ""),
            unit=meta.get("unit", ""),
            env=meta.get("env", ""),
            secret=bool(meta.get("secret")),
        )


def _shown(default: Any) -> str | None:
    if default is attrs.NOTHING:
        return None
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        made = default.factory() if not default.takes_self else "(computed)"
        return repr(made)
    return repr(default)
