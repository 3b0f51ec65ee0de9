"""The parameter that is off is found by what another value would do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.separating import Separator
from napari_hovernet.core.diagnosis.separation_limits import SeparationLimits
from napari_hovernet.core.diagnosis.separation_scenes import clusters, exact_maps, scenes
from napari_hovernet.core.diagnosis.separation_tuning import (
    CANDIDATES,
    Choice,
    Total,
    Trial,
    changes_to_try,
    choose,
    is_fault,
    preset_of,
    total,
    tune_steps,
)
from napari_hovernet.core.params import SeparationParams

LIMITS = SeparationLimits()
LOCAL = SeparationParams()
PUBLISHED = SeparationParams.preset("hover_net")


def pairs():
    return [(s.soft, s.labels) for s in scenes(9)]


def tuned(params: SeparationParams, own=()) -> Choice | None:
    steps = tune_steps(Separator.of(params), pairs(), own, LIMITS)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("params", [LOCAL, PUBLISHED])
def test_presets_need_no_change(params):
    assert tuned(params) is None


@pytest.mark.parametrize(
    ("params", "changes", "kind"),
    [
        (replace(LOCAL, depth=2.0), {"depth": 0.15}, "under"),
        (replace(LOCAL, min_area=2000), {"min_area": 20}, "under"),
        (replace(LOCAL, np_threshold=0.95), {"np_threshold": 0.45}, "threshold"),
        (replace(LOCAL, np_threshold=0.1), {"np_threshold": 0.45}, "threshold"),
        (replace(PUBLISHED, opening_size=15), {"opening_size": 5}, "under"),
        (replace(LOCAL, depth=2.0, min_area=2000), {"preset": "local"}, "under"),
    ],
)
def test_a_wrong_value_is_set_back(params, changes, kind):
    choice = tuned(params)
    assert choice is not None
    assert dict(choice.trial.changes) == changes
    assert choice.kind == kind
    assert is_fault(choice, LIMITS)


def test_every_candidate_begins_with_the_preset():
    for method, fields in CANDIDATES.items():
        preset = SeparationParams.preset(method)
        for field, values in fields.items():
            assert getattr(preset, field) == values[0], field
        assert preset_of(preset) == preset


def test_the_whole_preset_is_tried_only_if_something_differs():
    assert {"preset": "local"} not in changes_to_try(LOCAL)
    assert changes_to_try(replace(LOCAL, depth=2.0))[-1] == {"preset": "local"}
    assert changes_to_try(SeparationParams.preset("magnitude_peaks")) == []


def test_a_value_that_would_be_refused_is_not_tried():
    crossed = replace(LOCAL, magnitude_low=1.5, magnitude_high=2.0)
    tried = changes_to_try(crossed)
    assert {"magnitude_low": 0.5} in tried
    assert {"magnitude_high": 0.9} not in tried


def total_of(aji: float, few: float = 0.0, many: float = 0.0) -> Total:
    return Total(aji, 100, few, many)


def test_a_usual_value_is_not_blamed_when_good_maps_come_out_well():
    base = Trial({}, total_of(0.94), total_of(0.5, many=0.4))
    other = Trial({"depth": 0.25}, total_of(0.94), total_of(0.58, many=0.2))
    assert choose(LOCAL, base, [other], LIMITS) is None
    better = Trial({"depth": 0.25}, total_of(0.94), total_of(0.65, many=0.1))
    choice = choose(LOCAL, base, [better], LIMITS)
    assert choice is not None
    assert choice.kind == "over"
    assert not is_fault(choice, LIMITS)


def test_what_helps_here_and_harms_good_maps_is_not_chosen():
    base = Trial({}, total_of(0.94), total_of(0.3))
    harmful = Trial({"depth": 0.25}, total_of(0.6), total_of(0.7))
    assert choose(replace(LOCAL, depth=0.3), base, [harmful], LIMITS) is None


def test_the_value_of_the_preset_is_preferred_where_another_is_hardly_better():
    params = replace(LOCAL, depth=2.0)
    base = Trial({}, total_of(0.3, few=0.9), None)
    usual = Trial({"depth": 0.15}, total_of(0.9), None)
    other = Trial({"depth": 0.1}, total_of(0.91), None)
    choice = choose(params, base, [other, usual], LIMITS)
    assert choice is not None
    assert choice.trial is usual


def test_totals_are_means_over_images_and_shares_of_nuclei():
    labels = clusters(9)
    maps = exact_maps(labels)
    made = total(Separator.of("merging_relabel"), [(maps, labels), (maps, labels)])
    assert made.n_true == 120
    assert made.aji == pytest.approx(0.288, abs=0.005)
    assert made.too_few > 0.9
    assert made.too_many == 0

    def broken(prob, hv):
        raise ValueError("no")

    lost = total(Separator.of(broken), [(maps, labels)])
    assert (lost.aji, lost.too_few) == (0, 1)


def test_too_few_nuclei_decide_nothing():
    labels = np.zeros((40, 40), np.int32)
    labels[10:20, 10:20] = 1
    few = [(exact_maps(labels), labels)]
    choice = tuned(replace(LOCAL, depth=2.0), few)
    assert choice is not None
    assert choice.base.case is None
    assert choice.case_gain == 0


def test_a_function_of_the_users_own_has_no_parameter():
    steps = tune_steps(Separator.of(lambda prob, hv: prob > 0), pairs(), [], LIMITS)
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value is None
