"""A notebook in a real JupyterLab, in a real Chromium without a screen, with loopback alone.

Skipped where there is no Chromium, and failed in CI.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from plugins.jupyter.tests.conftest import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
BOUND = 120.0
TOKEN = "a-token-of-tests"
PICTURE = os.environ.get("WEFT_TEST_PICTURES", "")

SURVEY = """
import time
from pathlib import Path

import weft
import weft_jupyter
from weft import python_app

@python_app
def fetch(strand):
    if strand % 9 == 4:
        raise LookupError(f"no <b>strand</b> {strand} in the archive")
    return strand

@python_app
def align(strand):
    return strand * 2

@python_app
def fold(strand):
    return strand + 1

@python_app
def held():
    while not Path("go").exists():
        time.sleep(0.02)

@python_app
def summary(folded, held):
    return sum(folded)

run = weft.load(weft.Config(executors=[weft.executor("threads", max_threads=4)], name="survey"))
folded = [fold(align(fetch(strand))) for strand in range(24)]
whole = summary([one for number, one in enumerate(folded) if number % 9 != 4], held())
weft_jupyter.watch(run)
"""

READY = """async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
}"""
"""Until then, cells that are run are not run."""


@attrs.frozen
class Lab:
    """JupyterLab with a notebook open, and what its page complained of."""

    page: Page
    folder: Path
    foreign: list[str]


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        why = f"none of {', '.join(PROGRAMS)} is here"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(why)
        pytest.skip(why)
    return found


def notebook(*cells: str) -> str:
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {},
            "outputs": [],
            "source": source.strip(),
        }
        for number, source in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    )


@pytest.fixture(scope="module")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server and one browser; the server ends with the module, and its kernels with it."""
    from playwright.sync_api import sync_playwright

    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("survey")
    (folder / "survey.ipynb").write_text(notebook(SURVEY, "run.close()"))
    (home / "config" / "labconfig").mkdir(parents=True)
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (home / "config" / "labconfig" / "page_config.json").write_text(json.dumps(quiet))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
    }
    options = [
        "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly",
        "--ServerApp.terminals_enabled=False",
    ]  # fmt: skip
    said = home / "server.log"
    with said.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: server.poll() is not None or _listens(port), BOUND)
        assert server.poll() is None, said.read_text()
        address = f"http://127.0.0.1:{port}"
        with sync_playwright() as player:
            browser = player.chromium.launch_persistent_context(
                str(home / "profile"),
                executable_path=chromium,
                headless=True,
                chromium_sandbox=os.geteuid() != 0,
                args=["--disable-gpu", "--disable-background-networking", "--disable-sync",
                      "--disable-component-update", "--no-first-run"],
                timeout=BOUND * 1000,
                viewport={"width": 1180, "height": 1000},
                reduced_motion="reduce",
            )  # fmt: skip
            page = browser.pages[0]
            page.set_default_timeout(BOUND * 1000)
            foreign: list[str] = []
            page.on(
                "request",
                lambda asked: (
                    None
                    if asked.url.startswith((address, "data:", "blob:"))
                    else foreign.append(asked.url)
                ),
            )
            page.goto(f"{address}/lab/tree/survey.ipynb?token={TOKEN}")
            yield Lab(page, folder, foreign)
            browser.close()
    finally:
        server.terminate()
        try:
            server.wait(BOUND)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def pictured(lab: Lab, name: str) -> None:
    """Keep a picture for the documentation, where one is asked for."""
    if PICTURE:
        folder = lab.page.locator(".weft-part-folder .weft-mono")
        folder.evaluate("here => { here.textContent = '/scratch/ann/survey/weft-runs/0000'; }")
        lab.page.locator(".weft-run").screenshot(path=str(Path(PICTURE) / name))


@pytest.mark.filterwarnings("default")  # of what drives the browser
@pytest.mark.timeout(600)
def test_a_run_is_watched_in_jupyterlab_from_its_tasks_to_its_end(lab: Lab) -> None:
    page = lab.page
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
    page.evaluate(READY)
    page.keyboard.press("Shift+Enter")
    widget = page.locator(".weft-run")
    widget.get_by_text("running").wait_for()

    def counted() -> str:
        return " ".join(widget.locator(".weft-part-all").inner_text().split())

    # Live: the counts, the graph, and an app whose failed tasks are shown when it is clicked.
    until(lambda: counted() == "63 done 9 failed 1 launched 1 waiting")
    until(lambda: widget.locator(".weft-node").count() == 5)
    until(lambda: widget.locator(".weft-edge.weft-bad").count() == 2)
    widget.get_by_role("button", name="fold: ").first.click()
    details = widget.get_by_role("region", name="Failed tasks of fold")
    until(lambda: details.locator("li").count() == 3)
    text = details.inner_text()
    assert "failed because of fetch, task" in text
    assert "LookupError: no <b>strand</b> 4 in the archive" in text
    pictured(lab, "jupyter-widget.png")

    # The session is closed meanwhile, so that the kernel is busy, and the picture goes on.
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(1).click()
    page.keyboard.press("Shift+Enter")
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="busy"]').wait_for()
    (lab.folder / "go").touch()
    widget.get_by_text("■ ended").wait_for()
    until(lambda: counted() == "65 done 9 failed")
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
    assert lab.foreign == []
