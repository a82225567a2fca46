"""Files that come from a web server, by the stager and by programs made for that."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.case import Sample

__all__ = ["ARIA", "AT_ONCE", "CURL", "WEFT", "bring", "served"]

WEFT, CURL, ARIA = "weft-http", "curl", "aria2c"
AT_ONCE = 8


@contextmanager
def served(sizes: Sequence[int]) -> Iterator[tuple[list[str], Path]]:
    """The URLs of files of these sizes, and whom to trust that they are right.

    The server is nginx, with TLS, at a port of loopback; its folder is that of a user.

    Raises:
        RuntimeError: there is no nginx.
    """
    # Not above: it stands on what tests need.
    from tests.systems.http.nginx import Nginx

    if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        raise RuntimeError("no nginx")
    folder = Path(tempfile.mkdtemp(prefix="weft-web-"))
    try:
        server = Nginx(folder)
        for number, size in enumerate(sizes):
            with (server.files / str(number)).open("wb") as file:
                for begin in range(0, size, 1 << 20):
                    file.write(os.urandom(min(1 << 20, size - begin)))
        server.start()
        try:
            yield [f"{server.https}/files/{number}" for number in range(len(sizes))], server.ca
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def bring(contestant: str, urls: Sequence[str], ca: Path) -> Sample:
    """Have files brought into the current folder. Returns seconds of the clock and the processor.

    That of the server does not count; starting a program does.
    """
    brought = {WEFT: _by_weft, CURL: _by_curl, ARIA: _by_aria}[contestant]
    into = Path("brought")
    into.mkdir()
    sample = brought(urls, ca, into)
    assert sum(path.stat().st_size > 0 for path in into.iterdir()) == len(urls)
    shutil.rmtree(into)
    return sample


def _by_weft(urls: Sequence[str], ca: Path, into: Path) -> Sample:
    from weft.interfaces.stager import Place, Way
    from weft.testing import FakeContext
    from weft.values.files import File
    from weft_http.settings import Http
    from weft_http.stager import build

    began, used = time.perf_counter(), time.process_time()
    stager = build(Http(ca_file=str(ca), connections=AT_ONCE))
    stager.start(FakeContext())
    place = Place(executor="", folder=into.absolute(), shared=False)
    outcomes = stager.move_all([stager.plan(Way.IN, File(url), place) for url in urls])
    stager.close()
    sample = {"wall": time.perf_counter() - began, "cpu": time.process_time() - used}
    assert not any(outcomes), next(filter(None, outcomes))
    return sample


def _by_curl(urls: Sequence[str], ca: Path, into: Path) -> Sample:
    asked = into.with_name("asked")
    asked.write_text(
        "".join(f'url = "{url}"\noutput = "{into}/{url.rpartition("/")[2]}"\n' for url in urls)
    )
    many = ["--parallel", "--parallel-max", str(AT_ONCE)] if len(urls) > 1 else []
    return _run(["curl", "--silent", "--fail", "--cacert", str(ca), *many, "--config", str(asked)])


def _by_aria(urls: Sequence[str], ca: Path, into: Path) -> Sample:
    asked = into.with_name("asked")
    asked.write_text("\n".join(urls))
    quiet = ["--quiet", "--file-allocation=none", "--no-conf"]
    own = [f"--ca-certificate={ca}", f"--dir={into}", f"--input-file={asked}"]
    return _run(["aria2c", *quiet, *own, f"--max-concurrent-downloads={AT_ONCE}"])


def _run(words: Sequence[str]) -> Sample:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, check=True, timeout=300)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu}
