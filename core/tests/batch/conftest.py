"""A scheduler that says what it is told to say; its dialect, with ids that are no numbers; jobs."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from weft.batch.arrays import Array, ArrayDialect, ArrayProvider
from weft.batch.commands import Commands, Line, Said
from weft.batch.dialect import Dialect, Met, Refusal, Seen, Source
from weft.batch.provider import BatchProvider
from weft.batch.script import array_script, script
from weft.batch.settings import BatchSettings
from weft.testing import FakeContext
from weft.values.jobs import Job, JobId, JobState
from weft.values.settings import setting

COMMANDS = ("bhello", "bsubmit", "bqueue", "bpast", "bcode", "bwhy", "bcancel")
# Each call is counted by a file of its own, so that two at once do not meet in one.
PROGRAM = """#!/bin/sh
name={name}
cd '{folder}' || exit 99
echo "$*" >> "$name.calls"
cat > "$name.stdin"
[ -e "$name.hang" ] && {{ sleep 600 & echo $! > "$name.child"; wait; }}
[ -e "$name.endless" ] && exec yes
if [ -e "$name.half" ] && [ $(( $(wc -l < "$name.calls") % 2 )) = 1 ]; then
    echo "$name: busy, try again" >&2
    exit 11
fi
if [ -e "$name.limit" ] && [ "${{4:-1}}" -gt "$(cat "$name.limit")" ]; then
    echo "$name: too many, come later" >&2
    exit 12
fi
cat "$name.out" 2>/dev/null
cat "$name.err" >&2 2>/dev/null
code=$(cat "$name.code" 2>/dev/null || echo 0)
[ "$code" = KILL ] && kill -9 $$
exit "$code"
"""


@attrs.frozen
class Yard:
    """A folder of programs, each of which says what it was told to say."""

    folder: Path
    programs: Path

    @classmethod
    def made(cls, folder: Path) -> Yard:
        made = cls(folder / "says", folder / "bin")
        made.folder.mkdir()
        made.programs.mkdir()
        for name in COMMANDS:
            (made.programs / name).write_text(PROGRAM.format(name=name, folder=made.folder))
            (made.programs / name).chmod(0o700)
        made.say("bhello", "yard-1\n")
        made.say("bsubmit", "7.yard\n")
        made.queue()
        made.past()
        made.say("bcode", "[]")
        made.say("bwhy", "[]")
        return made

    def say(self, name: str, out: str = "", err: str = "", code: int | str = 0) -> None:
        for end, text in (("out", out), ("err", err), ("code", str(code))):
            (self.folder / f"{name}.{end}").write_text(text)
        for mood in ("hang", "endless", "half"):
            (self.folder / f"{name}.{mood}").unlink(missing_ok=True)

    def mood(self, name: str, mood: str) -> None:
        """Have a program ``hang``, be ``endless``, or fail ``half`` of the time."""
        (self.folder / f"{name}.{mood}").touch()

    def limit(self, jobs: int) -> None:
        """Have submissions of more jobs than that refused."""
        (self.folder / "bsubmit.limit").write_text(str(jobs))

    def queue(self, *rows: Mapping[str, Any]) -> None:
        self.say("bqueue", json.dumps(rows))

    def past(self, *rows: Mapping[str, Any]) -> None:
        self.say("bpast", json.dumps(rows))

    @staticmethod
    def row(state: str, job: str = "7.yard", **more: Any) -> dict[str, Any]:
        return {"id": job, "state": state, **more}

    def calls(self, name: str) -> list[str]:
        calls = self.folder / f"{name}.calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def heard(self, name: str) -> str:
        """What a program read last."""
        return (self.folder / f"{name}.stdin").read_text()


@attrs.frozen(kw_only=True)
class YardSettings(BatchSettings):
    plugin: ClassVar[str] = "yard"
    queue: str | None = setting(None, help="The queue.")


class YardDialect(Dialect):
    scheduler: ClassVar[str] = "Yard"
    needed: ClassVar[Sequence[str]] = ("bhello", "bsubmit", "bqueue", "bcancel")
    ids: ClassVar[re.Pattern[str]] = re.compile(r"\d+\.yard")
    executable: ClassVar[frozenset[str]] = frozenset({"job.sh"})

    def meet(self, commands: Commands) -> Met:
        return Met(site=f"yard:{commands.ask(Line(('bhello',)), self.passing).good().strip()}")

    def files(self, job: Job) -> Mapping[str, str]:
        return {"job.sh": script(job, [f"#YARD -n {job.nodes}"])}

    def submission(self, job: Job) -> Line:
        text = self.files(job)["job.sh"]
        return Line(("bsubmit", "-N", job.name), stdin=text, folder=job.folder)

    def submitted(self, said: Said) -> JobId:
        found = self.ids.search(said.out)
        if found is None:
            raise ValueError(f"bsubmit printed no job id, but {said.out.strip()!r}")
        return found[0]

    def refusal(self, said: Said) -> Refusal:
        if "queue" in said.err:
            todo = "Name another queue."
            return Refusal(said=said.words, about="queue", todo=todo, known=("short", "long"))
        return Refusal(said=said.words, later="later" in said.err, doubtful="lost" in said.err)

    def sources(self) -> Sequence[Source]:
        return (
            Source(
                name="bqueue",
                line=lambda ids: Line(("bqueue", *ids)),
                seen=lambda said: _jobs(said.good()),
                batch=3,
            ),
            Source(
                name="bpast",
                line=lambda ids: Line(("bpast", *ids)),
                seen=lambda said: _jobs(said.good()),
            ),
        )

    def mine(self, names: Sequence[str]) -> Line:
        return Line(("bqueue", "-N", *names))

    def codes(self) -> Source:
        return Source(
            name="bcode",
            line=lambda ids: Line(("bcode", *ids)),
            seen=lambda said: _jobs(said.good()),
        )

    def passing(self, said: Said) -> bool:
        return "try again" in said.err

    def cancellation(self, ids: Sequence[JobId]) -> Line:
        return Line(("bcancel", *ids))

    def spent(self, said: Said) -> bool:
        return "no such job" in said.err


class Forgetful(YardDialect):
    """It keeps no history."""

    forgets: ClassVar[bool] = True

    def sources(self) -> Sequence[Source]:
        return super().sources()[:1]


class Keeping(YardDialect):
    """It tells why jobs wait apart from the queue, and its history is long to read."""

    forgets: ClassVar[bool] = True

    def sources(self) -> Sequence[Source]:
        queue, past = super().sources()
        return queue, attrs.evolve(past, batch=1, costly=True)

    def reasons(self) -> Source:
        return Source(
            name="bwhy",
            line=lambda ids: Line(("bwhy", *ids)),
            seen=lambda said: _jobs(said.good()),
        )


class Arrays(YardDialect, ArrayDialect):
    """It has arrays, of ten at most, whose jobs are 7.yard, 8.yard, and so on."""

    @property
    def most(self) -> int:
        return 10

    def array_files(self, array: Array) -> Mapping[str, str]:
        return {"job.sh": array_script(str(array.folder), "YARD_INDEX", [f"#YARD -t {array.size}"])}

    def array_submission(self, array: Array) -> Line:
        return Line(("bsubmit", "-N", array.name, "-t", str(array.size), str(array.folder)))

    def array_submitted(self, said: Said, array: Array) -> Sequence[JobId]:
        first = int(self.submitted(said).partition(".")[0])
        return [f"{first + place}.yard" for place in range(array.size)]


def _jobs(text: str) -> list[Seen]:
    return [
        Seen(
            **{
                **one,
                "state": JobState(one["state"]),
                "reason": one.get("reason", one["state"].upper()),
            }
        )
        for one in json.loads(text)
    ]


Make = Callable[..., BatchProvider]
MakeArrays = Callable[..., ArrayProvider]
MakeJob = Callable[..., Job]


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    made = Yard.made(tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}:/usr/bin:/bin")
    return made


@pytest.fixture
def make(yard: Yard, tmp_path: Path) -> Make:
    """Makes and starts providers."""

    def making(*, dialect: str = "", **options: Any) -> BatchProvider:
        settings = YardSettings(**{"command_timeout": 30.0, **options})
        kind = {"forgetful": Forgetful, "keeping": Keeping}.get(dialect, YardDialect)
        made = BatchProvider(kind(), settings)
        made.start(FakeContext(tmp_path))
        return made

    return making


@pytest.fixture
def make_arrays(yard: Yard, tmp_path: Path) -> MakeArrays:
    """Makes and starts providers that take several jobs at once."""

    def making(dialect: type[ArrayDialect] = Arrays, **options: Any) -> ArrayProvider:
        settings = YardSettings(**{"command_timeout": 30.0, **options})
        made = ArrayProvider(dialect(), settings)
        made.start(FakeContext(tmp_path))
        return made

    return making


@pytest.fixture
def job(tmp_path: Path) -> MakeJob:
    numbers = itertools.count(1)

    def making(command: str = "true", **more: Any) -> Job:
        number = next(numbers)
        folder = tmp_path / f"job-{number}"
        folder.mkdir()
        return Job(name=f"weft-{number}", command=command, folder=folder, **more)

    return making
