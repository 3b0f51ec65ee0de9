"""Bounds by which predicted maps are judged."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...errors import InputError


@dataclass(frozen=True)
class MapLimits:
    """Bounds by which predicted maps are judged.

    What healthy maps have was measured with ``compact`` on 123 real images, on stored
    predictions of another network, and on generated tissue. Shares, cosines and correlations
    have no unit.

    Parameters
    ----------
    threshold : float
        NP from which a pixel is nucleus, where nobody has set one.
    edge : int
        Pixels; of larger images the middle of this size is correlated.
    min_area : int
        Pixels; smaller parts of the NP mask tell nothing.
    solidity : float
        Area over that of the convex hull, from which a part is taken for one nucleus.
    large_part : float
        Parts beyond this share of the image are no nuclei.
    few_pixels : int
        Pixels of all images together, below which a threshold or an empty NP tell nothing.
    few_length : int
        Nucleus pixels below which lengths of HV tell nothing.
    few_inside : int
        Nucleus pixels below which slopes tell nothing.
    min_parts : int
        Fewer nuclei than this, in all images together, tell nothing of HV.
    many_parts : int
        Small convex parts that make a mask one of nuclei, without truth and image.
    convex_share, convex_share_low : float
        A mask is one of nuclei if this share of it lies in small convex parts, and is not
        if less than the lower one does.
    related, unrelated : float
        Correlation of NP with the truth or with how dark the image is, from which the two
        belong together (healthy: 0.5 to 0.98), and below which they do not.
    inverted : float
        Correlation below which NP is that of background.
    dark_image : float
        Median grey value, 0..255; images below are not of stained tissue.
    narrow : float
        Range of NP (1 to 99 %) below which it looks squeezed; healthy: about 1.
    least_contrast : float
        Difference of the two groups of NP values below which there is nothing to part.
    threshold_gain, threshold_gain_warn : float
        Dice that another threshold brings; healthy: up to 0.044 in a single image.
    few_true : float
        Share of an image that true nuclei must cover to tell where maps should lie.
    few_found : float
        Share of the true nucleus area found, below which NP is empty.
    blank, full : float
        Share of all pixels found, below and above which NP is empty or full.
    full_truth : float
        Truth that covers more than this may be full.
    least_peak, least_peak_alone : float
        Correlation that moved or turned maps must reach, in several images or in one.
    shift_gain, shift_gain_alone, shift_gain_small : float
        Correlation they must gain by being moved back; alone = in one image, small = in so few
        pixels that any nucleus may lie on any other.
    turn_gain : float
        Correlation they must gain by being turned back.
    shift_agree : float
        Share of the images that must be moved alike.
    small_shift : int
        Pixels; from here on a shift is a fault.
    single_gain : float
        Correlation that one pixel must bring to be worth a look.
    single_sure : float
        Standard errors by which that gain must exceed 0.
    token : int
        Pixels of one patch of a vision transformer.
    order_score, slope_score : float
        Mean cosine, and share of rising steps, from which a reading of HV is believed;
        healthy: 0.74 to 0.98 and 0.42 to 1.
    order_lead : float
        By how much it must lead the next.
    direction, direction_warn : float
        Cosine of the best reading below which no direction was learned, or little.
    axis : float
        Cosine of one axis alone (1 at best) below which that axis was not learned.
    collapsed, weak : float
        Mean length of HV inside nuclei; see ``MagnitudeBands``.
    zero : float
        Length below which HV is nothing but 0.
    usual_length : float
        Mean length of exact HV, 0.67 to 0.69 in every real data set.
    overshoot, overshoot_warn : float
        Mean length relative to that of the truth.
    int8_low, int8_high : float
        Factors between which HV was never divided by 127.
    offset : float
        Mean of a channel inside nuclei, relative to the mean length; healthy: below 0.1.
    one_sided : float
        Lowest HV, relative to the mean length, above which a map has lost its sign.
    saturated_at : float
        |HV| of a channel from here on is at the end of tanh.
    saturated, saturated_warn : float
        Share of nucleus pixels there, for either channel; healthy: up to 0.02.
    noise, noise_warn : float
        Noise from pixel to pixel, relative to the mean length; healthy: up to 0.1.
    steepest : float
        Steps of HV beyond this, relative to the mean length, are borders between nuclei.
    no_better : float
        Squared error relative to that of a map of zeros; healthy: 0.05 to 0.4.
    hv_moved_gain, hv_moved : float
        Cosine that HV gains by being moved onto NP, and must reach.
    types_gain : float
        Share of nuclei whose type becomes right with another numbering.
    types_low : float
        Share right below which types are worth a look, if a constant answer does as well.
    score_poor : float
        AJI below which a prediction is poor.

    Raises
    ------
    InputError
        If a number is not finite.

    Examples
    --------
    >>> MapLimits().collapsed
    0.1
    """

    threshold: float = 0.5
    edge: int = 1024
    min_area: int = 30
    solidity: float = 0.9
    large_part: float = 0.1
    few_pixels: int = 30000
    few_length: int = 500
    few_inside: int = 4000
    min_parts: int = 3
    many_parts: int = 8
    convex_share: float = 0.25
    convex_share_low: float = 0.08
    related: float = 0.35
    unrelated: float = 0.15
    inverted: float = -0.3
    dark_image: float = 50.0
    narrow: float = 0.5
    least_contrast: float = 0.05
    threshold_gain: float = 0.08
    threshold_gain_warn: float = 0.06
    few_true: float = 0.005
    few_found: float = 0.05
    blank: float = 1e-4
    full: float = 0.95
    full_truth: float = 0.8
    least_peak: float = 0.3
    least_peak_alone: float = 0.45
    shift_gain: float = 0.03
    shift_gain_alone: float = 0.05
    shift_gain_small: float = 0.3
    turn_gain: float = 0.2
    shift_agree: float = 0.6
    small_shift: int = 2
    single_gain: float = 0.004
    single_sure: float = 4.0
    token: int = 14
    order_score: float = 0.4
    slope_score: float = 0.2
    order_lead: float = 0.2
    direction: float = 0.3
    direction_warn: float = 0.5
    axis: float = 0.25
    collapsed: float = 0.1
    weak: float = 0.25
    zero: float = 1e-4
    usual_length: float = 0.68
    overshoot: float = 1.8
    overshoot_warn: float = 1.4
    int8_low: float = 60.0
    int8_high: float = 250.0
    offset: float = 0.3
    one_sided: float = -0.1
    saturated_at: float = 0.98
    saturated: float = 0.5
    saturated_warn: float = 0.25
    noise: float = 0.35
    noise_warn: float = 0.22
    steepest: float = 0.65
    no_better: float = 0.95
    hv_moved_gain: float = 0.25
    hv_moved: float = 0.5
    types_gain: float = 0.2
    types_low: float = 0.3
    score_poor: float = 0.2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not -float("inf") < value < float("inf"):
                raise InputError(f"{field.name} is {value}; give a finite number.")


LIMITS = MapLimits()
