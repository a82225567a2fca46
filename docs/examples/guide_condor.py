"""A configuration for a pool with HTCondor: twenty slots at most, of eight cores each."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "htex",
            provider=weft.provider(
                "condor",
                accounting_group="physics",
                walltime="02:00:00",
                cores_per_node=8,
                memory_per_node=16 << 30,
                requirements="OpSysMajorVer >= 9",
            ),
            max_blocks=20,
            block_walltime=2 * 3600 - 120,
            worker_init=". /shared/venv/bin/activate",
        )
    ]
)
