"""From where on a loss is called faulty."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...errors import InputError


@dataclass(frozen=True)
class LossLimits:
    """Bounds and sizes of the checks of the loss.

    Parameters
    ----------
    crop, n_crops : int
        Edge in pixels and number of the crops of the batch.
    least_crop : int
        Edge below which crops of the user's are not used.
    small : int
        Edge of the crop on which half precision is tried; sums over it stay below 65504.
    coverage : (float, float)
        Share of nucleus pixels of a batch that is used; else synthetic nuclei stand in.
    longest : float
        HV longer than this is no HV; planted maps stand in.
    noise : float
        Of planted maps, where there are no predicted ones; 0.15 = a good network.
    np_share_fault, np_share_warn : float
        Share of NP in NP and HV together below which it is drowned, in the batch and with
        planted maps. (The weights that drowned NP in the story: 0.065.)
    np_gradient_fault, np_gradient_warn : float
        The same for the norm of the gradient at the outputs; the Sobel's gain of 8 makes that
        of HV large in any loss of this kind.
    term_fault, term_warn : float
        Share of HV's value above which one term drowns the others.
    term_gradient_fault, term_gradient_warn : float
        The same for HV's gradient; that of the Sobel is large by nature.
    blind_fault, blind_warn : float
        What a wrong direction costs, as a share of what a squared error alone would make of
        it; below, the loss is blind.
    inside : float
        Change of the loss by changes in nuclei, as a share of that by changes in the
        background, below which the mask is the wrong way round.
    outside : float
        Change of the loss by changes far from nuclei, as a share of that by changes in them.
    diluted : float
        Factor of the loss in twice the background below which it is diluted.
    scaling : float
        Factor of the loss in a batch of twice the size above which (or below 1 over it) it is a
        sum.
    background_types : float
        Share of the gradient of the types that lies on the background.
    lower : float
        By how much of the span from HV = 0 to the truth the loss may fall below that of the
        truth.
    slope_at_truth : float
        Gradient at the truth over that at HV = 0, from where on it is no minimum.
    axis : float
        Answer of a term to changes along the right axis over that along the wrong one.
    k_tolerance : float
        How far from 1 the best multiple of the truth may be.
    flat : float
        Range of the loss of multiples of the truth, over that of wrong directions, below which
        it does not see the length.
    margin : int
        Pixels around nuclei that do not count as background.
    steps : int
        Random steps away from the truth.
    step : float
        Their length, in units of HV.

    Raises
    ------
    InputError
        If a size is below 1.

    Examples
    --------
    >>> LossLimits().crop
    128
    """

    crop: int = 128
    n_crops: int = 4
    least_crop: int = 48
    small: int = 32
    coverage: tuple[float, float] = (0.02, 0.8)
    longest: float = 1.5
    noise: float = 0.15
    np_share_fault: float = 0.02
    np_share_warn: float = 0.07
    np_gradient_fault: float = 0.0012
    np_gradient_warn: float = 0.0022
    term_fault: float = 0.99
    term_warn: float = 0.975
    term_gradient_fault: float = 0.997
    term_gradient_warn: float = 0.99
    blind_fault: float = 0.012
    blind_warn: float = 0.025
    inside: float = 0.05
    outside: float = 0.05
    diluted: float = 0.75
    scaling: float = 1.4
    background_types: float = 0.05
    lower: float = 0.01
    slope_at_truth: float = 0.02
    axis: float = 0.6
    k_tolerance: float = 0.15
    flat: float = 0.02
    margin: int = 3
    steps: int = 6
    step: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 1:
                raise InputError(f"{field.name} is {value}; give 1 or more.")
