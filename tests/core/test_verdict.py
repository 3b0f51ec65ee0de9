"""Sentences that fit the scores: made from maps with a known fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.masks import label_parts
from napari_hovernet.core.measure.compare import LEVELS, VerdictParams, compare, verdict
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError


def touching() -> np.ndarray:
    labels = np.zeros((80, 120), np.int32)
    labels[8:32, 6:30], labels[8:32, 30:54] = 4, 9
    labels[40:70, 60:100] = 2
    return labels


def apart() -> np.ndarray:
    return np.where(touching() == 9, 0, touching())


def remarks(labels, hv=None, params=None, pred=None):
    maps = Maps(np=labels > 0, hv=hv_targets(labels) if hv is None else hv)
    pred = separate(maps, params).labels if pred is None else pred
    found = verdict(compare(labels, pred, maps, params))
    assert all(remark.level in LEVELS for remark in found)
    return [remark.text for remark in found], [remark.level for remark in found]


def test_good_maps_pay() -> None:
    texts, levels = remarks(touching())
    assert levels == ["good"]
    assert texts[0].startswith("The separation pays: AJI 1.00 against")


def test_instances_merged_again_do_nothing() -> None:
    texts, levels = remarks(touching(), pred=label_parts(touching() > 0)[0])
    assert levels[0] == "bad"
    assert "is no better than connected components" in texts[0]


def test_nuclei_cut_to_pieces_are_worse_than_nothing() -> None:
    rows = np.arange(80)[:, None] // 4 + 1
    texts, levels = remarks(touching(), pred=np.where(touching() > 0, rows, 0))
    assert levels[0] == "bad"
    assert "the separation does harm" in texts[0]


def test_a_separation_that_fails_on_true_maps_is_at_fault() -> None:
    texts, levels = remarks(touching(), params=SeparationParams(depth=1e6))
    assert levels[:2] == ["bad", "bad"]
    assert texts[0].startswith("The oracle is low")
    assert "the separation does nothing" in texts[1]


def test_without_touching_nuclei_the_image_tells_little() -> None:
    texts, levels = remarks(apart())
    assert levels == ["neutral"]
    assert "Hardly any nuclei touch" in texts[0]


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (-1.0, "points the wrong way (cosine -1.00)"),
        (0.0, "HV has no direction (cosine 0.00)"),
        (0.02, "HV is no better than zero: error"),
        (0.3, "HV is short (magnitude"),
        (30.0, "only its scale is off"),
    ],
)
def test_hv_faults_are_named(factor: float, words: str) -> None:
    labels = touching()
    texts, _ = remarks(labels, hv=factor * hv_targets(labels), pred=labels)
    assert any(words in text for text in texts), texts


def test_swapped_channels_have_little_direction() -> None:
    labels = touching()
    texts, levels = remarks(labels, hv=hv_targets(labels)[::-1], pred=labels)
    assert "HV has no direction" in texts[0]
    assert levels[0] == "bad"


def test_short_hv_that_points_right_is_not_called_bad() -> None:
    labels = touching()
    _, levels = remarks(labels, hv=0.02 * hv_targets(labels), pred=labels)
    assert "bad" not in levels


def test_a_full_mask_is_no_better_than_all_foreground() -> None:
    labels = touching()
    texts, _ = remarks(labels, pred=np.ones_like(labels))
    assert any("no better than calling every pixel nucleus" in text for text in texts)


def test_empty_sides() -> None:
    labels, empty = touching(), np.zeros_like(touching())
    assert verdict(compare(labels, empty))[0].text.startswith("Nothing was found")
    assert verdict(compare(empty, labels))[0].level == "neutral"
    assert len(verdict(compare(empty, empty))) == 1


def test_the_bounds_are_parameters() -> None:
    comparison = compare(touching(), touching())
    assert verdict(comparison)[0].level == "good"
    strict = verdict(comparison, VerdictParams(aji_gain=1.0))
    assert all(remark.level != "good" for remark in strict)
    worse = replace(comparison, oracle=replace(comparison.oracle, aji=0.95))
    assert verdict(worse, VerdictParams(oracle_aji=0.96))[0].text.startswith("The oracle is low")


def test_params_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="aji_gain is 2"):
        VerdictParams(aji_gain=2)
