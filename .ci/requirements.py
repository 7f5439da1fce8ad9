"""Print the requirements of the package and of the named extras, one per line."""

import re
import sys
import tomllib
from pathlib import Path


def requirements(project: dict, extras: list[str]) -> list[str]:
    """Requirements of the extras, with ``foliot[a,b]`` replaced by what a and b require."""
    found = list(project["dependencies"])
    waiting, seen = list(extras), set()
    while waiting:
        extra = waiting.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for line in project["optional-dependencies"][extra]:
            own = re.fullmatch(r"foliot\[(.*)\]", line)
            if own:
                waiting += own[1].split(",")
            else:
                found.append(line)
    return sorted(set(found))


if __name__ == "__main__":
    document = tomllib.loads(Path("pyproject.toml").read_text())
    print("\n".join(requirements(document["project"], sys.argv[1:])))
