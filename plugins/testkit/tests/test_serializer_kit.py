"""The kit for serializers passes sound ones; each rule kills the variant that breaks it, first."""

import json
import os
import pickle
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, overload

import attrs
import pytest

from weft.interfaces.serializer import Buffer, Serializer, Subject
from weft.values.plugin import Component, Support
from weft.values.settings import Settings
from weft_testkit import SerializerConformance


class TestPickle(SerializerConformance):
    name = "pickle"


class TestDill(SerializerConformance):
    name = "dill"


class TestCloudpickle(SerializerConformance):
    name = "cloudpickle"


class TestDillWithoutGlobals(SerializerConformance):
    name = "dill"
    not_supported: ClassVar[Mapping[str, str]] = {
        "R304": "with recurse=False the globals of the main script are looked for where it unpacks"
    }

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("serializer", "dill", recurse=False)


class Json(Serializer):
    """Data alone: what JSON knows, and nothing that it would turn into something else."""

    id = "json1"

    def pack(self, value: Any) -> Sequence[Buffer]:
        text = json.dumps(value)
        if not like(json.loads(text), value):
            raise TypeError("JSON would make something else of it")
        return [text.encode()]

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        return json.loads(bytes(buffers[0]))


def like(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(like(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(like, one, other))
    return bool(one == other) if isinstance(one, str) else repr(one) == repr(other)


class TestJson(SerializerConformance):
    name = "pickle"

    @classmethod
    def component(cls) -> Component:
        known = {
            "functions.by-value": Support.UNSUPPORTED,
            "buffers": Support.UNSUPPORTED,
            "data-only": Support.FULL,
        }
        return attrs.evolve(super().component(), capabilities=known)

    def open(self, settings: Settings) -> Any:
        return Json()


# ------------------------------------------------------------------------ broken on purpose


class Bent(Serializer):
    """A sound serializer of which something is bent."""

    def __init__(self, sound: Serializer) -> None:
        self.sound, self.id = sound, sound.id

    def pack(self, value: Any) -> Sequence[Buffer]:
        return self.sound.pack(value)

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        return self.sound.unpack(buffers)


class Variant(SerializerConformance):
    """A kit over a serializer that is bent."""

    name = "pickle"
    Broken: ClassVar[type[Bent]]

    def open(self, settings: Settings) -> Any:
        return self.Broken(super().open(settings))


class Afterwards(Bent):
    """Makes something else of what was unpacked."""

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        return self.bend(super().unpack(buffers))

    def bend(self, value: Any) -> Any:
        raise NotImplementedError


class TestHasNoVersion(Variant):
    killed_by = "R001"

    class Broken(Bent):
        def __init__(self, sound: Serializer) -> None:
            super().__init__(sound)
            self.id = "pickle"


class TestNumbersItself(Variant):
    killed_by = "R001"
    numbers: ClassVar[list[int]] = []

    class Broken(Bent):
        def __init__(self, sound: Serializer) -> None:
            super().__init__(sound)
            TestNumbersItself.numbers.append(0)
            self.id = f"pickle{len(TestNumbersItself.numbers)}"


class TestNeverComesBack(Variant):
    killed_by = "R001"

    @pytest.fixture
    def patience(self) -> float:
        return 0.2

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            threading.Event().wait(2)
            return super().pack(value)


class TestGivesBareBytes(Variant):
    killed_by = "R002"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            return bytes(super().pack(value)[0])  # type: ignore[return-value] # a sequence of int


class TestGivesAnEmptyHead(Variant):
    killed_by = "R002"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            return [b"", *super().pack(value)]

        def unpack(self, buffers: Sequence[Buffer]) -> Any:
            return super().unpack(buffers[1:])


class TestTakesNothingForNone(Variant):
    killed_by = "R101"

    class Broken(Afterwards):
        def bend(self, value: Any) -> Any:
            return None if value == "" else value


class TestKnowsNoTexts(Variant):
    killed_by = "R101"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            if isinstance(value, str):
                raise TypeError("a text")
            return super().pack(value)


class TestHardensBytes(Variant):
    killed_by = "R102"

    class Broken(Afterwards):
        def bend(self, value: Any) -> Any:
            return bytes(value) if isinstance(value, bytearray) else value


class TestMakesListsOfTuplesInside(Variant):
    killed_by = "R103"

    class Broken(Afterwards):
        def bend(self, value: Any) -> Any:
            if isinstance(value, dict) and isinstance(value.get("key 0"), tuple):
                value["key 0"] = list(value["key 0"])
            return value


class TestForgetsFactsOfErrors(Variant):
    killed_by = "R104"

    class Broken(Afterwards):
        def bend(self, value: Any) -> Any:
            if isinstance(value, Exception):
                vars(value).clear()
            return value


class TestCutsCircles(Variant):
    killed_by = "R105"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            if isinstance(value, list):
                value = [None if one is value else one for one in value]
            return super().pack(value)


class TestPacksPartByPart(Variant):
    killed_by = "R106"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            if not isinstance(value, list) or any(one is value for one in value):
                return super().pack(value)
            parts = [[bytes(buffer) for buffer in self.pack(one)] for one in value]
            return [b"parts" + pickle.dumps(parts)]

        def unpack(self, buffers: Sequence[Buffer]) -> Any:
            head = bytes(buffers[0])
            if not head.startswith(b"parts"):
                return super().unpack(buffers)
            return [self.unpack(part) for part in pickle.loads(head[5:])]


class TestRefusesLate(Variant):
    killed_by = "R107"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            try:
                return super().pack(value)
            except (TypeError, AttributeError, pickle.PicklingError):
                return [b"!"]


class TestSortsWhatItPacks(Variant):
    killed_by = "R108"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            if isinstance(value, list) and value and value[0] == [3, 1, 2]:
                value[0].sort()
            return super().pack(value)


class TestStaysConfused(Variant):
    killed_by = "R108"

    class Broken(Bent):
        refused = 0

        def pack(self, value: Any) -> Sequence[Buffer]:
            try:
                packed = super().pack(value)
            except Exception:
                self.refused += 1
                raise
            return packed if self.refused == 0 or value != [1, "x"] else super().pack([1])


class Lazy(Sequence[Buffer]):
    """Packs when it is looked at."""

    def __init__(self, pack: Callable[[], Sequence[Buffer]]) -> None:
        pack()
        self.pack = pack

    def __len__(self) -> int:
        return len(self.pack())

    @overload
    def __getitem__(self, at: int) -> Buffer: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Buffer]: ...
    def __getitem__(self, at: Any) -> Any:
        return self.pack()[at]


class TestPacksLater(Variant):
    killed_by = "R109"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            return Lazy(lambda: self.sound.pack(value))


class TestUnpacksOnce(Variant):
    killed_by = "R109"

    class Broken(Bent):
        def __init__(self, sound: Serializer) -> None:
            super().__init__(sound)
            self.known: dict[bytes, Any] = {}

        def unpack(self, buffers: Sequence[Buffer]) -> Any:
            head = bytes(buffers[0])
            if head not in self.known:
                self.known[head] = super().unpack(buffers)
            return self.known[head]


class Keeps(Bent):
    """Keeps what is packed, and hands a number over."""

    def __init__(self, sound: Serializer) -> None:
        super().__init__(sound)
        self.table: dict[bytes, Sequence[Buffer]] = {}

    def pack(self, value: Any) -> Sequence[Buffer]:
        number = uuid.uuid4().bytes
        self.table[number] = super().pack(value)
        return [number]

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        return super().unpack(self.table[bytes(buffers[0])])


class TestKeepsItAll(Variant):
    killed_by = "R201"
    Broken = Keeps


class TestWantsItsOwnBytes(Variant):
    killed_by = "R202"

    class Broken(Bent):
        def unpack(self, buffers: Sequence[Buffer]) -> Any:
            if not all(isinstance(buffer, (bytes, memoryview)) for buffer in buffers):
                raise TypeError("no bytes")
            return super().unpack(buffers)


class TestMixesThreadsUp(Variant):
    killed_by = "R203"

    class Broken(Bent):
        def __init__(self, sound: Serializer) -> None:
            super().__init__(sound)
            self.together = threading.Barrier(4)

        def pack(self, value: Any) -> Sequence[Buffer]:
            self.current = value
            if threading.current_thread().name == "weft-testkit-packer":
                self.together.wait(10)
            return super().pack(self.current)


class TestKeepsItAllInThisProcess(Variant):
    killed_by = "R204"

    class Broken(Keeps):
        everything: ClassVar[dict[bytes, Sequence[Buffer]]] = {}

        def __init__(self, sound: Serializer) -> None:
            super().__init__(sound)
            self.table = self.everything


class TestCopiesBuffers(Variant):
    killed_by = "R301"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            return [bytes(buffer) for buffer in super().pack(value)]


class TestCopiesBuffersThatCame(Variant):
    killed_by = "R302"

    class Broken(Bent):
        def unpack(self, buffers: Sequence[Buffer]) -> Any:
            return super().unpack([bytes(buffer) for buffer in buffers])


class TestRefusesLambdas(Variant):
    name = "dill"
    killed_by = "R303"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            if getattr(value, "__name__", "") == "<lambda>":
                raise TypeError("a lambda")
            return super().pack(value)


class TestLooksForMainElsewhere(Variant):
    name = "dill"
    killed_by = "R304"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            if getattr(value, "__module__", "") == "__main__":
                return [pickle.dumps(value)]
            return super().pack(value)


class TestCloudpickleRefusesLambdas(TestRefusesLambdas):
    name = "cloudpickle"


class TestCloudpickleLooksForMainElsewhere(TestLooksForMainElsewhere):
    name = "cloudpickle"


class TestTriesPickleToo(TestJson):
    killed_by = "R305"

    def open(self, settings: Settings) -> Any:
        class Broken(Json):
            def unpack(self, buffers: Sequence[Buffer]) -> Any:
                try:
                    return super().unpack(buffers)
                except ValueError:
                    return pickle.loads(buffers[0])

        return Broken()


class TestTakesHalfForNone(Variant):
    killed_by = "R401"

    class Broken(Bent):
        def unpack(self, buffers: Sequence[Buffer]) -> Any:
            try:
                return super().unpack(buffers)
            except EOFError:
                return None


class TestDiesOfWhatWasChanged(Variant):
    killed_by = "R402"

    class Broken(Bent):
        def unpack(self, buffers: Sequence[Buffer]) -> Any:
            try:
                return super().unpack(buffers)
            except pickle.UnpicklingError:
                if len(buffers[0]) > 300:  # the rule before this one has less, and runs here
                    os.abort()
                raise


class TestDiesOfDepth(Variant):
    killed_by = "R403"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            try:
                return super().pack(value)
            except RecursionError:
                os.abort()


class TestTakesMuchMemory(Variant):
    killed_by = "R404"

    class Broken(Bent):
        def pack(self, value: Any) -> Sequence[Buffer]:
            packed = super().pack(value)
            copies = [b"." + bytes(packed[0]) for _ in range(6 if len(packed[0]) > 10**6 else 1)]
            return [copies[0][1:], *packed[1:]]


class TestDillForgetsDicts(TestDill):
    killed_by = "R101"

    def open(self, settings: Settings) -> Any:
        class Forgets(Bent):
            def unpack(self, buffers: Sequence[Buffer]) -> Any:
                value = super().unpack(buffers)
                return {} if isinstance(value, dict) else value

        return Forgets(super().open(settings))


class TestForgetsKeywords(Variant):
    killed_by = "R205"

    class Broken(Bent):
        def pack_for(self, value: Any, subject: Subject) -> Sequence[Buffer]:
            return self.pack([value[0], {}] if subject.part == "arguments" else value)


class TestNeedsToKnowTheTask(Variant):
    killed_by = "R206"

    class Broken(Bent):
        def __init__(self, sound: Serializer) -> None:
            super().__init__(sound)
            self.tasks: set[int | None] = set()

        def pack_for(self, value: Any, subject: Subject) -> Sequence[Buffer]:
            self.tasks.add(subject.task)
            return self.pack(value)

        def ended(self, tasks: Sequence[int]) -> None:
            for task in tasks:
                self.tasks.remove(task)
