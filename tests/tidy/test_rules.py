"""The source tree keeps its rules, and each rule catches what it is for."""

import pytest
from tidy import rules, sources

FILES = sources.all_files()


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_rule_holds(rule):
    found = [
        f"{path}:{line}: {message}"
        for path in FILES
        if rule.holds_for.search(path)
        for line, message in rule.violations(path, sources.read(path))
    ]
    assert not found, "\n".join([rule.name, *found])


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_rule_catches_a_planted_violation(rule):
    path, text = rule.bad
    assert rule.holds_for.search(path)
    assert list(rule.violations(path, text))


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_rule_lets_good_code_pass(rule):
    assert not list(rule.violations(*rule.good))


def test_the_tree_is_seen():
    assert "tests/tidy/test_rules.py" in FILES
    assert any(path.startswith("csrc/exec/") for path in FILES)
    assert not any("/target/" in path for path in FILES)


@pytest.mark.parametrize("name", rules.UNSAFE.split("|"))
def test_every_unsafe_call_is_caught(name):
    text = f"void f(void) {{ {name}(x); }}"
    assert list(rules.no_unsafe_call("csrc/a.c", text))


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "HACK"])
def test_every_word_of_unfinished_work_is_caught(word):
    assert list(rules.nothing_is_left_open("csrc/a.c", f"/* {word} */"))


def test_bare_except_is_caught_even_when_it_acts():
    text = "try:\n    f()\nexcept:\n    g()\n"
    assert list(rules.no_swallowed_error("python/a.py", text))
