"""The frozen holders refuse what is wrong, and say what to do."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.types import Evaluation, Maps, Nuclei, Outcomes, Separation
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


def test_nuclei_have_a_length() -> None:
    none = np.zeros(0)
    nuclei = Nuclei(
        label=none.astype(np.int32),
        bbox=np.zeros((0, 4), np.int32),
        centroid=np.zeros((0, 2)),
        area=none.astype(np.int64),
        contours=(),
        type=none.astype(np.int32),
        type_probability=none,
        magnitude_mean=none,
        magnitude_p95=none,
        np_mean=none,
    )
    assert len(nuclei) == 0
    assert nuclei.type_names == {}
