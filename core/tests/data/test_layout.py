"""Where the files of a task lie in its working folder."""

from __future__ import annotations

from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from weft.data.layout import laid_out, put_in
from weft.values.files import File

_urls = st.lists(
    st.builds(
        "{}{}/{}".format,
        st.sampled_from(["s3://h/", "/", ""]),
        st.sampled_from(["a", "b", "a/b", "2"]),
        st.sampled_from(["x.bam", "x.bam.bai", "2", "3", "..", "", "x.bam?v=2", "é\n", "%2e%2e"]),
    ).map(File),
    max_size=6,
)


@given(_urls, _urls)
def test_no_two_files_share_a_path_and_none_leads_out(
    outputs: list[File], inputs: list[File]
) -> None:
    found = laid_out(outputs, inputs)
    assert set(found) == {*outputs, *inputs}
    paths = [PurePosixPath(name) for name in found.values()]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert path.parts
        assert not any(path in other.parents for other in paths)


def test_files_keep_their_names() -> None:
    files = [File("/a/x.bam"), File("/a/x.bam.bai"), File("s3://h/table.csv")]
    assert list(laid_out([], files).values()) == ["x.bam", "x.bam.bai", "table.csv"]


def test_neighbours_stay_together_where_names_are_taken() -> None:
    one = [File("/a/x.bam"), File("/a/x.bam.bai")]
    other = [File("/b/x.bam"), File("/b/y.txt")]
    found = laid_out([], [*one, *other])
    assert [found[file] for file in other] == ["2/x.bam", "2/y.txt"]


def test_an_output_has_its_name_before_an_input_does() -> None:
    made, given_ = File("/b/x.txt"), File("/a/x.txt")
    assert laid_out([made], [given_]) == {made: "x.txt", given_: "2/x.txt"}


def test_files_are_found_in_what_holds_them() -> None:
    file = File("/a/x")
    inner = [file, (1, file)]
    value = {"k": inner, "s": {file}}
    found = put_in(value, lambda one: one.placed("/b"))
    assert found == {"k": [file.placed("/b"), (1, file.placed("/b"))], "s": {file.placed("/b")}}
    assert inner[0] is file
