"""What the scores of a comparison mean, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from ..errors import InputError
from .comparison_types import Comparison, HVScores

LEVELS = ("good", "neutral", "bad")
"""How a remark is meant."""


@dataclass(frozen=True)
class VerdictParams:
    """From where on a difference is called one.

    Parameters
    ----------
    aji_gain : float
        Least AJI above that of connected components for the separation to have done
        something; also the least room it must have for this image to tell.
    oracle_aji : float
        Least AJI of the oracle; below, the separation itself is at fault.
    hv_gain : float
        Least share by which the HV error must lie below that of the zero map.
    cosine_none, cosine_fair : float
        Mean cosine of HV to the truth below which no direction, or a poor one, was learnt.
    magnitude_share : float
        Share of the true magnitude below which HV counts as short.
    dice_gain : float
        Least Dice above that of calling every pixel nucleus.

    Raises
    ------
    InputError
        If a number is not in 0..1.
    """

    aji_gain: float = 0.03
    oracle_aji: float = 0.90
    hv_gain: float = 0.05
    cosine_none: float = 0.2
    cosine_fair: float = 0.6
    magnitude_share: float = 0.4
    dice_gain: float = 0.02

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise InputError(
                    f"{field.name} is {getattr(self, field.name)}; give a number in 0..1."
                )


@dataclass(frozen=True)
class Remark:
    """One sentence about a comparison; ``level`` is "good", "neutral" or "bad"."""

    level: str
    text: str


def verdict(comparison: Comparison, params: VerdictParams | None = None) -> tuple[Remark, ...]:
    """Put a comparison into words: what is at fault, what the scores are worth.

    Parameters
    ----------
    comparison : Comparison
    params : VerdictParams, optional
        Default ``VerdictParams()``.

    Returns
    -------
    tuple of Remark
        The most telling first; never empty.

    Examples
    --------
    >>> import numpy
    >>> from napari_hovernet.core.compare import compare
    >>> labels = numpy.zeros((20, 40), int)
    >>> labels[4:16, 4:20], labels[4:16, 20:36] = 1, 2
    >>> verdict(compare(labels, labels > 0))[0].text
    'AJI 0.50 is no better than connected components (0.50): the separation does nothing.'
    """
    params = VerdictParams() if params is None else params
    scores = comparison.prediction
    if not scores.n_true:
        return (Remark("neutral", "There are no true nuclei here: no score says anything."),)
    if not scores.n_pred:
        text = "Nothing was found. Look at NP: is the mask empty, or np_threshold too high?"
        return (Remark("bad", text),)
    remarks = [*_separation(comparison, params), *_mask(comparison, params)]
    if comparison.hv is not None:
        remarks += _hv(comparison.hv, params)
    order = {"bad": 0, "good": 1, "neutral": 2}
    return tuple(sorted(remarks, key=lambda remark: order[remark.level]))


def _separation(comparison: Comparison, params: VerdictParams) -> Iterator[Remark]:
    aji, best = comparison.prediction.aji, comparison.oracle.aji
    plain = comparison.connected_components.aji
    if best < params.oracle_aji:
        yield Remark(
            "bad",
            f"The oracle is low (AJI {best:.2f}): even the true maps come out wrong, so the "
            "separation itself is at fault, not the network.",
        )
    if aji - plain >= params.aji_gain:
        yield Remark(
            "good",
            f"The separation pays: AJI {aji:.2f} against {plain:.2f} for connected components "
            f"(oracle {best:.2f}).",
        )
    elif plain - aji >= params.aji_gain:
        yield Remark(
            "bad",
            f"AJI {aji:.2f} is worse than connected components ({plain:.2f}): the separation "
            "does harm.",
        )
    elif best >= params.oracle_aji and best - plain < params.aji_gain:
        yield Remark(
            "neutral",
            f"Hardly any nuclei touch here: connected components get AJI {plain:.2f} too. This "
            "image says little about the separation.",
        )
    else:
        yield Remark(
            "bad",
            f"AJI {aji:.2f} is no better than connected components ({plain:.2f}): the "
            "separation does nothing.",
        )


def _mask(comparison: Comparison, params: VerdictParams) -> Iterator[Remark]:
    dice, full = comparison.prediction.dice, comparison.all_foreground_dice
    if dice - full < params.dice_gain:
        yield Remark(
            "bad",
            f"Dice {dice:.2f} is no better than calling every pixel nucleus ({full:.2f}): look "
            "at NP, or at the truth (is its background marked as nucleus?).",
        )


def _hv(hv: HVScores, params: VerdictParams) -> Iterator[Remark]:
    if hv.cosine <= -params.cosine_fair:
        yield Remark(
            "bad",
            f"HV points the wrong way (cosine {hv.cosine:.2f}): its sign is inward, not outward.",
        )
    elif hv.cosine < params.cosine_none:
        yield Remark(
            "bad",
            f"HV has no direction (cosine {hv.cosine:.2f}): channels swapped, or not learnt. Its "
            "length does not matter then.",
        )
    elif hv.cosine < params.cosine_fair:
        yield Remark("neutral", f"HV points only roughly right (cosine {hv.cosine:.2f}).")
    short = hv.magnitude < params.magnitude_share * hv.true_magnitude
    if hv.mse > (1 - params.hv_gain) * hv.zero_mse:
        right = hv.cosine >= params.cosine_fair
        why = " It points right, so only its scale is off." if right else ""
        yield Remark(
            "neutral" if right else "bad",
            f"HV is no better than zero: error {hv.mse:.3f}, a map of zeros {hv.zero_mse:.3f}."
            + why,
        )
    elif short:
        yield Remark(
            "neutral",
            f"HV is short (magnitude {hv.magnitude:.2f}, truth {hv.true_magnitude:.2f}); alone "
            "that does not make a blob.",
        )
