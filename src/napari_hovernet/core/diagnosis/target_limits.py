"""From where on stored targets are at fault; measured on HV of every known convention."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...errors import InputError


@dataclass(frozen=True)
class TargetLimits:
    """Bounds of the checks of stored NP and HV.

    Parameters
    ----------
    items : int
        Images whose targets are looked at.
    nuclei : int
        Nuclei below which nothing is said about scale and centre.
    agree : float
        Share of rising steps, -1..1, from which an order and a sign are believed.
    lead : float
        By how much it must lead.
    clear, clear_lead : float
        The same, of one image alone.
    largest : float
        HV beyond this was never divided.
    short : float
        HV whose largest value stays below this is too short, where there are no labels.
    outlier : float
        HV beyond this is out of range.
    outliers : float
        Share of nucleus pixels out of range from which it is a fault (below: nothing).
    negative : float
        Share of negative values inside nuclei below which the sign was lost.
    np_agree, np_apart : float
        Overlap (intersection over union) of stored NP with labels above which it is in order,
        and below which it is a fault.
    np_hv : float
        The same bound against where HV is not 0, which a blur widens.
    straight : float
        Share of the variance of a nucleus' HV that a straight line explains, above which it
        fits the label.
    fitting, fitting_all : float
        Share of nuclei that fit, above which HV belongs to the labels, and below which it is a
        fault.
    support : float
        Correlation of where HV is not 0 with labels below which it may belong elsewhere.
    merged : float
        Share of touching nuclei that fit below which HV may have been made of components.
    spread : float
        Median deviation (log) of measured from expected extents up to which a scale is known.
    tie : float
        Lead in it that another scale than one per axis needs.
    factor : float
        Deviation (log) of the length from 1 that is a fault.
    centre_px : float
        Median distance of HV's zero from a known centre up to which it is that centre.
    centre_tie : float
        Lead in pixels that another centre than that of mass needs.
    centre_bad_px, centre_bad : float
        Distance in pixels, and relative to the radius of the nucleus, from which it is a fault.
    centre_steady_px : float
        The same, where it is off into one direction in all nuclei.
    loss, loss_all : float
        Share of the jump between touching nuclei that a blur or a resize took, from which it
        is a warning, and a fault.
    leak : float
        Share of HV's energy outside of nuclei from which it counts as blurred, too.
    leak_all : float
        The same, a fault.
    none : float
        Share of nuclei without HV from which it is a warning.
    """

    items: int = 32
    nuclei: int = 8
    agree: float = 0.3
    lead: float = 0.2
    clear: float = 0.5
    clear_lead: float = 0.4
    largest: float = 2.0
    short: float = 0.7
    outlier: float = 1.05
    outliers: float = 0.002
    negative: float = 0.02
    np_agree: float = 0.9
    np_apart: float = 0.7
    np_hv: float = 0.6
    straight: float = 0.9
    fitting: float = 0.75
    fitting_all: float = 0.5
    support: float = 0.6
    merged: float = 0.4
    spread: float = 0.08
    tie: float = 0.01
    factor: float = 0.12
    centre_px: float = 0.6
    centre_tie: float = 0.1
    centre_bad_px: float = 1.5
    centre_bad: float = 0.15
    centre_steady_px: float = 0.9
    loss: float = 0.2
    loss_all: float = 0.45
    leak: float = 0.01
    leak_all: float = 0.1
    none: float = 0.3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise InputError(f"{field.name} is {value}; give a number above 0.")


LIMITS = TargetLimits()
"""The bounds in use."""
