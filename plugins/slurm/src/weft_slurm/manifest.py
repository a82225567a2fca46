"""The declarations of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["slurm", "srun", "srun_mpi"]

_HINT = (
    "Run this on a machine from which jobs of Slurm are submitted, with its commands on PATH; some "
    "sites want 'module load slurm' for that."
)

slurm = Component(
    kind=Kind.PROVIDER,
    name="slurm",
    settings="weft_slurm.settings:Slurm",
    factory="weft_slurm.provider:build",
    summary="Gets nodes from Slurm: each block is a batch job.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.FULL,
        "exit-code": Support.FULL,
    },
    requires=Requires(commands=("sbatch", "squeue", "scancel", "scontrol", "sinfo"), hint=_HINT),
    checks="weft_slurm.checks:checks",
    pairs_with={"launcher": ("*",)},
)

srun = Component(
    kind=Kind.LAUNCHER,
    name="srun",
    settings="weft_slurm.settings:Srun",
    factory="weft_slurm.launchers:build_srun",
    summary="Starts on all nodes of a job of Slurm at once, as one step.",
    pairs_with={"provider": ("slurm",)},
)

srun_mpi = Component(
    kind=Kind.LAUNCHER,
    name="srun-mpi",
    settings="weft_slurm.settings:SrunMPI",
    factory="weft_slurm.launchers:build_srun_mpi",
    summary="Starts on all nodes of a job of Slurm, each copy as a step of its own for MPI.",
    pairs_with={"provider": ("slurm",)},
)
