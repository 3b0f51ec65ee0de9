"""The parameters a run is tuned with: edits, undo, presets, answers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_hovernet.app.tuning import MERGE_S, UNDO_LIMIT, Edits, Tuned, Tuning
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.inference.tiles import scaled_separation
from napari_hovernet.core.params import PRESETS, InferenceParams, SeparationParams
from napari_hovernet.core.separation.tuning import StageCounts, TuneParams
from napari_hovernet.core.types import ModelInfo


def depth(value):
    return TuneParams(SeparationParams(depth=value))


def answer(params):
    return Tuned(params, separation=None, counts=StageCounts(1, 2, 3))


def result(cut_with=None, image_mpp=None):
    """As much of a result as tuning looks at; the model works at 0.25 µm per pixel."""
    return SimpleNamespace(
        cut_with=cut_with or SeparationParams(),
        info=ModelInfo("compact", mpp=0.25),
        params=SimpleNamespace(inference=InferenceParams(image_mpp=image_mpp)),
    )


@pytest.fixture
def tuning():
    return Tuning()


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


def test_an_edit_after_undo_drops_what_could_be_redone(tuning):
    tuning.edit(depth(0.2))
    tuning.undo()
    tuning.edit(depth(0.3))
    assert not tuning.can_redo
    tuning.undo()
    assert tuning.params == TuneParams()


def test_a_drag_is_one_edit(tuning, heard):
    for k in range(30):
        tuning.edit(depth(0.2 + k / 100), "depth", now=k * MERGE_S)  # each just within the time
    assert len(heard) == 30
    tuning.undo()
    assert tuning.params == TuneParams() and not tuning.can_undo
    tuning.redo()
    assert tuning.params == depth(0.2 + 29 / 100)


def test_a_drag_back_to_where_it_began_leaves_nothing_to_undo(tuning, heard):
    tuning.edit(depth(0.2), "depth", now=1.0)
    tuning.edit(TuneParams(), "depth", now=1.1)
    assert tuning.params == TuneParams() and not tuning.can_undo
    assert heard[-1] == ("params", TuneParams())
    tuning.edit(depth(0.3), "depth", now=1.2)
    tuning.undo()
    assert tuning.params == TuneParams()


def test_only_so_many_edits_are_kept(tuning):
    for k in range(UNDO_LIMIT + 50):
        tuning.edit(TuneParams(SeparationParams(min_area=100 + k)))
    undone = 0
    while tuning.can_undo:
        tuning.undo()
        undone += 1
    assert undone == UNDO_LIMIT and tuning.params.separation.min_area == 149


def test_begin_starts_from_what_the_run_was_cut_with_and_forgets(tuning, heard):
    tuning.edit(depth(0.2))
    tuning.take(answer(depth(0.2)))
    heard.clear()
    cut = SeparationParams(depth=0.33)
    tuning.begin(result(cut))
    assert tuning.params == tuning.start == TuneParams(cut)
    assert tuning.tuned is None
    assert not (tuning.can_undo or tuning.can_redo)
    assert heard == [("params", TuneParams(cut)), ("tuned", None)]
    tuning.begin(None)
    assert tuning.params == TuneParams()


def test_begin_can_go_on_where_a_run_was_left(tuning):
    run = result(SeparationParams(depth=0.33))
    tuning.begin(run)
    tuning.edit(depth(0.2))
    tuning.edit(depth(0.4))
    tuning.undo()
    left = tuning.edits
    assert left == Edits((tuning.start, depth(0.2)), (depth(0.4),))
    tuning.begin(result())
    assert tuning.params == TuneParams()
    tuning.begin(run, left)
    assert tuning.params == depth(0.2) and tuning.start == depth(0.33)
    tuning.redo()
    assert tuning.params == depth(0.4)
    assert left == Edits((tuning.start, depth(0.2)), (depth(0.4),))  # a frozen copy


def test_reset_goes_to_the_start_and_can_be_undone(tuning):
    tuning.begin(result(SeparationParams(depth=0.33)))
    tuning.edit(TuneParams(SeparationParams(depth=0.4), HVReading(order="vh")))
    tuning.reset()
    assert tuning.params == TuneParams(SeparationParams(depth=0.33))
    tuning.undo()
    assert tuning.params.hv.order == "vh"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("image_mpp", "scale"), [(0.25, 1.0), (0.5, 2.0), (0.125, 0.5)])
def test_presets_have_lengths_in_pixels_of_the_run(tuning, name, image_mpp, scale):
    tuning.begin(result(image_mpp=image_mpp))
    wanted = scaled_separation(SeparationParams.preset(name), scale)
    assert tuning.preset(name) == wanted
    assert tuning.defaults(name) == TuneParams(wanted)
    tuning.choose_preset(name)
    assert tuning.params.separation == wanted


def test_an_answer_to_the_present_parameters_is_taken(tuning, heard):
    tuning.edit(depth(0.2))
    found = answer(depth(0.2))
    assert tuning.take(found) and tuning.tuned is found
    assert heard[-1] == ("tuned", found)


def test_an_answer_to_older_parameters_is_dropped(tuning, heard):
    tuning.edit(depth(0.2))
    tuning.edit(depth(0.3))
    before = len(heard)
    assert not tuning.take(answer(depth(0.2)))
    assert tuning.tuned is None and len(heard) == before
