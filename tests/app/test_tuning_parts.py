"""Tuning parts and whole runs, and keeping what came out."""

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


def test_tune_steps_answer_with_counts_and_place(maps):
    params, box = TuneParams(SeparationParams(depth=0.3)), (1, 2, 3, 4)
    found = drive(tune_steps(StagedTuner(maps), params, box))
    wanted = tune(maps, params)
    assert np.array_equal(found.separation.labels, wanted.labels)
    assert found.counts == stage_counts(wanted) and found.counts.instances == wanted.n
    assert (found.params, found.box) == (params, box) and found.seconds > 0


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
