"""Sample images: generated tissue with known nuclei, and scikit-image's own tissue."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from .images import METADATA_KEY

TISSUE_EDGE_PX = 768
TISSUE_SEED = 7
IHC_MPP = 0.5
"""Micrometres per pixel of scikit-image's IHC picture, estimated from its nuclei."""
SKIN_MPP = 0.5
"""Micrometres per pixel of scikit-image's skin picture, estimated from its nuclei."""
MICROMETRE = "micrometer"
LAYER = tuple[Any, dict[str, Any], str]


def tissue_sample() -> list[LAYER]:
    """Return generated H&E-like tissue and, hidden, the nuclei it was made of."""
    from ..core.synthetic import tissue  # noqa: PLC0415 - on first use

    made = tissue(shape=(TISSUE_EDGE_PX, TISSUE_EDGE_PX), seed=TISSUE_SEED)
    truth = {
        **_placed(made.mpp, "tissue, true nuclei"),
        "visible": False,
        "features": {"index": range(1, len(made.types) + 1), "type": made.types},
    }
    return [
        (made.image, {**_placed(made.mpp, "tissue"), "rgb": True}, "image"),
        (made.labels, truth, "labels"),
    ]


def ihc_sample() -> list[LAYER]:
    """Return real tissue, brown immunostain and blue nuclei; comes with scikit-image."""
    from skimage import data  # noqa: PLC0415 - on first use

    return [(data.immunohistochemistry(), {**_placed(IHC_MPP, "IHC"), "rgb": True}, "image")]


def skin_sample() -> list[LAYER]:
    """Return real H&E of skin; scikit-image downloads it once.

    Raises
    ------
    InputError
        If it was never downloaded and there is no network.
    """
    from skimage import data  # noqa: PLC0415 - on first use

    try:
        image = data.skin()
    except (OSError, ValueError, ImportError) as error:
        raise InputError(
            "The skin sample is downloaded by scikit-image (pooch) on first use, and that "
            f"failed: {error}. Check the network, or open the IHC or the generated sample."
        ) from error
    return [(image, {**_placed(SKIN_MPP, "skin"), "rgb": True}, "image")]


def _placed(mpp: float, name: str) -> dict[str, Any]:
    """Return scale and units; the viewer's scale bar and the panel read mpp from them."""
    return {
        "name": name,
        "scale": (mpp, mpp),
        "units": (MICROMETRE, MICROMETRE),
        "metadata": {"mpp": mpp, METADATA_KEY: {"sample": name}},
    }
