"""Exit statuses, options and their defaults, what is printed and where."""

from __future__ import annotations

import math
import runpy
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_hovernet.cli import models
from napari_hovernet.cli.console import (
    ProgressBar,
    complain,
    names_of,
    number,
    one_line,
    params_of,
    say,
    say_error,
    table,
)
from napari_hovernet.cli.entry import _stop_cleanly_when_told, with_dashes
from napari_hovernet.cli.parser import build_parser
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.types import Progress
from napari_hovernet.core.weights import DEFAULT
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


def test_hyphens_and_underscores_are_the_same() -> None:
    given = ["--image_mpp", "--skip_existing", "--model_mpp=0.5", "a_b.png", "-o", "x_y"]
    assert with_dashes(given) == [
        "--image-mpp", "--skip-existing", "--model-mpp=0.5", "a_b.png", "-o", "x_y",
    ]  # fmt: skip
    assert with_dashes(["--", "--a_b"]) == ["--", "--a_b"]


@pytest.mark.parametrize("command", ["segment", "slide"])
def test_the_model_that_the_help_calls_the_default_is_the_default(command: str) -> None:
    parsed = build_parser(command).parse_args([command, "image.png", "-o", "out"])
    assert parsed.model == DEFAULT


def test_a_user_error_is_one_line_and_status_2(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "devices", raising(InputError("first\nsecond")))
    outcome = run("devices")
    assert outcome.status == 2
    assert outcome.err == "napari-hovernet: error: first\\nsecond\n"
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


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("result")
    complain("hm")
    say_error(ValueError("bad\n  value"), "a.png")
    said = capsys.readouterr()
    assert said.out == "result\n"
    assert said.err == "napari-hovernet: hm\nnapari-hovernet: error: a.png: bad value\n"


def test_an_error_without_text_is_named() -> None:
    assert one_line(KeyError()) == "KeyError"


def test_the_bar_shows_tiles_phases_and_notices(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("a_very_long_name_of_an_image_file.tif", live=True) as bar:
        bar(Progress(0, 0, "reading"))
        bar(Progress(1, 4, "tile 64", notice="out of memory: tile halved"))
        bar(Progress(3, 4))
        bar(Progress(2, 8, "smaller tiles"))
        bar(Progress(0, 0, "Separating nuclei ..."))
    said = capsys.readouterr()
    assert said.out == ""
    assert "3/4" in said.err
    assert "2/8" in said.err
    assert "Separating nuclei" in said.err
    assert "...name_of_an_image_file.tif" in said.err
    assert "note: a_very_long_name_of_an_image_file.tif: out of memory" in said.err


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("a.tif", quiet=True) as bar:
        bar(Progress(1, 4, notice="something"))
    assert capsys.readouterr() == ("", "")


def test_a_log_file_gets_notices_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("a.tif") as bar:
        for done in range(5):
            bar(Progress(done, 4, "tile", notice="tile halved" if done == 2 else ""))
    assert capsys.readouterr().err == "napari-hovernet: note: a.tif: tile halved\n"


def test_numbers_and_tables() -> None:
    assert (number(0.12345), number(math.nan), number(1.0, 1)) == ("0.123", "-", "1.0")
    assert names_of(["a"] * 6) == "a, a, a, a, a ..."
    lines = table([["", "n"], ["one", "10"], ["x", "2"]]).splitlines()
    assert lines == ["      n", "one  10", "x     2"]


@pytest.mark.parametrize("line", ["segment a.png -o out", "evaluate d -o out", "magnitude a.png"])
def test_what_is_not_given_is_the_default_of_the_parameters(line: str) -> None:
    options = build_parser().parse_args(line.split())
    assert params_of(options, InferenceParams()) == InferenceParams()
    given = build_parser().parse_args([*line.split(), "--tile", "512", "--precision", "float32"])
    assert params_of(given, InferenceParams()) == InferenceParams(tile=512, precision="float32")


def test_options_of_other_commands_are_not_made() -> None:
    parser = build_parser("segment")
    options = parser.parse_args(["segment", "a.png", "-o", "out", "--np-threshold", "0.7"])
    published = SeparationParams.preset("hover_net")
    assert params_of(options, published) == replace(published, np_threshold=0.7)
    assert not hasattr(parser.parse_args(["devices"]), "json")
