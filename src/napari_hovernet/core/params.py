"""Every adjustable number of the pipeline, named, documented and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import InputError

TILINGS = ("large", "reference")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
METHODS = ("local", "hover_net", "magnitude_peaks")
PRESETS = ("local", "hover_net", "magnitude_peaks", "merging_relabel")
FAULTS = {
    "magnitude_peaks": "Faulty on purpose: seeds are the peaks of the HV magnitude, which is about "
    "0 in the centre of a nucleus and 1 on its rim, so nuclei break up along their rims.",
    "merging_relabel": "Faulty on purpose: after the watershed the union of all instances is "
    "labelled anew, so touching nuclei merge again, whatever the network predicted.",
}
"""Presets that repeat historical mistakes, and what is wrong with each."""
SOBEL_SIZES = range(3, 32, 2)
MAX_SCALE = 64.0
"""Largest sigma in pixels for differentiating HV; beyond it the halo of a band explodes."""


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


@dataclass(frozen=True)
class SeparationParams:
    """How instances are cut out of NP and HV maps.

    Fields marked *local*, *hover_net* or *magnitude_peaks* are read by that method alone.

    Parameters
    ----------
    method : {"local", "hover_net", "magnitude_peaks"}
        "local" = ours: nothing depends on what else is in the tile. "hover_net" = the
        published post-processing, tile-wide stretching included. "magnitude_peaks" = a
        historical mistake, kept to show what it does: seeds are peaks of the magnitude.
    np_threshold : float
        Least NP probability of a nucleus pixel, in 0..1.
    min_area : int
        Connected areas of fewer pixels are dropped.
    max_hole_area : int
        *local*: holes of up to this many pixels are filled, if one instance has all of them.
    scales : tuple of float
        *local*: sigmas in pixels of the Gaussians through which HV is differentiated.
        Small ones draw the borders, large ones tell one nucleus from two.
    depth : float
        *local*: two basins of the energy are one nucleus if the pass between them lies
        less than this above the floor of the shallower one. Energy is sigma times how
        fast HV closes in per pixel, so it has no unit: about -0.4 inside a nucleus 20
        pixels wide, up to +0.5 between two.
    oblique : float
        *local*: how far, in 0..1, the lower principal strain of HV takes the place of its
        divergence. Finds borders that run between rows and columns, and costs calm.
    min_mean_np : float
        *local*: instances whose mean NP probability is lower are dropped, in 0..1.
    magnitude_low, magnitude_high : float
        *local*: where the mean HV magnitude of the neighbourhood is below or above
        these, HV is scaled to them first, so that weak or overshooting maps separate too.
    magnitude_window : int
        *local*: edge in pixels, odd, of the square neighbourhood of that mean.
    sobel_size : int
        *hover_net*: edge in pixels of the Sobel kernel, odd, 3..31.
    energy_threshold : float
        *hover_net*: border strength in 0..1 from which a pixel cannot be marker.
    blur_size : int
        *hover_net*: edge in pixels, odd, of the Gaussian that smooths the energy.
    opening_size : int
        *hover_net*: edge in pixels, odd, of the ellipse that opens the markers.
    min_marker_area : int
        *hover_net*: markers of fewer pixels are dropped.
    peak_distance : int
        *magnitude_peaks*: least distance in pixels between two seeds.
    merge_touching : bool
        A historical mistake, kept to show what it does: label the union of all instances
        anew at the end, which makes one of all that touch.
    band_rows : int
        Image rows filtered at a time; bounds memory, never changes the result.

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> SeparationParams.preset("hover_net").sobel_size
    21
    """

    method: str = "local"
    np_threshold: float = 0.45
    min_area: int = 20
    max_hole_area: int = 200
    scales: tuple[float, ...] = (1.5, 3.0)
    depth: float = 0.15
    oblique: float = 0.25
    min_mean_np: float = 0.6
    magnitude_low: float = 0.5
    magnitude_high: float = 0.9
    magnitude_window: int = 129
    sobel_size: int = 21
    energy_threshold: float = 0.4
    blur_size: int = 3
    opening_size: int = 5
    min_marker_area: int = 10
    peak_distance: int = 5
    merge_touching: bool = False
    band_rows: int = 512

    def __post_init__(self) -> None:
        _one_of("method", self.method, METHODS)
        object.__setattr__(self, "scales", tuple(self.scales))
        for name in ("np_threshold", "energy_threshold", "min_mean_np", "oblique"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a number in 0..1.")
        for name in ("min_area", "max_hole_area", "depth", "min_marker_area"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more.")
        self._check_filters()

    def _check_filters(self) -> None:
        if not self.scales or not all(0 < scale <= MAX_SCALE for scale in self.scales):
            raise InputError(
                f"scales is {self.scales}; give one or more sigmas above 0 and up to {MAX_SCALE:g}."
            )
        if not 0 < self.magnitude_low <= self.magnitude_high:
            raise InputError(
                f"magnitude_low is {self.magnitude_low} and magnitude_high "
                f"{self.magnitude_high}; give 0 < low <= high."
            )
        if self.sobel_size not in SOBEL_SIZES:
            raise InputError(f"sobel_size is {self.sobel_size}; give an odd number in 3..31.")
        for name in ("blur_size", "opening_size", "magnitude_window"):
            if getattr(self, name) < 1 or getattr(self, name) % 2 != 1:
                raise InputError(f"{name} is {getattr(self, name)}; give an odd number above 0.")
        for name in ("band_rows", "peak_distance"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")

    @classmethod
    def preset(cls, name: str = "local") -> SeparationParams:
        """Look up a named set of numbers.

        Parameters
        ----------
        name : str
            "local" (default), "hover_net" (as published), or one of two that repeat a
            historical mistake and say so in :data:`FAULTS`: "magnitude_peaks" and
            "merging_relabel" (all of the mask, cut and then merged again).

        Raises
        ------
        InputError
            If the name is not known.

        Examples
        --------
        >>> SeparationParams.preset("merging_relabel").merge_touching
        True
        """
        _one_of("preset", name, PRESETS)
        if name == "local":
            return cls()
        published = cls(method="hover_net", np_threshold=0.5, min_area=10, max_hole_area=0)
        if name == "magnitude_peaks":
            return replace(published, method="magnitude_peaks")
        if name == "merging_relabel":
            everything = replace(published, method="local", min_area=0, min_mean_np=0.0)
            return replace(everything, merge_touching=True)
        return published


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; choose one of {', '.join(allowed)}.")
