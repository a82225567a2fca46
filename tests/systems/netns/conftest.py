"""Clusters made of network namespaces; where none can be made, tests are skipped, or fail in CI."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systems.needs import absent

PACKAGE = Path(__file__).with_name("package")
if str(PACKAGE) not in sys.path:
    sys.path.insert(0, str(PACKAGE))

from weft_netns.cluster import Cluster, Gate  # noqa: E402 - its place is known from here on
from weft_netns.network import Network, trouble  # noqa: E402 - as above

OFFERS = """[weft.components]
provider.netns = weft_netns.manifest:provider
launcher.netns = weft_netns.manifest:launcher
"""


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Sees that namespaces can be made."""
    why = trouble()
    if why:
        absent(why)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The package of the provider, as if it had been installed. Returns where its metadata is."""
    site = tmp_path / "site"
    metadata = site / "weft_netns-1.0.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: weft-netns\nVersion: 1.0.0\n")
    (metadata / "entry_points.txt").write_text(OFFERS)
    monkeypatch.syspath_prepend(site)
    return site


@pytest.fixture
def cluster(namespaces: None, installed: Path, tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Brings up a cluster; after the test nothing may run on any host of it."""
    made: list[Cluster] = []
    with Network() as network:

        def bring_up(**options: Any) -> Cluster:
            made.append(Cluster(network, tmp_path / "runs", **options))
            return made[-1]

        yield bring_up
        left = [one.left() for one in made]
    assert not any(left), left


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """What tasks wait at."""
    return Gate(tmp_path / "gate")
