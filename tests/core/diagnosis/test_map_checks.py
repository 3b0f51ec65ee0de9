"""Every fault planted in predicted maps is found first and mended; healthy maps pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.items import shifted
from napari_hovernet.core.diagnosis.map_checks import CHECKS
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.report import Finding
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import Maps, Progress
from napari_hovernet.errors import UserError

EDGE = 224
Given = dict[str, list[Any]]


@dataclass(frozen=True)
class Plant:
    """A fault: what is done to the arrays, and the ids that may be named first."""

    name: str
    part: str
    change: Callable[[Any], Any]
    ids: str
    mended: bool = True


def logit(p: Any) -> Any:
    q = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(q / (1 - q))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def no_direction(hv: Any) -> Any:
    rng = np.random.default_rng(3)
    rough = rng.standard_normal((2, EDGE // 8, EDGE // 8))
    return np.kron(rough, np.ones((1, 8, 8))).astype(np.float32) * 0.5


def negated(axis: int) -> Callable[[Any], Any]:
    def change(hv: Any) -> Any:
        made = np.array(hv)
        made[axis] *= -1
        return made

    return change


def tokens_one_to_257(a: Any) -> Any:
    """Four patches too far, row by row, of 16 x 16 patches of 14 px."""
    n, size = 16, EDGE // 16
    blocks = a.reshape(*a.shape[:-2], n, size, n, size).swapaxes(-3, -2)
    rolled = np.roll(blocks.reshape(*a.shape[:-2], n * n, size, size), 4, -3)
    return rolled.reshape(blocks.shape).swapaxes(-3, -2).reshape(a.shape)


PLANTED = (
    Plant("swapped", "hv", lambda a: a[::-1], "hv_order"),
    Plant("inward", "hv", lambda a: -a, "hv_sign"),
    Plant("x negated", "hv", negated(0), "hv_sign", mended=False),
    Plant("y negated", "hv", negated(1), "hv_sign", mended=False),
    Plant("one channel twice", "hv", lambda a: a[[0, 0]], "hv_direction", mended=False),
    Plant("no direction", "hv", no_direction, "hv_direction", mended=False),
    Plant("zero", "hv", lambda a: 0 * a, "hv_collapsed", mended=False),
    Plant("short", "hv", lambda a: 0.02 * a, "hv_collapsed"),
    Plant("127 times", "hv", lambda a: 127 * a, "hv_scale"),
    Plant("divided by 127 twice", "hv", lambda a: a / 127, "hv_scale"),
    Plant("three times", "hv", lambda a: 3 * a, "hv_scale"),
    Plant("int8", "hv", lambda a: np.clip(127 * a, -127, 127).astype(np.int8), "hv_scale",
          mended=False),
    Plant("in 0..1", "hv", lambda a: (a + 1) / 2, "hv_scale", mended=False),
    Plant("absolute", "hv", np.abs, "hv_scale hv_direction", mended=False),
    Plant("saturated", "hv", lambda a: np.tanh(30 * a), "hv_saturated", mended=False),
    Plant("noisy", "hv", lambda a: a + 0.6 * np.random.default_rng(0).standard_normal(a.shape),
          "hv_noise", mended=False),
    Plant("hv mirrored, np not", "hv", lambda a: a[..., ::-1], "hv_own_shape", mended=False),
    Plant("hv moved, np not", "hv", lambda a: np.roll(a, 12, -1), "hv_own_shape", mended=False),
    Plant("background", "np", lambda a: 1 - a, "np_channel"),
    Plant("logits", "np", logit, "np_activation"),
    Plant("bytes", "np", lambda a: (255 * a).astype(np.uint8), "np_activation", mended=False),
    Plant("floats of bytes", "np", lambda a: 255 * a, "np_activation", mended=False),
    Plant("sigmoid on top", "np", sigmoid, "np_activation"),
    Plant("biased", "np", lambda a: sigmoid(logit(a) + 5), "np_activation"),
    Plant("empty", "np", lambda a: 0 * a, "np_empty", mended=False),
    Plant("full", "np", lambda a: 0 * a + 1, "np_empty", mended=False),
    Plant("wrapped", "maps", lambda a: np.roll(a, 56, -1), "shift"),
    Plant("3 px", "maps", lambda a: np.roll(a, (-3, 2), (-2, -1)), "shift"),
    Plant("8 px, cut", "maps", lambda a: shifted(a, (8, 0)), "shift"),
    Plant("tokens 1:257", "maps", tokens_one_to_257, "shift"),
    Plant("mirrored", "maps", lambda a: a[..., ::-1], "orientation", mended=False),
    Plant("upside down", "maps", lambda a: a[..., ::-1, :], "orientation", mended=False),
    Plant("turned", "maps", lambda a: np.rot90(a, 1, (-2, -1)), "orientation", mended=False),
)  # fmt: skip
SHIFTS = ("wrapped", "3 px", "8 px, cut", "tokens 1:257", "mirrored", "upside down", "turned")
"""These need a truth or an image to compare with."""
LEFT_OUT: tuple[tuple[str, ...], ...] = ((), ("image",), ("labels",), ("image", "labels"))


@pytest.fixture(scope="module")
def healthy() -> Given:
    made = [tissue((EDGE, EDGE), seed) for seed in (0, 3)]
    maps = [planted_maps(one.labels, seed) for seed, one in enumerate(made)]
    return {
        "image": [one.image for one in made],
        "labels": [one.labels for one in made],
        "np": [one.np for one in maps],
        "hv": [one.hv for one in maps],
    }


def planted(given: Given, plant: Plant) -> Given:
    parts = ("np", "hv") if plant.part == "maps" else (plant.part,)
    changed = {p: [np.ascontiguousarray(plant.change(a)) for a in given[p]] for p in parts}
    return {**given, **changed}


def case_of(given: Given, left_out: tuple[str, ...] = (), setup: Setup | None = None) -> Case:
    parts = {name: stack for name, stack in given.items() if name not in left_out}
    return Case(ArrayItems(**parts), setup=setup or Setup())


def found(case: Case, params: DiagnosisParams | None = None) -> dict[str, Finding]:
    bench, made = Bench(case, params), {}
    for check in CHECKS:
        if check.missing(case.has):
            continue
        try:
            findings = [step for step in check.run(bench) if isinstance(step, Finding)]
        except UserError:
            continue
        assert [f.id for f in findings] == [check.id]
        made[check.id] = findings[0]
    return made


def causes(made: dict[str, Finding]) -> list[Finding]:
    """Return faults, then warnings, the surest first."""
    wrong = [f for f in made.values() if f.verdict in ("fault", "warn")]
    return sorted(wrong, key=lambda f: (f.verdict != "fault", -f.certainty))


@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_healthy_maps_pass(healthy: Given, left_out: tuple[str, ...]) -> None:
    made = found(case_of(healthy, left_out))
    assert causes(made) == []
    if "labels" not in left_out:
        assert made["model.score"].numbers["AJI"] > 0.8
    assert ("model.shift" in made) and ("model.hv_own_shape" in made)


@pytest.mark.parametrize("plant", PLANTED, ids=lambda p: p.name)
def test_a_planted_fault_is_named_first_and_mended(healthy: Given, plant: Plant) -> None:
    given = planted(healthy, plant)
    made = causes(found(case_of(given)))
    assert made, plant.name
    assert made[0].id.removeprefix("model.") in plant.ids.split()
    remedy = made[0].remedy
    assert remedy.text
    if plant.mended:
        again = found(case_of(given, setup=Setup().applied(remedy)))
        assert again[made[0].id].verdict == "ok", again[made[0].id].evidence
    else:
        assert made[0].verdict == "fault"


@pytest.mark.parametrize("plant", PLANTED, ids=lambda p: p.name)
def test_also_without_truth(healthy: Given, plant: Plant) -> None:
    left_out = {"biased": ("image",)}.get(plant.name, ("image", "labels"))
    left_out = ("labels",) if plant.name in SHIFTS else left_out
    made = causes(found(case_of(planted(healthy, plant), left_out)))
    assert made, plant.name
    assert made[0].id.removeprefix("model.") in plant.ids.split(), [f.id for f in made]


@pytest.mark.parametrize("change", [
    lambda a: np.roll(a, (9, 14), (0, 1)), lambda a: a[:, ::-1], lambda a: (a == 0).astype(int),
    lambda a: (a > 0).astype(int), lambda a: 0 * a,
])  # fmt: skip
def test_labels_that_are_wrong_are_not_taken_for_wrong_maps(
    healthy: Given, change: Callable[[Any], Any]
) -> None:
    given = {**healthy, "labels": [np.ascontiguousarray(change(a)) for a in healthy["labels"]]}
    wrong = causes(found(case_of(given)))
    assert [f.id for f in wrong if f.id != "model.score"] == []


def test_two_faults_at_once_are_both_found_and_mended_one_after_the_other(healthy: Given) -> None:
    both = {**healthy, "hv": [np.ascontiguousarray(-a[::-1]) for a in healthy["hv"]]}
    made = found(case_of(both))
    setup = Setup()
    for name in ("model.hv_order", "model.hv_sign"):
        assert made[name].verdict == "fault"
        setup = setup.applied(made[name].remedy)
    assert causes(found(case_of(both, setup=setup))) == []


def test_nan_in_one_of_the_maps_is_a_finding_and_the_others_are_judged(healthy: Given) -> None:
    given = {**healthy, "hv": [a.copy() for a in healthy["hv"]]}
    given["hv"][0][:, :3] = np.nan
    made = found(case_of(given))
    assert made["model.hv_scale"].verdict == "fault"
    assert "not finite" in made["model.hv_scale"].evidence
    assert made["model.hv_scale"].places[0].item == 0
    assert made["model.hv_order"].verdict == "ok"
    given = {**healthy, "np": [np.full_like(a, np.nan) for a in healthy["np"]]}
    made = found(case_of(given))
    assert made["model.np_activation"].verdict == "fault"
    assert "model.shift" not in made


def test_tokens_are_mentioned_for_shifts_by_whole_patches(healthy: Given) -> None:
    plant = next(p for p in PLANTED if p.name == "wrapped")
    finding = found(case_of(planted(healthy, plant)))["model.shift"]
    assert finding.remedy.value == (0, -56)
    assert "56 px to the right" in finding.title
    assert "CLS" in finding.evidence


def test_types_of_a_network_are_compared_with_true_ones() -> None:
    made = tissue((EDGE, EDGE), 0)
    maps = planted_maps(made.labels, 0, types=made.types)
    true = np.concatenate(([0], made.types))[made.labels]
    predictor = Predictor.of(lambda image: Maps(np=maps.np, hv=maps.hv, types=maps.types))
    for given, verdict in ((true, "ok"), (np.where(true > 0, true - 1, 0), "fault")):
        items = ArrayItems(image=[made.image], labels=[made.labels], types=[given])
        finding = found(Case(items, predictor=predictor))["model.types"]
        assert finding.verdict == verdict
    setup = Setup().applied(finding.remedy)
    again = found(Case(items, predictor=predictor, setup=setup))["model.types"]
    assert (setup.type_offset, again.verdict) == (1, "ok")


def test_checks_can_be_cancelled_between_images_and_keep_to_the_number_of_places(
    healthy: Given,
) -> None:
    given = planted(healthy, PLANTED[0])
    bench = Bench(case_of(given), DiagnosisParams(n_places=1))
    check = next(c for c in CHECKS if c.id == "model.hv_order")
    steps = list(check.run(bench))
    assert sum(isinstance(s, Progress) for s in steps[:-1]) >= 4
    assert isinstance(steps[-1], Finding)
    assert len(steps[-1].places) == 1


def test_ids_are_listed_once() -> None:
    ids = [check.id for check in CHECKS]
    assert len(ids) == len(set(ids)) == 17
    assert all("maps" in check.needs for check in CHECKS)


def test_predictions_of_real_images_pass(shared: Path) -> None:
    files = sorted((shared / "golden" / "predicted").glob("*.npz"))
    loaded = [np.load(file) for file in files[:4]]
    given = {
        "labels": [f["labels"] for f in loaded],
        "np": [f["np_prob"] for f in loaded],
        "hv": [f["hv_pred"] for f in loaded],
    }
    for left_out in ((), ("labels",)):
        assert causes(found(case_of(given, left_out))) == []
