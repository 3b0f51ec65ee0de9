"""An augmentation as it is given - ours, a function, declared rules - made into one to test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError, UserError
from ..data.samples import TURNS, SampleArrays, Turn
from ..params import AugmentParams
from ..training.crops import augment_image, cut_crop, draw_move, targets_of, turned
from .augment_probe import Drawn, Probe, as_planes

Draw = Callable[[Probe, int], Drawn]
Matrix = npt.NDArray[np.float64]
NAMES = ("ours", "story", "none")
TURN_NAMES: Mapping[str, Turn] = {
    "identity": Turn(),
    "rot90": Turn(False, 1),
    "rot180": Turn(False, 2),
    "rot270": Turn(False, 3),
    "hflip": Turn(True, 0),
    "vflip": Turn(True, 2),
    "transpose": Turn(True, 1),
    "transverse": Turn(True, 3),
}
"""The eight turns by name; rot90 is against the clock, hflip swaps left and right."""
ALIASES: Mapping[str, str] = {
    "none": "identity", "horizontal": "hflip", "fliplr": "hflip", "flipx": "hflip",
    "horizontalflip": "hflip", "vertical": "vflip", "flipud": "vflip", "flipy": "vflip",
    "verticalflip": "vflip", "rotate90": "rot90", "rotate180": "rot180", "rotate270": "rot270",
    "antitranspose": "transverse", "r90": "rot90", "r180": "rot180", "r270": "rot270",
}  # fmt: skip
SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])
HELP = (
    "give a function f(image, labels, hv) that returns the three, one of the albumentations "
    "kind, f(image=, mask=, hv=) -> dict, a mapping of turns (hflip, rot90 ...) to 2 x 2 "
    "matrices, or a name: ours, story, none"
)
LABEL_TYPES = (np.int32, np.uint16, np.int16, np.float32)
"""Types of labels that are tried, in this order: not every function can move each."""


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Something that changes image, labels and HV together.

    Parameters
    ----------
    name : str
    draw : callable, optional
        (Probe, number of the draw) -> Drawn.
    other : callable, optional
        The same with HV handed over as (H, W, 2), for functions that want it so.
    rules : mapping of Turn to array (2, 2)
        Declared: what each turn does to the two channels of stored HV; {} for functions.
    order : str, optional
        Channel order of the data that the rules are applied to, None = as the setup says.
    """

    name: str
    draw: Draw | None = None
    other: Draw | None = None
    rules: Mapping[Turn, Matrix] = field(default_factory=dict)
    order: str | None = None


def read_augmentation(given: Any) -> Augmentation:
    """Make an augmentation of what a user gives.

    Parameters
    ----------
    given : callable, mapping, AugmentParams or str
        See :mod:`.augmentation_checks`.

    Raises
    ------
    InputError
        If it is none of them.

    Examples
    --------
    >>> len(read_augmentation("story").rules)
    8
    """
    if isinstance(given, AugmentParams):
        return _ours(given)
    if isinstance(given, str):
        if given == "ours":
            return _ours(AugmentParams())
        if given == "story":
            return Augmentation("story", rules={t: t.matrix for t in TURNS}, order="vh")
        if given == "none":
            return Augmentation("none", lambda probe, _: Drawn.unchanged(probe))
        raise InputError(f"augmentation is {given!r}; choose one of {', '.join(NAMES)}.")
    if isinstance(given, Mapping):
        return Augmentation("declared rules", rules=_rules(given))
    if callable(given):
        return _own(given)
    raise InputError(f"augmentation is a {type(given).__name__}; {HELP}.")


def turn_of(name: Any) -> Turn:
    """Look up a turn by name.

    Raises
    ------
    InputError
        If it is not known.

    Examples
    --------
    >>> turn_of("Horizontal-Flip") == turn_of("hflip")
    True
    """
    if isinstance(name, Turn):
        return name
    plain = "".join(c for c in str(name).lower() if c.isalnum())
    found = TURN_NAMES.get(ALIASES.get(plain, plain))
    if found is None:
        raise InputError(f"turn {name!r} is not known; choose one of {', '.join(TURN_NAMES)}.")
    return found


def name_of(turn: Turn) -> str:
    """Return the name of a turn."""
    return next(name for name, t in TURN_NAMES.items() if t == turn)


def _rules(given: Mapping[Any, Any]) -> dict[Turn, Matrix]:
    if not given:
        raise InputError(f"augmentation is an empty mapping; {HELP}.")
    rules = {}
    for name, value in given.items():
        matrix = np.asarray(value, np.float64)
        if matrix.shape != (2, 2) or not np.isfinite(matrix).all():
            raise InputError(f"The rule of {name!r} has shape {matrix.shape}; give 2 x 2 numbers.")
        rules[turn_of(name)] = matrix
    return rules


def _ours(params: AugmentParams) -> Augmentation:
    """Make the training's own: HV from labels in even draws, stored HV turned in odd ones."""

    def draw(probe: Probe, number: int) -> Drawn:
        rng = np.random.default_rng((probe.seed, number))
        from_labels = number % 2 == 0
        if from_labels:
            arrays = SampleArrays(image=probe.image, labels=probe.labels, types=probe.types)
        else:
            arrays = SampleArrays(
                image=probe.image,
                np_target=probe.labels > 0,
                hv_target=probe.outward,
                nt_target=probe.labels,
            )
        size = min(probe.labels.shape)
        move = draw_move(params, rng, free=from_labels)
        if from_labels:
            arrays, _ = cut_crop(arrays, size, move, rng)
        else:
            arrays = turned(arrays, move.turn)
        image = augment_image(_there(arrays.image), params, rng)
        labels = _there(arrays.labels if from_labels else arrays.nt_target)
        hv = probe.stored_of(targets_of(arrays)[1])
        return Drawn(image, labels, hv, arrays.types if from_labels else None)

    return Augmentation("ours", draw)


def _there(array: Any) -> Any:
    if array is None:
        raise InputError("an array got lost.")
    return array


def _own(function: Callable[..., Any]) -> Augmentation:
    """Wrap a function of the user's own."""
    name = getattr(function, "__name__", type(function).__name__)
    first, last = _caller(function, name, last=False), _caller(function, name, last=True)
    return Augmentation(name, first, last)


def _caller(function: Callable[..., Any], name: str, *, last: bool) -> Draw:
    keywords, with_types = _style(function)
    works: list[type] = []

    def draw(probe: Probe, _: int) -> Drawn:
        problem: Exception | None = None
        for dtype in works or LABEL_TYPES:
            try:
                made = _called(function, probe, keywords, with_types, dtype, last)
                drawn = as_planes(made, name)
            except Exception as error:
                problem = problem or error
                continue
            if not works:
                works.append(dtype)
            return drawn
        if isinstance(problem, UserError):
            raise problem
        raise InputError(
            f"The augmentation {name} failed ({type(problem).__name__}: {problem}); it is called "
            f"with image {probe.image.shape}, labels {probe.labels.shape} and hv (2, H, W)."
        ) from problem

    return draw


def _style(function: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """Names of its arguments for image, labels and HV, () = by place; whether it takes types."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return (), False
    types = "types" in parameters
    for labels in ("mask", "labels"):
        if {"image", labels, "hv"} <= set(parameters):
            return ("image", labels, "hv"), types
    many = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return (("image", "mask", "hv"), types) if many else ((), types)


def _called(
    function: Callable[..., Any],
    probe: Probe,
    keywords: tuple[str, ...],
    with_types: bool,
    dtype: type,
    last: bool,
) -> Any:
    hv = np.ascontiguousarray(np.moveaxis(probe.hv, 0, -1)) if last else probe.hv.copy()
    given: tuple[Any, ...] = (probe.image.copy(), probe.labels.astype(dtype), hv)
    more = {"types": probe.types.copy()} if with_types else {}
    if keywords:
        return function(**dict(zip(keywords, given, strict=True)), **more)
    return function(*given, **more)
