"""Options that are wrong are refused with a reason; the declaration is as light as it has to be."""

import pickle
import re
import subprocess
import sys
from typing import Any

import pytest

from weft.interfaces.stager import CAPABILITIES
from weft_globus.manifest import stager
from weft_globus.settings import CLIENT_ID, Globus


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"local_collection": "my laptop"}, "local_collection is 'my laptop'"),
        ({"client_id": "me"}, "client_id is 'me'"),
        ({"local_path": "data"}, "absolute path"),
        ({"collection_path": "/a/../b"}, "without '..'"),
        ({"join_files": 0}, "join_files"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"sync_level": "all"}, "sync_level"),
        ({"label": "a\nb"}, "label"),
        ({"patience": -1}, "patience"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        Globus(**options)


def test_the_app_is_the_option_or_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = "1" * 8 + "-1111-4111-8111-" + "1" * 12, "2" * 8 + "-1111-4111-8111-" + "1" * 12
    monkeypatch.delenv(CLIENT_ID, raising=False)
    assert not Globus().app
    monkeypatch.setenv(CLIENT_ID, f" {other} ")

    assert Globus().app == other
    assert Globus(client_id=one).app == one


def test_a_home_is_found_and_settings_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    settings = Globus(tokens="~/tokens.db", local_path="~/data")

    assert (settings.tokens, settings.local_path) == ("/home/ada/tokens.db", "/home/ada/data")
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_every_capability_is_declared() -> None:
    assert set(stager.capabilities) == set(CAPABILITIES)


def test_settings_load_nothing_of_the_sdk() -> None:
    code = (
        "import sys, weft_globus.settings, weft_globus.manifest; print('globus_sdk' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "False\n"
