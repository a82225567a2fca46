"""What an executor that is built on htex may have otherwise: who runs on nodes, and on which."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

from weft.calls.running import value_of
from weft_htex.blocks import command_of
from weft_htex.pilot import Pilot
from weft_htex.settings import HTEX

_OTHER = """
import os
from weft.values.message import changed
from weft.workers.crew import Crew
from weft_htex.manager import main


class Before:
    def __init__(self, crew, selector, say):
        self.crew, self.selector, self.say = crew, selector, say
        self.hears, end = os.pipe()
        os.write(end, b"x")
        selector.register(self.hears, 1, "its own")

    def handle(self, key, mask):
        if key.data != "its own":
            return self.crew.handle(key, mask)
        self.selector.unregister(self.hears)
        os.environ["HEARD"] = os.read(self.hears, 1).decode()
        self.say(f"heard {os.environ['HEARD']}")

    def __getattr__(self, name):
        return getattr(self.crew, name)


def prepared(orders, log):
    assert orders.extra == {"word": "apple"}, orders
    return changed(orders, workers=2), lambda settings, selector, owner: Before(
        Crew(settings, selector, owner), selector, log
    )


main(prepared)
"""


def test_another_module_is_started_on_nodes() -> None:
    text = command_of(HTEX(python="py"), Pilot(module="its.manager"))
    assert text == "exec py -c 'import gc; gc.disable(); from its.manager import main; main()'"


def test_its_orders_and_its_hands_are_its_own(interchange: Any, tmp_path: Path) -> None:
    interchange.start(program=("-c", _OTHER), extra={"word": "apple"})
    assert interchange.welcome().workers == 2

    interchange.deal(7, operator.add, 2, 3)
    interchange.hear(lambda: 7 in interchange.results)

    assert value_of(interchange.results[7].head) == 5
    (log,) = (tmp_path / "managers").glob("manager-*.log")
    assert "heard x" in log.read_text()
