"""Which executor a task goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from weft.dataflow.placement import able, least_loaded, unmet_requests
from weft.errors import UnknownExecutor, UnsupportedRequest
from weft.values.plugin import Support
from weft.values.task import Needs, Resources, TaskSpec


@attrs.frozen
class Place:
    label: str
    load: float = 0.0
    capabilities: Mapping[str, Support] = attrs.field(factory=dict)


FULL = {"walltime": Support.FULL, "resources.cores": Support.PARTIAL}


def spec(**options: Any) -> TaskSpec:
    return TaskSpec(name="align", function=len, **options)


def test_without_wishes_every_executor_is_able() -> None:
    places = [Place("a"), Place("b")]

    assert able(spec(), places) == places


def test_labels_permit_in_their_own_order() -> None:
    a, b, c = Place("a"), Place("b"), Place("c")

    assert able(spec(executors=("c", "a")), [a, b, c]) == [c, a]


def test_an_unknown_label_is_told_with_those_there_are() -> None:
    with pytest.raises(UnknownExecutor, match=r"'gpu'") as caught:
        able(spec(executors=("a", "gpu")), [Place("a"), Place("b")])
    assert "'a', 'b'" in str(caught.value)


@pytest.mark.parametrize(
    ("support", "can"),
    [
        (Support.FULL, True),
        (Support.PARTIAL, True),
        (Support.UNKNOWN, True),
        (Support.UNSUPPORTED, False),
    ],
)
def test_only_what_is_said_to_be_impossible_is_refused(support: Support, can: bool) -> None:
    missing = unmet_requests(Needs(walltime=1.0), {"walltime": support})

    assert missing == ([] if can else ["a walltime"])


def test_what_is_not_spoken_of_is_not_supported() -> None:
    assert unmet_requests(Needs(walltime=1.0), {}) == ["a walltime"]


def test_only_executors_that_can_give_everything_are_able() -> None:
    needs = Needs(walltime=1.0, resources=Resources(cores=2))
    plain, rich = Place("plain"), Place("rich", capabilities=FULL)

    assert able(spec(needs=needs), [plain, rich]) == [rich]
    with pytest.raises(UnsupportedRequest, match=r"walltime and resources\.cores"):
        able(spec(needs=needs), [plain])


def test_requests_of_other_names_are_looked_up_too() -> None:
    needs = Needs(resources=Resources(options={"licence": "x"}))

    assert unmet_requests(needs, {}) == ["resources.licence"]
    assert unmet_requests(needs, {"resources.licence": Support.FULL}) == []


def test_the_least_loaded_is_taken_and_the_first_of_equals() -> None:
    busy, idle, other = Place("busy", 2.0), Place("idle", 0.5), Place("other", 0.5)

    assert least_loaded([busy, idle, other]) is idle
    assert least_loaded([Place("broken", float("inf"))]).label == "broken"
