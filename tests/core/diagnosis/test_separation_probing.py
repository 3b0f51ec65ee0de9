"""A probe measures what a separation does, whatever it is made of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.diagnosis.separating import Separator
from napari_hovernet.core.diagnosis.separation_probing import (
    EXTREME,
    Probe,
    components_agreement,
    probe_steps,
    score,
    tile_losses,
)
from napari_hovernet.core.diagnosis.separation_scenes import exact_maps, singles
from napari_hovernet.core.diagnosis.separation_ways import OURS, WAYS, Way
from napari_hovernet.core.hv import HVConvention, hv_targets
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.types import Maps


def probe(separation: object, radius: float = 9.0) -> Probe:
    steps = probe_steps(Separator.of(separation), radius)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("radius", [9.0, 16.0])
@pytest.mark.parametrize("preset", ["local", "hover_net"])
def test_presets_are_healthy_in_every_respect(preset, radius):
    made = probe(preset, radius)
    assert (made.error, made.empty_error, made.empty_found, made.repeat) == ("", "", 0, 1.0)
    assert min(s.aji for s in made.exact.values()) > 0.97
    assert min(s.aji for s in made.soft.values()) > 0.9
    assert made.best_way == OURS
    assert min(made.factors.values()) > 0.97
    assert min(aji for name, aji in made.tiles.items() if name != EXTREME) > 0.97
    assert made.pieces == 1
    assert made.threshold in {0.5, 0.6}
    assert made.sees_hv


def test_the_published_one_depends_on_the_tile_and_ours_does_not():
    assert min(probe("local", 16.0).tiles.values()) > 0.97
    assert probe("hover_net", 16.0).tiles[EXTREME] < 0.6


def test_components_of_the_mask_are_seen_as_such():
    made = probe(lambda prob, hv: ndimage.label(prob > 0.5)[0])
    assert made.components == 1
    assert made.aji == pytest.approx(0.288, abs=0.005)
    assert not made.sees_hv
    assert made.way_spread == 0


def test_ways_are_what_the_conventions_say():
    labels = singles(9)
    maps = exact_maps(labels)
    for way, order, sign in (
        (Way("vh"), "vh", "outward"),
        (Way("hv", -1, -1), "hv", "inward"),
        (Way("vh", -1, -1), "vh", "inward"),
    ):
        expected = hv_targets(labels, HVConvention(order=order, sign=sign))
        np.testing.assert_array_equal(way.write(maps).hv, expected)
        assert way.name == f"{order} {sign}"
    assert len({way.name for way in WAYS}) == 8


def test_the_best_way_and_factor_are_ours_where_nothing_is_better():
    ways = {way.name: 0.5 for way in WAYS}
    made = Probe("x", None, 9.0, ways=ways, factors={0.5: 0.7, 1.0: 0.7})
    assert (made.best_way, made.best_factor) == (OURS, 1.0)
    made = Probe("x", None, 9.0, ways=ways | {"vh inward": 0.9}, factors={0.5: 0.8, 1.0: 0.7})
    assert (made.best_way, made.best_factor) == ("vh inward", 0.5)
    assert made.way_spread == pytest.approx(0.4)


def test_the_threshold_is_found_from_outside():
    for threshold, found in ((0.05, 0.05), (0.35, 0.4), (0.9, 0.9), (0.99, 1.0)):
        made = probe(lambda prob, hv, t=threshold: ndimage.label(prob >= np.float32(t))[0])
        assert made.threshold == found


def test_a_separation_that_fails_has_an_error_and_nothing_else():
    def broken(prob, hv):
        raise ValueError("no")

    made = probe(broken)
    assert "no" in made.error
    assert made.exact is None
    assert np.isnan(made.aji)


def test_failing_on_a_variant_alone_counts_as_nothing_found():
    def picky(prob, hv):
        if np.abs(hv).max() > 10:
            raise ValueError("too long")
        return ndimage.label(prob > 0.5)[0]

    made = probe(picky)
    assert made.error == ""
    assert made.factors[50.0] == 0
    assert made.factors[2.0] == pytest.approx(made.aji)


def test_components_by_edges_or_corners():
    assert np.isnan(components_agreement(np.zeros((3, 3), np.int32)))
    corner = np.array([[1, 0], [0, 1]], np.int32)
    assert components_agreement(corner) == 1
    assert components_agreement(np.array([[1, 0], [0, 2]], np.int32)) == 1
    assert components_agreement(np.array([[1, 2], [1, 2]], np.int32)) == pytest.approx(1 / 3)


def test_a_score_counts_what_became_of_nuclei():
    truth = np.array([[1, 1, 0, 2, 2, 0, 3, 3, 3, 3]])
    found = np.array([[1, 1, 0, 0, 0, 4, 2, 2, 3, 3]])
    made = score(truth, found)
    assert (made.n_true, made.n_pred) == (3, 4)
    assert (made.missed, made.split, made.merged) == (1, 1, 0)
    assert made.too_few == 1
    assert made.too_many == made.split + made.spurious


def test_tile_losses_are_small_for_healthy_separations():
    assert max(tile_losses(Separator.of("hover_net"), 12.0)) < 0.05
    steep = SeparationParams(method="hover_net", sobel_size=3, np_threshold=0.5)
    assert max(tile_losses(Separator.of(steep), 12.0)) > 0.2


def test_maps_stay_as_they_were():
    seen: list[Maps] = []

    def cut(maps):
        seen.append(maps)
        return np.zeros(maps.shape, int)

    made = probe(cut)
    assert made.aji == 0
    assert all(np.isfinite(maps.hv).all() for maps in seen)
