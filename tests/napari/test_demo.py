"""The demonstration: where it can show itself, and how."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet._napari import demo
from napari_hovernet.errors import OutputError


@pytest.fixture
def no_display(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def test_without_display_and_screenshot_it_says_what_to_do(no_display, caplog):
    assert demo.main([]) == 1
    assert "--screenshot" in caplog.text


def test_without_xvfb_it_names_the_packages(no_display, monkeypatch, caplog):
    monkeypatch.setattr(demo.shutil, "which", lambda _: None)
    assert demo.main(["--screenshot", "x.png"]) == 1
    assert "xvfb xauth" in caplog.text


def test_with_xvfb_it_starts_itself_again(no_display, monkeypatch):
    seen = {}

    def run(command, env, check):
        seen.update(command=command, env=env, check=check)
        return argparse.Namespace(returncode=7)

    monkeypatch.setattr(demo.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(demo.subprocess, "run", run)
    assert demo.main(["--screenshot", "x.png", "--sample", "tissue"]) == 7
    assert seen["command"][0] == "xvfb-run"
    assert seen["command"][-5:] == [demo.MODULE, "--screenshot", "x.png", "--sample", "tissue"]
    assert seen["env"]["QT_QPA_PLATFORM"] == "xcb"


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
    class Window:
        def screenshot(self, **_):
            return np.zeros((4, 4, 4), np.uint8)

    viewer = argparse.Namespace(window=Window())
    with pytest.raises(OutputError, match="missing"):
        demo.save_screenshot(viewer, tmp_path / "missing" / "a.png")
    demo.save_screenshot(viewer, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_needs_display_only_where_displays_are_separate(no_display, monkeypatch):
    assert demo.needs_display()
    monkeypatch.setattr("sys.platform", "darwin")
    assert not demo.needs_display()
    assert isinstance(demo.parser().parse_args(["--screenshot", "a"]).screenshot, Path)


def test_it_says_what_is_going_on_and_waits_as_long_as_something_does(caplog, monkeypatch):
    caplog.set_level("INFO")
    shown = demo.Demo(None, argparse.Namespace(screenshot=Path("a.png")))
    waits = []
    shown._watch = argparse.Namespace(start=waits.append)
    monkeypatch.setattr(demo.time, "monotonic", iter((10.0, 10.1, 10.2, 10.3, 99.0)).__next__)
    for line in ("reading", "reading", "tile 1 of 9", "separating", "tile 2 of 9"):
        shown._say(line)
    assert [r.message for r in caplog.records] == ["reading", "separating", "tile 2 of 9"]
    assert waits == [demo.PATIENCE_S * 1000] * 5
