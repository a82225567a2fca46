"""Serializers that come with weft: pickle, cloudpickle and dill."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs

from weft.interfaces.serializer import Buffer, Serializer
from weft.values.settings import SerializerSettings, setting

__all__ = [
    "Cloudpickle",
    "CloudpickleSettings",
    "Dill",
    "DillSettings",
    "Pickle",
    "PickleSettings",
    "build_cloudpickle",
    "build_dill",
    "build_pickle",
]

_LARGE: Final = 65536


def _names(value: object) -> tuple[str, ...]:
    # A name alone is a common slip, and its letters would be taken for names.
    return (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]


def _are_names(_instance: object, _field: object, value: tuple[str, ...]) -> None:
    for name in value:
        if not all(map(str.isidentifier, str(name).split("."))):
            raise ValueError(f"{name!r} is no name of a module, such as 'mymodule' or 'package'")


@attrs.frozen(kw_only=True)
class PickleSettings(SerializerSettings):
    """The standard library's pickle, protocol 5: the quickest.

    Chosen for calls, it is what they get without a choice: functions and classes of the main
    script, closures and lambdas travel with their code, all else by its name, which workers import.
    """

    plugin: ClassVar[str] = "pickle"
    by_value: Sequence[str] = setting(
        (),
        help="Modules and packages that workers do not have: functions and classes of these, and "
        "of what is in these packages, travel with their code.",
        converter=_names,
        validator=_are_names,
    )


@attrs.frozen(kw_only=True)
class DillSettings(SerializerSettings):
    """dill: slower, and knows functions, closures and classes of the main script by value."""

    plugin: ClassVar[str] = "dill"
    recurse: bool = setting(
        True,
        help="Whether the globals that a function uses go with it; without them a function of the "
        "main script finds none of its own elsewhere.",
    )


@attrs.frozen(kw_only=True)
class CloudpickleSettings(SerializerSettings):
    """cloudpickle: knows functions, closures and classes of the main script by value.

    Modules that were named to ``cloudpickle.register_pickle_by_value`` go by value as well.
    """

    plugin: ClassVar[str] = "cloudpickle"


class _Beside:
    """Takes what pickle leaves out of line: large buffers, beside the bytes."""

    def __init__(self) -> None:
        self.large: list[Buffer] = []

    def keep_small(self, buffer: pickle.PickleBuffer) -> bool:
        # Pickle puts a buffer in line if this returns something true.
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes < _LARGE:
            return True
        self.large.append(raw)
        return False


class Pickle(Serializer):
    """Pickles by protocol 5; buffers from 64 kB on are handed over beside the bytes, uncopied.

    Args:
        by_value: modules and packages whose functions and classes are packed with their code.

    Attributes:
        by_value: they.
    """

    id = "pickle5"

    def __init__(self, *, by_value: Sequence[str] = ()) -> None:
        self.by_value = frozenset(by_value)

    def pack(self, value: Any) -> Sequence[Buffer]:
        """The pickle, and the large buffers in it."""
        beside = _Beside()
        if self.by_value:
            from weft.calls import byvalue

            head = byvalue.dumps(value, beside.keep_small, self.by_value)
        else:
            head = pickle.dumps(value, 5, buffer_callback=beside.keep_small)
        return [head, *beside.large]

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        """The object again; arrays in it use the buffers that are given."""
        return pickle.loads(buffers[0], buffers=buffers[1:])


class Dill(Serializer):
    """Pickles by dill; buffers as pickle does, but for arrays, which dill copies first."""

    id = "dill1"

    def __init__(self, *, recurse: bool = True) -> None:
        self._recurse = recurse

    def pack(self, value: Any) -> Sequence[Buffer]:
        """The pickle, and the large buffers in it."""
        import dill

        beside = _Beside()
        head = dill.dumps(
            value, protocol=5, recurse=self._recurse, buffer_callback=beside.keep_small
        )
        return [head, *beside.large]

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        """The object again; arrays in it use the buffers that are given."""
        import dill

        return dill.loads(bytes(buffers[0]), buffers=buffers[1:])


class Cloudpickle(Serializer):
    """Pickles by cloudpickle; buffers as pickle does."""

    id = "cloudpickle3"

    def pack(self, value: Any) -> Sequence[Buffer]:
        """The pickle, and the large buffers in it."""
        import cloudpickle

        beside = _Beside()
        head = cloudpickle.dumps(value, protocol=5, buffer_callback=beside.keep_small)
        return [head, *beside.large]

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        """The object again; arrays in it use the buffers that are given."""
        # What it writes is a pickle that names the functions of cloudpickle.
        return pickle.loads(buffers[0], buffers=buffers[1:])


def build_pickle(settings: PickleSettings) -> Pickle:
    """The factory that the declaration of ``pickle`` names."""
    return Pickle(by_value=settings.by_value)


def build_cloudpickle(_settings: CloudpickleSettings) -> Cloudpickle:
    """The factory that the declaration of ``cloudpickle`` names."""
    return Cloudpickle()


def build_dill(settings: DillSettings) -> Dill:
    """The factory that the declaration of ``dill`` names."""
    return Dill(recurse=settings.recurse)
