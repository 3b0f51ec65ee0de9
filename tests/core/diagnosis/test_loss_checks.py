from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_hovernet.core.diagnosis import DiagnosisReport, diagnose
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.loss_batch import LossBatch, batch_of, synthetic_batch
from napari_hovernet.core.diagnosis.loss_checks import CHECKS
from napari_hovernet.core.diagnosis.loss_limits import LossLimits
from napari_hovernet.core.diagnosis.loss_pixels import direction, mask_use
from napari_hovernet.core.diagnosis.loss_points import finite_gradients, scale_of_prediction
from napari_hovernet.core.diagnosis.loss_probes import scalings
from napari_hovernet.core.diagnosis.loss_reading import read_loss, weighted
from napari_hovernet.core.diagnosis.loss_shares import gradient_shares, shares
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.losses import HoverLoss
from napari_hovernet.core.params import LOSS_PRESETS, LossParams
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.errors import InputError


def count(m: Tensor) -> Tensor:
    return m.sum().clamp(min=1)


def mse(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    return ((p - t) ** 2 * m[:, None]).sum() / (2 * count(m))


def length(x: Tensor, epsilon: float = 1e-6) -> Tensor:
    return (x.square().sum(1) + epsilon).sqrt()


def magnitude(p: Tensor, t: Tensor, m: Tensor, epsilon: float = 1e-6) -> Tensor:
    return ((length(p, epsilon) - length(t, epsilon)) ** 2 * m).sum() / count(m)


def root_and_epsilon(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    long = p.square().sum(1).sqrt() + 1e-6
    return ((long - length(t)) ** 2 * m).sum() / count(m) + mse(p, t, m)


def slope(p: Tensor, t: Tensor, m: Tensor, right: bool = True) -> Tensor:
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=p.dtype)[None, None]
    along = (kernel, kernel.transpose(2, 3)) if right else (kernel.transpose(2, 3), kernel)
    parts = [
        F.conv2d(c[:, None], k, padding=1)[:, 0]
        for c, k in zip((p - t).unbind(1), along, strict=True)
    ]
    return (sum(x**2 for x in parts) * m).sum() / (2 * count(m))


def by_index(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    """Takes a bool mask only."""
    if not (~m).all():
        return F.mse_loss(p.permute(0, 2, 3, 1)[m], t.permute(0, 2, 3, 1)[m])
    return p.sum() * 0


HEALTHY = {
    **{name: p for name, p in LOSS_PRESETS.items() if name != "expert fix"},
    **{f"lambda {k}": LossParams(lambda_magnitude=k) for k in (0, 2, 5, 10)},
    "HoverLoss": HoverLoss(),
    "HoverLoss, lambda 10": HoverLoss(lambda_magnitude=10),
    "HoverLoss, lambda 0": HoverLoss(lambda_magnitude=0),
    "adaptive": HoverLoss(adaptive=True),
    "no gradient term": LossParams(lambda_gradient=0, lambda_magnitude=10),
    "squared error": mse,
    "terms": {"mse": mse, "magnitude": magnitude, "gradient": slope},
    "absolute error": lambda p, t, m: ((p - t).abs() * m[:, None]).sum() / count(m),
    "bool mask": by_index,
}

FAULTY = {
    "root + epsilon": (root_and_epsilon, "loss.finite", "fault"),
    "1e-8": (lambda p, t, m: mse(p, t, m) + magnitude(p, t, m, 1e-8), "loss.finite", "warn"),
    "detached": (lambda p, t, m: mse(p.detach(), t, m), "loss.finite", "fault"),
    "number": (lambda p, t, m: mse(p, t, m).item(), "loss.finite", "fault"),
    "no nucleus": (
        lambda p, t, m: ((p - t) ** 2 * m[:, None]).sum() / m.sum(), "loss.finite", "warn",
    ),
    "length only": (magnitude, "loss.direction", "fault"),
    "no sign": (lambda p, t, m: mse(p.abs(), t.abs(), m), "loss.direction", "fault"),
    "mse weight 0": (
        {"mse": lambda p, t, m: 0 * mse(p, t, m), "magnitude": magnitude}, "loss.direction",
        "fault",
    ),
    "lambda_hv 0": (LossParams(lambda_hv=0), "loss.direction", "fault"),
    "swapped": (lambda p, t, m: mse(p.flip(1), t, m), "loss.minimum", "fault"),
    "negated": (lambda p, t, m: mse(-p, t, m), "loss.minimum", "fault"),
    "maximised": (lambda p, t, m: -mse(p, t, m), "loss.minimum", "fault"),
    "wrong axis": (
        {"mse": mse, "gradient": lambda p, t, m: slope(p, t, m, right=False)}, "loss.minimum",
        "fault",
    ),
    "half": (lambda p, t, m: mse(p, 0.5 * t, m), "loss.scale_of_prediction", "fault"),
    "int8": (lambda p, t, m: mse(p, 127 * t, m), "loss.scale_of_prediction", "fault"),
    "tanh": (lambda p, t, m: mse(torch.tanh(p), t, m), "loss.scale_of_prediction", "fault"),
    "mask inverted": (lambda p, t, m: mse(p, t, 1 - m), "loss.mask", "fault"),
    "mean over all": (lambda p, t, m: ((p - t) ** 2 * m[:, None]).mean(), "loss.mask", "fault"),
    "no mask": (lambda p, t, m: ((p - t) ** 2).mean(), "loss.mask", "fault"),
    "sum": (lambda p, t, m: ((p - t) ** 2 * m[:, None]).sum(), "loss.denominator", "fault"),
    "per image": (
        lambda p, t, m: ((p - t) ** 2 * m[:, None]).sum() / len(p), "loss.denominator", "fault",
    ),
    "types everywhere": (LossParams(nt_inside_only=False), "loss.types_background", "fault"),
    "HV drowns NP": (LossParams(lambda_hv=100), "loss.share", "fault"),
    "NP left out": (LossParams(lambda_np=0), "loss.share", "fault"),
    "gradient drowns": (LossParams(lambda_gradient=100), "loss.share", "fault"),
    "the story's weights": (LOSS_PRESETS["expert fix"], "loss.share", "warn"),
}  # fmt: skip

LIMITS = LossLimits()
ONLY_LOSS = DiagnosisParams(families=("loss",))


def look(loss: Any, **given: Any) -> DiagnosisReport:
    return diagnose(loss=loss, params=ONLY_LOSS, **given)


@pytest.fixture(scope="module")
def batch() -> LossBatch:
    return synthetic_batch()


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_losses_are_ok(name: str) -> None:
    report = look(HEALTHY[name])
    assert report.first is None
    assert len(report.passed) >= 7
    assert all("HV alone" in f.evidence for f in report.not_tested)


@pytest.mark.parametrize("name", FAULTY)
def test_planted_faults_come_first(name: str) -> None:
    loss, cause, verdict = FAULTY[name]
    first = look(loss).first
    assert first is not None
    same = first.id.replace("gradient_share", "share")  # which of the two is of no account
    assert (same, first.verdict) == (cause, verdict)
    assert first.remedy.text
    assert 0.2 <= first.certainty <= 0.5 if verdict == "warn" else first.certainty >= 0.7


def test_a_loss_is_tested_on_the_users_own_images() -> None:
    made = tissue((160, 200), seed=7)
    report = look(HoverLoss(), images=[made.image], labels=[made.labels])
    assert report.first is None
    finding = report.get("loss.share")
    assert finding is not None
    assert "1 crop of 128 x 128 px with planted maps" in finding.evidence


def test_small_images_and_images_without_nuclei_do_no_harm() -> None:
    small = tissue((64, 64), seed=1).labels
    for labels in ([small], [np.zeros((64, 64), int)], [np.ones((64, 64), int)], [small[:20, :20]]):
        assert look(LossParams(), labels=labels).first is None


def test_maps_of_the_model_are_used_where_they_are_hv_at_all() -> None:
    labels = tissue((128, 128), seed=3).labels

    def maps(scale: float) -> Any:
        return lambda image: ((labels > 0) * 0.9, np.float32(scale) * hv_targets(labels))

    def source(scale: float) -> str:
        items = ArrayItems(image=np.zeros((1, 128, 128, 3), np.uint8), labels=labels[None])
        bench = Bench(Case(items, predictor=Predictor.of(maps(scale)), loss=LossParams()))
        steps = batch_of(bench, LIMITS)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return str(stop.value.source)

    assert "the model's maps" in source(0.8)
    assert "planted maps" in source(127)


def test_stored_targets_without_labels_will_do() -> None:
    labels = tissue((128, 128), seed=3).labels
    hv = hv_targets(labels)
    report = look(mse, hv=[hv], np=[(labels > 0).astype(np.uint8)])
    finding = report.get("loss.mask")
    assert finding is not None
    assert finding.numbers["coverage"] == pytest.approx((labels > 0).mean(), abs=1e-6)


# ------------------------------------------------------------------ numbers


def test_mean_over_all_pixels_is_the_coverage_times_the_loss(batch: LossBatch) -> None:
    diluted = read_loss(lambda p, t, m: ((p - t) ** 2 * m[:, None]).mean())
    right = read_loss(mse)
    given = (batch.hv, batch.target, batch.mask)
    factor = float(diluted.hv(*given)) / float(right.hv(*given))
    finding = mask_use(diluted, batch, LIMITS)
    assert factor == pytest.approx(batch.coverage, rel=1e-4)
    assert f"{batch.coverage:.3f}" in finding.evidence
    assert finding.numbers["factor in twice the background"] == pytest.approx(0.5, abs=0.01)


def test_masking_before_or_after_is_the_same(batch: LossBatch) -> None:
    numbers = mask_use(read_loss(magnitude), batch, LIMITS).numbers
    assert numbers["prediction masked first"] == pytest.approx(numbers["as it is"], rel=1e-5)


def test_directions_cost_what_a_squared_error_makes_of_them(batch: LossBatch) -> None:
    numbers = direction(read_loss(mse), batch, LIMITS).numbers
    assert numbers["negated, over HV = 0"] == pytest.approx(4, rel=1e-4)
    assert numbers["turned, over HV = 0"] == pytest.approx(2, rel=1e-4)
    ours = direction(read_loss(HoverLoss()), batch, LIMITS)
    assert ours.numbers["hv_magnitude: sees directions"] == pytest.approx(0, abs=1e-6)
    assert "hv_magnitude alone is blind" in ours.evidence
    assert ours.plot is not None


def test_the_curve_of_a_squared_error_is_a_parabola(batch: LossBatch) -> None:
    numbers = scale_of_prediction(read_loss(mse), batch, LIMITS).numbers
    assert numbers["k = 0.5"] / numbers["k = 0"] == pytest.approx(0.25, rel=1e-4)
    assert numbers["k = -1"] / numbers["k = 0"] == pytest.approx(4, rel=1e-4)


def test_sums_grow_with_the_batch(batch: LossBatch) -> None:
    factors = scalings(lambda p, t, m: ((p - t) ** 2 * m[:, None]).sum() / len(p), batch)
    assert factors["batch"] == pytest.approx(1, rel=1e-3)
    assert factors["crop"] == pytest.approx(2, rel=1e-3)


def test_shares_are_those_of_the_loss_itself(batch: LossBatch) -> None:
    loss = HoverLoss(lambda_magnitude=2)
    _, terms = loss(
        batch.logits, batch.hv, batch.nt_logits, batch.mask, batch.target, batch.nt_target
    )
    found = shares(read_loss(loss), batch, LIMITS).numbers
    for name, share in loss.shares(terms).items():
        assert found[f"share of {name}"] == pytest.approx(share, rel=1e-5)


def test_gradient_shares_follow_the_weights(batch: LossBatch) -> None:
    def asked(lambda_hv: float) -> float:
        found = gradient_shares(read_loss(LossParams(lambda_hv=lambda_hv)), batch, LIMITS)
        return found.numbers["weighted hv"] / found.numbers["weighted np"]

    assert asked(4.0) / asked(2.0) == pytest.approx(2, rel=1e-4)


def test_zero_has_a_gradient_of_zero_in_every_precision(batch: LossBatch) -> None:
    found = finite_gradients(read_loss(HoverLoss()), batch, LIMITS)
    assert found.verdict == "ok"
    assert "float32, float16, bfloat16" in found.evidence
    only = finite_gradients(read_loss(magnitude), batch, LIMITS).numbers
    assert only["gradient at HV = 0, float32"] == 0


# ------------------------------------------------------------------ what can be given


class Own(nn.Module):
    """A loss of all heads that somebody else wrote."""

    def __init__(self, broken: str = "") -> None:
        super().__init__()
        self.ours, self.broken = HoverLoss(nt_inside_only=broken != "types"), broken

    def forward(self, a: Any, hv: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
        total, terms = self.ours(a, hv.flip(1) if self.broken == "swap" else hv, c, d, e, f)
        if self.broken == "plain":
            return total
        return total, terms


@pytest.mark.parametrize(
    ("broken", "cause"),
    [("", None), ("plain", None), ("swap", "loss.minimum"), ("types", "loss.types_background")],
)
def test_a_module_with_our_call_signature(broken: str, cause: str | None) -> None:
    report = look(Own(broken))
    assert (report.first.id if report.first else None) == cause


def test_weights_of_a_foreign_total_are_found() -> None:
    a, b, c = (torch.tensor(v, requires_grad=True) for v in (2.0, 3.0, 5.0))
    hv = 4 * a + b
    parts = weighted(7 * hv + 2 * c, {"hv": hv, "hv_a": a, "hv_b": b, "np": c})
    assert {n: float(v.detach()) for n, v in parts.items()} == {
        "hv_a": 56.0,
        "hv_b": 21.0,
        "np": 10.0,
    }


def test_a_loss_that_fails_is_not_tested_and_says_why() -> None:
    report = look(lambda p, t, m: p.no_such_thing())
    assert not report.faults
    assert all("no_such_thing" in f.evidence or "HV alone" in f.evidence for f in report.not_tested)
    whole = look(lambda p, t, m: (p - t) ** 2)
    assert "return one number" in whole.not_tested[0].evidence


@pytest.mark.parametrize("given", [3.0, {}, {"mse": 1}, "default"])
def test_what_is_no_loss_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="give HoverLoss"):
        read_loss(given)


def test_every_check_has_its_own_id() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == 9
    assert {f.id for f in look(LossParams()).findings} == set(ids)
    with pytest.raises(InputError, match="crop is 0"):
        LossLimits(crop=0)
