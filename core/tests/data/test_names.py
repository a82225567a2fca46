"""Names never lead out of a folder, and no two files share one."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.data.names import LONGEST, NameLeadsOut, name_for, name_for_url, relative_name

_BASE = "https://host/folder/"
_LETTERS = st.text("ab. /é?#%24\n\\", min_size=1, max_size=8)


def test_files_of_a_folder_share_what_their_names_begin_with() -> None:
    one, other = name_for_url(_BASE + "reads.bam"), name_for_url(_BASE + "reads.bam.bai")

    assert one.endswith("-reads.bam")
    assert other == f"{one}.bai"
    assert name_for_url(_BASE + "a%20b.bai") == name_for_url(_BASE + "a%20b") + ".bai"
    assert name_for("/x/reads.bam.bai") == name_for("/x/reads.bam") + ".bai"


@pytest.mark.parametrize(
    "url",
    [
        "https://other/folder/reads.bam",
        "https://host/other/reads.bam",
        "http://host/folder/reads.bam",
        "https://host/folder/reads.bam?version=2",
        "https://host/folder/reads.bam#2",
        "https://host/folder/reads.ba%6D",
    ],
)
def test_the_same_last_part_of_other_urls_has_other_names(url: str) -> None:
    assert name_for_url(url).endswith("-reads.bam")
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
    assert len(os.fsencode(name)) <= LONGEST


def test_letters_that_were_replaced_are_not_those_of_another() -> None:
    assert len({name_for_url(_BASE + end) for end in ("a%2Fb", "a%5Cb", "a_b", "a%0Ab")}) == 4
    assert name_for_url(_BASE + "l" * 300) != name_for_url(_BASE + "k" + "l" * 299)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("s3://h/a/b", "s3://h/a%2Fb"),
        ("s3://h/root", "s3://h/"),
        ("s3://h/a?x", "s3://h/a?y"),
        ("s3://h/a?x", "s3://h/a#x"),
        ("s3://h/a/?b", "s3://h/?a/b"),
        ("s3://h/a b", "s3://h/a%20b"),
        ("s3://h/A", "s3://h/%41"),
        ("s3://h/%c3%a9", "s3://h/%C3%A9"),
        ("s3://h/\ud800", "s3://h/\ud801"),
    ],
)
def test_urls_that_look_alike_are_told_apart(one: str, two: str) -> None:
    assert name_for_url(one) != name_for_url(two)


@settings(max_examples=400, deadline=None)
@given(_LETTERS, _LETTERS)
def test_only_one_url_has_a_name(one: str, other: str) -> None:
    first, second = name_for_url(_BASE + one), name_for_url(_BASE + other)
    assert (first == second) == (one == other)


@settings(max_examples=200, deadline=None)
@given(_LETTERS, _LETTERS)
def test_only_one_path_has_a_name(one: str, other: str) -> None:
    first, second = (os.path.normpath(f"/x/{text}") for text in (one, other))
    assert (name_for(first) == name_for(second)) == (first == second)


@given(st.text(max_size=300), st.text(max_size=300))
def test_every_text_has_a_name(one: str, other: str) -> None:
    name = name_for_url(one)

    assert name not in {"", ".", ".."}
    assert "/" not in name
    assert len(os.fsencode(name)) <= LONGEST
    if one != other:
        assert name != name_for_url(other)


def test_what_cannot_be_written_is_replaced() -> None:
    assert name_for_url(_BASE + "\ud800x").endswith("-_x")
    assert os.fsencode(name_for_url(_BASE + "%FFx")).endswith(b"-\xffx")


def test_very_long_names_are_told_apart_and_keep_their_endings() -> None:
    names = {name_for(f"/x/{letter}{'é' * 120}.txt") for letter in "abc"}
    assert len(names) == 3
    assert all(name.endswith("é.txt") for name in names)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        ("/etc/passwd", "not relative"),
        ("../out", "'..'"),
        ("a/../../out", "'..'"),
        ("a/..", "'..'"),
        (".", "the folder itself"),
        ("./", "the folder itself"),
        ("a\nb", "no letter"),
        ("a\0b", "no letter"),
        ("a/" + "x" * 256, "longer"),
        ("a\ud800", "cannot be written"),
    ],
)
def test_a_name_that_leads_out_is_refused(name: str, said: str) -> None:
    with pytest.raises(NameLeadsOut, match=said):
        relative_name(name)


@pytest.mark.parametrize(
    ("name", "short"),
    [("a", "a"), ("a/b", "a/b"), ("./a//b/", "a/b"), ("..a", "..a"), ("a\\..\\b", "a\\..\\b")],
)
def test_other_names_are_kept_in_their_shortest_form(name: str, short: str) -> None:
    assert relative_name(name) == short


@settings(max_examples=300, deadline=None)
@given(st.text("a./\\%é", max_size=12))
def test_what_is_not_refused_stays_inside(name: str) -> None:
    try:
        short = relative_name(name)
    except NameLeadsOut:
        return
    assert short
    assert os.path.normpath(f"/fence/{name}") == f"/fence/{short}"
