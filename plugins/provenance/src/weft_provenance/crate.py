"""A run as a Provenance Run Crate 0.5: the graph of its metadata. Pure.

https://w3id.org/ro/wfrun/provenance/0.5, on RO-Crate 1.1. The script is the workflow, an app is a
tool and a step, a task is an action. Plain JSON-LD: the graph is a list of dictionaries, and no
library would make it plainer.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from weft.values.states import TaskState
from weft_provenance.addresses import address, name_of
from weft_provenance.record import Action, Record, clean

__all__ = ["LOG", "METADATA", "PROFILES", "crate"]

METADATA: Final = "ro-crate-metadata.json"
"""The name of the file that holds the graph."""
LOG: Final = "events.weft"
"""The name of the event log in a crate."""
PROFILES: Final = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
"""What a crate conforms to, with names and versions."""

_CONTEXT: Final = "https://w3id.org/ro/crate/1.1/context"
_PYTHON: Final = "https://www.python.org/"
_RUN, _ENGINE, _WEFT, _AGENT = "#run", "#engine-run", "#weft", "#agent"

Entity = dict[str, Any]


def crate(
    record: Record, *, made: float, script: str, there: bool, license_url: str, anonymous: bool
) -> Entity:
    """The metadata of a crate.

    Args:
        record: the run.
        made: when the crate is made, in seconds since the epoch.
        script: where the script is in the crate, or what stands for it.
        there: whether the crate has a copy of it.
        license_url: the URL of the licence of what is in the crate; empty if nobody has said it.
        anonymous: whether who ran it, and where, is left out.
    """
    graph = _Crate(
        record, made=made, script=script, there=there, license_url=license_url, anonymous=anonymous
    ).graph()
    return {"@context": _CONTEXT, "@graph": [_plain(entity) for entity in graph]}


def _plain(entity: Entity) -> Entity:
    """As RO-Crate wants it: one value by itself, and nothing of what there is none of."""
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in entity.items()
        if value != []
    }


def _ref(name: str) -> Entity:
    return {"@id": name}


def _refs(names: Iterable[str]) -> list[Entity]:
    return [_ref(name) for name in dict.fromkeys(names)]


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


class _Crate:
    def __init__(
        self,
        record: Record,
        *,
        made: float,
        script: str,
        there: bool,
        license_url: str,
        anonymous: bool,
    ) -> None:
        self._record, self._made, self._script = record, made, script
        self._there, self._license, self._anonymous = there, license_url, anonymous
        self._steps = {app: number for number, app in enumerate(record.apps)}
        self._files: dict[str, Entity] = {}
        self._logs = [] if anonymous else [LOG]
        started = record.started
        self._folder = started.cwd if started else ""
        self._program = clean(started.program) if started and started.program else "a run"
        self._needed = {number for one in record.actions.values() for number in one.needs}

    def graph(self) -> list[Entity]:
        actions = [self._action(one) for one in self._record.actions.values()]
        results = [self._result(number) for number in sorted(self._needed)]
        head = [self._descriptor(), self._root(), *self._profiles(), *self._licence()]
        return [
            *head,
            self._workflow(),
            *self._tools(),
            self._python(),
            self._weft(),
            *self._agent(),
            self._run(),
            *self._engine(),
            *self._log(),
            *self._files.values(),
            *results,
            *actions,
        ]

    # ----------------------------------------------------------------------------- the crate itself

    def _descriptor(self) -> Entity:
        return {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": _ref("./"),
            "conformsTo": [
                _ref("https://w3id.org/ro/crate/1.1"),
                _ref("https://w3id.org/workflowhub/workflow-ro-crate/1.0"),
            ],
        }

    def _root(self) -> Entity:
        record = self._record
        total, failed = len(record.actions), record.failed
        said = f"A run of {self._program} by weft: {total} tasks, of which {failed} failed."
        if record.going_on:
            said += " It went on when this was written; what follows is not here."
        elif record.ended is None:
            said += " It was broken off, or the end of its log is lost."
        if record.gaps:
            said += f" {record.gaps}"
        root: Entity = {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Provenance of a run of {self._program}",
            "description": said,
            "datePublished": _time(self._made),
            "conformsTo": _refs(PROFILES),
            "mainEntity": _ref(self._script),
            "mentions": _refs([_RUN, _ENGINE, *map(_name, record.actions)]),
            "hasPart": _refs([self._script, *self._logs, *self._files]),
            "license": _ref(self._license)
            if self._license
            else "None was stated when this crate was made.",
        }
        if record.run_id:
            root["identifier"] = clean(record.run_id)
        if not self._anonymous:
            root["author"] = _ref(_AGENT)
        return root

    def _profiles(self) -> list[Entity]:
        return [
            {"@id": url, "@type": "CreativeWork", "name": name, "version": version}
            for url, (name, version) in PROFILES.items()
        ]

    def _licence(self) -> list[Entity]:
        if not self._license:
            return []
        name = name_of(self._license)
        return [{"@id": self._license, "@type": "CreativeWork", "name": name}]

    def _log(self) -> list[Entity]:
        if self._anonymous:
            return []
        return [
            {
                "@id": LOG,
                "@type": "File",
                "name": "Event log",
                "description": "All that weft told of the run; this crate was made from it.",
                "encodingFormat": "application/octet-stream",
            }
        ]

    # ------------------------------------------------------------------------------- what was to do

    def _workflow(self) -> Entity:
        said = "The script whose calls made the tasks."
        if not self._there:
            said += " It is not here; what stands in its place says why."
        return {
            "@id": self._script,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": self._program,
            "description": said,
            "encodingFormat": "text/x-python" if self._there else "text/plain",
            "programmingLanguage": _ref(_PYTHON),
            "hasPart": [_ref(f"#app-{number}") for number in self._steps.values()],
            "step": [_ref(f"#step-{number}") for number in self._steps.values()],
        }

    def _tools(self) -> list[Entity]:
        made: list[Entity] = []
        for app, number in self._steps.items():
            tool = {"@id": f"#app-{number}", "@type": "SoftwareApplication", "name": clean(app)}
            tool["description"] = "An app: a function that the script calls as tasks."
            step: Entity = {
                "@id": f"#step-{number}",
                "@type": "HowToStep",
                "name": clean(app),
                "position": str(number + 1),
                "workExample": _ref(f"#app-{number}"),
            }
            made += [tool, step]
        return made

    def _python(self) -> Entity:
        made: Entity = {
            "@id": _PYTHON,
            "@type": "ComputerLanguage",
            "name": "Python",
            "url": _ref(_PYTHON),
            "identifier": _ref(_PYTHON),
        }
        if self._record.started and self._record.started.python:
            made["version"] = self._record.started.python
        return made

    def _weft(self) -> Entity:
        made: Entity = {
            "@id": _WEFT,
            "@type": "SoftwareApplication",
            "name": "weft",
            "description": "Parallel scripting in Python, which ran the tasks.",
        }
        if self._record.started:
            made["softwareVersion"] = clean(self._record.started.weft_version)
        return made

    # -------------------------------------------------------------------------------- what was done

    def _agent(self) -> list[Entity]:
        if self._anonymous:
            return []
        user = self._record.started.user if self._record.started else ""
        name = clean(user) or "not recorded"
        return [{"@id": _AGENT, "@type": "Person", "name": name}]

    def _by(self) -> Entity:
        return {} if self._anonymous else {"agent": _ref(_AGENT)}

    def _span(self) -> Entity:
        record = self._record
        made = {"startTime": _time(record.started.time if record.started else record.first)}
        if record.ended is not None:
            made["endTime"] = _time(max(record.ended.time, record.first))
        return made

    def _status(self) -> Entity:
        """How the run as a whole ended; a log that does not say it gives none."""
        if self._record.ended is None:
            return {}
        failed = self._record.failed
        if not failed:
            return {"actionStatus": "http://schema.org/CompletedActionStatus"}
        return {
            "actionStatus": "http://schema.org/FailedActionStatus",
            "error": f"{failed} of {len(self._record.actions)} tasks failed.",
        }

    def _run(self) -> Entity:
        record = self._record
        actions = record.actions.values()
        outputs = {
            one: None
            for action in actions
            if action.state is TaskState.DONE
            for one in self._addresses(action.outputs)
        }
        inputs = {
            one: None
            for action in actions
            for one in self._addresses(action.inputs)
            if one not in outputs
        }
        made: Entity = {
            "@id": _RUN,
            "@type": "CreateAction",
            "name": f"Run of {self._program}",
            "instrument": _ref(self._script),
            "object": _refs(inputs),
            "result": _refs([*outputs, *self._logs]),
            **self._by(),
            **self._span(),
            **self._status(),
        }
        if not self._anonymous and record.started:
            words = clean(" ".join(record.started.command))
            host = clean(record.started.host)
            made["description"] = f"On {host or 'a machine that is not recorded'}: {words}".strip()
        return made

    def _engine(self) -> list[Entity]:
        controls: dict[int, list[str]] = {number: [] for number in self._steps.values()}
        for action in self._record.actions.values():
            controls[self._steps[action.app]].append(_name(action.task))
        made: list[Entity] = [
            {
                "@id": _ENGINE,
                "@type": "OrganizeAction",
                "name": "Run of weft",
                "instrument": _ref(_WEFT),
                "object": [_ref(f"#control-{number}") for number in controls],
                "result": _ref(_RUN),
                **self._by(),
                **self._span(),
                **self._status(),
            }
        ]
        for app, number in self._steps.items():
            made.append(
                {
                    "@id": f"#control-{number}",
                    "@type": "ControlAction",
                    "name": f"Calls of {clean(app)}",
                    "instrument": _ref(f"#step-{number}"),
                    "object": _refs(controls[number]),
                }
            )
        return made

    def _addresses(self, named: Iterable[str]) -> list[str]:
        """The addresses of files, which are entities from now on."""
        found = []
        for one in named:
            where = address(one, self._folder)
            if self._anonymous and where.startswith("file:"):
                where = f"#file-{name_of(where)}"
            kind = "Dataset" if one.endswith("/") else "File"
            self._files.setdefault(
                where, {"@id": where, "@type": kind, "name": clean(name_of(one))}
            )
            found.append(where)
        return found

    def _result(self, task: int) -> Entity:
        return {
            "@id": _result(task),
            "@type": "PropertyValue",
            "name": f"Result of task {task}",
            "description": "Passed from task to task; its value is not recorded.",
        }

    def _action(self, action: Action) -> Entity:
        made: Entity = {
            "@id": _name(action.task),
            "@type": "CreateAction",
            "name": f"Task {action.task}: {clean(action.app)}",
            "instrument": _ref(f"#app-{self._steps[action.app]}"),
            "object": _refs([*self._addresses(action.inputs), *map(_result, action.needs)]),
            **self._by(),
        }
        result = self._addresses(action.outputs) if action.state is TaskState.DONE else []
        if action.task in self._needed and action.state is TaskState.DONE:
            result.append(_result(action.task))
        made["result"] = _refs(result)
        if action.begun is not None:
            made["startTime"] = _time(action.begun)
        if action.ended is not None:
            made["endTime"] = _time(action.ended)
        if action.state is TaskState.DONE:
            made["actionStatus"] = "http://schema.org/CompletedActionStatus"
        elif action.state in (TaskState.FAILED, TaskState.CANCELLED):
            made["actionStatus"] = "http://schema.org/FailedActionStatus"
            made["error"] = clean(action.error)
        made["description"] = self._said(action)
        return made

    def _said(self, action: Action) -> str:
        if action.from_memory:
            return "Answered from memory: it did not run."
        if action.begun is None:
            return "It was not launched."
        where = action.executor
        if not self._anonymous and action.place:
            where = f"{where}, {action.place}" if where else action.place
        parts = [f"On {clean(where)}." if where else "", f"Tries: {action.tries}."]
        parts += [f"Lost: {clean(one)}" for one in action.lost]
        if action.ended is None:
            parts.append("The log does not say how it ended.")
        return " ".join(part for part in parts if part)


def _name(task: int) -> str:
    return f"#task-{task}"


def _result(task: int) -> str:
    return f"#result-{task}"
