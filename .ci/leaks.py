"""Read a folder of sanitizer reports: print errors, and leaks of the extension; fail on any.

CPython leaves much allocated when it ends, so a leak counts only when the extension itself asked
for the block: its module is the first frame under the allocation. What such a block points to
hangs on it and is not listed again.
"""

import re
import sys
from pathlib import Path

EXTENSION = re.compile(r"\bcsrc/|\bfol_|_core\.[\w.-]*so")


def blocks_of(text: str) -> list[str]:
    """Paragraphs of a report."""
    return re.split(r"\n\s*\n", text)


def is_own_leak(block: str) -> bool:
    """Whether a paragraph is a direct leak whose first caller is the extension."""
    frames = re.findall(r"^\s*#\d+ .*$", block, re.MULTILINE)
    return (
        re.search(r"^Direct leak of", block, re.MULTILINE) is not None
        and len(frames) > 1
        and EXTENSION.search(frames[1]) is not None
    )


def is_error(text: str) -> bool:
    """Whether a report is about anything else than leaks."""
    return re.search(r"ERROR: (?!LeakSanitizer: detected)|runtime error:", text) is not None


def main(folder: str) -> int:
    """Print what counts; 1 if anything does."""
    found = 0
    for path in sorted(Path(folder).glob("report*")):
        text = path.read_text(errors="replace")
        if is_error(text):
            found += 1
            print(text)
        for block in blocks_of(text):
            if is_own_leak(block):
                found += 1
                print(block)
    print(f"sanitizers: {found} errors and leaks of the extension")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
