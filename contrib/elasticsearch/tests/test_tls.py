"""A server of https: one that is believed, and one that is not.

The handshakes are real, with an authority made for the tests.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import weft
from weft.testing import FakeContext
from weft_elasticsearch.monitor import ElasticsearchMonitor
from weft_elasticsearch.settings import Elasticsearch
from weft_testkit.rig import until

if TYPE_CHECKING:
    from contrib.conftest import Authority
    from contrib.elasticsearch.tests.conftest import Serve, Server

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
BOUND = 60.0


@weft.python_app
def fetch() -> int:
    return 1


@pytest.fixture
def secure(authority: Authority, serve: Serve) -> Server:
    return serve(authority.serving())


def run(
    capfd: pytest.CaptureFixture[str],
    folder: Path,
    server: str,
    ca: Path,
    *,
    required: bool = True,
    closing: float = BOUND,
) -> str:
    """A run of one task; returns what was said of it, at its end to the terminal alone."""
    monitor = weft.monitor(
        "elasticsearch",
        server=server,
        ca_certs=str(ca),
        required=required,
        timeout=BOUND,
        closing=closing,
    )
    with weft.load(weft.Config(run_dir=folder, monitors=[weft.monitor("log"), monitor])):
        assert fetch().result(BOUND) == 1
    (log,) = folder.glob("*/weft.log")
    return log.read_text() + capfd.readouterr().err


def test_a_server_that_is_believed_gets_the_documents(
    secure: Server, authority: Authority, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert secure.url.startswith("https://")
    said = run(capfd, tmp_path, secure.url, authority.ca)
    there = secure.wait_until(lambda one: one["event"] == "RunEnded")
    assert sorted(one["seq"] for one in there) == list(range(1, len(there) + 1))
    assert "could not be" not in said


def test_the_example_of_the_guide(
    secure: Server, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (EXAMPLES / "guide_elasticsearch.py").read_text()
    for shown, here in (
        ("https://search.example.org:9200", secure.url),
        ('"search-ca.pem"', repr(str(authority.ca))),
        # With patience for a busy machine.
        ('index="weft-survey"', f'index="weft-survey", timeout={BOUND}, closing={BOUND}'),
    ):
        assert shown in text
        text = text.replace(shown, here)
    script = tmp_path / "survey.py"
    script.write_text(text)
    monkeypatch.chdir(tmp_path)
    with weft.load(runpy.run_path(str(script))["config"]):
        assert [fetch().result(BOUND) for _ in range(4)] == [1] * 4
    there = secure.wait_until(lambda one: one["event"] == "RunEnded", "weft-survey")
    assert [one["done"] for one in there if one["event"] == "RunEnded"] == [4]


def test_a_server_of_another_authority_is_an_error_at_the_start(
    secure: Server, stranger: Authority, tmp_path: Path
) -> None:
    settings = Elasticsearch(server=secure.url, ca_certs=str(stranger.ca), timeout=BOUND)
    with pytest.raises(weft.errors.ConfigurationError) as raised:
        ElasticsearchMonitor(settings).start(FakeContext(tmp_path))
    assert secure.url in raised.value.what
    assert "CERTIFICATE_VERIFY_FAILED" in raised.value.why
    assert "ca_certs" in raised.value.todo
    assert secure.headers == {}


def test_a_run_without_a_server_that_is_believed_ends_well_and_counts_what_it_lacks(
    secure: Server, stranger: Authority, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = [run(capfd, tmp_path, secure.url, stranger.ca, required=False, closing=1.0)]

    def told(what: str) -> bool:
        # On a busy machine the session may have ended before its monitor.
        said.append(capfd.readouterr().err)
        return what in "".join(said)

    until(lambda: told("CERTIFICATE_VERIFY_FAILED"), BOUND, lambda: "".join(said))
    until(
        lambda: told(f"could not be written to {secure.url}/weft"),
        BOUND,
        lambda: "".join(said),
    )
    assert secure.indices == {}


def test_a_server_by_another_name_than_its_certificate_has_is_not_believed(
    secure: Server, authority: Authority, tmp_path: Path
) -> None:
    url = secure.url.replace("localhost", "127.0.0.1")
    settings = Elasticsearch(server=url, ca_certs=str(authority.ca), timeout=BOUND)
    with pytest.raises(weft.errors.ConfigurationError) as raised:
        ElasticsearchMonitor(settings).start(FakeContext(tmp_path))
    assert "127.0.0.1" in raised.value.why
    assert "name that its certificate has" in raised.value.todo
