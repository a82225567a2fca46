"""Fits many models to one large table, which goes through a store once."""

import numpy as np

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "processes",
            max_workers=2,
            serializer=weft.serializer(
                "proxystore", connector="file", options={"store_dir": "/scratch/me/store"}
            ),
        )
    ]
)


@weft.python_app
def simulate(rows: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, 10))


@weft.python_app
def fit(table: np.ndarray, degree: int) -> float:
    return float((table**degree).mean())


def best() -> float:
    with weft.load(config):
        table = simulate(100_000)  # stays in the store: the script never holds it
        fits = [fit(table, degree) for degree in range(1, 9)]
        return min(one.result() for one in fits)
