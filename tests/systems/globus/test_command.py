"""``weft globus``, as it is typed, with the person and the browser of the tests."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.systems.globus.cloud import (
    NATIVE,
    SECRET,
    SERVICE,
    Answer,
    Cloud,
    code_in,
    scopes_of,
)
from tests.systems.globus.conftest import ARCHIVE, BOUND, HOME
from weft.errors import WeftError
from weft_globus.cli import main

WEFT = [sys.executable, "-m", "weft"]
DOMAIN = "session_required_single_domain"
URL = re.compile(r"http://\S+/v2/oauth2/authorize\S+")


class Person:
    """Somebody at a terminal who has a browser somewhere else.

    Attributes:
        asked: what the pages asked for.
        pages: their addresses.
    """

    def __init__(self, words: list[str]) -> None:
        self.asked: list[str] = []
        self.pages: list[str] = []
        self._run = subprocess.Popen(
            [*WEFT, "globus", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self) -> tuple[int, str]:
        """Copy each code from its page. Returns the exit code, and what was said."""
        said = []
        with self._run as run:
            assert run.stdout is not None
            assert run.stdin is not None
            for line in run.stdout:
                said.append(line)
                if found := URL.search(line):
                    self.asked.append(scopes_of(found[0]))
                    self.pages.append(found[0])
                    with urllib.request.urlopen(found[0], timeout=BOUND) as page:
                        run.stdin.write(f"{code_in(page.read().decode())}\n")
                        run.stdin.flush()
            return run.wait(BOUND), "".join(said)


def tokens_in(home: Path) -> Path:
    (found,) = home.rglob("tokens.db")
    return found


@pytest.mark.usefixtures("cloud")
def test_one_logs_in_and_out(tmp_path: Path, cloud: Cloud) -> None:
    person = Person(["login", "--no-browser"])
    code, said = person.ended()
    assert (code, len(person.asked)) == (0, 1), said
    assert "Logged in: Ada Example (ada@example.org)." in said
    assert "transfer.api.globus.org:all" in person.asked[0]
    tokens = tokens_in(tmp_path / "person")
    assert NATIVE in tokens.parts
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600

    code, said = Person(["whoami"]).ended()
    assert code == 0, said
    assert said.splitlines() == [
        "Ada Example (ada@example.org)",
        f"  app     {NATIVE}",
        f"  tokens  {tokens}",
    ]

    # Who is logged in is not asked again.
    person = Person(["login", "--no-browser"])
    assert (person.ended()[0], person.asked) == (0, [])

    code, said = Person(["logout"]).ended()
    assert (code, said) == (0, "Logged out; the tokens are revoked.\n")
    assert not tokens.exists()
    assert not cloud.refresh
    assert not cloud.access

    code, said = Person(["whoami"]).ended()
    assert code == 1
    assert "Nobody is logged in to Globus." in said
    assert "Run 'weft globus login'." in said


def test_collections_are_agreed_to_where_they_ask_for_it(cloud: Cloud) -> None:
    cloud.collections[ARCHIVE].consent = True
    words = ["login", "--no-browser", "--collection", ARCHIVE, "--collection", f"globus://{HOME}/"]

    first = Person(words)
    code, said = first.ended()
    again = Person(words)
    again.ended()

    assert code == 0, said
    assert len(first.asked) == 2
    assert f"{ARCHIVE}/data_access" in first.asked[1]
    assert f"May be used: archive ({ARCHIVE})." in said
    assert f"May be used: home ({HOME})." in said
    assert (NATIVE, ARCHIVE) in cloud.consents
    assert again.asked == []


def test_a_login_that_a_collection_wants_is_made(cloud: Cloud, login: Callable[[], None]) -> None:
    login()
    wanted = {"session_required_single_domain": ["institute.example.org"]}
    refusal = Answer(403, "AuthorizationRequired", "no", authorization_parameters=wanted)
    cloud.answers.append(("GET /v0.10/operation", refusal))

    person = Person(["login", "--no-browser", "--collection", ARCHIVE])
    code, said = person.ended()

    assert code == 0, said
    assert [dict(parse_qsl(urlsplit(one).query))[DOMAIN] for one in person.pages] == [
        "institute.example.org"
    ]


def test_a_person_who_goes_away_leaves_nothing(cloud: Cloud) -> None:
    done = subprocess.run(
        [*WEFT, "globus", "login", "--no-browser"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )

    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")
    assert not cloud.access


def test_what_is_no_id_is_a_wrong_use(capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["whoami", "--client-id", "me"], ["login", "--collection", "my laptop"]):
        done = subprocess.run([*WEFT, "globus", *words], timeout=BOUND, check=False)
        assert done.returncode == 2
        assert "is not the id of" in capfd.readouterr().err


def test_tokens_that_were_revoked_are_made_anew(cloud: Cloud, login: Callable[[], None]) -> None:
    login()
    cloud.revoke_all()

    person = Person(["login", "--no-browser"])
    code, said = person.ended()

    assert (code, len(person.asked)) == (0, 1), said
    assert "Logged in" in said


def test_what_cannot_be_is_said(
    login: Callable[[], None], cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    login()
    unknown = "dddddddd-4444-4444-8444-dddddddddddd"
    with pytest.raises(WeftError, match=r"Globus refused\.") as caught:
        main(["login", "--no-browser", "--collection", unknown])
    assert "EndpointNotFound" in caught.value.why

    cloud.answers += [("GET /v0.10/submission_id", Answer(503, "ServiceUnavailable", "later"))] * 2
    with pytest.raises(WeftError) as caught:
        main(["login", "--no-browser"])
    assert "ServiceUnavailable: later" in caught.value.why

    monkeypatch.delenv("WEFT_GLOBUS_CLIENT_ID")
    with pytest.raises(WeftError, match="No app is known"):
        main(["login"])
    assert main(["logout"]) == 0


def test_a_service_has_nothing_to_log_in(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEFT_GLOBUS_CLIENT_ID", SERVICE)
    monkeypatch.setenv("WEFT_GLOBUS_CLIENT_SECRET", SECRET)
    cloud.collections[ARCHIVE].consent = True

    assert main(["login", "--collection", ARCHIVE]) == 0
    assert main(["whoami"]) == 0

    said = capsys.readouterr().out
    assert "the app logs in by itself" in said
    assert f"the app {SERVICE}" in said
    assert (SERVICE, ARCHIVE) in cloud.consents


@pytest.mark.usefixtures("cloud")
def test_the_doctor_looks_at_the_tokens_and_the_local_collection(
    cloud: Cloud, login: Callable[[], None], tmp_path: Path
) -> None:
    from weft.values.problem import Severity
    from weft_globus.checks import checks
    from weft_globus.settings import Globus

    mine = Globus(local_collection=HOME)
    (nobody,) = checks(mine, tmp_path)
    login()
    good = list(checks(mine, tmp_path))
    bare = list(checks(Globus(), tmp_path))
    cloud.collections[HOME].consent = True
    *_, lacking = checks(mine, tmp_path)

    assert nobody.severity is Severity.ERROR
    assert "weft globus login" in nobody.remedy
    assert [one.severity for one in good] == [None, None]
    assert "'home'" in good[1].what
    assert "No collection is named" in bare[1].what
    assert f"weft globus login --collection {HOME}" in lacking.remedy
