"""The terms of the HoVer-Net loss, each a function of tensors; sums are taken in float32 or 64."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

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
