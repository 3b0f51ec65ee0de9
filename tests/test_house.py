"""The house rules that no linter checks: sizes of packages, files and functions."""

import ast
from pathlib import Path

FILE_LINES = 600
FUNCTION_LINES = 60
"""Longest function, its signature and docstring left out."""
SOURCE = Path(__file__).resolve().parents[1] / "src" / "napari_hovernet"
FILES = {path.relative_to(SOURCE).as_posix(): path for path in sorted(SOURCE.rglob("*.py"))}
CEILINGS = Path(__file__).with_name("ceilings.txt")


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def ceilings() -> dict[str, int]:
    rows = (line.split() for line in CEILINGS.read_text("utf-8").splitlines() if line[:1] != "#")
    return {row[0]: int(row[1].replace(",", "")) for row in rows if row}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = first.end_lineno if documented else first.lineno - 1
    return (function.end_lineno or 0) - (start or 0)


def test_every_package_stays_under_its_ceiling() -> None:
    now: dict[str, int] = {}
    for name, path in FILES.items():
        package = name.rpartition("/")[0] or "napari_hovernet"
        now[package] = now.get(package, 0) + lines_of(path)
    known = ceilings()
    assert not set(now) - set(known), "a package without a ceiling"
    assert {p: n for p, n in now.items() if n > known[p]} == {}, "fold or delete before you add"


def test_no_file_is_longer_than_its_subject_needs() -> None:
    long = {n: lines_of(path) for n, path in FILES.items() if lines_of(path) > FILE_LINES}
    assert not long


def test_functions_fit_a_screen() -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        f"{name}: {node.name}"
        for name, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, functions) and body_lines(node) > FUNCTION_LINES
    ]
    assert not long
