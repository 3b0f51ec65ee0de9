"""Exit statuses, options and their defaults, what is printed and where."""

import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_hovernet.cli import models
from napari_hovernet.cli.console import ProgressBar, params_of
from napari_hovernet.cli.parser import build_parser, with_dashes
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.types import Progress
from napari_hovernet.core.weights import DEFAULT
from napari_hovernet.errors import InputError


def raising(error: BaseException) -> Any:
    def command(_: object) -> int:
        raise error

    return command


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


def test_errors_ctrl_c_and_closed_pipes_have_their_status(run, monkeypatch) -> None:
    monkeypatch.setattr(models, "devices", raising(InputError("first\nsecond")))
    outcome = run("devices")
    assert outcome.status == 2
    assert outcome.err == "napari-hovernet: error: first\\nsecond\n"
    assert outcome.out == ""
    monkeypatch.setattr(models, "devices", raising(InputError("bad")))
    with pytest.raises(InputError, match="bad"):
        run("devices", "--debug")
    monkeypatch.setattr(models, "devices", raising(KeyboardInterrupt()))
    outcome = run("devices")
    assert outcome.status == 130
    assert outcome.err == "napari-hovernet: interrupted; no half-written file is left.\n"


@pytest.mark.parametrize("module", ["napari_hovernet.cli.parser", "napari_hovernet.cli.models"])
def test_ctrl_c_while_the_program_is_loaded_is_one_line(module: str) -> None:
    """Ctrl-C in the midst of an import: no traceback."""
    code = f"""
import os, signal, sys
class Press:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Press())
sys.argv = ["napari-hovernet", "info", "x"]
from napari_hovernet.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "napari-hovernet: interrupted; no half-written file is left.\n"


def test_a_closed_pipe_is_no_error_message(run, monkeypatch) -> None:
    monkeypatch.setattr(models, "devices", raising(BrokenPipeError()))
    outcome = run("devices")
    assert outcome.status == 141
    assert outcome.err == ""


def test_the_module_runs_as_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["napari-hovernet", "info", str(tmp_path / "none.tar")])
    monkeypatch.setattr("napari_hovernet.cli.parser._stop_cleanly_when_told", lambda: None)
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("napari_hovernet", run_name="__main__")
    assert stop.value.code == 2


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
