"""From where on a separation is at fault; every bound has a name."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...errors import InputError


@dataclass(frozen=True)
class SeparationLimits:
    """Bounds of the checks of a separation.

    Parameters
    ----------
    good_aji : float
        AJI on generated nuclei with exact maps from which on a separation works.
    bad_aji : float
        AJI on them below which it does not.
    gap : float
        Least difference of AJI between what works and what does not, for it to be the cause.
    same_aji : float
        AJI to connected components from which on a result is taken for them.
    drop : float
        AJI that may be lost when HV is made longer or shorter, or other nuclei lie beside.
    spread : float
        Largest difference of AJI over the turns of HV of a separation that looks at length alone.
    pieces : float
        Instances per nucleus that stands alone from which on it is broken up.
    share : float
        Share of generated nuclei that have to be split, merged or lost for it to be called so.
    small_factor : float
        Factors of HV from this to its inverse are met in practice; beyond, a change is told
        with less certainty.
    oracle_margin : float
        AJI by which exact maps may come out worse than with the best of our presets.
    scene_gain : float
        Gain of AJI on generated maps by which another value of a parameter is called for.
    map_gain, map_fault : float
        The same on predicted maps against the truth: worth a look, and a fault.
    slack : float
        AJI that another value may cost where it is not called for.
    threshold_low, threshold_high : float
        Bounds of the probability from which on a nucleus is found.
    min_nuclei : int
        True nuclei below which predicted maps decide nothing.
    min_touching : int
        Touching nuclei below which connected components decide nothing.
    touching_gain : float
        Instances per connected component, by our default separation, from which on there is
        something to cut.
    cosine, cosine_gap : float
        Least mean cosine of HV to the truth, and its lead over other turns, from which on the
        convention of maps is known.
    radius_low, radius_high : float
        Radius in pixels of the generated nuclei; that of the case's own nuclei in between.

    Raises
    ------
    InputError
        If a bound is not above 0.

    Examples
    --------
    >>> SeparationLimits().good_aji
    0.8
    """

    good_aji: float = 0.8
    bad_aji: float = 0.65
    gap: float = 0.25
    same_aji: float = 0.98
    drop: float = 0.2
    spread: float = 0.1
    pieces: float = 2.0
    share: float = 0.1
    small_factor: float = 0.1
    oracle_margin: float = 0.1
    scene_gain: float = 0.05
    map_gain: float = 0.06
    map_fault: float = 0.1
    slack: float = 0.03
    threshold_low: float = 0.15
    threshold_high: float = 0.85
    min_nuclei: int = 30
    min_touching: int = 10
    touching_gain: float = 1.15
    cosine: float = 0.5
    cosine_gap: float = 0.2
    radius_low: float = 9.0
    radius_high: float = 16.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 < getattr(self, field.name) < float("inf"):
                raise InputError(
                    f"{field.name} is {getattr(self, field.name)}; give a number above 0."
                )
