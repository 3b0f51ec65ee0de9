"""Every adjustable number of the pipeline, named, documented and checked."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError

TILINGS = ("large", "reference")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class InferenceParams:
    """How an image goes through the network.

    Parameters
    ----------
    tiling : {"large", "reference"}
        "large" picks big tiles from the device's memory; "reference" repeats
        hover_net's own tiles (270 -> 80, 256 -> 164, reflect padding).
    tile : int, optional
        Input tile edge in pixels; rounded up to the network's next legal size.
        None = chosen by ``tiling``.
    batch : int, optional
        Tiles per forward pass; None = chosen from the device's memory.
    image_mpp, model_mpp : float, optional
        Micrometres per pixel of the image and of the model's training data;
        ``model_mpp`` overrides what the checkpoint says. Resampled when both are
        known and differ by more than ``mpp_tolerance``.
    mpp_tolerance : float
        Relative difference of mpp that is left alone, default 0.10.
    precision : {"auto", "float32", "bfloat16", "float16"}
        "auto" = bfloat16 autocast on CUDA that supports it, float32 elsewhere.
    """

    tiling: str = "large"
    tile: int | None = None
    batch: int | None = None
    image_mpp: float | None = None
    model_mpp: float | None = None
    mpp_tolerance: float = 0.10
    precision: str = "auto"

    def __post_init__(self) -> None:
        _one_of("tiling", self.tiling, TILINGS)
        _one_of("precision", self.precision, PRECISIONS)
        for name in ("tile", "batch", "image_mpp", "model_mpp"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} is {value}; give a number above 0, or None for auto.")
        if not self.mpp_tolerance >= 0:
            raise InputError(f"mpp_tolerance is {self.mpp_tolerance}; give 0 or more.")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; choose one of {', '.join(allowed)}.")
