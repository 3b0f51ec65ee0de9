"""Exit statuses, and errors as one line."""

from __future__ import annotations

import runpy
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_hovernet import __version__
from napari_hovernet.cli import models
from napari_hovernet.cli.entry import _stop_cleanly_when_told, with_dashes
from napari_hovernet.errors import InputError


def raising(error: BaseException) -> Any:
    def command(_: object) -> int:
        raise error

    return command


@pytest.fixture
def restored_signal() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_version_and_help(run: Any) -> None:
    assert run("--version").out == f"napari-hovernet {__version__}\n"
    assert "segment" in run("--help").out
    assert "--image-mpp" in run("segment", "--help").out


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["segment"], ["segment", "a.png"], ["info"]])
def test_wrong_usage_is_status_2(run: Any, argv: list[str]) -> None:
    outcome = run(*argv)
    assert outcome.status == 2
    assert "usage: napari-hovernet" in outcome.err


def test_hyphens_and_underscores_are_the_same() -> None:
    given = ["--image_mpp", "--skip_existing", "--model_mpp=0.5", "a_b.png", "-o", "x_y"]
    assert with_dashes(given) == [
        "--image-mpp", "--skip-existing", "--model-mpp=0.5", "a_b.png", "-o", "x_y",
    ]  # fmt: skip
    assert with_dashes(["--", "--a_b"]) == ["--", "--a_b"]


def test_a_user_error_is_one_line_and_status_2(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "devices", raising(InputError("first\nsecond")))
    outcome = run("devices")
    assert outcome.status == 2
    assert outcome.err == "napari-hovernet: error: first second\n"
    assert outcome.out == ""


def test_debug_shows_where_an_error_came_from(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "devices", raising(InputError("bad")))
    with pytest.raises(InputError, match="bad"):
        run("devices", "--debug")


def test_ctrl_c_is_status_130(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "devices", raising(KeyboardInterrupt()))
    outcome = run("devices")
    assert outcome.status == 130
    assert outcome.err == "napari-hovernet: interrupted; no half-written file is left.\n"


def test_a_closed_pipe_is_no_error_message(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "devices", raising(BrokenPipeError()))
    outcome = run("devices")
    assert outcome.status == 141
    assert outcome.err == ""


@pytest.mark.usefixtures("restored_signal")
def test_a_cluster_that_stops_the_job_lets_it_clean_up() -> None:
    _stop_cleanly_when_told()
    with pytest.raises(SystemExit) as stop:
        signal.raise_signal(signal.SIGTERM)
    assert stop.value.code == 143


def test_the_module_runs_as_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["napari-hovernet", "info", str(tmp_path / "none.tar")])
    monkeypatch.setattr("napari_hovernet.cli.entry._stop_cleanly_when_told", lambda: None)
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("napari_hovernet", run_name="__main__")
    assert stop.value.code == 2
