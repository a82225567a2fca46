"""A configuration for programs of MPI on a cluster with Slurm: two blocks of eight nodes."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "mpi",
            provider=weft.provider(
                "slurm", partition="normal", account="research", walltime="04:00:00"
            ),
            nodes_per_block=8,
            max_blocks=2,
            block_walltime=4 * 3600 - 120,
            worker_init="module load python mpich",
            mpi_launcher="srun",
            launcher_options=("--mpi=pmi2",),
            ranks_per_node=32,
        )
    ]
)
