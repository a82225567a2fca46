"""What URLs name, and which name nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_globus.urls import BadUrl, Position, below, position_of

ID = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"

NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1
).filter(lambda name: name not in {".", ".."} and "\r\n" not in name)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_path_of_any_names_comes_back_from_its_url(names: list[str]) -> None:
    position = Position(ID, "/" + "/".join(names))

    assert position_of(position.url) == position


def test_the_id_is_one_however_it_is_written() -> None:
    assert position_of(f"globus://{ID.upper()}/~/a b") == Position(ID, "/~/a b")


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("", "names a collection"),
        ("/", "names a collection"),
        ("/a/", "empty, '.' or '..'"),
        ("//a", "empty, '.' or '..'"),
        ("/a/../b", "empty, '.' or '..'"),
        ("/..", "empty, '.' or '..'"),
        ("/%2e%2e/b", "empty, '.' or '..'"),
        ("/..%2fb", "empty, '.' or '..'"),
        ("/%2Fetc", "empty, '.' or '..'"),
        ("/.", "empty, '.' or '..'"),
        ("/a?b", "'?'"),
        ("/a#b", "'#'"),
        ("/a%00b", "NUL"),
        ("/a%0D%0Ab", "NUL, or with"),
        ("/a%FFb", "not Unicode"),
    ],
)
def test_what_names_no_file_is_refused(end: str, why: str) -> None:
    with pytest.raises(BadUrl) as caught:
        position_of(f"globus://{ID}{end}")

    assert why in caught.value.why
    assert caught.value.todo


@pytest.mark.parametrize("host", ["", "archive", f"me:secret@{ID}", f"{ID}:443", f"{ID[:-1]}"])
def test_what_is_no_id_is_refused_and_not_repeated(host: str) -> None:
    with pytest.raises(BadUrl) as caught:
        position_of(f"globus://{host}/path")

    assert "not the id of a collection" in caught.value.why
    assert "secret" not in caught.value.why + caught.value.todo


def test_positions_are_joined_and_named_anew() -> None:
    folder = Position(ID, "/scratch/weft")

    assert folder.joined("run/a").path == "/scratch/weft/run/a"
    assert folder.joined("run/a").beside(".part").path == "/scratch/weft/run/.part"


@pytest.mark.parametrize(
    ("path", "folder", "inner"),
    [("/a/b", "/a", "b"), ("/a/b/c", "/", "a/b/c"), ("/ab", "/a", None), ("/a/../b", "/a", None)],
)
def test_a_path_is_below_a_folder_or_not(path: str, folder: str, inner: str | None) -> None:
    assert below(path, folder) == inner
