"""The kit for a stager of far files: one that does all that the interface knows of, and variants.

A server in this process gives and takes files, counts what it gives, breaks off and goes away when
it is told to. The stager resumes, says how far it is, and knows nothing but its URLs.
"""

import contextlib
import hashlib
import http.client
import os
import stat
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

import attrs
import pytest

from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft.values.plugin import Component, Support
from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.bent import BentStager, Broken
from weft_testkit.remote import LocalRemote

PIECE = 64 * 1024
SECONDS = 30.0


# ------------------------------------------------------------------------------- the other side


class Handler(BaseHTTPRequestHandler):
    """Files of a folder: whole or from a byte on, with an entity tag; taken whole or not at all."""

    protocol_version = "HTTP/1.1"
    timeout = SECONDS
    server: "Server"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
        pass

    def _path(self) -> Path:
        return self.server.folder / unquote(self.path.removeprefix("/"))

    def _refuse(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    def do_HEAD(self) -> None:
        self._give(with_content=False)

    def do_GET(self) -> None:
        self._give(with_content=True)

    def _give(self, *, with_content: bool) -> None:
        try:
            with self._path().open("rb") as file:
                facts = os.fstat(file.fileno())
                begin = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
                file.seek(begin)
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(facts.st_size - begin))
                self.send_header("ETag", f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"')
                self.end_headers()
                if with_content:
                    self._send(file)
        except FileNotFoundError:
            self._refuse(404)
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            self._refuse(403)

    def _send(self, file: BinaryIO) -> None:
        left = self.server.give_at_most
        while content := file.read(PIECE if left is None else min(PIECE, left)):
            # Before it is given: who has it may look at the count at once.
            self.server.count(self.path, len(content))
            self.wfile.write(content)
            if left is not None:
                left -= len(content)
        self.close_connection = self.close_connection or left is not None

    def do_PUT(self) -> None:
        path = self._path()
        part = path.with_name(f".{uuid.uuid4().hex}.part")
        left = int(self.headers["Content-Length"])
        try:
            with part.open("xb") as file:
                while left:
                    content = self.rfile.read(min(PIECE, left))
                    if not content:
                        self.close_connection = True
                        return
                    left -= len(content)
                    file.write(content)
            part.replace(path)
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except ConnectionError:
            self.close_connection = True
        except OSError:
            part.unlink(missing_ok=True)  # before it is told: who is told looks
            while left and (content := self.rfile.read(min(PIECE, left))):
                left -= len(content)
            self._refuse(507)
        finally:
            part.unlink(missing_ok=True)


class Server(ThreadingHTTPServer):
    """Serves a folder on the loopback interface, on a port that the system chose."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.give_at_most: int | None = None
        self.counted: dict[str, int] = {}
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing to say: that connections end is what the kit has them do."""

    def count(self, path: str, size: int) -> None:
        with self._lock:
            self.counted[path] = self.counted.get(path, 0) + size

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="far-server")
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join(SECONDS)
            self.server_close()


class Far(LocalRemote):
    """A folder behind that server."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._server_folder = folder
        self._open = contextlib.ExitStack()
        self._begin(Server(folder))
        super().__init__(folder, f"far://127.0.0.1:{self._http.server_port}/")

    def _begin(self, server: Server) -> None:
        self._http = server
        self._open.enter_context(server.serving())

    def close(self) -> None:
        self._open.close()

    def given(self, file: File) -> int | None:
        return self._http.counted.get(file.url.partition("://")[2][len(file.netloc) :], 0)

    def cutting(self, after: int) -> AbstractContextManager[None] | None:
        return self._cut(after)

    @contextlib.contextmanager
    def _cut(self, after: int) -> Iterator[None]:
        self._http.give_at_most = after
        try:
            yield
        finally:
            self._http.give_at_most = None

    def gone(self) -> AbstractContextManager[None] | None:
        return self._away()

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        port = self._http.server_port
        self._open.close()
        try:
            yield
        finally:
            self._begin(Server(self._server_folder, port))


# ----------------------------------------------------------------------------------- the stager


class FarStager(Stager):
    """Does all that a stager can declare. Knows nothing but the URLs."""

    def __init__(self) -> None:
        self._moving: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def start(self, context: StagerContext) -> None:
        self._context = context

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        name = hashlib.sha256(file.url.encode()).hexdigest()
        return Transfer(way=way, file=file, placed=file.placed(place.folder / name), place=place)

    def move(self, transfer: Transfer) -> None:
        with self._one_at_a_time(transfer):
            try:
                (self._bring if transfer.way is Way.IN else self._take)(transfer)
            except (OSError, http.client.HTTPException) as trouble:
                here = isinstance(trouble, OSError) and trouble.filename is not None
                raise _error(transfer, str(trouble) or "?", again=not here) from trouble

    def validator(self, file: File) -> str | None:
        try:
            with _asked("HEAD", file, Way.IN) as answer:
                return answer.headers["ETag"]
        except (OSError, http.client.HTTPException) as trouble:
            raise StagingError(file.url, Way.IN, str(trouble), again=True) from trouble

    def close(self) -> None:
        pass

    @contextlib.contextmanager
    def _one_at_a_time(self, transfer: Transfer) -> Iterator[None]:
        with self._lock:
            lock = self._moving.setdefault(f"{transfer.placed.local_path}", threading.Lock())
        with lock:
            yield

    def _bring(self, transfer: Transfer) -> None:
        here = transfer.placed.as_path()
        now = hashlib.sha256(self.known(transfer.file).encode()).hexdigest()[:12]
        part = here.with_name(f".{here.name}.{now}.part")
        for old in here.parent.glob(f".{here.name}.*.part"):
            if old != part:
                old.unlink()
        begin = part.stat().st_size if part.exists() else 0
        with _asked("GET", transfer.file, Way.IN, {"Range": f"bytes={begin}-"}) as answer:
            size = begin + int(answer.headers["Content-Length"])
            try:
                with _opened(part, os.O_WRONLY | os.O_CREAT | os.O_APPEND, "ab") as file:
                    while content := answer.read(PIECE):
                        file.write(content)
                        begin += len(content)
                        self._context.progress(transfer, begin, size)
                    if begin != size:  # the part is kept: it is right as far as it goes
                        raise http.client.IncompleteRead(b"", size - begin)
                self._context.progress(transfer, begin, size)
                part.replace(here)
            except (OSError, StagingError):
                part.unlink()
                raise

    def known(self, file: File) -> str:
        """What the part that is there has to be of."""
        return self.validator(file) or ""

    def _take(self, transfer: Transfer) -> None:
        look = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
        with _opened(transfer.placed.as_path(), look, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise _error(transfer, "It is no file.")

            def pieces() -> Iterator[bytes]:
                done = 0
                while content := file.read(PIECE):
                    yield content
                    done += len(content)
                    self._context.progress(transfer, done, facts.st_size)

            self._context.progress(transfer, 0, facts.st_size)
            headers = {"Content-Length": str(facts.st_size)}
            with _asked("PUT", transfer.file, Way.OUT, headers, pieces()):
                pass


@contextlib.contextmanager
def _opened(path: Path, flags: int, mode: str) -> Iterator[Any]:
    with os.fdopen(os.open(path, flags | os.O_CLOEXEC, 0o600), mode, buffering=0) as file:
        yield file


@contextlib.contextmanager
def _asked(
    method: str,
    file: File,
    way: Way,
    headers: dict[str, str] | None = None,
    body: Iterator[bytes] | None = None,
) -> Iterator[http.client.HTTPResponse]:
    path = file.url.partition("://")[2][len(file.netloc) :]
    connection = http.client.HTTPConnection(file.netloc, timeout=SECONDS)
    try:
        connection.request(method, path, body, headers or {})
        with connection.getresponse() as answer:
            if answer.status >= 300:
                raise StagingError(
                    file.url, way, f"The server says {answer.status}.", again=answer.status == 503
                )
            yield answer
    finally:
        connection.close()


def _error(transfer: Transfer, reason: str, *, again: bool = False) -> StagingError:
    return StagingError(transfer.file.url, transfer.way, reason, again=again)


class TestFar(StagerConformance):
    """The whole kit, every rule of it."""

    name = "file"

    @classmethod
    def component(cls) -> Component:
        sound = super().component()
        every = dict.fromkeys(sound.capabilities, Support.FULL)
        return attrs.evolve(
            sound,
            schemes=("far",),
            capabilities={**every, "third-party": Support.UNSUPPORTED},
        )

    def open(self, settings: Settings) -> Any:
        return FarStager()

    @pytest.fixture
    def remote(self, scratch: Path) -> Iterator[LocalRemote]:
        with contextlib.closing(Far(scratch / "there")) as there:
            yield there


# ------------------------------------------------------------------------ broken on purpose


class Variant(Broken, TestFar):
    """A kit over that stager, bent."""

    @pytest.fixture
    def large(self) -> int:
        return 1_500_000  # every variant goes through all rules before its own


class BentError(BentStager):
    """Says something else of whether to try again."""

    def says(self, error: StagingError) -> bool:
        raise NotImplementedError

    def move(self, transfer: Transfer) -> None:
        try:
            super().move(transfer)
        except StagingError as error:
            error.again = self.says(error)
            raise


class TestWouldTryForEver(Variant):
    killed_by = "S501"

    class Bent(BentError):
        def says(self, error: StagingError) -> bool:
            return True


class TestGivesUpAtOnce(Variant):
    killed_by = "S502"

    class Bent(BentError):
        def says(self, error: StagingError) -> bool:
            return False


class TestGivesUpWhenCutOff(Variant):
    killed_by = "S503"

    class Bent(BentError):
        def says(self, error: StagingError) -> bool:
            return error.again and "IncompleteRead" not in error.reason


class TestTakesAPartForTheWhole(Variant):
    killed_by = "S503"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            try:
                super().move(transfer)
            except StagingError as error:
                if "IncompleteRead" not in error.reason:
                    raise
                here = transfer.placed.as_path()
                for part in here.parent.glob(f".{here.name}.*.part"):
                    part.replace(here)


class BentMany(BentStager):
    """Does something else with many at once."""

    def outcomes(
        self, transfers: Sequence[Transfer], move: Callable[[Transfer], Exception | None]
    ) -> Sequence[Exception | None]:
        raise NotImplementedError

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        def move(transfer: Transfer) -> Exception | None:
            return self.sound.move_all([transfer])[0]

        return self.outcomes(transfers, move)


class TestAnswersAsTheyEnd(Variant):
    killed_by = "S511"

    class Bent(BentMany):
        def outcomes(
            self, transfers: Sequence[Transfer], move: Callable[[Transfer], Exception | None]
        ) -> Sequence[Exception | None]:
            return sorted(map(move, transfers), key=lambda one: one is None)


class TestStopsAtTheFirst(Variant):
    killed_by = "S511"

    class Bent(BentMany):
        def outcomes(
            self, transfers: Sequence[Transfer], move: Callable[[Transfer], Exception | None]
        ) -> Sequence[Exception | None]:
            said: list[Exception | None] = []
            for transfer in transfers:
                bad = next((one for one in said if one is not None), None)
                said.append(bad or move(transfer))
            return said


class TestForgetsSome(Variant):
    killed_by = "S511"

    class Bent(BentMany):
        def outcomes(
            self, transfers: Sequence[Transfer], move: Callable[[Transfer], Exception | None]
        ) -> Sequence[Exception | None]:
            return [move(one) if n < 10 else None for n, one in enumerate(transfers)]


class TestValidatesByTheClock(Variant):
    killed_by = "S521"

    class Bent(BentStager):
        def validator(self, file: File) -> str | None:
            return f"{super().validator(file)}{uuid.uuid4()}"


class TestKnowsNoValidator(Variant):
    killed_by = "S521"

    class Bent(BentStager):
        def validator(self, file: File) -> str | None:
            super().validator(file)
            return None


class TestValidatesByTheSize(Variant):
    killed_by = "S522"

    class Bent(BentStager):
        def validator(self, file: File) -> str | None:
            return (super().validator(file) or "").rpartition("-")[2]


class TestValidatesWhatIsNotThere(Variant):
    killed_by = "S523"

    class Bent(BentStager):
        def validator(self, file: File) -> str | None:
            with contextlib.suppress(StagingError):
                return super().validator(file)
            return "gone"


class Hushed(BentStager):
    """Its progress goes through here."""

    def tell(self, transfer: Transfer, done: int, total: int | None) -> None:
        self.context.progress(transfer, done, total)

    def start(self, context: StagerContext) -> None:
        self.context = context
        relay: Any = Relay(self.tell)
        super().start(relay)


@attrs.frozen
class Relay:
    """All of a context that this stager uses."""

    progress: Callable[[Transfer, int, int | None], None]


class TestSaysNothing(Variant):
    killed_by = "S531"

    class Bent(Hushed):
        def tell(self, transfer: Transfer, done: int, total: int | None) -> None:
            pass


class TestCountsBackwards(Variant):
    killed_by = "S531"

    class Bent(Hushed):
        def tell(self, transfer: Transfer, done: int, total: int | None) -> None:
            super().tell(transfer, done if done == total else (total or 0) - done, total)


class TestNeverSaysItIsDone(Variant):
    killed_by = "S531"

    class Bent(Hushed):
        def tell(self, transfer: Transfer, done: int, total: int | None) -> None:
            if done != total:
                super().tell(transfer, done, total)


class TestDoesNotListen(Variant):
    killed_by = "S532"

    class Bent(Hushed):
        def tell(self, transfer: Transfer, done: int, total: int | None) -> None:
            with contextlib.suppress(StagingError):
                super().tell(transfer, done, total)


class TestHearsItTooLate(Variant):
    killed_by = "S532"

    class Bent(Hushed):
        def tell(self, transfer: Transfer, done: int, total: int | None) -> None:
            try:
                super().tell(transfer, done, total)
            except StagingError:
                here = transfer.placed.as_path()
                here.with_name(f".{here.name}.lost").touch()
                raise


class TestKnowsItsPlans(Variant):
    killed_by = "S541"

    class Bent(BentStager):
        def __init__(self, sound: Stager) -> None:
            super().__init__(sound)
            self.planned: set[str] = set()

        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            self.planned.add(file.url)
            return super().plan(way, file, place)

        def move(self, transfer: Transfer) -> None:
            # Not of the rules about being killed, which have another process move, too.
            if transfer.file.url not in self.planned and transfer.file.url.endswith("/brought"):
                raise StagingError(transfer.file.url, transfer.way, "Who planned that?")
            super().move(transfer)


class TestBeginsAgain(Variant):
    killed_by = "S551"

    class Bent(BentStager):
        def move(self, transfer: Transfer) -> None:
            here = transfer.placed.as_path()
            for part in here.parent.glob(f".{here.name}.*.part"):
                part.unlink()
            super().move(transfer)


class TestJoinsWhatItFinds(Variant):
    killed_by = "S552"

    class Bent(BentStager):
        sound: FarStager

        def __init__(self, sound: FarStager) -> None:
            super().__init__(sound)
            sound.known = lambda file: "whatever it is"  # type: ignore[method-assign]
