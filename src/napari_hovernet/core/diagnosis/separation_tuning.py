"""Which parameter of the separation is off: a what-if with other values of each."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import InputError, UserError
from ..params import SeparationParams
from ..types import Int32, Maps, Progress
from .separating import Separator
from .separation_limits import SeparationLimits
from .separation_probing import Score, score

Pairs = Sequence[tuple[Maps, Int32]]
"""Maps and the true instances in them."""

CANDIDATES: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "local": {
        "depth": (0.15, 0.1, 0.25),
        "np_threshold": (0.45, 0.3, 0.6),
        "min_mean_np": (0.6, 0.3),
        "min_area": (20, 60),
        "scales": ((1.5, 3.0),),
        "oblique": (0.25,),
        "magnitude_low": (0.5,),
        "magnitude_high": (0.9,),
        "magnitude_window": (129,),
        "max_hole_area": (200,),
    },
    "hover_net": {
        "energy_threshold": (0.4, 0.3, 0.5),
        "sobel_size": (21, 11, 15, 27),
        "np_threshold": (0.5, 0.35, 0.65),
        "min_marker_area": (10, 0, 40),
        "min_area": (10, 40),
        "opening_size": (5, 3),
        "blur_size": (3,),
    },
}
"""Values that are tried, by method and field; the first is that of the preset."""
THRESHOLDS = ("np_threshold", "min_mean_np")
"""Fields that are about NP."""


@dataclass(frozen=True)
class Total:
    """How a number of images came out: mean AJI, and shares of the true nuclei."""

    aji: float
    n_true: int
    too_few: float
    too_many: float


@dataclass(frozen=True)
class Trial:
    """A what-if: parameters with a field changed.

    Parameters
    ----------
    changes : mapping of str to object
        Field and value, or "preset" and its name.
    scenes : Total
        On generated maps.
    case : Total, optional
        On the case's own maps, None where there are too few nuclei.
    """

    changes: Mapping[str, Any]
    scenes: Total
    case: Total | None


@dataclass(frozen=True)
class Choice:
    """The change that helps most.

    Parameters
    ----------
    trial, base : Trial
        With it, and as it is.
    scene_gain, case_gain : float
        Of AJI.
    own_value : bool
        Whether the field has another value than in its preset now.
    """

    trial: Trial
    base: Trial
    scene_gain: float
    case_gain: float
    own_value: bool

    @property
    def field(self) -> str:
        """Name of the field, or "preset"."""
        return next(iter(self.trial.changes))

    @property
    def kind(self) -> str:
        """What was wrong: "threshold", "over" or "under"."""
        if self.field in THRESHOLDS:
            return "threshold"
        few = many = 0.0
        for before, after in (
            (self.base.scenes, self.trial.scenes),
            (self.base.case, self.trial.case),
        ):
            if before is not None and after is not None:
                few += before.too_few - after.too_few
                many += before.too_many - after.too_many
        return "over" if many > few else "under"

    @property
    def gain(self) -> float:
        """The larger of both gains."""
        return max(self.scene_gain, self.case_gain)


def total(separator: Separator, pairs: Pairs) -> Total:
    """Cut maps and score them; a separation that fails finds nothing."""
    scores = [_score(separator, maps, truth) for maps, truth in pairs]
    n = sum(s.n_true for s in scores)
    aji = sum(s.aji for s in scores) / len(scores) if scores else float("nan")
    few, many = (sum(getattr(s, k) for s in scores) / max(n, 1) for k in ("too_few", "too_many"))
    return Total(aji, n, few, many)


def _score(separator: Separator, maps: Maps, truth: Int32) -> Score:
    try:
        return score(truth, separator.cut(maps))
    except UserError:
        n = len(set(truth.ravel().tolist()) - {0})
        return Score(0.0, n, 0, missed=n)


def preset_of(params: SeparationParams) -> SeparationParams:
    """Return the preset that parameters come from, by their method."""
    return SeparationParams.preset(params.method)


def changes_to_try(params: SeparationParams) -> list[dict[str, Any]]:
    """List the changes worth a try; the whole preset comes last.

    Examples
    --------
    >>> changes_to_try(SeparationParams(depth=2.0))[0]
    {'depth': 0.15}
    """
    made: list[dict[str, Any]] = []
    preset = preset_of(params)
    for field, values in CANDIDATES.get(params.method, {}).items():
        now = getattr(params, field)
        made += [{field: v} for v in values if v != now and _allowed(params, field, v)]
    if params != preset and params.method in CANDIDATES:
        made.append({"preset": params.method})
    return made


def _allowed(params: SeparationParams, field: str, value: Any) -> bool:
    try:
        replace(params, **{field: value})
    except InputError:
        return False
    return True


def tune_steps(
    separator: Separator, scene_pairs: Pairs, case_pairs: Pairs, limits: SeparationLimits
) -> Generator[Progress, None, Choice | None]:
    """Try other values, one at a time, and return the one that helps, None if none does.

    Parameters
    ----------
    separator : Separator
        With known parameters.
    scene_pairs, case_pairs : sequence of (Maps, int32 (H, W))
        Generated maps, and the case's own (may be empty).
    limits : SeparationLimits

    Yields
    ------
    Progress
        Between the trials.
    """
    params = separator.params
    if params is None:
        return None
    base = _trial(separator, {}, scene_pairs, case_pairs, limits)
    tried: list[Trial] = []
    wanted = changes_to_try(params)
    for number, changes in enumerate(wanted):
        yield Progress(number, len(wanted), f"tries {next(iter(changes))}")
        changed = separator.changed(changes, None)
        tried.append(_trial(changed, changes, scene_pairs, case_pairs, limits))
    return choose(params, base, tried, limits)


def _trial(
    separator: Separator,
    changes: Mapping[str, Any],
    scene_pairs: Pairs,
    case_pairs: Pairs,
    limits: SeparationLimits,
) -> Trial:
    case = total(separator, case_pairs) if case_pairs else None
    if case is not None and case.n_true < limits.min_nuclei:
        case = None
    return Trial(changes, total(separator, scene_pairs), case)


def choose(
    params: SeparationParams, base: Trial, tried: Sequence[Trial], limits: SeparationLimits
) -> Choice | None:
    """Pick the change that helps most: one field if one is enough, the preset's value if it is.

    Returns
    -------
    Choice or None
        None if no change helps enough.
    """
    good = [c for c in (_choice(params, base, t) for t in tried) if _helps(c, limits)]
    if not good:
        return None
    single = [c for c in good if c.field != "preset"]
    if not single:
        return good[0]
    best = max(single, key=_sum)
    preset = preset_of(params)
    usual = [
        c
        for c in single
        if _sum(c) >= _sum(best) - limits.slack
        and getattr(preset, c.field) == c.trial.changes[c.field]
    ]
    best = max(usual, key=_sum) if usual else best
    whole = [c for c in good if c.field == "preset" and _sum(c) > _sum(best) + limits.map_gain]
    return whole[0] if whole else best


def _sum(choice: Choice) -> float:
    return choice.scene_gain + choice.case_gain


def _choice(params: SeparationParams, base: Trial, trial: Trial) -> Choice:
    field = next(iter(trial.changes))
    preset = preset_of(params)
    own = field == "preset" or getattr(params, field) != getattr(preset, field)
    both = base.case is not None and trial.case is not None
    gain = trial.case.aji - base.case.aji if both and trial.case and base.case else 0.0
    return Choice(trial, base, trial.scenes.aji - base.scenes.aji, gain, own)


def _helps(choice: Choice, limits: SeparationLimits) -> bool:
    """Whether it helps on one side and costs nothing on the other.

    A value as the preset has it is blamed only for what a fault would cost: good maps come
    out well with it, so that another value makes up for something else.
    """
    on_scenes = choice.scene_gain >= limits.scene_gain and choice.case_gain >= -limits.slack
    least = limits.map_gain if choice.own_value else limits.map_fault
    on_case = choice.case_gain >= least and choice.scene_gain >= -limits.slack
    return on_scenes or on_case


def is_fault(choice: Choice, limits: SeparationLimits) -> bool:
    """Whether a choice says that the separation is at fault, not just worth a look."""
    proven = choice.scene_gain >= limits.scene_gain or choice.case_gain >= limits.map_fault
    return choice.own_value and proven
