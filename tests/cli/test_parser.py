"""Options and their defaults."""

from __future__ import annotations

from napari_hovernet.cli.parser import build_parser
from napari_hovernet.core.params import InferenceParams, SeparationParams


def test_defaults_are_those_of_the_parameters() -> None:
    options = build_parser().parse_args(["segment", "a.png", "-o", "out"])
    inference, separation = InferenceParams(), SeparationParams()
    for name in ("tiling", "tile", "batch", "image_mpp", "model_mpp", "precision"):
        assert getattr(options, name) == getattr(inference, name), name
    assert options.preset == separation.method
    assert (options.model, options.device) == ("compact", "auto")


def test_everything_that_can_be_said() -> None:
    line = "segment a.png b -o out --model m.tar --device cuda:1 --tile 512 --batch 2 --tiling "
    line += "reference --precision float16 --image-mpp 0.5 --model-mpp 0.25 --preset hover_net "
    line += "--formats csv --region 1 2 3 4 --overwrite --recursive --quiet --pattern *.tif"
    options = build_parser().parse_args(line.split())
    assert options.region == [1, 2, 3, 4]
    assert [path.name for path in options.images] == ["a.png", "b"]
    assert options.overwrite
    assert options.quiet


def test_the_batch_commands_have_the_defaults_of_segment() -> None:
    parser = build_parser()
    segment = parser.parse_args(["segment", "a.png", "-o", "out"])
    for line in (["evaluate", "data", "-o", "out"], ["magnitude", "a.png", "data"]):
        options = parser.parse_args(line)
        for name in ("tiling", "tile", "batch", "image_mpp", "model_mpp", "precision", "device"):
            assert getattr(options, name) == getattr(segment, name), name
        assert (options.model, options.preset, options.params) == (None, None, None)
        assert not options.use_mpp
