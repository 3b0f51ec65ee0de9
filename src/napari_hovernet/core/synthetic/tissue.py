"""A piece of H&E-like tissue, made to order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..types import Int32, TypeInfo
from ..typesets import PANNUKE
from .layout import lay_out
from .params import TissueParams
from .placing import place_nuclei
from .staining import develop, stain


@dataclass(frozen=True, eq=False)
class Tissue:
    """A generated picture and what is in it.

    Parameters
    ----------
    image : uint8 (H, W, 3)
        RGB.
    labels : int32 (H, W)
        Nuclei, 0 = background, 1..n.
    types : int32 (n,)
        Type of nucleus i + 1, see ``type_names``.
    mpp : float
        Micrometres per pixel.
    type_names : mapping of int to TypeInfo
        PanNuke's types.
    """

    image: npt.NDArray[np.uint8]
    labels: Int32
    types: Int32
    mpp: float
    type_names: Mapping[int, TypeInfo] = field(default_factory=lambda: PANNUKE)


def tissue(
    shape: tuple[int, int] = (512, 512), seed: int = 0, params: TissueParams | None = None
) -> Tissue:
    """Generate H&E-like tissue: glands, solid nests, fibrous stroma, inflammation, blood.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels, each 1 or more.
    seed : int
        The same seed, shape and params give the same tissue.
    params : TissueParams, optional
        Default ``TissueParams()``.

    Returns
    -------
    Tissue
        Drawn in optical density: every structure has an amount of hematoxylin and
        eosin, and light falls off with their sum (Beer and Lambert).

    Raises
    ------
    InputError
        If a side is below 1.

    Examples
    --------
    >>> made = tissue((64, 96), seed=1)
    >>> made.image.shape, int(made.labels.max()) == len(made.types)
    ((64, 96, 3), True)
    """
    params = TissueParams() if params is None else params
    height, width = (int(n) for n in shape)
    if min(height, width) < 1:
        raise InputError(f"shape is {tuple(shape)}; give a height and width of 1 or more pixels.")
    rng = np.random.default_rng(seed)
    layout = lay_out((height, width), params, rng)
    crowd = place_nuclei(layout, params, rng)
    image = develop(stain(crowd), params, rng)
    types = np.array([nucleus.type for nucleus in crowd.nuclei], np.int32)
    return Tissue(image, crowd.labels, types, params.mpp)
