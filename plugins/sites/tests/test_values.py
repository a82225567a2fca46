"""What is a site file, and what is said of a text that is none."""

import datetime as dt

import pytest

from weft_sites.values import BadSite, Fill, parsed

GOOD = """
[site]
title = "Here"
source = "https://example.org"
date = 2026-01-31
base = "slurm"
packages = ["weft-slurm"]
[detect]
hosts = ["login*"]
environment = { SITE = "here" }
[fill.account]
help = "Who pays."
[config]
retries = 1
[executors.htex]
plugin = "htex"
environment = { OMP-LIKE = "1" }
[executors.htex.provider]
plugin = "slurm"
account = "{account}"
"""


def test_a_whole_file() -> None:
    site = parsed("here", GOOD)

    assert (site.name, site.title, site.base) == ("here", "Here", "slurm")
    assert site.date == dt.date(2026, 1, 31)
    assert site.detect.names_one
    assert site.fill["account"] == Fill(help="Who pays.")
    assert site.executors["htex"]["provider"]["account"] == "{account}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[site]", "[site", "It is no TOML"),
        ("[site]", "[sight]", "[sight] means nothing. Did you mean site?"),
        ("[site]", "[site]\nnope = 1", "site.nope means nothing"),
        ('title = "Here"', "", "site.title must be given"),
        ("date = 2026-01-31", 'date = "2026-01-31"', "a date without quotes"),
        ("date = 2026-01-31", "date = 2026-01-31T10:00:00", "a date without quotes"),
        ('base = "slurm"', "base = 3", "site.base is text"),
        ('base = "slurm"', 'base = "../slurm"', "site.base is the name of a site"),
        ('packages = ["weft-slurm"]', 'packages = "weft-slurm"', "site.packages is a list"),
        ('hosts = ["login*"]', "hosts = [1]", "detect.hosts is a list of texts"),
        ('{ SITE = "here" }', "{ SITE = 1 }", "detect.environment is a table of texts"),
        ("[fill.account]", "[fill.Account]", "fill.Account: names are small letters"),
        ('help = "Who pays."', "", "fill.account.help must be given"),
        ('help = "Who pays."', 'help = "h"\ntype = "float"', "one of text, int, bool"),
        ('help = "Who pays."', 'help = "h"\npattern = "("', "no regular expression"),
        ('help = "Who pays."', 'help = "h"\ndefault = 3', "default is not of the type text"),
        ('help = "Who pays."', 'help = "h"\ndefalt = "a"', "Did you mean default?"),
        ("[executors.htex]", '[executors."a b"]', "labels are letters"),
        ("retries = 1", "retries = 2026-01-01", "not a date or a time"),
        ("retries = 1", "my-retries = 1", "options are named by letters"),
        ("[config]", "config = 1\n[other]", "[other] means nothing"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, said: str) -> None:
    assert GOOD.count(old) == 1

    with pytest.raises(BadSite) as raised:
        parsed("here", GOOD.replace(old, new))

    assert said in " ".join(map(str, raised.value.args))


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BadSite) as raised:
        parsed("here", GOOD.replace("2026-01-31", "1").replace('"Here"', '""'))

    assert len(raised.value.args) == 2


@pytest.mark.parametrize(
    ("fill", "text", "means"),
    [
        (Fill(help="h"), "a b", "a b"),
        (Fill(help="h", pattern="[a-z]+"), "abc", "abc"),
        (Fill(help="h", type="int"), "-3", -3),
        (Fill(help="h", type="bool"), "True", True),
    ],
)
def test_what_is_filled_in(fill: Fill, text: str, means: object) -> None:
    assert fill.answer(text) == means


@pytest.mark.parametrize(
    ("fill", "text", "said"),
    [
        (Fill(help="h"), "", "one line of text"),
        (Fill(help="h"), "a\nb", "one line of text"),
        (Fill(help="h", pattern="[a-z]+", example="abc"), "ABC", "such as 'abc'"),
        (Fill(help="h", type="int"), "many", "a number is wanted"),
        (Fill(help="h", type="int"), "1.5", "a number is wanted"),
        (Fill(help="h", type="bool"), "yes", "true or false"),
    ],
)
def test_what_cannot_be_filled_in(fill: Fill, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fill.answer(text)
