"""The mutants that are made, and the list of those that are equivalent."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from mutants import Mutant, mutants_of, read
from mutate import REPOSITORY, Baseline, equivalents, files_of
from script_mutants import script_mutants

if sys.platform == "win32":
    pytest.skip("mutants are made in forked processes", allow_module_level=True)

NAMING = "calmasters/planning/naming.py"
SOURCE = '''
"""A module."""

LIMIT: Final = 3
WORDS = {"a", "a sentence of words"}

def f(x: int = 1) -> str:
    """Say."""
    if x > LIMIT and not x == 7:
        raise ValueError("too large")
    g(x, 2)
    return f"{x} is said"
'''


def made(source: str) -> list[Mutant]:
    return [mutant for mutant, _ in mutants_of(ast.parse(source), "calmasters/m.py")]


def test_operators_constants_conditions_statements_and_arguments_are_changed() -> None:
    found = {(mutant.within, mutant.was, mutant.becomes) for mutant in made(SOURCE)}
    condition = "x > LIMIT and (not x == 7)"
    assert found == {
        ("", "LIMIT: Final = 3", "LIMIT: Final = 4"),
        ("", "WORDS = {'a', 'a sentence of words'}", "WORDS = {'aXX', 'a sentence of words'}"),
        ("f", "x: int=1", "x: int=2"),
        ("f", condition, "x >= LIMIT and (not x == 7)"),
        ("f", condition, "x > LIMIT or not x == 7"),
        ("f", condition, "x > LIMIT and x == 7"),
        ("f", condition, "x > LIMIT and (not x != 7)"),
        ("f", condition, "x > LIMIT and (not x == 8)"),
        ("f", "raise ValueError('too large')", "pass"),
        ("f", "g(x, 2)", "pass"),
        ("f", "g(x, 2)", "g(2, x)"),
        ("f", "g(x, 2)", "g(x, 3)"),
        ("f", "return f'{x} is said'", "return None"),
    }


def test_what_runs_at_import_is_distinguished_from_the_bodies_of_functions() -> None:
    at_import = {mutant.was for mutant in made(SOURCE) if mutant.function is None}
    assert at_import == {
        "LIMIT: Final = 3",
        "WORDS = {'a', 'a sentence of words'}",
        "x: int=1",
    }
    assert {mutant.function for mutant in made(SOURCE)} - {None} == {("f", 7)}


def test_each_mutant_is_another_module_and_the_tree_comes_back() -> None:
    tree = ast.parse(SOURCE)
    texts = [ast.unparse(change()) for _, change in mutants_of(tree, "calmasters/m.py")]
    assert len({*texts, ast.unparse(ast.parse(SOURCE))}) == len(texts) + 1
    assert ast.unparse(tree) == ast.unparse(ast.parse(SOURCE))


def test_equal_changes_in_one_function_are_numbered() -> None:
    first, second = (m for m in made("def f():\n    g()\n    g()") if m.becomes == "pass")
    assert (first.number, second.number) == (1, 2)
    assert first.key != second.key


def test_tests_that_reach_the_line_are_run_those_of_the_module_first_and_slow_ones_not() -> None:
    (mutant,) = made("def f():\n    return 1 in x")[:1]
    baseline = Baseline(
        {"a.py::fast": 0.1, "test_m.py::t": 0.5, "b.py::other": 0.1, "c.py::slow": 2.0},
        {
            "a.py::fast": {"calmasters/m.py": {2}},
            "test_m.py::t": {"calmasters/m.py": {1, 2}},
            "b.py::other": {"calmasters/m.py": {1}},
            "c.py::slow": {"calmasters/m.py": {2}},
        },
    )
    assert baseline.tests_of(mutant) == ["test_m.py::t", "a.py::fast"]


def test_tokens_of_scripts_are_changed() -> None:
    script = (
        "// a - b\nvar a = b < 3 && !c;\nwrite('word', 'two words', a + 1);\nthrow new Error(1);\n"
    )
    scripts = [*script_mutants(script, "pixinsight/m.js")]
    found = {(mutant.line, mutant.becomes) for mutant, _ in scripts}
    assert found == {
        (2, "var a = b <= 3 && !c;"),
        (2, "var a = b < 4 && !c;"),
        (2, "var a = b < 3 || !c;"),
        (2, "var a = b < 3 &&  c;"),
        (3, "write('wordXX', 'two words', a + 1);"),
        (3, "write('word', 'two words', a - 1);"),
        (3, "write('word', 'two words', a + 2);"),
    }
    changed = {text for _, text in scripts}
    assert len(changed) == 7
    assert all(text.startswith("// a - b\n") for text in changed)


def test_each_equivalent_mutant_is_still_made_and_has_a_reason() -> None:
    known = defaultdict(set)
    for module in {key[0] for key in equivalents()}:
        path = REPOSITORY / module
        is_script = module.endswith(".js")
        made = script_mutants(path.read_text("ascii"), module) if is_script else None
        known[module] = {mutant.key for mutant, _ in made or mutants_of(read(path), module)}
    assert [key for key in equivalents() if key not in known[key[0]]] == []
    assert all(why.endswith(".") for why in equivalents().values())


def test_modules_have_quick_tests() -> None:
    assert files_of(["calmasters/headers/nights.py"]) == ["tests/headers/test_nights.py"]
    tests = files_of(["calmasters/headers/frame_types.py", "calmasters/inventory/verdicts.py"])
    assert all((REPOSITORY / test).is_file() for test in tests)


@pytest.mark.slow
def test_a_module_is_mutated() -> None:
    done = subprocess.run(
        [sys.executable, "tests/mutation/mutate.py", NAMING, "--sample", "10"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"| `{NAMING}` | 10 | 10 |" in done.stdout
