"""``python -m foliot``: see ``foliot._cli``."""

from __future__ import annotations

import sys

from foliot._cli import main

if __name__ == "__main__":
    sys.exit(main())
