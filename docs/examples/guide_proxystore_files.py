"""Two sites that share no file system: what one makes, the other gets through a store."""

import weft
from weft import Config, File, Site

config = Config(
    stagers=[
        weft.stager("proxystore", connector="redis", options={"hostname": "head", "port": 6379})
    ],
    executors=[
        # Here stand the provider, the launcher and the blocks of each cluster.
        weft.executor("htex", label="west", site=Site(name="WEST", folder="/scratch/me/weft")),
        weft.executor("htex", label="east", site=Site(name="EAST", folder="/project/p123/weft")),
    ],
)


@weft.python_app(executors="west")
def simulate(seed: int, outputs: list[File]) -> None:
    outputs[0].as_path().write_text(f"{seed}\n" * 100_000)


@weft.python_app(executors="east")
def lines(trajectory: File) -> int:
    return len(trajectory.as_path().read_text().splitlines())


def count() -> int:
    with weft.load(config):
        runs = [
            simulate(seed, outputs=[File(f"proxystore://trajectories/{seed}")]) for seed in range(4)
        ]
        return sum(lines(run.outputs[0]).result() for run in runs)
