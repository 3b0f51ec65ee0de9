from __future__ import annotations

import dataclasses
import os
import threading
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core import types as workers
from napari_hovernet.core.params import FAULTS, PRESETS, InferenceParams, SeparationParams
from napari_hovernet.core.types import (
    CONSEP,
    MONUSAC,
    PALETTE,
    PANNUKE,
    Evaluation,
    Maps,
    Outcomes,
    Separation,
    assumed,
    numbered,
)
from napari_hovernet.errors import InputError

PROB = np.full((4, 5), 0.5)


HV = np.zeros((2, 4, 5))


def test_maps_are_float32_and_contiguous_whatever_came_in() -> None:
    maps = Maps(np=PROB.T.copy().T, hv=HV.astype(np.float16), types=np.ones((3, 4, 5), np.int8))
    assert maps.types is not None
    for array in (maps.np, maps.hv, maps.types):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
    assert maps.shape == (4, 5)


def test_magnitude_is_the_length_of_hv() -> None:
    hv = np.zeros((2, 4, 5))
    hv[:, 1, 2] = 3, -4
    magnitude = Maps(np=PROB, hv=hv).magnitude
    assert magnitude.dtype == np.float32
    assert magnitude[1, 2] == 5
    assert magnitude.sum() == 5


def nan_at_one_pixel() -> np.ndarray:
    hv = HV.copy()
    hv[0, 0, 0] = np.nan
    return hv


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"np": PROB[None], "hv": HV}, r"Maps\.np has shape \(1, 4, 5\)"),
        ({"np": PROB, "hv": HV[:1]}, r"must be \(2, 4, 5\)"),
        ({"np": PROB, "hv": HV[:, :3]}, r"Maps\.hv has shape \(2, 3, 5\)"),
        ({"np": PROB * 40, "hv": HV}, "not its logits"),
        ({"np": PROB, "hv": nan_at_one_pixel()}, "1 values that are not finite"),
        ({"np": PROB, "hv": HV, "types": PROB}, r"Maps\.types has shape"),
        ({"np": PROB, "hv": HV, "types": HV[:, :3]}, r"Maps\.types has shape"),
        ({"np": np.full((4, 5), "a"), "hv": HV}, "give numbers"),
    ],
)
def test_unfit_maps_are_refused_in_words(arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Maps(**arrays)


def test_rounding_beyond_a_probability_is_let_through() -> None:
    assert Maps(np=np.full((1, 1), 1.0005), hv=np.zeros((2, 1, 1))).np[0, 0] > 1
    assert Maps(np=np.zeros((0, 3)), hv=np.zeros((2, 0, 3))).magnitude.shape == (0, 3)


def test_holders_never_change_and_compare_by_identity() -> None:
    maps = Maps(np=PROB, hv=HV)
    with pytest.raises(FrozenInstanceError):
        maps.np = PROB  # type: ignore[misc,assignment]
    assert maps != Maps(np=PROB, hv=HV)
    assert len({maps, maps}) == 1


def test_separation_counts_its_instances() -> None:
    labels = np.array([[0, 1], [3, 2]], np.int32)
    energy = np.zeros((2, 2), np.float32)
    assert Separation(labels > 0, energy, labels, labels).n == 3
    empty = labels[:0]
    assert Separation(empty > 0, energy[:0], empty, empty).n == 0


def test_outcomes_are_counted_by_kind_and_scores_are_plain_numbers() -> None:
    outcomes = Outcomes(
        true_ids=np.arange(1, 5),
        true=np.array(["matched", "merged", "merged", "missed"]),
        pred_ids=np.arange(1, 4),
        pred=np.array(["matched", "merged", "spurious"]),
        partner=np.array([1, 2, 2, 0]),
        iou=np.array([0.9, 0.4, 0.4, 0.0]),
    )
    counts = {"matched": 1, "merged": 2, "split": 0, "missed": 1, "spurious": 1}
    assert outcomes.counts() == counts
    scores = Evaluation(0.9, 0.6, 0.6, 0.5, 0.8, 0.4, 4, 3, outcomes).as_dict()
    assert scores["pq"] == 0.4
    assert scores["n_pred"] == 3
    assert "outcomes" not in scores


def test_pannuke_is_as_published():
    assert [(t.name, t.color) for t in PANNUKE.values()] == [
        ("background", (0, 0, 0)),
        ("neoplastic", (255, 0, 0)),
        ("inflammatory", (0, 255, 0)),
        ("connective", (0, 0, 255)),
        ("dead", (255, 255, 0)),
        ("non-neoplastic epithelial", (255, 165, 0)),
    ]


def test_consep_is_in_the_order_of_its_label_files():
    names = [t.name for t in CONSEP.values()]
    assert names == ["background", "miscellaneous", "inflammatory", "epithelial", "spindle"]


@pytest.mark.parametrize("types", [PANNUKE, CONSEP, MONUSAC, numbered(8)])
def test_types_count_from_background_and_are_told_apart(types):
    assert list(types) == list(range(len(types)))
    assert types[0].name == "background"
    assert len({t.color for t in types.values()}) == len(types)
    assert len({t.name for t in types.values()}) == len(types)


def test_many_types_reuse_the_palette():
    assert numbered(len(PALETTE) + 2)[len(PALETTE) + 1].color == PALETTE[0]


@pytest.mark.parametrize(
    ("n_types", "mode", "wanted"),
    [(6, "fast", PANNUKE), (5, "original", CONSEP), (5, "fast", MONUSAC), (3, "fast", numbered(3))],
)
def test_what_is_assumed_is_said(n_types, mode, wanted):
    types, note = assumed(n_types, mode)
    assert types == dict(wanted)
    assert str(n_types) in note


def test_an_untyped_network_assumes_nothing():
    assert assumed(None, "fast") == ({}, "")


def test_results_come_in_the_order_of_the_pieces(monkeypatch):
    monkeypatch.setattr(workers, "worker_count", lambda: 3)
    barrier = threading.Barrier(3, timeout=20)

    def work(piece: int) -> tuple[int, int]:
        barrier.wait()
        return piece, threading.get_ident()

    found = workers.spread(work, [5, 1, 4])
    assert [piece for piece, _ in found] == [5, 1, 4]
    assert len({thread for _, thread in found}) == 3


def test_an_error_comes_out():
    with pytest.raises(ZeroDivisionError):
        workers.spread(lambda x: 1 // x, [1, 0])


def test_workers_are_the_cores_of_this_process():
    assert 1 <= workers.worker_count() <= min(os.cpu_count() or 1, workers.MOST_WORKERS)


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
