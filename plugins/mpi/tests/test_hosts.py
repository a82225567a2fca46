"""Which nodes a block has, by what each scheduler leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_mpi.hosts import MOST, NoList, block_hosts, expanded


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node1", ["node1"]),
        ("a,b", ["a", "b"]),
        ("node[1-3]", ["node1", "node2", "node3"]),
        ("node[01-03,07]", ["node01", "node02", "node03", "node07"]),
        ("node[9-11]", ["node9", "node10", "node11"]),
        ("node[098-101]", ["node098", "node099", "node100", "node101"]),
        ("a[1-2],login,b[5]", ["a1", "a2", "login", "b5"]),
        ("rack[1-2]n[1-2]", ["rack1n1", "rack1n2", "rack2n1", "rack2n2"]),
        ("n[1-2].site.org", ["n1.site.org", "n2.site.org"]),
        ("n[1-2]-ib[0-1]x", ["n1-ib0x", "n1-ib1x", "n2-ib0x", "n2-ib1x"]),
        (" a , b ", ["a", "b"]),
    ],
)
def test_lists_in_brackets(text: str, names: list[str]) -> None:
    assert expanded(text) == names


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("a,,b", "empty"),
        ("a b", "blank"),
        ("node[1-3", "without its other one"),
        ("node1-3]", "without its other one"),
        ("node[[1]]", "without its other one"),
        ("node[]", "no range"),
        ("node[x]", "no range"),
        ("node[1-]", "no range"),
        ("node[3-1]", "backwards"),
        (f"node[0-{MOST}]", "more than"),
        ("n[1-1000][1-1000]", "more than"),
    ],
)
def test_what_is_no_list_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        expanded(text)


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 20)), min_size=1, max_size=5))
def test_ranges_are_expanded_as_they_are_written(ranges: list[tuple[int, int]]) -> None:
    inside = ",".join(f"{low:03d}-{low + more:03d}" for low, more in ranges)
    names = [f"n{low + at:03d}" for low, more in ranges for at in range(more + 1)]
    assert expanded(f"n[{inside}]") == names


@given(st.text(alphabet="ab1-2,[] ", max_size=20))
def test_any_text_is_a_list_or_a_value_error(text: str) -> None:
    try:
        names = expanded(text)
    except ValueError:
        return
    assert names
    assert all(name and not set(name) & set("[], ") for name in names)


def found(
    environ: Mapping[str, str],
    files: Mapping[str, str] | None = None,
    says: str | None = None,
    *,
    flux_first: bool = False,
) -> tuple[str, list[str]]:
    def read(path: str) -> str:
        if files is None or path not in files:
            raise FileNotFoundError(path)
        return files[path]

    def ask(words: Sequence[str]) -> str:
        assert words[:3] == ("flux", "resource", "list")
        if says is None:
            raise OSError("no flux here")
        return says

    return block_hosts(environ, flux_first=flux_first, here="localhost", read=read, ask=ask)


LINES = "n1\nn1\nn2\nn2\n\n"


@pytest.mark.parametrize(
    ("environ", "files", "says", "source"),
    [
        ({"SLURM_JOB_NODELIST": "n[1-2]"}, {}, None, "SLURM_JOB_NODELIST"),
        ({"SLURM_NODELIST": "n[1-2]"}, {}, None, "SLURM_NODELIST"),
        ({"PBS_NODEFILE": "f"}, {"f": LINES}, None, "PBS_NODEFILE"),
        ({"COBALT_NODEFILE": "f"}, {"f": "n1\nn2"}, None, "COBALT_NODEFILE"),
        (
            {"PE_HOSTFILE": "f"},
            {"f": "n1 2 all.q@n1 UNDEFINED\nn2 2 all.q@n2 UNDEFINED\n"},
            None,
            "PE_HOSTFILE",
        ),
        ({"LSB_DJOB_HOSTFILE": "f", "LSB_HOSTS": "x"}, {"f": LINES}, None, "LSB_DJOB_HOSTFILE"),
        ({"LSB_MCPU_HOSTS": "n1 2 n2 2", "LSB_HOSTS": "x"}, {}, None, "LSB_MCPU_HOSTS"),
        ({"LSB_HOSTS": "n1 n1 n2"}, {}, None, "LSB_HOSTS"),
        ({"FLUX_URI": "local:///x"}, {}, "n1\nn2\n", "flux resource list"),
        ({"FLUX_URI": "local:///x"}, {}, "n[1-2]\n\n", "flux resource list"),
    ],
)
def test_each_scheduler_is_understood(
    environ: dict[str, str], files: dict[str, str], says: str | None, source: str
) -> None:
    assert found(environ, files, says) == (source, ["n1", "n2"])


def test_without_a_scheduler_it_is_this_machine() -> None:
    assert found({}) == ("this machine", ["localhost"])


def test_flux_within_a_job_of_slurm_counts_if_it_is_the_launcher() -> None:
    both = {"SLURM_JOB_NODELIST": "s[1-2]", "FLUX_URI": "local:///x"}
    assert found(both, says="f1")[1] == ["s1", "s2"]
    assert found(both, says="f1", flux_first=True)[1] == ["f1"]


@pytest.mark.parametrize(
    ("environ", "files", "source", "why"),
    [
        ({"SLURM_JOB_NODELIST": "n[1-"}, {}, "SLURM_JOB_NODELIST", "without its other one"),
        ({"PBS_NODEFILE": "/f"}, {}, "PBS_NODEFILE=/f", "cannot be read"),
        ({"PBS_NODEFILE": "/f"}, {"/f": "\n"}, "PBS_NODEFILE", "names no node"),
        ({"FLUX_URI": "x"}, {}, "flux resource list", "no flux here"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_source(
    environ: dict[str, str], files: dict[str, str], source: str, why: str
) -> None:
    with pytest.raises(NoList, match=why) as raised:
        found(environ, files)
    assert raised.value.source == source
