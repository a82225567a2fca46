"""A run as W3C PROV: agents, activities and entities, by the library prov.

https://www.w3.org/TR/prov-dm/. Names are URNs of the run, so that documents of several runs can be
put together.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from prov.model import PROV, ProvDocument

from weft.values.states import TaskState
from weft_provenance.addresses import address, name_of
from weft_provenance.record import Action, Record, clean

__all__ = ["document"]

_TERMS = "urn:weft:terms:"


def document(record: Record, *, script: str, anonymous: bool) -> ProvDocument:
    """The document.

    Args:
        record: the run.
        script: the address of the script.
        anonymous: whether who ran it, and where, is left out.
    """
    return _Document(record, script, anonymous).made


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


class _Document:
    def __init__(self, record: Record, script: str, anonymous: bool) -> None:
        self.made = made = ProvDocument()
        self._record, self._anonymous = record, anonymous
        made.add_namespace("weft", _TERMS)
        self._ns = made.add_namespace("run", f"urn:weft:run:{quote(record.run_id, safe='')}:")
        self._folder = record.started.cwd if record.started else ""
        self._files: dict[tuple[str, int | None], Any] = {}
        self._makers: dict[str, list[int]] = {}
        self._numbers: dict[str, int] = {}
        self._needed = {number for one in record.actions.values() for number in one.needs}
        self._results: set[int] = set()
        self._whole(script)
        for action in record.actions.values():
            self._made_by(action)
        for action in record.actions.values():
            self._uses(action)

    def _whole(self, script: str) -> None:
        made, record, ns = self.made, self._record, self._ns
        started = record.started
        said: dict[Any, Any] = {PROV["type"]: PROV["SoftwareAgent"], PROV["label"]: "weft"}
        if started:
            said["weft:version"] = clean(started.weft_version)
            said["weft:python"] = clean(started.python)
        made.agent(ns["weft"], said)
        program = clean(started.program) if started else ""
        plan: dict[Any, Any] = {PROV["type"]: PROV["Plan"], PROV["label"]: program or "a script"}
        if not self._anonymous and script:
            plan[PROV["location"]] = script
        made.entity(ns["script"], plan)
        facts: dict[Any, Any] = {PROV["label"]: f"Run of {program}"}
        if record.gaps:
            facts["weft:gaps"] = record.gaps
        if not self._anonymous and started:
            facts["weft:host"] = clean(started.host)
            facts["weft:command"] = clean(" ".join(started.command))
        begun = started.time if started else record.first
        ended = max(record.ended.time, begun) if record.ended else None
        made.activity(ns["run"], _time(begun), _time(ended), facts)
        made.association(ns["run"], ns["weft"], ns["script"])
        if not self._anonymous and started and started.user:
            person: dict[Any, Any] = {
                PROV["type"]: PROV["Person"],
                PROV["label"]: clean(started.user),
            }
            made.agent(ns["user"], person)
            made.association(ns["run"], ns["user"])
            made.delegation(ns["weft"], ns["user"], ns["run"])
        for number, app in enumerate(record.apps):
            made.entity(
                ns[f"app-{number}"], {PROV["type"]: PROV["Plan"], PROV["label"]: clean(app)}
            )
        self._apps = {app: ns[f"app-{number}"] for number, app in enumerate(record.apps)}

    def _made_by(self, action: Action) -> None:
        made, ns = self.made, self._ns
        name = ns[f"task-{action.task}"]
        facts: dict[Any, Any] = {
            PROV["label"]: f"{clean(action.app)} (task {action.task})",
            "weft:state": action.state.label,
            "weft:tries": action.tries,
        }
        if action.error:
            facts["weft:error"] = clean(action.error)
        if action.lost:
            # One after the other: attributes are a set, and two tries may fail in the same way.
            facts["weft:lostTries"] = "\n".join(clean(one) for one in action.lost)
        if action.executor:
            facts["weft:executor"] = clean(action.executor)
        if action.place and not self._anonymous:
            facts[PROV["location"]] = clean(action.place)
        if action.from_memory:
            facts["weft:fromMemory"] = True
        made.activity(name, _time(action.begun), _time(action.ended), facts)
        made.association(name, ns["weft"], self._apps[action.app])
        made.communication(name, ns["run"])
        if action.state is not TaskState.DONE:
            return
        if action.task in self._needed:
            result = ns[f"result-{action.task}"]
            self._results.add(action.task)
            made.entity(result, {PROV["label"]: f"Result of task {action.task}"})
            made.generation(result, name)
        for one in dict.fromkeys(action.outputs):
            made.generation(self._file(one, action.task), name)

    def _uses(self, action: Action) -> None:
        made, ns = self.made, self._ns
        if action.begun is None:  # it has used nothing
            return
        name = ns[f"task-{action.task}"]
        for number in action.needs:
            if number in self._results:
                made.usage(name, ns[f"result-{number}"])
        for one in dict.fromkeys(action.inputs):
            made.usage(name, self._used(one, action.task))

    def _used(self, named: str, task: int) -> Any:
        """The entity of a file as a task found it: as an earlier one had made it, or as it was."""
        made = self._makers.get(address(named, self._folder), ())
        earlier = [one for one in made if one < task]
        return self._file(named, max(earlier) if earlier else None)

    def _file(self, named: str, maker: int | None) -> Any:
        """The entity of a file. What several tasks make is an entity for each of them."""
        where = address(named, self._folder)
        entity = self._files.get((where, maker))
        if entity is not None:
            return entity
        if maker is not None:
            self._makers.setdefault(where, []).append(maker)
        hidden = self._anonymous and where.startswith("file:")
        of = "" if maker is None else f"-of-task-{maker}"
        facts: dict[Any, Any] = {PROV["label"]: clean(name_of(named))}
        if not hidden:
            facts[PROV["location"]] = where
        # By a number: what is in an address need not be allowed in a name.
        number = self._numbers.setdefault(where, len(self._numbers))
        entity = self._files[where, maker] = self._ns[f"file-{number}{of}"]
        self.made.entity(entity, facts)
        return entity
