"""A real Prometheus and a real node exporter on loopback.

Tests are skipped where there is none, and failed in CI.
"""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.systems.needs import free_port, needed
from tests.waiting import eventually

BOUND = 90.0
_STARTS = 5
_TAKEN = "address already in use"

_CONFIGURATION = """
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: weft
    static_configs:
      - targets: {targets}
"""


def asked(url: str) -> str:
    """What is there, asked for past any proxy of this machine."""
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with straight.open(url, timeout=BOUND) as answer:
        return str(answer.read(), "utf-8")


@attrs.define
class Server:
    """A server at a port of loopback, whatever it is one of.

    Attributes:
        folder: where its log is.
        command: what starts it, of an address and a port.
        ready: what is there when it has started, after its URL.
    """

    folder: Path
    command: Callable[[str], Sequence[str]]
    ready: str
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Listen, at a port that nobody has taken in between."""
        for _ in range(_STARTS):
            address = f"127.0.0.1:{free_port()}"
            self.url = f"http://{address}"
            with (self.folder / "log").open("wb") as log:
                self.process = subprocess.Popen(
                    self.command(address), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            eventually(lambda: self._answers() or self._ended(), "the server does not answer")
            if not self._ended():
                return
            assert _TAKEN in self.log, self.log
        pytest.fail(f"{_STARTS} ports were taken between choosing and opening them")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _ended(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    def _answers(self) -> bool:
        try:
            return bool(asked(f"{self.url}{self.ready}"))
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(BOUND)


@attrs.frozen
class Prometheus:
    """A server of Prometheus that scrapes each second."""

    server: Server

    def values(self, query: str) -> Mapping[tuple[tuple[str, str], ...], float]:
        """What it answers now: labels but those of the target, and the value."""
        words = urllib.parse.urlencode({"query": query})
        said = self._said(f"query?{words}")
        assert said["resultType"] == "vector"
        return {
            tuple(
                sorted((k, v) for k, v in one["metric"].items() if k not in {"instance", "job"})
            ): float(one["value"][1])
            for one in said["result"]
        }

    def value(self, query: str) -> float | None:
        """The one value that it answers, if there is one."""
        found = self.values(query)
        assert len(found) < 2, found
        return next(iter(found.values()), None)

    def types(self) -> Mapping[str, str]:
        """Which kind of metric each is that it has read."""
        words = urllib.parse.urlencode({"match_target": '{job="weft"}'})
        return {one["metric"]: one["type"] for one in self._said(f"targets/metadata?{words}")}

    def complaints(self) -> Sequence[str]:
        """What was wrong with its latest scrapes."""
        return [one["lastError"] for one in self._said("targets")["activeTargets"]]

    def _said(self, what: str) -> Any:
        answer = json.loads(asked(f"{self.server.url}/api/v1/{what}"))
        assert answer["status"] == "success", answer
        return answer["data"]


Scraping = Callable[[str], Prometheus]


@pytest.fixture
def scraping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraping]:
    """Starts a Prometheus that reads metrics at an address, such as ``127.0.0.1:9464``."""
    needed("prometheus")
    started: list[Server] = []

    def start(target: str) -> Prometheus:
        folder = tmp_path_factory.mktemp("prometheus")
        configuration = folder / "prometheus.yml"
        configuration.write_text(_CONFIGURATION.format(targets=json.dumps([target])))
        words = (
            "prometheus",
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--log.level=warn",
        )
        server = Server(
            folder, lambda address: [*words, f"--web.listen-address={address}"], "/-/ready"
        )
        started.append(server)
        server.start()
        return Prometheus(server)

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def node_exporter(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A node exporter that reads textfiles of a folder, and nothing else."""
    needed("prometheus-node-exporter")
    collected = tmp_path / "collected"
    collected.mkdir()
    words = (
        "prometheus-node-exporter",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={collected}",
    )
    server = Server(
        tmp_path, lambda address: [*words, f"--web.listen-address={address}"], "/metrics"
    )
    try:
        server.start()
        yield server, collected
    finally:
        server.stop()
