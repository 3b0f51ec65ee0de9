from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.model_limits import MODEL_LIMITS
from napari_hovernet.core.diagnosis.model_tiles import (
    Repeated,
    repeated,
    run_tiles,
    steady_steps,
    tiles,
)
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.report import Finding
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.types import Maps

MADE = tissue((224, 224), seed=4)
TRUE = Maps(np=(MADE.labels > 0).astype(np.float32), hv=hv_targets(MADE.labels))


def steady(image: np.ndarray) -> Maps:
    """Give true maps of the part of the image that this is."""
    r, c = 224 - image.shape[0], 224 - image.shape[1]
    return Maps(np=TRUE.np[r:, c:], hv=TRUE.hv[:, r:, c:])


def by_tile(image: np.ndarray) -> Maps:
    """Measure HV from the middle of tiles that begin at the image's corner."""
    maps = steady(image)
    rows, cols = np.indices(maps.shape)
    hv = np.stack(((cols % 32 - 15.5) / 16, (rows % 32 - 15.5) / 16))
    return Maps(np=maps.np, hv=hv * maps.np)


def by_chance(image: np.ndarray) -> Maps:
    maps = steady(image)
    prob = maps.np * np.random.default_rng().uniform(0.5, 1, maps.shape).astype(np.float32)
    return Maps(np=prob, hv=maps.hv)


def hv_by_chance(image: np.ndarray) -> Maps:
    maps = steady(image)
    noise = np.random.default_rng().normal(0, 1, maps.hv.shape).astype(np.float32)
    return Maps(np=maps.np, hv=maps.hv + noise)


def bench_of(network: Any, **more: Any) -> Bench:
    items = ArrayItems(image=MADE.image, labels=MADE.labels)
    return Bench(Case(items, predictor=Predictor.of(network), **more))


def found(bench: Bench) -> Finding:
    made = [s for s in run_tiles(bench) if isinstance(s, Finding)]
    assert len(made) == 1
    return made[0]


@pytest.mark.parametrize(
    ("network", "verdict", "said"),
    [
        (steady, "ok", ""),
        (by_tile, "fault", "where the tile"),
        (by_chance, "fault", "random"),
        (hv_by_chance, "fault", "random"),
    ],
)
def test_what_maps_depend_on(network: Any, verdict: str, said: str) -> None:
    bench = bench_of(network)
    finding = found(bench)
    assert finding.verdict == verdict and said in finding.title
    assert bench.kept["model.tiles"] == (verdict == "ok")


def test_it_is_measured_once_for_others() -> None:
    calls = []

    def network(image: np.ndarray) -> Maps:
        calls.append(1)
        return by_tile(image)

    bench = bench_of(network)
    for _ in range(2):
        steps = steady_steps(bench)
        with pytest.raises(StopIteration) as stop:
            while True:
                next(steps)
        assert stop.value.value is False
    assert len(calls) == 3


def test_small_images_are_predicted_twice_only() -> None:
    items = ArrayItems(image=MADE.image[:96, :96])
    calls = []

    def network(image: np.ndarray) -> Maps:
        calls.append(image.shape)
        return Maps(np=TRUE.np[:96, :96], hv=TRUE.hv[:, :96, :96])

    assert found(Bench(Case(items, predictor=Predictor.of(network)))).verdict == "ok"
    assert calls == [(96, 96, 3)] * 2


def test_a_network_that_fails_is_not_tested() -> None:
    def network(image: np.ndarray) -> Maps:
        raise RuntimeError("no")

    assert found(bench_of(network)).verdict == "not tested"


def test_blank_maps_are_not_compared() -> None:
    blank = Maps(np=np.zeros((200, 200)), hv=np.zeros((2, 200, 200)))
    part = Maps(np=np.zeros((184, 152)), hv=np.zeros((2, 184, 152)))
    same = repeated(blank, blank, part, MODEL_LIMITS)
    assert same.difference == 0 and np.isnan(same.np) and np.isnan(same.hv)
    assert tiles([same, Repeated(0.0)]).verdict == "ok"
