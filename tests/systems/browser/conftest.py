"""A real Chromium without a screen. Tests are skipped where there is none, and failed in CI."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.systems.browser.invented import BEGAN, EVIL, Invented
from tests.systems.needs import absent
from weft_dashboard.app import Dashboard, Serving
from weft_dashboard.guard import Access

if TYPE_CHECKING:
    from playwright.sync_api import Page

BOUND = 60.0
TOKEN = "a-token-of-tests"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@attrs.frozen
class Shown:
    """A dashboard, a page of a browser that has its cookie, and the run that goes on."""

    address: str
    page: Page
    live: Invented
    folder: Path
    errors: list[str]
    foreign: list[str]


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    return found or absent(f"none of {', '.join(PROGRAMS)} is here")


@pytest.fixture(scope="module")
def shown(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """One browser, and one server that shows an ended run, a broken one, and one that goes on."""
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("survey") / "weft-runs"
    Invented(folder / "0001", 40, "aa11", EVIL).end()
    broken = Invented(folder / "0002", 60, "bb22")
    broken.write(0.4)
    broken.writer.close()
    live = Invented(folder / "0003", 400)
    live.write(0.6)
    listener = socket.create_server(("127.0.0.1", 0))
    dashboard = Dashboard(folder, Access("127.0.0.1", TOKEN))
    running = Serving(dashboard)
    thread = threading.Thread(
        target=running.run, kwargs={"sockets": [listener]}, name="weft-test-server", daemon=True
    )
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    profile = tmp_path_factory.mktemp("profile")
    words = ["--disable-gpu", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run", "--hide-scrollbars"]  # fmt: skip
    with sync_playwright() as player:
        browser = player.chromium.launch_persistent_context(
            str(profile),
            executable_path=chromium,
            headless=True,
            chromium_sandbox=os.geteuid() != 0,
            args=words,
            timeout=BOUND * 1000,
            viewport={"width": 1240, "height": 900},
            timezone_id="UTC",
            locale="en-GB",
            reduced_motion="reduce",
        )
        page = browser.pages[0]
        page.set_default_timeout(BOUND * 1000)
        page.clock.set_fixed_time(BEGAN + 47)
        errors: list[str] = []
        foreign: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(address) else foreign.append(asked.url),
        )
        page.goto(f"{address}/?token={TOKEN}")
        page.wait_for_selector("h1")
        yield Shown(address, page, live, folder, errors, foreign)
        browser.close()
    running.should_exit = True
    thread.join(BOUND)
    assert not thread.is_alive(), "the server did not end"
    live.writer.close()
