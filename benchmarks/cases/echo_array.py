"""The same with an array, whose memory need not be copied into a pickle; needs numpy."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.case import Sample
from benchmarks.cases import echo


def measure(contestant: str, size: int) -> Sample:
    import numpy as np

    return echo.measured(contestant, np.zeros(size // 8) + 1.0)


CASE = replace(
    echo.CASE,
    name="echo_array",
    title="A large array there and back",
    about="As with bytes, but the payload is a numpy array of floats.",
    measure=measure,
)
