"""A configuration for a cluster that PSI/J speaks to: here Slurm, in blocks of two nodes."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "htex",
            provider=weft.provider(
                "psij",
                executor="slurm",
                queue="normal",
                walltime="02:00:00",
                attributes={"slurm.comment": "weft"},
                python="/opt/psij/bin/python",
            ),
            launcher=weft.launcher("srun"),
            nodes_per_block=2,
            max_blocks=10,
            block_walltime=2 * 3600 - 120,
        )
    ]
)
