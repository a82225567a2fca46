"""Globus on loopback, for the real SDK: its sign-in, its Transfer API, and collections of folders.

Not the service: a server that speaks its documented language. Transfers are real, in that files are
copied, piece by piece and under the name that was asked for, by a thread for each task. What a test
wants to go wrong it says by the attributes; nothing waits for a clock but where a test says so.

Sign-in: authorization code with PKCE, refresh tokens, revocation, client credentials, id tokens
that are signed. The person at the browser agrees to everything, and is asked nothing.
"""

import base64
import contextlib
import datetime as dt
import functools
import hashlib
import http.server
import json
import os
import re
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeAlias
from urllib.parse import parse_qs, parse_qsl, urlsplit

import attrs
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["NATIVE", "SECRET", "SERVICE", "Cloud", "Collection", "Lost"]

NATIVE: Final = "11111111-1111-4111-8111-111111111111"
"""The app of a person."""
SERVICE: Final = "22222222-2222-4222-8222-222222222222"
"""The app of a service."""
SECRET: Final = "not-much-of-a-secret"
"""Its secret."""

_ALL: Final = "urn:globus:auth:scope:transfer.api.globus.org:all"
_PERSON: Final = "33333333-3333-4333-8333-333333333333"
_DATA_ACCESS: Final = re.compile(r"scopes/([0-9a-f-]{36})/data_access")
_BOUND: Final = 60.0
_PIECE: Final = 64 * 1024
_PAGE: Final = 2
"""How many successful transfers the server tells at once: few, so that there are pages."""

Json: TypeAlias = dict[str, Any]


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _now() -> str:
    return dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds")


class Lost(Exception):
    """An answer that never arrives: the connection is closed instead."""


class Failed(Exception):
    """A task has come to its end without its files."""


class Cancelled(Exception):
    """The owner of a task has ended it."""


class Answer(Exception):
    """An error document."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(code)
        self.status, self.body = status, {"code": code, "message": message, **more}


@attrs.define
class Collection:
    """A folder by the name of a collection.

    Attributes:
        folder: where its files are.
        kind: as the service calls it.
        consent: whether each app has to be allowed to use it, as for mapped ones.
        paused: what its managers say about why it is paused.
        forbidden: paths that nobody may read or write.
        replaces: whether renaming puts a file in the place of another.
    """

    folder: Path
    kind: str = "GCSv5_mapped_collection"
    consent: bool = False
    paused: str = ""
    forbidden: set[str] = attrs.field(factory=set)
    replaces: bool = True

    def path(self, path: str) -> Path:
        """The path on this machine of one of the collection."""
        within = path.removeprefix("/~").lstrip("/")
        if path in self.forbidden:
            raise PermissionError(path)
        return self.folder / within


@attrs.define
class Token:
    """A token that was given out."""

    client: str
    identity: str
    scope: str
    until: float


class Task(threading.Thread):
    """A task of the service: a thread that copies or deletes."""

    def __init__(self, cloud: "Cloud", body: Json) -> None:
        self.id = str(uuid.uuid4())
        super().__init__(name=f"cloud-{self.id[:8]}", daemon=True)
        self.cloud, self.body = cloud, body
        self.cancelled = threading.Event()
        self.events: list[Json] = []
        self.successes: list[Json] = []
        self.document: Json = {
            "DATA_TYPE": "task",
            "task_id": self.id,
            "type": body["DATA_TYPE"].upper(),
            "status": "ACTIVE",
            "label": body.get("label"),
            "request_time": _now(),
            "completion_time": None,
            "deadline": body.get("deadline"),
            "is_ok": True,
            "is_paused": False,
            "nice_status": "Queued",
            "nice_status_short_description": "queued",
            "nice_status_details": None,
            "fatal_error": None,
            "bytes_transferred": 0,
            "files": len(body["DATA"]),
            "files_transferred": 0,
            "faults": 0,
        }

    def run(self) -> None:
        try:
            self._until(self.cloud.gate.is_set)
            for item in self.body["DATA"]:
                if self.body["DATA_TYPE"] == "delete":
                    place = self.cloud.collections[self.body["endpoint"]]
                    place.path(item["path"]).unlink(missing_ok=True)
                else:
                    self._item(item)
            if self.cloud.ending is not None:
                code, self.cloud.ending = self.cloud.ending, None
                self._fail(code, "asked for by the test")
            else:
                self._end("SUCCEEDED", nice_status=None)
        except Failed:
            pass  # its document says it
        except Cancelled:
            self._fail("CANCELED", "canceled by the owner")
        finally:
            with self.cloud.changed:
                self.cloud.changed.notify_all()

    def _until(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + _BOUND
        while not holds():
            if self.cancelled.is_set() or time.monotonic() > until:
                raise Cancelled
            self.cancelled.wait(0.01)
        if self.cancelled.is_set():
            raise Cancelled

    def _item(self, item: Json) -> None:
        """Copy a file; what goes wrong is tried again until it is mended or the task is ended."""
        paths = item["source_path"], item["destination_path"]
        while True:
            code, said = self._trouble(paths)
            if not code:
                try:
                    self._copy(*paths)
                except FileNotFoundError as error:
                    code, said = "FILE_NOT_FOUND", str(error)
                except PermissionError as error:
                    code, said = "PERMISSION_DENIED", str(error)
                except OSError as error:
                    code, said = "QUOTA_EXCEEDED", f"{error.strerror}: {paths[1]}"
            if not code:
                break
            self._fault(code, said)
            if code == "QUOTA_EXCEEDED" and self.body.get("fail_on_quota_errors"):
                self._fail(code, said)
                raise Failed
            before = (code, said)
            self._until(functools.partial(self._another, paths, before))
        self.document.update(nice_status="OK", is_ok=True)
        self.document["files_transferred"] += 1
        self.successes.append(
            {
                "DATA_TYPE": "successful_transfer",
                "source_path": paths[0],
                "destination_path": paths[1],
            }
        )

    def _another(self, paths: tuple[str, str], before: tuple[str, str]) -> bool:
        """Whether it is worth another try."""
        return self._trouble(paths) != before

    def _trouble(self, paths: tuple[str, str]) -> tuple[str, str]:
        for path in paths:
            if path in self.cloud.faults:
                return self.cloud.faults[path], f"Command failed: RETR {path}\n500 no."
            for part, code in self.cloud.faults.items():
                if part.startswith("*") and path.endswith(part[1:]):
                    return code, f"Command failed: RETR {path}\n500 no."
        for end in ("source_endpoint", "destination_endpoint"):
            if paused := self.cloud.collections[self.body[end]].paused:
                self.document["is_paused"] = True
                return "PAUSED_BY_ADMIN", paused
        self.document["is_paused"] = False
        return "", ""

    def _fault(self, code: str, details: str) -> None:
        self.document.update(
            nice_status=code, nice_status_short_description=code.lower(), is_ok=False
        )
        self.document["faults"] += 1
        self.events.insert(
            0,
            {
                "DATA_TYPE": "event",
                "code": code,
                "description": code.replace("_", " ").lower(),
                "details": details,
                "is_error": True,
                "time": _now(),
            },
        )

    def _copy(self, source_path: str, target_path: str) -> None:
        collections = self.cloud.collections
        source = collections[self.body["source_endpoint"]].path(source_path)
        target = collections[self.body["destination_endpoint"]].path(target_path)
        self.document["nice_status"] = "OK"
        with source.open("rb") as reading:
            target.parent.mkdir(parents=True, exist_ok=True)
            # Under the name that was asked for from the first byte, as servers do it.
            with target.open("wb", buffering=0) as writing:
                while piece := reading.read(_PIECE):
                    if self.cancelled.is_set():
                        raise Cancelled
                    writing.write(piece)
                    self.document["bytes_transferred"] += len(piece)
                    if self.document["bytes_transferred"] >= self.cloud.most:
                        self.cloud.flow.clear()
                        with self.cloud.changed:
                            self.cloud.changed.notify_all()
                    if not self.cloud.flow.is_set():
                        self._until(self.cloud.flow.is_set)

    def _fail(self, code: str, description: str) -> None:
        self._end(
            "FAILED",
            is_ok=False,
            nice_status=code,
            fatal_error={"code": code, "description": description},
        )

    def _end(self, status: str, **more: Any) -> None:
        # The status last: who sees it takes the rest as it is.
        self.document.update(completion_time=_now(), **more)
        self.document["status"] = status


class Cloud:
    """The service, for as long as it is entered.

    Args:
        collections: by their ids.

    Attributes:
        url: where it is.
        gate: tasks begin to copy when it is set.
        flow: files go on after their first piece when it is set.
        most: bytes of a task after which ``flow`` is cleared.
        faults: what keeps a file from being copied: its path at either side, or ``*`` and its end,
            and the code; until it is taken away.
        ending: the code with which the next task fails at its end.
        answers: what comes instead of answers: the beginning of ``"METHOD /path"``, and an error
            or ``Lost``, which loses the answer to what has been done.
        asked: all requests, in order.
        tasks: all tasks, by their ids.
        seconds: the life of access tokens.
    """

    def __init__(self, collections: Mapping[str, Collection]) -> None:
        self.collections = dict(collections)
        self.gate, self.flow = threading.Event(), threading.Event()
        self.gate.set()
        self.flow.set()
        self.most = float("inf")
        self.faults: dict[str, str] = {}
        self.ending: str | None = None
        self.answers: deque[tuple[str, Exception]] = deque()
        self.asked: list[str] = []
        self.changed = threading.Condition()
        self.tasks: dict[str, Task] = {}
        self.submissions: dict[str, str] = {}
        self.seconds = 3600.0
        self.consents: set[tuple[str, str]] = set()
        self.access: dict[str, Token] = {}
        self.refresh: dict[str, Token] = {}
        self._codes: dict[str, Json] = {}
        self._key = _key()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.resume(0)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        for task in self.tasks.values():
            task.cancelled.set()
            task.join(_BOUND)

    def resume(self, port: int | None = None) -> None:
        """Answer; after a cut at the port of before."""
        where = urlsplit(self.url).port or 0 if port is None else port
        handler = type("Bound", (Handler,), {"cloud": self})
        self._server = Server(("127.0.0.1", where), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="cloud", daemon=True
        )
        self._thread.start()

    def cut(self) -> None:
        """Answer nobody: the network is gone. Tasks go on."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join(_BOUND)
            self._server.hang_up()
            self._server.server_close()
        self._server = self._thread = None

    @property
    def environment(self) -> dict[str, str]:
        """What leads the SDK here."""
        return {
            "GLOBUS_SDK_SERVICE_URL_TRANSFER": self.url,
            "GLOBUS_SDK_SERVICE_URL_AUTH": self.url,
        }

    def transfers(self) -> list[Task]:
        """The tasks that move files, in the order in which they came."""
        return [one for one in self.tasks.values() if one.body["DATA_TYPE"] == "transfer"]

    def count(self, beginning: str) -> int:
        """How many requests began so."""
        return sum(one.startswith(beginning) for one in self.asked)

    def revoke_all(self) -> None:
        """As a person does on the page of consents."""
        self.access.clear()
        self.refresh.clear()
        self.consents.clear()

    def login(self, client: str = NATIVE) -> Json:
        """Tokens, as after a login: what the token endpoint answers."""
        return self._tokens(client, _PERSON, ["openid", "profile", "email", _ALL], refresh=True)

    # ------------------------------------------------------------------------------------- sign-in

    def authorize(self, query: Json) -> str:
        """The person agrees. Returns the code."""
        if query.get("client_id") != NATIVE:
            raise Answer(400, "invalid_client", "unknown client")
        code = uuid.uuid4().hex
        self._codes[code] = query
        return code

    def token(self, form: Json, basic: str) -> Json:
        """The token endpoint."""
        kind = form.get("grant_type")
        if kind == "client_credentials":
            if basic != f"{SERVICE}:{SECRET}":
                raise _oauth(401, "invalid_client")
            self._consented(SERVICE, form["scope"])
            return self._tokens(SERVICE, SERVICE, form["scope"].split(), refresh=False)
        if kind == "authorization_code":
            asked = self._codes.pop(form.get("code", ""), None)
            if asked is None:
                raise _oauth(400, "invalid_grant")
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if asked.get("code_challenge") != challenge:
                raise _oauth(400, "invalid_grant")
            self._consented(asked["client_id"], asked["scope"])
            return self._tokens(
                asked["client_id"],
                _PERSON,
                asked["scope"].split(),
                refresh=asked.get("access_type") == "offline",
            )
        if kind == "refresh_token":
            known = self.refresh.get(form.get("refresh_token", ""))
            if known is None:
                raise _oauth(400, "invalid_grant")
            return self._tokens(known.client, known.identity, known.scope.split(), refresh=False)
        raise _oauth(400, "unsupported_grant_type")

    def _consented(self, client: str, scope: str) -> None:
        self.consents |= {(client, one) for one in _DATA_ACCESS.findall(scope)}

    def _tokens(self, client: str, identity: str, scopes: list[str], *, refresh: bool) -> Json:
        """Tokens for each service that the scopes are of."""
        plain = [re.sub(r"[\[*].*", "", one) for one in scopes]
        services: dict[str, list[str]] = {}
        for one in plain:
            if one:
                server = "transfer.api.globus.org" if "transfer" in one else "auth.globus.org"
                services.setdefault(server, []).append(one)
        made = []
        for server, own in services.items():
            access = uuid.uuid4().hex
            grant = Token(client, identity, " ".join(own), time.time() + self.seconds)
            self.access[access] = grant
            document: Json = {
                "access_token": access,
                "scope": grant.scope,
                "expires_in": int(self.seconds),
                "resource_server": server,
                "token_type": "Bearer",
            }
            if refresh:
                document["refresh_token"] = uuid.uuid4().hex
                self.refresh[document["refresh_token"]] = grant
            made.append(document)
        first = made[0]
        first["other_tokens"] = made[1:]
        if "openid" in plain:
            first["id_token"] = jwt.encode(
                {
                    "sub": identity,
                    "aud": client,
                    "iss": self.url,
                    "iat": int(time.time()),
                    "exp": int(time.time()) + 3600,
                },
                self._key,
                algorithm="RS256",
            )
        return first

    def jwk(self) -> Json:
        """The key that id tokens are signed with."""
        algorithm = jwt.algorithms.RSAAlgorithm
        key: Json = algorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "alg": "RS256", "use": "sig"}]}

    # ------------------------------------------------------------------------------------ transfer

    def act(self, method: str, parts: list[str], query: Json, body: Json, bearer: str) -> Json:
        """A request to the Transfer API, without the version at its front."""
        token = self.access.get(bearer)
        if token is None or token.until < time.time():
            raise Answer(401, "AuthenticationFailed", "Token is not active")
        match method, parts:
            case "GET", ["submission_id"]:
                return {"DATA_TYPE": "submission_id", "value": str(uuid.uuid4())}
            case "POST", ["transfer" | "delete"]:
                for end in ("source_endpoint", "destination_endpoint", "endpoint"):
                    if end in body:
                        self._collection(body[end], token)
                return self._submit(body)
            case _, ["task", task_id, *rest]:
                if task_id not in self.tasks:
                    raise Answer(404, "ClientError.NotFound", "No such task")
                return self._task(self.tasks[task_id], rest, query)
            case "GET", ["endpoint", collection]:
                place = self.collections.get(collection)
                if place is None:
                    raise Answer(404, "EndpointNotFound", f"No such endpoint {collection}")
                return {
                    "DATA_TYPE": "endpoint",
                    "id": collection,
                    "display_name": place.folder.name,
                    "entity_type": place.kind,
                    "high_assurance": False,
                }
            case _, ["operation", "endpoint", collection, operation]:
                return self._operation(self._collection(collection, token), operation, query, body)
        raise Answer(404, "ClientError.NotFound", "No such resource")

    def _collection(self, collection: str, token: Token) -> Collection:
        place = self.collections.get(collection)
        if place is None:
            raise Answer(404, "EndpointNotFound", f"No such endpoint {collection}")
        if place.consent and (token.client, collection) not in self.consents:
            scope = f"{_ALL}[*https://auth.globus.org/scopes/{collection}/data_access]"
            said = "Missing required data_access consent"
            raise Answer(
                403,
                "ConsentRequired",
                said,
                required_scopes=[scope],
                authorization_parameters={"session_message": said, "required_scopes": [scope]},
            )
        return place

    def _submit(self, body: Json) -> Json:
        known = self.submissions.get(body["submission_id"])
        code = "Accepted" if known is None else "Duplicate"
        if known is None:
            task = Task(self, body)
            known = self.submissions[body["submission_id"]] = task.id
            with self.changed:
                self.tasks[task.id] = task
                self.changed.notify_all()
            task.start()
        return {
            "DATA_TYPE": f"{body['DATA_TYPE']}_result",
            "code": code,
            "message": "The transfer has been accepted and queued for execution",
            "task_id": known,
            "submission_id": body["submission_id"],
        }

    def _task(self, task: Task, rest: list[str], query: Json) -> Json:
        match rest:
            case []:
                return dict(task.document)
            case ["cancel"]:
                if task.document["status"] != "ACTIVE":
                    return {"DATA_TYPE": "result", "code": "TaskComplete", "message": "complete"}
                task.cancelled.set()
                return {"DATA_TYPE": "result", "code": "CancelAccepted", "message": "accepted"}
            case ["event_list"]:
                start = int(query.get("offset", 0))
                events = task.events[start : start + int(query.get("limit", 10))]
                return {"DATA_TYPE": "event_list", "total": len(task.events), "DATA": events}
            case ["successful_transfers"]:
                if task.document["status"] == "ACTIVE":
                    raise Answer(409, "Conflict", "The task is still active")
                start = int(query.get("marker", 0))
                page = task.successes[start : start + _PAGE]
                after = start + len(page)
                return {
                    "DATA_TYPE": "successful_transfers",
                    "marker": start,
                    "next_marker": after if after < len(task.successes) else None,
                    "DATA": page,
                }
        raise Answer(404, "ClientError.NotFound", "No such resource")

    def _operation(self, place: Collection, operation: str, query: Json, body: Json) -> Json:
        if place.paused:
            raise Answer(409, "EndpointPaused", f"The collection is paused: {place.paused}")
        path = query.get("path", "/")
        try:
            if operation == "stat":
                return _entry(place.path(path))
            if operation == "ls":
                entries = [_entry(one) for one in sorted(place.path(path).iterdir())]
                return {"DATA_TYPE": "file_list", "path": path, "DATA": entries}
            if operation == "rename":
                old, new = place.path(body["old_path"]), place.path(body["new_path"])
                if new.exists() and not place.replaces:
                    raise Answer(502, "ExternalError.RenameFailed.Exists", "Path already exists")
                old.replace(new)
                return {"DATA_TYPE": "result", "code": "FileRenamed", "message": "renamed"}
        except FileNotFoundError:
            raise Answer(404, "NotFound", f"Path not found: {path}") from None
        except PermissionError:
            raise Answer(403, "EndpointPermissionDenied", f"Denied by endpoint: {path}") from None
        raise Answer(404, "ClientError.NotFound", "No such operation")


def _entry(path: Path) -> Json:
    facts = path.lstat()
    link = os.readlink(path) if path.is_symlink() else None  # noqa: PTH115 - as text
    kind = "dir" if path.is_dir() else "file" if path.is_file() else "other"
    if link is not None and not path.exists():
        kind = "invalid_symlink"
    elif link is not None:
        facts = path.stat()
    changed = dt.datetime.fromtimestamp(int(facts.st_mtime), tz=dt.UTC)
    return {
        "DATA_TYPE": "file",
        "name": path.name,
        "type": kind,
        "size": facts.st_size,
        "last_modified": str(changed),
        "link_target": link,
    }


def _oauth(status: int, error: str) -> Answer:
    answer = Answer(status, error, error)
    answer.body = {"error": error}
    return answer


class Server(http.server.ThreadingHTTPServer):
    """Knows its connections, so that it can hang up."""

    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        self.open: set[Any] = set()
        super().__init__(*args)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        self.open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End all connections."""
        for one in list(self.open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the other side, or a test, has ended is nothing to speak of."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    cloud: Cloud
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "json" in self.headers.get("Content-Type", ""):
            self._answer(json.loads(raw or b"{}"))
        else:
            self._answer(dict(parse_qsl(raw.decode())))

    def _answer(self, body: Json) -> None:
        cloud, url = self.cloud, urlsplit(self.path)
        request = f"{self.command} {url.path}"
        cloud.asked.append(request)
        planned = self._planned(request)
        try:
            if planned is not None and not isinstance(planned, Lost):
                raise planned
            query = dict(parse_qsl(url.query, keep_blank_values=True))
            status, answer = 200, self._do(url.path, query, body)
            if isinstance(planned, Lost):
                raise planned
        except Lost:
            self.close_connection = True
            return
        except Answer as refused:
            status, answer = refused.status, refused.body
        raw = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        kind = "text/html" if isinstance(answer, str) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _planned(self, request: str) -> Exception | None:
        answers = self.cloud.answers
        for n, (beginning, answer) in enumerate(answers):
            if request.startswith(beginning):
                del answers[n]
                return answer
        return None

    def _do(self, path: str, query: Json, body: Json) -> Json | str:
        cloud = self.cloud
        bearer = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        match path:
            case "/v2/oauth2/authorize":
                return f"<p>Your code: <code>{cloud.authorize(query)}</code></p>"
            case "/v2/oauth2/token":
                basic = (self.headers.get("Authorization") or "").removeprefix("Basic ")
                return cloud.token(body, base64.b64decode(basic + "==").decode() if basic else "")
            case "/v2/oauth2/token/revoke":
                cloud.access.pop(body.get("token", ""), None)
                cloud.refresh.pop(body.get("token", ""), None)
                return {"active": False}
            case "/v2/oauth2/userinfo":
                token = cloud.access.get(bearer)
                if token is None:
                    raise Answer(401, "UNAUTHORIZED", "Token is not active")
                return {
                    "sub": token.identity,
                    "preferred_username": "ada@example.org",
                    "name": "Ada Example",
                }
            case "/.well-known/openid-configuration":
                return {
                    "issuer": cloud.url,
                    "jwks_uri": f"{cloud.url}jwk.json",
                    "id_token_signing_alg_values_supported": ["RS256"],
                }
            case "/jwk.json":
                return cloud.jwk()
        return cloud.act(self.command, path.strip("/").split("/")[1:], query, body, bearer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Nobody reads it."""


def code_in(page: str) -> str:
    """The code that a person reads off the page."""
    found = re.search(r"<code>(\w+)</code>", page)
    assert found is not None, page
    return found[1]


def scopes_of(url: str) -> str:
    """What an address of the sign-in page asks for."""
    return parse_qs(urlsplit(url).query)["scope"][0]
