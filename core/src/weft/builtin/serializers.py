"""Serializers that come with weft: pickle, and dill."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs

from weft.interfaces.serializer import Buffer, Serializer
from weft.values.settings import SerializerSettings, setting

__all__ = [
    "Dill",
    "DillSettings",
    "Pickle",
    "PickleSettings",
    "build_dill",
    "build_pickle",
]

_LARGE: Final = 65536


@attrs.frozen(kw_only=True)
class PickleSettings(SerializerSettings):
    """The standard library's pickle, protocol 5: fast, for what both sides can import."""

    plugin: ClassVar[str] = "pickle"


@attrs.frozen(kw_only=True)
class DillSettings(SerializerSettings):
    """dill: slower, and knows functions, closures and classes of the main script by value."""

    plugin: ClassVar[str] = "dill"
    recurse: bool = setting(
        True,
        help="Whether the globals that a function uses go with it; without them a function of the "
        "main script finds none of its own elsewhere.",
    )


class Pickle(Serializer):
    """Pickles by protocol 5; buffers from 64 kB on are handed over beside the bytes, uncopied."""

    id = "pickle5"

    def pack(self, value: Any) -> Sequence[Buffer]:
        """The pickle, and the large buffers in it."""
        large: list[Buffer] = []

        def keep_small(buffer: pickle.PickleBuffer) -> bool:
            # Pickle puts a buffer in line if this returns something true.
            try:
                raw = buffer.raw()
            except BufferError:  # not contiguous
                return True
            if raw.nbytes < _LARGE:
                return True
            large.append(raw)
            return False

        head = pickle.dumps(value, 5, buffer_callback=keep_small)
        return [head, *large]

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        """The object again; arrays in it use the buffers that are given."""
        return pickle.loads(buffers[0], buffers=buffers[1:])


class Dill(Serializer):
    """Pickles by dill."""

    id = "dill1"

    def __init__(self, *, recurse: bool = True) -> None:
        self._recurse = recurse

    def pack(self, value: Any) -> Sequence[Buffer]:
        """The pickle, as one buffer."""
        import dill

        return [dill.dumps(value, protocol=5, recurse=self._recurse)]

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        """The object again."""
        import dill

        return dill.loads(bytes(buffers[0]))


def build_pickle(_settings: PickleSettings) -> Pickle:
    """The factory that the declaration of ``pickle`` names."""
    return Pickle()


def build_dill(settings: DillSettings) -> Dill:
    """The factory that the declaration of ``dill`` names."""
    return Dill(recurse=settings.recurse)
