"""The pages of the dashboard in a real browser: what they show, live, by keys, and safely.

With ``WEFT_TEST_SCREENSHOTS=1`` they are also photographed, into the pictures of the documentation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.systems.browser.conftest import BOUND

if TYPE_CHECKING:
    from playwright.sync_api import Locator
    from playwright.sync_api._generated import LocatorAssertions

    from tests.systems.browser.conftest import Shown

PICTURES = Path(__file__).parents[3] / "docs" / "_static" / "dashboard"


def photograph(shown: Shown, name: str, *, height: int = 900) -> None:
    if os.environ.get("WEFT_TEST_SCREENSHOTS") != "1":
        return
    PICTURES.mkdir(exist_ok=True)
    shown.page.mouse.move(0, 0)
    shown.page.evaluate(
        """() => {
            scrollTo(0, 0);
            const folder = document.querySelector(".under.mono");
            if (folder) folder.textContent = "/scratch/ann/survey/weft-runs";
        }"""
    )
    # The page as it is watched by a person: of the same size wherever it is made.
    shown.page.set_viewport_size({"width": 1240, "height": height})
    shown.page.wait_for_timeout(400)
    shown.page.screenshot(path=PICTURES / f"{name}.png")
    shown.page.set_viewport_size({"width": 1240, "height": 900})


def expect(here: Locator) -> LocatorAssertions:
    """What has to be so soon: a page may be drawn in several steps."""
    from playwright.sync_api import expect as expected

    expected.set_options(timeout=BOUND * 1000)
    return expected(here)


def seen(shown: Shown, path: str, selector: str) -> None:
    shown.page.goto(shown.address + path)
    shown.page.wait_for_selector(selector)


@pytest.fixture(autouse=True)
def clean(shown: Shown) -> None:
    """What went wrong before is another test's."""
    shown.errors.clear()


@pytest.fixture
def more_runs(shown: Shown) -> Iterator[Path]:
    """The folder of the runs, of which a test adds some; they are gone after it."""
    before = set(shown.folder.iterdir())
    yield shown.folder
    for added in set(shown.folder.iterdir()) - before:
        shutil.rmtree(added)


def test_each_page_shows_what_happened(shown: Shown) -> None:
    page = shown.page
    seen(shown, "/", "text=broken off")
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.locator(".head")).to_contain_text("1 running")
    photograph(shown, "runs", height=420)

    seen(shown, "/runs/0003", ".uplot canvas")
    expect(page.locator("h1")).to_contain_text("survey.py")
    expect(page.locator(".cause >> nth=0")).to_contain_text("ValueError: strand 17 has no end")
    expect(page.locator("tbody:has-text('align')")).to_contain_text("fetch")
    photograph(shown, "overview", height=1440)

    seen(shown, "/runs/0003/tasks?state=failed", "text=MemoryError")
    expect(page.locator("tbody")).to_contain_text("dead branch")
    photograph(shown, "tasks", height=720)

    seen(shown, "/runs/0003/nodes", "text=node11")
    expect(page.locator("tbody tr")).to_have_count(4)
    expect(page.locator("tbody tr >> nth=0")).to_contain_text("1.3 GB")
    photograph(shown, "nodes", height=580)

    seen(shown, "/runs/0003/files", "text=archive.example")
    expect(page.locator("main")).to_contain_text("503: the server is busy")
    expect(page.locator("tbody:has-text('https') >> nth=0")).to_contain_text("1.55 GB")
    photograph(shown, "files", height=640)

    seen(shown, "/runs/0003/graph", "#graph canvas")
    expect(page.locator("tbody tr")).to_have_count(4)
    page.click("button:has-text('Unfold') >> nth=1")
    page.wait_for_selector("button:has-text('Fold')[aria-pressed=true]")
    page.wait_for_url("**open=1**")
    seen(shown, "/runs/0001/graph?open=1,2,3", "button:has-text('Fold')")
    page.click("#theme")
    photograph(shown, "graph", height=890)
    page.click("#theme")
    assert shown.errors == []
    assert shown.foreign == []


def test_from_a_dead_task_to_its_cause_in_one_click(shown: Shown) -> None:
    page = shown.page
    seen(shown, "/runs/0003/tasks/53", "text=It failed because of")
    page.click("a:has-text('task 52') >> nth=0")
    page.wait_for_selector("text=What it said")
    assert page.url.endswith("/runs/0003/tasks/52")
    expect(page.locator("main")).to_contain_text("failed because of it")
    expect(page.locator(".uplot canvas")).to_have_count(1)
    expect(page.locator("main")).to_contain_text("/scratch/ann/survey/pairs/00017.bam")
    text = page.inner_text("main")
    assert "in paired\n    raise ValueError(said)\n" in text
    assert "align('strands/00017.fa', depth=30)" in text
    photograph(shown, "task", height=1700)
    assert shown.errors == []


def test_what_a_task_says_is_never_markup(shown: Shown) -> None:
    page = shown.page
    for path in ("/runs/0001", "/runs/0001/tasks/52", "/runs/0001/tasks?state=failed"):
        seen(shown, path, "text=onerror")
        expect(page.locator("img")).to_have_count(0)
        assert page.title() != "taken over"
    assert shown.errors == []


def test_tracebacks_of_earlier_tries_unfold_and_stay_so(shown: Shown, more_runs: Path) -> None:
    from tests.systems.browser.invented import BEGAN, Invented
    from weft.values.events import TaskDetails, TryEnded

    page, now = shown.page, BEGAN + 40
    going = Invented(more_runs / "0005", 40, "dd44")
    going.write()
    seen(shown, "/runs/0005/tasks/52", "#traceback-52-1[open]")
    for attempt in (2, 3):
        going.writer.write([
            TryEnded(now, 52, "align", attempt, "cluster", "error", "ValueError: no", 1.0),
            TaskDetails(now, 52, "align", attempt, "7", None, f"ValueError: in try {attempt}\n"),
        ])  # fmt: skip
        page.wait_for_selector(f"#traceback-52-{attempt}")
        if attempt == 2:
            page.click("#traceback-52-1 summary")
            page.wait_for_selector("#traceback-52-1:not([open])")
    going.writer.close()
    assert page.locator("#traceback-52-3[open]").count() == 1
    assert page.locator("#traceback-52-1[open]").count() == 0
    assert "align(7)" in page.inner_text("main")
    assert shown.errors == []


def test_pages_are_live_and_keep_their_place(shown: Shown, more_runs: Path) -> None:
    from tests.systems.browser.invented import Invented

    page, live = shown.page, Invented(more_runs / "0006", 200, "ee55")
    live.write(0.6)
    seen(shown, "/runs/0006/tasks", "tbody tr")
    page.focus("select[aria-label=Order]")
    before = page.inner_text(".tools")
    live.write(0.9)
    seen(shown, "/runs/0006", ".figure")
    first = page.inner_text(".figure >> nth=0")
    page.focus("#theme")
    live.end()
    page.wait_for_selector(".head .chip:has-text('ended')")
    assert page.inner_text(".figure >> nth=0") != first
    assert page.evaluate("document.activeElement.id") == "theme"
    assert "task" in before
    assert shown.errors == []


def test_a_run_that_begins_appears_in_the_list(shown: Shown, more_runs: Path) -> None:
    from tests.systems.browser.invented import Invented

    seen(shown, "/", "tbody tr")
    Invented(more_runs / "0004", 20, "cc33").end()
    shown.page.wait_for_selector("tbody tr:has-text('0004')")


def test_keys_lead_everywhere(shown: Shown) -> None:
    page = shown.page
    seen(shown, "/runs/0001", ".figure")
    page.keyboard.press("2")
    page.wait_for_selector("input[type=search]")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.type("strand 17")
    page.wait_for_url("**words=strand**")
    page.wait_for_selector(".tools:has-text('1 task')")
    assert page.input_value("input[type=search]") == "strand 17"
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    page.wait_for_selector("#graph canvas")
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#keys:not([open])", state="attached")
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") != theme
    page.keyboard.press("t")
    page.keyboard.press("g")
    page.wait_for_selector("h1:has-text('Runs')")
    page.go_back()
    page.wait_for_selector("#graph canvas")
    assert shown.errors == []


def test_a_run_that_is_not_there_is_said_not_to_be(shown: Shown) -> None:
    seen(shown, "/runs/0099", "text=There is no run")
    expect(shown.page.locator("a:has-text('All runs')")).to_have_count(1)
