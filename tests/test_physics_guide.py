"""The physics guide keeps its word: links exist, and numbers are what the code computes."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "physics.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\[`([\w.]+)`\]\(\.\./([\w/]+\.py)\)", GUIDE)
FUNCTIONS = sorted({(name, path) for name, path in LINKS if path.startswith("nmrqb/")})
TESTS = sorted({(name, path) for name, path in LINKS if path.startswith("tests/")})
ROWS = re.findall(r"^\| (-?[\d.]+) \| `([^`]+)` \|", GUIDE, flags=re.MULTILINE)
(SETUP,) = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)


def found(name, path):
    """Return the object of a dotted name, which must be defined in the file of the link."""
    module = path.removesuffix(".py").replace("/", ".")
    assert name.startswith(module + ".")
    value = importlib.import_module(module)
    for part in name.removeprefix(module + ".").split("."):
        value = getattr(value, part)
    return value


def names_in(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("name", "path"), FUNCTIONS)
def test_every_function_of_the_guide_exists_where_it_says(name, path):
    assert found(name, path).__doc__


@pytest.mark.parametrize(("name", "path"), TESTS)
def test_every_test_of_the_guide_exists(name, path):
    assert name in names_in(path)


def test_every_formula_row_has_a_function_and_a_test():
    for table in re.findall(r"\| formula \| function \| test \|\n\|[-|]+\|\n((?:\|.*\n)+)", GUIDE):
        for row in table.splitlines():
            targets = re.findall(r"\]\(\.\./(nmrqb|tests)/", row)
            assert targets == ["nmrqb", "tests"], row


def test_the_guide_has_no_link_that_the_checks_above_overlook():
    relative = re.findall(r"\]\(\.\./([^)]+)\)", GUIDE)
    assert len([t for t in relative if t.endswith(".py")]) == len(LINKS)
    assert all((ROOT / target).exists() for target in relative)
    assert len(re.findall(r"^\| -?[\d.]+ \| `", GUIDE, flags=re.MULTILINE)) == len(ROWS)


@pytest.mark.parametrize(("printed", "expression"), ROWS)
def test_every_number_of_the_guide_is_what_the_code_computes(printed, expression):
    names: dict[str, object] = {}
    exec(SETUP, names)  # noqa: S102 (the guide's own first block)
    value = float(eval(expression, names))  # noqa: S307
    decimals = len(printed.partition(".")[2])
    assert value == pytest.approx(float(printed), abs=0.51 * 10.0**-decimals)


def test_a_wrong_name_would_be_noticed():
    with pytest.raises(AttributeError):
        found("nmrqb.models.damped.damped_harmonic", "nmrqb/models/damped.py")
    assert "test_that_nobody_wrote" not in names_in("tests/test_crossover.py")
