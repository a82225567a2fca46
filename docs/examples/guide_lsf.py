"""A configuration for a cluster with LSF: blocks of four machines, ten at most."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "htex",
            provider=weft.provider(
                "lsf",
                queue="normal",
                project="research",
                walltime="2:00",
                cores_per_node=16,
                memory_per_node=64 << 30,
            ),
            launcher=weft.launcher("mpiexec"),
            nodes_per_block=4,
            max_blocks=10,
            block_walltime=2 * 3600 - 120,
            worker_init="module load python",
        )
    ]
)
