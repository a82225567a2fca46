"""The index, as the client of Elasticsearch reaches it: made, written to, and what it answers.

Each document has a name of its own, and is only ever created: one that is sent again since the
answer was lost is refused as one that is there, so that no document is there twice.
"""

import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import elasticsearch
from elasticsearch import Elasticsearch as Client

from weft_elasticsearch.documents import MAPPINGS

__all__ = ["Answer", "Document", "Index", "NotNow", "Refused", "TooLarge", "Unbelieved"]

_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_THERE: Final = 409
_TOO_LARGE: Final = 413

Document = tuple[str, Mapping[str, Any]]
"""A name and the fields."""


class NotNow(Exception):
    """The server does not take anything now; later it may."""


class Unbelieved(NotNow):
    """It does not show by certificates that are believed who it is, or does not believe ours."""


class Refused(Exception):
    """The server will not take this, now or later."""


class TooLarge(Refused):
    """It might take less at once."""


@attrs.frozen
class Answer:
    """What became of documents.

    Attributes:
        later: those that the server has no room for now.
        refused: how many it will never take.
        why: the reason that it gave for the first one of either.
    """

    later: Sequence[Document] = ()
    refused: int = 0
    why: str = ""


class Index:
    """Takes documents. Used by one thread at a time.

    Args:
        server: its URL.
        name: of the index.
        timeout: seconds that the server may take to answer.
        ca_certs: a file of certificates; empty for those of the system.

    Raises:
        OSError: the certificates cannot be read, or are none.
        ValueError: the client cannot be made of this.
    """

    def __init__(self, server: str, name: str, *, timeout: float, ca_certs: str = "") -> None:
        self.place = f"{server.rstrip('/')}/{name}"
        self._name, self._timeout = name, timeout
        more: dict[str, Any] = {}
        if ca_certs and server.startswith("https:"):
            more["ssl_context"] = ssl.create_default_context(cafile=ca_certs)
        if key := os.environ.get("ELASTICSEARCH_API_KEY"):
            more["api_key"] = key
        elif user := os.environ.get("ELASTICSEARCH_USERNAME"):
            more["basic_auth"] = (user, os.environ.get("ELASTICSEARCH_PASSWORD", ""))
        # What is to be tried again is decided here, where the end of the run is known.
        self._client = Client(server, max_retries=0, retry_on_timeout=False, **more)

    def prepare(self) -> None:
        """Make the index, unless there is something of its name.

        Raises:
            NotNow: the server cannot be asked, or does not answer.
            Unbelieved: it is not believed, which is one of these.
            Refused: it refuses.
        """
        indices = self._client.options(request_timeout=self._timeout).indices
        try:
            if not indices.exists(index=self._name):
                indices.create(index=self._name, mappings=MAPPINGS)
        except elasticsearch.BadRequestError as error:
            if error.error != "resource_already_exists_exception":  # another run was quicker
                raise _meant(error) from error
        except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
            raise _meant(error) from error

    def add(self, documents: Sequence[Document], timeout: float) -> Answer:
        """Add documents, within so many seconds.

        Raises:
            NotNow: the server takes none of them now, or it is not known whether it has.
            TooLarge: they are too many for it at once.
            Refused: it will never take any of them.
        """
        operations: list[Mapping[str, Any]] = []
        for name, fields in documents:
            operations += ({"create": {"_id": name}}, fields)
        client = self._client.options(request_timeout=min(timeout, self._timeout))
        try:
            said = client.bulk(index=self._name, operations=operations)
        except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
            raise _meant(error) from error
        return _answer(documents, said["items"]) if said["errors"] else Answer()

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def _meant(error: elasticsearch.ApiError | elasticsearch.TransportError) -> Exception:
    """What an error of the client comes to."""
    if isinstance(error, elasticsearch.SerializationError):
        return Refused(f"it cannot be written down: {error.message}")
    if isinstance(error, elasticsearch.SSLError):
        return Unbelieved(f"{type(error).__name__}: {error.message}")
    if not isinstance(error, elasticsearch.ApiError):
        # It could not be asked, or did not answer.
        return NotNow(f"{type(error).__name__}: {error.message}")
    if isinstance(error, elasticsearch.UnsupportedProductError):
        return Refused(f"it is no server of Elasticsearch ({error.message})")
    text = f"it answers {error.status_code}"
    if isinstance(error.body, Mapping):  # as all but questions whether something is there
        text += f": {_reason(error.body.get('error'))}"
    if error.status_code == _TOO_LARGE:
        return TooLarge(text)
    return NotNow(text) if error.status_code in _PASSING else Refused(text)


def _answer(documents: Sequence[Document], items: Sequence[Mapping[str, Any]]) -> Answer:
    later: list[Document] = []
    refused, why = 0, ""
    for one, item in zip(documents, items, strict=True):
        ((_, result),) = item.items()
        status = result["status"]
        if status < 300 or status == _THERE:
            continue
        if status in _PASSING:
            later.append(one)
        else:
            refused += 1
        if not why:
            why = _reason(result.get("error"))
    return Answer(later, refused, why)


def _reason(said: Any) -> str:
    """The reason in an error that the server gives."""
    if not isinstance(said, Mapping):
        return str(said)
    return f"{said.get('type', 'error')}: {said.get('reason', 'no reason is given')}"
