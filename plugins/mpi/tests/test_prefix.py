"""The words that start ranks, for each launcher."""

from __future__ import annotations

import pytest

from weft_mpi.prefix import DIALECTS, Dialect, Launch, dialect_in, words_of
from weft_mpi.shape import Shape, plain

SHAPE, HOSTS = Shape(2, 3), ["a", "b"]


def text(dialect: Dialect) -> str:
    return " ".join(words_of(Launch(program="it", dialect=dialect), dialect, SHAPE, HOSTS))


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("mpich", "it -n 6 -ppn 3 -hosts a,b"),
        ("openmpi", "it -n 6 --host a:3,b:3 --map-by ppr:3:node -x WEFT_MPI_RANKS"),
        ("pals", "it -n 6 --ppn 3 --hosts a,b"),
        (
            "srun",
            (
                "it --nodes=2 --ntasks=6 --ntasks-per-node=3 --nodelist=a,b --export=ALL --overlap "
                "--kill-on-bad-exit=1"
            ),
        ),
        ("aprun", "it -n 6 -N 3 -L a,b"),
        ("flux", "it run --nodes=2 --tasks-per-node=3 --exclusive --requires=host:a,b"),
        ("jsrun", "it -n 2 -r 1 -a 3 -c ALL_CPUS -g ALL_GPUS"),
    ],
)
def test_the_words_of_each_launcher(dialect: Dialect, expected: str) -> None:
    assert text(dialect) == expected


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_no_shell_changes_any_of_them(dialect: Dialect) -> None:
    assert all(plain(word) for word in text(dialect).split(" "))


def test_what_is_added_comes_last_so_that_it_overrules() -> None:
    launch = Launch(program="srun", dialect="srun", options=("--mpi=pmi2",))
    shape = Shape(1, 1, ("--mpi=pmix",))
    assert words_of(launch, "srun", shape, ["a"])[-2:] == ["--mpi=pmi2", "--mpi=pmix"]


def test_as_many_hosts_as_nodes() -> None:
    with pytest.raises(ValueError, match="2 nodes cannot be a"):
        words_of(Launch(program="it", dialect="mpich"), "mpich", SHAPE, ["a"])


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("HYDRA build details:\n    Version: 4.0.2", "mpich"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.9", "mpich"),
        ("mpiexec (OpenRTE) 4.1.4", "openmpi"),
        ("mpiexec (Open MPI) 5.0.3", "openmpi"),
        ("prterun (PRRTE) 3.0.6", "openmpi"),
        ("mpiexec (PALS) 1.3.4", "pals"),
        ("mpiexec: some other thing", None),
    ],
)
def test_an_mpiexec_says_whose_it_is(version: str, expected: str | None) -> None:
    assert dialect_in(version) == expected
