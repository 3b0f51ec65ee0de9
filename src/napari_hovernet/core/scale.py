"""Image and model of different mpp: how far to resize, and what that means for separation."""

from __future__ import annotations

from dataclasses import replace

from ..errors import InputError
from .model import ModelInfo
from .params import InferenceParams, SeparationParams

MAX_SCALE = 8.0
"""Image and model mpp that differ by a larger factor are taken for a mistake."""
MIN_SCALE = 1 / 16
"""As ``MAX_SCALE``, for images finer than the model."""
MIN_SIGMA = 0.3
"""Smallest Gaussian, pixels, that still is one."""


def working_scale(info: ModelInfo, params: InferenceParams) -> float:
    """Return the factor by which an image is resized for the network.

    Parameters
    ----------
    info : ModelInfo
    params : InferenceParams

    Returns
    -------
    float
        Pixels the network works at per pixel of the image: image mpp / model mpp, or
        exactly 1 if one of them is not known or they differ by no more than
        ``mpp_tolerance``.

    Raises
    ------
    InputError
        If they are too far apart to be meant.

    Examples
    --------
    >>> working_scale(ModelInfo("compact", mpp=0.25), InferenceParams(image_mpp=0.5))
    2.0
    """
    image_mpp = params.image_mpp
    model_mpp = info.mpp if params.model_mpp is None else params.model_mpp
    if image_mpp is None or model_mpp is None:
        return 1.0
    scale = image_mpp / model_mpp
    if abs(scale - 1) <= params.mpp_tolerance:
        return 1.0
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise InputError(
            f"The image has {image_mpp:g} µm per pixel and the model {model_mpp:g}: too far "
            f"apart to resize ({scale:.3g}x); correct the mpp of the image or of the model."
        )
    return scale


def scaled_separation(params: SeparationParams, scale: float) -> SeparationParams:
    """Adapt lengths and areas of the local separation to maps of a resized image.

    They are meant for nuclei of the size the network knows. In maps brought back to the
    image's size nuclei are ``1 / scale`` as large. Sizes that hover_net reads stay: that
    method is to give what the published one gives.

    Parameters
    ----------
    params : SeparationParams
    scale : float
        As :func:`working_scale` returns it.

    Examples
    --------
    >>> scaled_separation(SeparationParams(scales=(2.0, 4.0)), 2.0).scales
    (1.0, 2.0)
    """
    if scale == 1.0 or params.method != "local":
        return params
    return replace(
        params,
        scales=tuple(max(sigma / scale, MIN_SIGMA) for sigma in params.scales),
        min_area=round(params.min_area / scale**2),
        max_hole_area=round(params.max_hole_area / scale**2),
        magnitude_window=round(params.magnitude_window / scale) // 2 * 2 + 1,
    )
