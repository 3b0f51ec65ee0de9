"""The tuner that keeps its stages gives, edit for edit, what a separation from scratch gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.hv import HVReading, hv_targets
from napari_hovernet.core.masks import clean_mask
from napari_hovernet.core.params import PRESETS, SeparationParams
from napari_hovernet.core.separation import tuning as tuning_stages
from napari_hovernet.core.separation.local import cut_basins
from napari_hovernet.core.separation.published import merged
from napari_hovernet.core.separation.tuning import (
    TUNABLES,
    StagedTuner,
    TuneParams,
    tunables_for,
    tune,
    value_of,
    with_value,
)
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import Maps

STAGES = ("mask", "energy", "markers", "labels")
EDITS = 120
ROUNDING = 2e-6
"""Of energies of about 0.5 in float32."""


@pytest.fixture(scope="module")
def maps() -> Maps:
    return planted_maps(tissue(shape=(90, 110), seed=5).labels)


@pytest.fixture
def counted(monkeypatch):
    """Names of the stages that were really made."""
    made: list[str] = []
    for name in ("read_hv", "clean_mask", "squeeze_energy"):
        real = getattr(tuning_stages, name)

        def noted(*args, real=real, name=name):
            made.append(name)
            return real(*args)

        monkeypatch.setattr(tuning_stages, name, noted)
    return made


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


def assert_equal(found, maps, params):
    """Every stage, to the last bit, is what a separation from scratch gives."""
    wanted = tune(maps, params)
    if params.separation.method == "local" and not np.array_equal(found.energy, wanted.energy):
        # OpenCV rounds by where arrays lie in memory: two calls of tune may differ as much
        np.testing.assert_allclose(found.energy, wanted.energy, atol=ROUNDING)
        wanted = cut_basins(maps, clean_mask(maps.np, params.separation), found.energy,
                            params.separation)  # fmt: skip
        wanted = merged(wanted) if params.separation.merge_touching else wanted
    for stage in STAGES:
        a, b = getattr(found, stage), getattr(wanted, stage)
        assert a.dtype == b.dtype and np.array_equal(a, b), (stage, params)


@pytest.mark.parametrize("seed", [0, 1])
def test_any_sequence_of_edits_gives_what_tune_gives(maps, seed):
    rng, tuner, params = np.random.default_rng(seed), StagedTuner(maps), TuneParams()
    handed_out = []
    for _ in range(EDITS):
        params = random_edit(rng, params)
        found = tuner(params)
        assert_equal(found, maps, params)
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


def test_the_maps_themselves_never_change(maps):
    before = maps.np.copy(), maps.hv.copy()
    tuner = StagedTuner(maps)
    for scale, preset in ((1.0, "local"), (50.0, "hover_net"), (0.02, "merging_relabel")):
        tuner(TuneParams(SeparationParams.preset(preset), HVReading("vh", "inward", scale)))
    assert np.array_equal(maps.np, before[0]) and np.array_equal(maps.hv, before[1])


def test_every_parameter_of_the_local_method_counts(maps):
    """A parameter left out of a key would give the answer to the one before."""
    for known in tunables_for("local"):
        tuner = StagedTuner(maps)
        tuner(TuneParams())
        for value in (known.low, known.high, value_of(TuneParams(), known.name)):
            params = with_value(TuneParams(), known.name, value)
            assert_equal(tuner(params), maps, params)


@pytest.mark.parametrize(
    ("edit", "made_again"),
    [
        ({"depth": 0.3}, []),
        ({"min_mean_np": 0.2}, []),
        ({"merge_touching": True}, []),
        ({"oblique": 0.5}, ["squeeze_energy"]),
        ({"scales": (1.0, 4.0)}, ["squeeze_energy"]),
        ({"magnitude_window": 65}, ["squeeze_energy"]),
        ({"min_area": 50}, ["clean_mask", "squeeze_energy"]),
        ({"np_threshold": 0.6}, ["clean_mask", "squeeze_energy"]),
    ],
)
def test_only_what_depends_on_an_edit_is_made_again(maps, counted, edit, made_again):
    tuner = StagedTuner(maps)
    tuner(TuneParams())
    assert counted == ["read_hv", "clean_mask", "squeeze_energy"]
    counted.clear()
    tuner(TuneParams(SeparationParams(**edit)))
    assert counted == made_again


def test_another_reading_of_hv_leaves_the_mask(maps, counted):
    tuner = StagedTuner(maps)
    tuner(TuneParams())
    counted.clear()
    tuner(TuneParams(hv=HVReading(scale=2.0)))
    assert counted == ["read_hv", "squeeze_energy"]


def test_an_image_without_pixels():
    empty = Maps(np=np.zeros((0, 7)), hv=np.zeros((2, 0, 7)))
    for preset in PRESETS:
        found = StagedTuner(empty)(TuneParams(SeparationParams.preset(preset)))
        assert found.n == 0 and found.labels.shape == (0, 7)


def test_an_image_without_nuclei():
    nothing = Maps(np=np.zeros((20, 30)), hv=np.zeros((2, 20, 30)))
    for preset in PRESETS:
        params = TuneParams(SeparationParams.preset(preset))
        assert_equal(StagedTuner(nothing)(params), nothing, params)
