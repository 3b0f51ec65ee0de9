"""A loss as it is given, and the answers that are tried on it.

``loss`` may be :class:`.HoverLoss`, :class:`.LossParams`, a module of HoverLoss's call signature
that returns the total or (total, terms), a function ``f(pred_hv (B, 2, H, W), true_hv, mask (B, H,
W))`` that returns one number, or a mapping of names to such functions (their sum is the loss).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError, UserError
from ..hv import hv_targets
from ..losses import HoverLoss
from ..params import LOSS_TERMS, LossParams
from ..synthetic import planted_maps, tissue
from ..types import Maps
from .bench import Bench, Item, busiest, kept

HvLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""f(pred_hv (B, 2, H, W), true_hv, mask (B, H, W)) -> scalar."""
HEAD_ARGUMENTS = 6
"""A module of HoverLoss's call signature takes at least as many."""
HELP = ("give HoverLoss, LossParams, a function f(pred_hv, true_hv, mask) that returns one number, "
        "or a mapping of names to such functions")  # fmt: skip
CROP, LEAST_CROP, N_CROPS, TYPES = 128, 48, 4, 6  # A few dozen nuclei; types as of PanNuke
SURE = 10.0
"""Logit of NP that is right."""
ADDED = "the truth with 0.3 added everywhere"
TINY = 1e-12  # Far below rounding of any loss that is there

# --- a loss as it is given ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Batch:
    """What a network said, and what is true."""

    logits: Tensor  # (B, 2, H, W)
    hv: Tensor
    target: Tensor
    mask: Tensor  # bool (B, H, W)
    nt_logits: Tensor
    nt_target: Tensor
    source: str  # Where it is from, for the evidence


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss of HV, and of the other heads where it has them."""

    name: str
    hv: HvLoss  # What is minimised, as a function of HV alone; all else is right
    terms: Mapping[str, HvLoss] = field(default_factory=dict)  # Of HV, weighted
    full: Callable[[Batch], tuple[Tensor, dict[str, Tensor]]] | None = None  # Total, terms


def read_loss(loss: Any) -> Loss:
    """Make a loss of what a user gives."""
    if isinstance(loss, LossParams):
        loss = HoverLoss.from_params(loss)
    if isinstance(loss, HoverLoss) and type(loss).forward is HoverLoss.forward:
        return _ours(loss)
    if isinstance(loss, Mapping) and loss and all(map(callable, loss.values())):
        terms = {str(name): scalar(f, str(name)) for name, f in loss.items()}

        def total(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
            return torch.stack([f(p, t, m).float() for f in terms.values()]).sum()

        return Loss("the sum of the terms", total, terms)
    if not callable(loss) or isinstance(loss, Mapping):
        raise InputError(f"loss is a {type(loss).__name__}; {HELP}.")
    name = getattr(loss, "__name__", type(loss).__name__)
    return _module(loss, name) if _required(loss) >= HEAD_ARGUMENTS else Loss(
        name, scalar(loss, name))  # fmt: skip


def _required(function: Any) -> int:
    """How many arguments it must be given (those of ``forward`` of a module)."""
    target = function.forward if isinstance(function, nn.Module) else function
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return 0
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
               for p in parameters)  # fmt: skip


def scalar(function: Callable[..., Any], name: str) -> HvLoss:
    """Wrap a function of the user's own; the mask is float, or bool where only that works."""
    works: list[bool] = []

    def call(hv: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        problem: Exception | None = None
        for as_bool in works or [False, True]:
            try:
                made = function(hv, target, mask > 0 if as_bool else (mask > 0).to(hv.dtype))
            except UserError:
                raise
            except Exception as error:
                problem = problem or error
                continue
            works[:] = [as_bool]
            return one_number(made, name)
        raise InputError(f"The loss {name} failed ({type(problem).__name__}: {problem}); it is "
                         f"called with pred_hv and true_hv {tuple(hv.shape)} and mask "
                         f"{tuple(mask.shape)}.")  # fmt: skip

    return call


def one_number(made: Any, name: str) -> Tensor:
    """Return a scalar tensor of what a loss returned."""
    made = made[0] if isinstance(made, tuple) and made else made
    value = made if isinstance(made, Tensor) else torch.as_tensor(made)
    if value.numel() != 1:
        raise InputError(f"The loss {name} returned shape {tuple(value.shape)}; return one number.")
    return value.reshape(())


def _sure(mask: Tensor, like: Tensor) -> Tensor:
    sign = torch.where(mask > 0, SURE, -SURE).to(like.dtype)
    return torch.stack((-sign, sign), 1)


def _ours(loss: HoverLoss) -> Loss:
    def weights() -> dict[str, float]:
        heads = loss.weights()
        return {n: heads[t.head] * t.weight_in(loss.params) for n, t in LOSS_TERMS.items()}

    def full(b: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        total, terms = loss(b.logits, b.hv, b.nt_logits, b.mask, b.target, b.nt_target)
        return total, {n: w * terms[n] for n, w in weights().items()}

    def part(name: str) -> HvLoss:
        def one(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
            total, terms = loss(_sure(m, p), p, None, m, t, None)
            made: Tensor = weights()[name] * terms[name] if name else total
            return made

        return one

    active = [n for n, w in weights().items() if LOSS_TERMS[n].head == "hv" and w > 0]
    return Loss("HoverLoss", part(""), {n: part(n) for n in active}, full)


def _module(loss: Callable[..., Any], name: str) -> Loss:
    """Read a module of the user's own with our call signature."""

    def called(*given: Any) -> tuple[Tensor, dict[str, Any]]:
        try:
            made = loss(*given)
        except UserError:
            raise
        except Exception as error:
            raise InputError(f"The loss {name} failed ({type(error).__name__}: {error}); it is "
                             "called as HoverLoss is: np_logits, hv, nt_logits, np_target, "
                             "hv_target, nt_target.") from error  # fmt: skip
        told = isinstance(made, tuple) and len(made) > 1 and isinstance(made[1], Mapping)
        return one_number(made, name), dict(made[1]) if told else {}

    def full(b: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        total, terms = called(b.logits, b.hv, b.nt_logits, b.mask.long(), b.target, b.nt_target)
        return total, _weighted(total, terms)

    def hv(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
        kinds, sure = (m > 0).long(), _sure(m, p)
        return called(sure, p, sure, kinds, t, kinds)[0]

    return Loss(name, hv, {}, full)


def _weighted(total: Tensor, terms: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weigh terms by the slope of the total along each; sums of others (hv of hv_mse) go out."""
    live = {n: t for n, t in terms.items() if isinstance(t, Tensor) and t.requires_grad}
    if not live or not total.requires_grad:
        return {}
    slopes = torch.autograd.grad(total, [*live.values()], retain_graph=True, allow_unused=True)
    known = {n: s for n, s in zip(live, slopes, strict=True) if s is not None}
    sums = {n for n in known if any(o.startswith(f"{n}_") for o in known)}
    return {n: s.detach() * live[n] for n, s in known.items() if n not in sums}


# --- a batch ------------------------------------------------------------------------------


@cache
def synthetic_batch(n_types: int = TYPES) -> Batch:
    """Make a batch of synthetic tissue; always the same."""
    crops = []
    for seed in range(N_CROPS):
        labels = tissue((CROP, CROP), seed=seed).labels
        maps = planted_maps(labels, seed=seed, noise=0.15)
        crops.append((labels, labels, maps, hv_targets(labels)))
    return _batch(crops, n_types, "synthetic nuclei")


@kept
def batch_of(bench: Bench) -> Batch:
    """Cut the busiest parts of the first images, once; synthetic nuclei where none is of use."""
    n_types = bench.case.n_types or TYPES
    crops = [_crop(bench, i) for i in bench.map_indices[:N_CROPS]]
    good = [c for c in crops if c is not None]
    edge = min((min(c[0].shape) for c in good), default=0)
    cut = [(a[:edge, :edge], k[:edge, :edge], Maps(np=m.np[:edge, :edge],
            hv=m.hv[:, :edge, :edge]), t[:, :edge, :edge]) for a, k, m, t in good]  # fmt: skip
    covered = float(np.mean([(c[0] > 0).mean() for c in cut])) if cut else 0.0
    if not 0.02 <= covered <= 0.8:
        return synthetic_batch(n_types)
    return _batch(cut, n_types, f"{len(cut)} crops of {edge} px of your images")


def _crop(bench: Bench, index: int) -> Any:
    """Labels, types, predicted (or planted) maps and true HV of a part of an item."""
    item: Item | None = bench.item(index)
    shape = None if item is None else item.shape
    if item is None or shape is None or min(shape) < LEAST_CROP or item.labels is None or (
        item.labels.shape != shape):  # fmt: skip
        return None
    r0, r1, c0, c1 = busiest(item, shape, CROP)
    at = np.s_[..., r0:r1, c0:c1]
    labels, maps = np.ascontiguousarray(item.labels[at]), bench.maps(index)
    if maps is None or maps.shape != shape or not float(np.abs(maps.hv[at]).max()) <= 1.5:
        maps = planted_maps(labels, seed=index, noise=0.15)
    else:
        maps = Maps(np=maps.np[at], hv=maps.hv[at])
    typed = item.types is not None and item.types.shape == shape
    kinds = np.where(labels > 0, np.maximum(item.types[at], 1), 0) if (
        typed and item.types is not None) else labels  # fmt: skip
    return labels, kinds, maps, hv_targets(labels)


def _batch(crops: Any, n_types: int, source: str) -> Batch:
    labels, kinds, maps, targets = zip(*crops, strict=True)
    prob = np.clip(np.stack([m.np for m in maps]), 1e-4, 1 - 1e-4)
    logit = torch.from_numpy(np.log(prob / (1 - prob)).astype(np.float32))
    types = np.stack(kinds).astype(np.int64)
    types = np.where(types > 0, (types - 1) % max(n_types - 1, 1) + 1, 0)
    drawn = torch.randn((len(types), max(n_types, 2), *types.shape[1:]), generator=rng())
    return Batch(
        torch.stack((torch.zeros_like(logit), logit), 1),
        torch.from_numpy(np.stack([np.ascontiguousarray(m.hv, np.float32) for m in maps])),
        torch.from_numpy(np.stack(targets)), torch.from_numpy(np.stack(labels) > 0), 0.5 * drawn,
        torch.from_numpy(np.minimum(types, max(n_types - 1, 1))), source)  # fmt: skip


def rng() -> torch.Generator:
    """Make the same random numbers each time."""
    return torch.Generator().manual_seed(0)


def given(bench: Bench) -> tuple[Loss, Batch]:
    """Read the loss of a case, and cut its batch, once."""
    return bench.once("loss", lambda: read_loss(bench.case.loss)), batch_of(bench)


def value(loss: HvLoss, hv: Tensor, target: Tensor, mask: Tensor) -> float:
    """Return the loss as a number."""
    with torch.no_grad():
        return float(loss(hv, target, mask))


def gradient(loss: HvLoss, hv: Tensor, target: Tensor, mask: Tensor) -> tuple[float, Tensor | None]:
    """Return the loss and its gradient with respect to the prediction; None = there is none."""
    leaf = hv.detach().clone().requires_grad_()
    made = loss(leaf, target, mask)
    if not made.requires_grad:
        return float(made.detach()), None
    return float(made.detach()), torch.autograd.grad(made, leaf, allow_unused=True)[0]


def norm(slope: Tensor | None) -> float:
    """Return the length of a gradient, 0 where there is none."""
    return 0.0 if slope is None else float(slope.double().norm())


def wrong_answers(loss: HvLoss, b: Batch) -> dict[str, float]:
    """Loss of the truth and of answers that should cost more."""
    t, m = b.target, b.mask
    dealt = t.clone()
    vectors = t.permute(0, 2, 3, 1)[m]
    dealt.permute(0, 2, 3, 1)[m] = vectors[torch.randperm(len(vectors), generator=rng())]
    noise = m[:, None] * torch.randn(t.shape, generator=rng())
    noise -= m[:, None] * (noise.sum((2, 3)) / m.sum((1, 2)).clamp(min=1)[:, None])[..., None, None]
    signs = torch.tensor([-1.0, 1.0])[:, None, None]
    asked = {
        "truth": t, "HV = 0": 0 * t, "the negated truth": -t, "the truth dealt out anew": dealt,
        "the truth with noise": t + 0.3 * noise,
        "the truth turned by 90 degrees": torch.stack((-t[:, 1], t[:, 0]), 1),
        "the truth with its channels swapped": t.flip(1),
        "the negated truth with its channels swapped": -t.flip(1),
        ADDED: t + 0.3,
        "half of the truth": 0.5 * t, "twice the truth": 2 * t,
        "the truth with its first channel (h, along x) negated": t * signs,
        "the truth with its second channel (v, along y) negated": -t * signs}  # fmt: skip
    return {name: value(loss, p, t, m) for name, p in asked.items()}
