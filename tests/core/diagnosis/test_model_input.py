from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.model_input import (
    BY,
    BY_INSIDE,
    TIMES,
    TIMES_INSIDE,
    channel_order,
    input_range,
    inverted,
    normalisation,
    run_input_range,
    sees_nothing,
    stretched,
    untested,
    usual,
    whitened,
)
from napari_hovernet.core.diagnosis.model_whatifs import Gain
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.report import Finding
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.types import Maps

PART = tissue((96, 96), seed=2).image


def gain(name: str, won: float, by: str = "truth") -> Gain:
    other = won if by == "truth" else float("nan")
    return Gain(name, (0, 1, 2, 3), by, (won,) * 4, 0.4, 0.4 + won, 0.9, other)


def test_the_other_channel_order_is_the_remedy() -> None:
    fault = channel_order(gain("swapped", 0.2), "rgb")
    assert fault.verdict == "fault" and fault.remedy.value == "bgr" and fault.plot is not None
    assert channel_order(gain("swapped", 0.2), "bgr").remedy.value == "rgb"
    ok = channel_order(gain("swapped", -0.1), "rgb")
    assert ok.verdict == "ok" and not ok.remedy.action and not ok.places


def test_without_truth_it_is_less_certain() -> None:
    sure = channel_order(gain("swapped", 0.2), "rgb").certainty
    assert 0.85 < channel_order(gain("swapped", 0.2, "maps"), "rgb").certainty < sure


@pytest.mark.parametrize(
    ("outside", "inside", "largest", "action", "value"),
    [
        ((0.5, -0.5), (0.5, -0.5), 1, "input_factor", 255.0),
        ((-0.4, -0.4), (0.5, -0.5), 255, "", None),
        ((-0.4, 0.2), (-0.5, 0.5), 255, "", None),
        ((-0.4, 0.5), (), 255, "input_factor", 1 / 255),
    ],
    ids=["images 0..1", "divided twice", "not divided", "own function"],
)
def test_who_is_to_blame_for_the_range(
    outside: tuple, inside: tuple, largest: float, action: str, value: float | None
) -> None:
    out = [gain(n, g) for n, g in zip((TIMES, BY), outside, strict=True)]
    within = [gain(n, g) for n, g in zip((TIMES_INSIDE, BY_INSIDE), inside, strict=False)]
    finding = input_range(out, within, 1.0, largest)
    assert finding.verdict == "fault" and finding.certainty > 0.95
    assert finding.remedy.action == action and finding.remedy.value == value
    assert ("sees" in finding.title) == (not action)


def test_a_usual_range() -> None:
    assert input_range([gain(TIMES, -0.8), gain(BY, -0.7)], [], 1.0, 255).verdict == "ok"


def test_strength_of_foreign_looks() -> None:
    gains = [gain("brightness is stretched", g) for g in (-0.1, 0.0)]
    assert normalisation(gains).verdict == "ok"
    warned = normalisation([*gains, gain("the slide is made white", 0.09)])
    assert warned.verdict == "warn" and "made white" in warned.remedy.text
    assert normalisation([*gains, gain("dark and bright are exchanged", 0.4)]).verdict == "fault"


def test_ways_of_making_an_image_usual() -> None:
    dull = (PART // 3 + 60).astype(np.uint8)
    assert np.ptp(stretched(dull)) > 2 * np.ptp(dull)
    tinted = (PART * np.array([0.9, 0.7, 0.5])).astype(np.uint8)
    paper = np.percentile(whitened(tinted), 95, axis=(0, 1))
    assert np.allclose(paper, 243, atol=2)
    assert (inverted(inverted(PART)) == PART).all()
    assert np.allclose(usual(PART).mean((0, 1)), (189, 146, 183), atol=12)
    flat = np.full((8, 8, 3), 9, np.uint8)
    for change in (stretched, whitened, inverted, usual):
        assert change(flat).dtype == np.uint8 and change(flat).shape == flat.shape


def test_why_nothing_could_be_tried() -> None:
    bench = Bench(Case(ArrayItems(image=PART), model_error="x"))
    finding = untested("model.mpp", "Magnification", bench)
    assert finding.verdict == "not tested" and "could not be loaded" in finding.evidence


def blind(image: np.ndarray) -> Maps:
    """Divide by 255 and make whole numbers of it: next to nothing is left."""
    dark = (image / 255).astype(np.uint8).mean(axis=2)
    prob = np.indices(dark.shape).sum(axis=0) % 40 / 40 + dark / 255
    return Maps(np=np.clip(prob, 0, 1), hv=np.zeros((2, *dark.shape)))


def seeing(image: np.ndarray) -> Maps:
    prob = 1 - image.mean(axis=2) / 255
    return Maps(np=prob, hv=np.zeros((2, *prob.shape)))


def test_a_network_that_sees_nothing_of_the_image_is_named() -> None:
    bench = Bench(Case(ArrayItems(image=PART), predictor=Predictor.of(blind)))
    found = [s for s in run_input_range(bench) if isinstance(s, Finding)]
    assert [f.verdict for f in found] == ["fault"]
    assert "sees nothing" in found[0].title and found[0].certainty > 0.9


def test_a_network_that_sees_is_not_blamed() -> None:
    bench = Bench(Case(ArrayItems(image=PART), predictor=Predictor.of(seeing)))
    assert sees_nothing(bench, bench.variant_indices) is None
    assert sees_nothing(bench, ()) is None
