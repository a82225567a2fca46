"""Settings and a job become text: exactly this."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from weft.values.jobs import Job
from weft_pbs.script import inherited, script
from weft_pbs.settings import Pbs

WHOLE = """#!/bin/sh
#PBS -N weft-htex-1
#PBS -S /bin/sh
#PBS -j oe
#PBS -r n
#PBS -l select=4:ncpus=64:mem=67108864kb:ngpus=4:mpiprocs=1:system=polaris
#PBS -l place=scatter:exclhost
#PBS -l walltime=02:00:00
#PBS -q workq
#PBS -A research
#PBS -P climate
#PBS -m n
#PBS -l filesystems=home:eagle

. /runs/1/job.env || exit 1
(
cd '/home/me/my work' || :
(
echo 'two  words'
) </dev/null >/runs/1/job.out 2>/runs/1/job.err
)
weft_code=$?
echo "$weft_code" > /runs/1/job.code.part && mv /runs/1/job.code.part /runs/1/job.code
exit "$weft_code"
"""


def job(**more: Any) -> Job:
    options = {"name": "weft-htex-1", "command": "true", "folder": Path("/runs/1"), **more}
    return Job(**options)


def text(settings: Pbs, asked: Job, *, torque: bool = False) -> str:
    return script(settings, asked, torque=torque, folder=Path("/home/me/my work"))


def options_in(found: str) -> list[str]:
    return [line[5:] for line in found.splitlines() if line.startswith("#PBS ")]


def test_every_option_has_its_line() -> None:
    asked = Pbs(
        queue="workq",
        account="research",
        project="climate",
        walltime="02:00:00",
        cores_per_node=64,
        memory_per_node=64 << 30,
        gpus_per_node=4,
        select_options="system=polaris",
        scheduler_options=["-l filesystems=home:eagle"],
    )
    assert text(asked, job(command="echo 'two  words'", nodes=4)) == WHOLE


def test_torque_is_asked_in_its_own_words() -> None:
    asked = Pbs(
        account="research",
        cores_per_node=8,
        memory_per_node=1 << 30,
        gpus_per_node=2,
        select_options="bigmem:infiniband",
    )
    assert options_in(text(asked, job(nodes=3), torque=True)) == [
        "-N weft-htex-1",
        "-S /bin/sh",
        "-j oe",
        "-r n",
        "-l nodes=3:ppn=8:gpus=2:bigmem:infiniband",
        "-l walltime=00:10:00",
        "-l mem=3145728kb",
        "-l naccesspolicy=singlejob",
        "-A research",
        "-m n",
    ]


@pytest.mark.parametrize(
    ("torque", "resources"),
    [
        (False, ["select=2:mpiprocs=1", "place=scatter", "walltime=00:10:00"]),
        (True, ["nodes=2:ppn=1", "walltime=00:10:00"]),
    ],
)
def test_what_is_left_out_is_left_to_the_site(torque: bool, resources: list[str]) -> None:
    found = options_in(text(Pbs(exclusive=False), job(nodes=2), torque=torque))
    assert [one[3:] for one in found if one.startswith("-l ")] == resources
    assert not any(one.startswith(("-q", "-A", "-P")) for one in found)


def test_a_place_is_said_in_place_of_exclusive() -> None:
    assert "-l place=pack:shared" in options_in(text(Pbs(place="pack:shared"), job()))


def test_mail_is_sent_only_if_that_is_wanted() -> None:
    found = options_in(text(Pbs(scheduler_options=["-m e"]), job()))
    assert [one for one in found if one.startswith("-m")] == ["-m e"]


def test_memory_is_rounded_up() -> None:
    assert "select=1:mem=2kb:mpiprocs=1" in text(Pbs(memory_per_node=1025), job())


def test_it_runs_where_the_client_is_and_leaves_output_and_code_in_its_folder(
    tmp_path: Path,
) -> None:
    folder, home = tmp_path / 'it\'s a "folder"', tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    (folder / "job.env").write_text("export SAID=hello\n")
    asked = job(folder=folder, command='echo "$SAID" in "$PWD"; cat; echo bad >&2; exit 3')
    done = subprocess.run(
        ["/bin/sh"],
        input=script(Pbs(), asked, torque=False, folder=home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    assert (folder / "job.out").read_text() == f"hello in {home}\n"
    assert (folder / "job.err").read_text() == "bad\n"
    assert (folder / "job.code").read_text() == "3\n"


def test_a_folder_that_the_node_does_not_have_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "job.env").touch()
    found = script(Pbs(), job(folder=tmp_path), torque=False, folder=tmp_path / "no")
    assert subprocess.run(["/bin/sh", "-c", found], timeout=60, check=False).returncode == 0


def test_a_command_that_no_shell_can_read_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        text(Pbs(), job(command="echo \0"))


def test_what_surrounds_the_client_does_not_become_part_of_the_job() -> None:
    environ = {
        "PATH": "/bin",
        "PBS_DEFAULT": "server",
        "PBS_CONF_FILE": "/etc/pbs.conf",
        "PBS_JOBID": "7.server",
        "PBS_NODEFILE": "/var/spool/pbs/aux/7.server",
        "PBS_O_WORKDIR": "/home/me",
        "PBS_DPREFIX": "#QSUB",
    }
    assert inherited(environ) == {
        "PATH": "/bin",
        "PBS_DEFAULT": "server",
        "PBS_CONF_FILE": "/etc/pbs.conf",
    }
