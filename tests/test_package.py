"""What ``import napari_hovernet`` gives, and what it must not pull in."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

import napari_hovernet

HEAVY = ("torch", "lightning", "numba", "napari", "qtpy", "PyQt6", "PySide6", "magicgui")
HEAVY += ("psygnal", "cv2")


def modules_after(statement: str) -> set[str]:
    """Top-level modules loaded in a fresh interpreter that ran ``statement``."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return {name.partition(".")[0] for name in json.loads(run.stdout)}


def test_importing_the_package_is_light() -> None:
    loaded = modules_after("import napari_hovernet")
    assert "napari_hovernet" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_command_line_can_say_its_version_without_loading_torch() -> None:
    code = "import napari_hovernet.cli as c\ntry: c.main(['--version'])\nexcept SystemExit: pass\n"
    guard = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n "
    loaded = modules_after(guard + f"exec({code!r})")
    assert loaded.isdisjoint({"torch", "napari", "qtpy", "numba"})


@pytest.mark.parametrize("name", napari_hovernet.__all__)
def test_every_public_name_resolves(name: str) -> None:
    value = getattr(napari_hovernet, name)
    assert value is not None
    assert getattr(napari_hovernet, name) is value
    assert name in dir(napari_hovernet)


@pytest.mark.parametrize("name", sorted(set(napari_hovernet.__all__) - {"__version__"}))
def test_every_public_name_says_what_it_does(name: str) -> None:
    doc = getattr(napari_hovernet, name).__doc__
    assert doc
    assert doc.strip()
    assert not doc.startswith(f"{name}(")  # what dataclass writes when nobody wrote a docstring


def test_the_names_for_type_checkers_are_the_lazy_names() -> None:
    """A type checker reads the ``TYPE_CHECKING`` block, Python reads ``_EXPORTS``."""
    source = (napari_hovernet.__spec__.origin or "").strip()
    with open(source, encoding="utf-8") as file:
        lines = file.read().splitlines()
    typed = {line.split()[-1] for line in lines if line.startswith("    from .") and " as " in line}
    assert typed == set(napari_hovernet._EXPORTS)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = napari_hovernet.no_such_name


def test_the_installed_version_is_the_one_in_the_source() -> None:
    assert version("napari-hovernet") == napari_hovernet.__version__
