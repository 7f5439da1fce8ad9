"""The documentation keeps up with the code: pictures, names, links."""

import re
import runpy

import foliot as fo
import pytest
from foliot import _schedule
from tidy import sources

PICTURES = runpy.run_path(str(sources.ROOT / "docs/pictures.py"))["PICTURES"]
PAGES = [path for path in sources.all_files() if path.endswith(".md")]


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_what_its_script_draws(name, monkeypatch):
    # Of a plan where Python has its lock.
    monkeypatch.setattr(_schedule, "_has_lock", lambda: True)
    committed = (sources.ROOT / "docs/images" / name).read_text(encoding="utf-8")
    assert committed == PICTURES[name]() + "\n", "run python docs/pictures.py"


def test_reference_has_every_public_name():
    text = sources.read("docs/reference.md")
    found = set(re.findall(r"^::: foliot\.(\w+)$", text, re.MULTILINE))
    found |= set(re.findall(r"`fo\.(\w+)`", text))
    assert set(fo.__all__) - found == set()
    assert found - set(fo.__all__) == set()


def test_errors_page_has_every_exception():
    text = sources.read("docs/errors.md")
    missing = [
        name
        for name in fo.__all__
        if name.endswith("Error") and name != "FoliotError" and f"| `{name}` |" not in text
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_to_files(page):
    text = re.sub(r"^```.*?^```", "", sources.read(page), flags=re.MULTILINE | re.DOTALL)
    folder = (sources.ROOT / page).parent
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [
        target
        for target in targets
        if target and "://" not in target and not (folder / target).exists()
    ]
    assert missing == []
