"""Settings and a job become text: exactly this, and what HTCondor reads it as."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from weft.batch.arrays import Array
from weft.errors import WeftError
from weft.values.jobs import Job
from weft_condor.script import described, described_array, inherited, text
from weft_condor.settings import Condor

WHOLE = """executable = job.sh
batch_name = weft-htex-1
+WeftFolder = "/runs/it%27s%201"
output = job.out
error = job.err
notification = never
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
transfer_input_files = job.env, /data/model.bin, osdf:///x/y
transfer_output_files = ""
periodic_remove = (JobStatus == 2 && time() - EnteredCurrentStatus >= 7200) || \
(JobStatus == 1 && NumJobStarts > 0)
request_cpus = 4
request_memory = 1048576K
request_disk = 2K
request_gpus = 1
requirements = OpSysMajorVer >= 9 && TARGET.Cpus > 1
accounting_group = physics.cms
accounting_group_user = me
+ProjectName = "Survey"
getenv = PATH, LD_*
+WantGlidein = true
queue
"""
ALL = Condor(
    accounting_group="physics.cms",
    accounting_user="me",
    project="Survey",
    walltime="02:00:00",
    cores_per_node=4,
    memory_per_node=1 << 30,
    disk_per_node=1025,
    gpus_per_node=1,
    requirements="OpSysMajorVer >= 9 && TARGET.Cpus > 1",
    getenv=("PATH", "LD_*"),
    transfer_input_files=("/data/model.bin", "osdf:///x/y"),
    scheduler_options=("+WantGlidein = true",),
)


def job(folder: str = "/runs/it's 1", **more: Any) -> Job:
    options = {"name": "weft-htex-1", "command": "true", "folder": Path(folder), **more}
    return Job(**options)


def test_every_option_has_its_line() -> None:
    assert described(ALL, job()) == WHOLE


def test_what_is_left_out_is_left_to_the_pool() -> None:
    lines = described(Condor(walltime="UNLIMITED"), job()).splitlines()
    assert [line.partition(" =")[0] for line in lines] == [
        *("executable", "batch_name", "+WeftFolder", "output", "error", "notification"),
        *("should_transfer_files", "when_to_transfer_output", "transfer_input_files"),
        *("transfer_output_files", "periodic_remove", "queue"),
    ]
    assert "periodic_remove = (JobStatus == 1 && NumJobStarts > 0)" in lines


def test_files_are_those_of_the_client() -> None:
    said = described(Condor(transfer_input_files=["model.bin"]), job())
    assert f"transfer_input_files = job.env, {Path.cwd()}/model.bin\n" in said


def test_several_jobs_are_one_cluster_and_each_is_at_home_in_its_own_folder() -> None:
    array = Array(name="weft-htex", size=3, nodes=1, folder=Path("/runs/1/array"))
    lines = described_array(Condor(), array).splitlines()
    assert lines[:5] == [
        "executable = array.sh",
        "initialdir = $(Process)",
        "batch_name = weft-htex",
        '+WeftFolder = "/runs/1/array"',
        "+WeftArray = true",
    ]
    assert "transfer_input_files = job.sh, job.env" in lines
    assert lines[-1] == "queue 3"


def test_more_than_one_machine_is_refused() -> None:
    with pytest.raises(WeftError, match="weft-htex-1") as caught:
        text(job(nodes=2))
    assert "2 machines" in caught.value.why
    assert "nodes_per_block=1" in caught.value.todo


TELLING = 'echo "${WEFT_CORES-none} ${WEFT_MEMORY-none}"'
READING = """
import os, sys
os.environ["CONDOR_CONFIG"] = os.devnull
sys.path.insert(0, sys.argv[1])
import htcondor2, classad2
said = htcondor2.Submit(sys.stdin.read())
assert said.getQArgs() == "", said.getQArgs()
for name, value in sorted(said.items()):
    print(f"{name}={said.expand(name)}")
rule = classad2.ExprTree(said["periodic_remove"])
for status, starts, since in ((2, 1, 7199), (2, 1, 7201), (1, 0, 9999), (1, 1, 0), (5, 1, 9999)):
    import time
    began = int(time.time()) - since
    ad = {"JobStatus": status, "NumJobStarts": starts, "EnteredCurrentStatus": began}
    print(status, starts, since, rule.eval(classad2.ClassAd(ad)))
print(classad2.ExprTree(said["MY.WeftFolder"]).eval(classad2.ClassAd({})))
print(classad2.ExprTree(said["requirements"]).simplify(classad2.ClassAd({})))
"""


def test_htcondor_itself_reads_what_was_meant(bindings: str) -> None:
    """In a process of its own, as that library looks for a configuration when it is imported."""
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", READING, bindings],
        input=described(ALL, job()),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": os.environ["PATH"]},
    ).stdout.splitlines()
    assert "transfer_input_files=job.env, /data/model.bin, osdf:///x/y" in said
    assert "MY.WantGlidein=true" in said
    assert said[-7:-1] == [
        "2 1 7199 False",
        "2 1 7201 True",
        "1 0 9999 False",
        "1 1 0 True",
        "5 1 9999 False",
        "/runs/it%27s%201",
    ]


@pytest.mark.parametrize(
    ("ad", "has"),
    [
        ('Machine = "a"\nCpus = 4\nTotalCpus = 64\nMemory = 2048\n', "4 2147483648"),
        ("TotalCpus = 64\nMemory = x\n", "none none"),
        (None, "none none"),
    ],
)
def test_a_job_is_told_what_its_slot_has(tmp_path: Path, ad: str | None, has: str) -> None:
    (tmp_path / "job.env").write_text("")
    environment = {"PATH": os.environ["PATH"]}
    if ad is not None:
        (tmp_path / "machine.ad").write_text(ad)
        environment["_CONDOR_MACHINE_AD"] = str(tmp_path / "machine.ad")
    said = subprocess.run(
        ["/bin/sh", "-euc", text(job(command=TELLING))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert said.stdout == f"{has}\n"


def test_what_the_job_is_given_counts_more_than_its_slot(tmp_path: Path) -> None:
    (tmp_path / "job.env").write_text("export WEFT_CORES=2\n")
    (tmp_path / "ad").write_text("Cpus = 4\n")
    said = subprocess.run(
        ["/bin/sh", "-c", text(job(command='echo "$WEFT_CORES"'))],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "_CONDOR_MACHINE_AD": str(tmp_path / "ad")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert said.stdout == "2\n"


def test_the_job_around_the_client_is_none_of_the_commands_business() -> None:
    outer = {"_CONDOR_JOB_AD": "/x", "_CONDOR_SLOT": "slot1", "_CONDOR_MACHINE_AD": "/y"}
    kept = {"PATH": "/bin", "_CONDOR_SCHEDD_HOST": "ap1", "CONDOR_CONFIG": "/etc/condor"}
    assert inherited({**outer, **kept}) == kept
