"""From where on an augmentation is called faulty."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ...errors import InputError


@dataclass(frozen=True)
class AugmentationLimits:
    """Bounds and sizes of the checks of an augmentation.

    Parameters
    ----------
    edge, least_edge : int
        Largest edge in pixels of the crops that are augmented; below the least, synthetic
        tissue stands in.
    n_probes, n_draws : int
        Crops, and draws over all of them.
    least_nuclei, least_area : int
        Nuclei, of that many pixels, that a crop must have.
    seconds : float
        After which no more draws are made, if there are ``least_draws``.
    least_draws : int
        Draws needed for a judgement.
    deviation : float
        Largest distance of the transform of HV from none, 0 = exact (norm of M - 1); a flip
        in the wrong channel has 2.
    wrong_share : float
        Share of draws with wrong HV from where on it is a fault.
    mean_fault, mean_warn : float
        Length of the mean transform below which HV cannot be learned, or is learned short.
    shortest : float
        Vectors of HV shorter than this are not compared: near centres directions jump.
    touching_error, inner_error : float
        Mean error of HV where nuclei touch above which, and inside below which, HV was
        interpolated across borders.
    together, apart : float
        Correlation of image and labels' move that is good enough, and by how much another
        move must be better.
    shift : float
        Pixels by which the image may lie beside its labels.
    response : float
        Clearness of that shift, 0..1.
    foreign : float
        Share of label pixels with ids that were never there.
    types_wrong : float
        Share of nuclei with another type than before.
    jump, jumps : float
        Grey levels beyond what one gain per channel explains, and share of such pixels.
    moved_share : float
        Share of draws in which image and labels go apart from where on it is a fault.

    Raises
    ------
    InputError
        If a size is below 1.

    Examples
    --------
    >>> AugmentationLimits().n_draws
    48
    """

    edge: int = 192
    least_edge: int = 48
    n_probes: int = 4
    n_draws: int = 48
    least_nuclei: int = 4
    least_area: int = 30
    seconds: float = 6.0
    least_draws: int = 12
    deviation: float = 0.3
    wrong_share: float = 0.04
    mean_fault: float = 0.6
    mean_warn: float = 0.85
    shortest: float = 0.2
    touching_error: float = 0.27
    inner_error: float = 0.2
    together: float = 0.5
    apart: float = 0.2
    shift: float = 2.0
    response: float = 0.25
    foreign: float = 0.003
    types_wrong: float = 0.03
    jump: float = 110.0
    jumps: float = 0.03
    moved_share: float = 0.04

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 1:
                raise InputError(f"{field.name} is {value}; give 1 or more.")
