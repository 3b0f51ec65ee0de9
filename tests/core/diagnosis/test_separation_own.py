"""The case's own nuclei are cut, counted and pointed at."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.separating import Separator
from napari_hovernet.core.diagnosis.separation_limits import SeparationLimits
from napari_hovernet.core.diagnosis.separation_own import (
    Piece,
    merged_places,
    oracle_steps,
    parts_steps,
    pieces_steps,
    radius_of,
    split_places,
    touching,
    way_of,
)
from napari_hovernet.core.diagnosis.separation_scenes import (
    clusters,
    exact_maps,
    rows_of_ellipses,
    singles,
    soft_maps,
)
from napari_hovernet.core.diagnosis.separation_ways import WAYS
from napari_hovernet.core.masks import label_parts
from napari_hovernet.core.types import Maps

LIMITS = SeparationLimits()


def drive(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def test_nuclei_that_touch_are_counted():
    assert touching(clusters(9)) == 60
    assert touching(rows_of_ellipses(9)) == 18
    assert touching(singles(9)) == 0
    assert touching(np.zeros((3, 3), np.int32)) == 0


def test_the_radius_is_that_of_the_usual_nucleus_within_bounds():
    assert radius_of([singles(12, (1.0,))], LIMITS) == pytest.approx(12, abs=0.2)
    assert radius_of([singles(4, (1.0,))], LIMITS) == LIMITS.radius_low
    assert radius_of([singles(30, (1.0,))], LIMITS) == LIMITS.radius_high
    assert radius_of([np.zeros((5, 5), np.int32)], LIMITS) == LIMITS.radius_low


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("with_truth", [True, False])
def test_the_convention_of_maps_is_told(way, with_truth):
    labels = clusters(9) if with_truth else singles(9)
    maps = way.write(soft_maps(labels))
    piece = Piece(0, "a", (0, 0), maps, labels if with_truth else None)
    assert way_of([piece], LIMITS) == way.name


def test_hv_without_direction_has_no_convention():
    labels = clusters(9)
    noise = np.random.default_rng(0).normal(size=(2, *labels.shape)).astype(np.float32)
    for hv in (noise, np.zeros_like(noise), np.roll(exact_maps(labels).hv, 56, 2)):
        maps = Maps(np=(labels > 0).astype(np.float32), hv=hv)
        assert way_of([Piece(0, "a", (0, 0), maps, labels)], LIMITS) == ""


def test_pieces_are_the_busiest_parts_with_everything_at_the_same_place():
    labels = np.zeros((400, 600), np.int32)
    labels[100 : 100 + 248, 300 : 300 + 290] = np.pad(clusters(9), ((0, 0), (0, 0)))[:248, :290]
    maps = exact_maps(labels)
    items = ArrayItems(labels=[labels], np=[maps.np], hv=[maps.hv])
    (piece,) = drive(pieces_steps(Bench(Case(items=items, separator=Separator.of("local")))))
    row, col = piece.corner
    assert piece.truth.shape == piece.maps.shape == piece.found.shape == (256, 256)
    np.testing.assert_array_equal(piece.truth, labels[row : row + 256, col : col + 256])
    np.testing.assert_array_equal(piece.maps.np > 0, piece.truth > 0)
    assert (piece.truth > 0).sum() > 0.7 * (labels > 0).sum()


def test_maps_alone_make_pieces_too():
    maps = exact_maps(clusters(9))
    items = ArrayItems(np=[maps.np], hv=[maps.hv])
    (piece,) = drive(pieces_steps(Bench(Case(items=items, separator=Separator.of("local")))))
    assert piece.truth is None
    assert piece.found.max() > 30


def test_labels_of_another_size_than_the_maps_are_left_out():
    maps = exact_maps(clusters(9))
    items = ArrayItems(labels=[np.eye(64, dtype=int)], np=[maps.np], hv=[maps.hv])
    (piece,) = drive(pieces_steps(Bench(Case(items=items, separator=Separator.of("local")))))
    assert piece.maps is None
    assert piece.found is None
    assert piece.truth is not None


def test_the_oracle_scores_exact_maps_of_the_truth():
    labels = clusters(9)
    pieces = [Piece(3, "a", (10, 20), None, labels)]
    made = drive(oracle_steps(Separator.of("merging_relabel"), pieces, 5))
    assert made.own == pytest.approx(made.components, abs=1e-6)
    assert made.own == pytest.approx(0.288, abs=0.005)
    assert min(made.healthy.values()) > 0.97
    assert made.n_true == 60
    (place,) = made.places
    assert (place.item, place.words) == (3, "nuclei that came out as one")
    r0, r1, c0, c1 = place.box
    assert labels[r0 - 10 : r1 - 10, c0 - 20 : c1 - 20].any()
    assert drive(oracle_steps(Separator.of("local"), [Piece(0, "b", (0, 0))], 5)) is None


def test_instances_are_held_against_components():
    labels = clusters(9)
    maps = soft_maps(labels)
    blob = label_parts(labels > 0)[0]
    made = drive(parts_steps([Piece(0, "a", (0, 0), maps, labels, blob)], 5))
    assert made.agreement == 1
    assert made.n_found == made.n_parts == 18
    assert made.n_local == pytest.approx(60, abs=2)
    assert made.aji < 0.3
    assert made.local_aji > 0.9
    assert made.n_touching == 60
    assert "holds 4 nuclei" in made.merged[0].words
    assert made.split == ()
    assert drive(parts_steps([Piece(0, "a", (0, 0), maps, labels)], 5)) is None


def test_places_are_in_pixels_of_the_image():
    truth = np.zeros((20, 20), np.int32)
    truth[5:9, 5:9], truth[5:9, 9:13] = 1, 2
    piece = Piece(1, "x", (100, 200))
    ((held, place),) = merged_places(piece, (truth > 0).astype(np.int32), truth)
    assert (held, place.box) == (2, (105, 109, 205, 213))
    ((pieces, place),) = split_places(piece, truth, (truth > 0).astype(np.int32))
    assert (pieces, place.box) == (2, (105, 109, 205, 213))
    assert merged_places(piece, truth, truth) == split_places(piece, truth, truth) == []
