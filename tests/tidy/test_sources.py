"""The scanner of C and Python that the rules stand on."""

from tidy import sources


def test_comments_and_strings_are_blanked_and_lines_stay():
    text = 'int a; /* { \n } */ char *b = "}\\"{"; // {\nint c;'
    code = sources.without_comments(text)
    assert code.count("\n") == text.count("\n")
    assert "{" not in code
    assert "}" not in code
    assert "int c;" in code


def test_character_literals_are_blanked():
    assert "{" not in sources.without_comments("c == '{' || c == '\\''")


def test_functions_are_found_with_their_lines():
    text = "#define F(x) { x }\nstatic int\none(int a)\n{\n    if (a) { b(); }\n}\n\nint x = 1;\n"
    (found,) = sources.c_functions(text)
    assert (found.name, found.first_line, found.line_count) == ("one", 2, 5)


def test_initialisers_and_types_are_no_functions():
    text = "struct s { int a; };\nenum { A };\nstatic const int t[] = { 1, 2 };\n"
    assert sources.c_functions(text) == []


def test_function_pointers_in_parameters_keep_the_name():
    (found,) = sources.c_functions("void run(int (*fn)(void *), void *x)\n{\n    fn(x);\n}\n")
    assert found.name == "run"


def test_functions_inside_extern_c_are_found():
    text = '#ifdef __cplusplus\nextern "C" {\n#endif\nstatic inline int f(void)\n{\n}\n'
    text += "#ifdef __cplusplus\n}\n#endif\n"
    assert [found.name for found in sources.c_functions(text)] == ["f"]


def test_macro_bodies_of_several_lines_are_passed_over():
    text = "#define M(x) \\\n    do { \\\n    } while (0)\nint f(void)\n{\n}\n"
    (found,) = sources.c_functions(text)
    assert (found.name, found.first_line) == ("f", 4)


def test_docstrings_do_not_count_as_lines():
    text = 'def f():\n    """One.\n\n    Two.\n    """\n    return 1\n'
    (found,) = sources.python_functions(text)
    assert found.line_count == 2


def test_comment_lines_come_without_their_signs():
    assert sources.comments("a.c", "/* One.\n * Two. */\n") == [(1, "One."), (2, "Two.")]
    assert sources.comments("a.py", "x = 1\n# Three.\n") == [(2, "Three.")]
