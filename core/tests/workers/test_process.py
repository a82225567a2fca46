"""A worker that cannot be started leaves nothing of itself."""

from pathlib import Path

import pytest

from weft.workers.packing import Slot
from weft.workers.process import Birth, Process


def _birth(folder: Path) -> Birth:
    return Birth(folder, {}, clean=True, slots=1)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_folder_that_cannot_be_used_is_known_before_the_first_worker(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotADirectoryError):
        _birth(tmp_path / "file" / "workers")
    with pytest.raises(FileNotFoundError):
        _birth(tmp_path / "nowhere")


def test_a_worker_whose_log_cannot_be_written_leaves_no_descriptor(tmp_path: Path) -> None:
    birth = _birth(tmp_path)
    (tmp_path / "worker-1.log").mkdir()
    before = _descriptors()

    with pytest.raises(IsADirectoryError):
        Process(birth, 1, Slot(0, 1.0, 0))

    assert _descriptors() == before
    birth.close()
