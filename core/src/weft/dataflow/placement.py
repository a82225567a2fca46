"""Which executor a task goes to: a pure choice among those that can give what it asks for."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from weft.errors import UnknownExecutor, UnsupportedRequest
from weft.values.plugin import Support
from weft.values.task import Needs, TaskSpec

__all__ = ["Candidate", "able", "least_loaded", "unmet_requests"]

_CAN = frozenset({Support.FULL, Support.PARTIAL, Support.UNKNOWN})


class Candidate(Protocol):
    """An executor, as far as placement looks at it."""

    @property
    def label(self) -> str:
        """What it is called in this run."""
        ...

    @property
    def capabilities(self) -> Mapping[str, Support]:
        """What it can give, and how well."""
        ...

    @property
    def load(self) -> float:
        """Tasks it holds for each one that it can run at once."""
        ...


def unmet_requests(needs: Needs, capabilities: Mapping[str, Support]) -> list[str]:
    """What is asked for and cannot be given, in words."""
    asked = []
    if needs.walltime is not None:
        asked.append(("walltime", "a walltime"))
    if needs.resources is not None:
        asked += [(f"resources.{name}", f"resources.{name}") for name in needs.resources.asked()]
    return [
        words for name, words in asked if capabilities.get(name, Support.UNSUPPORTED) not in _CAN
    ]


def able(spec: TaskSpec, executors: Sequence[Candidate]) -> list[Candidate]:
    """The executors that a task may run on and that can give what it asks for.

    Raises:
        UnknownExecutor: the app names a label that is not there.
        UnsupportedRequest: none of the permitted ones can.
    """
    permitted = list(executors)
    if spec.executors is not None:
        by_label = {executor.label: executor for executor in executors}
        for label in spec.executors:
            if label not in by_label:
                raise UnknownExecutor(spec.name, label, tuple(by_label))
        permitted = [by_label[label] for label in spec.executors]
    fit = [
        executor for executor in permitted if not unmet_requests(spec.needs, executor.capabilities)
    ]
    if not fit:
        missing = unmet_requests(spec.needs, permitted[0].capabilities)
        raise UnsupportedRequest(
            spec.name, " and ".join(missing), [executor.label for executor in permitted]
        )
    return fit


def least_loaded(candidates: Sequence[Candidate]) -> Candidate:
    """The one with the fewest tasks for each place to run them; the first of several."""
    return min(candidates, key=_load)


def _load(candidate: Candidate) -> float:
    return candidate.load
