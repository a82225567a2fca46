"""What the SDK is asked for, against the answers that it keeps for tests of its users."""

import json
from collections.abc import Iterator
from typing import Any

import attrs
import globus_sdk
import pytest
import responses
from globus_sdk.testing import get_last_request, load_response
from globus_sdk.token_storage import MemoryTokenStorage, TokenStorageData

from weft_globus.service import Refused, Service
from weft_globus.settings import Globus
from weft_globus.urls import Position
from weft_globus.words import Refusal

CLIENT = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(autouse=True)
def answered() -> Iterator[None]:
    """Nothing leaves this process."""
    with responses.mock:
        yield


@pytest.fixture
def service() -> Iterator[Service]:
    tokens = MemoryTokenStorage()
    for server, scope in (
        ("transfer.api.globus.org", str(globus_sdk.TransferClient.scopes.all)),
        ("auth.globus.org", "openid"),
    ):
        tokens.store_token_data_by_resource_server(
            {
                server: TokenStorageData(
                    resource_server=server,
                    identity_id="1",
                    scope=scope,
                    access_token="access",
                    refresh_token="refresh",
                    expires_at_seconds=4_000_000_000,
                    token_type="Bearer",
                )
            }
        )
    config = globus_sdk.GlobusAppConfig(
        token_storage=tokens, request_refresh_tokens=True, token_validation_error_handler=None
    )
    made = Service(Globus(), globus_sdk.UserApp("weft", client_id=CLIENT, config=config))
    yield made
    made.close()


def refused(service: Service, **error: Any) -> Refusal:
    with pytest.raises(Refused) as caught:
        service.facts(Position(error["endpoint_id"], "/file"))
    return caught.value.refusal


def test_a_file_is_known(service: Service) -> None:
    known = load_response(globus_sdk.TransferClient.operation_stat)

    facts = service.facts(Position(known.metadata["endpoint_id"], "/file1.txt"))

    assert (facts.kind, facts.size, facts.modified) == ("file", 4, "2023-12-18 16:52:50+00:00")
    asked = get_last_request()
    assert asked is not None
    assert asked.url is not None
    assert asked.url.endswith("/stat?path=%2Ffile1.txt")


@pytest.mark.parametrize(
    ("case", "code", "again"),
    [("not_found", "NotFound", False), ("permission_denied", "EndpointPermissionDenied", False)],
)
def test_a_file_that_cannot_be_known_is_said(
    service: Service,
    case: str,
    code: str,
    again: bool,
) -> None:
    known = load_response(globus_sdk.TransferClient.operation_stat, case=case)

    said = refused(service, **known.metadata | {"endpoint_id": _endpoint()})

    assert (said.code, said.again) == (code, again)
    assert code in said.reason


def _endpoint() -> str:
    known: str = load_response(globus_sdk.TransferClient.operation_rename).metadata["endpoint_id"]
    return known


def test_a_transfer_is_asked_for_as_it_is_wanted(service: Service) -> None:
    known = load_response(globus_sdk.TransferClient.submit_transfer).metadata

    task = service.submit(known["submission_id"], "s", "t", [("/a", "/x/.1.part"), ("/b", "/y")])

    assert task == known["task_id"]
    asked = get_last_request()
    assert asked is not None
    sent = asked.body
    assert isinstance(sent, str | bytes)
    document = json.loads(sent)
    assert document["submission_id"] == known["submission_id"]
    assert [(one["source_path"], one["destination_path"]) for one in document["DATA"]] == [
        ("/a", "/x/.1.part"),
        ("/b", "/y"),
    ]
    assert document["verify_checksum"] is True
    assert document["fail_on_quota_errors"] is True
    assert document["skip_source_errors"] is False
    assert document["sync_level"] == 3


def test_a_transfer_that_is_refused_is_said(service: Service) -> None:
    load_response(globus_sdk.TransferClient.submit_transfer, case="failure")

    with pytest.raises(Refused) as caught:
        service.submit("1", "s", "t", [])

    assert caught.value.refusal.code == "ClientError.BadRequest.NoTransferItems"
    assert not caught.value.refusal.again


def test_a_name_for_a_submission_comes_from_the_service(service: Service) -> None:
    known = load_response(globus_sdk.TransferClient.get_submission_id).metadata

    assert service.submission_id() == known["submission_id"]


def test_tokens_that_are_not_enough_are_said_with_the_command(service: Service) -> None:
    assert isinstance(service._app, globus_sdk.UserApp)
    service._app.token_storage.token_storage.remove_token_data("transfer.api.globus.org")

    with pytest.raises(Refused) as caught:
        service.submission_id()

    assert caught.value.refusal.todo == "Run 'weft globus login'."
    assert attrs.asdict(caught.value.refusal)["again"] is False
