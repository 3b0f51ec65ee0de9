from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hovernet.core.diagnosis.bench import Bench, Variant
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.model_limits import MODEL_LIMITS
from napari_hovernet.core.diagnosis.model_quality import PartQuality
from napari_hovernet.core.diagnosis.model_whatifs import (
    AS_IS,
    Gain,
    WhatIfs,
    certainty_of,
    compared,
    of_input,
    of_pixels,
    of_variant,
    places_of,
    said,
    scaled_input,
)
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.types import Maps

GOOD = PartQuality(0.9, 0.9, 0.8, 0.9, 0.9, 5, 20.0)
POOR = PartQuality(0.5, 0.5, 0.5, 0.6, 0.6, 5, 20.0)
LOST = PartQuality(0.1, 0.0, 0.0, 0.1, 0.2, 0, 0.0)
NO_TRUTH = PartQuality(np.nan, np.nan, 0.8, 0.9, 0.9, 5, 20.0)
NO_TRUTH_POOR = PartQuality(np.nan, np.nan, 0.5, 0.6, 0.6, 5, 20.0)


def gain(pairs: list[tuple[PartQuality | None, PartQuality | None]]) -> Gain:
    return compared("it is so", [(i, a, b) for i, (a, b) in enumerate(pairs)])


def test_the_truth_decides_where_it_fits() -> None:
    found = gain([(POOR, GOOD)] * 4)
    assert found.by == "truth" and found.mean == pytest.approx(0.4)
    assert found.wins(0.1, MODEL_LIMITS) and certainty_of(found) == pytest.approx(0.99)
    assert "better in 4 of 4" in said(found)


def test_maps_decide_where_there_is_no_truth_or_none_that_fits() -> None:
    alone = gain([(NO_TRUTH_POOR, NO_TRUTH)] * 4)
    assert alone.by == "maps" and alone.wins(0.1, MODEL_LIMITS)
    assert certainty_of(alone) < certainty_of(gain([(POOR, GOOD)] * 4))
    unfit = PartQuality(0.1, 0.1, 0.8, 0.9, 0.9)
    assert gain([(unfit, unfit)] * 4).by == "maps"


@pytest.mark.parametrize(
    "pairs",
    [
        [(GOOD, POOR)] * 4,
        [(POOR, GOOD)] + [(GOOD, POOR)] * 3,
        [(POOR, GOOD)] * 2 + [(GOOD, GOOD)] * 2,
        [(POOR, None)] * 4,
        [(LOST, PartQuality(0.3, 0.3, 0.2, 0.9, 0.9))] * 4,
        [(NO_TRUTH_POOR, PartQuality(np.nan, np.nan, 0.9, 0.4, 0.4))] * 4,
        [],
    ],
    ids=["worse", "one better", "half", "fails", "still lost", "never good", "nothing"],
)
def test_what_helps_in_few_images_or_not_enough_does_not_win(pairs: list) -> None:
    assert not gain(pairs).wins(0.1, MODEL_LIMITS)


def test_maps_must_not_speak_against_the_truth() -> None:
    against = PartQuality(0.9, 0.9, 0.2, 0.3, 0.4)
    assert not gain([(POOR, against)] * 4).wins(0.1, MODEL_LIMITS)


def test_few_images_need_a_larger_gain() -> None:
    better = PartQuality(0.58, 0.58, 0.5, 0.6, 0.6)
    assert gain([(POOR, better)] * 4).wins(0.06, MODEL_LIMITS)
    assert not gain([(POOR, better)]).wins(0.06, MODEL_LIMITS)


def seeing(tissues: list, calls: list) -> object:
    """Give true maps of an image that is as it should be, and nothing of any other."""

    def network(image: np.ndarray) -> Maps:
        calls.append(image)
        for each in tissues:
            if each.image.shape == image.shape and (each.image == image).all():
                return Maps(np=(each.labels > 0).astype(np.float32), hv=hv_targets(each.labels))
        return Maps(np=np.zeros(image.shape[:2]), hv=np.zeros((2, *image.shape[:2])))

    return network


def bench_of(n: int, change: object = None) -> tuple[Bench, list]:
    made = [tissue((96, 96), seed=i) for i in range(n)]
    images = [t.image if change is None else change(t.image) for t in made]
    calls: list = []
    items = ArrayItems(image=images, labels=[t.labels for t in made])
    return Bench(Case(items, predictor=Predictor.of(seeing(made, calls)))), calls


def run(whatifs: WhatIfs, name: str, predict: object) -> Gain:
    found = [s for s in whatifs.steps(name, predict) if isinstance(s, Gain)]
    assert len(found) == 1
    return found[0]


def test_a_what_if_that_mends_wins_and_names_the_parts() -> None:
    bench, _ = bench_of(4, lambda a: a[..., ::-1].copy())
    whatifs = WhatIfs.of(bench)
    found = run(whatifs, "swapped", of_variant(Variant(bgr=True)))
    assert found.wins(0.1, MODEL_LIMITS) and found.complete and len(found.gains) == 4
    assert {p.item for p in places_of(whatifs, found)} <= set(range(4))
    pixels = run(whatifs, "turned", of_pixels(lambda a: a[..., ::-1].copy()))
    assert pixels.gains == pytest.approx(found.gains)


def test_a_ruinous_what_if_is_given_up_at_once_and_each_is_measured_once() -> None:
    bench, calls = bench_of(6)
    whatifs = WhatIfs.of(bench)
    found = run(whatifs, "swapped", of_variant(Variant(bgr=True)))
    assert len(found.gains) == 1 and not found.complete and not found.wins(0.1, MODEL_LIMITS)
    before = len(calls)
    run(WhatIfs.of(bench), "swapped", of_variant(Variant(bgr=True)))
    assert len(calls) == before


def test_steps_come_between_predictions() -> None:
    bench, calls = bench_of(3)
    steps = WhatIfs.of(bench).steps("swapped", of_variant(Variant(bgr=True)))
    next(steps)
    assert not calls
    next(steps)
    assert len(calls) == 1
    steps.close()
    assert len(calls) == 1


def test_the_input_of_a_network_is_scaled_for_as_long_as_asked() -> None:
    network = CompactUNet((4, 8)).eval()
    x = torch.full((1, 3, 16, 16), 100.0)
    with torch.inference_mode():
        plain, half = network(x)["np"], network(x / 2)["np"]
        with scaled_input(network, 0.5):
            inside = network(x)["np"]
        after = network(x)["np"]
    assert torch.equal(inside, half) and torch.equal(after, plain)
    assert not torch.equal(inside, plain)


def test_a_function_has_no_input_to_scale() -> None:
    bench, _ = bench_of(1)
    assert of_input(255.0)(bench, 0) is None


def test_a_network_that_fails_has_no_parts() -> None:
    def fails(image: np.ndarray) -> Maps:
        raise RuntimeError("no")

    items = ArrayItems(image=np.zeros((2, 64, 64, 3), np.uint8))
    whatifs = WhatIfs.of(Bench(Case(items, predictor=Predictor.of(fails))))
    found = run(whatifs, AS_IS + "!", of_variant(Variant(bgr=True)))
    assert not found.parts and whatifs.parts == ()
