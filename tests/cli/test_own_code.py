"""Code the user names is imported; nothing else is taken for code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from napari_hovernet.app.own_code import import_named, is_code
from napari_hovernet.errors import InputError


def test_names_of_code_are_told_from_files_and_presets(tmp_path: Path) -> None:
    assert is_code("a.b:c") and is_code(f"{tmp_path}/x.py:cut")
    for text in ("C:\\models\\a.pth", "compact", "separation.json", "a:b.json", "1:x", ""):
        assert not is_code(text)
    there = tmp_path / "a:b"
    there.write_text("a file")
    assert not is_code(str(there))


def test_a_module_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_module_of_a_test.py").write_text("def cut():\n    return 7\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert import_named("own_module_of_a_test:cut")() == 7
    assert sys.path == before
    assert import_named("math:pi") > 3


def test_what_goes_wrong_names_it(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("1 / 0\n")
    for text, words in (
        (f"{bad}:cut", "ZeroDivisionError"), ("math:cut", "math has no 'cut'"),
        (f"{tmp_path}/no.py:cut", "is not there"), ("no_such_module_here:cut", "ModuleNotFound"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            import_named(text)
