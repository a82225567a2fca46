"""The kits, with all that is packed or moved going through a store of files, and broken variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, ClassVar

import pytest

from weft.errors import StagingError
from weft.interfaces.serializer import Buffer, Subject
from weft.interfaces.stager import Transfer, Way
from weft.values.settings import Settings
from weft_testkit import SerializerConformance, StagerConformance
from weft_testkit.bent import BentStager, Broken
from weft_testkit.elsewhere import run_elsewhere
from weft_testkit.remote import Remote
from weft_testkit.stager import move_there

# Beside this file, which is in no package; the kit loads this file by its path, too.
_spec = spec_from_file_location("weft_proxystore_far", Path(__file__).with_name("far.py"))
assert _spec is not None
assert _spec.loader is not None
far: Any = module_from_spec(_spec)
_spec.loader.exec_module(far)


class TestProxyStore(SerializerConformance):
    name = "proxystore"

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return self.registry().settings(
            "serializer", "proxystore", connector="file", options={"store_dir": str(tmp_path)}
        )


class TestFiles(StagerConformance):
    name = "proxystore"

    @pytest.fixture
    def settings(self, scratch: Path) -> Settings:
        return self.registry().settings(
            "stager",
            "proxystore",
            connector="file",
            options={"store_dir": str(scratch / "store")},
            piece_size=far.PIECE,
        )

    @pytest.fixture
    def remote(self, scratch: Path) -> Remote:
        made: Remote = far.StoreRemote(far.InFolder(scratch / "store"))
        return made

    @pytest.fixture
    def moved_elsewhere(
        self, settings: Settings, remote: Any, scratch: Path, patience: float
    ) -> Callable[[Transfer], None]:
        """As the kit's, with the files that went when the stager that planned was closed."""
        own = scratch / "own of elsewhere"
        own.mkdir(mode=0o700)

        def move(plan: Transfer) -> None:
            remote.again()
            ended = run_elsewhere(self, move_there, settings, plan, own, seconds=patience + 20)
            assert ended.exit_code == 0, f"in another process it failed:\n{ended.said}"
            assert ended.value == "", f"in another process it raised {ended.value}"

        return move
