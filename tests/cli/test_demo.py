"""Starting the viewer in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from napari_hovernet.cli import models as demo


def test_it_starts_the_module_with_what_was_given(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def start(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        assert not check
        started.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(demo.subprocess, "run", start)
    monkeypatch.setattr(demo, "NEEDED", ())
    assert run("demo", "--screenshot", "out.png", "--sample", "tissue").status == 3
    assert started[0] == [
        sys.executable, "-m", "napari_hovernet._napari.demo",
        "--sample", "tissue", "--screenshot", "out.png",
    ]  # fmt: skip


def test_without_napari_it_says_what_to_install(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "NEEDED", ("no_such_viewer",))
    outcome = run("demo")
    assert outcome.status == 2
    assert "no_such_viewer" in outcome.err
    assert "pip install 'napari-hovernet[all]'" in outcome.err


def test_the_module_it_starts_is_there() -> None:
    if find_spec("qtpy") is None:
        pytest.skip("the viewer is not installed")
    assert find_spec(demo.DEMO_MODULE) is not None
