"""The command: ``uv run --group peers python -m benchmarks``, or ``--help`` behind it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.cases import NAMES, case_named
from benchmarks.report import as_data, facts, facts_lines, from_data, tables
from benchmarks.runner import run_case

_ROUNDS, _QUICK_ROUNDS = 5, 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what weft costs beside its peers. Contestants take turns, each"
        " measurement in a fresh process. Prints Markdown; nothing passes or fails.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and two rounds: a look, not a figure"
    )
    parser.add_argument(
        "--cases", nargs="+", metavar="CASE", choices=NAMES, default=NAMES, help=", ".join(NAMES)
    )
    parser.add_argument(
        "--rounds", type=int, help=f"how often each is measured; {_ROUNDS} when left out"
    )
    parser.add_argument("--sizes", type=int, nargs="+", help="other sizes than those of the case")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="WORD",
        help="only contestants whose names begin with one of these",
    )
    parser.add_argument(
        "--extra", action="store_true", help="also the peers that take long: dask, ray, executorlib"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every measurement to a file"
    )
    parser.add_argument(
        "--show", type=Path, metavar="FILE", help="measure nothing: print the tables of such a file"
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(data: dict[str, Any]) -> None:
    print("\n".join(facts_lines(data["facts"])), "\n")
    for entry in data["cases"]:
        print("\n".join(tables(from_data(entry))))


def main() -> None:
    """Run the cases that were asked for."""
    asked = _arguments()
    if asked.show is not None:
        _show(json.loads(asked.show.read_text(encoding="utf-8")))
        return
    seen = facts()
    print("# What weft costs, beside its peers\n")
    print("\n".join(facts_lines(seen)), "\n", flush=True)
    done = []
    for name in asked.cases:
        case = case_named(name)
        began = time.monotonic()
        contestants = [*case.contestants, *(case.extra if asked.extra else ())]
        if asked.only:
            contestants = [one for one in contestants if one.startswith(tuple(asked.only))]
        outcome = run_case(
            case,
            asked.sizes or (case.quick if asked.quick else case.sizes),
            asked.rounds or (_QUICK_ROUNDS if asked.quick else _ROUNDS),
            contestants=contestants,
            say=_say,
        )
        print("\n".join(tables(outcome)), flush=True)
        _say(f"{name}: {time.monotonic() - began:.0f} s")
        done.append(as_data(outcome))
        if asked.json is not None:
            asked.json.write_text(
                json.dumps({"facts": seen, "cases": done}, indent=1) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    main()
