"""The kits, with all that is packed or moved going through a store of files; broken variants."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from weft.errors import StagingError
from weft.interfaces.serializer import Buffer, Serializer, SerializerContext, Subject
from weft.interfaces.stager import StagerContext, Transfer
from weft.values.settings import Settings
from weft.values.task import TaskId
from weft_testkit import SerializerConformance
from weft_testkit.bent import BentStager, Broken
from weft_testkit.remote import Remote

# Beside this file, which is in no package; the kit loads this file by its path, too.
_spec = spec_from_file_location("weft_proxystore_far", Path(__file__).with_name("far.py"))
assert _spec is not None
assert _spec.loader is not None
far: Any = module_from_spec(_spec)
_spec.loader.exec_module(far)

PIECE: int = far.PIECE


class TestProxyStore(SerializerConformance):
    """Started, as in a run; so what is packed for a task goes through the store, however small."""

    name = "proxystore"

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return self.registry().settings(
            "serializer",
            "proxystore",
            connector="file",
            options={"store_dir": str(tmp_path)},
            min_size=0,
        )

    def open(self, settings: Settings) -> Any:
        made = super().open(settings)
        made.start(SerializerContext(run_id="run-1", part=_none))
        return made


def _none(settings: Any) -> Any:
    raise LookupError(f"there is no {settings!r} here")


class TestFiles(far.FilesInAStore):  # type: ignore[misc]
    @pytest.fixture
    def settings(self, scratch: Path) -> Settings:
        made: Settings = self.registry().settings(
            "stager",
            "proxystore",
            connector="file",
            options={"store_dir": str(scratch / "store")},
            piece_size=PIECE,
        )
        return made

    @pytest.fixture
    def remote(self, scratch: Path) -> Remote:
        made: Remote = far.StoreRemote(far.InFolder(scratch / "store"))
        return made


# ------------------------------------------------------------------------ broken on purpose


class BentSerializer(Serializer):
    """Passes every call on to a sound serializer that is started."""

    def __init__(self, sound: Any) -> None:
        self.sound, self.id = sound, sound.id

    def pack(self, value: Any) -> Sequence[Buffer]:
        packed: Sequence[Buffer] = self.sound.pack(value)
        return packed

    def pack_for(self, value: Any, subject: Subject) -> Sequence[Buffer]:
        packed: Sequence[Buffer] = self.sound.pack_for(value, subject)
        return packed

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        return self.sound.unpack(buffers)

    def ended(self, tasks: Sequence[TaskId]) -> None:
        self.sound.ended(tasks)

    def close(self) -> None:
        self.sound.close()


class TestMixesObjectsUp(Broken, TestProxyStore):
    killed_by = "R205"

    class Bent(BentSerializer):
        def __init__(self, sound: Any) -> None:
            super().__init__(sound)
            store = sound._lender.store
            put, keys = store.put, list[Any]()

            def mixed(data: bytes) -> Any:
                keys.append(put(data))
                return keys[0]

            store.put = mixed


class TestEmptiesItWhenAnyTaskEnds(Broken, TestProxyStore):
    killed_by = "R206"

    class Bent(BentSerializer):
        def ended(self, tasks: Sequence[TaskId]) -> None:
            for key in tuple(self.sound._key_of.values()):
                self.sound._lender.store.evict(key)


class BrokenFiles(Broken, TestFiles):
    """A kit over a stager that is bent."""

    @pytest.fixture
    def large(self) -> int:
        return 3 * PIECE  # every variant goes through all rules before its own


class BentStore(BentStager):
    """A stager whose store is bent once it is open."""

    sound: Any

    def start(self, context: StagerContext) -> None:
        super().start(context)
        self.bend(self.sound._store)

    @abstractmethod
    def bend(self, store: Any) -> None:
        """Have it do something wrong."""


class TestGivesPiecesInDisorder(BrokenFiles):
    killed_by = "S101"

    class Bent(BentStore):
        def bend(self, store: Any) -> None:
            key_at = store.key_at

            def swapped(name: str, at: str = "") -> Any:
                if name.startswith("p-") and name[-2:] in {"-0", "-1"}:
                    name = f"{name[:-1]}{1 - int(name[-1])}"
                return key_at(name, at)

            store.key_at = swapped


class TestRemembersRecords(BrokenFiles):
    killed_by = "S106"

    class Bent(BentStore):
        def bend(self, store: Any) -> None:
            fetch, known = store.fetch, dict[str, bytes]()

            def remembered(key: Any) -> bytes:
                if str(key) not in known:
                    known[str(key)] = fetch(key)
                return known[str(key)]

            store.fetch = remembered


class TestTakesWhatIsMissingForEmpty(BrokenFiles):
    killed_by = "S107"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            try:
                super().move(transfer)
            except StagingError as error:
                if "no such file" not in error.reason:
                    raise
                transfer.placed.as_path().touch()


class TestLosesAPieceOfEach(BrokenFiles):
    killed_by = "S201"

    class Bent(BentStore):
        def bend(self, store: Any) -> None:
            put_at = store.put_at

            def torn(name: str, data: bytes, at: str = "") -> None:
                put_at(name, bytes(len(data)) if name.endswith("-1") else data, at)

            store.put_at = torn
