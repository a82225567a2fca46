"""Each decision has a number of its own, which its title says too."""

import re
from pathlib import Path

PAGES = sorted((Path(__file__).parents[2] / "docs" / "decisions").glob("[0-9][0-9][0-9][0-9]-*.md"))


def test_each_decision_has_a_number_of_its_own() -> None:
    assert [int(page.name[:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))


def test_the_title_says_the_number() -> None:
    for page in PAGES:
        title = re.match(r"# (\d+)\. ", page.read_text())
        assert title is not None, page.name
        assert int(title[1]) == int(page.name[:4]), page.name
