"""The loss a HoVer-Net is trained with: terms of the three heads, weighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from .params import LossParams

EPSILON = 1e-6
"""Added under the root of the magnitude: its slope at zero is then 0, also in float16."""
DICE_SMOOTH = 1e-5
"""Added to both sides of the Dice fraction."""
NUCLEUS = 1
"""Channel of NP that stands for "nucleus"."""
SOBEL_GAIN = 8.0
"""Answer of the plain 3x3 Sobel to a ramp that rises by 1 per pixel."""


def full(x: Tensor) -> Tensor:
    """Give a tensor in at least float32; float64 stays float64."""
    return x if x.dtype == torch.float64 else x.float()


def nucleus_mask(np_target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mark the pixels of true nuclei that count, bool (B, H, W).

    Parameters
    ----------
    np_target : tensor (B, H, W)
        Above 0 in nuclei: 0 and 1, bool, or instance labels.
    valid : tensor (B, H, W), optional
        Above 0 inside the image; None = everywhere.
    """
    inside = np_target > 0
    return inside if valid is None else inside & (valid > 0)


def np_loss(
    logits: Tensor,
    np_target: Tensor,
    valid: Tensor | None = None,
    smooth: float = DICE_SMOOTH,
) -> Tensor:
    """Cross entropy plus Dice loss of nucleus against background.

    ``CE + 1 - (2 sum p t + smooth) / (sum p + sum t + smooth)`` with p = softmax channel 1.
    The sums of Dice run over the whole batch at once, so an image without nuclei does no harm.

    Parameters
    ----------
    logits : float tensor (B, 2, H, W)
        Background, nucleus; before softmax.
    np_target : tensor (B, H, W)
        Above 0 in nuclei.
    valid : tensor (B, H, W), optional
        Pixels that count; None = all.
    smooth : float
        Makes Dice defined where nothing is nucleus.

    Returns
    -------
    float tensor ()

    Notes
    -----
    Graham et al., Medical Image Analysis 2019, L_c and L_d; Dice in the form of Milletari et
    al., 3DV 2016, without squares.

    Examples
    --------
    >>> logits = torch.tensor([[[[-9.0, 9.0]], [[9.0, -9.0]]]])
    >>> round(float(np_loss(logits, torch.tensor([[[1, 0]]]))), 4)
    0.0
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
    """Mean squared error of HV over nucleus pixels and both channels.

    Parameters
    ----------
    hv, hv_target : float tensor (B, 2, H, W)
        Predicted and true HV.
    mask : bool tensor (B, H, W)
        Pixels that count; see :func:`nucleus_mask`.

    Returns
    -------
    float tensor ()
        0 (with a gradient, of zeros) where no pixel counts.

    Notes
    -----
    Graham et al., Medical Image Analysis 2019, L_a; there the mean runs over all pixels.

    Examples
    --------
    >>> one = torch.ones(1, 2, 3, 3)
    >>> float(hv_mse(0.5 * one, one, torch.ones(1, 3, 3)))
    0.25
    """
    error = (full(hv) - full(hv_target)).square()
    return masked_mean(error, mask[:, None])


def sobel(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Derive maps along x and along y by the plain 3x3 Sobel, zeros around the image.

    Parameters
    ----------
    maps : float tensor (B, C, H, W)

    Returns
    -------
    along_x, along_y : float tensor (B, C, H, W)
        8 (``SOBEL_GAIN``) times the slope per pixel; positive where values rise to the right,
        and downwards.

    Notes
    -----
    Written as sums of shifted maps, not as a convolution: autocast would turn a convolution
    into half precision.

    Examples
    --------
    >>> ramp = torch.arange(5.0).expand(1, 1, 5, 5)
    >>> along_x, along_y = sobel(ramp)
    >>> float(along_x[0, 0, 2, 2]), float(along_y[0, 0, 2, 2])
    (8.0, 0.0)
    """
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

    Parameters
    ----------
    hv, hv_target : float tensor (B, 2, H, W)
        Predicted and true HV.
    mask : bool tensor (B, H, W)
        Pixels whose error counts.
    valid : tensor (B, H, W), optional
        Above 0 inside the image; beyond, both maps are taken for 0 as beyond the border.

    Returns
    -------
    float tensor ()
        ``sum (d_x error² + d_y error²) / 2N`` in units of the Sobel (``SOBEL_GAIN``² times
        those of the slope); 0 where no pixel counts.

    Notes
    -----
    After L_b of Graham et al., Medical Image Analysis 2019, which derives h along x and v
    along y only (the published code: along the wrong axis) with a 5x5 kernel.

    Examples
    --------
    >>> flat = torch.zeros(1, 2, 4, 4)
    >>> float(hv_gradient(flat, flat, torch.ones(1, 4, 4)))
    0.0
    """
    error = _blanked(full(hv) - full(hv_target), valid)
    along_x, along_y = sobel(error)
    return masked_mean(along_x.square() + along_y.square(), mask[:, None])


def length(hv: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Length of HV, ``sqrt(h² + v² + epsilon)``, float32 or 64 (B, H, W).

    ``epsilon`` stands under the root. The slope at exactly zero is then 0 instead of NaN, and
    within about ``sqrt(epsilon)`` of zero it is damped; see
    :mod:`napari_hovernet.core.loss_checks`.

    Examples
    --------
    >>> hv = torch.tensor([0.6, 0.8]).reshape(1, 2, 1, 1)
    >>> round(float(length(hv)), 3)
    1.0
    """
    return (full(hv).square().sum(1) + epsilon).sqrt()


def hv_magnitude(hv: Tensor, hv_target: Tensor, mask: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Squared error of the lengths of HV, per nucleus pixel.

    The error is squared and masked first, and its sum divided by the nucleus pixels alone.
    It is blind to directions: turning, swapping or negating the prediction changes nothing.

    Parameters
    ----------
    hv, hv_target : float tensor (B, 2, H, W)
        Predicted and true HV.
    mask : bool tensor (B, H, W)
        Pixels that count.
    epsilon : float
        Under both roots.

    Returns
    -------
    float tensor ()
        0 where no pixel counts.

    Examples
    --------
    >>> one = torch.ones(1, 2, 3, 3)
    >>> float(hv_magnitude(-one, one, torch.ones(1, 3, 3)))
    0.0
    """
    error = (length(hv, epsilon) - length(hv_target, epsilon)).square()
    return masked_mean(error, mask)


def nt_loss(
    logits: Tensor,
    nt_target: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """Cross entropy of the types.

    Parameters
    ----------
    logits : float tensor (B, C, H, W)
        Before softmax.
    nt_target : int tensor (B, H, W)
        0 to C - 1; below 0 = not known, does not count.
    mask : bool tensor (B, H, W), optional
        Pixels that count: nuclei, so that the plentiful background does not drown the types.
        None = all.

    Returns
    -------
    float tensor ()
        0 where no pixel counts.

    Examples
    --------
    >>> logits = torch.zeros(1, 4, 2, 2)
    >>> round(float(nt_loss(logits, torch.ones(1, 2, 2, dtype=torch.long))), 4)
    1.3863
    """
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


HEADS = ("np", "hv", "nt")
"""The heads of the network, in the order of the learned weights."""
TERMS = ("np", "hv", "hv_mse", "hv_gradient", "hv_magnitude", "nt")
"""Names of the terms; "hv" is what the three after it make together."""
PARTS = ("np", "hv_mse", "hv_gradient", "hv_magnitude", "nt")
"""Terms that add up to the total; what :meth:`HoverLoss.shares` tells of."""


class HoverLoss(nn.Module):
    """Loss of a network with NP, HV and, if it has one, NT head.

    ``total = lambda_np np + lambda_hv hv + lambda_nt nt`` with
    ``hv = hv_mse + lambda_gradient hv_gradient + lambda_magnitude hv_magnitude``; the terms
    are those of :mod:`napari_hovernet.core.losses`. They are computed in float32 whatever
    the network's precision, and are finite at HV of exactly zero and without any nucleus.

    Parameters
    ----------
    lambda_np, lambda_hv, lambda_nt : float
        Weights of the heads, 0 or more.
    lambda_magnitude : float
        Weight, within HV, of the error of its length. It buys length, not direction.
    lambda_gradient : float
        Weight, within HV, of the error of its derivatives.
    adaptive : bool
        Weigh the heads by learned ``s``: ``total = sum exp(-s_i) L_i + s_i``, starting at
        s = 0. The lambdas of the heads then only say who takes part: 0 = not at all.
        The optimiser must be given ``loss.parameters()``, best without weight decay.
    epsilon : float
        Under the root of the magnitude.
    dice_smooth : float
        On both sides of the Dice fraction.
    nt_inside_only : bool
        Count types in true nuclei alone, not over the background.

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
        lambda_np: float = 1.0,
        lambda_hv: float = 2.0,
        lambda_nt: float = 1.0,
        lambda_magnitude: float = 5.0,
        lambda_gradient: float = 3.0,
        adaptive: bool = False,
        epsilon: float = EPSILON,
        dice_smooth: float = DICE_SMOOTH,
        nt_inside_only: bool = True,
    ) -> None:
        super().__init__()
        self.params = LossParams(
            lambda_np=lambda_np,
            lambda_hv=lambda_hv,
            lambda_nt=lambda_nt,
            lambda_gradient=lambda_gradient,
            lambda_magnitude=lambda_magnitude,
            epsilon=epsilon,
            dice_smooth=dice_smooth,
            nt_inside_only=nt_inside_only,
            adaptive=adaptive,
        )
        self.s: nn.Parameter | None
        self.register_parameter("s", nn.Parameter(torch.zeros(len(HEADS))) if adaptive else None)

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
            Unweighted, with their gradients: ``TERMS``. "nt" is 0 without types.

        Raises
        ------
        InputError
            If a shape does not fit, ``np_logits`` or HV have not two channels, or a type is
            beyond those of the network.
        """
        grid = (np_logits.shape[0], *np_logits.shape[2:])
        _check(grid, {"np_logits": np_logits, "hv": hv, "hv_target": hv_target}, channels=2)
        _check(grid, {"nt_logits": nt_logits})
        targets = {"np_target": np_target, "nt_target": nt_target, "valid": valid}
        _check_targets(grid, targets)
        params, mask = self.params, nucleus_mask(np_target, valid)
        mse = hv_mse(hv, hv_target, mask)
        gradient = hv_gradient(hv, hv_target, mask, valid)
        magnitude = hv_magnitude(hv, hv_target, mask, params.epsilon)
        terms = {
            "np": np_loss(np_logits, np_target, valid, params.dice_smooth),
            "hv": mse + params.lambda_gradient * gradient + params.lambda_magnitude * magnitude,
            "hv_mse": mse,
            "hv_gradient": gradient,
            "hv_magnitude": magnitude,
            "nt": mse.new_zeros(()),
        }
        if nt_logits is not None and nt_target is not None:
            _check_types(nt_target, nt_logits.shape[1])
            where = mask if params.nt_inside_only else valid
            terms["nt"] = nt_loss(nt_logits, nt_target, where)
        typed = nt_logits is not None and nt_target is not None
        return self._total(terms, typed), terms

    def weights(self) -> dict[str, float]:
        """Weights of the heads as they stand: the lambdas, or exp(-s) where they are learned."""
        lambdas = {head: float(getattr(self.params, f"lambda_{head}")) for head in HEADS}
        if self.s is None:
            return lambdas
        learned = dict(zip(HEADS, (-self.s.detach()).exp().tolist(), strict=True))
        return {head: learned[head] if lambdas[head] > 0 else 0.0 for head in HEADS}

    def shares(self, terms: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Tell what share of the total each part makes, by the weights as they stand.

        Parameters
        ----------
        terms : mapping of float or tensor ()
            As returned beside the total, or means of several steps.

        Returns
        -------
        dict of float
            0..1 for each of ``PARTS``; they add up to 1, or are all 0 where the total is 0.
            The ``s_i`` that are added with learned weights are left out. A part that is NaN
            makes all shares NaN.

        Examples
        --------
        >>> loss = HoverLoss(lambda_np=1, lambda_hv=2, lambda_gradient=0, lambda_magnitude=1)
        >>> terms = {"np": 2, "hv_mse": 0.5, "hv_gradient": 9, "hv_magnitude": 0.5, "nt": 0}
        >>> loss.shares(terms)["hv_magnitude"]
        0.25
        """
        values = dict(zip(PARTS, _numbers([terms[name] for name in PARTS]), strict=True))
        heads = self.weights()
        inside_hv = {
            "hv_mse": heads["hv"],
            "hv_gradient": heads["hv"] * self.params.lambda_gradient,
            "hv_magnitude": heads["hv"] * self.params.lambda_magnitude,
        }
        weighted = {name: {**heads, **inside_hv}[name] * values[name] for name in PARTS}
        total = sum(weighted.values())
        return {name: part / total if total else 0.0 for name, part in weighted.items()}

    def _total(self, terms: Mapping[str, Tensor], typed: bool) -> Tensor:
        """Weigh the heads; ``typed`` = types are among them.

        Every ``s`` takes part, if only with a gradient of 0: training on several devices
        waits for each parameter's gradient.
        """
        total = terms["hv"].new_zeros(())
        for index, head in enumerate(HEADS):
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


def _check(
    grid: tuple[int, ...], maps: Mapping[str, Tensor | None], channels: int | None = None
) -> None:
    """Refuse maps that are not (B, channels, H, W) on the grid (B, H, W)."""
    for name, x in maps.items():
        if x is None:
            continue
        wanted = "any number" if channels is None else channels
        fits = x.ndim == 4 and (x.shape[0], *x.shape[2:]) == grid
        if not fits or (channels is not None and x.shape[1] != channels):
            raise InputError(
                f"{name} has shape {tuple(x.shape)}; give (B, C, H, W) with C {wanted} and "
                f"(B, H, W) = {grid}, as np_logits has."
            )


def _check_targets(grid: tuple[int, ...], targets: Mapping[str, Tensor | None]) -> None:
    """Refuse targets that are not (B, H, W)."""
    for name, x in targets.items():
        if x is not None and tuple(x.shape) != grid:
            raise InputError(
                f"{name} has shape {tuple(x.shape)}; give (B, H, W) = {grid}, as np_logits has."
            )


def _check_types(nt_target: Tensor, n_types: int) -> None:
    """Refuse types that the network has not; on a GPU they would end the process."""
    largest = int(nt_target.max()) if nt_target.numel() else 0
    if largest >= n_types:
        raise InputError(
            f"nt_target goes up to {largest}, but the network tells {n_types} types apart "
            f"(0 to {n_types - 1}); check the types of the data, or mark them -1 = not known."
        )
