"""What is measured of HV in all images together."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.data.samples import TURNS
from napari_hovernet.core.diagnosis.map_fits import measure_fits
from napari_hovernet.core.diagnosis.map_hv import HVTally, tally_hv, used_offset
from napari_hovernet.core.diagnosis.map_lengths import lengths_of, measure_lengths, whole_nuclei
from napari_hovernet.core.diagnosis.map_lie import NO_SHIFT
from napari_hovernet.core.diagnosis.map_np import NPReading
from napari_hovernet.core.diagnosis.map_views import View
from napari_hovernet.core.measure.compare import hv_scores
from napari_hovernet.core.synthetic import planted_maps, tissue

READING = NPReading()
IN_PLACE = (TURNS[0], NO_SHIFT)


@pytest.fixture(scope="module")
def view() -> View:
    made = tissue((256, 256), 3)
    maps = planted_maps(made.labels, 0)
    return View(0, "a", maps.np, maps.hv, made.labels)


def measured(view: View, hv: np.ndarray, *, truth: bool = True) -> HVTally:
    view = View(0, "a", view.prob, hv.astype(np.float32), view.labels)
    alignment = IN_PLACE if truth else None
    lengths = measure_lengths(view, READING, alignment)
    assert lengths is not None
    offset = used_offset([lengths])
    return tally_hv([lengths], [measure_fits(view, READING, alignment, offset)])


def test_lengths_are_those_of_the_scores(view: View) -> None:
    found = measured(view, view.hv)
    own = hv_scores(view.hv, whole_nuclei(view.labels))
    assert found.length == pytest.approx(own.magnitude, abs=1e-5)
    assert found.true_length == pytest.approx(own.true_magnitude, abs=1e-5)
    assert found.truth.claimed == pytest.approx(own.cosine, abs=1e-4)


def test_without_truth_shapes_and_slopes_tell(view: View) -> None:
    found = measured(view, view.hv, truth=False)
    assert (found.truth.n, found.true_length) == (0, 0.0)
    assert found.convex.claimed > 0.8
    assert found.slope.claimed > 0.6
    assert found.moved == NO_SHIFT


def test_an_offset_is_taken_off_before_directions_are_told(view: View) -> None:
    assert not measured(view, view.hv).off_centre()
    found = measured(view, (view.hv + 1) / 2)
    assert found.off_centre()
    assert found.one_sided()
    assert found.truth.claimed > 0.9
    assert not measured(view, 0 * view.hv).off_centre()


def test_hv_beside_its_nuclei_is_brought_back(view: View) -> None:
    found = measured(view, np.roll(view.hv, (5, -11), (1, 2)))
    assert found.moved == (5, -11)
    assert found.moved_to - found.moved_from > 0.5


def test_places_are_the_nuclei_that_point_worst(view: View) -> None:
    hv = view.hv.copy()
    whole = whole_nuclei(view.labels)
    areas = np.bincount(whole.ravel())
    areas[0] = 0
    largest = int(areas.argmax())
    hv[:, whole == largest] *= -1
    place = measured(view, hv).places[0]
    r0, r1, c0, c1 = place.box
    assert (whole[r0:r1, c0:c1] == largest).sum() == areas[largest]
    assert "cosine -0." in place.words


def test_no_nucleus_gives_no_length() -> None:
    hv = np.zeros((2, 8, 8), np.float32)
    assert lengths_of(hv, np.zeros((8, 8), bool)) is None
    assert np.isnan(HVTally(()).length)
