"""Scores beside base rates."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.map_score import Scored, model_score
from napari_hovernet.core.masks import label_parts
from napari_hovernet.core.measure.compare import compare
from napari_hovernet.core.synthetic import planted_maps, tissue


def scored(pred: np.ndarray | None = None) -> Scored:
    labels = tissue((128, 128), 0).labels
    maps = planted_maps(labels, 0)
    return Scored(3, "a", (128, 128), compare(labels, labels if pred is None else pred, maps))


def test_a_good_prediction_is_ok_and_base_rates_are_told() -> None:
    one = scored()
    finding = model_score([one])
    assert (finding.verdict, finding.value) == ("ok", 1.0)
    assert finding.numbers["AJI of components"] == one.scores.connected_components.aji
    assert finding.numbers["HV MSE"] < finding.numbers["HV MSE of 0"]
    assert f"{one.scores.oracle.aji:.2f}" in finding.evidence


def test_a_poor_one_is_a_fault_of_the_last_resort() -> None:
    noise = np.random.default_rng(0).random((128, 128)) > 0.7
    finding = model_score([scored(), *(scored(label_parts(noise)[0]) for _ in range(9))])
    assert finding.verdict == "fault"
    assert finding.certainty <= 0.4
    assert finding.places[0].item == 3
    assert finding.value == pytest.approx(0.1, abs=0.1)


def test_without_truth_it_is_not_tested() -> None:
    assert model_score([]).verdict == "not tested"
