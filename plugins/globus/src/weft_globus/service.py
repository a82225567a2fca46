"""Requests to the Transfer API, in one thread; what goes wrong comes out as a ``Refusal``.

The SDK's client does the work: it signs requests, renews tokens and repeats once. Here stand what
is asked for and what the answers are turned into.
"""

import contextlib
import datetime as dt
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import globus_sdk
from globus_sdk import DeleteData, TransferClient, TransferData
from globus_sdk.gare import GlobusAuthorizationParameters, to_gare
from globus_sdk.token_storage import TokenValidationError
from globus_sdk.transport import RequestsTransport

from weft_globus.apps import App, NotLoggedIn, app_for, retries
from weft_globus.settings import CLIENT_SECRET, Globus
from weft_globus.urls import Position
from weft_globus.words import Facts, Fault, Refusal, TaskView, consent_of, login, refusal

__all__ = ["Refused", "Service", "link_of"]

T = TypeVar("T")

_EVENTS: Final = 20
"""How many of the newest events of a task are read."""

_FEW: Final = 3
"""Up to so many files of one folder are asked for by themselves, and not by the whole folder."""


class Refused(Exception):
    """A request that was not fulfilled."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def link_of(task_id: str) -> str:
    """Where people look at a task."""
    return f"https://app.globus.org/activity/{task_id}"


class Service:
    """Globus, as far as it is needed. Made, used and closed by one thread."""

    def __init__(self, settings: Globus, app: App | None = None) -> None:
        self._settings, self._app = settings, app
        self._client: TransferClient | None = None
        self._transport: RequestsTransport | None = None
        self._agreed: set[str] = set()

    # -------------------------------------------------------------------------------- transfers

    def submission_id(self) -> str:
        """A name for a task that is going to be asked for."""
        return str(self._asked(lambda client: client.get_submission_id()["value"]))

    def submit(
        self,
        submission_id: str,
        source: str,
        target: str,
        items: Iterable[tuple[str, str]],
    ) -> str:
        """Have files moved. The same submission twice is one task, whose id is returned.

        Args:
            submission_id: its name.
            source: the collection that has the files.
            target: the collection that gets them.
            items: the paths of each file at both.
        """
        options = self._settings
        deadline = dt.datetime.now(tz=dt.UTC) + dt.timedelta(seconds=options.deadline)
        data = TransferData(
            source,
            target,
            label=f"{options.label} {submission_id[:8]}",
            submission_id=submission_id,
            sync_level=options.sync_level or globus_sdk.MISSING,
            verify_checksum=options.verify_checksum,
            encrypt_data=options.encrypt_data,
            preserve_timestamp=options.preserve_timestamp,
            deadline=deadline.isoformat(timespec="seconds"),
            skip_source_errors=False,
            fail_on_quota_errors=True,
            notify_on_succeeded=False,
            notify_on_failed=False,
            notify_on_inactive=False,
        )
        for here, there in items:
            data.add_item(here, there)
        return str(
            self._asked(lambda client: client.submit_transfer(data)["task_id"], source, target)
        )

    def task(self, task_id: str) -> TaskView:
        """How a task is."""
        return TaskView.of(self._asked(lambda client: client.get_task(task_id)).data)

    def faults(self, task_id: str) -> list[Fault]:
        """The newest errors of a task."""
        return Fault.all_of(
            self._asked(lambda client: client.task_event_list(task_id, limit=_EVENTS)["DATA"])
        )

    def arrived(self, task_id: str) -> set[str]:
        """The paths of files that an ended task has moved, as they are at the target."""

        def pages(client: TransferClient) -> set[str]:
            found = client.paginated.task_successful_transfers(task_id)
            return {str(one["destination_path"]) for one in found.items()}

        return self._asked(pages)

    def cancel(self, task_id: str) -> None:
        """Have a task ended; it may take a while."""
        self._asked(lambda client: client.cancel_task(task_id))

    # ------------------------------------------------------------------------------------ files

    def look(self, wanted: Sequence[Position]) -> Mapping[Position, Facts | Refusal]:
        """What is known of files; of each a refusal where it is not there or may not be seen.

        Raises:
            Refused: nothing can be known now.
        """
        folders: dict[tuple[str, str], list[Position]] = {}
        for one in wanted:
            folders.setdefault((one.collection, posixpath.dirname(one.path)), []).append(one)
        found: dict[Position, Facts | Refusal] = {}
        for (collection, folder), within in folders.items():
            names: Mapping[str, Facts] = {}
            if len(within) > _FEW:
                # A folder may be too large to be listed, and its files there all the same.
                with contextlib.suppress(Refused):
                    names = self._names(collection, folder)
            for one in within:
                named = names.get(posixpath.basename(one.path))
                found[one] = named or self._one(one)
        return found

    def _names(self, collection: str, folder: str) -> dict[str, Facts]:
        listed = self._asked(
            lambda client: client.operation_ls(collection, folder)["DATA"], collection
        )
        return {str(one["name"]): Facts.of(one) for one in listed}

    def _one(self, where: Position) -> Facts | Refusal:
        try:
            return self.facts(where)
        except Refused as refused:
            if refused.refusal.again or not refused.refusal.code:
                raise
            return refused.refusal

    def facts(self, where: Position) -> Facts:
        """What is known of a file."""
        return Facts.of(
            self._asked(
                lambda client: client.operation_stat(where.collection, where.path),
                where.collection,
            ).data
        )

    def rename(self, collection: str, old: str, new: str) -> None:
        """Give a file another name."""
        self._asked(lambda client: client.operation_rename(collection, old, new), collection)

    def delete(self, collection: str, paths: Iterable[str]) -> str:
        """Have files removed, by a task; those that are not there are no trouble."""
        data = DeleteData(
            collection,
            label=f"{self._settings.label} clean-up",
            ignore_missing=True,
            notify_on_succeeded=False,
            notify_on_failed=False,
            notify_on_inactive=False,
        )
        for path in paths:
            data.add_item(path)
        return str(self._asked(lambda client: client.submit_delete(data)["task_id"], collection))

    def describe(self, collection: str) -> Mapping[str, Any]:
        """The document of a collection."""
        document: Mapping[str, Any] = self._asked(
            lambda client: client.get_endpoint(collection)
        ).data
        return document

    def lacking(self, collection: str) -> GlobusAuthorizationParameters | None:
        """What has to be agreed to before a collection can be used; ``None`` if nothing.

        Raises:
            Refused: there is no such collection, or it cannot be known now.
        """
        try:
            self._connected().operation_ls(collection, limit=1)
        except globus_sdk.GlobusError as error:
            asked = _asked_for(error)
            refusal = self._meant(error)
            # Whether the folder that is looked at can be seen is another question.
            denied = isinstance(error, globus_sdk.GlobusAPIError) and error.http_status == 403
        else:
            return None
        if asked is None and not denied and refusal.code != "NotFound":
            raise Refused(refusal)
        return asked

    def close(self) -> None:
        """Close connections and the file of tokens."""
        if self._client is not None:
            self._client.close()
        if self._transport is not None:
            self._transport.close()
        if self._app is not None:
            self._app.close()
            # Those that were handed to the app are not its own to close.
            self._app._token_storage.close()  # noqa: SLF001 - the SDK has no other way
            self._app._login_client.transport.close()  # noqa: SLF001 - nor here
        self._client = self._transport = self._app = None

    # ------------------------------------------------------------------------------------ asking

    def _asked(self, question: Callable[[TransferClient], T], *collections: str) -> T:
        """Ask, about collections; an app by itself asks again once it has agreed to what it has to.

        Raises:
            Refused: in the words of the service.
        """
        try:
            return question(self._connected())
        except globus_sdk.GlobusError as error:
            asked = _asked_for(error)
            refusal = self._meant(error, collections)
        except NotLoggedIn as error:
            raise Refused(Refusal(reason=f"{error.what} {error.why}", todo=error.todo)) from None
        if asked is None or not self._agree(asked):
            raise Refused(refusal)
        try:
            return question(self._connected())
        except globus_sdk.GlobusError as error:
            refusal = self._meant(error, collections)
        raise Refused(refusal)

    def _connected(self) -> TransferClient:
        if self._client is None:
            self._app = self._app or app_for(self._settings)
            self._transport = RequestsTransport(http_timeout=self._settings.request_timeout)
            self._client = TransferClient(
                app=self._app, transport=self._transport, retry_config=retries()
            )
        return self._client

    def _agree(self, asked: GlobusAuthorizationParameters) -> bool:
        """Get the consents that are asked for, if nobody needs to be there for it."""
        scopes = " ".join(sorted(asked.required_scopes or ()))
        if not isinstance(self._app, globus_sdk.ClientApp) or not scopes or scopes in self._agreed:
            return False
        self._agreed.add(scopes)
        try:
            self._app.login(auth_params=asked)
        except globus_sdk.GlobusError as error:
            refusal = self._meant(error)
        else:
            return True
        raise Refused(refusal)

    def _meant(self, error: globus_sdk.GlobusError, collections: Sequence[str] = ()) -> Refusal:
        """What an error of the SDK means; nothing more is wanted of it."""
        # It holds a frame of the SDK that holds it, and with it the answer and its connection,
        # which would stay open until the next collection of such circles.
        error.__traceback__ = None
        client_id = self._settings.client_id
        if isinstance(error, TokenValidationError):
            return Refusal(
                reason=f"The tokens of Globus are missing, or no longer enough: {error}.",
                todo=login(client_id),
                code="NoTokens",
            )
        if isinstance(error, globus_sdk.GlobusAPIError):
            return self._answer(error, client_id, collections)
        if isinstance(error, globus_sdk.NetworkError):
            return Refusal(
                reason=f"Globus could not be reached: {error}"
                f" ({_innermost(error.underlying_exception)}).",
                todo="Look at the network, and at status.globus.org.",
                again=True,
            )
        return Refusal(reason=f"The SDK of Globus says: {error}.", code=type(error).__name__)

    def _answer(
        self, error: globus_sdk.GlobusAPIError, client_id: str, collections: Sequence[str]
    ) -> Refusal:
        message, code = error.message or error.http_reason, error.code or ""
        gare = to_gare(error)
        if gare is not None:
            asked = gare.authorization_parameters
            # What a collection asks for beyond a consent is found by asking it again.
            collections = consent_of(asked.required_scopes or ()) or collections
            why = asked.session_message or message
            return Refusal(
                reason=f"Globus says {gare.code}: {why}.",
                todo=login(client_id, collections),
                code=gare.code,
            )
        of_auth = isinstance(error, globus_sdk.AuthAPIError)
        if error.http_status == 401 or (of_auth and error.http_status in {400, 403}):
            todo = login(client_id)
            if isinstance(self._app, globus_sdk.ClientApp):
                todo = f"Mend the id of the app, and {CLIENT_SECRET}."
            return Refusal(
                reason="Globus does not take the tokens that there are, which may have been "
                f"revoked or have expired: {message}.",
                todo=todo,
                code=code or "AuthenticationFailed",
            )
        return refusal(error.http_status, code, message)


def _asked_for(error: globus_sdk.GlobusError) -> GlobusAuthorizationParameters | None:
    """What a login has to bring, if that is what the service says."""
    gare = to_gare(error) if isinstance(error, globus_sdk.GlobusAPIError) else None
    return None if gare is None else gare.authorization_parameters


def _innermost(error: BaseException) -> str:
    """What lies at the bottom of an error of the connection."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(getattr(error, "strerror", None) or error)
