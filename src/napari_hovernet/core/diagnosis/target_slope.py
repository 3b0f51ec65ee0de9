"""Order and sign of stored HV, told by its slope inside nuclei; no labels are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.stored_hv import STEEPEST
from ..types import Bool, Float32
from .data_common import not_tested, scaled
from .report import FAULT, OK, Finding, Place, Plot, Remedy
from .setup import Setup
from .target_limits import LIMITS, TargetLimits

TOP = 99.5
"""Percentile of the length of HV that is taken for its largest value."""
LAYERS = ("image", "target_hv_x", "target_hv_y")
NAMES = ("first", "second")
EFFECT = 0.7
"""Certainty of what a turn of the whole map brings about."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """How the channels of stored HV rise.

    Parameters
    ----------
    matrix : float (2, 2)
        Channel by axis (x, y): share of rising minus falling steps, weighted by size.
        [[1, 0], [0, 1]] is [H, V] outward.
    """

    matrix: npt.NDArray[np.float64]

    @property
    def straight(self) -> float:
        """How far the first channel goes along x and the second along y, either sign."""
        return float(np.abs(self.matrix.diagonal()).mean())

    @property
    def swapped(self) -> float:
        """The same for the other order."""
        return float(np.abs(self.matrix[[0, 1], [1, 0]]).mean())

    @property
    def is_swapped(self) -> bool:
        """Whether the other order fits better."""
        return self.swapped > self.straight

    @property
    def signs(self) -> tuple[float, float]:
        """Slope of the channel along x, and of that along y, in the order that fits."""
        columns = [1, 0] if self.is_swapped else [0, 1]
        first, second = (float(x) for x in self.matrix[[0, 1], columns])
        return (second, first) if self.is_swapped else (first, second)

    def sure(self, limits: TargetLimits = LIMITS) -> bool:
        """Whether an order can be believed."""
        most, least = max(self.straight, self.swapped), min(self.straight, self.swapped)
        return most >= limits.agree and most - least >= limits.lead


def slopes_of(maps: Sequence[tuple[Float32, Bool]]) -> Slopes | None:
    """Measure the slopes of HV inside nuclei; None where HV is 0.

    Inside a nucleus the component along x rises from left to right (outward) or falls
    (inward), and hardly changes from top to bottom. Jumps between nuclei are left out.

    Parameters
    ----------
    maps : sequence of (float32 (2, H, W), bool (H, W))
        Stored HV and where nuclei are.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 9, dtype=np.float32)[None].repeat(9, 0)
    >>> slopes_of([(np.stack((x, x.T)), np.ones((9, 9), bool))]).matrix.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    total, weight = np.zeros((2, 2)), np.zeros(2)
    for hv, inside in maps:
        top = float(np.percentile(np.abs(hv[:, inside]), TOP)) if inside.any() else 0.0
        if top <= 0:
            continue
        for channel in range(2):
            rises = [
                _rise(hv[channel] / top, inside),
                _rise(hv[channel].T / top, inside.T),
            ]
            total[channel] += [net for net, _ in rises]
            weight[channel] += max(size for _, size in rises)
    if not (weight > 0).all():
        return None
    return Slopes(total / weight[:, None])


def _rise(values: npt.NDArray[np.float32], inside: Bool) -> tuple[float, float]:
    step = np.diff(values, axis=1)
    use = inside[:, 1:] & inside[:, :-1] & (np.abs(step) < STEEPEST)
    used = step[use].astype(np.float64)
    return float(used.sum()), float(np.abs(used).sum())


def order(
    slopes: Slopes | None,
    setup: Setup,
    places: Sequence[Place] = (),
    turned: bool = False,
    limits: TargetLimits = LIMITS,
) -> Finding:
    """Say whether the two channels of stored HV are swapped.

    Parameters
    ----------
    slopes : Slopes, optional
    setup : Setup
        How HV has been read.
    places : sequence of Place
    turned : bool
        Whether the whole map is known to be turned, which brings this about.
    limits : TargetLimits
    """
    key, title = "data.hv_order", "Order of the HV channels"
    if slopes is None:
        return not_tested(key, title, "stored HV is 0 in all nuclei, or there is no nucleus")
    said = (
        f"Along x the first channel rises with {slopes.matrix[0, 0]:+.2f} and the second with "
        f"{slopes.matrix[1, 0]:+.2f}; along y {slopes.matrix[0, 1]:+.2f} and "
        f"{slopes.matrix[1, 1]:+.2f} (share of the steps inside nuclei; [H, V] has 1, 0, 0, 1)"
    )
    numbers = {"as read": slopes.straight, "swapped": slopes.swapped}
    if not slopes.sure(limits):
        return not_tested(key, title, f"no order can be told. {said}")
    plot = slope_plot(slopes)
    if not slopes.is_swapped:
        return Finding(key, OK, title, said + ".", slopes.swapped, slopes.straight, "share",
                       numbers=numbers, plot=plot)  # fmt: skip
    other = "vh" if setup.target_order == "hv" else "hv"
    return Finding(
        key,
        FAULT,
        "Channels of stored HV are swapped",
        f"Read as [{', '.join(setup.target_order.upper())}]: {said.lower()}.",
        slopes.swapped,
        slopes.straight,
        "share",
        EFFECT if turned else scaled(slopes.swapped - slopes.straight, limits.lead, 0.6, 0.9, 0.98),
        Remedy(
            f"Read stored HV as [{', '.join(other.upper())}]; augmentation rules and separation "
            "must use the same order, or flips cancel HV.",
            "target_order",
            other,
        ),
        numbers,
        LAYERS,
        tuple(places),
        plot,
    )


def sign(
    slopes: Slopes | None,
    setup: Setup,
    places: Sequence[Place] = (),
    turned: bool = False,
    limits: TargetLimits = LIMITS,
) -> Finding:
    """Say whether stored HV points the other way.

    Parameters
    ----------
    slopes : Slopes, optional
    setup : Setup
        How HV has been read.
    places : sequence of Place
    turned : bool
        Whether the whole map is known to be turned, which brings this about.
    limits : TargetLimits
    """
    key, title = "data.hv_sign", "Sign of HV"
    if slopes is None:
        return not_tested(key, title, "stored HV is 0 in all nuclei, or there is no nucleus")
    if not slopes.sure(limits):
        return not_tested(key, title, "HV has no slope to tell it by")
    x, y = slopes.signs
    said = (
        f"HV along x rises with {x:+.2f}, along y with {y:+.2f} (share of the steps; outward: +1)"
    )
    numbers = {"along x": x, "along y": y}
    if x > 0 and y > 0:
        return Finding(key, OK, title, said + ".", min(x, y), 0.0, "share", numbers=numbers)
    both = x < 0 and y < 0
    other = "inward" if setup.target_sign == "outward" else "outward"
    if both:
        name = f"Stored HV points {other}"
        remedy = Remedy(
            f"Read stored HV as {other} (centre minus pixel is inward).", "target_sign", other
        )
    else:
        name = f"One channel of stored HV is negated ({'x' if x < 0 else 'y'})"
        remedy = Remedy(
            "Negate that channel. It comes about when HV is flipped as a picture: a flip must also "
            "negate the component along its axis. Best compute HV again from the labels."
        )
    return Finding(
        key,
        FAULT,
        name,
        said + ".",
        min(x, y),
        0.0,
        "share",
        EFFECT if turned and not both else scaled(-min(x, y), limits.agree, 0.8, 0.88, 0.97),
        remedy,
        numbers,
        LAYERS,
        tuple(places),
        slope_plot(slopes),
    )


def slope_plot(slopes: Slopes) -> Plot:
    """Draw the slopes as a matrix."""
    rows = tuple(
        (f"{name} channel", tuple(float(x) for x in row))
        for name, row in zip(NAMES, slopes.matrix, strict=True)
    )
    return Plot("matrix", "Slope of stored HV inside nuclei", ("along x", "along y"), rows)
