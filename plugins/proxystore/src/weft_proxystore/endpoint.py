"""ProxyStore's endpoints, with keys of one run and bounded waiting.

Each process talks to an endpoint of its own site, which talks to the others as peers. The object of
a key is at the endpoint that the key names.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

import requests
from proxystore.connectors.endpoint import EndpointKey
from proxystore.endpoint import client
from proxystore.endpoint.config import get_configs
from proxystore.utils.environment import home_dir
from requests.adapters import HTTPAdapter

__all__ = ["NoEndpoint", "RunsEndpoint"]

_PATIENCE: Final = 60.0


class NoEndpoint(ConnectionError):
    """None of the endpoints answers here; the text says what was tried."""


class _Patient(HTTPAdapter):
    """Waits so long for an answer, where nobody says how long."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        return super().send(request, *args, **kwargs)


class RunsEndpoint:
    """Objects of a run at endpoints.

    Args:
        endpoints: the numbers of the endpoints of all sites. What has a name that others have to
            know is noted at the first of them.
        run_id: whose keys.
        proxystore_dir: where the endpoints of this machine are configured; that of ProxyStore when
            left out.
        timeout: seconds that an endpoint may be silent, be it that of another site.

    Raises:
        NoEndpoint: none of them answers at this machine.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        run_id: str,
        proxystore_dir: str | None = None,
        timeout: float = _PATIENCE,
    ) -> None:
        self._all = [str(uuid.UUID(str(one))) for one in endpoints]
        self._run = run_id
        self._session = requests.Session()
        self._session.mount("http://", _Patient(timeout))
        try:
            self.here, self._address = self._found(proxystore_dir or home_dir())
        except BaseException:
            self._session.close()
            raise

    def _found(self, folder: str) -> tuple[str, str]:
        tried = []
        for config in get_configs(folder):
            number = str(uuid.UUID(config.uuid))
            if number not in self._all:
                continue
            if config.host is None:
                tried.append(f"{config.name!r} has not been started")
                continue
            address = f"http://{config.host}:{config.port}"
            try:
                answer = self._session.get(f"{address}/endpoint", proxies={"http": ""})
                said = str(answer.json()["uuid"]) if answer.ok else ""
            except (requests.RequestException, ValueError, KeyError) as error:
                tried.append(f"{config.name!r} does not answer at {address}: {error}")
                continue
            if said == number:
                return number, address
            tried.append(f"at {address} there is another than {config.name!r}")
        told = "; ".join(tried) or f"{folder} has none of {', '.join(self._all)}"
        raise NoEndpoint(f"no endpoint can be used here: {told}")

    def key_for(self, name: str, at: str = "") -> EndpointKey:
        """The key of an object with a name; at the first of the endpoints, if none is said."""
        return EndpointKey(object_id=f"weft:{self._run}:{name}", endpoint_id=at or self._all[0])

    def put(self, obj: bytes) -> EndpointKey:
        """Store an object under a new key of this run, at the endpoint of this site."""
        key = self.key_for(uuid.uuid4().hex, self.here)
        self.set(key, obj)
        return key

    def set(self, key: EndpointKey, obj: bytes) -> None:
        """Store an object under a key."""
        client.put(self._address, key.object_id, obj, key.endpoint_id, session=self._session)

    def get(self, key: EndpointKey) -> bytes | None:
        """The object of a key; ``None`` if there is none."""
        return client.get(self._address, key.object_id, key.endpoint_id, session=self._session)

    def evict(self, key: EndpointKey) -> None:
        """Remove the object of a key."""
        client.evict(self._address, key.object_id, key.endpoint_id, session=self._session)

    def close(self) -> None:
        """End the connection to the endpoint."""
        self._session.close()
