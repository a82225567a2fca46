"""Small files by the thousand, while the script that wants them is killed again and again.

Every result is right; no file is brought more often than kills can explain; and a run after that
brings none. ``pytest -m soak`` does the same with ten thousand files.
"""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

BOUND = 100.0
THREADS = 8
"""Files that are moved at the same time, by default."""

SCRIPT = """
import sys
from pathlib import Path
import weft
from weft.builtin.settings import Threads

@weft.python_app
def number_in(file):
    return int(Path(file).read_text())

port, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
config = weft.Config(
    executors=[Threads(max_threads=2)], run_dir=folder / "runs", cache_dir=folder / "cache"
)
with weft.load(config):
    files = [weft.File(f"http://127.0.0.1:{port}/{number}.txt") for number in range(count)]
    futures = [number_in(file) for file in files]
    for done, future in enumerate(futures):
        assert future.result() == done, done
        if done % 10 == 9:
            print(done, flush=True)
print("whole", flush=True)
"""


class Served:
    """A web server of this process, which counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        lock, asked = threading.Lock(), self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                with lock:
                    asked[self.command, self.path] += 1
                content = self.path.strip("/").removesuffix(".txt").encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("ETag", f'"{self.path}"')
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            do_GET = do_HEAD = answer  # noqa: N815 - the names that the base class calls

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
                """Say nothing."""

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:  # the other side was killed
                    self.close_connection = True

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def brought(self) -> int:
        """How often a file was sent."""
        return sum(count for (method, _), count in self.asked.items() if method == "GET")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(BOUND)


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served()
    yield server
    server.close()


def run(served: Served, count: int, folder: Path, kill_after: int | None) -> bool:
    """Run the script, and kill it when so many lines have come; whether it came to its end."""
    words = [sys.executable, "-c", SCRIPT, str(served.port), str(count), str(folder)]
    last = ""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            last = line.strip()
            if number == kill_after:
                process.kill()
                break
        process.stdout.read()
        process.wait(BOUND)
    return last == "whole" and process.returncode == 0


def soak(served: Served, folder: Path, count: int, kills: int) -> None:
    lines = count // 10
    for kill in range(kills):
        # Later each time: what the runs before it have brought is there.
        assert not run(served, count, folder, kill * lines // kills)
    assert run(served, count, folder, None)
    brought = served.brought()
    assert count <= brought <= count + THREADS * kills
    assert run(served, count, folder, None)
    assert served.brought() == brought, "all of it was kept"


@pytest.mark.timeout(200)
def test_files_are_brought_once_though_the_script_is_killed(served: Served, tmp_path: Path) -> None:
    soak(served, tmp_path, 200, 3)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ten_thousand_files_are_brought_once_though_the_script_is_killed(
    served: Served, tmp_path: Path
) -> None:
    soak(served, tmp_path, 10_000, 20)
