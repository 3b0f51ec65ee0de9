"""What can be tuned without running the network again, and the counts to judge it by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ...errors import InputError
from ..hv import SCALE_RANGE, HVReading, read_hv
from ..masks import clean_mask, label_parts
from ..params import METHODS, SeparationParams
from ..types import Bool, Float32, Maps, Separation
from . import separate
from .local import cut_basins, squeeze_energy
from .published import merged


@dataclass(frozen=True)
class TuneParams:
    """How HV is read, and how instances are cut.

    Parameters
    ----------
    separation : SeparationParams
        Lengths and areas in pixels of the maps at hand.
    hv : HVReading
        Order, sign and scale of the HV channels.

    Examples
    --------
    >>> TuneParams().separation.method
    'local'
    """

    separation: SeparationParams = field(default_factory=SeparationParams)
    hv: HVReading = field(default_factory=HVReading)


@dataclass(frozen=True)
class StageCounts:
    """How many things there are after each stage of a separation.

    Parameters
    ----------
    components : int
        4-connected parts of the mask.
    markers : int
        Different markers (seeds).
    instances : int
        Nuclei in the end.
    """

    components: int
    markers: int
    instances: int


def tune(maps: Maps, params: TuneParams) -> Separation:
    """Separate maps with their HV read as the parameters say.

    Examples
    --------
    >>> import numpy
    >>> from napari_hovernet.core.hv import hv_targets
    >>> labels = numpy.zeros((20, 40), int)
    >>> labels[4:16, 4:20], labels[4:16, 20:36] = 1, 2
    >>> maps = Maps(np=labels > 0, hv=hv_targets(labels))
    >>> tune(maps, TuneParams()).n, tune(maps, TuneParams(hv=HVReading(order="vh"))).n
    (2, 1)
    """
    return separate(read_hv(maps, params.hv), params.separation)


def stage_counts(separation: Separation) -> StageCounts:
    """Count components, markers and instances of a finished separation.

    Examples
    --------
    >>> import numpy
    >>> empty = numpy.zeros((4, 4), numpy.int32)
    >>> stage_counts(Separation(empty > 0, empty.astype("f4"), empty, empty)).components
    0
    """
    markers = separation.markers
    return StageCounts(
        components=label_parts(separation.mask)[1],
        markers=int(markers.max()) if markers.size else 0,
        instances=separation.n,
    )


LOCAL, PUBLISHED, PEAKS = ("local",), ("hover_net",), ("magnitude_peaks",)


@dataclass(frozen=True)
class Tunable:
    """One number that can be tuned.

    Parameters
    ----------
    name : str
        Field of :class:`SeparationParams`; "scales.0" and "scales.1" are the finest and
        the coarsest Gaussian, "hv.scale" the length of HV.
    title, unit, help : str
        For people; ``unit`` is "" for plain numbers.
    low, high, step : float
        What a slider offers; the class itself may allow more.
    decimals : int
        Digits after the point; 0 = whole numbers.
    methods : tuple of str
        Methods that read it.
    logarithmic : bool
        Whether a slider should go by factors.
    """

    name: str
    title: str
    unit: str
    low: float
    high: float
    step: float
    decimals: int
    help: str
    methods: tuple[str, ...] = METHODS
    logarithmic: bool = False

    def snap(self, value: float) -> float:
        """Bring a number to the nearest one that the slider offers.

        Examples
        --------
        >>> tunable("sobel_size").snap(20.2)
        21
        """
        steps = round((min(max(value, self.low), self.high) - self.low) / self.step)
        found = min(self.low + steps * self.step, self.high)
        return round(found, self.decimals) if self.decimals else round(found)


TUNABLES = (
    Tunable("np_threshold", "NP threshold", "", 0.05, 0.95, 0.01, 2,
            "Least probability (0 to 1) at which a pixel is nucleus."),
    Tunable("min_area", "Smallest part", "px", 0, 500, 1, 0,
            "Connected areas of the mask with fewer pixels are dropped."),
    Tunable("max_hole_area", "Largest hole", "px", 0, 2000, 10, 0,
            "Holes of up to this many pixels are filled, if one nucleus has all of them.", LOCAL),
    Tunable("depth", "Depth", "", 0.0, 1.0, 0.01, 2,
            "Two basins are one nucleus if the pass between them is lower than this. "
            "Raise it when nuclei break up; lower it when touching ones stay together.", LOCAL),
    Tunable("scales.0", "Fine scale", "px", 0.5, 10.0, 0.1, 1,
            "Sigma of the finest Gaussian HV is looked at through: draws the borders.", LOCAL),
    Tunable("scales.1", "Coarse scale", "px", 0.5, 20.0, 0.1, 1,
            "Sigma of the coarsest Gaussian: tells one nucleus from two.", LOCAL),
    Tunable("oblique", "Oblique borders", "", 0.0, 1.0, 0.01, 2,
            "How much borders between rows and columns count (0 to 1).", LOCAL),
    Tunable("min_mean_np", "Least mean NP", "", 0.0, 0.99, 0.01, 2,
            "Nuclei whose mean probability (0 to 1) is lower are dropped.", LOCAL),
    Tunable("magnitude_low", "Weak HV up to", "", 0.05, 1.5, 0.01, 2,
            "Where the mean HV magnitude around is lower, HV is lengthened to it.", LOCAL),
    Tunable("magnitude_high", "Strong HV from", "", 0.05, 2.0, 0.01, 2,
            "Where the mean HV magnitude around is higher, HV is shortened to it.", LOCAL),
    Tunable("magnitude_window", "Neighbourhood", "px", 9, 513, 2, 0,
            "Edge of the square in which that mean is taken; odd.", LOCAL),
    Tunable("energy_threshold", "Border strength", "", 0.0, 1.0, 0.01, 2,
            "From this strength (0 to 1) on a pixel is border, not marker.", PUBLISHED),
    Tunable("sobel_size", "Sobel kernel", "px", 3, 31, 2, 0,
            "Edge of the kernel that differentiates HV; odd.", PUBLISHED),
    Tunable("blur_size", "Blur", "px", 1, 31, 2, 0,
            "Edge of the Gaussian that smooths the energy; odd.", PUBLISHED),
    Tunable("opening_size", "Opening", "px", 1, 31, 2, 0,
            "Edge of the ellipse that cleans the markers; odd.", PUBLISHED),
    Tunable("min_marker_area", "Smallest marker", "px", 0, 500, 1, 0,
            "Markers of fewer pixels are dropped.", PUBLISHED),
    Tunable("peak_distance", "Peak distance", "px", 1, 40, 1, 0,
            "Least distance between two peaks of the magnitude.", PEAKS),
    Tunable("hv.scale", "HV times", "", *SCALE_RANGE, 0.01, 2,
            "HV is multiplied by this. It changes the magnitude, and hardly the nuclei: "
            "separation looks at directions.", METHODS, logarithmic=True),
)  # fmt: skip
"""All of them; ``band_rows`` is left out, because it never changes a result."""


def tunable(name: str) -> Tunable:
    """Look one up by name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    for found in TUNABLES:
        if found.name == name:
            return found
    names = ", ".join(t.name for t in TUNABLES)
    raise InputError(f"{name!r} cannot be tuned; choose one of {names}.")


def tunables_for(method: str) -> tuple[Tunable, ...]:
    """List those that a method reads.

    Examples
    --------
    >>> [t.name for t in tunables_for("magnitude_peaks")]
    ['np_threshold', 'min_area', 'peak_distance', 'hv.scale']
    """
    return tuple(t for t in TUNABLES if method in t.methods)


def value_of(params: TuneParams, name: str) -> float:
    """Read one number.

    Raises
    ------
    InputError
        If nothing of that name can be tuned.
    """
    tunable(name)
    if name == "hv.scale":
        return params.hv.scale
    if name.startswith("scales."):
        scales = params.separation.scales
        return scales[0] if name == "scales.0" else scales[-1]
    return float(getattr(params.separation, name))


def with_value(params: TuneParams, name: str, value: float) -> TuneParams:
    """Return a copy with one number changed; a bound that would cross its partner takes it along.

    Raises
    ------
    InputError
        If nothing of that name can be tuned, or the value is out of range.

    Examples
    --------
    >>> with_value(TuneParams(), "scales.1", 4).separation.scales
    (1.5, 4.0)
    """
    known = tunable(name)
    if not math.isfinite(value):
        raise InputError(f"{name} is {value}; give a finite number.")
    number: Any = float(value) if known.decimals else int(value)
    if name == "hv.scale":
        return replace(params, hv=replace(params.hv, scale=number))
    changes: dict[str, Any] = {name: number}
    separation = params.separation
    if name.startswith("scales."):
        fine, coarse = separation.scales[0], separation.scales[-1]
        changes = {"scales": (number, coarse) if name == "scales.0" else (fine, number)}
    elif name == "magnitude_low":
        changes["magnitude_high"] = max(separation.magnitude_high, number)
    elif name == "magnitude_high":
        changes["magnitude_low"] = min(separation.magnitude_low, number)
    return replace(params, separation=replace(separation, **changes))


T = TypeVar("T")

Key = tuple[Any, ...]


class _Kept:
    """The last value of one stage, and what it was made from."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._value: Any = None

    def get(self, key: Key, make: Callable[[], T]) -> T:
        if key != self._key:
            self._value = make()
            self._key = key
        value: T = self._value
        return value


class StagedTuner:
    """Cuts one set of maps with changing parameters; equal to :func:`tune`, but sooner.

    For the method "local" the read maps, the mask and the energy are kept from one call to
    the next. Not for use by two threads at once.

    Parameters
    ----------
    maps : Maps
        What is separated.

    Examples
    --------
    >>> import numpy
    >>> maps = Maps(np=numpy.ones((8, 8)), hv=numpy.zeros((2, 8, 8)))
    >>> StagedTuner(maps)(TuneParams()).n
    1
    """

    def __init__(self, maps: Maps) -> None:
        self.maps = maps
        self._read, self._mask, self._energy = _Kept(), _Kept(), _Kept()

    def __call__(self, params: TuneParams) -> Separation:
        """Separate; arrays of the result may be shared with later results: do not change them."""
        maps = self._maps(params.hv)
        separation = params.separation
        if separation.method != "local" or not maps.np.size:
            return separate(maps, separation)
        mask = self._clean(separation)
        energy = self._squeezed(maps, mask, params)
        found = cut_basins(maps, mask.copy(), energy, separation)
        return merged(found) if separation.merge_touching else found

    def _maps(self, reading: HVReading) -> Maps:
        return self._read.get((reading,), lambda: read_hv(self.maps, reading))

    def _clean(self, p: SeparationParams) -> Bool:
        return self._mask.get(_mask_key(p), lambda: clean_mask(self.maps.np, p))

    def _squeezed(self, maps: Maps, mask: Bool, params: TuneParams) -> Float32:
        p = params.separation
        filters = (p.scales, p.oblique, p.magnitude_low, p.magnitude_high, p.magnitude_window)
        key = (*_mask_key(p), params.hv, *filters)
        return self._energy.get(key, lambda: squeeze_energy(maps, mask, p))


def _mask_key(p: SeparationParams) -> Key:
    return (p.np_threshold, p.min_area, p.max_hole_area)
