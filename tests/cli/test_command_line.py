"""Exit statuses, options and their defaults, what is printed and where."""

import subprocess
import sys
from typing import Any

import pytest

from napari_hovernet.cli import models
from napari_hovernet.cli.console import ProgressBar, params_of
from napari_hovernet.cli.parser import build_parser
from napari_hovernet.core.params import InferenceParams
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError


def raising(error: BaseException) -> Any:
    def command(_: object) -> int:
        raise error

    return command


def test_errors_ctrl_c_and_closed_pipes_have_their_status(run, monkeypatch) -> None:
    monkeypatch.setattr(models, "devices", raising(InputError("first\nsecond")))
    outcome = run("devices")
    assert (outcome.status, outcome.err) == (2, "napari-hovernet: error: first\\nsecond\n")
    assert outcome.out == ""
    monkeypatch.setattr(models, "devices", raising(InputError("bad")))
    with pytest.raises(InputError, match="bad"):
        run("devices", "--debug")
    monkeypatch.setattr(models, "devices", raising(KeyboardInterrupt()))
    outcome = run("devices")
    assert outcome.status == 130
    assert outcome.err == "napari-hovernet: interrupted; no half-written file is left.\n"
    monkeypatch.setattr(models, "devices", raising(BrokenPipeError()))
    outcome = run("devices")
    assert (outcome.status, outcome.err) == (141, "")


@pytest.mark.parametrize("module", ["napari_hovernet.cli.parser", "napari_hovernet.cli.models"])
def test_ctrl_c_while_the_program_is_loaded_is_one_line(module, heeds_interrupts) -> None:
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


def test_the_bar_shows_tiles_phases_and_notices(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("a_very_long_name_of_an_image_file.tif", live=True) as bar:
        bar(Progress(0, 0, "reading"))
        bar(Progress(1, 4, "tile 64", notice="out of memory: tile halved"))
        bar(Progress(3, 4))
        bar(Progress(2, 8, "smaller tiles"))
        bar(Progress(0, 0, "Separating nuclei ..."))
    said = capsys.readouterr()
    assert said.out == "" and "3/4" in said.err
    assert "2/8" in said.err and "Separating nuclei" in said.err
    assert "...name_of_an_image_file.tif" in said.err
    assert "note: a_very_long_name_of_an_image_file.tif: out of memory" in said.err


@pytest.mark.parametrize("line", ["segment a.png -o out", "evaluate d -o out", "magnitude a.png"])
def test_what_is_not_given_is_the_default_of_the_parameters(line: str) -> None:
    options = build_parser().parse_args(line.split())
    assert params_of(options, InferenceParams()) == InferenceParams()
    given = build_parser().parse_args([*line.split(), "--tile", "512", "--precision", "float32"])
    assert params_of(given, InferenceParams()) == InferenceParams(tile=512, precision="float32")
