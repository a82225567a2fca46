"""What documents of the service mean, in the forms that the service has them."""

from typing import Any

import pytest

from weft_globus.words import (
    Facts,
    Fault,
    TaskView,
    consent_of,
    hopeless,
    login,
    refusal,
    task_refusal,
    the_guilty,
)

LINK = "https://app.globus.org/activity/1"


def document(**more: Any) -> dict[str, Any]:
    """A task as the service tells it."""
    return {
        "status": "ACTIVE",
        "nice_status": "OK",
        "nice_status_details": None,
        "is_ok": True,
        "is_paused": False,
        "fatal_error": None,
        "bytes_transferred": 12,
        "files_transferred": 1,
        **more,
    }


def fault(code: str, details: str = "") -> Fault:
    return Fault(code=code, description=code.lower(), details=details)


@pytest.mark.parametrize(
    ("more", "trouble", "said"),
    [
        ({}, "", ""),
        ({"nice_status": "Queued"}, "", ""),
        ({"nice_status": None, "is_ok": None}, "", ""),
        ({"nice_status": "CONNECT_FAILED"}, "CONNECT_FAILED", ""),
        ({"is_paused": True}, "PAUSED", ""),
        ({"is_ok": False}, "FAULTS", ""),
        ({"status": "SUCCEEDED", "nice_status": "OK"}, "", ""),
        (
            {
                "status": "FAILED",
                "nice_status": "OK",
                "fatal_error": {"code": "QUOTA_EXCEEDED", "description": "no  more\nroom"},
            },
            "QUOTA_EXCEEDED",
            "no more room",
        ),
        (
            {"nice_status": "PERMISSION_DENIED", "nice_status_details": "550 no"},
            "PERMISSION_DENIED",
            "550 no",
        ),
    ],
)
def test_a_task_is_read(more: dict[str, Any], trouble: str, said: str) -> None:
    view = TaskView.of(document(**more))

    assert (view.trouble, view.said) == (trouble, said)
    assert (view.moved, view.files) == (12, 1)
    assert view.ended == (more.get("status") in {"SUCCEEDED", "FAILED"})


def test_events_that_are_no_errors_are_no_faults() -> None:
    events = [
        {"code": "STARTED", "description": "started", "details": "{}", "is_error": False},
        {"code": "FILE_NOT_FOUND", "description": "no", "details": "RETR /x", "is_error": True},
    ]

    assert Fault.all_of(events) == [
        Fault(code="FILE_NOT_FOUND", description="no", details="RETR /x")
    ]


def test_a_file_is_read_with_the_time_of_its_last_change() -> None:
    read = Facts.of({"type": "file", "size": 4, "last_modified": "2023-12-18 16:52:50+00:00"})
    without_zone = Facts.of({"type": "file", "size": 4, "last_modified": "2023-12-18 16:52:50"})

    assert (read.kind, read.size, read.link) == ("file", 4, "")
    assert read.when == without_zone.when == 1_702_918_370
    assert Facts.of({"type": "dir"}).when is None


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        ("FILE_NOT_FOUND", True),
        ("PERMISSION_DENIED", True),
        ("QUOTA_EXCEEDED", True),
        ("NO_CREDENTIAL", True),
        ("CONNECT_FAILED", False),
        ("ENDPOINT_TOO_BUSY", False),
        ("PAUSED_BY_ADMIN", False),
        ("TIMEOUT", False),
        ("", False),
    ],
)
def test_what_stays_as_it_is_is_told_from_what_may_pass(code: str, stays: bool) -> None:
    assert hopeless(code) is stays


@pytest.mark.parametrize(
    ("status", "code", "message", "again", "todo"),
    [
        (404, "EndpointNotFound", "No such endpoint", False, "Mend the id"),
        (404, "NotFound", "Path not found", False, "Mend the path"),
        (403, "EndpointPermissionDenied", "Denied by endpoint", False, "Ask the owner"),
        (409, "Conflict", "This endpoint is paused", True, "paused the collection"),
        (502, "ExternalError.DirListingFailed.GCDisconnected", "", True, "Connect Personal"),
        (400, "NOT_ACTIVATED", "activation has expired", False, "web app of Globus"),
        (503, "ServiceUnavailable", "", True, "status.globus.org"),
        (429, "", "too many", True, "status.globus.org"),
        (400, "ClientError.BadRequest", "no items", False, ""),
    ],
)
def test_a_request_that_failed_is_said(
    status: int,
    code: str,
    message: str,
    again: bool,
    todo: str,
) -> None:
    said = refusal(status, code, message)

    assert said.again is again
    assert f"Globus says {code or status}: {message or 'nothing more'}" in said.reason
    assert todo in said.todo
    assert bool(todo) == bool(said.todo)


@pytest.mark.parametrize(
    ("view", "faults", "reason", "todo", "again"),
    [
        # The end says little, an event says why.
        (
            TaskView(status="FAILED", trouble="EXPIRED", said="past its deadline"),
            [fault("CONNECT_FAILED", "refused"), fault("PERMISSION_DENIED", "550 /x")],
            "Globus says PERMISSION_DENIED: 550 /x.",
            "Ask the owner",
            False,
        ),
        (
            TaskView(status="FAILED", trouble="QUOTA_EXCEEDED", said="no room"),
            [fault("CONNECT_FAILED", "refused")],
            "Globus says QUOTA_EXCEEDED: no room.",
            "Make room",
            False,
        ),
        (
            TaskView(status="ACTIVE", trouble="CONNECT_FAILED"),
            [fault("CONNECT_FAILED", "refused")],
            "Globus says CONNECT_FAILED: refused.",
            "",
            True,
        ),
        (
            TaskView(status="INACTIVE"),
            [],
            "Globus says NOT_ACTIVATED.",
            "Run 'weft globus login --client-id abc'.",
            False,
        ),
        (
            TaskView(status="FAILED", trouble="CANCELED", said="canceled"),
            [fault("CONNECT_FAILED", "refused")],
            "Somebody has cancelled the transfer at Globus.",
            "Run it again",
            False,
        ),
    ],
)
def test_a_task_that_failed_is_said(
    view: TaskView,
    faults: list[Fault],
    reason: str,
    todo: str,
    again: bool,
) -> None:
    said = task_refusal(view, faults, LINK, "abc")

    assert said.reason == reason
    assert todo in said.todo
    assert said.todo.endswith(LINK)
    assert said.again is again


def test_the_files_that_faults_speak_of_are_guilty() -> None:
    items = [("/data/a", "/x/.1.part"), ("/data/ab", "/x/.2.part"), ("/data/c", "/x/.3.part")]

    assert the_guilty([fault("E", "RETR /data/ab")], items) == {1}
    assert the_guilty([fault("E", "RETR /data/a\n"), fault("E", "STOR /x/.3.part")], items) == {
        0,
        2,
    }
    assert the_guilty([fault("E", "connection lost")], items) == {0, 1, 2}
    assert the_guilty([], items) == {0, 1, 2}


def test_the_command_that_logs_in_names_what_it_has_to() -> None:
    a, b = "aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa", "bbbbbbbb-1111-4111-8111-aaaaaaaaaaaa"
    scope = f"urn:x:all[*https://auth.globus.org/scopes/{b}/data_access]"

    assert login() == "Run 'weft globus login'."
    assert login("me", consent_of([scope, scope.replace(b, a)])) == (
        f"Run 'weft globus login --client-id me --collection {a} --collection {b}'."
    )
