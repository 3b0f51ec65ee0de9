"""Terms of the loss against numpy, against finite differences, and where they could break."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_hovernet.core import losses as terms
from napari_hovernet.core.hv import hv_targets

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)
HALVES = (torch.float16, torch.bfloat16)

Case = dict[str, torch.Tensor]


def case(
    seed: int = 0, size: int = 24, n_types: int = 4, dtype: torch.dtype = torch.float64
) -> Case:
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


def test_instance_labels_and_bool_stand_for_nuclei_too() -> None:
    c = case()
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


def test_sobel_is_the_plain_one_with_a_border_of_zeros() -> None:
    x = np.random.default_rng(2).normal(size=(9, 7))
    along_x, along_y = terms.sobel(torch.tensor(x)[None, None])
    want = ndimage.correlate(x, SOBEL_X, mode="constant")
    np.testing.assert_allclose(along_x[0, 0], want, atol=1e-12)
    want = ndimage.correlate(x, SOBEL_X.T, mode="constant")
    np.testing.assert_allclose(along_y[0, 0], want, atol=1e-12)
    ramp = 0.5 * torch.arange(6.0).expand(1, 1, 6, 6)
    assert float(terms.sobel(ramp)[0][0, 0, 3, 3]) == 0.5 * terms.SOBEL_GAIN


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


@pytest.mark.parametrize("name", [n for n in functions(case()) if "valid" not in n])
def test_gradients_in_float32_are_those_in_float64(name: str) -> None:
    grads = []
    for dtype in (torch.float32, torch.float64):
        function, at = functions(case(dtype=dtype))[name]
        x = at.clone().requires_grad_()
        function(x).backward()
        grads.append(x.grad.double())
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-7)


def test_the_error_of_the_derivative_counts_at_nuclei_only_but_sees_beside_them() -> None:
    c = case()
    mask = mask_of(c)
    x = c["hv_target"].clone().requires_grad_()
    terms.hv_gradient(x + 0.1, c["hv_target"], mask).backward()
    reach = torch.nn.functional.max_pool2d(mask[:, None].float(), 3, 1, 1)[:, 0] > 0
    assert (x.grad[:, 0][~reach] == 0).all()
    far = c["hv_target"] + torch.where(reach, 0.0, 5.0)[:, None]
    assert float(terms.hv_gradient(far, c["hv_target"], mask)) == 0


def test_magnitude_is_blind_to_direction() -> None:
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


@pytest.mark.parametrize("k", [0.0, 0.2, 0.5, 1.0, 2.0])
def test_magnitude_of_a_scaled_truth_is_known(k: float) -> None:
    """With prediction = k * target the term is (1 - k)² mean |target|², but for epsilon."""
    c = case()
    mask = mask_of(c)
    squared = float((c["hv_target"].square().sum(1) * mask).sum() / mask.sum())
    got = float(terms.hv_magnitude(k * c["hv_target"], c["hv_target"], mask))
    assert got == pytest.approx((1 - k) ** 2 * squared, abs=2e-3)


def test_length_at_zero_has_a_slope_of_zero() -> None:
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    terms.length(x).sum().backward()
    assert (x.grad == 0).all()
    assert float(terms.length(x.detach()).max()) == pytest.approx(1e-3, rel=1e-6)


def test_a_map_of_zeros_feels_no_pull_of_magnitude_but_of_the_error() -> None:
    c = case()
    mask = mask_of(c)
    for term, pulls in ((terms.hv_magnitude, False), (terms.hv_mse, True)):
        x = torch.zeros_like(c["hv"]).requires_grad_()
        term(x, c["hv_target"], mask).backward()
        assert bool((x.grad != 0).any()) is pulls


def test_without_nuclei_the_terms_are_zero_and_so_are_their_gradients() -> None:
    c = case()
    empty = torch.zeros_like(c["np_target"])
    mask = terms.nucleus_mask(empty)
    for value, x in (
        (lambda x: terms.hv_mse(x, c["hv_target"], mask), c["hv"]),
        (lambda x: terms.hv_gradient(x, c["hv_target"], mask), c["hv"]),
        (lambda x: terms.hv_magnitude(x, c["hv_target"], mask), c["hv"]),
        (lambda x: terms.nt_loss(x, c["nt_target"], mask), c["nt_logits"]),
    ):
        leaf = x.clone().requires_grad_()
        loss = value(leaf)
        loss.backward()
        assert float(loss.detach()) == 0
        assert (leaf.grad == 0).all()
    leaf = c["np_logits"].clone().requires_grad_()
    loss = terms.np_loss(leaf, empty)
    loss.backward()
    assert torch.isfinite(loss)
    assert leaf.grad[:, terms.NUCLEUS].sum() > 0  # less "nucleus" is better here


def test_one_pixel() -> None:
    hv = torch.tensor([0.3, -0.4]).reshape(1, 2, 1, 1)
    true, mask = torch.zeros(1, 2, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool)
    assert float(terms.hv_mse(hv, true, mask)) == pytest.approx(0.125)
    assert float(terms.hv_gradient(hv, true, mask)) == 0
    assert float(terms.hv_magnitude(hv, true, mask)) == pytest.approx((0.5 - 1e-3) ** 2, rel=1e-5)


def cropped(c: Case, columns: int) -> Case:
    return {name: x[..., :columns] for name, x in c.items()}


def test_outside_the_image_nothing_counts_whatever_is_there() -> None:
    """A padded crop has the loss of the crop that is not padded; NaN beside it does no harm."""
    c = case()
    valid, inner = valid_left(c), cropped(c, 15)
    outside = valid[:, None] == 0
    for name in ("np_logits", "hv", "hv_target", "nt_logits"):
        c[name] = torch.where(outside, torch.nan, c[name]).requires_grad_(name != "hv_target")
    mask, inner_mask = terms.nucleus_mask(c["np_target"], valid), mask_of(inner)
    got = (
        terms.np_loss(c["np_logits"], c["np_target"], valid),
        terms.hv_gradient(c["hv"], c["hv_target"], mask, valid),
        terms.nt_loss(c["nt_logits"], c["nt_target"], mask),
        terms.nt_loss(c["nt_logits"], c["nt_target"], valid),
    )
    want = (
        terms.np_loss(inner["np_logits"], inner["np_target"]),
        terms.hv_gradient(inner["hv"], inner["hv_target"], inner_mask),
        terms.nt_loss(inner["nt_logits"], inner["nt_target"], inner_mask),
        terms.nt_loss(inner["nt_logits"], inner["nt_target"]),
    )
    torch.testing.assert_close(torch.stack(got), torch.stack(want), rtol=1e-10, atol=0)
    torch.stack(got).sum().backward()
    for name in ("np_logits", "hv", "nt_logits"):
        assert torch.isfinite(c[name].grad).all()
        assert (c[name].grad[outside.expand_as(c[name])] == 0).all()


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_summed_in_full(dtype: torch.dtype) -> None:
    """In half precision the square of 1e-4 is lost, and a sum beyond 65504 overflows."""
    size = 300
    mask = torch.ones(1, size, size, dtype=torch.bool)
    hv = torch.full((1, 2, size, size), 1e-4, dtype=dtype).requires_grad_()
    true = torch.zeros(1, 2, size, size, dtype=dtype)
    for term in (terms.hv_mse, terms.hv_gradient, terms.hv_magnitude):
        value = term(hv, true, mask)
        assert value.dtype == torch.float32
        assert float(value.detach()) > 0
        (grad,) = torch.autograd.grad(value * 2.0**16, hv)
        assert torch.isfinite(grad).all()
    far = torch.full_like(true, 1.0)
    assert float(terms.hv_mse(far, true, mask)) == 1.0
