"""The house rules that no linter checks: sizes, and a test file for every source file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FILE_LINES = 400
WIDGET_LINES = 250
FUNCTION_LINES = 60
"""Longest function, its signature and docstring left out."""

SOURCE = Path(__file__).resolve().parents[1] / "src" / "napari_hovernet"
FILES = sorted(SOURCE.rglob("*.py"))


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = first.end_lineno if documented else first.lineno - 1
    return (function.end_lineno or 0) - (start or 0)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    limit = WIDGET_LINES if "widgets" in path.parts else FILE_LINES
    assert len(text.splitlines()) <= limit, f"split {path.name}"
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = {
        node.name: body_lines(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions) and body_lines(node) > FUNCTION_LINES
    }
    assert not long


def imported_by_tests(root: Path) -> set[str]:
    """Modules that any test imports, or imports from, by their full names."""
    found: set[str] = set()
    for path in (root / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
                found.update(f"{node.module}.{name.name}" for name in node.names)
    return found


def test_every_module_has_its_test_file_or_is_tested_by_name(root: Path) -> None:
    """Modules without a function or method have nothing to test; widgets have journeys."""
    imported = imported_by_tests(root)
    missing = []
    for path in (p for p in FILES if "_napari" not in p.parts and not p.stem.startswith("__")):
        module = path.relative_to(SOURCE)
        mirror = root / "tests" / module.parent / f"test_{module.stem}.py"
        name = ".".join(("napari_hovernet", *module.with_suffix("").parts))
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        works = any(isinstance(node, ast.FunctionDef) for node in tree)
        if works and not mirror.exists() and name not in imported:
            missing.append(module.as_posix())
    assert not missing
