"""Do predicted maps lie where the truth and the image are: shifted, flipped, turned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..data.samples import TURNS, Turn
from .map_lie import IMAGE, NO_SHIFT, TRUTH, Consensus, Moved, Shift, is_shifted, is_turned
from .map_limits import LIMITS, MapLimits
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Plot, Remedy


def model_shift(found: Moved, *, tokens: bool = False, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether maps are moved.

    Parameters
    ----------
    found : Moved
    tokens : bool
        Whether a token decoder made them.
    """
    by, decides = found.judge(limits)
    if decides is None:
        stranger = _strangers(found, limits)
        return stranger or _nothing_to_lie_on("model.shift", "Place of the maps", found, limits)
    rows, cols = decides.shift
    numbers = {"rows": rows, "columns": cols, "correlation": decides.here,
               "correlation moved back": decides.there}  # fmt: skip
    common: dict[str, Any] = {
        "value": float(max(abs(rows), abs(cols))), "threshold": float(limits.small_shift),
        "unit": "px", "numbers": numbers, "layers": ("image", "truth", "np"),
    }  # fmt: skip
    told = _shift_words(by, decides)
    if not is_shifted(decides, limits):
        common["value"] = 0.0
        return Finding("model.shift", OK, "Place of the maps", told + _other(found, by, limits),
                       **common)  # fmt: skip
    small = max(abs(rows), abs(cols)) < limits.small_shift
    sure = 0.4 if small else min(0.9 + 0.15 * decides.gain, 0.97)
    return Finding(
        "model.shift",
        WARN if small else FAULT,
        f"Maps lie {direction(decides.shift)} of where they should",
        told + _tokens_words(decides.shift, tokens=tokens, limits=limits),
        certainty=sure,
        remedy=Remedy(_remedy_words(tokens=tokens), "maps_shift", (-rows, -cols)),
        **common,
    )


def _shift_words(by: str, found: Consensus) -> str:
    what = "how dark the image is" if by == IMAGE else "the true nuclei"
    if found.shift == NO_SHIFT:
        return f"NP correlates {found.here:.2f} with {what}, and nowhere better when moved."
    return (
        f"NP correlates {found.here:.2f} with {what} as it is, and {found.there:.2f} if it is "
        f"taken to lie {direction(found.shift)} ({found.agree} of {found.n} images say so)."
    )


def direction(shift: Shift) -> str:
    """Put a shift into words.

    Examples
    --------
    >>> direction((0, 56)), direction((-1, -2))
    ('56 px to the right', '1 px up and 2 px to the left')
    """
    rows, cols = shift
    said = []
    if rows:
        said.append(f"{abs(rows)} px {'down' if rows > 0 else 'up'}")
    if cols:
        said.append(f"{abs(cols)} px to the {'right' if cols > 0 else 'left'}")
    return " and ".join(said) or "in place"


def _tokens_words(shift: Shift, *, tokens: bool, limits: MapLimits) -> str:
    whole = all(n % limits.token == 0 for n in shift)
    if not (whole or tokens):
        return ""
    at = ", ".join(f"{n / limits.token:.3g}" for n in shift)
    return (
        f" In patches of {limits.token} px that is {at} (rows, columns): tokens taken from the "
        "wrong place (CLS and registers counted as patches) move maps so, and wrap them round."
    )


def _remedy_words(*, tokens: bool) -> str:
    if tokens:
        return (
            "Leave out CLS and register tokens before the patches (token_prefix, 5 for "
            "H-optimus-0); or move the maps back."
        )
    return (
        "Find what moves them (tokens, padding, a crop put back at the wrong place); until then "
        "move the maps back."
    )


def _other(found: Moved, by: str, limits: MapLimits) -> str:
    """Say that labels disagree, where the image says that maps are right."""
    truth = found.truth
    if by != IMAGE or truth is None or not is_shifted(truth, limits):
        return ""
    return (
        f" The labels lie elsewhere (maps {direction(truth.shift)} of them): it is they that are "
        "moved, see the findings on data."
    )


def _strangers(found: Moved, limits: MapLimits) -> Finding | None:
    """Return a finding if maps belong to other images, else None."""
    n = max(x.n for x in (found.image, found.truth) if x is not None) if (
        found.image or found.truth) else 0  # fmt: skip
    if not n or found.strangers < limits.shift_agree * n:
        return None
    return Finding(
        "model.shift", FAULT, "Maps belong to other images",
        f"The maps of {found.strangers} of {n} images fit another image or its truth (correlation "
        f"{limits.least_peak_alone:g} or more), and not their own.",
        value=float(found.strangers), threshold=limits.shift_agree * n, unit="images",
        certainty=0.93, layers=("image", "truth", "np"),
        remedy=Remedy("Put maps and images in the same order: sort both by name, and mind 10 "
                      "before 2."),
    )  # fmt: skip


def _nothing_to_lie_on(name: str, title: str, found: Moved, limits: MapLimits) -> Finding:
    seen = [x for x in (found.image, found.truth) if x is not None]
    if not seen:
        words = "Not tested: give true labels or images to compare the maps with."
        return Finding(name, NOT_TESTED, title, words)
    best = max(x.best for x in seen)
    return Finding(
        name,
        NOT_TESTED,
        title,
        f"Not tested: NP has nothing to do with truth or image, however it is moved or turned "
        f"(correlation {best:.2f}, needed {limits.related:g}).",
    )


def model_orientation(found: Moved, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether maps are flipped or turned against the image, or the truth."""
    by, decides = found.judge(limits)
    if decides is None:
        return _nothing_to_lie_on("model.orientation", "Orientation of the maps", found, limits)
    what = "how dark the image is" if by == IMAGE else "the true nuclei"
    plot = Plot("bars", f"Correlation of NP with {what}, turned", tuple(map(turn_words, TURNS)),
                (("correlation", decides.turns),), "turn", "correlation")  # fmt: skip
    gain = decides.turned - max(decides.here, decides.there)
    common: dict[str, Any] = {"value": max(gain, 0.0), "threshold": limits.turn_gain,
                              "unit": "correlation", "layers": ("image", "truth", "np"),
                              "plot": plot}  # fmt: skip
    if not is_turned(decides, limits):
        told = f"NP correlates {decides.here:.2f} with {what} as it is"
        told += f", {sorted(decides.turns[1:])[-1]:.2f} at most when turned."
        truth = found.truth
        if by == IMAGE and truth is not None and is_turned(truth, limits):
            told += " The labels are turned against both: see the findings on data."
        return Finding("model.orientation", OK, "Orientation of the maps", told, **common)
    turn = TURNS[decides.turn]
    remedy = Remedy("Undo the flip or turn of the maps where they are made or read (mind rows "
                    "and columns), HV with its vectors.")  # fmt: skip
    if by == TRUTH:
        remedy = replace(remedy, action="labels_turn", value=(turn.flip, turn.quarters),
                         text=remedy.text + " Here the labels are turned instead.")  # fmt: skip
    return Finding(
        "model.orientation",
        FAULT,
        f"Maps are {turn_words(turn)}",
        f"NP correlates {decides.here:.2f} with {what} as it is, and {decides.turned:.2f} if "
        f"that is {turn_words(turn)}.",
        certainty=min(0.9 + 0.12 * gain, 0.97),
        remedy=remedy,
        **common,
    )


def turn_words(turn: Turn) -> str:
    """Name a turn.

    Examples
    --------
    >>> turn_words(Turn(flip=True))
    'mirrored left to right'
    """
    plain = {0: "as it is", 1: "turned by 90", 2: "turned by 180", 3: "turned by 270"}
    flipped = {0: "mirrored left to right", 1: "transposed",
               2: "mirrored top to bottom", 3: "transposed over the other diagonal"}  # fmt: skip
    return (flipped if turn.flip else plain)[turn.quarters]
