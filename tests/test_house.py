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


def test_every_module_of_core_and_app_has_its_test_file(root: Path) -> None:
    modules = [p for p in FILES if p.name != "__init__.py" and p.parts[-2] != "_napari"]
    missing = [
        relative.as_posix()
        for relative in (p.relative_to(SOURCE) for p in modules)
        if relative.parts[0] in {"core", "app"}
        and not relative.stem.startswith("_")
        and not (root / "tests" / relative.parent / f"test_{relative.stem.lstrip('_')}.py").exists()
    ]
    assert not missing
