"""Each folder of the C core includes only what stands below it, and nothing goes in a circle."""

import re

import pytest
from tidy import sources

# What a folder of csrc/ may include beside itself and the public headers.
LAYERS = {
    "base": set(),
    "structures": {"base"},
    "trace": {"base", "structures"},
    "world": {"base", "structures"},
    "schedule": {"base", "structures"},
    "policy": {"base", "structures"},
    "sim": {"base", "structures", "trace", "schedule", "policy"},
    "exec": {"base", "structures", "trace", "policy"},
    "io": {"base", "structures", "trace", "exec"},
    "reactor": {"base", "structures", "trace", "exec", "io"},
    "routine": {"base", "structures", "trace", "policy", "exec", "io"},
    "backend": {"base", "structures", "trace", "policy", "exec", "io"},
    "frame": {
        *("base", "structures", "trace", "world", "schedule"),
        *("policy", "exec", "io", "backend", "reactor"),
    },
    "bindings": set(),
}
# Headers of other projects, and the folder that alone may know them.
FOREIGN = {"Python.h": "bindings", "hwloc.h": "exec", "liburing.h": "io"}


def includes(text):
    """Line, opening sign and name of each include."""
    code = sources.without_comments(text, keep_literals=True)
    for number, line in enumerate(code.split("\n"), 1):
        found = re.match(r"\s*#\s*include\s*([\"<])([^\">]+)[\">]", line)
        if found:
            yield number, found[1], found[2]


def layer_violations(path, text):
    """Sentences about the includes of one file that its layer forbids."""
    top, _, rest = path.partition("/")
    folder = rest.partition("/")[0] if top == "csrc" else "foliot"
    if top == "csrc" and folder not in LAYERS:
        yield f"{path}: {folder} is no layer"
        return
    allowed = {"foliot"} | ({folder} | LAYERS[folder] if top == "csrc" else set())
    for line, sign, name in includes(text):
        if sign == "<":
            owner = FOREIGN.get(name)
            if owner is not None and owner != folder:
                yield f"{path}:{line}: <{name}> belongs to {owner}/ alone"
            if name.startswith("foliot/"):
                yield f"{path}:{line}: <{name}> is ours, it takes quotation marks"
        elif "/" not in name:
            yield f'{path}:{line}: "{name}" lacks its folder'
        elif name.partition("/")[0] not in allowed:
            yield f'{path}:{line}: {folder} may not include "{name}"'


def c_files():
    return [
        path
        for path in sources.all_files()
        if path.startswith(("csrc/", "include/")) and path.endswith((".c", ".h"))
    ]


def test_every_include_keeps_to_its_layer():
    found = [line for path in c_files() for line in layer_violations(path, sources.read(path))]
    assert not found, "\n".join(found)


def test_layers_have_no_circle():
    placed = set()
    while len(placed) < len(LAYERS):
        ready = {name for name, below in LAYERS.items() if below <= placed} - placed
        assert ready, f"a circle among {sorted(set(LAYERS) - placed)}"
        placed |= ready


def test_every_included_file_exists():
    missing = [
        f'{path}:{line}: "{name}"'
        for path in c_files()
        for line, sign, name in includes(sources.read(path))
        if sign == '"'
        and not (sources.ROOT / "csrc" / name).is_file()
        and not (sources.ROOT / "include" / name).is_file()
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("csrc/base/a.c", '#include "structures/heap.h"'),
        ("csrc/schedule/a.c", '#include "world/world.h"'),
        ("csrc/world/a.c", '#include "frame/frame.h"'),
        ("csrc/frame/a.c", '#include "bindings/module.h"'),
        ("csrc/bindings/a.c", '#include "world/world.h"'),
        ("csrc/base/a.c", "#include <Python.h>"),
        ("csrc/backend/a.c", "#  include <liburing.h>"),
        ("csrc/io/a.c", "#include <hwloc.h>"),
        ("csrc/world/a.c", '#include "table.h"'),
        ("csrc/world/a.c", "#include <foliot/world.h>"),
        ("csrc/attic/a.c", "int x;"),
        ("include/foliot/a.h", '#include "base/memory.h"'),
    ],
)
def test_planted_include_is_caught(path, line):
    assert list(layer_violations(path, f"/* A file. */\n{line}\n"))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("csrc/world/a.c", '#include "base/memory.h"'),
        ("csrc/world/a.c", '#include "foliot/world.h"'),
        ("csrc/world/a.c", '/* #include "frame/frame.h" */'),
        ("csrc/bindings/a.c", "#include <Python.h>"),
        ("csrc/bindings/a.c", '#include "bindings/module.h"'),
        ("include/foliot/a.h", '#include "foliot/status.h"'),
        ("csrc/io/a.c", "#include <liburing.h>"),
    ],
)
def test_allowed_include_passes(path, line):
    assert not list(layer_violations(path, f"/* A file. */\n{line}\n"))
