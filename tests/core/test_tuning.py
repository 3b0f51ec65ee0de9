import math
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.hv import HVReading, hv_targets
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.measure.sweep import MOST_CELLS, Sweep, SweepAxis, sweep, sweep_steps
from napari_hovernet.core.params import PRESETS, SeparationParams
from napari_hovernet.core.separation import local as local_stages
from napari_hovernet.core.separation import separate
from napari_hovernet.core.separation.tuning import (
    TUNABLES,
    StageCounts,
    StagedTuner,
    TuneParams,
    stage_counts,
    tunable,
    tunables_for,
    tune,
    value_of,
    with_value,
)
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

from ..refusals import refuses


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return tissue(shape=(160, 200), seed=3).labels


@pytest.fixture(scope="module")
def maps(truth) -> Maps:
    return planted_maps(truth)


def test_the_order_of_hv_matters_and_stages_are_counted(maps, truth):
    right = evaluate(truth, tune(maps, TuneParams()).labels).aji
    swapped = evaluate(truth, tune(maps, TuneParams(hv=HVReading(order="vh"))).labels).aji
    inward = evaluate(truth, tune(maps, TuneParams(hv=HVReading(sign="inward"))).labels).aji
    assert right > 0.8 and max(swapped, inward) < right - 0.2
    labels = np.zeros((30, 60), np.int32)
    labels[5:20, 5:20], labels[5:20, 20:35], labels[5:20, 42:57] = 1, 2, 3
    found = tune(Maps(np=labels > 0, hv=hv_targets(labels)), TuneParams())
    assert stage_counts(found) == StageCounts(components=2, markers=3, instances=3)


NO_NUMBERS = {"method", "merge_touching"}
"""Fields with controls of their own."""
NEVER_MATTERS = {"band_rows"}
NAMES = [t.name for t in TUNABLES]


def test_every_field_can_be_tuned_or_is_a_named_exception():
    tuned = {name.split(".")[0] for name in NAMES if not name.startswith("hv.")}
    wanted = {f.name for f in fields(SeparationParams)}
    assert (tuned, len(set(NAMES))) == (wanted - NO_NUMBERS - NEVER_MATTERS, len(NAMES))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_lie_on_the_sliders(preset):
    params = TuneParams(SeparationParams.preset(preset))
    for known in tunables_for(params.separation.method):
        value = value_of(params, known.name)
        assert known.snap(value) == pytest.approx(value), known.name


@pytest.mark.parametrize("known", TUNABLES, ids=NAMES)
def test_the_whole_range_is_allowed_and_comes_back(known):
    for share in (0.0, 0.013, 0.31, 0.5, 0.77, 1.0):
        value = known.snap(known.low + share * (known.high - known.low))
        assert known.low <= value <= known.high
        changed = with_value(TuneParams(), known.name, value)
        assert value_of(changed, known.name) == value
        again = with_value(changed, known.name, value_of(TuneParams(), known.name))
        if not known.name.startswith("magnitude_"):  # those may take their partner along
            assert again == TuneParams()


def test_values_snap_are_spread_within_the_slider_and_bounds_go_along():
    assert tunable("sobel_size").snap(20.2) == 21
    assert {tunable("sobel_size").snap(v) for v in range(40)} == set(range(3, 32, 2))
    assert all(tunable("magnitude_window").snap(v) % 2 == 1 for v in range(600))
    assert tunable("depth").snap(0.1234) == 0.12
    assert tunable("depth").snap(-3) == 0.0 and tunable("depth").snap(7) == 1.0
    assert isinstance(tunable("min_area").snap(3.4), int)
    both = replace(SeparationParams(), magnitude_low=0.5, magnitude_high=0.9)
    up = with_value(TuneParams(both), "magnitude_low", 1.2).separation
    assert (up.magnitude_low, up.magnitude_high) == (1.2, 1.2)
    down = with_value(TuneParams(both), "magnitude_high", 0.3).separation
    assert (down.magnitude_low, down.magnitude_high) == (0.3, 0.3)
    inside = with_value(TuneParams(both), "magnitude_low", 0.7).separation
    assert (inside.magnitude_low, inside.magnitude_high) == (0.7, 0.9)
    assert SweepAxis.between("depth", 0.1, 0.3, 3).values == (0.1, 0.2, 0.3)
    assert SweepAxis.between("sobel_size", 3, 7, 20).values == (3, 5, 7)
    assert SweepAxis.between("depth", 0.2, 0.2, 5).values == (0.2,)
    assert SweepAxis.between("depth", -1, 5, 3).values == (0.0, 0.5, 1.0)
    assert SweepAxis.between("hv.scale", 0, 2, 2).values == (0.02, 2.0)
    assert SweepAxis.between("depth", 0.1, 0.9, 1).values == (0.1,)


@pytest.mark.parametrize("name", ["", "method", "band_rows", "scales", "scales.2", "hv.order", "x"])
def test_what_cannot_be_tuned_is_named_with_what_can(name):
    for call in (tunable, lambda n: value_of(TuneParams(), n)):
        refuses("cannot be tuned; choose one of np_threshold", call, name)
    refuses("cannot be tuned", lambda: with_value(TuneParams(), name, 1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["depth", "min_area", "hv.scale", "scales.0"])
def test_numbers_that_are_none_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} is {value}; give a finite number"):
        with_value(TuneParams(), name, value)


STAGES = ("mask", "energy", "markers", "labels")
EDITS = 60


@pytest.fixture(scope="module")
def maps_staged() -> Maps:
    return planted_maps(tissue(shape=(90, 110), seed=5).labels)


def random_edit(rng: np.random.Generator, params: TuneParams) -> TuneParams:
    """Move one control, as a hand would: mostly a slider, now and then something larger."""
    kind = rng.integers(0, 10)
    if kind == 0:
        preset = SeparationParams.preset(str(rng.choice(PRESETS)))
        return replace(params, separation=preset)
    if kind == 1:
        separation = params.separation
        merge = replace(separation, merge_touching=not separation.merge_touching)
        return replace(params, separation=merge)
    if kind == 2:
        order, sign = rng.choice(["hv", "vh"]), rng.choice(["outward", "inward"])
        return replace(params, hv=HVReading(str(order), str(sign), params.hv.scale))
    known = TUNABLES[rng.integers(len(TUNABLES))]
    value = known.snap(known.low + float(rng.random()) ** 2 * (known.high - known.low))
    return with_value(params, known.name, value)


def fine_edit(rng: np.random.Generator, params: TuneParams) -> TuneParams:
    """Move one slider of the method by a little, most often one that changes a few parts."""
    names = ["min_area", "max_hole_area", "min_marker_area", "opening_size", "np_threshold"]
    known = tunables_for(params.separation.method)
    few = [t for t in known if t.name in names]
    chosen = few if rng.random() < 0.6 else known
    one = chosen[rng.integers(len(chosen))]
    step = float(rng.normal()) * 0.05 * (one.high - one.low)
    value = min(max(value_of(params, one.name) + step, one.low), one.high)
    return with_value(params, one.name, one.snap(value))


def assert_equal(found, maps_staged, params):
    """Every stage, to the last bit, is what a separation from scratch gives."""
    wanted = tune(maps_staged, params)
    for stage in STAGES:
        a, b = getattr(found, stage), getattr(wanted, stage)
        assert a.dtype == b.dtype and np.array_equal(a, b), (stage, params)


def noise(seed: int) -> Maps:
    """Maps that show nothing: parts of all shapes, flat places, HV of any length."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random((3, 120, 150)), (0, 2, 2))
    smooth = (smooth - smooth.mean()) / smooth.std()
    return Maps(np=np.clip(0.5 + 0.3 * smooth[0], 0, 1), hv=np.round(smooth[1:], seed % 2 + 1))


def real(shared, name: str) -> Maps:
    """What a network said of a real image."""
    with np.load(shared / "golden" / "predicted" / f"{name}.npz") as data:
        at = np.s_[100:260, 100:300]
        probability = np.clip(data["np_prob"].astype(np.float32), 0, 1)[at]
        return Maps(np=probability, hv=data["hv_pred"].astype(np.float32)[(slice(None), *at)])


@pytest.mark.parametrize("method", ["", "local", "hover_net"])
@pytest.mark.parametrize("kind", ["planted", "noise", "real"])
def test_any_sequence_of_edits_gives_what_tune_gives(kind, method, maps_staged, request):
    """A method alone, edited more finely; or all of them in turn."""
    if kind == "real":
        maps_staged = real(request.getfixturevalue("shared"), "monuseg_49-4488-01")
    elif kind == "noise":
        maps_staged = noise(len(method))
    rng, tuner, params = np.random.default_rng(len(method)), StagedTuner(maps_staged), TuneParams()
    if method:
        params = TuneParams(SeparationParams.preset(method))
    handed_out = []
    for _ in range(EDITS):
        params = fine_edit(rng, params) if method else random_edit(rng, params)
        found = tuner(params)
        assert_equal(found, maps_staged, params)
        copy = {stage: getattr(found, stage).copy() for stage in STAGES}
        handed_out.append((found, copy))
    for found, copy in handed_out:  # nothing handed out earlier has changed since
        assert all(np.array_equal(getattr(found, stage), copy[stage]) for stage in STAGES)


def test_gaps_that_are_opened_again_stay_closed_in_the_mask_that_is_kept():
    """The gap between nuclei around it is filled, and opened where they are cut apart."""
    labels = np.zeros((60, 60), np.int32)
    r, c = np.indices(labels.shape)
    for k in range(6):
        row, col = 30 + 13 * np.sin(k * np.pi / 3), 30 + 13 * np.cos(k * np.pi / 3)
        labels[((r - row) ** 2 + (c - col) ** 2 <= 49) & (labels == 0)] = k + 1
    ring = Maps(np=labels > 0, hv=hv_targets(labels))
    apart, joined = TuneParams(), TuneParams(SeparationParams(depth=5.0))
    assert not tune(ring, apart).mask[30, 30] and tune(ring, joined).mask[30, 30]
    tuner = StagedTuner(ring)
    for params in (apart, joined, apart, joined):
        assert_equal(tuner(params), ring, params)


def test_the_maps_never_change_and_may_be_empty(maps_staged):
    before = maps_staged.np.copy(), maps_staged.hv.copy()
    tuner = StagedTuner(maps_staged)
    for scale, preset in ((1.0, "local"), (50.0, "hover_net"), (0.02, "merging_relabel")):
        tuner(TuneParams(SeparationParams.preset(preset), HVReading("vh", "inward", scale)))
    assert np.array_equal(maps_staged.np, before[0]) and np.array_equal(maps_staged.hv, before[1])
    empty = Maps(np=np.zeros((0, 7)), hv=np.zeros((2, 0, 7)))
    for preset in PRESETS:
        found = StagedTuner(empty)(TuneParams(SeparationParams.preset(preset)))
        assert found.n == 0 and found.labels.shape == (0, 7)
    nothing = Maps(np=np.zeros((20, 30)), hv=np.zeros((2, 20, 30)))
    for preset in PRESETS:
        params = TuneParams(SeparationParams.preset(preset))
        assert_equal(StagedTuner(nothing)(params), nothing, params)


def test_every_parameter_of_the_local_method_counts(maps_staged):
    """A parameter left out of a key would give the answer to the one before."""
    for known in tunables_for("local"):
        tuner = StagedTuner(maps_staged)
        tuner(TuneParams())
        for value in (known.low, known.high, value_of(TuneParams(), known.name)):
            params = with_value(TuneParams(), known.name, value)
            assert_equal(tuner(params), maps_staged, params)


def test_only_the_energy_near_a_change_is_computed_again(maps_staged, monkeypatch):
    """A part that is dropped changes what is near it, not the rest."""
    probability = np.pad(maps_staged.np, ((20, 300), (0, 300)))
    probability[300:303, 300:303] = 1
    computed = []
    real, name = local_stages.squeeze_terms, "squeeze_terms"

    def noted(*given):
        computed.append(int(given[3].sum()) if given[4] else 0)
        real(*given)

    monkeypatch.setattr(local_stages, name, noted)
    hv = np.pad(maps_staged.hv, ((0, 0), (20, 300), (0, 300)))
    tuner = StagedTuner(Maps(np=probability, hv=hv))
    for area in (20, 0, 20):
        tuner(TuneParams(SeparationParams(min_area=area)))
    assert computed == [2, 0, 0, 1, 0, 0]  # blocks of 64 x 64 pixels: made, mended


def test_two_parameters_equal_a_plain_loop(maps, truth):
    rows = SweepAxis("np_threshold", (0.2, 0.5, 0.9))
    columns = SweepAxis("depth", (0.0, 0.15, 0.6, 1.0))
    found = sweep(maps, rows, columns, truth=truth)
    assert found.counts.shape == found.aji.shape == (3, 4)
    for i, threshold in enumerate(rows.values):
        for j, depth in enumerate(columns.values):
            labels = separate(maps, SeparationParams(np_threshold=threshold, depth=depth)).labels
            assert found.counts[i, j] == labels.max()
            assert found.aji[i, j] == pytest.approx(evaluate(truth, labels).aji, abs=1e-12)
    row, column = found.best
    assert found.aji[row, column] == found.aji.max() > 0.8
    best = found.params(row, column).separation
    assert (best.np_threshold, best.depth) == (rows.values[row], columns.values[column])


def test_one_parameter_without_truth_counts_from_the_start(maps):
    found = sweep(maps, SweepAxis("min_area", (0, 60, 500)))
    wanted = [separate(maps, SeparationParams(min_area=a)).n for a in (0, 60, 500)]
    assert found.counts.tolist() == [[n] for n in wanted]
    assert found.columns is None and found.aji is None and found.best is None
    assert found.params(1).separation.min_area == 60
    start = TuneParams(SeparationParams.preset("hover_net"), HVReading(order="vh", scale=2.0))
    found = sweep(maps, SweepAxis("sobel_size", (5, 21)), start=start)
    assert found.start is start and found.params(1).hv == start.hv
    assert found.params(0).separation == replace(start.separation, sobel_size=5)


def test_what_cannot_be_is_left_out_and_the_first_best_chosen(maps, truth):
    rows = SweepAxis("np_threshold", (1.5, 0.5))  # the first is no probability
    found = sweep(maps, rows, SweepAxis("depth", (0.1, 0.2)), truth=truth)
    assert (found.counts[0] == -1).all() and (found.counts[1] > 0).all()
    assert np.isnan(found.aji[0]).all() and np.isfinite(found.aji[1]).all()
    assert found.best[0] == 1
    found = sweep(maps, SweepAxis("sobel_size", (4, math.nan)), truth=truth)
    assert found.counts.ravel().tolist() == [-1, -1] and found.best is None
    axis = SweepAxis("depth", (0.1, 0.2, 0.3))
    scores = np.array([[np.nan], [0.5], [0.5]])
    assert Sweep(TuneParams(), axis, None, np.ones((3, 1), np.int64), scores).best == (1, 0)
    axis = SweepAxis("np_threshold", (0.5, 1.0))  # at 1 nothing may be left
    found = sweep(maps, axis, truth=np.zeros(maps.shape, np.int32))
    for count, score in zip(found.counts[:, 0], found.aji[:, 0], strict=True):
        assert score == (1.0 if count == 0 else 0.0)


def test_what_is_no_sweep_is_refused(maps):
    maps = Maps(np=np.zeros((4, 4)), hv=np.zeros((2, 4, 4)))
    many = SweepAxis("min_area", tuple(range(MOST_CELLS + 1)))
    with pytest.raises(InputError, match=f"{MOST_CELLS + 1} combinations are too many"):
        next(sweep_steps(maps, TuneParams(), many))
    assert sweep(maps, SweepAxis("min_area", tuple(range(MOST_CELLS)))).counts.size == MOST_CELLS
    axis = SweepAxis("depth", (0.1,))
    refuses("Both parameters are depth", lambda: sweep(maps, axis, SweepAxis("depth", (0.2,))))
    refuses("No values of depth", SweepAxis, "depth", ())
    refuses("'method' cannot be tuned", SweepAxis, "method", (1,))
