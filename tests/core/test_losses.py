import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

import napari_hovernet as nh
from napari_hovernet.core import losses as terms
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.losses import HoverLoss, magnitude_loss
from napari_hovernet.core.params import LOSS_HEADS, LOSS_NAMES, LOSS_PARTS, LOSS_PRESETS, LossParams
from napari_hovernet.errors import InputError

from ..refusals import refuses

Batch = tuple[torch.Tensor, ...]
NAMES = ("np_logits", "hv_pred", "nt_logits", "np_target", "hv_target", "nt_target")


@pytest.fixture
def golden(shared: Path) -> dict[str, Any]:
    folder = shared / "golden" / "optimus"
    with np.load(folder / "loss_inputs.npz") as data:
        batch = tuple(torch.from_numpy(data[name]) for name in NAMES)
    return {"batch": batch, "terms": json.loads((folder / "loss.json").read_text())}


def batch_of(seed: int = 0, n_types: int = 3, size: int = 16) -> Batch:
    """As :func:`case`, in the order of the arguments of a loss."""
    return tuple(case(seed, size, n_types, torch.float32).values())


@pytest.mark.parametrize("key", ["0.0", "1.0", "5.0", "adaptive"])
def test_every_term_the_total_and_the_gradient_equal_the_reference(golden, key) -> None:
    adaptive = key == "adaptive"
    loss = nh.HoverLoss(
        lambda_magnitude=5.0 if adaptive else float(key), adaptive=adaptive, nt_inside_only=False
    )
    batch = list(golden["batch"])
    batch[1] = batch[1].clone().requires_grad_()
    total, terms = loss(*batch)
    total.backward()
    want = golden["terms"][key]
    stored = {**want, "hv_mse": want["hv_l1"]}  # which is the squared error
    for name in set(terms) & set(stored):
        assert terms[name].item() == pytest.approx(stored[name], abs=1e-5), name
    assert total.item() == pytest.approx(want["total"], abs=1e-5)
    if not adaptive:
        assert batch[1].grad.norm().item() == pytest.approx(want["hv_grad_norm"], abs=1e-5)
    else:
        assert loss.weights() == {head: want[f"w_{head}"] for head in LOSS_HEADS}


def test_the_total_is_the_weighted_sum_of_the_terms_and_shares_its_parts() -> None:
    loss = HoverLoss(0.5, 3.0, 0.25, lambda_magnitude=7.0, lambda_gradient=0.125)
    total, terms = loss(*batch_of())
    assert tuple(terms) == LOSS_NAMES
    t = {name: value.item() for name, value in terms.items()}
    assert t["hv"] == pytest.approx(t["hv_mse"] + 0.125 * t["hv_gradient"] + 7 * t["hv_magnitude"])
    assert total.item() == pytest.approx(0.5 * t["np"] + 3 * t["hv"] + 0.25 * t["nt"])
    loss = HoverLoss(0.5, 3.0, 0.25)
    total, terms = loss(*batch_of())
    shares = loss.shares(terms)
    assert (tuple(shares), sum(shares.values())) == (LOSS_PARTS, pytest.approx(1))
    assert shares["np"] == pytest.approx(0.5 * terms["np"].item() / total.item(), rel=1e-5)
    part = 3 * 5 * terms["hv_magnitude"].item() / total.item()
    assert shares["hv_magnitude"] == pytest.approx(part, rel=1e-5)
    numbers = {name: value.item() for name, value in terms.items()}
    assert loss.shares(numbers) == pytest.approx(shares)
    loss = HoverLoss()
    assert set(loss.shares(dict.fromkeys(LOSS_NAMES, 0.0)).values()) == {0.0}
    broken = {**dict.fromkeys(LOSS_NAMES, 1.0), "hv_mse": float("nan")}
    assert all(np.isnan(share) for share in loss.shares(broken).values())


def test_types_are_counted_in_nuclei_unless_told_otherwise() -> None:
    logits, hv, types, nuclei, true, nt = batch_of()
    outside = torch.where(nuclei == 0, (nt + 1) % 3, nt)
    inside_only, everywhere = HoverLoss(), HoverLoss(nt_inside_only=False)

    def nt_of(loss: HoverLoss, target: torch.Tensor) -> float:
        return float(loss(logits, hv, types, nuclei, true, target)[1]["nt"])

    assert nt_of(inside_only, nt) == nt_of(inside_only, outside)
    assert nt_of(everywhere, nt) != nt_of(everywhere, outside)


@pytest.mark.parametrize("missing", [(2,), (5,), (2, 5)])
@pytest.mark.parametrize("adaptive", [False, True])
def test_without_types(missing: tuple[int, ...], adaptive: bool) -> None:
    batch: list[Any] = list(batch_of())
    for position in missing:
        batch[position] = None
    loss = HoverLoss(adaptive=adaptive)
    total, terms = loss(*batch)
    assert float(terms["nt"]) == 0
    weights = (1, 1) if adaptive else (1, 2)
    want = weights[0] * terms["np"] + weights[1] * terms["hv"]
    assert (total.item(), loss.shares(terms)["nt"]) == (pytest.approx(want.item()), 0)


def test_learned_weights_rest_at_one_over_their_terms() -> None:
    """exp(-s) L + s is least where s = log L; beside it the gradient leads back there."""
    loss = HoverLoss(adaptive=True)
    batch = batch_of()
    with torch.no_grad():
        best = torch.stack([loss(*batch)[1][head] for head in LOSS_HEADS]).log()
    for off, sign in ((0.0, 0), (0.3, 1), (-0.3, -1)):
        loss.s.grad = None
        loss.s.data = best + off
        loss(*batch)[0].backward()
        grad = torch.where(loss.s.grad.abs() < 1e-5, 0, loss.s.grad.sign())
        assert grad.tolist() == [sign] * len(LOSS_HEADS)
    loss = HoverLoss(lambda_nt=0.0, adaptive=True)
    total, terms = loss(*batch_of())
    total.backward()
    assert total.item() == pytest.approx((terms["np"] + terms["hv"]).item())
    assert (loss.s.grad[LOSS_HEADS.index("nt")], loss.weights()["nt"]) == (0, 0)
    assert loss.shares(terms)["nt"] == 0


@pytest.mark.parametrize("preset", LOSS_PRESETS)
def test_from_params_keeps_every_choice(preset: str) -> None:
    params = LOSS_PRESETS[preset]
    assert HoverLoss.from_params(params).params == params
    odd = LossParams(1, 2, 3, 4, 5, 1e-5, 1e-4, nt_inside_only=False, adaptive=True)
    assert HoverLoss.from_params(odd).params == odd
    refuses(r"lambda_hv is -1\.0; give a finite number", HoverLoss, lambda_hv=-1.0)


@pytest.mark.parametrize(
    ("position", "shape", "message"),
    [
        (0, (2, 1, 16, 16), "np_logits"),
        (1, (2, 3, 16, 16), "hv has shape"),
        (1, (2, 2, 16, 15), "hv has shape"),
        (2, (2, 3, 8, 8), "nt_logits"),
        (3, (2, 1, 16, 16), "np_target"),
        (4, (2, 16, 16, 2), "hv_target"),
        (5, (1, 16, 16), "nt_target"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(position, shape, message) -> None:
    batch = list(batch_of())
    batch[position] = torch.zeros(shape, dtype=batch[position].dtype)
    refuses(message, lambda: HoverLoss()(*batch))


def test_a_type_or_a_valid_map_that_does_not_fit_is_refused() -> None:
    *batch, nt = batch_of(n_types=3)
    with pytest.raises(InputError, match=r"goes up to 3, but the network tells 3 types apart"):
        HoverLoss()(*batch, nt + 1)
    refuses("valid has shape", lambda: HoverLoss()(*batch_of(), valid=torch.ones(2, 1, 16, 16)))


@pytest.mark.parametrize("nt_inside_only", [True, False])
def test_a_padded_crop_has_the_loss_of_the_crop(nt_inside_only: bool) -> None:
    loss = HoverLoss(nt_inside_only=nt_inside_only)
    batch = batch_of()
    padded = [nn.functional.pad(x, (0, 5, 3, 0)) for x in batch]
    padded[0][..., :3, :] = 9.0
    padded[1][..., :3, :] = 0.7
    valid = nn.functional.pad(torch.ones(2, 16, 16), (0, 5, 3, 0))
    want, want_terms = loss(*batch)
    got, got_terms = loss(*padded, valid=valid)
    assert got.item() == pytest.approx(want.item(), rel=1e-5)
    for name in LOSS_NAMES:
        assert got_terms[name].item() == pytest.approx(want_terms[name].item(), rel=1e-5), name
    unaware = loss(*padded)[1]["np"].item()
    assert unaware != pytest.approx(want_terms["np"].item(), rel=1e-2)


def test_padding_alone_is_finite_and_nan_in_it_does_no_harm() -> None:
    batch = list(batch_of())
    batch[1].requires_grad_()
    total, parts = HoverLoss()(*batch, valid=torch.zeros(2, 16, 16))
    total.backward()
    assert torch.isfinite(total) and float(parts["hv"].detach()) == float(parts["nt"].detach()) == 0
    assert (batch[1].grad == 0).all()
    c = case()
    valid = valid_left(c)
    outside, mask = valid[:, None] == 0, terms.nucleus_mask(c["np_target"], valid)

    def told(beside: float) -> list[torch.Tensor]:
        x = {n: torch.where(outside, beside, c[n]).requires_grad_() for n in ("np_logits", "hv")}
        loss = terms.np_loss(x["np_logits"], c["np_target"], valid)
        loss = loss + terms.hv_gradient(x["hv"], c["hv_target"], mask, valid)
        loss.backward()
        return [loss.detach(), *(leaf.grad for leaf in x.values())]

    for nan, zero in zip(told(float("nan")), told(0.0), strict=True):
        torch.testing.assert_close(nan, zero)


@pytest.mark.parametrize("adaptive", [False, True])
def test_hv_of_exactly_zero_and_no_nuclei_are_finite(adaptive: bool) -> None:
    for nuclei in (0, 1):
        logits, hv, types, target, true, nt = batch_of()
        hv = torch.zeros_like(hv).requires_grad_()
        loss = HoverLoss(adaptive=adaptive)
        total, terms = loss(logits, hv, types, target * nuclei, true * nuclei, nt)
        total.backward()
        assert all(torch.isfinite(value) for value in (total, *terms.values()))
        assert torch.isfinite(hv.grad).all() and bool((hv.grad != 0).any()) is bool(nuclei)


def test_following_the_loss_leads_to_the_truth() -> None:
    """HV as free numbers: the steps end at the true map, not only at its length."""
    logits, _, _, nuclei, true, _ = batch_of()
    torch.manual_seed(3)
    hv = (0.1 * torch.randn(true.shape)).requires_grad_()
    optimizer = torch.optim.Adam([hv], lr=0.05)
    loss = HoverLoss()
    for _ in range(200):
        optimizer.zero_grad()
        total, terms = loss(logits, hv, None, nuclei, true, None)
        total.backward()
        optimizer.step()
    assert float(terms["hv_mse"].detach()) < 1e-3
    inside = (nuclei > 0)[:, None].expand_as(hv)
    assert nn.functional.cosine_similarity(hv[inside], true[inside], dim=0) > 0.99


SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)
HALVES = (torch.float16, torch.bfloat16)
Case = dict[str, torch.Tensor]


def case(seed=0, size=24, n_types=4, dtype=torch.float64):
    """Two images with three nuclei each, random predictions."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((2, size, size), int)
    for image in labels:
        for k in range(3):
            row, col = rng.integers(0, size - 8, 2)
            image[row : row + 7, col : col + 5 + k] = k + 1
    hv = np.stack([hv_targets(image) for image in labels])
    shape = (2, 2, size, size)
    return {
        "np_logits": torch.tensor(rng.normal(size=shape), dtype=dtype),
        "hv": torch.tensor(rng.uniform(-1, 1, shape), dtype=dtype),
        "nt_logits": torch.tensor(rng.normal(size=(2, n_types, size, size)), dtype=dtype),
        "np_target": torch.tensor((labels > 0).astype(np.int64)),
        "hv_target": torch.tensor(hv, dtype=dtype),
        "nt_target": torch.tensor(rng.integers(0, n_types, labels.shape)),
    }


def valid_left(case: Case, columns: int = 15) -> torch.Tensor:
    valid = torch.zeros(case["np_target"].shape)
    valid[..., :columns] = 1
    return valid


def mask_of(case: Case) -> torch.Tensor:
    return terms.nucleus_mask(case["np_target"])


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def test_np_is_cross_entropy_and_dice_pooled_over_the_batch() -> None:
    c = case()
    log_p, t = log_softmax(c["np_logits"].numpy()), c["np_target"].numpy()
    entropy = -np.where(t == 1, log_p[:, 1], log_p[:, 0]).mean()
    p = np.exp(log_p[:, 1])
    dice = (2 * (p * t).sum() + 1e-5) / (p.sum() + t.sum() + 1e-5)
    got = terms.np_loss(c["np_logits"], c["np_target"])
    assert float(got) == pytest.approx(entropy + 1 - dice, abs=1e-12)
    want = terms.np_loss(c["np_logits"], c["np_target"])
    assert terms.np_loss(c["np_logits"], c["np_target"] * 7) == want
    assert terms.np_loss(c["np_logits"], c["np_target"].bool()) == want


def test_hv_terms_equal_their_definitions_written_in_numpy() -> None:
    c = case()
    hv, true, m = (c[name].numpy() for name in ("hv", "hv_target", "np_target"))
    n = m.sum()
    mse = (((hv - true) ** 2) * m[:, None]).sum() / (2 * n)

    def derived(maps: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return np.array(
            [[ndimage.correlate(x, kernel, mode="constant") for x in image] for image in maps]
        )

    gradient = sum(
        (((derived(hv, kernel) - derived(true, kernel)) ** 2) * m[:, None]).sum()
        for kernel in (SOBEL_X, SOBEL_X.T)
    ) / (2 * n)
    lengths = [np.sqrt((x**2).sum(1) + 1e-6) for x in (hv, true)]
    magnitude = (((lengths[0] - lengths[1]) ** 2) * m).sum() / n

    mask = mask_of(c)
    got = terms.hv_mse(c["hv"], c["hv_target"], mask)
    assert float(got) == pytest.approx(mse, abs=1e-12)
    got = terms.hv_gradient(c["hv"], c["hv_target"], mask)
    assert float(got) == pytest.approx(gradient, abs=1e-10)
    got = terms.hv_magnitude(c["hv"], c["hv_target"], mask)
    assert float(got) == pytest.approx(magnitude, abs=1e-12)


def test_types_count_in_the_mask_alone_and_where_they_are_known() -> None:
    c = case()
    log_p, t = log_softmax(c["nt_logits"].numpy()), c["nt_target"].numpy()
    entropy = -np.take_along_axis(log_p, t[:, None], 1)[:, 0]
    inside = c["np_target"].numpy() > 0
    got = terms.nt_loss(c["nt_logits"], c["nt_target"])
    assert float(got) == pytest.approx(entropy.mean(), abs=1e-12)
    got = terms.nt_loss(c["nt_logits"], c["nt_target"], mask_of(c))
    assert float(got) == pytest.approx(entropy[inside].mean(), abs=1e-12)
    unknown = torch.where(c["nt_target"] == 2, -1, c["nt_target"])
    got = terms.nt_loss(c["nt_logits"], unknown, mask_of(c))
    assert float(got) == pytest.approx(entropy[inside & (t != 2)].mean(), abs=1e-12)


def functions(c: Case) -> dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]]:
    """Each term as a function of what the network says, and what it says."""
    mask, valid = mask_of(c), valid_left(c)
    true = c["hv_target"]
    return {
        "np": (lambda x: terms.np_loss(x, c["np_target"]), c["np_logits"]),
        "np valid": (lambda x: terms.np_loss(x, c["np_target"], valid), c["np_logits"]),
        "mse": (lambda x: terms.hv_mse(x, true, mask), c["hv"]),
        "gradient": (lambda x: terms.hv_gradient(x, true, mask), c["hv"]),
        "gradient valid": (lambda x: terms.hv_gradient(x, true, mask, valid), c["hv"]),
        "magnitude": (lambda x: terms.hv_magnitude(x, true, mask), c["hv"]),
        "nt": (lambda x: terms.nt_loss(x, c["nt_target"], mask), c["nt_logits"]),
    }


@pytest.mark.parametrize("name", list(functions(case())))
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    function, at = functions(case(size=10))[name]
    x = at.clone().requires_grad_()
    assert torch.autograd.gradcheck(function, (x,), eps=1e-6, atol=1e-6)


def test_magnitude_is_blind_to_direction_and_dead_at_zero() -> None:
    c = case()
    mask = mask_of(c)
    want = terms.hv_magnitude(c["hv"], c["hv_target"], mask)
    turned = torch.stack((-c["hv"][:, 1], c["hv"][:, 0]), 1)
    for other in (-c["hv"], c["hv"].flip(1), turned):
        torch.testing.assert_close(terms.hv_magnitude(other, c["hv_target"], mask), want)
        assert terms.hv_mse(other, c["hv_target"], mask) != terms.hv_mse(
            c["hv"], c["hv_target"], mask
        )
    reversed_truth = terms.hv_magnitude(-c["hv_target"], c["hv_target"], mask)
    assert float(reversed_truth) == 0
    c = case()
    mask = mask_of(c)
    for term, pulls in ((terms.hv_magnitude, False), (terms.hv_mse, True)):
        x = torch.zeros_like(c["hv"]).requires_grad_()
        term(x, c["hv_target"], mask).backward()
        assert bool((x.grad != 0).any()) is pulls


@pytest.mark.parametrize("size_of_hv", [0.0, 1e-4])
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_summed_in_full(dtype: torch.dtype, size_of_hv: float) -> None:
    """In half precision the square of 1e-4 is lost, and a sum beyond 65504 overflows."""
    size = 300
    mask = torch.ones(1, size, size, dtype=torch.bool)
    hv = torch.full((1, 2, size, size), size_of_hv, dtype=dtype).requires_grad_()
    true = torch.zeros(1, 2, size, size, dtype=dtype)
    for term in (terms.hv_mse, terms.hv_gradient, terms.hv_magnitude):
        value = term(hv, true, mask)
        assert value.dtype == torch.float32 and bool(value.detach() > 0) is bool(size_of_hv)
        (grad,) = torch.autograd.grad(value * 2.0**16, hv)
        assert torch.isfinite(grad).all()
    far = torch.full_like(true, 1.0)
    assert float(terms.hv_mse(far, true, mask)) == 1.0


@pytest.mark.parametrize("form", ["none", "plane", "channel"])
def test_magnitude_loss_takes_a_mask_in_either_form(form: str) -> None:
    torch.manual_seed(0)
    hv, true = torch.randn(2, 2, 5, 6), torch.randn(2, 2, 5, 6)
    mask = torch.rand(2, 5, 6) > 0.5
    given = {"none": None, "plane": mask, "channel": mask[:, None]}[form]
    seen = torch.ones_like(mask) if form == "none" else mask
    expected = (hv.norm(dim=1) - true.norm(dim=1))[seen].square().mean()
    assert float(magnitude_loss(hv, true, given)) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("hv", "true", "mask"),
    [((2, 5, 6), (2, 5, 6), None), ((1, 2, 5, 6), (1, 2, 5, 7), None),
     ((1, 2, 5, 6), (1, 2, 5, 6), (1, 2, 5, 6))],
)  # fmt: skip
def test_magnitude_loss_names_shapes_that_do_not_fit(hv, true, mask) -> None:
    with pytest.raises(InputError, match=r"give"):
        given = None if mask is None else torch.zeros(mask)
        magnitude_loss(torch.zeros(hv), torch.zeros(true), given)
