"""A run as a real Prometheus and a real node exporter read it."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import weft
from tests.systems.needs import needed
from tests.systems.prometheus.conftest import BOUND, asked
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.systems.prometheus.conftest import Scraping, Server


@weft.python_app
def first() -> int:
    return 1


@weft.python_app
def fails(_: int) -> int:
    raise ValueError("told you so")


def test_a_run_is_scraped_and_queries_about_it_are_answered(
    scraping: Scraping, tmp_path: Path
) -> None:
    may_end = threading.Event()

    @weft.python_app
    def waits() -> None:
        if not may_end.wait(BOUND):
            raise TimeoutError

    monitors = [weft.monitor("log"), weft.monitor("prometheus", port=0)]
    try:
        with weft.load(weft.Config(run_dir=tmp_path, monitors=monitors)):
            (url_file,) = tmp_path.glob("*/monitor-*-prometheus/url")
            url = url_file.read_text().strip()
            prometheus = scraping(url.removeprefix("http://").removesuffix("/metrics"))
            one = [first() for _ in range(20)]
            assert isinstance(fails(one[0]).exception(BOUND), ValueError)
            assert [future.result(BOUND) for future in one] == [1] * 20
            waiting = waits()

            def seen() -> dict[str, object]:
                """All at once, since a scrape that comes late on a busy machine leaves gaps."""
                ended = prometheus.values('weft_tasks_ended_total{state=~"done|failed"} > 0')
                kinds = prometheus.types()
                quantile = 'histogram_quantile(0.9, weft_task_run_seconds_bucket{app="first"})'
                return {
                    "ended": {(dict(k)["app"], dict(k)["state"]): v for k, v in ended.items()},
                    "launched": prometheus.value('weft_tasks{state="launched"}'),
                    "up": prometheus.value("up"),
                    "complaints": prometheus.complaints(),
                    # As dashboards ask: how long most tries ran.
                    "short": 0 <= (prometheus.value(quantile) or -1) < 60,
                    # By the name of its family, which OpenMetrics has without an ending.
                    "counter": kinds.get("weft_tasks_ended") or kinds.get("weft_tasks_ended_total"),
                    "gauge": kinds.get("weft_tasks"),
                    "histogram": kinds.get("weft_task_run_seconds"),
                }

            wanted = {
                "ended": {("first", "done"): 20.0, ("fails", "failed"): 1.0},
                "launched": 1.0,
                "up": 1.0,
                "complaints": [""],
                "short": True,
                "counter": "counter",
                "gauge": "gauge",
                "histogram": "histogram",
            }
            eventually(lambda: seen() == wanted, lambda: str(seen()))
            may_end.set()
            waiting.result(BOUND)
    finally:
        may_end.set()
    eventually(lambda: prometheus.value("up") == 0, "a run that has ended is still scraped")
    # What was read stays there to be asked about.
    failed = 'sum(max_over_time(weft_tasks_ended_total{state="failed"}[10m]))'
    assert prometheus.value(failed) == 1


def test_the_tool_of_prometheus_finds_nothing_to_blame(tmp_path: Path) -> None:
    needed("promtool")
    path = tmp_path / "weft.prom"
    monitor = weft.monitor("prometheus", textfile=str(path))
    with weft.load(weft.Config(run_dir=tmp_path / "runs", retries=1, monitors=[monitor])):
        assert isinstance(fails(first()).exception(BOUND), ValueError)
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=path.read_bytes(),
        capture_output=True,
        timeout=BOUND,
        check=False,
    )
    assert checked.stdout + checked.stderr == b""
    assert checked.returncode == 0


def test_a_textfile_is_read_by_the_node_exporter(
    node_exporter: tuple[Server, Path], tmp_path: Path
) -> None:
    server, collected = node_exporter
    monitor = weft.monitor("prometheus", textfile=str(collected / "weft.prom"), readers="all")
    with weft.load(weft.Config(run_dir=tmp_path / "runs", monitors=[monitor])):
        assert first().result(BOUND) == 1
        during = asked(f"{server.url}/metrics").splitlines()
        assert "weft_run_ended_timestamp_seconds 0" in during
    after = asked(f"{server.url}/metrics").splitlines()
    assert 'weft_tasks_ended_total{app="first",state="done"} 1' in after
    assert "node_textfile_scrape_error 0" in after
    assert "weft_run_ended_timestamp_seconds 0" not in after


@pytest.mark.parametrize("content", ["weft_broken{ 1\n"])
def test_a_broken_textfile_would_have_been_noticed(
    node_exporter: tuple[Server, Path], content: str
) -> None:
    server, collected = node_exporter
    (collected / "weft.prom").write_text(content)
    assert "node_textfile_scrape_error 1" in asked(f"{server.url}/metrics").splitlines()
