"""The options of the serializer. A light module."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from weft.values.settings import SerializerSettings, StagerSettings, setting

__all__ = ["CONNECTORS", "ProxyStore", "ProxyStoreFiles"]

CONNECTORS: Mapping[str, str] = {
    "endpoint": "weft_proxystore.endpoint:RunsEndpoint",
    "file": "weft_proxystore.folder:RunsFolder",
    "local": "proxystore.connectors.local:LocalConnector",
    "redis": "weft_proxystore.redis:RunsRedis",
}
"""The connectors that have a name, and where each one is."""


def _names(value: object) -> tuple[str, ...]:
    # A name alone is a common slip, and its letters would be taken for names.
    return (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]


def _is_connector(_instance: object, _field: object, value: str) -> None:
    module, colon, name = value.partition(":")
    parts = [*module.split("."), *name.split(".")] if colon else []
    if value not in CONNECTORS and not (parts and all(map(str.isidentifier, parts))):
        raise ValueError(
            f"{value!r} is no connector: say one of {', '.join(CONNECTORS)}, or 'module:Class'"
        )


@attrs.frozen(kw_only=True)
class ProxyStore(SerializerSettings):
    """Large objects through a store of ProxyStore; the rest as cloudpickle does.

    What the policy picks is put into the store once, however many tasks get it, and a task gets a
    proxy: it behaves as the object, which is fetched when it is first used. It is removed from the
    store when the last task that got it has ended, and all is when the run ends.
    """

    plugin: ClassVar[str] = "proxystore"
    connector: str = setting(
        help="What stores the objects: 'file', 'redis', 'local', 'endpoint', or 'module:Class' of "
        "another connector of ProxyStore.",
        validator=[attrs.validators.instance_of(str), _is_connector],
    )
    options: Mapping[str, Any] = setting(
        factory=dict,
        help="What the connector is given, such as {'store_dir': '/scratch/me'} or {'hostname': "
        "'head', 'port': 6379}. For 'file', each run has a folder of its own in that one.",
        validator=attrs.validators.instance_of(Mapping),
    )
    inner: SerializerSettings | None = setting(
        None,
        help="What packs the rest. With one, only what lies in lists, tuples and dicts is found; "
        "without, what objects hold in their attributes is too.",
        validator=attrs.validators.optional(attrs.validators.instance_of(SerializerSettings)),
    )
    min_size: int = setting(
        100_000,
        help="Smaller objects travel with the task.",
        unit="bytes",
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)],
    )
    types: Sequence[str] = setting(
        (),
        help="Only objects of these classes, by names such as 'numpy.ndarray', or of classes made "
        "of them; all when left out.",
        converter=_names,
    )
    not_types: Sequence[str] = setting(
        (), help="No objects of these classes, nor of classes made of them.", converter=_names
    )
    names: Sequence[str] = setting(
        (),
        help="Only what is passed by these keywords; all arguments when left out.",
        converter=_names,
    )
    results: bool = setting(
        True,
        help="Whether results go through the store too.",
        validator=attrs.validators.instance_of(bool),
    )
    lazy: bool = setting(
        True,
        help="Whether a task gets proxies; if not, it gets the objects, fetched before it begins. "
        "Bytes, texts, lists and dicts are always fetched before, since much code takes nothing "
        "but the real ones.",
        validator=attrs.validators.instance_of(bool),
    )
    keep_size: int = setting(
        256_000_000,
        help="What each process keeps of the objects that it has fetched, for the next task that "
        "gets one of them; 0 keeps nothing.",
        unit="bytes",
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)],
    )


_OF_FILES = ("endpoint", "file", "redis")


@attrs.frozen(kw_only=True)
class ProxyStoreFiles(StagerSettings):
    """Files that are in a store of ProxyStore while the run goes on: ``proxystore://any/name``.

    What a task makes is put there by the machine of the task, and brought from there by the machine
    of the task that needs it; so sites that share no file system pass files on without the script.
    All files of a run go when it ends.
    """

    plugin: ClassVar[str] = "proxystore"
    connector: str = setting(
        help="What stores the files: 'file', 'redis' or 'endpoint'.",
        validator=[attrs.validators.instance_of(str), attrs.validators.in_(_OF_FILES)],
    )
    options: Mapping[str, Any] = setting(
        factory=dict,
        help="What the connector is given, such as {'store_dir': '/scratch/me'}, {'hostname': "
        "'head', 'port': 6379}, or {'endpoints': [...]}. For 'file', each run has a folder of its "
        "own in that one, which has to be the same for the script and all tasks.",
        validator=attrs.validators.instance_of(Mapping),
    )
    piece_size: int = setting(
        16 * 2**20,
        help="Larger files are stored in pieces of so many bytes; a process holds one piece of "
        "each file that it moves.",
        unit="bytes",
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(2**16)],
    )
    sync: bool = setting(
        False,
        help="Whether what is brought is written out to the disk before it has its name.",
        validator=attrs.validators.instance_of(bool),
    )
