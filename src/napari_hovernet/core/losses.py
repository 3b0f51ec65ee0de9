"""The loss a HoVer-Net is trained with: terms of the three heads, weighted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from .params import LOSS_HEADS, LOSS_PARTS, LOSS_TERMS, LossParams

EPSILON = LossParams().epsilon
DICE_SMOOTH = LossParams().dice_smooth
NUCLEUS = 1
"""Channel of NP that stands for "nucleus"."""
SOBEL_GAIN = 8.0
"""Answer of the plain 3x3 Sobel to a ramp that rises by 1 per pixel."""


def full(x: Tensor) -> Tensor:
    """Give a tensor in at least float32; float64 stays float64."""
    return x if x.dtype == torch.float64 else x.float()


def nucleus_mask(np_target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mark the pixels of true nuclei that count, bool (B, H, W)."""
    inside = np_target > 0
    return inside if valid is None else inside & (valid > 0)


def np_loss(
    logits: Tensor, np_target: Tensor, valid: Tensor | None = None, smooth: float = DICE_SMOOTH
) -> Tensor:
    """Cross entropy plus Dice loss of nucleus against background.

    ``CE + 1 - (2 sum p t + smooth) / (sum p + sum t + smooth)`` with p = softmax channel 1. The
    sums of Dice run over the whole batch at once, so an image without nuclei does no harm.
    """
    x = _blanked(full(logits), valid)
    inside = nucleus_mask(np_target, valid)
    entropy = F.cross_entropy(x, inside.long(), reduction="none")
    truth = inside.to(x.dtype)
    p = x.softmax(1)[:, NUCLEUS]
    if valid is None:
        mean = entropy.mean()
    else:
        counts = (valid > 0).to(x.dtype)
        mean, p = masked_mean(entropy, counts), p * counts
    dice = (2 * (p * truth).sum() + smooth) / (p.sum() + truth.sum() + smooth)
    return mean + 1 - dice


def hv_mse(hv: Tensor, hv_target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of HV (B, 2, H, W) over nucleus pixels and both channels."""
    error = (full(hv) - full(hv_target)).square()
    return masked_mean(error, mask[:, None])


def sobel(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Derive maps (B, C, H, W) along x and along y by the plain 3x3 Sobel, zeros around them."""
    padded = F.pad(full(maps), (1, 1, 1, 1))
    down = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    across = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    along_x = down[..., 2:] - down[..., :-2]
    along_y = across[..., 2:, :] - across[..., :-2, :]
    return along_x, along_y


def hv_gradient(hv: Tensor, hv_target: Tensor, mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """Squared error of the derivatives of HV, per nucleus pixel and channel.

    Both channels are derived along both axes. The maps are derived as they are, background
    included: what the network draws beside a nucleus counts at its rim.
    """
    error = _blanked(full(hv) - full(hv_target), valid)
    along_x, along_y = sobel(error)
    return masked_mean(along_x.square() + along_y.square(), mask[:, None])


def length(hv: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Length of HV, ``sqrt(h² + v² + epsilon)``, float32 or 64 (B, H, W).

    ``epsilon`` stands under the root. The slope at exactly zero is then 0 instead of NaN, and
    within about ``sqrt(epsilon)`` of zero it is damped.
    """
    return (full(hv).square().sum(1) + epsilon).sqrt()


def hv_magnitude(hv: Tensor, hv_target: Tensor, mask: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Squared error of the lengths of HV, per nucleus pixel.

    The error is squared and masked first, and its sum divided by the nucleus pixels alone. It is
    blind to directions: turning, swapping or negating the prediction changes nothing.
    """
    error = (length(hv, epsilon) - length(hv_target, epsilon)).square()
    return masked_mean(error, mask)


def magnitude_loss(hv_pred: Tensor, hv_true: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared error of the lengths of HV vectors: what ``lambda_magnitude`` weighs.

    Parameters
    ----------
    hv_pred, hv_true : Tensor (B, 2, H, W)
        Predicted and true HV.
    mask : Tensor (B, H, W) or (B, 1, H, W), optional
        Pixels that count, where it is above 0: nuclei, as a rule. None = all.

    Returns
    -------
    Tensor
        A scalar, the mean over those pixels; 0 where none counts.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> ones = torch.ones(1, 2, 4, 4)
    >>> round(float(magnitude_loss(0 * ones, ones)), 2)
    2.0
    """
    shape = tuple(hv_pred.shape)
    if len(shape) != 4 or shape[1] != 2 or tuple(hv_true.shape) != shape:
        raise InputError(
            f"hv_pred is {shape} and hv_true {tuple(hv_true.shape)}; give both as (B, 2, H, W)."
        )
    plane = (shape[0], *shape[2:])
    if mask is None:
        mask = torch.ones(plane, device=hv_pred.device)
    elif tuple(mask.shape) == (shape[0], 1, *shape[2:]):
        mask = mask[:, 0]
    elif tuple(mask.shape) != plane:
        raise InputError(
            f"mask is {tuple(mask.shape)}; give {plane}, {(plane[0], 1, *plane[1:])} or None."
        )
    return hv_magnitude(hv_pred, hv_true, mask)


def nt_loss(logits: Tensor, nt_target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cross entropy of the types (B, C, H, W) where they are known and in the mask."""
    known = nt_target >= 0
    counts = known if mask is None else known & (mask > 0)
    x = _blanked(full(logits), counts)
    entropy = F.cross_entropy(x, nt_target.long().clamp(min=0), reduction="none")
    return masked_mean(entropy, counts)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the pixels and channels that ``mask`` (broadcast) marks; 0 where none is.

    A mask of one channel counts once for each channel of ``values``.
    """
    weight = (mask > 0).to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1)


def _blanked(maps: Tensor, valid: Tensor | None) -> Tensor:
    """Set a (B, C, H, W) map to 0 outside the image; whatever is there, NaN too, is dropped."""
    return maps if valid is None else torch.where(valid[:, None] > 0, maps, 0.0)


class Batch(NamedTuple):
    """What :meth:`HoverLoss.forward` is given, and the pixels that count."""

    np_logits: Tensor
    hv: Tensor
    nt_logits: Tensor | None
    np_target: Tensor
    hv_target: Tensor
    nt_target: Tensor | None
    valid: Tensor | None
    mask: Tensor  # True nuclei, bool (B, H, W)
    params: LossParams


def _types(b: Batch) -> Tensor:
    if b.nt_logits is None or b.nt_target is None:
        return b.hv_target.new_zeros((), dtype=full(b.hv).dtype)
    return nt_loss(b.nt_logits, b.nt_target, b.mask if b.params.nt_inside_only else b.valid)


COMPUTE: Mapping[str, Callable[[Batch], Tensor]] = {
    "np": lambda b: np_loss(b.np_logits, b.np_target, b.valid, b.params.dice_smooth),
    "hv_mse": lambda b: hv_mse(b.hv, b.hv_target, b.mask),
    "hv_gradient": lambda b: hv_gradient(b.hv, b.hv_target, b.mask, b.valid),
    "hv_magnitude": lambda b: hv_magnitude(b.hv, b.hv_target, b.mask, b.params.epsilon),
    "nt": _types,
}
"""How each of ``LOSS_TERMS`` is computed."""

_DEFAULT = LossParams()


class HoverLoss(nn.Module):
    """Loss of a network with NP, HV and, if it has one, NT head.

    ``total = lambda_np np + lambda_hv hv + lambda_nt nt`` with
    ``hv = hv_mse + lambda_gradient hv_gradient + lambda_magnitude hv_magnitude``; the terms
    are those of :mod:`napari_hovernet.core.losses`. They are computed in float32 whatever
    the network's precision, and are finite at HV of exactly zero and without any nucleus.

    Parameters
    ----------
    lambda_np, lambda_hv, lambda_nt, lambda_magnitude, lambda_gradient : float
        Weights, 0 or more; magnitude and gradient count within HV. Magnitude buys length, not
        direction.
    adaptive : bool
        Weigh the heads by learned ``s``: ``total = sum exp(-s_i) L_i + s_i``, starting at
        s = 0. The lambdas of the heads then only say who takes part: 0 = not at all.
        The optimiser must be given ``loss.parameters()``, best without weight decay.
    epsilon, dice_smooth, nt_inside_only
        As in ``LossParams``.

    Attributes
    ----------
    params : LossParams
        The choices above.
    s : Parameter (3,), optional
        Learned, one for each of np, hv, nt; None unless ``adaptive``.

    Raises
    ------
    InputError
        If a weight is negative, infinite or NaN, or an epsilon is not above 0.

    Notes
    -----
    Terms: Graham et al., Medical Image Analysis 2019. Learned weights: Kendall et al., CVPR
    2018, with s = log of the variance.

    Examples
    --------
    >>> logits, hv = torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)
    >>> nuclei = torch.ones(1, 8, 8, dtype=torch.long)
    >>> loss = HoverLoss(lambda_magnitude=5.0)
    >>> total, terms = loss(logits, hv, None, nuclei, hv + 0.5, None)
    >>> round(float(terms["hv_mse"]), 3), round(float(terms["hv_magnitude"]), 3)
    (0.25, 0.499)
    """

    def __init__(  # noqa: PLR0913, PLR0917 - one name for each weight, as users know them
        self,
        lambda_np: float = _DEFAULT.lambda_np,
        lambda_hv: float = _DEFAULT.lambda_hv,
        lambda_nt: float = _DEFAULT.lambda_nt,
        lambda_magnitude: float = _DEFAULT.lambda_magnitude,
        lambda_gradient: float = _DEFAULT.lambda_gradient,
        adaptive: bool = _DEFAULT.adaptive,
        epsilon: float = _DEFAULT.epsilon,
        dice_smooth: float = _DEFAULT.dice_smooth,
        nt_inside_only: bool = _DEFAULT.nt_inside_only,
    ) -> None:
        super().__init__()
        weights = (lambda_np, lambda_hv, lambda_nt, lambda_gradient, lambda_magnitude)
        self.params = LossParams(*weights, epsilon, dice_smooth, nt_inside_only, adaptive)
        self.s: nn.Parameter | None
        learned = nn.Parameter(torch.zeros(len(LOSS_HEADS))) if adaptive else None
        self.register_parameter("s", learned)

    @classmethod
    def from_params(cls, params: LossParams) -> HoverLoss:
        """Build the loss of a training run's choices."""
        return cls(**{name: getattr(params, name) for name in params.__dataclass_fields__})

    def forward(  # noqa: PLR0913, PLR0917 - what three heads say, and what is true
        self,
        np_logits: Tensor,
        hv: Tensor,
        nt_logits: Tensor | None,
        np_target: Tensor,
        hv_target: Tensor,
        nt_target: Tensor | None,
        valid: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch.

        Parameters
        ----------
        np_logits : float tensor (B, 2, H, W)
            Background, nucleus; before softmax.
        hv : float tensor (B, 2, H, W)
            Predicted HV.
        nt_logits : float tensor (B, C, H, W), optional
            Types before softmax; None = the network has none.
        np_target : tensor (B, H, W)
            Above 0 in nuclei.
        hv_target : float tensor (B, 2, H, W)
            True HV.
        nt_target : int tensor (B, H, W), optional
            True types, 0 to C - 1; below 0 = not known, does not count. None = none known.
        valid : tensor (B, H, W), optional
            Above 0 inside the image. Pixels outside do not count in any term; None = all do.

        Returns
        -------
        total : float32 tensor ()
            What is minimised; float64 if the maps are.
        terms : dict of float tensor ()
            Unweighted, with their gradients: ``LOSS_NAMES``. "nt" is 0 without types.

        Raises
        ------
        InputError
            If a shape does not fit, ``np_logits`` or HV have not two channels, or a type is
            beyond those of the network.
        """
        maps = (np_logits, hv, nt_logits, np_target, hv_target, nt_target, valid)
        batch = Batch(*maps, nucleus_mask(np_target, valid), self.params)
        _check(batch)
        terms = {name: COMPUTE[name](batch) for name in LOSS_TERMS}
        heads = {head: terms["np"].new_zeros(()) for head in LOSS_HEADS}
        for name, term in LOSS_TERMS.items():
            heads[term.head] = heads[term.head] + term.weight_in(self.params) * terms[name]
        typed = nt_logits is not None and nt_target is not None
        return self._total(heads, typed), terms | {"hv": heads["hv"]}

    def weights(self) -> dict[str, float]:
        """Weights of the heads as they stand: the lambdas, or exp(-s) where they are learned."""
        lambdas = {head: float(getattr(self.params, f"lambda_{head}")) for head in LOSS_HEADS}
        if self.s is None:
            return lambdas
        learned = dict(zip(LOSS_HEADS, (-self.s.detach()).exp().tolist(), strict=True))
        return {head: learned[head] if lambdas[head] > 0 else 0.0 for head in LOSS_HEADS}

    def shares(self, terms: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Tell what share of the total each part makes, by the weights as they stand.

        Parameters
        ----------
        terms : mapping of float or tensor ()
            As returned beside the total, or means of several steps.

        Returns
        -------
        dict of float
            0..1 for each of ``LOSS_PARTS``; they add up to 1, or are all 0 where the total is 0.
            The ``s_i`` that are added with learned weights are left out. A part that is NaN
            makes all shares NaN.

        Examples
        --------
        >>> loss = HoverLoss(lambda_np=1, lambda_hv=2, lambda_gradient=0, lambda_magnitude=1)
        >>> terms = {"np": 2, "hv_mse": 0.5, "hv_gradient": 9, "hv_magnitude": 0.5, "nt": 0}
        >>> loss.shares(terms)["hv_magnitude"]
        0.25
        """
        values = dict(zip(LOSS_PARTS, _numbers([terms[name] for name in LOSS_PARTS]), strict=True))
        heads = self.weights()
        weighted = {
            name: heads[term.head] * term.weight_in(self.params) * values[name]
            for name, term in LOSS_TERMS.items()
        }
        total = sum(weighted.values())
        return {name: part / total if total else 0.0 for name, part in weighted.items()}

    def _total(self, terms: Mapping[str, Tensor], typed: bool) -> Tensor:
        """Weigh the heads; ``typed`` = types are among them.

        Every ``s`` takes part, if only with a gradient of 0: training on several devices waits for
        each parameter's gradient.
        """
        total = terms["hv"].new_zeros(())
        for index, head in enumerate(LOSS_HEADS):
            weight = getattr(self.params, f"lambda_{head}")
            if self.s is None:
                total = total + weight * terms[head]
            else:
                counts = weight > 0 and (typed or head != "nt")
                s = self.s[index]
                total = total + float(counts) * ((-s).exp() * terms[head] + s)
        return total


def _numbers(values: Sequence[Tensor | float]) -> list[float]:
    """Fetch several numbers; where all are tensors, from their device in one go."""
    plain = [value.detach() if isinstance(value, Tensor) else value for value in values]
    tensors = [value for value in plain if isinstance(value, Tensor)]
    if len(tensors) == len(plain):
        plain = torch.stack(tensors).tolist()
    return [float(value) for value in plain]


def _check(b: Batch) -> None:
    """Refuse maps that are not (B, C, H, W) on the grid of ``np_logits``, and unfit targets."""
    grid = (b.np_logits.shape[0], *b.np_logits.shape[2:])
    for name in ("np_logits", "hv", "hv_target", "nt_logits"):
        x = getattr(b, name)
        channels = None if name == "nt_logits" else 2
        if x is None or (x.ndim == 4 and (x.shape[0], *x.shape[2:]) == grid
                         and channels in {None, x.shape[1]}):  # fmt: skip
            continue
        wanted = "any number" if channels is None else channels
        raise InputError(
            f"{name} has shape {tuple(x.shape)}; give (B, C, H, W) with C {wanted} and "
            f"(B, H, W) = {grid}, as np_logits has."
        )
    for name in ("np_target", "nt_target", "valid"):
        x = getattr(b, name)
        if x is not None and tuple(x.shape) != grid:
            raise InputError(
                f"{name} has shape {tuple(x.shape)}; give (B, H, W) = {grid}, as np_logits has."
            )
    if b.nt_logits is None or b.nt_target is None:
        return
    largest, n_types = int(b.nt_target.max()) if b.nt_target.numel() else 0, b.nt_logits.shape[1]
    if largest >= n_types:  # On a GPU it would end the process
        raise InputError(
            f"nt_target goes up to {largest}, but the network tells {n_types} types apart "
            f"(0 to {n_types - 1}); check the types of the data, or mark them -1 = not known."
        )
