"""Fixtures every test may use, and what the whole run needs."""

import contextlib
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from napari_hovernet.cli import main

ROOT = Path(__file__).resolve().parents[1]
"""Top of the repository."""
WINDOWED = (ROOT / "tests" / "napari", ROOT / "tests" / "journeys")
"""Tests below these folders open windows."""
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
NO_DISPLAY = (
    "needs a display: run `bash tools/get-started.sh test`, or `xvfb-run -a python -m pytest`"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what opens windows where none can open: Qt would end the whole run there.

    Under ``$CI`` that is an error: a run that is to decide must not leave tests out.
    """
    if sys.platform != "linux" or any(os.environ.get(name) for name in DISPLAYS):
        return
    windowed = [x for x in items if any(x.path.is_relative_to(folder) for folder in WINDOWED)]
    if windowed and os.environ.get("CI"):
        raise pytest.UsageError(f"{len(windowed)} tests: {NO_DISPLAY}")
    for item in windowed:
        item.add_marker(pytest.mark.skip(reason=NO_DISPLAY))


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings of whoever runs the tests out of them, and safe from them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_HOVERNET_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


@dataclass(frozen=True)
class Outcome:
    """What a command line came to."""

    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if "error: " in line]


Run = Callable[..., Outcome]


def call(*argv: object) -> Outcome:
    """Run a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(argument) for argument in argv])
        except SystemExit as stop:
            status = int(stop.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def run() -> Run:
    return call


@pytest.fixture(scope="session")
def root() -> Path:
    """Top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real images and reference outputs that are kept outside the repository.

    ``$NAPARI_HOVERNET_SHARED`` if set, else ``../shared`` beside the repository.
    """
    named = os.environ.get("NAPARI_HOVERNET_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip(
            f"needs the reference data: no golden/ in {folder}; "
            "put it there or point NAPARI_HOVERNET_SHARED at it"
        )
    return folder


@pytest.fixture(scope="session")
def write_token_family() -> Any:
    """Write the files of a generated family of the token decoder (of ``benchmarks``)."""
    found = importlib.util.spec_from_file_location("f", ROOT / "benchmarks" / "token_family.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.write_token_family
