"""Parameters refuse what cannot work and name it."""

from __future__ import annotations

import dataclasses

import pytest

from napari_hovernet.core.params import FAULTS, PRESETS, InferenceParams, SeparationParams
from napari_hovernet.errors import InputError


@pytest.mark.parametrize(
    "field",
    [
        {"method": "magic"},
        {"np_threshold": 1.5},
        {"np_threshold": float("nan")},
        {"min_mean_np": -0.1},
        {"oblique": 2},
        {"min_area": -1},
        {"max_hole_area": -1},
        {"depth": float("inf")},
        {"scales": ()},
        {"scales": (0.0,)},
        {"scales": (1.0, 65.0)},
        {"magnitude_low": 0.0},
        {"magnitude_high": 0.1},
        {"magnitude_window": 4},
        {"sobel_size": 20},
        {"sobel_size": 33},
        {"energy_threshold": 1.01},
        {"blur_size": 0},
        {"opening_size": 2},
        {"min_marker_area": -5},
        {"band_rows": 0},
        {"peak_distance": 0},
    ],
    ids=str,
)
def test_separation_refuses(field):
    with pytest.raises(InputError, match=next(iter(field))):
        SeparationParams(**field)


def test_presets():
    assert SeparationParams.preset() == SeparationParams() == SeparationParams.preset("local")
    published = SeparationParams.preset("hover_net")
    assert (published.np_threshold, published.sobel_size, published.energy_threshold) == (
        0.5,
        21,
        0.4,
    )
    with pytest.raises(InputError, match="local, hover_net"):
        SeparationParams.preset("other")


def test_every_preset_is_there_and_the_faulty_ones_say_what_is_wrong():
    assert {name: SeparationParams.preset(name).method for name in PRESETS} == {
        "local": "local",
        "hover_net": "hover_net",
        "magnitude_peaks": "magnitude_peaks",
        "merging_relabel": "local",
    }
    faulty = [n for n in PRESETS if n in FAULTS]
    assert faulty == ["magnitude_peaks", "merging_relabel"]
    assert all(FAULTS[name].startswith("Faulty on purpose") for name in faulty)
    assert [n for n in PRESETS if SeparationParams.preset(n).merge_touching] == ["merging_relabel"]


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SeparationParams().depth = 1.0


def test_scales_become_a_tuple():
    assert SeparationParams(scales=[1, 2]).scales == (1, 2)


@pytest.mark.parametrize(
    "field",
    [
        {"tiling": "tiny"},
        {"precision": "int8"},
        {"tile": 0},
        {"batch": -1},
        {"image_mpp": 0.0},
        {"model_mpp": -0.25},
        {"mpp_tolerance": -0.1},
    ],
    ids=str,
)
def test_inference_refuses(field):
    with pytest.raises(InputError, match=next(iter(field))):
        InferenceParams(**field)
