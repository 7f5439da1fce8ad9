"""The command line that all comparisons have."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from tables import render_markdown, render_text

Results = dict[str, object]


def parse_arguments(
    description: str, *, builds: str = "compile the peers first", rounds: int = 5
) -> argparse.Namespace:
    """Read it: what is compared, what ``--build`` does, and the rounds unless others are said."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--build", action="store_true", help=builds)
    parser.add_argument("--rounds", type=int, default=rounds, help="processes per contender")
    parser.add_argument("--samples", type=int, help="samples per process; default: each row's own")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="rows whose name has a word")
    parser.add_argument("--show", action="store_true", help="render the last results, run nothing")
    parser.add_argument("--markdown", type=Path, help="write the Markdown tables to this file too")
    return parser.parse_args()


def save(results: object, path: Path) -> None:
    """Keep them, for ``--show``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def run(
    options: argparse.Namespace,
    path: Path,
    measure: Callable[[argparse.Namespace], Results | None],
) -> int:
    """Measure, or read what was kept; show it. The exit status: 2 when there was nothing to do."""
    if options.show:
        results = json.loads(path.read_text(encoding="utf-8"))
    else:
        results = measure(options)
        if results is None:
            return 2
        save(results, path)
    print(render_text(results))
    if options.markdown is not None:
        options.markdown.write_text(render_markdown(results), encoding="utf-8")
    return 0
