from __future__ import annotations

from dataclasses import replace

import pytest

from napari_hovernet.app.runs import RunStore
from napari_hovernet.app.training import Estimate, estimate
from napari_hovernet.core.params import DataParams, OptimParams, TrainConfig
from napari_hovernet.core.training.files import EventWriter
from napari_hovernet.core.types import ModelInfo

COMPACT = ModelInfo("compact", parameters=2_077_668)
CONFIG = TrainConfig(data=DataParams(crop=256), optim=OptimParams(epochs=10, batch=8))


def test_the_usual_training_stays_below_three_gigabytes():
    made = estimate(CONFIG, COMPACT, ())
    assert 1e9 < made.memory < 3e9
    assert made.steps == 0 and "steps" not in made.words


def test_memory_and_time_grow_with_the_batch():
    small, large = (
        estimate(replace(CONFIG, optim=OptimParams(batch=n, steps_per_epoch=5)), COMPACT, ())
        for n in (2, 8)
    )
    assert large.seconds_per_step == pytest.approx(4 * small.seconds_per_step)
    assert large.memory > small.memory
    assert "for 100 steps" in large.words


def test_a_former_run_tells_the_speed(tmp_path):
    store = RunStore(tmp_path)
    run = store.create(replace(CONFIG, name="old", data=DataParams(crop=128)))
    with EventWriter(run.events) as writer:
        writer.write("step", step=1, images_per_s=16.0)
    made = estimate(CONFIG, COMPACT, store.list())
    assert made.from_run == "old" and "as run old went" in made.words
    assert made.seconds_per_step == pytest.approx(8 * 256**2 / (16 * 128**2))
    other = estimate(replace(CONFIG, device="cuda"), COMPACT, store.list())
    assert other.from_run == ""


def test_networks_nobody_measured_are_not_guessed():
    made = estimate(CONFIG, ModelInfo("optimus", parameters=1_151_209), ())
    assert made.words == ""
    assert estimate(replace(CONFIG, start="scratch:hovernet"), None, ()).memory > 10e9


def test_words():
    assert Estimate(float("nan"), 2.0, 10_000, "a").words == (
        "About 2 s per step (as run a went): 5.6 h for 10,000 steps, without validation."
    )
