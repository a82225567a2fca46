"""What is written as evidence is read as it was, or not at all; a digest tells every change."""

import hashlib
import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.configuration.evidence import (
    OUTCOMES,
    SCHEMA,
    Evidence,
    MutantResult,
    RuleResult,
    Subject,
    digest_of_file,
    digest_of_package,
    dump,
    load,
)
from weft.errors import BadEvidence
from weft.values.plugin import Level

texts = st.text(max_size=20)
rules = st.builds(
    RuleResult, outcome=st.sampled_from(OUTCOMES), level=st.sampled_from(Level), reason=texts
)
mutants = st.builds(MutantResult, rule=texts, killed=st.booleans())
subjects = st.builds(
    Subject,
    dist=texts,
    version=texts,
    package=texts,
    digest=texts,
    interface=texts,
    spoken=texts,
    typechecked=st.booleans(),
    rules=st.dictionaries(texts, rules, max_size=3),
    mutants=st.dictionaries(texts, mutants, max_size=3),
)
evidences = st.builds(
    Evidence,
    kind=texts,
    made=texts,
    python=texts,
    platform=texts,
    weft=texts,
    kit=st.dictionaries(texts, texts, max_size=2),
    subjects=st.dictionaries(texts, subjects, max_size=2),
    notes=st.dictionaries(texts, texts, max_size=2),
)


@pytest.fixture
def evidence() -> Evidence:
    return Evidence(
        kind="kit",
        made="2026-11-21T10:00:00Z",
        python="3.11.7",
        platform="linux-x86_64",
        weft="0.1.0",
        kit={"name": "weft-testkit", "version": "0.1.0"},
        subjects={
            "executor.odd": Subject(
                dist="odd",
                version="1.0",
                package="odd",
                digest="sha256:0",
                interface="1.0",
                spoken="1.0",
                rules={"E101": RuleResult("failed", "tested", "")},
                mutants={"TestOdd": MutantResult("E101", killed=True)},
            )
        },
    )


# ---------------------------------------------------------------------------------------- the file


@given(evidences)
def test_what_is_written_is_read_as_it_was(evidence: Evidence) -> None:
    assert load(dump(evidence), "file") == evidence


@given(evidences)
def test_the_same_evidence_is_the_same_text(evidence: Evidence) -> None:
    assert dump(load(dump(evidence), "file")) == dump(evidence)


@given(evidences, st.data())
@settings(max_examples=50)
def test_whatever_value_is_changed_the_seal_tells(evidence: Evidence, data: st.DataObject) -> None:
    table = json.loads(dump(evidence))
    name = data.draw(st.sampled_from(sorted(set(table) - {"schema"})))
    table[name] = "of another hand" if table[name] != "of another hand" else ""

    with pytest.raises(BadEvidence):
        load(json.dumps(table), "file")


def test_an_outcome_that_was_mended_by_hand_is_told(evidence: Evidence) -> None:
    text = dump(evidence).replace('"failed"', '"passed"')

    with pytest.raises(BadEvidence, match="edited after it was written") as raised:
        load(text, "here.json")
    assert "here.json" in str(raised.value)


def test_the_layout_of_the_text_is_not_sealed(evidence: Evidence) -> None:
    assert load(json.dumps(json.loads(dump(evidence))), "file") == evidence


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_another_schema_is_named_before_the_seal_is_looked_at(
    evidence: Evidence, schema: object
) -> None:
    table = {**json.loads(dump(evidence)), "schema": schema}

    with pytest.raises(BadEvidence, match=f"schema is {schema!r}; this weft reads schema {SCHEMA}"):
        load(json.dumps(table), "file")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "{}", '"schema"', "\0"])
def test_what_is_no_evidence_is_refused(text: str) -> None:
    with pytest.raises(BadEvidence, match="file"):
        load(text, "file")


def sealed(table: dict[str, Any]) -> str:
    """A text with a seal that fits, as somebody could make it who does not know the schema."""
    table.pop("seal", None)
    plain = json.dumps(table, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({**table, "seal": f"sha256:{hashlib.sha256(plain).hexdigest()}"})


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Evidence)])
def test_a_field_too_few_is_refused_whatever_the_seal_says(evidence: Evidence, name: str) -> None:
    table = json.loads(dump(evidence))
    table.pop(name)
    if name == "notes":  # these alone may be left out
        assert load(sealed(table), "file") == evidence
        return

    with pytest.raises(BadEvidence):
        load(sealed(table), "file")


def test_a_field_too_many_is_refused_whatever_the_seal_says(evidence: Evidence) -> None:
    with pytest.raises(BadEvidence, match="unheard_of"):
        load(sealed({**json.loads(dump(evidence)), "unheard_of": 1}), "file")


@pytest.mark.parametrize(("key", "value"), [("outcome", "splendid"), ("level", "splendid")])
def test_an_outcome_and_a_level_are_of_those_that_there_are(
    evidence: Evidence, key: str, value: str
) -> None:
    table = json.loads(dump(evidence))
    table["subjects"]["executor.odd"]["rules"]["E101"][key] = value

    with pytest.raises(BadEvidence, match="splendid"):
        load(sealed(table), "file")


# -------------------------------------------------------------------------------------- the digests

names = st.text("abc.", min_size=1, max_size=6).filter(lambda name: name.strip("."))
packages = st.dictionaries(names, st.binary(max_size=8), min_size=1, max_size=4)


def made(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@given(packages, st.data())
@settings(max_examples=50)
def test_a_digest_goes_by_names_and_contents_and_by_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], data: st.DataObject
) -> None:
    files = {name: content for name, content in files.items() if not name.endswith(".pyc")}
    base = tmp_path_factory.mktemp("packages")
    one = digest_of_package(made(base / "one", files))

    assert digest_of_package(made(base / "two", dict(reversed(files.items())))) == one

    if files:
        name = data.draw(st.sampled_from(sorted(files)))
        changed = {**files, name: files[name] + b"x"}
        assert digest_of_package(made(base / "three", changed)) != one
        fewer = {other: content for other, content in files.items() if other != name}
        assert digest_of_package(made(base / "four", fewer)) != one
        renamed = {**fewer, f"{name}d": files[name]}
        if f"{name}d" not in files:
            assert digest_of_package(made(base / "five", renamed)) != one


def test_a_digest_goes_by_files_of_any_kind_in_any_folder(tmp_path: Path) -> None:
    package = made(tmp_path / "package", {"__init__.py": b"", "py.typed": b""})
    seen = {digest_of_package(package)}
    for name in ("data.bin", "inner/__init__.py", "inner/deep/table.csv", ".hidden"):
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"1")
        seen.add(digest_of_package(package))

    assert len(seen) == 5


@pytest.mark.parametrize(
    "name",
    [
        "__pycache__/a.cpython-311.pyc",
        "inner/__pycache__/x",
        "b.pyc",
        "maturity.toml",
        "evidence/x",
    ],
)
def test_a_digest_leaves_out_caches_and_what_speaks_of_it(tmp_path: Path, name: str) -> None:
    package = made(tmp_path / "package", {"__init__.py": b""})
    before = digest_of_package(package)
    (package / name).parent.mkdir(parents=True, exist_ok=True)
    (package / name).write_bytes(b"1")

    assert digest_of_package(package) == before


def test_a_content_that_moves_between_files_changes_the_digest(tmp_path: Path) -> None:
    one = made(tmp_path / "one", {"a": b"1", "b": b"2"})
    two = made(tmp_path / "two", {"a": b"2", "b": b"1"})

    assert digest_of_package(one) != digest_of_package(two)


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")

    assert digest_of_file(tmp_path / "file") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
