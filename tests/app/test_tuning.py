"""The parameters a run is tuned with: edits, undo, presets, answers."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hovernet.app import tuning as module
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.segment import SegmentParams, SegmentResult, run_metadata
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.inference.tiles import scaled_separation
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.params import PRESETS, InferenceParams, SeparationParams
from napari_hovernet.core.separation.tuning import StageCounts, StagedTuner, TuneParams, tune
from napari_hovernet.core.synthetic import TissueParams, planted_maps, tissue
from napari_hovernet.core.types import Maps, ModelInfo


def depth(value):
    return TuneParams(SeparationParams(depth=value))


def answer(params):
    return module.Tuned(params, separation=None, counts=StageCounts(1, 2, 3))


def result(cut_with=None, image_mpp=None):
    """As much of a result as tuning looks at; the model works at 0.25 µm per pixel."""
    return SimpleNamespace(
        cut_with=cut_with or SeparationParams(),
        info=ModelInfo("compact", mpp=0.25),
        params=SimpleNamespace(inference=InferenceParams(image_mpp=image_mpp)),
    )


@pytest.fixture
def tuning():
    return module.Tuning()


@pytest.fixture
def heard(tuning):
    """What the signals carried, in the order they came."""
    values = []
    for name in ("params", "tuned"):
        signal = getattr(tuning, f"{name}_changed")
        signal.connect(lambda value, name=name: values.append((name, value)))
    return values


def test_edits_are_taken_back_and_made_again_one_by_one(tuning):
    steps = [TuneParams(), depth(0.2), depth(0.3), depth(0.4)]
    for params in steps[1:]:
        tuning.edit(params)
    assert tuning.params == steps[3] and tuning.can_undo and not tuning.can_redo
    for params in steps[2::-1]:
        tuning.undo()
        assert tuning.params == params
    assert not tuning.can_undo
    tuning.undo()
    assert tuning.params == steps[0]
    for params in steps[1:]:
        tuning.redo()
        assert tuning.params == params
    assert not tuning.can_redo
    tuning.redo()
    assert tuning.params == steps[3]
    tuning.edit(depth(0.2))
    tuning.undo()
    tuning.edit(depth(0.3))
    assert not tuning.can_redo
    tuning.undo()
    assert tuning.params == steps[3]


def test_a_drag_is_one_edit(tuning, heard):
    for k in range(30):
        tuning.edit(
            depth(0.2 + k / 100), "depth", now=k * module.MERGE_S
        )  # each just within the time
    assert len(heard) == 30
    tuning.undo()
    assert tuning.params == TuneParams() and not tuning.can_undo
    tuning.redo()
    assert tuning.params == depth(0.2 + 29 / 100)


def test_begin_starts_from_what_the_run_was_cut_with_and_forgets(tuning, heard):
    tuning.edit(depth(0.2))
    tuning.take(answer(depth(0.2)))
    heard.clear()
    cut = SeparationParams(depth=0.33)
    tuning.begin(result(cut))
    assert tuning.params == tuning.start == TuneParams(cut) and tuning.tuned is None
    assert not (tuning.can_undo or tuning.can_redo)
    assert heard == [("params", TuneParams(cut)), ("tuned", None)]
    tuning.begin(None)
    assert tuning.params == TuneParams()


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("image_mpp", "scale"), [(0.25, 1.0), (0.5, 2.0), (0.125, 0.5)])
def test_presets_have_lengths_in_pixels_of_the_run(tuning, name, image_mpp, scale):
    tuning.begin(result(image_mpp=image_mpp))
    wanted = scaled_separation(SeparationParams.preset(name), scale)
    assert (tuning.preset(name), tuning.defaults(name)) == (wanted, TuneParams(wanted))
    tuning.choose_preset(name)
    assert tuning.params.separation == wanted


def test_answers_to_the_present_parameters_alone_are_taken(tuning, heard):
    tuning.edit(depth(0.2))
    found = answer(depth(0.2))
    assert tuning.take(found) and tuning.tuned is found
    assert heard[-1] == ("tuned", found)
    tuning.edit(depth(0.3))
    before = len(heard)
    assert not tuning.take(answer(depth(0.2)))
    assert tuning.tuned is found and len(heard) == before


EDGE = 420
BOXES = [(r, r + 90, c, c + 130) for r in (0, 165, 330) for c in (0, 145, 290)]
"""In the corners, at the borders and in the middle."""


@pytest.fixture(scope="module")
def maps() -> Maps:
    return planted_maps(tissue(shape=(EDGE, EDGE), seed=7, params=TissueParams(mpp=0.5)).labels)


@pytest.fixture(scope="module")
def result_parts(maps) -> SegmentResult:
    found = tune(maps, TuneParams())
    parts = {"labels": found.labels, "nuclei": measure(found.labels, maps), "maps": maps}
    parts |= {"separation": found, "info": ModelInfo("compact", mpp=0.25), "offset": (3, 4)}
    return SegmentResult(
        params=SegmentParams(), mpp=0.25, seconds=1.0, notices=("tile halved",), **parts
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
    (r0, r1, c0, c1), (top, bottom, left, right) = box, module.grown(box, reach, maps.shape)
    part = tune(module.cropped(maps, (top, bottom, left, right)), params)
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
        assert same_up_to_ids(
            within(box, maps, params, module.reach_of(params)), whole[slices(box)]
        ), box


def test_parts_without_surroundings_do_not(maps):
    """So the test above tests something."""
    whole = tune(maps, TuneParams()).labels
    found = [same_up_to_ids(within(b, maps, TuneParams(), 0), whole[slices(b)]) for b in BOXES]
    assert sum(found) < len(BOXES) / 2


def test_the_whole_and_a_part_at_once(maps):
    """Two threads, each with its own parameters, as in the viewer."""
    tuners, params = (
        module.Tuners(maps),
        [TuneParams(SeparationParams(depth=d)) for d in (0.1, 0.4)],
    )
    box, found = (0, 200, 0, 200), {}

    def work(key, where):
        found[key] = [tuners.of(where)(p).labels for p in params * 4]

    threads = [threading.Thread(target=work, args=a) for a in (("all", None), ("part", box))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key, where in (("all", maps), ("part", module.cropped(maps, box))):
        wanted = [tune(where, p).labels for p in params * 4]
        assert all(np.array_equal(a, b) for a, b in zip(found[key], wanted, strict=True))


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_kept_is_a_whole_result(result_parts, preset):
    params = TuneParams(SeparationParams.preset(preset), HVReading("vh", "inward", 0.5))
    tuned = drive(module.tune_steps(StagedTuner(result_parts.maps), params))
    kept = drive(module.kept_steps(result_parts, tuned))
    assert kept.cut_with == kept.params.separation == params.separation
    assert run_metadata(kept)["separation"]["method"] == params.separation.method
    assert np.array_equal(kept.labels, tune(result_parts.maps, params).labels)
    assert kept.separation is tuned.separation and kept.n == kept.labels.max()
    assert np.array_equal(kept.maps.hv[0], -0.5 * result_parts.maps.hv[1])
    inside = kept.nuclei.magnitude_mean
    assert kept.n == 0 or inside.max() <= 0.5 * np.hypot(*result_parts.maps.hv).max() + 1e-6
    assert (kept.offset, kept.mpp, kept.info, kept.notices) == (
        result_parts.offset, result_parts.mpp, result_parts.info, result_parts.notices,
    )  # fmt: skip
