import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import pytest

from weft.configuration.options import build, misfit, nearest, shown, shown_type
from weft.errors import SettingsError
from weft.values.settings import (
    ExecutorSettings,
    LauncherSettings,
    ProviderSettings,
    setting,
)

v = attrs.validators


@attrs.frozen(kw_only=True)
class Srun(LauncherSettings):
    plugin: ClassVar[str] = "srun"


@attrs.frozen(kw_only=True)
class Slurm(ProviderSettings):
    plugin: ClassVar[str] = "slurm"
    launcher: LauncherSettings | None = setting(None, help="How processes start.")


def _even(_self: object, _field: object, value: int) -> None:
    if value % 2:
        raise ValueError("an odd number has no half")


@attrs.frozen(kw_only=True)
class HTEX(ExecutorSettings):
    plugin: ClassVar[str] = "htex"
    provider: ProviderSettings = setting(help="Where machines come from.")
    max_workers: int = setting(4, help="Workers on each node.", unit="workers", validator=v.ge(1))
    walltime: float | None = setting(None, help="", validator=v.optional(v.gt(0)))
    mode: Literal["thread", "process"] = setting("thread", help="What a worker is.")
    hosts: Sequence[str] = setting(factory=tuple, help="Where.", converter=tuple)
    words: Sequence[str] = setting(factory=tuple, help="What.")
    env: Mapping[str, int] = setting(factory=dict, help="Environment.")
    folder: Path = setting(Path("x"), help="Where files go.", converter=Path)
    token: str = setting("", help="A secret.", secret=True, validator=v.max_len(3))
    pairs: int = setting(2, help="Even.", validator=_even)
    anything: Any = setting(None, help="Anything.")

    def __attrs_post_init__(self) -> None:
        if self.walltime is not None and self.walltime < self.max_workers:
            raise ValueError("walltime is too short for so many workers")


def make(**options: Any) -> HTEX:
    return build(HTEX, "executor 'htex'", {"provider": Slurm(), **options})


def refusal(**options: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        make(**options)
    assert "Attribute(" not in str(caught.value)
    assert caught.value.owner == "executor 'htex'"
    return caught.value


def test_options_that_fit_make_the_object_that_the_class_makes() -> None:
    assert make(max_workers=8, walltime=60, hosts=["a"], env={"A": 1}) == HTEX(
        provider=Slurm(), max_workers=8, walltime=60, hosts=["a"], env={"A": 1}
    )


def test_an_unknown_option_gets_the_nearest_ones() -> None:
    error = refusal(max_worker=2)

    assert error.setting == "max_worker"
    assert "Did you mean max_workers" in error.todo
    assert "serializer, argument_budget, provider, max_workers" in error.allowed


def test_an_option_unlike_any_other_is_answered_with_the_list() -> None:
    assert "weft plugin info htex" in refusal(zzz=1).todo


def test_a_component_where_none_is_taken_is_said_so() -> None:
    with pytest.raises(SettingsError, match="this provider takes no provider"):
        build(Slurm, "provider 'slurm'", {"provider": Slurm()})


def test_an_option_without_default_must_be_given() -> None:
    with pytest.raises(SettingsError) as caught:
        build(HTEX, "executor 'htex'", {})

    assert "the option provider must be given" in str(caught.value)
    assert "provider is a provider: Where machines come from." in caught.value.allowed


@pytest.mark.parametrize(
    ("option", "value", "said", "allowed"),
    [
        ("max_workers", "four", "max_workers='four' is not allowed: it is a str.", "an int >="),
        ("max_workers", True, "it is a bool", "an int"),
        ("max_workers", 2.0, "it is a float", "an int"),
        ("max_workers", 0, "max_workers=0 is not allowed.", "an int >= 1"),
        ("walltime", "1h", "it is a str", "float | None (> 0)"),
        ("walltime", -1, "walltime=-1 is not allowed.", "float | None (> 0)"),
        ("mode", "fork", "it is none of the choices", "one of 'thread', 'process'"),
        ("words", "sbatch", "a single str where several are wanted", "Sequence[str]"),
        ("words", ["a", 3], "item 1", "Sequence[str]"),
        ("env", {"A": "1"}, "value of key 'A'", "Mapping[str, int]"),
        ("hosts", 5, "hosts=5", "Sequence[str]"),
        ("hosts", [5], "item 0", "Sequence[str]"),
        ("folder", 5, "folder=5", "a Path"),
        ("pairs", 3, "pairs=3 is not allowed: an odd number has no half.", "an int"),
        ("label", "a b", "label='a b' is not allowed.", "matching"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_answered_with_what_is_allowed(
    option: str, value: Any, said: str, allowed: str
) -> None:
    error = refusal(**{option: value})

    assert said in error.what
    assert allowed in error.why


def test_what_a_validator_says_of_no_option_in_particular_is_passed_on() -> None:
    error = refusal(walltime=1.0)

    assert error.what == "executor 'htex': walltime is too short for so many workers."
    assert isinstance(error.__cause__, ValueError)


def test_a_component_of_another_kind_is_named_with_its_kind() -> None:
    error = refusal(provider=Srun())

    assert "it is a launcher ('srun') where a provider belongs" in error.what
    assert error.todo == "Write provider=weft.provider(...)."


def test_a_name_where_a_component_belongs_is_answered_with_the_way_to_write_it() -> None:
    assert refusal(provider="slurm").todo == "Write provider=weft.provider('slurm')."


def test_a_class_where_an_object_belongs_is_answered_with_the_way_to_write_it() -> None:
    error = refusal(provider=Slurm)

    assert "it is the class Slurm itself" in error.what
    assert error.todo == "Make an object of it: provider=Slurm(...)."


def test_a_single_word_where_several_belong_is_answered_with_the_way_to_write_it() -> None:
    assert refusal(words="sbatch").todo == "Write words=['sbatch'] for a single one."


def test_a_secret_is_never_shown() -> None:
    error = refusal(token="sesame")

    assert "sesame" not in str(error)
    assert "token=*** is not allowed" in error.what


def test_a_long_value_is_shown_in_part() -> None:
    assert len(shown("x" * 1000)) == 60


def test_a_value_that_cannot_be_shown_does_no_harm() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError

    assert shown(Odd()) == "<Odd>"


def test_anything_fits_anything() -> None:
    assert make(anything=object).anything is object


@pytest.mark.parametrize(
    ("value", "annotation", "fits"),
    [
        (1, int, True),
        (True, int, False),
        (True, bool, True),
        (1, float, True),
        (None, None, True),
        (None, int | None, True),
        ("a", int | None, False),
        (2, Literal[1, 2], True),
        (True, Literal[1], False),
        ((), Sequence[str], True),
        ("ab", Sequence[str] | str, True),
        ("ab", str | Sequence[str], True),
        ([1], list[int], True),
        (["a"], list[int], False),
        ((1, "a"), tuple[int, str], True),
        ((1,), tuple[int, str], False),
        ({"a": [1]}, Mapping[str, list[int]], True),
        ({"a": ["1"]}, Mapping[str, list[int]], False),
    ],
)
def test_what_fits_is_what_a_type_checker_would_accept_but_for_true_as_a_number(
    value: Any, annotation: Any, fits: bool
) -> None:
    assert (misfit(value, annotation) is None) is fits


def test_an_annotation_that_cannot_be_resolved_is_not_held_against_the_user() -> None:
    @attrs.frozen(kw_only=True)
    class Odd(ExecutorSettings):
        plugin: ClassVar[str] = "odd"
        one: "NotHere | None" = setting(None, help="")  # type: ignore[name-defined]  # noqa: F821
        two: "int" = setting(1, help="")

    assert build(Odd, "executor 'odd'", {"one": 3}).one == 3
    with pytest.raises(SettingsError):
        build(Odd, "executor 'odd'", {"two": "2"})


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int | None, "int | None"),
        (Sequence[str], "Sequence[str]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Literal["a", 2], "one of 'a', 2"),
        (ExecutorSettings, "an executor"),
        (ProviderSettings | None, "a provider | None"),
        ("Text", "Text"),
        (Any, "Any"),
    ],
)
def test_a_type_is_written_as_people_write_it(annotation: Any, text: str) -> None:
    assert shown_type(annotation) == text


def test_the_nearest_names_come_first() -> None:
    assert nearest("thread", ["processes", "threads", "three"])[0] == "threads"


BUDGET = """
import sys
from weft.configuration.registry import executor, monitor
executor("threads", label="a", max_threads=3)
monitor("log", level="debug", json=True)
try:
    executor("threads", max_threads="four")
except Exception as error:
    assert "it is a str" in str(error)
print("typeguard" in sys.modules)
"""


def test_simple_types_are_checked_without_typeguard() -> None:
    ran = subprocess.run([sys.executable, "-c", BUDGET], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"
