"""Names never lead out of a folder, and no two URLs share one."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.data.names import name_for_url

_BASE = "https://host/folder/"


def test_files_of_a_folder_share_what_their_names_begin_with() -> None:
    one, other = name_for_url(_BASE + "reads.bam"), name_for_url(_BASE + "reads.bam.bai")

    assert one.endswith("-reads.bam")
    assert other == f"{one}.bai"


@pytest.mark.parametrize(
    "url",
    [
        "https://other/folder/reads.bam",
        "https://host/other/reads.bam",
        "http://host/folder/reads.bam",
        "https://host/folder/reads.bam?version=2",
        "https://host/folder/reads.bam#2",
    ],
)
def test_the_same_last_part_of_other_urls_has_other_names(url: str) -> None:
    assert name_for_url(url) != name_for_url(_BASE + "reads.bam")


def test_what_is_encoded_is_undone() -> None:
    assert name_for_url(_BASE + "two%20words%20%C3%A9.txt").endswith("-two words é.txt")


@pytest.mark.parametrize(
    "end",
    ["", "..", ".", "..%2f..%2fx", "%2e%2e", "a%00b", "a%0Ab", "..%5cx", "l" * 300, "é" * 200],
)
def test_names_are_one_part_of_a_path(end: str) -> None:
    name = name_for_url(_BASE + end)

    assert os.path.normpath(f"/folder/{name}") == f"/folder/{name}"
    assert not set("/\\\0\n") & set(name)
    assert len(os.fsencode(name)) <= 255


def test_letters_that_were_replaced_are_not_those_of_another() -> None:
    assert len({name_for_url(_BASE + end) for end in ("a%2Fb", "a%5Cb", "a_b", "a%0Ab")}) == 4
    assert name_for_url(_BASE + "l" * 300) != name_for_url(_BASE + "k" + "l" * 299)


@given(st.text(max_size=300), st.text(max_size=300))
def test_every_text_has_a_name(one: str, other: str) -> None:
    name = name_for_url(one)

    assert name not in {"", ".", ".."}
    assert "/" not in name
    assert len(os.fsencode(name)) <= 255
    if one.isalnum() and other.isalnum() and one != other:
        assert name != name_for_url(other)


def test_what_cannot_be_written_is_replaced() -> None:
    assert name_for_url(_BASE + "\ud800x").endswith("-_x")
    assert os.fsencode(name_for_url(_BASE + "%FFx")).endswith(b"-\xffx")
