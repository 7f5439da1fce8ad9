"""The command line that all comparisons have."""

from __future__ import annotations

import argparse
from pathlib import Path


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
