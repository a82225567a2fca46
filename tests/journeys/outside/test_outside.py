"""A package that weft knows nothing of adds an executor, and a script uses it by its name.

Wheels of core and of the package are built and installed into a fresh environment, as a user would
have them: no path of the repository is on the way of imports there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.journeys.conftest import Fresh, Wheels

HERE = Path(__file__).parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def without(fresh: Fresh, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a user's script says where the package is not installed."""
    return fresh.run(HERE / "script.py", folder=tmp_path_factory.mktemp("without"), fails=True)


@pytest.fixture(scope="module")
def equipped(fresh: Fresh, wheels: Wheels, without: str) -> Fresh:
    """The environment, which now has the package too."""
    fresh.install(wheels.of(HERE / "package"))
    return fresh


def test_a_script_says_what_is_missing(without: str) -> None:
    assert "No executor named 'echo' is installed." in without
    assert "weft-echo" in without


def test_an_executor_of_another_package_is_used_by_its_name(
    equipped: Fresh, tmp_path: Path
) -> None:
    assert "all is well" in equipped.run(HERE / "script.py", folder=tmp_path)
    where = equipped.run("-c", "import weft; print(weft.__file__)", folder=tmp_path).strip()
    assert Path(where).is_relative_to(equipped.site), "the repository is on the way of imports"


def test_it_is_listed_beside_the_built_in_ones(equipped: Fresh, tmp_path: Path) -> None:
    said = equipped.run("-m", "weft", "plugin", "list", folder=tmp_path)
    assert "echo" in said
    assert "threads" in said


def test_its_options_are_checked_in_words(equipped: Fresh, tmp_path: Path) -> None:
    script = "import weft; weft.executor('echo', wurd='x')"
    said = equipped.run("-c", script, folder=tmp_path, fails=True)
    assert "wurd" in said
    assert "word" in said
