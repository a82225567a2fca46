"""A collector of https: one that is believed, one that is not, and one that wants to know who asks.

The handshakes are real, with an authority made for the tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import weft
from weft.testing import FakeContext
from weft_opentelemetry.monitor import OpenTelemetryMonitor
from weft_opentelemetry.settings import OpenTelemetry
from weft_testkit.rig import until

if TYPE_CHECKING:
    from contrib.conftest import Authority
    from contrib.opentelemetry.tests.conftest import Receiver, Serve

BOUND = 60.0
CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE"


@weft.python_app
def fetch() -> int:
    return 1


def run(
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    endpoint: str,
    *,
    required: bool = True,
    closing: float = BOUND,
) -> str:
    """A run of one task; returns what was said of it, at its end to the terminal alone."""
    monitor = weft.monitor(
        "opentelemetry", endpoint=endpoint, required=required, timeout=BOUND, closing=closing
    )
    with weft.load(weft.Config(run_dir=folder, monitors=[weft.monitor("log"), monitor])):
        assert fetch().result(BOUND) == 1
    (log,) = folder.glob("*/weft.log")
    return log.read_text() + capfd.readouterr().err


def begin(endpoint: str, folder: Path) -> None:
    """Start a monitor that has to be refused: the exporter tries again until its time is over."""
    settings = OpenTelemetry(endpoint=endpoint, timeout=5.0)
    OpenTelemetryMonitor(settings).start(FakeContext(folder))


def test_a_collector_that_is_believed_gets_the_spans(
    serve: Serve,
    authority: Authority,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CERTIFICATE, str(authority.ca))
    receiver = serve(authority.serving())
    assert receiver.url.startswith("https://")
    said = run(capfd, tmp_path, receiver.url)
    assert {"fetch", "fetch try 1"} < {span.name for span in receiver.wait_for(3)}
    assert "could not be" not in said


@pytest.fixture
def unbelieved(
    serve: Serve, authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> Receiver:
    """A collector that another authority has certified than the one that is believed."""
    monkeypatch.setenv(CERTIFICATE, str(stranger.ca))
    return serve(authority.serving())


def test_a_collector_of_another_authority_is_an_error_at_the_start(
    unbelieved: Receiver, tmp_path: Path
) -> None:
    with pytest.raises(weft.errors.ConfigurationError) as raised:
        begin(unbelieved.url, tmp_path)
    assert unbelieved.url in raised.value.what
    assert "CERTIFICATE_VERIFY_FAILED" in raised.value.why
    assert CERTIFICATE in raised.value.todo
    assert unbelieved.asked == 0


def test_a_run_without_a_collector_that_is_believed_ends_well_and_counts_what_it_lacks(
    unbelieved: Receiver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = [run(capfd, tmp_path, unbelieved.url, required=False, closing=3.0)]

    def told(what: str) -> bool:
        # On a busy machine the session may have ended before its monitor.
        said.append(capfd.readouterr().err)
        return what in "".join(said)

    until(lambda: told("CERTIFICATE_VERIFY_FAILED"), BOUND, lambda: "".join(said))
    until(
        lambda: told(f"could not be sent to {unbelieved.url}"),
        BOUND,
        lambda: "".join(said),
    )
    assert unbelieved.spans == []


def test_a_collector_by_another_name_than_its_certificate_has_is_not_believed(
    serve: Serve, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CERTIFICATE, str(authority.ca))
    url = serve(authority.serving()).url.replace("localhost", "127.0.0.1")
    with pytest.raises(weft.errors.ConfigurationError) as raised:
        begin(url, tmp_path)
    assert "127.0.0.1" in raised.value.why


def test_a_collector_for_users_alone(
    serve: Serve,
    authority: Authority,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CERTIFICATE, str(authority.ca))
    receiver = serve(authority.serving(users_alone=True))
    with pytest.raises(weft.errors.ConfigurationError):
        begin(receiver.url, tmp_path)
    assert receiver.asked == 0
    certificate, key = authority.user
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", str(certificate))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", str(key))
    run(capfd, tmp_path, receiver.url)
    assert len(receiver.wait_for(3)) == 3


def test_certificates_that_are_not_there_are_an_error_at_the_start(
    serve: Serve, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CERTIFICATE, str(tmp_path / "none.pem"))
    receiver = serve(authority.serving())
    with pytest.raises(weft.errors.ConfigurationError) as raised:
        begin(receiver.url, tmp_path)
    assert "none.pem" in raised.value.why
    assert CERTIFICATE in raised.value.todo
