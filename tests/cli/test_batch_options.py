"""What the two batch commands have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_hovernet.cli.batch_options import (
    choice_of,
    inference_of,
    names_of,
    number,
    table,
    tuning_of,
    with_interval,
)
from napari_hovernet.cli.entry import with_dashes
from napari_hovernet.cli.parser import build_parser
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.io.files import write_params
from napari_hovernet.core.measure.metrics import Interval
from napari_hovernet.core.params import PRESETS, SeparationParams
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.errors import InputError

NAN = float("nan")


def parsed(line: str) -> object:
    return build_parser().parse_args(with_dashes(line.split()))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_named(preset: str) -> None:
    options = parsed(f"evaluate data -o out --preset {preset}")
    assert tuning_of(options).separation == SeparationParams.preset(preset)


def test_the_default_is_the_local_separation_and_a_file_is_read(tmp_path: Path) -> None:
    assert tuning_of(parsed("magnitude a.png")) == TuneParams()
    saved = TuneParams(SeparationParams(depth=0.3), HVReading(sign="inward"))
    write_params(tmp_path / "p.json", saved)
    assert tuning_of(parsed(f"evaluate d -o o --params {tmp_path / 'p.json'}")) == saved
    (tmp_path / "q.json").write_text("{}")
    with pytest.raises(InputError, match=r"q\.json holds no separation parameters"):
        tuning_of(parsed(f"evaluate d -o o --params {tmp_path / 'q.json'}"))


def test_options_arrive_where_they_belong() -> None:
    line = "evaluate d -o o --split val --source S --labels gt --pattern *.png --image_mpp 0.5"
    options = parsed(line + " --model-mpp 0.25 --tile 512 --batch 2 --precision float32")
    choice, inference = choice_of(options, need_labels=True), inference_of(options)
    assert (choice.split, choice.source, choice.labels) == ("val", "S", Path("gt"))
    assert choice.need_labels
    assert (inference.image_mpp, inference.model_mpp, inference.tile) == (0.5, 0.25, 512)
    with pytest.raises(InputError, match="image_mpp is -1"):
        inference_of(parsed("evaluate d -o o --image-mpp -1"))


@pytest.mark.parametrize("line", ["--preset local --params p.json", "--model m --pred p",
                                  "--checkpoint m --pred p", "--preset nonsense"])  # fmt: skip
def test_what_excludes_each_other(line: str) -> None:
    with pytest.raises(SystemExit):
        parsed(f"evaluate d -o o {line}")


def test_checkpoint_is_another_word_for_model() -> None:
    assert parsed("magnitude a.png --checkpoint m.tar").model == "m.tar"
    assert parsed("evaluate d -o o --model m.tar").model == "m.tar"


def test_numbers_and_tables() -> None:
    assert (number(0.12345), number(NAN), number(1.0, 1)) == ("0.123", "-", "1.0")
    assert with_interval(Interval(0.5, NAN, NAN, 1)) == "0.500"
    assert with_interval(Interval(NAN, NAN, NAN, 0)) == "-"
    assert names_of(["a"] * 6) == "a, a, a, a, a ..."
    lines = table([["", "n"], ["one", "10"], ["x", "2"]]).splitlines()
    assert lines == ["      n", "one  10", "x     2"]
