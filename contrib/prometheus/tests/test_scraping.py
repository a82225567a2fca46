"""What Prometheus gets: runs are scraped over HTTP; clients misbehave and disks fail."""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import stat
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import weft
from weft.testing import FakeContext
from weft.values.events import RunEnded, TaskSubmitted
from weft.values.task import TaskId
from weft_prometheus.monitor import PrometheusMonitor
from weft_prometheus.settings import Prometheus
from weft_testkit.rig import until

BOUND = 60.0
"""Seconds after which what should come about at once has not."""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_in(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def scraped(url: str) -> Samples:
    """What is there now, asked for as Prometheus asks."""
    asked = urllib.request.Request(
        url, headers={"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip"}
    )
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with straight.open(asked, timeout=BOUND) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return samples_in(gzip.decompress(answer.read()).decode())


def url_in(folder: Path) -> str:
    """Where a monitor with this folder serves."""
    return (folder / "url").read_text().strip()


def place_in(folder: Path) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url_in(folder))
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@contextlib.contextmanager
def started(folder: Path, settings: Prometheus) -> Iterator[tuple[PrometheusMonitor, FakeContext]]:
    context = FakeContext(folder)
    monitor = PrometheusMonitor(settings)
    try:
        monitor.start(context)
        yield monitor, context
    finally:
        monitor.close()


def test_a_run_is_scraped_while_it_goes_on(tmp_path: Path) -> None:
    may_end = threading.Event()

    @weft.python_app
    def first() -> int:
        return 1

    @weft.python_app
    def waits(number: int) -> int:
        if not may_end.wait(BOUND):
            raise TimeoutError
        return number

    @weft.python_app
    def fails(_: int) -> int:
        raise ValueError("told you so")

    config = weft.Config(
        run_dir=tmp_path, monitors=[weft.monitor("log"), weft.monitor("prometheus", port=0)]
    )
    try:
        with weft.load(config):
            (folder,) = tmp_path.glob("*/monitor-*-prometheus")
            url = url_in(folder)
            log = folder.parent / "weft.log"
            until(lambda: url in log.read_text(), BOUND, "no notice tells of the port")
            one = first()
            waiting = waits(one)
            failed = fails(one)
            assert isinstance(failed.exception(BOUND), ValueError)

            def there() -> bool:
                seen = scraped(url)
                return (
                    value(seen, "weft_tasks_ended_total", app="first", state="done") == 1
                    and value(seen, "weft_tasks_ended_total", app="fails", state="failed") == 1
                    and value(seen, "weft_tasks", state="launched") == 1
                    and value(seen, "weft_run_ended_timestamp_seconds") == 0
                )

            until(there, BOUND, "the metrics do not come to what has happened")
            may_end.set()
            assert waiting.result(BOUND) == 1
            until(
                lambda: value(scraped(url), "weft_tasks", state="launched") == 0, BOUND, "not done"
            )
            seen = scraped(url)
            assert value(seen, "weft_task_run_seconds_count", app="waits") == 1
            assert (value(seen, "weft_run_started_timestamp_seconds") or 0) > 0
    finally:
        may_end.set()
    with pytest.raises(OSError, match="refused"):
        scraped(url)


def test_a_run_leaves_its_last_numbers_in_a_textfile(tmp_path: Path) -> None:
    @weft.python_app
    def first() -> int:
        return 1

    path = tmp_path / "collected" / "weft.prom"
    path.parent.mkdir()
    monitor = weft.monitor("prometheus", textfile=str(path), readers="all", interval=3600.0)
    with weft.load(weft.Config(run_dir=tmp_path / "runs", monitors=[monitor])):
        assert value(samples_in(path.read_text()), "weft_run_ended_timestamp_seconds") == 0
        assert [first().result(BOUND) for _ in range(5)] == [1] * 5
    seen = samples_in(path.read_text())
    assert value(seen, "weft_tasks_ended_total", app="first", state="done") == 5
    assert (value(seen, "weft_run_ended_timestamp_seconds") or 0) > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_textfile_is_replaced_while_the_run_goes_on(tmp_path: Path) -> None:
    settings = Prometheus(textfile="weft.prom", interval=0.01)
    with started(tmp_path, settings) as (monitor, _):
        monitor.handle([TaskSubmitted(1.0, TaskId(1), "align", ())])
        path = tmp_path / "weft.prom"
        until(
            lambda: value(samples_in(path.read_text()), "weft_tasks", state="pending") == 1,
            BOUND,
            "the file is as it was",
        )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_textfile_that_cannot_be_written_is_told_of_once_and_written_again(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "collected"
    folder.mkdir()
    settings = Prometheus(textfile=str(folder / "weft.prom"), interval=0.01)
    with started(tmp_path, settings) as (monitor, context):
        away = folder.rename(tmp_path / "away")
        context.wait_until(lambda: context.notices, BOUND)
        monitor.handle([TaskSubmitted(1.0, TaskId(1), "align", ())])
        away.rename(folder)
        path = folder / "weft.prom"
        until(
            lambda: value(samples_in(path.read_text()), "weft_tasks", state="pending") == 1,
            BOUND,
            "it is not written again",
        )
    ((level, told),) = context.notices
    assert level == "warning"
    assert str(path) in told
    assert "No such file" in told
    assert "The run goes on" in told


def test_what_could_not_be_written_at_the_end_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "collected"
    folder.mkdir()
    settings = Prometheus(textfile=str(folder / "weft.prom"), interval=3600.0)
    with started(tmp_path, settings) as (_, context):
        folder.rename(tmp_path / "away")
    ((level, told),) = context.notices
    assert level == "warning"
    assert "The last metrics could not be written" in told


def test_a_textfile_without_a_folder_is_an_error_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "no such folder" / "weft.prom"
    config = weft.Config(
        run_dir=tmp_path / "runs", monitors=[weft.monitor("prometheus", textfile=str(path))]
    )
    with pytest.raises(weft.errors.ConfigurationError) as raised:
        weft.load(config)
    assert str(path) in raised.value.what
    assert "No such file" in raised.value.why
    assert "option textfile" in raised.value.todo


def test_a_port_that_is_taken_is_an_error_at_the_start(tmp_path: Path) -> None:
    with started(tmp_path, Prometheus(port=0)):
        _, port = place_in(tmp_path)
        with pytest.raises(weft.errors.ConfigurationError) as raised:
            PrometheusMonitor(Prometheus(port=port)).start(FakeContext(tmp_path))
    assert str(port) in raised.value.what
    assert "in use" in raised.value.why
    assert "another port" in raised.value.todo


def test_the_last_thing_that_is_served_is_the_end_of_the_run(tmp_path: Path) -> None:
    with started(tmp_path, Prometheus(port=0)) as (monitor, _):
        monitor.handle([RunEnded(9.0, "run-1", 1, 0, 0)])
        seen = scraped(url_in(tmp_path))
        assert value(seen, "weft_run_ended_timestamp_seconds") == 9.0


def test_a_client_that_says_nothing_does_not_hold_up_the_end(tmp_path: Path) -> None:
    context = FakeContext(tmp_path)
    monitor = PrometheusMonitor(Prometheus(port=0))
    monitor.start(context)
    with socket.create_connection(place_in(tmp_path), timeout=BOUND) as silent:
        silent.sendall(b"GET /metrics HTTP/1.1\r\nX-Unfinished: ")
        assert monitor._endpoint is not None
        server = monitor._endpoint._server
        until(lambda: server._client is not None, BOUND, "nobody listens")
        monitor.close()
        assert silent.recv(1) == b""
    assert [told for level, told in context.notices if level == "warning"] == []
    assert "weft-prometheus" not in {thread.name for thread in threading.enumerate()}


def test_a_client_that_leaves_early_is_nobody_elses_matter(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with started(tmp_path, Prometheus(port=0)):
        for _ in range(20):
            leaving = socket.create_connection(place_in(tmp_path), timeout=BOUND)
            leaving.sendall(b"GET /metrics HTTP/1.1\r\n")
            # Ended by a reset: whoever reads or writes there gets an error.
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            leaving.close()
        assert value(scraped(url_in(tmp_path)), "weft_tasks", state="pending") == 0
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="there is no IPv6 here")
def test_the_port_may_be_one_of_ipv6(tmp_path: Path) -> None:
    if "::1" not in _addresses():
        pytest.skip("loopback has no address of IPv6 here")
    with started(tmp_path, Prometheus(port=0, address="::1")):
        url = url_in(tmp_path)
        assert url.startswith("http://[::1]:")
        assert value(scraped(url), "weft_tasks", state="pending") == 0


def _addresses() -> set[str]:
    lines = Path("/proc/net/if_inet6").read_text().split(os.linesep)
    return {socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line[:32])) for line in lines if line}
