"""Parts and the whole give the same nuclei; what is kept is a whole result."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.app.jobs import drive
from napari_hovernet.app.segment import SegmentParams, SegmentResult, run_metadata
from napari_hovernet.app.tuning import Tuners, cropped, grown, kept_steps, reach_of, tune_steps
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.params import PRESETS, SeparationParams
from napari_hovernet.core.separation.tuning import StagedTuner, TuneParams, stage_counts, tune
from napari_hovernet.core.synthetic import TissueParams, planted_maps, tissue
from napari_hovernet.core.types import Maps, ModelInfo, TypeInfo

EDGE = 420
BOXES = [(r, r + 90, c, c + 130) for r in (0, 165, 330) for c in (0, 145, 290)]
"""In the corners, at the borders and in the middle."""
TYPES = {0: TypeInfo("background", (0, 0, 0)), 1: TypeInfo("neoplastic", (255, 0, 0))}


@pytest.fixture(scope="module")
def maps() -> Maps:
    return planted_maps(tissue(shape=(EDGE, EDGE), seed=7, params=TissueParams(mpp=0.5)).labels)


@pytest.fixture(scope="module")
def result(maps) -> SegmentResult:
    found = tune(maps, TuneParams())
    return SegmentResult(
        labels=found.labels,
        nuclei=measure(found.labels, maps),
        info=ModelInfo("compact", mpp=0.25),
        params=SegmentParams(),
        offset=(3, 4),
        mpp=0.25,
        seconds=1.0,
        maps=maps,
        separation=found,
        notices=("tile halved",),
    )


def same_up_to_ids(a, b):
    """Whether two label images are one after renaming ids."""
    if not np.array_equal(a > 0, b > 0):
        return False
    pairs = np.unique(np.stack([a[a > 0], b[a > 0]]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


def slices(box):
    return slice(box[0], box[1]), slice(box[2], box[3])


def within(box, maps, params, reach):
    """Labels in a box, from a part that is ``reach`` pixels larger on all sides."""
    (r0, r1, c0, c1), (top, bottom, left, right) = box, grown(box, reach, maps.shape)
    part = tune(cropped(maps, (top, bottom, left, right)), params)
    return part.labels[r0 - top : r1 - top, c0 - left : c1 - left]


def test_same_up_to_ids_can_tell():
    a = np.array([[1, 1, 2, 0]])
    assert same_up_to_ids(a, np.array([[5, 5, 3, 0]]))
    assert not same_up_to_ids(a, np.array([[5, 5, 5, 0]]))
    assert not same_up_to_ids(a, np.array([[5, 4, 3, 0]]))
    assert not same_up_to_ids(a, np.array([[5, 5, 3, 3]]))


# ---------------------------------------------------------------------- parts


@pytest.mark.parametrize(
    "separation",
    [
        SeparationParams(),
        SeparationParams(depth=0.3, oblique=0.6),
        SeparationParams(scales=(0.8, 5.0), magnitude_window=33),
        SeparationParams(np_threshold=0.7, min_mean_np=0.8, max_hole_area=0),
    ],
    ids=["default", "depth", "scales", "threshold"],
)
def test_a_part_with_its_surroundings_gives_the_nuclei_of_the_whole(maps, separation):
    params = TuneParams(separation)
    whole = tune(maps, params).labels
    assert whole.max() > 50
    for box in BOXES:
        assert same_up_to_ids(within(box, maps, params, reach_of(params)), whole[slices(box)]), box


def test_parts_without_surroundings_do_not(maps):
    """So the test above tests something."""
    whole = tune(maps, TuneParams()).labels
    found = [same_up_to_ids(within(b, maps, TuneParams(), 0), whole[slices(b)]) for b in BOXES]
    assert sum(found) < len(BOXES) / 2


@pytest.mark.parametrize(
    ("change", "more"),
    [
        ({"scales": (1.5, 13.0)}, 30),
        ({"scales": (13.0, 3.0)}, 30),
        ({"magnitude_window": 229}, 50),
        ({"depth": 0.9}, 0),
        ({"sobel_size": 31}, 0),
    ],
)
def test_reach_grows_with_the_filters_that_are_used(change, more):
    plain = reach_of(TuneParams())
    assert reach_of(TuneParams(SeparationParams(**change))) == plain + more


def test_reach_of_the_other_methods():
    published = SeparationParams.preset("hover_net")
    wide = replace(published, sobel_size=31)
    assert reach_of(TuneParams(wide)) == reach_of(TuneParams(published)) + 10
    peaks = SeparationParams.preset("magnitude_peaks")
    far = replace(peaks, peak_distance=60)
    assert reach_of(TuneParams(far)) > reach_of(TuneParams(peaks))


def test_grown_stays_within_the_image():
    assert grown((10, 20, 30, 40), 5, (100, 100)) == (5, 25, 25, 45)
    assert grown((2, 98, 0, 100), 5, (100, 100)) == (0, 100, 0, 100)


def test_cropped_is_the_same_pixels_of_np_and_hv(maps):
    part = cropped(maps, (10, 30, 40, 80))
    assert np.array_equal(part.np, maps.np[10:30, 40:80])
    assert np.array_equal(part.hv, maps.hv[:, 10:30, 40:80])


# ---------------------------------------------------------------------- tuners of a run


def test_the_whole_and_the_latest_part_keep_their_tuners(maps):
    tuners = Tuners(maps)
    whole, part = tuners.of(None), tuners.of((0, 50, 0, 60))
    assert whole.maps is maps and part.maps.shape == (50, 60)
    assert tuners.of(None) is whole and tuners.of((0, 50, 0, 60)) is part
    other = tuners.of((0, 50, 0, 61))
    assert other is not part and other.maps.shape == (50, 61)
    assert tuners.of(None) is whole and tuners.of((0, 50, 0, 60)) is not part


def test_the_whole_and_a_part_at_once(maps):
    """Two threads, each with its own parameters, as in the viewer."""
    tuners, params = Tuners(maps), [TuneParams(SeparationParams(depth=d)) for d in (0.1, 0.4)]
    box, found = (0, 200, 0, 200), {}

    def work(key, where):
        found[key] = [tuners.of(where)(p).labels for p in params * 4]

    threads = [threading.Thread(target=work, args=a) for a in (("all", None), ("part", box))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key, where in (("all", maps), ("part", cropped(maps, box))):
        wanted = [tune(where, p).labels for p in params * 4]
        assert all(np.array_equal(a, b) for a, b in zip(found[key], wanted, strict=True))


# ---------------------------------------------------------------------- steps


def test_tune_steps_answer_with_counts_and_place(maps):
    params, box = TuneParams(SeparationParams(depth=0.3)), (1, 2, 3, 4)
    found = drive(tune_steps(StagedTuner(maps), params, box))
    wanted = tune(maps, params)
    assert np.array_equal(found.separation.labels, wanted.labels)
    assert found.counts == stage_counts(wanted) and found.counts.instances == wanted.n
    assert (found.params, found.box) == (params, box) and found.seconds > 0


def test_tune_steps_tell_before_they_work(maps):
    steps = tune_steps(StagedTuner(maps), TuneParams())
    assert "Separating" in next(steps).message
    steps.close()


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_kept_is_a_whole_result(result, preset):
    params = TuneParams(SeparationParams.preset(preset), HVReading("vh", "inward", 0.5))
    tuned = drive(tune_steps(StagedTuner(result.maps), params))
    kept = drive(kept_steps(result, tuned))
    assert kept.cut_with == kept.params.separation == params.separation
    assert run_metadata(kept)["separation"]["method"] == params.separation.method
    assert np.array_equal(kept.labels, tune(result.maps, params).labels)
    assert kept.separation is tuned.separation and kept.n == kept.labels.max()
    assert np.array_equal(kept.maps.hv[0], -0.5 * result.maps.hv[1])
    inside = kept.nuclei.magnitude_mean
    assert kept.n == 0 or inside.max() <= 0.5 * np.hypot(*result.maps.hv).max() + 1e-6
    assert (kept.offset, kept.mpp, kept.info, kept.notices) == (
        result.offset, result.mpp, result.info, result.notices,
    )  # fmt: skip


def test_keeping_leaves_the_run_as_it_was(result):
    labels, hv = result.labels.copy(), result.maps.hv.copy()
    params = TuneParams(SeparationParams(depth=0.5), HVReading(scale=3.0))
    drive(kept_steps(result, drive(tune_steps(StagedTuner(result.maps), params))))
    assert np.array_equal(result.labels, labels) and np.array_equal(result.maps.hv, hv)
    assert result.cut_with == SeparationParams()


def test_types_are_measured_anew(result):
    types = np.zeros((2, EDGE, EDGE), np.float32)
    types[1] = 1
    typed = replace(
        result,
        info=ModelInfo("hovernet", mode="fast", types=TYPES, mpp=0.25),
        maps=replace(result.maps, types=types),
    )
    tuned = drive(tune_steps(StagedTuner(typed.maps), TuneParams(SeparationParams(depth=0.5))))
    kept = drive(kept_steps(typed, tuned))
    assert kept.n > 0 and (kept.nuclei.type == 1).all()
    assert kept.nuclei.type_names[1].name == "neoplastic"


def test_a_part_or_a_run_without_maps_cannot_be_kept(result):
    tuned = drive(tune_steps(StagedTuner(result.maps), TuneParams()))
    for run, what in (
        (result, replace(tuned, box=(0, 5, 0, 5))),
        (replace(result, maps=None), tuned),
    ):
        with pytest.raises(TypeError, match="Only the whole of a run with its maps"):
            list(kept_steps(run, what))
