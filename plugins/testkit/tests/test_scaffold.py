"""``weft plugin new`` where it cannot make what it is asked for: one sentence, nothing written."""

from pathlib import Path

import pytest

from weft.errors import ConfigurationError
from weft_testkit.scaffold import main


def refused(*words: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as error:
        main([*words])
    return error.value


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("3d",), "'3d' cannot be the name of a component."),
        (("my exec",), "'my exec' cannot be the name of a component."),
        (("threads",), "The executor 'threads' is already offered by weft itself."),
        (("mine", "--package", "Mine!"), "'Mine!' cannot be the name of a package here."),
        (("mine", "--package", "class"), "'class' cannot be the name of a package here."),
        (("mine", "--package", "json"), "would hide a module of Python"),
        (("mine", "--package", "weft"), "A package 'weft' is installed already"),
        (("mine", "--package", "attr"), "A package 'attr' is installed already"),
    ],
)
def test_a_name_that_will_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], what: str
) -> None:
    monkeypatch.chdir(tmp_path)

    error = refused("executor", *words)

    assert what in error.what
    assert error.todo
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "weft-mine"
    folder.mkdir()
    (folder / "of somebody").touch()

    error = refused("executor", "mine", "--folder", str(tmp_path))

    assert f"{folder} is there already" in error.what
    assert [path.name for path in folder.iterdir()] == ["of somebody"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    error = refused("executor", "mine", "--folder", str(tmp_path / "file"))

    assert "cannot be made" in error.what
    assert "Not a directory" in error.why


def test_an_empty_folder_of_the_name_will_do(tmp_path: Path) -> None:
    (tmp_path / "weft-mine").mkdir()

    assert main(["executor", "mine", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "weft-mine" / "pyproject.toml").is_file()
