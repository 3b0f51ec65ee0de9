"""A loss as it is given - ours, a module like ours, or functions - made into one that is tested."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError, UserError
from ..losses import HEADS, HoverLoss
from ..params import LossParams
from .loss_batch import LossBatch, sure_logits

HvLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""f(pred_hv (B, 2, H, W), true_hv, mask (B, H, W)) -> scalar."""
HEAD_ARGUMENTS = 6
"""A module of HoverLoss's call signature takes at least as many."""
INSIDE_HV = {"hv_mse": None, "hv_gradient": "lambda_gradient", "hv_magnitude": "lambda_magnitude"}
HELP = (
    "give HoverLoss, LossParams, a function f(pred_hv, true_hv, mask) that returns one number, "
    "or a mapping of names to such functions"
)


@dataclass(frozen=True, eq=False)
class LossUnderTest:
    """A loss of HV, and of the other heads where it has them.

    Parameters
    ----------
    name : str
    hv : callable
        What is minimised, as a function of HV alone; all else is right.
    terms : mapping of str to callable
        Its terms of HV, weighted as in the total; {} where it does not tell them apart.
    full : callable, optional
        LossBatch -> (total, weighted terms by name); None for a loss of HV alone.
    params : LossParams, optional
        Of ours.
    """

    name: str
    hv: HvLoss
    terms: Mapping[str, HvLoss] = field(default_factory=dict)
    full: Callable[[LossBatch], tuple[Tensor, dict[str, Tensor]]] | None = None
    params: LossParams | None = None

    @property
    def parts(self) -> Mapping[str, HvLoss]:
        """Its terms of HV, or itself as the only one."""
        return self.terms or {self.name: self.hv}


def read_loss(loss: Any) -> LossUnderTest:
    """Make a loss of what a user gives.

    Parameters
    ----------
    loss : HoverLoss, LossParams, nn.Module, callable, or mapping of str to callable
        A module of HoverLoss's call signature returns the total, or (total, terms).

    Raises
    ------
    InputError
        If it is none of them.

    Examples
    --------
    >>> sorted(read_loss(LossParams()).terms)
    ['hv_gradient', 'hv_magnitude', 'hv_mse']
    """
    if isinstance(loss, LossParams):
        loss = HoverLoss.from_params(loss)
    if isinstance(loss, HoverLoss):
        return _ours(loss)
    if isinstance(loss, Mapping):
        if not loss or not all(callable(f) for f in loss.values()):
            raise InputError(f"loss is a mapping of {len(loss)}; {HELP}.")
        terms = {str(name): scalar(f, str(name)) for name, f in loss.items()}
        return LossUnderTest("the sum of the terms", _summed(terms), terms)
    if not callable(loss):
        raise InputError(f"loss is a {type(loss).__name__}; {HELP}.")
    name = getattr(loss, "__name__", type(loss).__name__)
    if _required(loss) >= HEAD_ARGUMENTS:
        return _module(loss, name)
    return LossUnderTest(name, scalar(loss, name))


def scalar(function: Callable[..., Any], name: str) -> HvLoss:
    """Wrap a function of the user's own: failures name it, one number comes out.

    The mask is given as float32 of 0 and 1, or as bool where only that works.
    """
    as_bool: list[bool] = []

    def call(hv: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        kinds = as_bool or [False, True]
        problem: Exception | None = None
        for kind in kinds:
            given = mask > 0 if kind else (mask > 0).to(hv.dtype)
            try:
                made = function(hv, target, given)
            except UserError:
                raise
            except Exception as error:
                problem = problem or error
                continue
            if not as_bool:
                as_bool.append(kind)
            return one_number(made, name)
        raise InputError(
            f"The loss {name} failed ({type(problem).__name__}: {problem}); it is called with "
            f"pred_hv and true_hv {tuple(hv.shape)} and mask {tuple(mask.shape)}."
        )

    return call


def one_number(made: Any, name: str) -> Tensor:
    """Return a scalar tensor of what a loss returned.

    Raises
    ------
    InputError
        If it is more than one number.
    """
    if isinstance(made, tuple) and made:
        made = made[0]
    value = made if isinstance(made, Tensor) else torch.as_tensor(made)
    if value.numel() != 1:
        raise InputError(f"The loss {name} returned shape {tuple(value.shape)}; return one number.")
    return value.reshape(())


def _summed(terms: Mapping[str, HvLoss]) -> HvLoss:
    def total(hv: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        return torch.stack([f(hv, target, mask).float() for f in terms.values()]).sum()

    return total


def _required(function: Callable[..., Any]) -> int:
    """How many arguments it must be given (those of ``forward`` of a module)."""
    target = function.forward if isinstance(function, nn.Module) else function
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return 0
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def _ours(loss: HoverLoss) -> LossUnderTest:
    params = loss.params

    def weights() -> dict[str, float]:
        heads = loss.weights()
        inner = {n: getattr(params, w) if w else 1.0 for n, w in INSIDE_HV.items()}
        return {**{h: heads[h] for h in HEADS}, **{n: heads["hv"] * w for n, w in inner.items()}}

    def full(batch: LossBatch) -> tuple[Tensor, dict[str, Tensor]]:
        given = (batch.logits, batch.hv, batch.nt_logits)
        total, terms = loss(*given, batch.mask, batch.target, batch.nt_target)
        weight = weights()
        return total, {n: weight[n] * terms[n] for n in ("np", *INSIDE_HV, "nt")}

    def hv(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
        total: Tensor = loss(sure_logits(m, p), p, None, m, t, None)[0]
        return total

    def term(name: str) -> HvLoss:
        def one(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
            terms = loss(sure_logits(m, p), p, None, m, t, None)[1]
            value: Tensor = weights()[name] * terms[name]
            return value

        return one

    active = [name for name, value in weights().items() if name in INSIDE_HV and value > 0]
    return LossUnderTest("HoverLoss", hv, {n: term(n) for n in active}, full, params)


def _module(loss: Callable[..., Any], name: str) -> LossUnderTest:
    """Read a module of the user's own with our call signature."""

    def called(*given: Any) -> tuple[Tensor, dict[str, Tensor]]:
        try:
            made = loss(*given)
        except UserError:
            raise
        except Exception as error:
            raise InputError(
                f"The loss {name} failed ({type(error).__name__}: {error}); it is called as "
                "HoverLoss is: np_logits, hv, nt_logits, np_target, hv_target, nt_target."
            ) from error
        has_terms = isinstance(made, tuple) and len(made) > 1 and isinstance(made[1], Mapping)
        return one_number(made, name), dict(made[1]) if has_terms else {}

    def full(batch: LossBatch) -> tuple[Tensor, dict[str, Tensor]]:
        total, terms = called(
            batch.logits, batch.hv, batch.nt_logits, batch.mask.long(), batch.target,
            batch.nt_target,
        )  # fmt: skip
        return total, weighted(total, terms)

    def with_hv(p: Tensor, t: Tensor, m: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        types = (m > 0).long()
        sure = sure_logits(m, p)
        return called(sure, p, sure, types, t, types)

    def hv(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
        return with_hv(p, t, m)[0]

    return LossUnderTest(name, hv, {}, full)


def weighted(total: Tensor, terms: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weigh terms as they stand in a total: by the slope of the total along each.

    A term that is the sum of others (its slope is theirs already) is left out; those that the
    total does not know of weigh 0.
    """
    tensors = {n: t for n, t in terms.items() if isinstance(t, Tensor) and t.requires_grad}
    if not tensors or not total.requires_grad:
        return {}
    slopes = torch.autograd.grad(
        total, list(tensors.values()), retain_graph=True, allow_unused=True
    )
    known = {n: s for n, s in zip(tensors, slopes, strict=True) if s is not None}
    parts = {n for n in known if any(o != n and n.startswith(f"{o}_") for o in known)}
    whole = {n for n in known if any(p.startswith(f"{n}_") for p in parts)}
    return {n: s.detach() * tensors[n] for n, s in known.items() if n not in whole}
